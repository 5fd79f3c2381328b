//! What the kernel permits: connections that wait to be accepted, and io_uring.

use super::finding::Finding;
use crate::config::Settings;
use crate::net::BACKLOG;
use crate::shard::uring::Ring;

/// The default of Linux since 5.4. Below it a page that many people have open loses connections when all come back.
const USUAL: i32 = 4096;

pub(super) fn backlog() -> Finding {
    const FILE: &str = "/proc/sys/net/core/somaxconn";
    let read = std::fs::read_to_string(FILE).map_err(|error| error.to_string());
    let limit = read.and_then(|text| text.trim().parse::<i32>().map_err(|error| error.to_string()));
    let limit = match limit {
        Ok(limit) => limit,
        Err(error) => return Finding::skipped("backlog", format!("{FILE}: {error}")),
    };
    let found = format!("{limit} connections may wait to be accepted (net.core.somaxconn)");
    let advice = format!(
        "sysctl net.core.somaxconn={BACKLOG}, and the same in /etc/sysctl.d, then restart the server"
    );
    match limit {
        _ if limit >= BACKLOG => Finding::ok("backlog", found),
        USUAL.. => {
            let found = found + ", enough unless more clients come back in one moment";
            Finding::note("backlog", found, advice)
        }
        _ => Finding::mend("backlog", found + ", and more that come at once are refused", advice),
    }
}

pub(super) fn io_uring(settings: &Settings) -> Finding {
    if !settings.io_uring {
        return Finding::skipped("io_uring", "it is switched off");
    }
    match Ring::open() {
        Ok(_) => Finding::ok("io_uring", "the kernel permits it"),
        Err(error) => Finding::note(
            "io_uring",
            format!(
                "the kernel does not permit it here ({error}), and sends to many clients take a sixth more time"
            ),
            "in containers permit io_uring_setup, io_uring_enter and io_uring_register, or set io_uring to false",
        ),
    }
}
