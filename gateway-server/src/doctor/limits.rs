//! The limits of open files and of memory, against what the settings permit.

use super::finding::Finding;
use super::running::Running;
use crate::config::Settings;
use crate::system::{descriptors, machine};

/// Descriptors that the server takes beside those of clients: ports, PHP's connections, files.
const BESIDE_CLIENTS: u64 = 1000;
/// Bytes that a client takes by itself, rounded up: docs/performance.md counts 68 to 311.
const CLIENT: u64 = 400;

pub(super) fn descriptors(settings: &Settings, running: &Running) -> Finding {
    let (limit, whose) = match running.number("max_open_files") {
        Some(limit) => (limit, "the server that runs may open"),
        None => (descriptors::hard_limit(), "a server that is started from here may open"),
    };
    let found = format!("{whose} {limit} files");
    let raise = |to: u64| {
        format!("raise the limit to {to}: LimitNOFILE={to} in systemd, `ulimit -Hn {to}` in a shell")
    };
    let clients = settings.max_connections as u64;
    let wanted = clients.saturating_add(BESIDE_CLIENTS);
    if clients > 0 && limit < wanted {
        let found = format!("{found}, which are too few for max_connections = {clients}");
        return Finding::mend("descriptors", found, raise(wanted));
    }
    if limit < descriptors::FEW {
        let found = format!("{found}, and each client takes one");
        return Finding::mend("descriptors", found, raise(descriptors::FEW.max(wanted)));
    }
    match running.number("open_files") {
        Some(open) if open.saturating_mul(10) > limit.saturating_mul(9) => Finding::mend(
            "descriptors",
            format!("{found}, of which {open} are open"),
            raise(limit.saturating_mul(2)),
        ),
        Some(open) => Finding::ok("descriptors", format!("{found}, of which {open} are open")),
        None => Finding::ok("descriptors", found),
    }
}

pub(super) fn memory(settings: &Settings, running: &Running) -> Finding {
    let memory = match running.pid() {
        Some(pid) => machine::memory_of(pid),
        None => machine::memory(),
    };
    let cluster = if settings.is_clustered() { settings.cluster_buffer_bytes } else { 0 };
    let bounds = [
        settings.max_outbox_bytes,
        settings.max_unfinished_bytes,
        // PHP's calls that have not come whole have a bound of the same size.
        settings.max_unfinished_bytes,
        settings.resume_total_bytes,
        cluster,
    ];
    let clients = (settings.max_connections as u64).saturating_mul(CLIENT);
    let sum = bounds.iter().fold(clients, |sum, bytes| sum.saturating_add(*bytes as u64));
    let found = format!("the bounds add up to {} of {}", in_words(sum), in_words(memory));
    if sum <= memory {
        return Finding::ok("memory", found + " that it may use");
    }
    let found = found + " that machine, cgroup and ulimit -v leave it: the kernel may end it";
    let advice = "lower max_outbox_bytes, max_unfinished_bytes, resume_total_bytes or max_connections, or leave them to their defaults";
    Finding::mend("memory", found, advice)
}

/// Bytes as people read them.
pub(super) fn in_words(bytes: u64) -> String {
    let (unit, name) = match bytes {
        0..1_048_576 => (1024, "KiB"),
        1_048_576..1_073_741_824 => (1 << 20, "MiB"),
        _ => (1 << 30, "GiB"),
    };
    // One digit behind the point is enough here, so that no precision is missed.
    #[expect(clippy::cast_precision_loss, reason = "the figure is rounded anyway")]
    let units = bytes as f64 / f64::from(unit);
    format!("{units:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_words() {
        let words = [512, 1 << 20, (3 << 30) + (1 << 29)].map(in_words);
        assert_eq!(words, ["0.5 KiB", "1.0 MiB", "3.5 GiB"]);
    }
}
