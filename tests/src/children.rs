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
