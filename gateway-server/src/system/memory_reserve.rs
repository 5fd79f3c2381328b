//! What the server does when memory runs out. Allocations for the bytes of a peer fail, and end what they were for. All other
//! allocations must not fail: they use a cushion that was put aside at the start, while the shards make room.
//!
//! Allocations fail where the address space is bounded (`ulimit -v`), or where the kernel promises no more than it has
//! (`vm.overcommit_memory = 2`). Elsewhere, and in a cgroup, the kernel ends whole processes instead. There the only protection
//! are the limits on what clients may take, which are shares of the memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: ReservedAllocator = ReservedAllocator;

/// The size of the cushion. It takes address space only, as its pages are never touched.
const CUSHION: Layout = match Layout::from_size_align(4 << 20, 4096) {
    Ok(layout) => layout,
    Err(_) => Layout::new::<u8>(),
};
/// How long an allocation waits, between two attempts, for other threads to free memory once the cushion is used up.
const PATIENCE: Duration = Duration::from_millis(2);
/// The number of such attempts, after which the allocation fails.
const TRIES: usize = 200;
/// How often the server tries to fill the cushion again.
const TRY_EVERY: Duration = Duration::from_millis(50);

/// The cushion, or null after it was used up.
static IN_RESERVE: AtomicPtr<u8> = AtomicPtr::new(null_mut());
/// Whether the cushion has been needed and not been filled again.
static IS_SHORT: AtomicBool = AtomicBool::new(false);
/// The time of the last such attempt, in milliseconds since the first, plus 1; 0 before the first.
static LOOKED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Whether the allocation that this thread makes now may fail.
    static MAY_FAIL: Cell<bool> = const { Cell::new(false) };
}

/// The system's allocator, which falls back on the cushion.
struct ReservedAllocator;

#[allow(unsafe_code)]
// SAFETY: all blocks come from the system's allocator, which gets what the caller has promised; nothing here panics or allocates.
unsafe impl GlobalAlloc for ReservedAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller has promised.
        or_cushioned(|| unsafe { System.alloc(layout) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller has promised.
        or_cushioned(|| unsafe { System.alloc_zeroed(layout) })
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller has promised; a block that cannot grow stays as it is.
        or_cushioned(|| unsafe { System.realloc(block, layout, size) })
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as the caller has promised.
        unsafe { System.dealloc(block, layout) }
    }
}

#[inline]
fn or_cushioned(allocate: impl Fn() -> *mut u8) -> *mut u8 {
    let block = allocate();
    if block.is_null() { cushioned(&allocate) } else { block }
}

#[cold]
fn cushioned(allocate: &dyn Fn() -> *mut u8) -> *mut u8 {
    if MAY_FAIL.get() {
        return null_mut();
    }
    IS_SHORT.store(true, Ordering::Relaxed);
    release();
    for _ in 0..TRIES {
        let block = allocate();
        if !block.is_null() {
            return block;
        }
        // Other threads may be about to free memory.
        std::thread::sleep(PATIENCE);
    }
    null_mut()
}

#[allow(unsafe_code)]
fn release() {
    let cushion = IN_RESERVE.swap(null_mut(), Ordering::AcqRel);
    if !cushion.is_null() {
        // SAFETY: the block was allocated with this layout, and only the thread that has swapped it out has it.
        unsafe { System.dealloc(cushion, CUSHION) }
    }
}

/// Puts the cushion aside. Gives whether it is there.
#[allow(unsafe_code)]
pub fn fill() -> bool {
    if !IN_RESERVE.load(Ordering::Acquire).is_null() {
        return true;
    }
    // SAFETY: the size of the layout is not zero.
    let cushion = unsafe { System.alloc(CUSHION) };
    if cushion.is_null() {
        return false;
    }
    if IN_RESERVE.compare_exchange(null_mut(), cushion, Ordering::AcqRel, Ordering::Acquire).is_err() {
        // SAFETY: the block was allocated above with this layout, and no other thread has it.
        unsafe { System.dealloc(cushion, CUSHION) }
    }
    true
}

/// Whether memory has run out and has not come back yet.
#[inline]
pub fn is_short() -> bool {
    IS_SHORT.load(Ordering::Relaxed) && is_still_short()
}

#[cold]
fn is_still_short() -> bool {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    let now = FIRST.get_or_init(Instant::now).elapsed().as_millis() as u64 + 1;
    let looked = LOOKED.load(Ordering::Relaxed);
    let is_due = looked == 0 || now.saturating_sub(looked) >= TRY_EVERY.as_millis() as u64;
    if !is_due || LOOKED.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return true;
    }
    // As much free memory between blocks in use serves as well as the cushion.
    let is_there = fill() || super::allocator::heap().free >= 4 * CUSHION.size();
    if is_there {
        IS_SHORT.store(false, Ordering::Relaxed);
    }
    !is_there
}

/// The error of an allocation that failed for want of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no memory for it")]
pub struct NoMemory;

/// Makes room for more elements of a list that may hold a peer's bytes.
pub fn reserve<T>(list: &mut Vec<T>, more: usize) -> Result<(), NoMemory> {
    if list.capacity() - list.len() >= more {
        return Ok(());
    }
    if is_short() {
        return Err(NoMemory);
    }
    may_fail(|| list.try_reserve(more)).map_err(|_| NoMemory)
}

/// Makes room for exactly this many more elements.
pub fn reserve_exact<T>(list: &mut Vec<T>, more: usize) -> Result<(), NoMemory> {
    if is_short() {
        return Err(NoMemory);
    }
    may_fail(|| list.try_reserve_exact(more)).map_err(|_| NoMemory)
}

/// Appends a peer's bytes to a list.
pub fn append(to: &mut Vec<u8>, bytes: &[u8]) -> Result<(), NoMemory> {
    reserve(to, bytes.len())?;
    to.extend_from_slice(bytes);
    Ok(())
}

/// Copies a peer's bytes into memory of exactly their size.
pub fn copy(bytes: &[u8]) -> Result<Vec<u8>, NoMemory> {
    let mut copy = Vec::new();
    reserve_exact(&mut copy, bytes.len())?;
    copy.extend_from_slice(bytes);
    Ok(copy)
}

/// Whether this many bytes could be allocated now. It is for allocations in other code that cannot report a failure.
pub fn has_room(bytes: usize) -> bool {
    !is_short() && may_fail(|| Vec::<u8>::new().try_reserve_exact(bytes)).is_ok()
}

fn may_fail<T>(allocate: impl FnOnce() -> T) -> T {
    MAY_FAIL.set(true);
    let done = allocate();
    MAY_FAIL.set(false);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_into_memory_is_refused() {
        const NEVER: usize = isize::MAX as usize;
        assert!(has_room(1 << 20) && !has_room(NEVER));
        let mut bytes = vec![1];
        assert_eq!(reserve(&mut bytes, NEVER - 1), Err(NoMemory));
        append(&mut bytes, &[2; 100]).unwrap();
        assert_eq!(bytes[..2], [1, 2]);
        assert_eq!(copy(&bytes).unwrap(), bytes);
        // A refusal does not use the cushion up.
        assert!(!is_short() && fill());
    }
}
