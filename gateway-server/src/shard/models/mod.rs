//! Model tests of the real handle, command queue and shard under shuttle, which chooses the order of the threads' steps. It tries
//! thousands of schedules and prints the one that fails. `make models` runs them.

pub(super) mod stand_ins;

use std::io::{ErrorKind, Read as _};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use mio::{Events, Poll, Token};
use shuttle::future::block_on;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};

use super::BuiltInSink;
use super::audience::{Audience, Except};
use super::clients::Clients;
use super::command::Command;
use super::command_queue::command_queue;
use super::handle::ShardHandle;
use super::index::Index;
use super::membership::NameTable;
use super::resume::ResumeState;
use super::state::Shard;
use super::testing::{new_connection, settings_with};
use crate::protocol::websocket::MessageKind;
use crate::protocol::{Encoded, Encoding, WantedEncodings};
use crate::shard::Origin;
use stand_ins::{Mutex, Waker};

const SENDERS: usize = 2;
const ORDERS: usize = 3;

/// The number of schedules of each kind to try; `MODEL_SCHEDULES` overrides it.
const SCHEDULES: usize = 500;

/// The orders that have been carried out, as (sender, number of the order).
type Log = Arc<std::sync::Mutex<Vec<(usize, usize)>>>;

/// Runs a model under random schedules, and under schedules that switch threads only a few times, which find other faults.
fn check(model: fn()) {
    let schedules = std::env::var("MODEL_SCHEDULES").ok().and_then(|number| number.parse().ok());
    let schedules = schedules.unwrap_or(SCHEDULES);
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(schedules), config.clone()).run(model);
    Runner::new(PctScheduler::new(3, schedules), config).run(model);
}

/// The handle of a shard, and the loop of its thread: the real one, with the waker in place of the poll.
fn start() -> (Arc<ShardHandle>, impl FnOnce() + Send) {
    let poll = Poll::new().unwrap();
    let waker = Waker::new(poll.registry(), Token(0)).unwrap();
    let settings = settings_with(|settings| {
        // Without a heartbeat the shard has no deadline.
        settings.listeners[0].ping_interval = Duration::ZERO;
        (settings.io_uring, settings.close_timeout) = (false, Duration::ZERO);
    });
    let (outside, inside) = command_queue(waker.clone());
    let names = || NameTable::new(Arc::new(Index::new(None)), 0);
    let resume = ResumeState::new(settings.secrets.clone(), settings.node, Arc::default());
    let clients = Clients::new(names(), names(), Arc::default(), resume, None);
    let shard =
        Shard::new(poll.registry().try_clone().unwrap(), inside, settings, Box::new(BuiltInSink), clients);
    let steps = Arc::clone(&shard.steps);
    let shard = Arc::new(Mutex::new(shard));
    let handle = Arc::new(ShardHandle::new(outside, Arc::clone(&shard), steps));
    let run = move || {
        // The poll has to outlive the shard, whose sockets are registered there.
        let _poll = poll;
        let events = Events::with_capacity(1);
        loop {
            let turn = shard.lock().unwrap().turn(&events);
            match turn {
                ControlFlow::Continue(None) => waker.sleep(),
                ControlFlow::Continue(Some(_)) => {}
                ControlFlow::Break(()) => return,
            }
        }
    };
    (handle, run)
}

const STOP: Command = Command::Stop { over: Duration::ZERO, patience: Duration::ZERO, keeps_parked: false };

fn order(log: &Log, sender: usize, number: usize) -> Command {
    let log = Arc::clone(log);
    Command::Ask(Box::new(move |_| log.lock().unwrap().push((sender, number))))
}

/// Asserts that all orders were carried out, those of each sender in their order.
fn assert_whole(log: &Log, senders: usize, orders: usize) {
    let log = log.lock().unwrap();
    for sender in 0..senders {
        let of_it: Vec<_> =
            log.iter().filter(|(from, _)| *from == sender).map(|(_, number)| *number).collect();
        assert_eq!(of_it, (0..orders).collect::<Vec<_>>(), "of sender {sender} in {log:?}");
    }
}

/// Orders go through the command queue, which wakes the loop only when it may sleep.
#[test]
fn no_order_is_lost_and_none_overtakes_in_the_command_queue() {
    check(|| {
        let (handle, run) = start();
        let shard = thread::spawn(run);
        let log = Log::default();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (handle, log) = (Arc::clone(&handle), Arc::clone(&log));
                thread::spawn(move || {
                    for number in 0..ORDERS {
                        block_on(handle.enqueue(order(&log, sender, number))).unwrap();
                    }
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        // The answer comes after everything that was sent before.
        block_on(handle.query_in_thread(|_| ())).unwrap();
        assert_whole(&log, SENDERS, ORDERS);
        block_on(handle.enqueue(STOP)).unwrap();
        shard.join().unwrap();
    });
}

/// Orders are carried out in the sender's own thread where the shard's sleeps, mixed with questions.
#[test]
fn no_order_is_lost_and_none_overtakes_when_others_carry_it_out() {
    check(|| {
        let (handle, run) = start();
        let shard = thread::spawn(run);
        let log = Log::default();
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let (handle, log) = (Arc::clone(&handle), Arc::clone(&log));
                thread::spawn(move || {
                    for number in 0..ORDERS {
                        // The shard's thread carries out the orders that cost more.
                        if (sender + number) % 3 == 2 {
                            block_on(handle.enqueue(order(&log, sender, number))).unwrap();
                        } else {
                            block_on(handle.execute_inline(order(&log, sender, number))).unwrap();
                        }
                    }
                    handle.flush();
                    // A question sees what the same sender has ordered before.
                    let log = Arc::clone(&log);
                    let seen = block_on(handle.query(move |_| {
                        log.lock().unwrap().iter().filter(|(from, _)| *from == sender).count()
                    }));
                    assert_eq!(seen.unwrap(), ORDERS);
                })
            })
            .collect();
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert_whole(&log, SENDERS, ORDERS);
        block_on(handle.enqueue(STOP)).unwrap();
        shard.join().unwrap();
    });
}

/// What was written to a client in a sender's own thread reaches it once the sender has flushed. Either the sender writes it, or
/// the shard's thread, which is woken for it.
#[test]
fn nothing_that_was_flushed_stays_unwritten() {
    check(|| push_to_a_client(SENDERS, ORDERS, 0));
}

/// A thread that asks a question holds the lock as well. It writes nothing, but the frames that a sender could not flush
/// meanwhile are written all the same.
#[test]
fn nothing_that_was_flushed_during_a_look_stays_unwritten() {
    check(|| push_to_a_client(1, 1, 3));
}

fn push_to_a_client(senders: usize, orders: usize, looks: usize) {
    let (handle, run) = start();
    let (new_connection, mut client) = new_connection(Encoding::Websocket);
    let shard = thread::spawn(run);
    block_on(handle.enqueue(Command::Adopt { connection_id: 1, new_connection, identity: None })).unwrap();
    block_on(handle.query_in_thread(|_| ())).unwrap();
    let threads: Vec<_> = (0..senders)
        .map(|sender| {
            let handle = Arc::clone(&handle);
            thread::spawn(move || {
                for number in 0..orders {
                    let text = format!("{sender}{number}");
                    let wanted = WantedEncodings { deflated: false, non_websocket: false };
                    let frame = Encoded::new(MessageKind::Text, text.as_bytes(), wanted);
                    let to = Audience::All { except: Except::default() };
                    block_on(handle.execute_inline(Command::Deliver { to, frame, origin: Origin::HERE }))
                        .unwrap();
                }
                handle.flush();
            })
        })
        .collect();
    for _ in 0..looks {
        block_on(handle.query(|_| ())).unwrap();
    }
    threads.into_iter().for_each(|sender| sender.join().unwrap());
    let mut heard = Vec::new();
    // In a schedule that leaves something unwritten this loop does not end, which shuttle reports.
    while heard.iter().filter(|byte| **byte == 0x81).count() < 1 + senders * orders {
        let mut bytes = [0; 1000];
        match client.read(&mut bytes) {
            Ok(length) => heard.extend_from_slice(&bytes[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        thread::yield_now();
    }
    let messages: Vec<_> =
        heard.split(|byte| *byte == 0x81).map(|frame| &frame[frame.len().min(1)..]).collect();
    let log = Log::default();
    for message in &messages[2..] {
        let [sender, number] = message[..] else { panic!("{messages:?}") };
        log.lock().unwrap().push((usize::from(sender - b'0'), usize::from(number - b'0')));
    }
    assert_whole(&log, senders, orders);
    block_on(handle.enqueue(STOP)).unwrap();
    shard.join().unwrap();
}
