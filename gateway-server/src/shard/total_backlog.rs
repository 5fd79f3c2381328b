//! The memory of what waits for the clients of all shards together, and its bound.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use hashbrown::HashMap;
use tokio::sync::Notify;

/// The bytes that the allocator and the reference count add to each frame, roughly.
pub(super) const ALLOCATION: usize = 64;
/// When the bound is exceeded, a 16th of it is made free besides, so that the clients that hold most are not looked for at every
/// frame.
const ROOM: usize = 16;
/// How far the bound may be exceeded, at least, before a shard makes room by itself: as many bytes as an inbox brings. Meanwhile
/// the hub looks for the clients that hold most.
const SLACK: usize = 16 << 20;

/// Counts the memory of all outboxes against its bound. A frame that waits for many clients is in memory once and counts once,
/// whichever shards the clients belong to.
pub(crate) struct TotalBacklog {
    /// For each frame, by the address of its bytes: how many shards hold it, and its length in bytes.
    frames: Mutex<HashMap<usize, (u32, usize)>>,
    /// The memory of what waits, in bytes.
    bytes: AtomicUsize,
    /// The bound that the settings give, in bytes.
    bound: AtomicUsize,
    /// The length of the longest frame, in bytes, of those that have waited since no frame last did. This much is allowed beside
    /// the bound, so that one message always reaches the clients that read, however small the bound is.
    longest: AtomicUsize,
    /// The number of shards.
    shards: usize,
    /// Wakes the hub when the bound is exceeded.
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

    /// The bytes that are allowed now.
    fn most(&self) -> usize {
        self.bound.load(Ordering::Relaxed).saturating_add(self.longest.load(Ordering::Relaxed))
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.bytes() > self.most()
    }

    /// The bytes that have to become free to keep the bound, and the bytes that are to become free so that there is some room
    /// again.
    pub(crate) fn excess(&self) -> (usize, usize) {
        let (bytes, most) = (self.bytes(), self.most());
        let room = self.bound.load(Ordering::Relaxed) / ROOM;
        (bytes.saturating_sub(most), bytes.saturating_sub(most - room))
    }

    /// Whether a shard that holds `of_shard` bytes has to make room by itself. It has if the bound is far exceeded and the shard
    /// holds its part of the whole or more, which is always true of at least one shard.
    pub(super) fn is_far_exceeded(&self, of_shard: usize) -> bool {
        let slack = (self.bound.load(Ordering::Relaxed) / 4).max(SLACK);
        let bytes = self.bytes();
        bytes > self.most().saturating_add(slack) && of_shard >= bytes / self.shards
    }

    /// Wakes the task that waits in [`TotalBacklog::exceeded`].
    pub(super) fn tell(&self) {
        self.exceeded.notify_one();
    }

    /// Waits until a shard reports that the bound is exceeded.
    pub(crate) async fn exceeded(&self) {
        self.exceeded.notified().await;
    }

    /// Counts one more shard that holds the frame.
    pub(super) fn add(&self, frame: &Bytes) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let (holders, _) = frames.entry(frame.as_ptr() as usize).or_insert((0, frame.len()));
        *holders += 1;
        if *holders == 1 {
            self.longest.fetch_max(frame.len(), Ordering::Relaxed);
            self.bytes.fetch_add(frame.len() + ALLOCATION, Ordering::Relaxed);
        }
    }

    /// Counts one shard less that holds the frame at this address.
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
            // The map gives memory back after a peak.
            if frames.len() < frames.capacity() / 8 {
                frames.shrink_to_fit();
            }
        }
    }

    /// Counts that clients hold `by` bytes more for themselves alone, or less if it is negative.
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
