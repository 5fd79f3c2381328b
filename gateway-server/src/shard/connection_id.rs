//! Connection ids: the random part of a client_id.

use std::hash::Hasher;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::issue_times::IssueTimes;
use siphasher::sip::SipHasher24;

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
    fn depend_on_the_key() {
        assert_ne!(ConnectionIds::new([1; 16], 1).issue(), ConnectionIds::new([2; 16], 1).issue());
    }
}
