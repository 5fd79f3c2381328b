//! The CPU time that processes take.

use std::collections::HashMap;

/// Gives the CPU seconds that all descendants of this process (servers, workers) have taken so far.
pub fn cpu_of_descendants() -> anyhow::Result<f64> {
    let mut processes = HashMap::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        // The process may have ended since the folder was read.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        // The process's name stands in brackets and may hold any character, so the fields are counted behind the last
        // bracket: the state, the parent, and as 12th and 13th the user and system time.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        processes.insert(pid, (fields[1].parse::<u32>()?, ticks));
    }
    let own = std::process::id();
    let is_below = |pid: &u32| {
        std::iter::successors(Some(*pid), |pid| processes.get(pid).map(|(parent, _)| *parent))
            .skip(1)
            .any(|pid| pid == own)
    };
    let ticks: u64 = processes.iter().filter(|(pid, _)| is_below(pid)).map(|(_, (_, ticks))| ticks).sum();
    Ok(ticks as f64 / 100.0)
}
