//! The log cannot be written, for each possible reason.

use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use gateway_tests::{eventually, server_binary, skip, soon};
use nix::fcntl::OFlag;
use nix::sys::signal::Signal;
use tokio::process::Command;

use super::Unheard;

const LOST: &str = "gateway_log_lines_lost_total";

/// Checks that the server serves, counts the lines that are lost, and ends when it is asked to stop.
async fn is_served(mut server: Unheard) -> anyhow::Result<()> {
    server.serves().await?;
    eventually("lost lines are counted", true, async || Ok(server.operator.metric(LOST).await? >= 1.0))
        .await?;
    server.serves().await?;
    server.signal(Signal::SIGTERM)?;
    assert!(soon("its end", server.process.wait()).await??.success());
    Ok(())
}

#[tokio::test]
async fn a_disk_that_is_full() -> anyhow::Result<()> {
    // Every write to /dev/full fails with ENOSPC.
    is_served(Unheard::start(OpenOptions::new().write(true).open("/dev/full")?, &[]).await?).await
}

#[tokio::test]
async fn a_pipe_whose_reader_has_gone() -> anyhow::Result<()> {
    // Every write fails with EPIPE.
    let (reader, writer) = std::io::pipe()?;
    let server = Unheard::start(writer, &[]).await?;
    drop(reader);
    is_served(server).await
}

#[tokio::test]
async fn a_terminal_that_has_gone() -> anyhow::Result<()> {
    // Every write fails with EIO.
    let master = nix::pty::posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC)?;
    nix::pty::grantpt(&master)?;
    nix::pty::unlockpt(&master)?;
    let terminal = OpenOptions::new()
        .write(true)
        .custom_flags(nix::libc::O_NOCTTY)
        .open(nix::pty::ptsname_r(&master)?)?;
    let server = Unheard::start(terminal, &[]).await?;
    drop(master);
    is_served(server).await
}

/// Starts a server whose log nobody reads, and makes it log more than the pipe and the queue hold.
async fn unread() -> anyhow::Result<(Unheard, std::io::PipeReader)> {
    let mut settings = tempfile::NamedTempFile::new()?;
    let (reader, writer) = std::io::pipe()?;
    let server = Unheard::start(writer, &["--config", &settings.path().display().to_string()]).await?;
    // The server logs a long line for each of these wrong settings: it names all settings that there are.
    for number in 0..2000 {
        writeln!(settings, "no{number} = 1")?;
    }
    server.signal(Signal::SIGHUP)?;
    eventually("lost lines are counted", true, async || Ok(server.operator.metric(LOST).await? >= 100.0))
        .await?;
    server.serves().await?;
    Ok((server, reader))
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_until_later() -> anyhow::Result<()> {
    let (server, reader) = unread().await?;
    let (say, mut said) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).try_for_each(|line| say.send(line))
    });
    soon("the line that says it", async {
        while let Some(line) = said.recv().await {
            if line.contains("lost: they came quicker than they could be written") {
                return Ok(());
            }
        }
        anyhow::bail!("the log ended without it")
    })
    .await??;
    server.serves().await
}

#[tokio::test]
async fn a_stop_waits_for_no_reader() -> anyhow::Result<()> {
    let (server, _reader) = unread().await?;
    is_served(server).await
}

#[tokio::test]
async fn a_small_disk_that_has_room_again() -> anyhow::Result<()> {
    const TEST: &str = "a_small_disk_that_has_room_again";
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    // The file system exists only for the server's process, and ends with it.
    let script = r#"mount -t tmpfs -o size=16k tmpfs "$0" && head -c 12k /dev/zero >"$0/filler" && exec "$@" 2>"$0/log""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, &place]).arg(server_binary()?);
    if !nix::unistd::geteuid().is_root() {
        skip(TEST, "no file system of its own without root");
        return Ok(());
    }
    let server = Unheard::start_by(command, &["--log", "debug"]).await?;
    eventually("the disk is full", true, async || {
        server.serves().await?;
        Ok(server.operator.metric(LOST).await? >= 1.0)
    })
    .await?;
    let seen_from_inside = format!("/proc/{}/root{place}", server.process.id().unwrap_or_default());
    std::fs::remove_file(format!("{seen_from_inside}/filler"))?;
    eventually("the log says so", true, async || {
        let log = std::fs::read_to_string(format!("{seen_from_inside}/log"))?;
        // The line speaks of one lost line or of several.
        Ok(log.contains(" of the log w") && log.contains(" lost: No space left on device"))
    })
    .await
}
