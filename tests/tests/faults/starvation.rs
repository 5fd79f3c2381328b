//! The machine gives a shard no processor for a while: the server says so and goes on, as that is no hang.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{Client, PhpPeer, Server, done};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// The threads that want the shard's processor. With each more, a thread of the class SCHED_IDLE waits some hundredths of a second longer for
/// it, and it is to wait for much more than five seconds.
const RIVALS: usize = 384;
/// Their priority, lower than that of all other threads, as other tests run on that processor too.
const PRIORITY: i32 = 10;
/// How many rounds without an answer the shard gets through here, where five with a processor end the process.
const ROUNDS: usize = 5;
/// The longest until it is without a processor for that long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Threads that keep one processor busy until this is dropped.
struct Rivals(Arc<AtomicBool>);

impl Rivals {
    fn on(core: CpuSet) -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        for _ in 0..RIVALS {
            let goes_on = Arc::clone(&goes_on);
            std::thread::spawn(move || {
                let moved = sched_setaffinity(Pid::from_raw(0), &core);
                // SAFETY: the call takes three numbers. Linux takes 0 for the calling thread.
                unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, PRIORITY) };
                while moved.is_ok() && goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(goes_on)
    }
}

impl Drop for Rivals {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// The last of the processors that this process may use, alone.
fn last_core() -> anyhow::Result<CpuSet> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let last = (0..CpuSet::count()).rev().find(|core| allowed.is_set(*core) == Ok(true));
    let mut alone = CpuSet::new();
    alone.set(last.context("no processor")?)?;
    Ok(alone)
}

/// The thread of a server's first shard.
fn shard_thread(server: &Server) -> anyhow::Result<Pid> {
    for thread in std::fs::read_dir(format!("/proc/{}/task", server.pid()?))? {
        let folder = thread?.path();
        if std::fs::read_to_string(folder.join("comm"))?.trim_end() == "shard-0" {
            return Ok(Pid::from_raw(folder.file_name().context("the thread")?.to_string_lossy().parse()?));
        }
    }
    anyhow::bail!("there is no thread shard-0")
}

#[tokio::test]
async fn a_shard_that_waits_for_a_processor_does_not_hang() -> anyhow::Result<()> {
    let mut server = Server::start(&["--shards", "1"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let (shard, core) = (shard_thread(&server)?, last_core()?);
    sched_setaffinity(shard, &core)?;
    done(Command::new("chrt").args(["--idle", "--pid", "0", &shard.to_string()]))?;
    let rivals = Rivals::on(core);
    let mut rounds = 0;
    tokio::time::timeout(PATIENCE, async {
        while rounds < ROUNDS {
            let line = server.logs("shard").await?;
            rounds = if line.contains("the shard answers again") { 0 } else { rounds + 1 };
        }
        anyhow::Ok(())
    })
    .await
    .context("the shard is not without a processor for long enough")??;
    drop(rivals);
    server.logs("the shard answers again").await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.send_to_all("still here").await?;
    assert_eq!(client.text().await?, "still here");
    Ok(())
}
