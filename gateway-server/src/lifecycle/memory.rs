//! Gives memory back to the system once a crowd has gone, or much else.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::hub::Hub;
use crate::system::machine;

/// How often the clients are counted.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// A peak below this is not worth the work.
const MANY: usize = 1_000;
/// Nor is what is less, in bytes.
const MUCH: usize = 16 << 20;

/// Blocks from this size on are the system's own, which has them back as soon as they are freed.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;
/// What glibc takes of the address space for a thread's heap, whatever is in it.
#[cfg(target_env = "gnu")]
const HEAP: u64 = 64 << 20;
/// Where a share of the memory has room for so many heaps, glibc chooses their number.
#[cfg(target_env = "gnu")]
const MOST_HEAPS: usize = 64;
/// Bytes that each thread's heap may keep free at its end.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 1 << 20;

/// Has the allocator give back what strangers have made it take. By itself glibc keeps, for each thread, up to twice the largest
/// block that was ever freed: dozens of megabytes once a few calls of the longest kind have come.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn tune_allocator() {
    crate::system::memory_reserve::fill();
    let heaps = machine::count_in_share(4, HEAP, MOST_HEAPS);
    // SAFETY: they take two numbers each, and may be called at any time; here no other thread runs yet. A failure leaves
    // things as they were.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        if heaps < MOST_HEAPS {
            libc::mallopt(libc::M_ARENA_MAX, heaps as libc::c_int);
        }
    }
}

#[cfg(not(target_env = "gnu"))]
pub fn tune_allocator() {
    crate::system::memory_reserve::fill();
}

/// Watches until the shards have ended.
pub async fn watch(hub: &Hub) {
    // How many were left when a crowd was seen to go: the last of it may go later.
    let mut left = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (Ok(peak), Ok(online)) = (hub.peak().await, hub.count(None).await) else { return };
        let has_thinned = is_over(peak, online) || left.is_some_and(|left| online < left);
        left = has_thinned.then_some(online);
        if has_thinned && hub.shrink().await.is_err() {
            return;
        }
        // It walks through all that is free, and holds no thread of ours meanwhile.
        let _ = spawn_blocking(move || {
            if has_thinned || is_much(heap()) {
                trim_heap();
            }
        })
        .await;
    }
}

/// More than half of those who were connected at once have gone.
fn is_over(peak: usize, online: usize) -> bool {
    peak >= MANY && online < peak / 2
}

/// What the allocator holds.
#[derive(Clone, Copy, Default)]
struct Heap {
    used: usize,
    free: usize,
}

/// Handshakes, messages and whatever else comes and goes leave it behind.
fn is_much(heap: Heap) -> bool {
    heap.free >= MUCH && heap.free >= heap.used / 4
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn heap() -> Heap {
    // SAFETY: it takes nothing, only counts, and may be called from any thread.
    let counted = unsafe { libc::mallinfo2() };
    Heap { used: counted.uordblks, free: counted.fordblks }
}

/// What was allocated one by one and freed lies between what is still in use: glibc keeps it unless it is asked.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
fn trim_heap() {
    // SAFETY: it takes no pointer, keeps what is in use where it is, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
fn heap() -> Heap {
    Heap::default()
}

#[cfg(not(target_env = "gnu"))]
fn trim_heap() {}

/// Bytes that the allocator has free between those in use.
pub(crate) fn free_bytes() -> usize {
    heap().free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_crowd_has_gone() {
        assert!(is_over(5_000, 2_400) && is_over(1_000, 0));
        assert!(!is_over(5_000, 2_600) && !is_over(900, 0));
    }

    #[test]
    fn little_is_not_worth_the_work() {
        let heap = |used: usize, free: usize| Heap { used: used << 20, free: free << 20 };
        assert!(is_much(heap(0, 16)) && is_much(heap(100, 25)));
        assert!(!is_much(heap(0, 15)) && !is_much(heap(100, 24)));
    }
}
