//! Connection tracking: for firewalls and Docker the kernel keeps an entry of each connection, in a table of bounded size. Once the
//! table is full, the kernel drops the packets of new connections.

use std::fs;

use super::finding::Finding;
use super::running::Running;
use crate::config::Settings;
use crate::system::descriptors;

const CHECK: &str = "conntrack";
/// The kernel has both files once its module for connection tracking is loaded. Both numbers belong to the network namespace of
/// the reader.
const TRACKED: &str = "/proc/sys/net/netfilter/nf_conntrack_count";
const MOST: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// Compares the size of the table with the number of clients that the server may have. Each takes an entry.
pub(super) fn look(settings: &Settings, running: &Running) -> Finding {
    let number = |file| fs::read_to_string(file).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let files = running.number("max_open_files").unwrap_or_else(descriptors::hard_limit);
    judge(number(TRACKED), number(MOST), settings.max_connections as u64, files)
}

/// Judges a table of `most` entries, of which `tracked` are taken. `clients` is the setting max_connections, which is 0 where there is
/// no such bound, and `files` the limit of open files.
fn judge(tracked: Option<u64>, most: Option<u64>, clients: u64, files: u64) -> Finding {
    let (Some(tracked @ 1..), Some(most @ 1..)) = (tracked, most) else {
        return Finding::ok(CHECK, "the kernel tracks no connections");
    };
    let found = format!("the kernel tracks {tracked} connections, and {most} at most");
    let raise = |to: u64| {
        format!(
            "sysctl net.netfilter.nf_conntrack_max={to}, and the same in /etc/sysctl.d; or a rule of the firewall by which the \
             server's ports are not tracked (notrack), which saves processor time too"
        )
    };
    if tracked.saturating_mul(10) > most.saturating_mul(9) {
        let found = found + ": new connections fail when it has as many";
        return Finding::mend(CHECK, found, raise(most.saturating_mul(2)));
    }
    if clients > most {
        let found = format!("{found}, which are too few for max_connections = {clients}");
        return Finding::mend(CHECK, found, raise(clients.saturating_mul(2)));
    }
    if clients == 0 && files > most {
        let found = format!("{found}, fewer than the {files} files that the server may open");
        return Finding::note(CHECK, found, raise(files.saturating_mul(2)));
    }
    Finding::ok(CHECK, found)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    #[test]
    fn a_table_is_judged_by_what_is_in_it_and_by_the_clients_that_may_come() {
        for (tracked, most, clients, files, result) in [
            (None, None, 0, 1 << 20, Verdict::Ok),
            (Some(0), Some(1), 1000, 1 << 20, Verdict::Ok),
            (Some(5), Some(1 << 21), 0, 1 << 20, Verdict::Ok),
            (Some(5), Some(1 << 18), 0, 1 << 20, Verdict::Note),
            (Some(5), Some(1 << 18), 1000, 1 << 20, Verdict::Ok),
            (Some(5), Some(1 << 18), 1 << 19, 1 << 20, Verdict::Mend),
            (Some(950), Some(1000), 0, 10, Verdict::Mend),
        ] {
            let finding = judge(tracked, most, clients, files);
            assert_eq!(finding.result, result, "{tracked:?} of {most:?}: {finding:?}");
        }
    }
}
