//! The allocator: how much freed memory it keeps, and when it gives memory back to the kernel.

use super::{machine, memory_reserve};

/// Blocks of this size or more are mapped one by one, and go back to the kernel as soon as they are freed. The unit is bytes.
#[cfg(target_env = "gnu")]
const LARGE: libc::c_int = 1 << 20;
/// The address space that glibc reserves for one thread's heap, in bytes, whatever is in it.
#[cfg(target_env = "gnu")]
const HEAP: u64 = 64 << 20;
/// The number of heaps from which on glibc's own choice is left alone. Where a quarter of the memory has no room for so many,
/// their number is limited.
#[cfg(target_env = "gnu")]
const MOST_HEAPS: usize = 64;
/// The number of bytes that each thread's heap may keep free at its end.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 1 << 20;
/// What glibc puts before a block and behind it, at most, in bytes.
#[cfg(target_env = "gnu")]
const OVERHEAD: usize = 64;

/// Makes the allocator give back the memory that peers have made it take. By itself glibc keeps, for each thread, up to twice the
/// largest block that was ever freed, which is dozens of megabytes after a few long calls.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn tune_allocator() {
    let heaps = machine::count_in_share(4, HEAP, MOST_HEAPS);
    // SAFETY: the calls take two numbers each and may be made at any time; no other thread runs yet. After a failure the
    // allocator is as it was.
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

/// The memory that the allocator holds, in bytes.
#[derive(Clone, Copy, Default)]
pub struct Heap {
    pub used: usize,
    pub free: usize,
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn heap() -> Heap {
    // SAFETY: the call takes no arguments, only counts, and may be made from any thread.
    let counted = unsafe { libc::mallinfo2() };
    Heap { used: counted.uordblks, free: counted.fordblks }
}

/// Gives free memory back to the kernel that lies between blocks in use, which glibc does only when asked.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub fn trim_heap() {
    // SAFETY: the call takes no pointer, does not move what is in use, and may be made from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Widens the heap of the calling thread by about so many bytes, of which none is used yet. By itself glibc makes a thread's heap wider page by
/// page, by a call of the system for each, which takes longer than to fill the page. What a heap once had it can take again without.
#[cfg(target_env = "gnu")]
pub fn widen_heap(bytes: usize) {
    const BLOCK: usize = LARGE as usize / 2;
    // The blocks are freed together, as one that is freed before the next is made would be used for that.
    let blocks: Vec<Vec<u8>> = (0..bytes / BLOCK)
        .map_while(|_| {
            let mut block = Vec::new();
            memory_reserve::reserve(&mut block, BLOCK - OVERHEAD).ok().map(|()| block)
        })
        .collect();
    drop(blocks);
}

#[cfg(not(target_env = "gnu"))]
pub fn widen_heap(_: usize) {}

/// Allocators other than glibc's give memory back by themselves, and are not asked for counts.
#[cfg(not(target_env = "gnu"))]
pub fn heap() -> Heap {
    Heap::default()
}

#[cfg(not(target_env = "gnu"))]
pub fn trim_heap() {}
