//! Signals to processes, of which the one that stops has done so when the test goes on.

use std::time::Instant;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::PATIENCE;

/// Sends a signal. After SIGSTOP it waits until each thread has stopped or ended: only one of them takes the signal, when it next gets
/// a processor, and until then the others work on.
pub fn send_signal(process: Pid, signal: Signal) -> nix::Result<()> {
    kill(process, signal)?;
    let start = Instant::now();
    while signal == Signal::SIGSTOP && runs(process) {
        if start.elapsed() > PATIENCE {
            return Err(Errno::ETIMEDOUT);
        }
        std::thread::yield_now();
    }
    Ok(())
}

/// Whether a thread of the process can still do something.
fn runs(process: Pid) -> bool {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return false };
    let states =
        threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    // The state stands behind the name, which stands in brackets and may hold any character.
    states.into_iter().any(|stat| {
        !matches!(stat.rsplit(") ").next().and_then(|rest| rest.chars().next()), Some('T' | 'Z' | 'X'))
    })
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_that_is_stopped_has_stopped_and_one_that_has_ended_is_not_waited_for() -> anyhow::Result<()>
    {
        let mut process =
            Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn()?;
        let pid = Pid::from_raw(process.id().try_into()?);
        assert!(runs(pid));
        send_signal(pid, Signal::SIGSTOP)?;
        assert!(!runs(pid));
        send_signal(pid, Signal::SIGCONT)?;
        send_signal(pid, Signal::SIGKILL)?;
        // It is there until it is waited for.
        send_signal(pid, Signal::SIGSTOP)?;
        process.wait()?;
        assert_eq!(send_signal(pid, Signal::SIGSTOP), Err(Errno::ESRCH));
        Ok(())
    }
}
