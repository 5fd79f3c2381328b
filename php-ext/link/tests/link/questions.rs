//! Questions whose answers are taken later: each is answered once, or told why not, and nothing of them is left.

use std::io::Read as _;
use std::time::{Duration, Instant};

use gateway_link::{LinkError, MAX_QUESTIONS, Question};
use gateway_wire::bridge::frame::MAX_REPLY;
use gateway_wire::bridge::{AnswerValue, Query};

use crate::server::{Behaviour, PATIENCE, Server};
use crate::{TIMEOUT, flushed, link, send};

fn ask(link: &mut gateway_link::Link) -> Question {
    link.ask(Query::ClientCount {}, TIMEOUT, MAX_REPLY).unwrap()
}

#[test]
fn answers_are_taken_in_any_order_and_questions_keep_their_place_among_orders() {
    let server = Server::start(Behaviour::default());
    let mut link = link(server.target());
    let mut questions = Vec::new();
    for count in 1..=50 {
        send(&mut link, "message");
        questions.push((count, ask(&mut link)));
    }
    for (count, mut question) in questions.into_iter().rev() {
        let answer = question.answer(PATIENCE).unwrap().unwrap();
        assert_eq!(answer, AnswerValue::Int(count));
        // It is taken once.
        assert!(question.answer(Duration::ZERO).is_none());
    }
    assert_eq!(flushed(&link), None);
}

#[test]
fn a_signal_tells_of_an_answer_that_came_before_or_comes_after_it() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let mut question = ask(&mut link);
    let mut signal = question.signal().unwrap();
    assert!(!question.is_ready());
    assert!(signal.read(&mut [0]).is_err(), "there is no answer yet");
    assert!(question.answer(Duration::ZERO).is_none());
    server.behave(|behaviour| behaviour.mute = false);
    // The question is asked again on another connection.
    server.cut();
    signal.set_nonblocking(false).unwrap();
    signal.set_read_timeout(Some(PATIENCE)).unwrap();
    signal.read_exact(&mut [0]).unwrap();
    assert!(question.is_ready());
    let mut late = question.signal().unwrap();
    late.set_nonblocking(false).unwrap();
    late.read_exact(&mut [0]).unwrap();
    assert_eq!(question.answer(Duration::ZERO).unwrap().unwrap(), AnswerValue::Int(0));
}

#[test]
fn a_gateway_that_goes_away_answers_all_with_the_reason() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let mut questions: Vec<_> = (0..10).map(|_| ask(&mut link)).collect();
    let mut signal = questions[9].signal().unwrap();
    // The link that connects again is told that this is no gateway.
    server.behave(|behaviour| behaviour.greeting = Some(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()));
    server.cut();
    signal.set_nonblocking(false).unwrap();
    signal.set_read_timeout(Some(PATIENCE)).unwrap();
    signal.read_exact(&mut [0]).unwrap();
    for question in &mut questions {
        let answer = question.answer(PATIENCE).unwrap();
        assert!(matches!(answer, Err(LinkError::Unreachable(_))), "{answer:?}");
    }
    // No question is open any more, so that the link can ask again.
    server.behave(|behaviour| {
        behaviour.greeting = None;
        behaviour.mute = false;
    });
    let deadline = Instant::now() + PATIENCE;
    loop {
        match link.ask(Query::ClientCount {}, TIMEOUT, MAX_REPLY) {
            Ok(mut question) => {
                assert_eq!(question.answer(PATIENCE).unwrap().unwrap(), AnswerValue::Int(0));
                break;
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
}

#[test]
fn a_gateway_that_does_not_answer_in_time_is_told_of() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let patience = Duration::from_millis(200);
    let mut question = link.ask(Query::ClientCount {}, patience, MAX_REPLY).unwrap();
    let begun = Instant::now();
    // It waits no longer than the gateway has time.
    let answer = question.answer(PATIENCE).unwrap();
    assert!(matches!(answer, Err(LinkError::NoAnswer { .. })), "{answer:?}");
    assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
    assert!(question.is_ready() && question.left().is_zero());
}

#[test]
fn questions_are_bounded_and_given_up_when_they_are_dropped() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let questions: Vec<_> = (0..MAX_QUESTIONS).map(|_| ask(&mut link)).collect();
    let one_more = link.ask(Query::ClientCount {}, TIMEOUT, MAX_REPLY);
    assert!(matches!(one_more, Err(LinkError::TooManyQuestions { .. })), "{one_more:?}");
    drop(questions);
    server.behave(|behaviour| behaviour.mute = false);
    server.cut();
    let mut question = ask(&mut link);
    assert_eq!(question.answer(PATIENCE).unwrap().unwrap(), AnswerValue::Int(0));
    // A query that waits gets its own answer, and not that of one which nobody takes any more.
    assert_eq!(link.query(Query::ClientCount {}, TIMEOUT).unwrap(), AnswerValue::Int(0));
}

#[test]
fn a_link_that_is_closed_answers_all_with_the_reason() {
    let server = Server::start(Behaviour { mute: true, ..Behaviour::default() });
    let mut link = link(server.target());
    let mut question = ask(&mut link);
    link.close(PATIENCE);
    let answer = question.answer(Duration::ZERO).unwrap();
    assert!(matches!(answer, Err(LinkError::Unreachable(_))), "{answer:?}");
}
