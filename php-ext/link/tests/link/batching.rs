//! Orders that a worker's own thread gathers and sends in batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_link::{LinkPool, Target};

use crate::server::{Behaviour, PATIENCE, Server};
use crate::{LIMITS, send_to};

fn gathering() -> LinkPool {
    let mut links = LinkPool::new();
    links.set_batching(true);
    links
}

/// Sends an order again and again until it is accepted: some orders find the link down for a moment.
fn send(links: &mut LinkPool, target: &Arc<Target>, message: &str) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = send_to(links, target, message) {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("message {i}")).collect()
}

#[test]
fn they_go_out_together() {
    let server = Server::start(Behaviour::default());
    let (mut links, target) = (gathering(), server.target());
    send(&mut links, &target, "the first connects");
    server.messages(1);
    let sent = numbered(30);
    // The server may read a batch in parts, because this thread may be kept waiting between its orders. In fifty rounds that
    // does not happen at least once.
    for round in 1..=50 {
        sent.iter().for_each(|message| send(&mut links, &target, message));
        links.send_batches();
        assert_eq!(server.messages(1 + 30 * round)[1 + 30 * (round - 1)..], sent);
    }
    assert!(server.wait("state", |state| Some(state.most_at_once)) >= 30);
}

#[test]
fn they_do_not_wait_for_a_thread_that_does_something_else() {
    let server = Server::start(Behaviour::default());
    let (mut links, target) = (gathering(), server.target());
    for count in 1..=20 {
        send(&mut links, &target, "message");
        server.messages(count);
    }
}

#[test]
fn they_make_room_for_more() {
    let server = Server::start(Behaviour::default());
    let (mut links, target) = (gathering(), server.target());
    let message = "x".repeat(10_000);
    // All messages together are five times what the buffer holds.
    let count = 5 * LIMITS.buffer_bytes / message.len();
    for _ in 0..count {
        send_to(&mut links, &target, &message).unwrap();
    }
    assert_eq!(links.flush(PATIENCE), []);
    assert_eq!(server.messages(count).len(), count);
}

#[test]
fn a_storm_of_cuts_loses_and_doubles_none() {
    let server = Server::start(Behaviour { cut_every: Some(97), ..Behaviour::default() });
    let (mut links, target) = (gathering(), server.target());
    let sent = numbered(3000);
    for (number, message) in sent.iter().enumerate() {
        send(&mut links, &target, message);
        match number % 100 {
            40 => links.send_batches(),
            80 => links.set_batching(false),
            90 => links.set_batching(true),
            _ => {}
        }
    }
    assert_eq!(links.flush(PATIENCE), []);
    assert_eq!(server.messages(3000), sent);
}

#[test]
fn what_a_lost_connection_took_along_is_sent_again_though_nothing_is_asked() {
    for is_idle in [false, true] {
        let server = Server::start(Behaviour { silent: true, cut_after: Some(3), ..Behaviour::default() });
        let (mut links, target) = (gathering(), server.target());
        let sent = numbered(5);
        sent.iter().for_each(|message| send(&mut links, &target, message));
        links.send_batches();
        if is_idle {
            links.set_batching(false);
        }
        assert_eq!(server.messages(5), sent);
    }
}

#[test]
fn a_worker_that_rests_leaves_nothing_unconfirmed() {
    let server = Server::start(Behaviour::default());
    let (mut links, target) = (gathering(), server.target());
    for count in 1..=20 {
        links.set_batching(true);
        send(&mut links, &target, "message");
        links.set_batching(false);
        server.messages(count);
        // The worker rests, so only the link's own thread can bring the confirmation in.
        let deadline = Instant::now() + PATIENCE;
        while links.iter().any(|link| link.stats().queued > 0) {
            assert!(Instant::now() < deadline, "not confirmed");
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}
