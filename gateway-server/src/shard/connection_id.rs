//! Connection ids: the random part of a client_id.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher24;

use super::issue_times::IssueTimes;
use crate::versioned::{Form, Malformed};

/// Issues 32-bit connection ids that nobody can foretell and that are issued again only after all others.
///
/// A counter goes through a permutation with a secret key: a Feistel network whose round function is SipHash-2-4. With the key an
/// id can be turned back into its counter, and the counter modulo the number of shards is the shard. So connections are dealt to
/// the shards in turn, and finding a connection's shard needs no table.
pub(crate) struct ConnectionIds {
    key: [u8; 16],
    next: AtomicU32,
    shards: u32,
    times: IssueTimes,
}

/// The form in which the counter and the times of issues are written.
const FORM: Form = Form::new("the record of connection ids", 1);

/// How far the ids of a process have come.
#[derive(Serialize, Deserialize)]
struct Issued {
    next: u32,
    /// The seconds that have passed, as the moments count them.
    passed: u32,
    /// When counters were issued, in seconds.
    moments: Vec<(u32, u32)>,
}

/// Why bytes do not say how far connection ids have come.
#[derive(Debug, thiserror::Error)]
pub enum MalformedIds {
    #[error(transparent)]
    Form(#[from] Malformed),
    #[error("the times of connection ids contradict each other")]
    Times,
}

/// The number of rounds of the Feistel network.
const ROUNDS: u8 = 6;

impl ConnectionIds {
    pub(crate) fn new(key: [u8; 16], shards: usize) -> Self {
        Self { key, next: AtomicU32::new(0), shards: shards as u32, times: IssueTimes::new() }
    }

    /// A new connection id, never 0, and the shard to which it belongs.
    pub(crate) fn issue(&self) -> (u32, usize) {
        loop {
            let counter = self.next.fetch_add(1, Ordering::Relaxed);
            let connection_id = self.permute(counter);
            if connection_id != 0 {
                self.times.note(counter);
                return (connection_id, self.shard(counter));
            }
        }
    }

    /// Writes how far the ids have come, for another process with the same key.
    pub(crate) fn export(&self) -> Vec<u8> {
        let (passed, moments) = self.times.export();
        let issued = Issued { next: self.next.load(Ordering::Relaxed), passed, moments };
        FORM.write(&issued)
    }

    /// Goes on where another process with the same key has stopped, before any id is issued.
    pub(crate) fn resume(&self, bytes: &[u8]) -> Result<(), MalformedIds> {
        let Issued { next, passed, moments } = FORM.read(bytes)?;
        if !self.times.import(passed, &moments) {
            return Err(MalformedIds::Times);
        }
        self.next.store(next, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn shard_of(&self, connection_id: u32) -> usize {
        self.shard(self.invert(connection_id))
    }

    /// Whether this id was issued by this process, as far as can be told: one that was not is taken for issued by chance, the more
    /// likely the more were.
    pub(crate) fn was_issued(&self, connection_id: u32) -> bool {
        self.invert(connection_id) < self.next.load(Ordering::Relaxed)
    }

    /// For how long about this id has been issued, or `None` if that is not known any more.
    pub(crate) fn age(&self, connection_id: u32) -> Option<Duration> {
        self.times.age(self.invert(connection_id))
    }

    fn shard(&self, counter: u32) -> usize {
        (counter % self.shards) as usize
    }

    fn permute(&self, counter: u32) -> u32 {
        let (mut left, mut right) = split(counter);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.round(round, right));
        }
        join(left, right)
    }

    fn invert(&self, connection_id: u32) -> u32 {
        let (mut left, mut right) = split(connection_id);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.round(round, left), left);
        }
        join(left, right)
    }

    fn round(&self, round: u8, half: u16) -> u16 {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        let [high, low] = half.to_be_bytes();
        hasher.write(&[round, high, low]);
        hasher.finish() as u16
    }
}

fn split(connection_id: u32) -> (u16, u16) {
    ((connection_id >> 16) as u16, connection_id as u16)
}

fn join(left: u16, right: u16) -> u32 {
    u32::from(left) << 16 | u32::from(right)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn are_distinct_spread_and_lead_back_to_their_shard() {
        let connection_ids = ConnectionIds::new([7; 16], 3);
        let mut seen = HashSet::new();
        let mut high = 0;
        for i in 0..100_000 {
            let (connection_id, shard) = connection_ids.issue();
            assert!(seen.insert(connection_id));
            assert_eq!(shard, i % 3);
            assert_eq!(connection_ids.shard_of(connection_id), shard);
            high += usize::from(connection_id >> 31 == 1);
            assert!(connection_ids.was_issued(connection_id));
            assert!(connection_ids.age(connection_id).unwrap() < Duration::from_secs(60));
        }
        let others = ConnectionIds::new([8; 16], 3);
        let chance = (0..100_000).filter(|_| connection_ids.was_issued(others.issue().0)).count();
        assert!(chance < 50, "{chance} ids of another process seem to be issued");
        assert!((45_000..55_000).contains(&high), "{high} of 100000 have the highest bit set");
    }

    #[test]
    fn a_process_goes_on_where_another_has_stopped() {
        /// The ids as the first release of version 1 has written them.
        const GOLDEN: &[u8] = b"\x01\x93\x07\x0a\x91\x92\x05\x03";
        let first = ConnectionIds::new([7; 16], 3);
        let issued: Vec<_> = (0..5).map(|_| first.issue().0).collect();
        let second = ConnectionIds::new([7; 16], 3);
        second.resume(&first.export()).unwrap();
        assert_eq!(second.issue(), first.issue());
        assert!(issued.iter().all(|id| second.was_issued(*id) && second.age(*id).is_some()));
        second.resume(GOLDEN).unwrap();
        let (next, times) = (second.next.load(Ordering::Relaxed), second.times.export());
        assert_eq!((next, times), (7, (10, vec![(5, 3)])));
        assert_eq!(second.export(), GOLDEN);
        let error = |bytes: &[u8]| second.resume(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the record of connection ids has no bytes");
        assert!(error(&[2]).contains("version 2, and this server reads version 1"));
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).contains("not written as version 1"), "{length}");
        }
        assert!(error(b"\x01\x93\x07\x01\x91\x92\x05\x03").contains("contradict"));
    }

    #[test]
    fn depend_on_the_key() {
        assert_ne!(ConnectionIds::new([1; 16], 1).issue(), ConnectionIds::new([2; 16], 1).issue());
    }
}
