//! Models of the link: the real link, engine and I/O thread run under shuttle, which chooses when which thread goes on, in
//! hundreds of schedules; it prints one that fails. `make models` runs them.

use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use gateway_wire::bridge::frame::{self, HEADER};
use gateway_wire::bridge::{AnswerValue, Call, Order, Producer, Query, Reply, Request};
use serde_bytes::Bytes;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Mutex;
use shuttle::{Config, MaxSteps, Runner, thread};
use socket2::Socket;

use crate::address::Address;
use crate::bridge_conn::BridgeConn;
use crate::engine::Engine;
use crate::fork::CloseOnFork;
use crate::link::{Link, LinkLimits};
use crate::poll::Waker;
use crate::reply_reader::ReplyReader;
use crate::shared::Shared;
use crate::stream::MaybeTlsStream;
use crate::target::Target;

/// The number of schedules of each kind, unless `MODEL_SCHEDULES` says another.
const SCHEDULES: usize = 100;
/// A thread that waits polls, so a missing wake shows as a schedule without an end.
const STEPS: usize = 100_000;
/// No wait of a model ends by this timeout.
const EVER: Duration = Duration::from_secs(3600);

/// Runs a model in random schedules and in those that switch threads only a few times, which find other faults.
fn check(model: fn()) {
    let schedules = std::env::var("MODEL_SCHEDULES").ok().and_then(|number| number.parse().ok());
    let schedules = schedules.unwrap_or(SCHEDULES);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    config.max_steps = MaxSteps::FailAfter(STEPS);
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(model);
    Runner::new(PctScheduler::new(3, schedules), config).run(model);
}

/// The gateway's end, which takes calls, confirms them, and answers queries.
#[derive(Default)]
struct Gateway {
    /// The numbers of the calls, in the order of their arrival.
    taken: Mutex<Vec<u64>>,
    is_over: Mutex<bool>,
}

impl Gateway {
    fn serve(&self, mut socket: UnixStream) {
        let mut input = Vec::new();
        while !*self.is_over.lock().unwrap() {
            let mut chunk = [0; 2000];
            match socket.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => input.extend_from_slice(&chunk[..length]),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
            while let Some(length) = frame::content_length(&input, 1 << 20).unwrap() {
                let request = Request::decode(&input[HEADER..HEADER + length]).unwrap();
                let (seq, is_query) = (request.seq, matches!(request.call, Call::Query(_)));
                drop(request);
                input.drain(..HEADER + length);
                self.taken.lock().unwrap().push(seq);
                let reply = match is_query {
                    true => Reply::Answer { seq, value: AnswerValue::Int(seq as i64) },
                    false => Reply::Ack { seq },
                };
                let mut bytes = Vec::new();
                reply.encode(&mut bytes).unwrap();
                socket.write_all(&bytes).unwrap();
            }
            thread::yield_now();
        }
    }
}

/// Has `work` done by a link to a gateway, which must then have taken exactly `calls` calls, each once and in order.
fn with_link(calls: u64, work: fn(&mut Link)) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    theirs.set_nonblocking(true).unwrap();
    let ours = Socket::from(std::os::fd::OwnedFd::from(ours));
    // The buffer is small, so that orders of some kilobytes find it full.
    ours.set_send_buffer_size(4096).unwrap();
    let wire = MaybeTlsStream::plain(CloseOnFork::open(|| Ok::<_, ()>(ours)).unwrap());
    let address: Address = Address::parse(b"127.0.0.1:1238").unwrap();
    let connection = BridgeConn::new(address.clone(), wire, ReplyReader::default()).unwrap();
    let target = Arc::new(Target::new(vec![address], Vec::new()).unwrap());
    let limits = LinkLimits { buffer_bytes: 1 << 20, silence: EVER };
    let shared = Arc::new(Shared::new(Waker::new().unwrap()));
    let engine = Engine::new(Arc::clone(&shared), Arc::clone(&target), Producer([7; 16]), limits.silence);
    let gateway = Arc::new(Gateway::default());
    let server = thread::spawn({
        let gateway = Arc::clone(&gateway);
        move || gateway.serve(theirs)
    });
    let mut link = Link::with(target, limits, shared, engine.connected(connection));

    work(&mut link);
    // Everything must arrive though PHP does something else: a schedule in which a call stays behind never ends, which shuttle
    // reports.
    while gateway.taken.lock().unwrap().len() < calls as usize {
        thread::yield_now();
    }
    assert_eq!(link.flush(EVER), None);
    assert_eq!(*gateway.taken.lock().unwrap(), (1..=calls).collect::<Vec<_>>());
    assert_eq!(link.stats().queued_bytes, 0);
    link.close(EVER);
    *gateway.is_over.lock().unwrap() = true;
    server.join().unwrap();
}

fn push(link: &mut Link, length: usize) {
    let message = vec![b'x'; length];
    let message = Bytes::new(&message);
    link.order(Order::SendToAll { message, only: None, except: vec![], raw: false }, EVER).unwrap();
}

fn ask(link: &mut Link, seq: i64) {
    assert_eq!(link.query(Query::ClientCount {}, EVER).unwrap(), AnswerValue::Int(seq));
}

#[test]
fn orders_and_questions_reach_the_gateway_once_and_in_turn() {
    check(|| {
        with_link(6, |link| {
            push(link, 10);
            push(link, 10);
            ask(link, 3);
            push(link, 10);
            ask(link, 5);
            push(link, 10);
        });
    });
}

#[test]
fn a_socket_that_is_full_holds_up_and_loses_nothing() {
    check(|| {
        with_link(6, |link| {
            for _ in 0..4 {
                push(link, 3000);
            }
            ask(link, 5);
            push(link, 9000);
        });
    });
}

#[test]
fn gathered_orders_go_out_together_and_lose_nothing() {
    check(|| {
        with_link(7, |link| {
            link.set_batching(true);
            push(link, 10);
            push(link, 10);
            link.send_batch();
            push(link, 10);
            ask(link, 4);
            push(link, 10);
            link.set_batching(false);
            push(link, 10);
            push(link, 10);
        });
    });
}
