//! A turn that brings many clients something is written in slices, between which the shard reads, answers questions and takes what is
//! for few: a message to everybody holds nobody else up.

use smallvec::SmallVec;

use super::audience::Audience;
use super::clients::Clients;
use super::command::Command;
use super::panics;
use super::state::Shard;
use super::uring;

/// The number of clients that one slice writes to, which takes four to six milliseconds.
const CLIENTS_IN_A_SLICE: usize = 1024;
/// The number of bytes after which a slice ends, whatever the number of its clients.
const BYTES_IN_A_SLICE: u64 = 4 << 20;

impl Shard {
    /// Writes to each client, once, what the turn has brought it, also to those that wait for more to come.
    pub(super) fn write_turn(&mut self) {
        self.turn.release();
        let mut is_written = false;
        while !is_written {
            panics::or_end("the writing of a turn", || {
                let fresh = self.turn.take_touched();
                self.write_one_slice(fresh);
            });
            is_written = !self.turn.has_rest();
        }
    }

    /// Writes one slice of what the turn has brought the clients. What is left stays until the next one.
    pub(super) fn write_slice(&mut self) {
        panics::or_end("the writing of a turn", || {
            let fresh = self.turn.take_touched();
            let fresh = self.hold_back(fresh);
            self.write_one_slice(fresh);
        });
    }

    fn write_one_slice(&mut self, fresh: Vec<usize>) {
        if fresh.len() <= uring::AT_ONCE && self.turn.due().is_empty() {
            // The usual case: all get theirs at once.
            self.write_some_of_turn(&fresh);
            self.turn.due().give(fresh);
        } else if self.turn.has_rest() && fresh.len() <= CLIENTS_IN_A_SLICE {
            // What came since the rest has waited is for few, and comes before it.
            fresh.chunks(uring::AT_ONCE).for_each(|keys| self.write_some_of_turn(keys));
            self.write_due();
        } else {
            self.turn.due().add(fresh);
            self.write_due();
        }
        if self.turn.is_empty() && !self.turn.holds_back() {
            self.clients.resume.end_turn(&mut self.turn);
            self.turn.end();
        } else {
            self.turn.leave_rest();
        }
        self.make_room();
        self.make_room_for_kept();
    }

    /// Writes to as many of those who are due as belong into a slice.
    fn write_due(&mut self) {
        let (mut clients, before) = (0, self.clients.counts.bytes_out);
        while clients < CLIENTS_IN_A_SLICE && self.clients.counts.bytes_out - before < BYTES_IN_A_SLICE {
            let keys: SmallVec<[usize; uring::AT_ONCE]> = self.turn.due().next(uring::AT_ONCE).into();
            if keys.is_empty() {
                break;
            }
            clients += keys.len();
            self.write_some_of_turn(&keys);
        }
    }

    /// Whether a command has to wait until the rest of the turn is written, as it is for so many that their messages had better be joined
    /// with others that come meanwhile.
    pub(super) fn must_wait(&self, command: &Command) -> bool {
        self.turn.has_rest()
            && matches!(command, Command::Deliver { to, .. } if reach(to, &self.clients) > CLIENTS_IN_A_SLICE)
    }
}

/// About how many clients get a message.
fn reach(to: &Audience, clients: &Clients) -> usize {
    match to {
        Audience::All { .. } => clients.connections.len(),
        Audience::Connections(connections) | Audience::Bound { connections, .. } => connections.len(),
        Audience::Uids(uids) => uids.iter().map(|uid| clients.uids.count(uid)).sum(),
        Audience::Groups { groups, .. } => groups.iter().map(|group| clients.groups.count(group)).sum(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::super::audience::Except;
    use super::super::carry::freezing::freezing;
    use super::super::testing::{TestShard, arrived, settings};
    use super::*;
    use crate::protocol::{Encoded, Encoding};
    use crate::shard::Origin;

    /// Two slices and a bit.
    const CLIENTS: u32 = 2100;

    fn shard() -> (TestShard, Vec<TcpStream>) {
        let mut shard = TestShard::new(settings());
        let clients = (1..=CLIENTS).map(|id| shard.client(id, Encoding::Websocket)).collect();
        (shard, clients)
    }

    fn deliver(to: Audience, text: &'static str) -> Command {
        Command::Deliver { to, origin: Origin::HERE, frame: Encoded::raw(Bytes::from(text)) }
    }

    fn to_all(text: &'static str) -> Command {
        deliver(Audience::All { except: Except::default() }, text)
    }

    fn to_one(connection_id: u32, text: &'static str) -> Command {
        deliver(Audience::Connections([connection_id].into_iter().collect()), text)
    }

    fn texts(clients: &mut [TcpStream]) -> Vec<String> {
        clients.iter_mut().map(|client| String::from_utf8(arrived(client)).unwrap()).collect()
    }

    #[test]
    fn what_is_for_one_does_not_wait_for_what_is_for_all_and_comes_in_order() {
        let (mut shard, mut clients) = shard();
        let last = CLIENTS as usize - 1;
        assert!(shard.shard.carry_out([to_all("A")].into_iter()));
        shard.shard.write_slice();
        assert!(shard.shard.turn.has_rest());
        // The next one to all waits, and so does what comes behind it.
        let next = [to_one(1, "1"), to_one(CLIENTS, "2"), to_all("B"), to_one(1, "3")];
        assert!(!shard.shard.carry_out(next.into_iter()));
        assert!(!shard.shard.is_free() && !shard.shard.may_ask());
        shard.shard.write_slice();
        assert!(shard.shard.turn.has_rest());
        // The first client has had its part of the first slice, and the last has to wait for its own.
        assert_eq!(texts(&mut clients[..1]), ["A1"]);
        assert_eq!(texts(&mut clients[last..]), [""]);
        let mut turns = 0;
        while !shard.shard.turn.is_empty() || !shard.shard.postponed.is_empty() {
            shard.turn();
            turns += 1;
        }
        assert!((4..=6).contains(&turns), "{turns}");
        assert!(!shard.shard.turn.has_rest() && shard.shard.is_free());
        assert_eq!(texts(&mut clients[..1]), ["B3"]);
        assert_eq!(texts(&mut clients[last..]), ["A2B"]);
        assert!(texts(&mut clients[1..last]).iter().all(|text| text == "AB"));
    }

    #[test]
    fn who_comes_under_the_key_of_one_that_has_left_gets_nothing_of_the_rest() {
        let (mut shard, mut clients) = shard();
        assert!(shard.shard.carry_out([to_all("A")].into_iter()));
        shard.shard.write_slice();
        let key = shard.shard.clients.key(CLIENTS).unwrap();
        shard.shard.drop_connection(key);
        let mut new = shard.client(CLIENTS + 1, Encoding::Websocket);
        assert_eq!(shard.shard.clients.key(CLIENTS + 1), Some(key));
        assert!(shard.shard.carry_out([to_one(CLIENTS + 1, "new")].into_iter()));
        shard.shard.write_turn();
        assert_eq!(arrived(&mut new), b"new");
        assert!(texts(&mut clients[..CLIENTS as usize - 1]).iter().all(|text| text == "A"));
    }

    #[test]
    fn a_freeze_comes_behind_everything_that_waits() {
        let (mut shard, mut clients) = shard();
        assert!(shard.shard.carry_out([to_all("A")].into_iter()));
        shard.shard.write_slice();
        let (frozen, _is_frozen, _frost) = freezing();
        assert!(!shard.shard.carry_out([to_all("B"), Command::Freeze(frozen)].into_iter()));
        // The freeze itself waits for the rest, too.
        assert!(shard.shard.freeze().is_none());
        while !shard.shard.postponed.is_empty() {
            shard.turn();
        }
        shard.shard.postponed.push(to_one(1, "C"));
        assert!(shard.shard.freeze().is_some());
        assert!(shard.shard.turn.is_empty() && !shard.shard.turn.has_rest());
        let texts = texts(&mut clients);
        assert_eq!(texts[0], "ABC");
        assert!(texts[1..].iter().all(|text| text == "AB"));
    }

    #[test]
    fn frames_that_are_written_and_stay_for_the_rest_are_bounded() {
        let (mut shard, mut clients) = shard();
        assert!(shard.shard.carry_out([to_all("A")].into_iter()));
        shard.shard.write_slice();
        let large = "x".repeat(12 << 10);
        let give = |shard: &mut TestShard| {
            let frame = Encoded::raw(Bytes::from(large.clone()));
            let to = Audience::Connections([1].into_iter().collect());
            let command = Command::Deliver { to, origin: Origin::HERE, frame };
            shard.outside.send(command).now_or_never().unwrap().unwrap();
        };
        // A megabyte is taken, and what is beyond it stays in the queue until the rest is written.
        (0..200).for_each(|_| give(&mut shard));
        assert!(shard.shard.take_commands());
        assert!(shard.shard.turn.has_rest() && shard.shard.turn.is_full());
        assert!(!shard.shard.commands.is_empty());
        assert!(shard.shard.take_commands(), "the batch is full");
        let mut got = 0;
        let key = shard.shard.clients.key(1).unwrap();
        while shard.shard.turn.has_rest()
            || !shard.shard.commands.is_empty()
            || shard.shard.clients.connections[key].has_outbox()
        {
            shard.turn();
            got += arrived(&mut clients[0]).len();
        }
        got += arrived(&mut clients[0]).len();
        assert_eq!(got, 1 + 200 * (12 << 10));
    }
}
