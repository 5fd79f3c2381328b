//! A process and its descendants, which all end together.

use std::io::{BufRead as _, BufReader, PipeReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::Context as _;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::sync::oneshot;

use crate::{eventually, soon};

/// All processes are killed when this is dropped. The leader is also killed when the thread that started it ends.
pub struct ProcessGroup {
    leader: Child,
    reader: Option<JoinHandle<()>>,
    /// The output so far, unless it is silent.
    said: Arc<Mutex<String>>,
}

impl ProcessGroup {
    /// Starts `command`, and waits for the line with `ready` in it, which it also gives.
    pub async fn start(command: Command, ready: &'static str) -> anyhow::Result<(Self, String)> {
        Self::start_with(command, ready, true).await
    }

    /// Does the same as [`ProcessGroup::start`] without showing the output.
    pub async fn start_silent(command: Command, ready: &'static str) -> anyhow::Result<(Self, String)> {
        Self::start_with(command, ready, false).await
    }

    async fn start_with(
        mut command: Command,
        ready: &'static str,
        shows: bool,
    ) -> anyhow::Result<(Self, String)> {
        let name = command.get_program().to_string_lossy().into_owned();
        let (output, input) = std::io::pipe()?;
        command.stdin(Stdio::null()).stdout(input.try_clone()?).stderr(input).process_group(0);
        // If the test is killed, nothing is dropped, and Ctrl-C reaches only the test's own process group: so the kernel is
        // asked to kill the leader with its parent.
        // SAFETY: between fork and exec this makes one system call and touches no memory of the parent.
        unsafe { command.pre_exec(|| Ok(set_pdeathsig(Signal::SIGKILL)?)) };
        let leader =
            command.spawn().with_context(|| format!("{name} did not start (`make test` installs it)"))?;
        // The command still has the pipe's other end open; unless it is dropped here, the reader never sees the end.
        drop(command);

        let (found, line) = oneshot::channel();
        let said = Arc::default();
        let reader = std::thread::spawn({
            let (name, said) = (name.clone(), Arc::clone(&said));
            move || read(&name, output, ready, found, shows.then_some(&said))
        });
        let group = Self { leader, reader: Some(reader), said };
        let line = soon(&format!("{name}'s start"), line)
            .await?
            .with_context(|| format!("{name} ended before it said {ready:?}"))?;
        Ok((group, line))
    }

    pub fn leader(&self) -> u32 {
        self.leader.id()
    }

    /// Waits for a line with `text`, and gives the first one. As with [`ProcessGroup::says`], a silent group keeps no output.
    pub async fn line_with(&self, text: &str) -> anyhow::Result<String> {
        self.says(text).await?;
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let line = said.lines().find(|line| line.contains(text));
        Ok(line.unwrap_or_default().to_owned())
    }

    /// Waits until the processes have written `text` at any time since their start. A silent group keeps no output, so this
    /// would never return.
    pub async fn says(&self, text: &str) -> anyhow::Result<()> {
        let said = async || Ok(self.said.lock().unwrap_or_else(PoisonError::into_inner).contains(text));
        eventually(&format!("{text:?} is said"), true, said).await
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.leader.id().cast_signed()), Signal::SIGKILL);
        let _ = self.leader.wait();
        // The output ends with the last process that could write to it, wherever it stood in the tree.
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Shows the output with the test's own, so that a failed test's report contains it, and picks the awaited line.
fn read(
    name: &str,
    output: PipeReader,
    ready: &str,
    found: oneshot::Sender<String>,
    said: Option<&Mutex<String>>,
) {
    let mut found = Some(found);
    for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        if let Some(said) = said {
            eprintln!("{name}: {line}");
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            said.push_str(&line);
            said.push('\n');
        }
        if line.contains(ready)
            && let Some(found) = found.take()
        {
            let _ = found.send(line.into_owned());
        }
    }
}
