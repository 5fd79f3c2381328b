//! Gateways that send nothing although their system acknowledges every packet: one that is stopped, or a proxy with nothing
//! behind it.

use std::time::{Duration, Instant};

use gateway_link::{EventsConn, Link, LinkError, LinkLimits, NextEvent, QueryAnswer, WaitEnd};
use gateway_wire::bridge::{AnswerValue, Query};

use crate::server::{Behaviour, PATIENCE, Server};
use crate::{LIMITS, flushed, link, send, send_to};

/// The bound of a wait, as `$connectTimeout` is; long enough that a busy machine does not take a short wait for a whole one.
const LONG: Duration = Duration::from_secs(4);

fn count(link: &mut Link) -> Result<QueryAnswer, LinkError> {
    link.query(Query::ClientCount {}, LONG)
}

fn hang(server: &Server, hangs: bool) {
    server.behave(|behaviour| (behaviour.mute, behaviour.silent) = (hangs, hangs));
}

#[test]
fn a_gateway_that_hangs_costs_one_wait_until_it_is_heard_again() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    assert_eq!(count(&mut link).unwrap(), AnswerValue::Int(0));
    hang(&server, true);
    let error = count(&mut link).unwrap_err();
    assert!(matches!(error, LinkError::NoAnswer { waited: LONG, .. }), "{error:?}");
    // Ten calls together take less than one whole wait.
    let begun = Instant::now();
    for _ in 0..10 {
        let error = count(&mut link).unwrap_err();
        assert!(matches!(error, LinkError::Silent { .. }), "{error:?}");
        assert!(error.to_string().contains("has said nothing for"), "{error}");
    }
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    hang(&server, false);
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = count(&mut link) {
        assert!(matches!(error, LinkError::Silent { .. }) && Instant::now() < deadline, "{error:?}");
    }
    // Once something has arrived, calls wait as long as before.
    hang(&server, true);
    let error = count(&mut link).unwrap_err();
    assert!(matches!(error, LinkError::NoAnswer { waited: LONG, .. }), "{error:?}");
}

#[test]
fn the_ends_of_requests_do_not_wait_for_a_gateway_that_hangs() {
    let server = Server::start(Behaviour::default());
    let (target, mut links) = (server.target(), gateway_link::LinkPool::new());
    send_to(&mut links, &target, "before").unwrap();
    assert_eq!(links.flush(PATIENCE), []);
    hang(&server, true);
    send_to(&mut links, &target, "one").unwrap();
    // The gateway counts as slow, not as down: the call stays in the queue.
    let left = links.flush(LONG);
    assert_eq!((left.len(), left[0].calls, &left[0].down), (1, 1, &None));
    let begun = Instant::now();
    for request in 0..100 {
        send_to(&mut links, &target, "more").unwrap();
        assert_eq!(links.flush(LONG)[0].calls, request + 2);
    }
    assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    // Nothing is lost, and the end of the process waits for the gateway once more.
    hang(&server, false);
    send_to(&mut links, &target, "last").unwrap();
    assert_eq!(links.close(PATIENCE), []);
    assert_eq!(server.messages(103).len(), 103);
}

#[test]
fn a_gateway_that_owes_word_for_too_long_is_given_up() {
    let server = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    let limits = LinkLimits { silence: Duration::from_millis(300), ..LIMITS };
    let mut link = Link::new(server.target(), limits).unwrap();
    send(&mut link, "one");
    // The I/O thread notices it alone, while no call waits.
    server.wait("another login", |state| (state.logins >= 2).then_some(()));
    hang(&server, false);
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["one"]);
    // The same happens while PHP's thread waits for an answer.
    server.behave(|behaviour| behaviour.mute = true);
    let logins = server.wait("state", |state| Some(state.logins));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| link.query(Query::ClientCount {}, PATIENCE));
        server.wait("another login", |state| (state.logins > logins).then_some(()));
        server.behave(|behaviour| behaviour.mute = false);
        assert_eq!(asking.join().unwrap().unwrap(), AnswerValue::Int(1));
    });
}

#[test]
fn one_that_owes_nothing_is_kept() {
    let server = Server::start(Behaviour::default());
    let limits = LinkLimits { silence: Duration::from_secs(1), ..LIMITS };
    let mut link = Link::new(server.target(), limits).unwrap();
    let pause = || std::thread::sleep(Duration::from_millis(1500));
    send(&mut link, "before the silence");
    assert_eq!(flushed(&link), None);
    pause();
    send(&mut link, "after it");
    assert_eq!(flushed(&link), None);
    // PHP's thread does the I/O for an answer alone, and the I/O thread does not look at the connection afterwards.
    for _ in 0..2 {
        link.query(Query::ClientCount {}, PATIENCE).unwrap();
        pause();
    }
    assert_eq!(server.wait("state", |state| Some(state.logins)), 1);
}

#[test]
fn a_worker_asks_a_gateway_that_has_nothing_for_it_whether_it_is_there() {
    let server = Server::start(Behaviour { pongs: true, ..Behaviour::default() });
    let silence = Duration::from_secs(2);
    let mut worker = EventsConn::join(&server.target(), "chat:0", false, PATIENCE, silence).unwrap();
    let mut next = || {
        let ended = worker.wait(None, || false)?;
        assert_eq!(ended, WaitEnd::Input);
        assert!(matches!(worker.take()?, NextEvent::Nothing));
        Ok::<_, gateway_link::EventsConnLost>(())
    };
    while server.wait("state", |state| Some(state.pings)) < 2 {
        next().unwrap();
    }
    server.behave(|behaviour| behaviour.pongs = false);
    let lost = loop {
        if let Err(lost) = next() {
            break lost.to_string();
        }
    };
    assert!(lost.contains("asked whether it is there and has said nothing for 2 s"), "{lost}");
}
