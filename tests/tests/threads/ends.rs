//! Threads that end, one after the other or all with PHP, leave nothing behind and lose no order.

use std::time::{Duration, Instant};

use gateway_tests::{Client, PhpHost, Server, eventually};
use nix::sys::signal::Signal;

use crate::{UID, received, threaded_php};

const THREADS: usize = 16;
const ORDERS: u64 = 100;

/// Requests end at once here, so that what a thread has sent is on its way still when the thread ends.
const UNFLUSHED: &str = "gateway.flush_timeout=0";

#[tokio::test]
async fn threads_that_end_leave_no_thread_and_no_descriptor_and_lose_no_order() -> anyhow::Result<()> {
    const ROUNDS: u64 = 8;
    let test = "threads_that_end_leave_no_thread_and_no_descriptor_and_lose_no_order";
    let Some(php) = threaded_php(test) else { return Ok(()) };
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, UID).await?;
    let mut host = PhpHost::start(&php, &server, &[UNFLUSHED]).await?;

    let before = (host.threads()?, host.descriptors()?);
    for round in 0..ROUNDS {
        let argument = format!("{UID},{},{ORDERS}", round * ORDERS);
        host.run(THREADS, "push.php", &argument).await?;
        assert_eq!((host.threads()?, host.descriptors()?), before, "after round {round}");
    }
    let senders = received(&mut client, THREADS * (ROUNDS * ORDERS) as usize).await?;
    let expected: Vec<u64> = (0..ROUNDS * ORDERS).collect();
    assert_eq!(senders.len(), THREADS);
    for (sender, numbers) in senders {
        assert_eq!(numbers, expected, "thread {sender}");
    }
    assert_eq!(host.end().await?, "");
    Ok(())
}

#[tokio::test]
async fn threads_that_are_still_there_when_php_ends_lose_no_order() -> anyhow::Result<()> {
    let test = "threads_that_are_still_there_when_php_ends_lose_no_order";
    let Some(php) = threaded_php(test) else { return Ok(()) };
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, UID).await?;
    let mut host = PhpHost::start(&php, &server, &[UNFLUSHED]).await?;
    let before = (host.threads()?, host.descriptors()?);
    host.keep(THREADS, "push.php", &format!("{UID},0,{ORDERS}")).await?;
    host.command("end").await?;
    // PHP has freed the links of its threads, which themselves are the program's.
    assert_eq!((host.threads()?, host.descriptors()?), (before.0 + THREADS, before.1));
    let senders = received(&mut client, THREADS * ORDERS as usize).await?;
    assert!(senders.values().all(|numbers| numbers.iter().copied().eq(0..ORDERS)), "{senders:?}");
    assert_eq!(host.log()?, "");
    Ok(())
}

/// The end of PHP waits once, and not once a thread; what it could not deliver stands in PHP's log.
#[tokio::test]
async fn a_gateway_that_hangs_holds_the_end_of_php_up_for_a_bounded_time() -> anyhow::Result<()> {
    let test = "a_gateway_that_hangs_holds_the_end_of_php_up_for_a_bounded_time";
    let Some(php) = threaded_php(test) else { return Ok(()) };
    let server = Server::start(&[]).await?;
    let mut host = PhpHost::start(&php, &server, &[UNFLUSHED]).await?;
    let folder = tempfile::tempdir()?;
    let (connected, go_on) = (folder.path().join("connected"), folder.path().join("go on"));
    std::fs::write(&connected, "")?;
    let argument = format!("{UID},{},{}", connected.display(), go_on.display());
    let stop = async {
        eventually("threads that are connected", THREADS, async || {
            Ok(std::fs::read_to_string(&connected)?.lines().count())
        })
        .await?;
        server.signal(Signal::SIGSTOP)?;
        anyhow::Ok(std::fs::write(&go_on, "")?)
    };
    let (pushed, stopped) = tokio::join!(host.keep(THREADS, "wait_and_push.php", &argument), stop);
    pushed?;
    stopped?;

    let begin = Instant::now();
    host.command("end").await?;
    // Once a thread would be 16 seconds.
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    let log = host.log()?;
    let told = log.lines().filter(|line| line.contains("10 calls could not be delivered")).count();
    assert_eq!(told, THREADS, "{log}");
    Ok(())
}

/// The module begins anew with PHP, with other settings, and its links work.
#[tokio::test]
async fn php_can_end_and_start_again_in_a_process() -> anyhow::Result<()> {
    let Some(php) = threaded_php("php_can_end_and_start_again_in_a_process") else { return Ok(()) };
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, UID).await?;
    let mut host = PhpHost::start(&php, &server, &[UNFLUSHED]).await?;
    let before = (host.threads()?, host.descriptors()?);
    for round in 0..3 {
        host.run(THREADS, "push.php", &format!("{UID},{},{ORDERS}", round * ORDERS)).await?;
        host.command("restart").await?;
        assert_eq!((host.threads()?, host.descriptors()?), before, "after start {round}");
    }
    let senders = received(&mut client, THREADS * 3 * ORDERS as usize).await?;
    assert!(senders.values().all(|numbers| numbers.iter().copied().eq(0..3 * ORDERS)), "{senders:?}");
    assert_eq!(host.end().await?, "");
    Ok(())
}
