//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime as InWords};

/// The unix time in seconds.
pub fn seconds_since_epoch() -> u64 {
    since_epoch().as_secs()
}

/// The unix time. It is 0 if the clock stands before 1970, which Linux does not permit.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The time of day as RFC 3339 has it, as 2026-11-29T20:00:00.123456Z.
pub fn in_words() -> String {
    let mut text = String::new();
    // Writing to memory cannot fail.
    let _ = InWords.format_time(&mut Writer::new(&mut text));
    text
}
