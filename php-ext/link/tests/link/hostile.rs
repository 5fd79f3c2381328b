//! A gateway that sends what the protocol forbids.

use std::time::Duration;

use gateway_link::LinkError;
use gateway_wire::bridge::{AnswerValue, Query, Reply};

use crate::server::{Behaviour, Server};
use crate::{TIMEOUT, flushed, link, send};

/// Makes a query whose answer is replaced, then checks that the link goes on over a new connection.
fn survives(answer: Vec<u8>) {
    let server = Server::start(Behaviour { answer: Some(answer), ..Behaviour::default() });
    let mut link = link(server.target());
    link.query(Query::ClientCount {}, Duration::from_millis(200)).unwrap_err();
    server.behave(|behaviour| behaviour.answer = None);
    server.cut();
    let deadline = std::time::Instant::now() + crate::server::PATIENCE;
    while let Err(error) = link.query(Query::ClientCount {}, TIMEOUT) {
        assert!(std::time::Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
    send(&mut link, "after");
    assert_eq!(link.query(Query::ClientCount {}, TIMEOUT).unwrap(), AnswerValue::Int(1));
    assert_eq!(flushed(&link), None);
}

fn encoded(reply: &Reply) -> Vec<u8> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn garbage() {
    survives(b"\x00\x00\x00\x05hello".to_vec());
}

#[test]
fn a_length_over_the_limit() {
    survives(u32::MAX.to_be_bytes().to_vec());
}

#[test]
fn a_length_that_nothing_follows() {
    survives((200u32 << 20).to_be_bytes().to_vec());
}

#[test]
fn a_second_handshake() {
    survives(encoded(&Reply::Welcome { applied: 0, proof: [0; 32] }));
    survives(encoded(&Reply::Hello { nonce: [1; 32], instance: 2 }));
}

#[test]
fn answers_to_questions_that_nobody_asked() {
    survives(encoded(&Reply::Answer { seq: 999, value: AnswerValue::Int(1) }));
    survives(encoded(&Reply::Error { seq: 999, message: "no".to_owned() }));
}

#[test]
fn an_answer_that_is_too_large_is_an_error_and_ends_nothing() {
    let huge =
        encoded(&Reply::Answer { seq: 1, value: AnswerValue::List(vec![AnswerValue::Null; 32 << 20]) });
    let server = Server::start(Behaviour { answer: Some(huge), ..Behaviour::default() });
    let mut link = link(server.target());
    let error = link.query_within(Query::ClientCount {}, TIMEOUT * 5, 1 << 20).unwrap_err();
    assert!(matches!(error, LinkError::AnswerTooLarge { most: 0x10_0000, .. }), "{error:?}");
    server.behave(|behaviour| behaviour.answer = None);
    assert_eq!(link.query(Query::ClientCount {}, TIMEOUT * 5).unwrap(), AnswerValue::Int(0));
    assert_eq!(server.wait("state", |state| Some(state.logins)), 1);
}

#[test]
fn confirmations_of_what_was_never_sent() {
    let server = Server::start(Behaviour {
        answer: Some(encoded(&Reply::Ack { seq: u64::MAX })),
        ..Behaviour::default()
    });
    let mut link = link(server.target());
    link.query(Query::ClientCount {}, Duration::from_millis(200)).unwrap_err();
    send(&mut link, "not lost");
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["not lost"]);
}
