//! How much of PHP's memory is left.
//!
//! PHP notices that memory_limit is passed when an extension has come back to it, and ends the whole process at twice the
//! limit. So what may take much looks itself.

use gateway_wire::bridge::frame::MAX_REPLY;

use crate::errors::Failure;
use crate::{ini, sys};

/// PHP takes memory from the system in such pieces.
const PIECE: usize = 2 << 20;

/// Watches while values are made.
pub(crate) struct MemoryWatch {
    limit: usize,
    before: usize,
}

impl MemoryWatch {
    pub(crate) fn begin() -> Self {
        Self { limit: ini::memory_limit().unwrap_or(usize::MAX), before: from_system() }
    }

    /// An error once more has been taken and the next piece would be too much.
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let now = from_system();
        if now > self.before && now.saturating_add(PIECE) > self.limit {
            return Err(Failure::Exception(format!(
                "the gateway's answer takes more memory than the {} bytes of memory_limit; ask for less at once, or count",
                self.limit
            )));
        }
        Ok(())
    }
}

/// Bytes of the largest answer that there is room for: PHP's values take more than the bytes that they are made of.
pub(crate) fn max_answer() -> usize {
    let Some(limit) = ini::memory_limit() else { return MAX_REPLY };
    // SAFETY: takes a flag alone, and reads a counter.
    let used = unsafe { sys::zend_memory_usage(false) };
    limit.saturating_sub(used).min(MAX_REPLY)
}

fn from_system() -> usize {
    // SAFETY: takes a flag alone, and reads a counter.
    unsafe { sys::zend_memory_usage(true) }
}
