//! Packets that the kernel throws away between two processes of the machine: its queue for each processor is full
//! (`net.core.netdev_max_backlog`). Whoever waits for such a packet waits 200 ms more, and no server can help it.

use std::fs;

/// The number of these packets since the system has started, or 0 where it does not say.
pub(super) fn dropped_packets() -> u64 {
    let lines = fs::read_to_string("/proc/net/softnet_stat").unwrap_or_default();
    // A line for each processor; its second number, in hexadecimal digits, counts them.
    lines.lines().filter_map(|line| u64::from_str_radix(line.split(' ').nth(1)?, 16).ok()).sum()
}
