//! The end of the process where it cannot go on: a supervisor starts it again, which serves more than a half of it would.

use crate::telemetry::logs;

/// The exit code that sysexits(3) has for an error within the program.
const SOFTWARE: i32 = 70;

/// Says why, waits until that is written but not for long, and ends. Any thread may call it.
pub fn now(why: &str) -> ! {
    logs::last_words(&format!("{why}: it ends, to be started again"));
    std::process::exit(SOFTWARE)
}
