//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The unix time in seconds.
pub fn seconds_since_epoch() -> u64 {
    since_epoch().as_secs()
}

/// The unix time. It is 0 if the clock stands before 1970, which Linux does not permit.
pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
