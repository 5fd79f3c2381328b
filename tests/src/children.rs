//! The processes that a process has started.

use nix::unistd::Pid;

/// The processes whose parent is `parent` now.
pub fn children(parent: Pid) -> anyhow::Result<Vec<Pid>> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{parent}/task"))? {
        // A thread may have ended since the folder was read.
        let Ok(text) = std::fs::read_to_string(task?.path().join("children")) else { continue };
        for child in text.split_whitespace() {
            found.push(Pid::from_raw(child.parse()?));
        }
    }
    Ok(found)
}

/// Whether a process that an upgrade has started runs the program already. Only the program's own environment has the variable.
pub fn runs_to_take_over(process: Pid) -> bool {
    let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(b"GATEWAY_HANDOVER="))
}
