//! What waits for the clients of all shards together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::sync::Notify;

/// Bytes that the allocator and the count of its holders add to a frame, about.
pub(super) const ALLOCATION: usize = 64;
/// Part of the bound that is made free when it is exceeded, so that those who hold most are not looked for at every frame.
const ROOM: usize = 16;
/// Bytes by which the bound may be exceeded, at least, while whoever holds most is looked for: as much as an inbox brings.
const SLACK: usize = 16 << 20;

/// The memory of all outboxes, and how much it may be. A frame that waits for many clients is there once, and costs once,
/// whatever shards they belong to.
pub(crate) struct TotalBacklog {
    /// How many shards hold a frame, and its length, by the address of its bytes.
    frames: Mutex<HashMap<usize, (u32, usize)>>,
    bytes: AtomicUsize,
    bound: AtomicUsize,
    /// Bytes of the longest frame, of those that have waited since last no frame did. One message has room beside the bound,
    /// so that it reaches whoever reads, however small that is.
    longest: AtomicUsize,
    shards: usize,
    exceeded: Notify,
}

impl Default for TotalBacklog {
    fn default() -> Self {
        Self::new(usize::MAX, 1)
    }
}

impl TotalBacklog {
    pub(crate) fn new(bound: usize, shards: usize) -> Self {
        Self {
            frames: Mutex::default(),
            bytes: AtomicUsize::new(0),
            bound: AtomicUsize::new(bound),
            longest: AtomicUsize::new(0),
            shards,
            exceeded: Notify::new(),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn set_bound(&self, bound: usize) {
        self.bound.store(bound, Ordering::Relaxed);
    }

    fn most(&self) -> usize {
        self.bound.load(Ordering::Relaxed).saturating_add(self.longest.load(Ordering::Relaxed))
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.bytes() > self.most()
    }

    /// Bytes that have to become free, and those that are to, so that there is some room again.
    pub(crate) fn excess(&self) -> (usize, usize) {
        let (bytes, most) = (self.bytes(), self.most());
        let room = self.bound.load(Ordering::Relaxed) / ROOM;
        (bytes.saturating_sub(most), bytes.saturating_sub(most - room))
    }

    /// Whether a shard for which so much waits has to make room by itself: there is far too much, and it has its part of it
    /// or more. Of all shards one always has.
    pub(super) fn is_far_exceeded(&self, of_shard: usize) -> bool {
        let slack = (self.bound.load(Ordering::Relaxed) / 4).max(SLACK);
        let bytes = self.bytes();
        bytes > self.most().saturating_add(slack) && of_shard >= bytes / self.shards
    }

    /// For [`TotalBacklog::exceeded`].
    pub(super) fn tell(&self) {
        self.exceeded.notify_one();
    }

    /// Waits until somebody says that too much waits.
    pub(crate) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    /// One more shard holds the frame.
    pub(super) fn add(&self, frame: &Bytes) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let (holders, _) = frames.entry(frame.as_ptr() as usize).or_insert((0, frame.len()));
        *holders += 1;
        if *holders == 1 {
            self.longest.fetch_max(frame.len(), Ordering::Relaxed);
            self.bytes.fetch_add(frame.len() + ALLOCATION, Ordering::Relaxed);
        }
    }

    /// One shard less holds the frame at this address.
    pub(super) fn remove(&self, address: usize) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((holders, length)) = frames.get_mut(&address) else { return };
        *holders -= 1;
        if *holders == 0 {
            self.bytes.fetch_sub(*length + ALLOCATION, Ordering::Relaxed);
            frames.remove(&address);
            if frames.is_empty() {
                self.longest.store(0, Ordering::Relaxed);
            }
            // Give memory back after a peak.
            if frames.len() < frames.capacity() / 8 {
                frames.shrink_to_fit();
            }
        }
    }

    /// What clients hold alone has become so much more, or less.
    pub(super) fn change(&self, by: isize) {
        self.bytes.fetch_add(by as usize, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_several_shards_costs_once() {
        let total = TotalBacklog::new(100_000, 2);
        let (one, other) = (Bytes::from(vec![1; 1000]), Bytes::from(vec![2; 50_000]));
        total.add(&one);
        let of_one = total.bytes();
        total.add(&one.clone());
        assert_eq!(total.bytes(), of_one);
        total.add(&other);
        total.change(7);
        total.change(-2);
        total.remove(one.as_ptr() as usize);
        total.remove(other.as_ptr() as usize);
        assert_eq!(total.bytes(), of_one + 5);
        total.remove(one.as_ptr() as usize);
        assert_eq!(total.bytes(), 5);
        assert!(total.frames.lock().unwrap().is_empty());
    }

    #[test]
    fn one_message_has_room_beside_the_bound() {
        let total = TotalBacklog::new(160_000, 2);
        let large = Bytes::from(vec![0; 1 << 20]);
        total.add(&large);
        total.change(100_000);
        assert!(!total.is_exceeded());
        total.change(60_000);
        assert!(total.is_exceeded());
        assert_eq!(total.excess(), (ALLOCATION, 10_000 + ALLOCATION));
        total.remove(large.as_ptr() as usize);
        assert!(!total.is_exceeded());
        total.change(1);
        assert_eq!(total.excess(), (1, 10_001));
    }

    #[test]
    fn a_shard_with_its_part_makes_room_when_it_is_far_too_much() {
        let total = TotalBacklog::new(4 << 20, 4);
        total.change(20 << 20);
        assert!(total.is_exceeded() && !total.is_far_exceeded(20 << 20));
        total.change(4 << 20);
        assert!(total.is_far_exceeded(6 << 20) && !total.is_far_exceeded(5 << 20));
    }
}
