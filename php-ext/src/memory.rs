//! How much of PHP's memory is left.
//!
//! PHP notices only after an extension has returned that memory_limit is exceeded, and ends the whole process at twice the
//! limit. So code that may need much memory checks by itself.

use gateway_wire::bridge::frame::MAX_REPLY;

use crate::errors::Failure;
use crate::{ini, sys};

/// PHP takes memory from the system in pieces of so many bytes.
const PIECE: usize = 2 << 20;

/// Checks the memory while values are made.
pub(crate) struct MemoryWatch {
    limit: usize,
    before: usize,
}

impl MemoryWatch {
    pub(crate) fn begin() -> Self {
        Self { limit: ini::memory_limit().unwrap_or(usize::MAX), before: from_system() }
    }

    /// Fails once memory was taken and the next piece would exceed the limit.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let now = from_system();
        if now > self.before && now.saturating_add(PIECE) > self.limit {
            return Err(Failure::other(format!(
                "the gateway's answer takes more memory than the {} bytes of memory_limit; ask for less at once, or count",
                self.limit
            )));
        }
        Ok(())
    }
}

/// The size of the largest answer for which there is room, in bytes: PHP's values take more memory than the bytes that they are
/// made of.
pub(crate) fn max_answer() -> usize {
    let Some(limit) = ini::memory_limit() else { return MAX_REPLY };
    // SAFETY: the function takes a flag alone, and reads a counter.
    let used = unsafe { sys::zend_memory_usage(false) };
    limit.saturating_sub(used).min(MAX_REPLY)
}

fn from_system() -> usize {
    // SAFETY: the function takes a flag alone, and reads a counter.
    unsafe { sys::zend_memory_usage(true) }
}
