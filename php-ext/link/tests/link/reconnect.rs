//! Lost connections: nothing is lost, nothing comes twice.

use std::collections::HashSet;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_link::{LinkError, Target};
use gateway_wire::bridge::{AnswerValue, Query};

use crate::server::{Behaviour, PATIENCE, Server};
use crate::{TIMEOUT, flushed, link, order, send};

#[test]
fn what_was_not_confirmed_is_sent_again_and_takes_effect_once() {
    // This server takes 7 orders, confirms none of them, and cuts the connection.
    let server = Server::start(Behaviour { silent: true, cut_after: Some(7), ..Behaviour::default() });
    let mut link = link(server.target());
    let sent: Vec<String> = (0..20).map(|i| format!("message {i}")).collect();
    for message in &sent {
        // Some orders find the link down for a moment.
        while link.order(order(message), TIMEOUT).is_err() {}
    }
    server.behave(|behaviour| behaviour.silent = false);
    send(&mut link, "the last");
    assert_eq!(flushed(&link), None);
    let messages = server.messages(21);
    assert_eq!(messages[..20], sent);
    assert_eq!(messages[20..], ["the last"]);
    let (logins, repeated) = server.wait("state", |state| Some((state.logins, state.repeated)));
    assert!(logins >= 2, "{logins}");
    assert_eq!(repeated, 0, "what the welcome says has taken effect is not sent again");
}

#[test]
fn a_storm_of_cuts_loses_and_doubles_nothing() {
    let server = Server::start(Behaviour { cut_every: Some(97), ..Behaviour::default() });
    let mut link = link(server.target());
    let sent: Vec<String> = (0..3000).map(|i| format!("message {i}")).collect();
    for message in &sent {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = link.order(order(message), TIMEOUT) {
            assert!(Instant::now() < deadline, "{error}");
            std::thread::yield_now();
        }
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(3000), sent);
    assert!(server.wait("state", |state| Some(state.logins)) >= 3000 / 97);
}

#[test]
fn questions_between_orders_are_right_whatever_is_cut() {
    let server = Server::start(Behaviour { cut_every: Some(53), ..Behaviour::default() });
    let mut link = link(server.target());
    let deadline = Instant::now() + PATIENCE;
    for round in 1..=2000 {
        while let Err(error) = link.order(order("more"), TIMEOUT) {
            assert!(matches!(error, LinkError::Unreachable(_)) && Instant::now() < deadline, "{error}");
        }
        // In some rounds a burst goes before, so that the I/O thread is at work when the query comes.
        if round % 3 == 0 {
            continue;
        }
        let answer = loop {
            match link.query(Query::ClientCount {}, TIMEOUT) {
                Ok(answer) => break answer,
                Err(error) => assert!(
                    matches!(error, LinkError::Unreachable(_)) && Instant::now() < deadline,
                    "round {round}: {error}"
                ),
            }
        };
        assert_eq!(answer, AnswerValue::Int(round));
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(2000).len(), 2000);
    assert_eq!(server.wait("state", |state| Some(state.repeated)), 0);
}

#[test]
fn a_pending_query_is_asked_again() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "one");
    assert_eq!(flushed(&link), None);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| link.query(Query::ClientCount {}, PATIENCE));
        // The query is on its way or has arrived; in both cases it must be sent again on the next connection.
        server.behave(|behaviour| behaviour.mute = false);
        server.cut();
        assert_eq!(asking.join().unwrap().unwrap(), AnswerValue::Int(1));
    });
}

#[test]
fn a_lost_idle_link_costs_the_next_call_nothing_but_a_connection() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    send(&mut link, "before");
    assert_eq!(flushed(&link), None);
    server.cut();
    server.wait("end", |state| (state.disconnections == 1).then_some(()));
    // The link notices by itself, and does not reconnect before it is needed.
    let deadline = Instant::now() + PATIENCE;
    while !link.status().contains("idle") {
        assert!(Instant::now() < deadline, "{}", link.status());
        std::thread::yield_now();
    }
    assert_eq!(server.wait("state", |state| Some(state.connections)), 1);
    send(&mut link, "after");
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(2), ["before", "after"]);
}

#[test]
fn what_was_accepted_is_delivered_when_the_gateway_is_back() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let relay = Relay::start(listener);
    let first = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    relay.link_to(Some(&first));
    let target =
        Target::new(vec![gateway_link::Address::parse(address.to_string().as_bytes()).unwrap()], vec![]);
    let mut link = link(Arc::new(target.unwrap()));
    for message in ["one", "two"] {
        send(&mut link, message);
    }
    first.messages(2);
    relay.link_to(None);
    first.cut();
    // The link knows that the gateway is down, and keeps the calls.
    let left = link.flush(Duration::from_millis(100)).unwrap();
    assert_eq!(left.calls, 2);
    assert!(left.down.is_some(), "{left:?}");
    // The second gateway process knows nothing of the first.
    let second = Server::start(Behaviour::default());
    relay.link_to(Some(&second));
    assert_eq!(flushed(&link), None);
    assert_eq!(second.messages(2), ["one", "two"]);
    send(&mut link, "three");
    assert_eq!(second.messages(3)[2], "three");
}

#[test]
fn the_next_address_is_tried_when_one_is_lost() {
    let first = Server::start(Behaviour { silent: true, ..Behaviour::default() });
    let second = Server::start(Behaviour::default());
    let relay = Relay::start(TcpListener::bind("127.0.0.1:0").unwrap());
    relay.link_to(Some(&first));
    let target = Target::new(vec![relay.address(), second.address()], vec![]).unwrap();
    let mut link = link(Arc::new(target));
    send(&mut link, "one");
    first.messages(1);
    relay.link_to(None);
    first.cut();
    assert_eq!(flushed(&link), None);
    assert_eq!(second.messages(1), ["one"]);
}

#[test]
fn a_call_that_the_gateway_cannot_read_does_not_come_back_for_ever() {
    let server = Server::start(Behaviour { chokes_on: Some("poison".to_owned()), ..Behaviour::default() });
    let mut link = link(server.target());
    for message in ["one", "poison", "two"] {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = link.order(order(message), TIMEOUT) {
            assert!(matches!(error, LinkError::Unreachable(_)) && Instant::now() < deadline, "{error}");
            std::thread::yield_now();
        }
    }
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(2), ["one", "two"]);
    let refused = link.take_notices().remove(0);
    assert_eq!((refused.calls, refused.why.as_str()), (1, "a bad call: poison"));
}

#[test]
fn a_call_waits_while_a_gateway_closes_some_connections_in_a_row_and_not_for_ever() {
    let server = Server::start(Behaviour { hangs_up: 3, ..Behaviour::default() });
    let mut link = link(server.target());
    let left = || server.wait("state", |state| Some(state.behaviour.hangs_up));
    while left() > 0 {
        send(&mut link, "in between");
    }
    assert_eq!(flushed(&link), None);
    server.behave(|behaviour| behaviour.hangs_up = usize::MAX);
    server.cut();
    let deadline = Instant::now() + PATIENCE;
    let refused = loop {
        match link.order(order("in vain"), TIMEOUT) {
            Ok(_) => assert!(Instant::now() < deadline, "calls wait for ever"),
            Err(refused) => break refused,
        }
        std::thread::yield_now();
    };
    assert!(matches!(refused, LinkError::Unreachable(_) | LinkError::BufferFull { .. }), "{refused}");
}

#[test]
fn each_link_is_a_producer_of_its_own() {
    let server = Server::start(Behaviour::default());
    for message in ["one", "two"] {
        let mut link = link(server.target());
        send(&mut link, message);
        assert_eq!(flushed(&link), None);
    }
    let producers = server.wait("state", |state| {
        Some(state.taken.iter().map(|(producer, _)| *producer).collect::<HashSet<_>>())
    });
    assert_eq!(producers.len(), 2);
}

/// A port behind which a server can come and go.
struct Relay {
    address: std::net::SocketAddr,
    to: Arc<std::sync::Mutex<Option<std::net::SocketAddr>>>,
}

impl Relay {
    fn start(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let to = Arc::<std::sync::Mutex<Option<std::net::SocketAddr>>>::default();
        let target = to.clone();
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // With nothing behind it, the connection is closed at once.
                let Some(address) = *target.lock().unwrap() else { continue };
                let server = std::net::TcpStream::connect(address).unwrap();
                for (mut from, mut to) in
                    [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
                {
                    std::thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut to);
                        let _ = to.shutdown(std::net::Shutdown::Both);
                    });
                }
            }
        });
        Self { address, to }
    }

    fn address(&self) -> gateway_link::Address {
        gateway_link::Address::parse(self.address.to_string().as_bytes()).unwrap()
    }

    fn link_to(&self, server: Option<&Server>) {
        *self.to.lock().unwrap() =
            server.map(|server| server.address().to_string().trim_start_matches("tcp://").parse().unwrap());
    }
}
