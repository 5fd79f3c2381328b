//! Both ends against each other, in every order of their steps, with up to three faults at any moment: processes that are killed,
//! stopped and continued, asked to stop, or late, tasks that fail, and messages that are wrong. Every world that can be reached is
//! looked at once.

use std::collections::{HashMap, HashSet, VecDeque};

use super::*;
use crate::handover::message::{Hello, ListeningSocket, Message, Offer, Port, Totals};

/// The most faults of one course.
const FAULTS: u8 = 3;
/// The most messages in the channel in one direction. A sender waits then.
const ROOM: usize = 2;
const CHILD: u32 = 7;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Wire {
    Message(Message, usize),
    Decision,
    /// Bytes that are no message.
    Nonsense,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Process {
    Runs,
    /// SIGSTOP has come, and SIGCONT has not.
    Halted,
    Dead,
}

/// Everything of a hand-over at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    old: OldEnd,
    old_process: Process,
    /// The number of messages of state that have been sent.
    written: usize,
    accepts: bool,
    is_frozen: bool,
    /// Whether the decision was sent.
    is_given: bool,
    new: NewEnd,
    new_process: Process,
    /// Whether the new server had everything.
    was_complete: bool,
    to_new: VecDeque<Wire>,
    to_old: VecDeque<Wire>,
    faults: u8,
    /// What has happened to the processes that explains an end without clients.
    was_killed: (bool, bool),
    was_asked_to_stop: (bool, bool),
    /// Whether a server has given up by itself because of a fault.
    had_other_fault: bool,
}

fn listeners() -> Vec<ListeningSocket> {
    vec![ListeningSocket { port: Port::Register, address: "127.0.0.1:0".to_owned() }]
}

fn offer() -> Offer {
    Offer {
        server: "1".to_owned(),
        state: 1,
        shards: 2,
        node: "127.0.0.1:1238".to_owned(),
        cluster: None,
        listeners: listeners(),
        clients: 9,
        tls_clients: 1,
        bytes: 100,
    }
}

/// The state that the old server sends.
fn state() -> [(Message, usize); 4] {
    [
        (Message::Clients(0), 4),
        (Message::Clients(1), 5),
        (Message::State("rest".to_owned()), 0),
        (Message::End(Totals { parcels: 3, descriptors: 9 }), 0),
    ]
}

impl World {
    fn new() -> Self {
        Self {
            old: OldEnd::new(CHILD, offer()),
            old_process: Process::Runs,
            written: 0,
            accepts: true,
            is_frozen: false,
            is_given: false,
            new: NewEnd::new(Hello { server: "2".to_owned(), pid: CHILD, reads: (1, 1) }),
            new_process: Process::Runs,
            was_complete: false,
            to_new: VecDeque::new(),
            to_old: VecDeque::new(),
            faults: 0,
            was_killed: (false, false),
            was_asked_to_stop: (false, false),
            had_other_fault: false,
        }
    }

    fn send_to_new(&mut self, message: Message, descriptors: usize) -> Option<bool> {
        if self.new_process == Process::Dead {
            self.old.failed(&Failure::Gone("gone".to_owned()));
            return Some(false);
        }
        if self.to_new.len() == ROOM {
            return None;
        }
        self.to_new.push_back(Wire::Message(message, descriptors));
        Some(true)
    }

    /// The old server does what is next. Gives `None` when it can only wait.
    fn old_steps(&self) -> Option<Self> {
        let mut next = self.clone();
        if self.old_process != Process::Runs {
            return None;
        }
        match self.old.task() {
            OldTask::Hear => match next.to_old.pop_front() {
                Some(Wire::Message(message, _)) => next.old.received(message),
                Some(_) => next.old.failed(&Failure::Other("nonsense".to_owned())),
                None if self.new_process == Process::Dead => {
                    next.old.failed(&Failure::Gone("gone".to_owned()))
                }
                None => return None,
            },
            OldTask::Send(message) => {
                if next.send_to_new(message, 0)? {
                    next.old.done();
                }
            }
            OldTask::PassListeners => {
                next.accepts = false;
                if next.send_to_new(Message::Listeners(listeners()), 1)? {
                    next.old.done();
                }
            }
            OldTask::Freeze => {
                next.is_frozen = true;
                next.old.done();
            }
            OldTask::WriteState => {
                let (message, descriptors) = state()[self.written].clone();
                if next.send_to_new(message, descriptors)? {
                    next.written += 1;
                    if next.written == state().len() {
                        next.old.done();
                    }
                }
            }
            OldTask::Decide if self.new_process == Process::Dead => {
                next.old.failed(&Failure::Gone("gone".to_owned()));
            }
            OldTask::Decide => {
                next.to_new.push_back(Wire::Decision);
                next.is_given = true;
                next.old.done();
            }
            // The new process is ended first, and the shards are thawed next.
            OldTask::Over(OldOutcome::GoesOn { .. }) if self.new_process != Process::Dead => {
                next.new_process = Process::Dead;
            }
            OldTask::Over(OldOutcome::GoesOn { thaws, accepts, stops, .. }) => {
                next.is_frozen &= !thaws;
                next.accepts |= accepts;
                if stops {
                    next.old_process = Process::Dead;
                } else if next == *self {
                    return None;
                }
            }
            OldTask::Over(OldOutcome::HasGiven { .. }) => return None,
        }
        Some(next)
    }

    /// The new server does what is next. Gives `None` when it can only wait.
    fn new_steps(&self) -> Option<Self> {
        let mut next = self.clone();
        if self.new_process != Process::Runs {
            return None;
        }
        let gone = Failure::Gone("gone".to_owned());
        match self.new.task() {
            NewTask::Hear | NewTask::AwaitDecision => match next.to_new.pop_front() {
                Some(Wire::Message(message, descriptors)) => next.new.received(&message, descriptors),
                Some(Wire::Decision) => next.new.decided(),
                Some(Wire::Nonsense) => next.new.failed(&Failure::Other("nonsense".to_owned())),
                None if self.old_process == Process::Dead => next.new.failed(&gone),
                None => return None,
            },
            NewTask::Send(_) if self.old_process == Process::Dead => next.new.failed(&gone),
            NewTask::Send(message) => {
                next.to_old.push_back(Wire::Message(message, 0));
                next.new.done();
            }
            NewTask::Check(found) => {
                assert_eq!(found, offer());
                next.new.done();
            }
            NewTask::Restore => next.new.done(),
            NewTask::Finish => {
                next.was_complete = true;
                next.new.done();
            }
            NewTask::Over(NewOutcome::Ends(_) | NewOutcome::Refuses(_)) => next.new_process = Process::Dead,
            // It says that it serves, which changes nothing for itself.
            NewTask::Over(NewOutcome::TakesOver { is_orphan: false, .. })
                if self.old_process != Process::Dead
                    && !self.old_has_heard_that_it_serves()
                    && self.to_old.is_empty() =>
            {
                next.to_old.push_back(Wire::Message(Message::Serving, 0));
            }
            NewTask::Over(_) => return None,
        }
        Some(next)
    }

    fn old_has_heard_that_it_serves(&self) -> bool {
        matches!(self.old.task(), OldTask::Over(_))
    }

    /// What may go wrong now.
    fn faults(&self) -> Vec<Self> {
        let mut worlds = Vec::new();
        let mut with = |fault: &dyn Fn(&mut Self)| {
            let mut next = self.clone();
            next.faults += 1;
            fault(&mut next);
            worlds.push(next);
        };
        let other = Failure::Other("fault".to_owned());
        let silent = Failure::Silent("silent".to_owned());
        if self.old_process == Process::Runs {
            with(&|next| next.old_process = Process::Halted);
            with(&|next| {
                next.was_asked_to_stop.0 = true;
                next.old.stop();
            });
            match self.old.task() {
                // The other end is slow, or what it says is wrong.
                OldTask::Hear => {
                    with(&|next| next.old.failed(&silent));
                    with(&|next| next.old.failed(&other));
                }
                OldTask::Over(_) => {}
                OldTask::Freeze => with(&|next| {
                    next.is_frozen = true;
                    next.old.failed(&other);
                }),
                OldTask::PassListeners => with(&|next| {
                    next.accepts = false;
                    next.old.failed(&other);
                }),
                _ => {
                    with(&|next| next.old.failed(&other));
                    with(&|next| next.old.failed(&silent));
                }
            }
            // What it sends is nonsense.
            if self.new_process != Process::Dead && !self.to_new.is_empty() && !self.is_given {
                with(&|next| {
                    next.had_other_fault = true;
                    next.to_new.pop_back();
                    next.to_new.push_back(Wire::Nonsense);
                });
            }
        }
        if self.old_process != Process::Dead {
            with(&|next| {
                next.was_killed.0 = true;
                next.old_process = Process::Dead;
            });
        }
        if self.new_process == Process::Runs {
            with(&|next| next.new_process = Process::Halted);
            with(&|next| {
                next.was_asked_to_stop.1 = true;
                next.new.stop();
            });
            match self.new.task() {
                NewTask::Over(_) | NewTask::AwaitDecision => {}
                NewTask::Hear => {
                    with(&|next| {
                        next.had_other_fault = true;
                        next.new.failed(&silent);
                    });
                }
                _ => {
                    for failure in [&silent, &other] {
                        with(&|next| {
                            next.had_other_fault = true;
                            next.new.failed(failure);
                        });
                    }
                }
            }
        }
        if self.new_process != Process::Dead {
            with(&|next| {
                next.was_killed.1 = true;
                next.new_process = Process::Dead;
            });
        }
        worlds
    }

    /// What may happen next without a fault.
    fn steps(&self) -> Vec<Self> {
        let mut next: Vec<_> = self.old_steps().into_iter().chain(self.new_steps()).collect();
        for (halted, process) in [
            (self.old_process, (|world| &mut world.old_process) as fn(&mut Self) -> &mut Process),
            (self.new_process, |world| &mut world.new_process),
        ] {
            if halted == Process::Halted {
                let mut world = self.clone();
                *process(&mut world) = Process::Runs;
                next.push(world);
            }
        }
        next
    }

    fn old_has_clients(&self) -> bool {
        self.old_process != Process::Dead && !self.is_frozen && !self.is_given
    }

    fn new_outcome(&self) -> Option<NewOutcome> {
        match self.new.task() {
            NewTask::Over(outcome) if self.new_process != Process::Dead => Some(outcome),
            _ => None,
        }
    }

    fn new_has_clients(&self) -> bool {
        matches!(self.new_outcome(), Some(NewOutcome::TakesOver { .. }))
    }

    /// What holds in every world.
    fn check(&self) {
        assert!(!(self.old_has_clients() && self.new_has_clients()), "both have the clients");
        assert_eq!(self.old.has_given(), self.is_given);
        if self.new_has_clients() {
            assert!(self.was_complete, "the new server serves before it has everything");
        }
        if self.is_given {
            assert!(self.was_complete, "the clients were given to a server that has not everything");
        }
        // The new server never serves afresh beside the old one, which listens on the same ports.
        if self.new_outcome() == Some(NewOutcome::StartsAfresh) {
            assert_eq!(self.old_process, Process::Dead);
        }
    }

    /// What holds where nothing happens any more without another fault.
    fn check_end(&self) {
        match (self.old_process, self.new_process) {
            (Process::Runs, Process::Runs) => {
                assert!(self.is_given && self.new_has_clients(), "both live, and it is not over");
                assert!(matches!(self.old.task(), OldTask::Over(OldOutcome::HasGiven { .. })));
            }
            (Process::Runs, _) if self.is_given => {
                assert!(matches!(self.old.task(), OldTask::Over(OldOutcome::HasGiven { .. })));
                assert!(self.was_killed.1, "the new server was given the clients, and has ended by itself");
            }
            (Process::Runs, _) => {
                assert!(matches!(self.old.task(), OldTask::Over(OldOutcome::GoesOn { stops: false, .. })));
                assert!(self.old_has_clients() && self.accepts, "the old server does not go on");
            }
            (_, Process::Runs) if self.was_complete => {
                assert!(self.new_has_clients(), "it has everything, and nobody else is there");
            }
            (_, Process::Runs) => assert_eq!(self.new_outcome(), Some(NewOutcome::StartsAfresh)),
            (_, _) => {
                let asked = self.was_asked_to_stop.0 || self.was_asked_to_stop.1;
                // The old server may also die right after it has ended the new one.
                let goes_on = matches!(self.old.task(), OldTask::Over(OldOutcome::GoesOn { .. }));
                let killed = self.was_killed.0 && (self.was_killed.1 || self.had_other_fault || goes_on);
                assert!(asked || killed, "nobody is left");
            }
        }
        if self.faults == 0 {
            assert_eq!(self.old.task(), OldTask::Over(OldOutcome::HasGiven { fault: None }));
            let outcome = NewOutcome::TakesOver { is_orphan: false, stops: false };
            assert_eq!(self.new_outcome(), Some(outcome));
        }
    }
}

#[test]
fn the_clients_have_one_server_in_every_course() {
    let start = World::new();
    let mut seen = HashSet::from([start.clone()]);
    let mut next = vec![start];
    // How often each pair of outcomes was the end, to see that the courses lead somewhere.
    let mut ends = HashMap::new();
    while let Some(world) = next.pop() {
        let checked = std::panic::catch_unwind(|| world.check());
        assert!(checked.is_ok(), "{world:#?}");
        let mut following = world.steps();
        if following.is_empty() {
            let checked = std::panic::catch_unwind(|| world.check_end());
            assert!(checked.is_ok(), "{world:#?}");
            *ends.entry((world.old_has_clients(), world.new_outcome().is_some())).or_insert(0) += 1;
        }
        if world.faults < FAULTS {
            following.extend(world.faults());
        }
        for world in following {
            if seen.insert(world.clone()) {
                next.push(world);
            }
        }
    }
    assert!(seen.len() > 10_000 && ends.len() == 3, "{} {ends:?}", seen.len());
}

/// Lets an end hear these messages and do everything else without a fault.
fn old_end_that_hears(messages: &[Message]) -> OldTask {
    let mut old = OldEnd::new(CHILD, offer());
    for message in messages {
        while old.task() != OldTask::Hear {
            old.done();
        }
        old.received(message.clone());
    }
    old.task()
}

fn why_old_goes_on(messages: &[Message]) -> String {
    match old_end_that_hears(messages) {
        OldTask::Over(OldOutcome::GoesOn { why, .. }) => why,
        task => panic!("{task:?}"),
    }
}

fn hello(pid: u32, reads: (u8, u8)) -> Message {
    Message::Hello(Hello { server: "2".to_owned(), pid, reads })
}

#[test]
fn a_new_server_that_cannot_take_over_is_refused_with_a_reason() {
    let goes_on = |message| why_old_goes_on(&[message]);
    let reads = hello(CHILD, (2, 3));
    assert_eq!(
        goes_on(reads),
        "this server (1) writes version 1 of its state, and the new one (2) reads 2 to 3: restart the server instead"
    );
    assert!(goes_on(hello(CHILD, (0, 0))).ends_with("the new one (2) reads 0: restart the server instead"));
    assert_eq!(
        goes_on(hello(8, (1, 1))),
        "process 8 answers instead of 7: the program that was started has started another"
    );
    assert_eq!(goes_on(Message::Ready), "the new server says its consent at the wrong time");
    let refused = [hello(CHILD, (1, 2)), Message::Refused("no room".to_owned())];
    assert_eq!(why_old_goes_on(&refused), "the new server does not take over: no room");
    let early = [hello(CHILD, (1, 1)), Message::Complete];
    assert_eq!(why_old_goes_on(&early), "the new server says that it is complete at the wrong time");
}

fn new_end_that_hears(messages: &[(Message, usize)]) -> NewTask {
    let mut new = NewEnd::new(Hello { server: "2".to_owned(), pid: CHILD, reads: (2, 2) });
    for (message, descriptors) in messages {
        while new.task() != NewTask::Hear {
            new.done();
        }
        new.received(message, *descriptors);
    }
    new.task()
}

#[test]
fn an_old_server_that_says_what_it_should_not_is_refused_with_a_reason() {
    let refuses = |messages: &[(Message, usize)]| match new_end_that_hears(messages) {
        NewTask::Send(Message::Refused(why)) => why,
        task => panic!("{task:?}"),
    };
    assert_eq!(
        refuses(&[(Message::Offer(offer()), 0)]),
        "the old server (1) offers version 1 of its state, and this one (2) reads 2 to 2"
    );
    let offer = (Message::Offer(Offer { state: 2, ..offer() }), 0);
    let listeners = (Message::Listeners(listeners()), 1);
    let with = |last: &[(Message, usize)]| refuses(&[std::slice::from_ref(&offer), last].concat());
    assert_eq!(with(&[(Message::Serving, 0)]), "the old server says that it serves at the wrong time");
    assert_eq!(with(&[(listeners.0.clone(), 2)]), "2 descriptors came for 1 listening sockets");
    assert_eq!(with(&[(Message::Clients(0), 1)]), "the old server says clients at the wrong time");
    assert_eq!(
        with(&[listeners.clone(), (Message::Clients(2), 1)]),
        "clients of shard 2 came, and there are 2 shards"
    );
    assert_eq!(
        with(&[listeners.clone(), listeners.clone()]),
        "the old server says listening sockets at the wrong time"
    );
    let totals = Totals { parcels: 1, descriptors: 2 };
    assert_eq!(
        with(&[listeners.clone(), (Message::Clients(1), 1), (Message::End(totals), 0)]),
        "1 parcels with 1 descriptors came, and 1 with 2 were sent"
    );
    let mut new = NewEnd::new(Hello { server: "2".to_owned(), pid: CHILD, reads: (1, 1) });
    new.decided();
    let NewTask::Send(Message::Refused(why)) = new.task() else { panic!("{:?}", new.task()) };
    assert_eq!(why, "the old server decides at the wrong time");
}
