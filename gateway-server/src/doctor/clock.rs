//! The clock, by which tokens and certificates end.

use std::time::{Duration, UNIX_EPOCH};

use super::finding::Finding;
use crate::system::clock_sync;
use crate::telemetry::clock;

/// The start of 2026, in which this program was made: no clock that is right stands before it.
const MADE: u64 = 1_767_225_600;
/// Seconds that a clock may differ from another one. Answers take time, and headers have whole seconds.
const TOLERANCE: u64 = 30;
const ADVICE: &str = "have chrony or systemd-timesyncd keep it; a virtual machine may get it from its host";

pub(super) fn look() -> Finding {
    let now = clock::seconds_since_epoch();
    let date = in_words(now);
    if now < MADE {
        return Finding::mend("clock", format!("it says {date}, before this program was made"), ADVICE);
    }
    match clock_sync::is_synchronized() {
        Ok(true) => Finding::ok("clock", format!("it says {date}, and is kept by a time service")),
        Ok(false) => {
            let found = format!("it says {date}, and the kernel knows of no time service that keeps it");
            Finding::note("clock", found, ADVICE)
        }
        Err(error) => {
            Finding::skipped("clock", format!("it says {date}; the kernel does not tell more: {error}"))
        }
    }
}

/// Compares the clock with the time that another program has given in its header `Date`.
pub(super) fn compared(header: &str, whose: &str) -> Option<Finding> {
    let theirs = httpdate::parse_http_date(header).ok()?.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let apart = theirs.abs_diff(clock::seconds_since_epoch());
    (apart > TOLERANCE).then(|| {
        let found = format!("it is {apart} seconds apart from that of {whose}");
        Finding::mend("clock", found, "correct the one that is wrong: tokens and certificates end by it")
    })
}

/// A unix time in seconds, as HTTP writes it.
pub(super) fn in_words(seconds: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}
