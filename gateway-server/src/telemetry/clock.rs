//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

/// The unix time in seconds. It is 0 if the clock stands before 1970, which Linux does not permit.
pub fn seconds_since_epoch() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
