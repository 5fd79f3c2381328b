//! Whether something keeps the clock right.

use std::io;

/// Tells whether the kernel's clock is kept by a time service. It fails where the kernel does not say.
#[allow(unsafe_code)]
pub fn is_synchronized() -> io::Result<bool> {
    // SAFETY: the structure is one of plain numbers, for which zeros are good, and `modes` 0 asks the kernel to change nothing.
    let state = unsafe {
        let mut timex: libc::timex = std::mem::zeroed();
        libc::adjtimex(&raw mut timex)
    };
    match state {
        -1 => Err(io::Error::last_os_error()),
        libc::TIME_ERROR => Ok(false),
        _ => Ok(true),
    }
}
