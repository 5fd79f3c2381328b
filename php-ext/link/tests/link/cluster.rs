//! The link with a fake register and fake gateways of GatewayWorker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_link::{GatewayProtocol, Link, LinkError, LinkLimits, NoticeKind, QueryAnswer};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Query};

use crate::fake_cluster::{FakeGateway, FakeRegister, line};
use crate::server::{Behaviour, PATIENCE, Server};
use crate::{LIMITS, TIMEOUT, flushed, link, order, send};

fn open(register: &FakeRegister) -> Link {
    link(Arc::new(register.target("")))
}

fn count(link: &mut Link) -> Result<QueryAnswer, LinkError> {
    link.query(Query::ClientCount {}, TIMEOUT)
}

fn refusal(register: &FakeRegister, secret: &str) -> String {
    let mut link = link(Arc::new(register.target(secret)));
    let begun = Instant::now();
    let error = link.order(order("x"), TIMEOUT).unwrap_err().to_string();
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert!(error.starts_with(&format!("Can not connect to {} ", register.address())), "{error}");
    error
}

#[test]
fn a_register_is_found_by_its_silence() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start("", &[&gateways[0], &gateways[1]]);
    let mut link = open(&register);
    for message in ["one", "two"] {
        send(&mut link, message);
    }
    assert_eq!(flushed(&link), None);
    for gateway in &gateways {
        assert_eq!(gateway.messages(2), ["one", "two"]);
    }
    assert_eq!(count(&mut link).unwrap(), AnswerValue::Int(2));
    let stats = link.stats();
    assert_eq!((stats.acked, stats.queued, stats.queued_bytes), (2, 0, 0));
    assert_eq!(stats.connected, Some(register.address()));
    assert_eq!(register.asked(), 1);
}

#[test]
fn a_register_is_told_the_secret_only_by_explicit_wish() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start("s\"ß", &[&gateway]);
    for protocol in [GatewayProtocol::Auto, GatewayProtocol::Bridge] {
        let mut link = link(Arc::new(register.target_by_chance("s\"ß").speaking(protocol)));
        let error = link.order(order("x"), TIMEOUT).unwrap_err().to_string();
        assert!(error.contains("GatewayWorker's register answers there"), "{error}");
        assert!(error.contains("set gateway.protocol = gatewayworker"), "{error}");
    }
    assert_eq!(register.asked(), 0);
    let mut link = link(Arc::new(register.target("s\"ß")));
    send(&mut link, "by wish");
    assert_eq!(gateway.messages(1), ["by wish"]);
    assert_eq!(gateway.secrets(), ["s\"ß"]);
}

#[test]
fn a_gateway_of_ours_that_is_late_is_not_told_the_secret() {
    let late = Duration::from_millis(400);
    let server = Server::start(Behaviour { late, secret: b"secret".to_vec(), ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "hello");
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["hello"]);
    assert_eq!(
        server.wait("no question", |state| Some((state.asked_as_register, state.connections))),
        (0, 1)
    );
}

#[test]
fn a_gateway_of_ours_that_is_late_is_no_register() {
    let late = Duration::from_millis(400);
    let server = Server::start(Behaviour { late, ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "hello");
    assert_eq!(flushed(&link), None);
    assert_eq!(server.messages(1), ["hello"]);
    // The link remembers that this is no register: after the cut, nobody asks again whether it is one.
    assert_eq!(server.wait("a question", |state| Some(state.asked_as_register)), 1);
    server.cut();
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = link.order(order("again"), TIMEOUT) {
        assert!(Instant::now() < deadline, "{error}");
    }
    assert_eq!(server.messages(2), ["hello", "again"]);
    assert_eq!(server.wait("no question", |state| Some(state.asked_as_register)), 1);
}

#[test]
fn the_protocol_can_be_settled() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start("", &[&gateway]);
    let mut bridge = link(Arc::new(register.target("").speaking(GatewayProtocol::Bridge)));
    bridge.order(order("x"), Duration::from_millis(500)).unwrap_err();
    assert_eq!(register.asked(), 0);
    let mut direct = link(Arc::new(register.target("").speaking(GatewayProtocol::GatewayWorker)));
    send(&mut direct, "y");
    assert_eq!(gateway.messages(1), ["y"]);
}

#[test]
fn registers_that_cannot_be_used_say_why() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start("right", &[&gateway]);
    let error = refusal(&register, "wrong");
    assert!(error.contains("closed the connection unanswered") && error.contains("$secretKey"), "{error}");

    let error = refusal(&FakeRegister::start("", &[]), "");
    assert!(error.contains("no gateway has told the register"), "{error}");
    let many = format!(
        "{{\"event\":\"broadcast_addresses\",\"addresses\":[{}]}}\n",
        vec!["\"127.0.0.1:1\""; 2000].join(",")
    );
    for (line, why) in [
        ("{\"event\":\"broadcast_addresses\",\"addresses\":[\"host:2900\"]}\n", "lanIp"),
        ("HTTP/1.1 400 Bad Request\n", "an HTTP server answers there"),
        ("something else\n", "no line of the register protocol"),
        (&many, "more than 1024"),
        (
            "{\"event\":\"broadcast_addresses\",\"addresses\":[\"127.0.0.1:1\"]}\n",
            "127.0.0.1:1: Connection refused",
        ),
    ] {
        let error = refusal(&FakeRegister::saying("", line.as_bytes().to_vec()), "");
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn what_a_cut_may_have_swallowed_is_told_of_and_not_sent_again() {
    let gateway = FakeGateway::start();
    let register = FakeRegister::start("", &[&gateway]);
    let mut link = open(&register);
    send(&mut link, "confirmed");
    assert_eq!(flushed(&link), None);
    gateway.be_mute(true);
    for message in ["one", "two", "three"] {
        send(&mut link, message);
    }
    assert_eq!(gateway.messages(4).len(), 4);
    assert!(link.flush(Duration::ZERO).is_some(), "nothing has confirmed them");
    gateway.be_mute(false);
    gateway.cut();
    assert_eq!(flushed(&link), None);
    let notice = link.take_notices().remove(0);
    assert_eq!((notice.calls, &notice.trouble), (3, &NoticeKind::Lost(gateway.address.to_string())));
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = link.order(order("after"), TIMEOUT) {
        assert!(Instant::now() < deadline, "{error}");
    }
    assert_eq!(gateway.messages(5), ["confirmed", "one", "two", "three", "after"]);
    assert_eq!(flushed(&link), None);
    let stats = link.stats();
    assert_eq!((stats.acked, stats.dropped, stats.resent), (2, 3, 0));
}

#[test]
fn an_answer_that_is_none_ends_its_connection_alone() {
    for answer in [
        &b"\xff\xff\xff\xff"[..],
        b"\0\0\0\x06a:0:{}",
        b"\0\0\0\x05hello",
        b"\0\0\0\x02N;\0\0\0\x04i:1;\0\0\0\x04i:1;",
    ] {
        let gateway = FakeGateway::start();
        let register = FakeRegister::start("", &[&gateway]);
        let mut link = open(&register);
        assert_eq!(count(&mut link).unwrap(), AnswerValue::Int(1));
        gateway.answer(Some(answer.to_vec()));
        let error = count(&mut link).unwrap_err().to_string();
        assert!(error.contains(&gateway.address.to_string()), "{error}");
        gateway.answer(None);
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = count(&mut link) {
            assert!(Instant::now() < deadline, "{error}");
        }
        send(&mut link, "after");
        assert_eq!(gateway.messages(1), ["after"]);
    }
}

#[test]
fn a_gateway_that_is_down_is_missed_in_orders_and_answers() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start("", &[&gateways[0], &gateways[1]]);
    let mut link = open(&register);
    assert_eq!(count(&mut link).unwrap(), AnswerValue::Int(2));
    gateways[1].leave();
    // A query that is under way may wait for the attempt to connect again.
    let deadline = Instant::now() + PATIENCE;
    while count(&mut link).unwrap() != AnswerValue::Int(1) {
        assert!(Instant::now() < deadline);
    }
    let down = gateways[1].address.to_string();
    let notice = link.take_notices().remove(0);
    assert_eq!(notice.trouble, NoticeKind::Partial);
    assert!(notice.why.contains(&down), "{notice}");
    send(&mut link, "to who is there");
    assert_eq!(flushed(&link), None);
    assert_eq!(gateways[0].messages(1), ["to who is there"]);
    let notice = link.take_notices().remove(0);
    assert_eq!((notice.calls, notice.trouble), (1, NoticeKind::Lost(down)));
    // Only the gateway that is down could know this client.
    let client = ClientId::new(gateways[1].address, 1);
    let error = link.query(Query::IsOnline { client }, TIMEOUT).unwrap_err();
    assert!(matches!(error, LinkError::Unanswered { .. }), "{error:?}");
    // A gateway that is no longer on the register's list has no clients.
    register.tell(&[&gateways[0]]);
    while !link
        .query(Query::IsOnline { client }, TIMEOUT)
        .is_ok_and(|answer| answer == AnswerValue::Bool(false))
    {
        assert!(Instant::now() < deadline);
    }
}

#[test]
fn gateways_that_come_later_are_talked_to() {
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start("", &[&gateways[0]]);
    let mut link = open(&register);
    send(&mut link, "to one");
    assert_eq!(flushed(&link), None);
    register.tell(&[&gateways[0], &gateways[1]]);
    gateways[1].connected(1);
    send(&mut link, "to both");
    assert_eq!(gateways[0].messages(2), ["to one", "to both"]);
    assert_eq!(gateways[1].messages(1), ["to both"]);
    // A list without the gateways that are connected changes nothing: a register that was restarted begins with an empty
    // list.
    register.tell(&[]);
    send(&mut link, "to both again");
    assert_eq!(gateways[0].messages(3).len(), 3);
    assert_eq!(gateways[1].messages(2).len(), 2);
}

#[test]
fn one_that_does_not_answer_is_not_waited_for_long() {
    let gateway = FakeGateway::start();
    // This listener accepts connections and never says anything.
    let still = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "{{\"event\":\"broadcast_addresses\",\"addresses\":[\"{}\",\"{}\"]}}\n",
        still.local_addr().unwrap(),
        gateway.address
    );
    let register = FakeRegister::saying("", line.into_bytes());
    let mut link = open(&register);
    let begun = Instant::now();
    send(&mut link, "to who answers");
    assert_eq!(gateway.messages(1), ["to who answers"]);
    assert!(begun.elapsed() < TIMEOUT / 2, "{:?}", begun.elapsed());
    assert_eq!(flushed(&link), None);
    let notice = link.take_notices().remove(0);
    assert_eq!(notice.trouble, NoticeKind::Lost(still.local_addr().unwrap().to_string()));
}

/// Our server speaks both protocols, so a late hello may make the link ask it as a register.
#[test]
fn a_gateway_of_ours_that_was_taken_for_a_register_is_taken_back() {
    let other = FakeGateway::start();
    let late = Duration::from_millis(400);
    let server = Server::start(Behaviour { late, register_line: line(&[&other]), ..Behaviour::default() });
    let mut link = link(server.target());
    send(&mut link, "first");
    assert_eq!(other.messages(1), ["first"]);
    let deadline = Instant::now() + PATIENCE;
    let mut sent = 0;
    while server.wait("a look", |state| Some(state.taken.is_empty())) {
        assert!(Instant::now() < deadline);
        if link.order(order("more"), TIMEOUT).is_ok() {
            sent += 1;
        }
    }
    assert_eq!(flushed(&link), None);
    let taken = server.wait("its messages", |state| Some(state.taken.len()));
    assert_eq!(taken + other.messages(1).len(), sent + 1, "each went one way");
    assert_eq!(link.take_notices(), []);
    assert_eq!(server.wait("a question", |state| Some(state.asked_as_register)), 1);
}

#[test]
fn a_gateway_that_stands_still_is_given_up_in_time() {
    const MESSAGES: usize = 300;
    let gateways = [FakeGateway::start(), FakeGateway::start()];
    let register = FakeRegister::start("", &[&gateways[0], &gateways[1]]);
    let limits = LinkLimits { buffer_bytes: 64 << 20, ..LIMITS };
    let mut link = Link::new(Arc::new(register.target("")), limits).unwrap();
    assert_eq!(count(&mut link).unwrap(), AnswerValue::Int(2));
    gateways[1].be_still();
    // All messages together are more than the kernel buffers for the gateway.
    let message = "x".repeat(64 << 10);
    let begun = Instant::now();
    for _ in 0..MESSAGES {
        send(&mut link, &message);
    }
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
    assert_eq!(link.flush(Duration::from_secs(30)), None);
    assert_eq!(gateways[0].messages(MESSAGES).len(), MESSAGES);
    let still = gateways[1].address.to_string();
    let lost: u64 = link
        .take_notices()
        .iter()
        .map(|notice| {
            assert_eq!(notice.trouble, NoticeKind::Lost(still.clone()));
            notice.calls
        })
        .sum();
    assert_eq!(lost, MESSAGES as u64);
}
