//! The allocator: how much it keeps for itself, and what it gives back.

use super::machine;

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
pub fn tune_allocator() {}

/// What the allocator holds, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Heap {
    pub used: usize,
    pub free: usize,
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn heap() -> Heap {
    // SAFETY: it takes nothing, only counts, and may be called from any thread.
    let counted = unsafe { libc::mallinfo2() };
    Heap { used: counted.uordblks, free: counted.fordblks }
}

/// What was allocated one by one and freed lies between what is still in use: glibc keeps it unless it is asked.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn trim_heap() {
    // SAFETY: it takes no pointer, keeps what is in use where it is, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn heap() -> Heap {
    Heap::default()
}

#[cfg(not(target_env = "gnu"))]
pub fn trim_heap() {}
