//! Ends the process where it cannot go on. A supervisor starts it again, and a new process serves more clients than half of one
//! would.

use crate::telemetry::logs;

/// The exit code that sysexits(3) has for an error within the program.
const SOFTWARE: i32 = 70;

/// Logs the reason, waits a moment for that to be written, and ends the process. Any thread may call it.
pub fn now(why: &str) -> ! {
    logs::last_words(&format!("{why}: it ends, to be started again"));
    std::process::exit(SOFTWARE)
}
