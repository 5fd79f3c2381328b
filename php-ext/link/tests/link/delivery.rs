//! Delivery when all is well.

use std::time::{Duration, Instant};

use gateway_link::{LinkError, LinkPool, MAX_LINKS};
use gateway_wire::bridge::{AnswerValue, Query};

use crate::server::{Behaviour, Server};
use crate::{LIMITS, TIMEOUT, flushed, link, order, send, send_to};

#[test]
fn orders_arrive_in_turn_and_are_confirmed() {
    let server = Server::start(Behaviour { secret: b"s3cret".to_vec(), ..Behaviour::default() });
    let mut link = link(server.target());
    let sent: Vec<String> = (0..5000).map(|i| format!("message {i}")).collect();
    for message in &sent {
        send(&mut link, message);
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(5000), sent);
    let (most_at_once, connections) =
        server.wait("state", |state| Some((state.most_at_once, state.connections)));
    assert!(most_at_once > 1, "frames are written together");
    assert_eq!(connections, 1);
    assert!(link.status().contains(": up, 0 bytes unconfirmed"), "{}", link.status());
}

#[test]
fn nothing_is_opened_before_the_first_call() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    assert!(link.status().contains("idle"), "{}", link.status());
    send(&mut link, "first");
    assert_eq!(server.messages(1), ["first"]);
    assert_eq!(server.wait("state", |state| Some(state.connections)), 1);
}

#[test]
fn a_query_sees_the_orders_before_it() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    for round in 1..=100 {
        send(&mut link, "more");
        assert_eq!(link.query(Query::ClientCount {}, TIMEOUT).unwrap(), AnswerValue::Int(round));
    }
}

#[test]
fn a_refused_query_gives_the_gateways_words() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    let uid = serde_bytes::Bytes::new(b"refuse");
    let error = link.query(Query::IsUidOnline { uid }, TIMEOUT).unwrap_err();
    assert!(matches!(error, LinkError::Refused { .. }), "{error:?}");
    assert!(error.to_string().contains("no such question") && error.to_string().contains("tcp://127.0.0.1:"));
    assert_eq!(link.query(Query::ClientCount {}, TIMEOUT).unwrap(), AnswerValue::Int(0));
}

#[test]
fn a_refused_order_is_told_of_and_holds_up_nothing() {
    let server = Server::start(Behaviour { refuses: Some("bad".to_owned()), ..Behaviour::default() });
    let mut link = link(server.target());
    for message in ["one", "bad", "two", "bad", "three"] {
        send(&mut link, message);
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(3), ["one", "two", "three"]);
    let refused = link.take_notices().remove(0);
    assert_eq!((refused.calls, refused.why.as_str()), (2, "not this one"));
    assert_eq!(link.take_notices(), []);
}

#[test]
fn an_unanswered_query_ends_in_time_and_the_link_goes_on() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let begun = Instant::now();
    let error = link.query(Query::ClientCount {}, Duration::from_millis(200)).unwrap_err();
    assert!(matches!(error, LinkError::NoAnswer { .. }), "{error:?}");
    assert!((200..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    server.behave(|behaviour| behaviour.mute = false);
    send(&mut link, "after");
    assert_eq!(link.query(Query::ClientCount {}, TIMEOUT).unwrap(), AnswerValue::Int(1));
    assert_eq!(flushed(&link), None);
}

#[test]
fn unconfirmed_bytes_are_bounded() {
    let server = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let message = "x".repeat(LIMITS.buffer_bytes / 4);
    for _ in 0..3 {
        send(&mut link, &message);
    }
    let begun = Instant::now();
    let error = link.order(order(&message), Duration::from_millis(200)).unwrap_err();
    assert!((200..2000).contains(&begun.elapsed().as_millis()), "{:?}", begun.elapsed());
    assert!(
        matches!(error, LinkError::BufferFull { limit, .. } if limit == LIMITS.buffer_bytes),
        "{error:?}"
    );
    assert!(error.to_string().contains("gateway.buffer_bytes"), "{error}");
    let left = link.flush(Duration::from_millis(50)).unwrap();
    assert_eq!((left.calls, left.down), (3, None), "the one refused does not count");
    server.behave(|behaviour| behaviour.silent = false);
    // The confirmation of this query confirms all calls before it, and so makes room.
    send(&mut link, "small");
    send(&mut link, &message);
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(5).len(), 5);
}

#[test]
fn one_call_larger_than_the_buffer_goes_alone() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    let message = "x".repeat(3 * LIMITS.buffer_bytes);
    for _ in 0..3 {
        send(&mut link, &message);
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(3), [message.clone(), message.clone(), message]);
}

#[test]
fn a_call_over_the_limit_is_refused_before_anything_is_opened() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    let error = link.order(order(&"x".repeat(17 << 20)), TIMEOUT).unwrap_err();
    assert!(error.to_string().contains("limit of 16777216 bytes"), "{error}");
    assert!(link.status().contains("idle"));
    send(&mut link, "a call of normal size");
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["a call of normal size"]);
}

#[test]
fn a_slow_gateway_is_told_from_one_that_is_down() {
    let server = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "unconfirmed");
    assert_eq!(server.messages(1), ["unconfirmed"]);
    let left = link.flush(Duration::from_millis(50)).unwrap();
    assert_eq!((left.calls, left.target.as_str()), (1, server.address().to_string().as_str()));
    assert_eq!(left.down, None);
}

#[test]
fn closing_ends_the_connection_and_the_thread() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    send(&mut link, "last words");
    assert_eq!(flushed(&link), None);
    link.close(crate::server::PATIENCE);
    server.wait("end of the connection", |state| (state.disconnections == 1).then_some(()));
}

#[test]
fn a_small_number_of_links_is_kept_the_oldest_leaves() {
    let servers: Vec<_> = (0..=MAX_LINKS).map(|_| Server::start(Behaviour::default())).collect();
    let targets: Vec<_> = servers.iter().map(Server::target).collect();
    let mut links = LinkPool::new();
    for target in &targets[..MAX_LINKS] {
        assert_eq!(send_to(&mut links, target, "hello").unwrap(), []);
    }
    for server in &servers[..MAX_LINKS] {
        server.messages(1);
    }
    // The first link is used again, so that the second is the oldest.
    send_to(&mut links, &targets[0], "again").unwrap();
    for link in links.iter() {
        assert_eq!(flushed(link), None);
    }
    assert_eq!(send_to(&mut links, &targets[MAX_LINKS], "hello").unwrap(), []);
    servers[1].wait("end of the oldest", |state| {
        (state.disconnections == 1 + state.asked_as_register).then_some(())
    });
    assert_eq!(links.iter().count(), MAX_LINKS);
    for (i, server) in servers.iter().enumerate().filter(|(i, _)| *i != 1) {
        // A server that is slow is asked whether it is a register, on a connection of its own.
        let ended = server.wait("state", |state| Some(state.disconnections - state.asked_as_register));
        assert_eq!(ended, 0, "server {i}");
    }
    assert_eq!(links.close(crate::server::PATIENCE), []);
    for server in &servers {
        server.wait("end", |state| (state.disconnections == 1 + state.asked_as_register).then_some(()));
    }
}

#[test]
fn an_evicted_link_says_what_it_could_not_deliver() {
    let silent = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    let others: Vec<_> = (0..MAX_LINKS).map(|_| Server::start(Behaviour::default())).collect();
    let mut links = LinkPool::new();
    send_to(&mut links, &silent.target(), "unconfirmed").unwrap();
    silent.messages(1);
    let undelivered: Vec<_> =
        others.iter().flat_map(|server| send_to(&mut links, &server.target(), "hello").unwrap()).collect();
    assert_eq!(undelivered.len(), 1);
    assert_eq!((undelivered[0].calls, &undelivered[0].target), (1, &silent.address().to_string()));
}

#[test]
fn equal_targets_share_a_link_and_another_secret_does_not() {
    let server = Server::start(Behaviour::default());
    let mut links = LinkPool::new();
    send_to(&mut links, &server.target(), "one").unwrap();
    send_to(&mut links, &server.target(), "two").unwrap();
    assert_eq!(links.iter().count(), 1);
    let other = gateway_link::Target::new(vec![server.address()], b"other".to_vec()).unwrap();
    assert!(send_to(&mut links, &std::sync::Arc::new(other), "three").is_err());
    assert_eq!(links.iter().count(), 2);
}
