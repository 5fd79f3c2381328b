//! Pages whose connections are cut at random, over and over, while numbered messages come for them and from them: each message is there
//! once and in order, or the page is told of a gap.

use std::time::Duration;

use gateway_tests::{
    COURSE_FLAGS, CutCourse, CuttingProxy, Rng, Road, Server, TestCertificate, course_messages,
};
use nix::sys::signal::Signal;

/// The number of pages.
const PAGES: usize = 20;

/// Interrupts everybody's way: the server's process is stopped for a moment, or the proxy dies.
async fn disturb(server: &Server, road: &Road, rng: &mut Rng) -> anyhow::Result<()> {
    let time = Duration::from_millis(1 + rng.below(50) as u64);
    if rng.below(2) == 0 {
        return road.proxy.die_for(time).await;
    }
    server.signal(Signal::SIGSTOP)?;
    tokio::time::sleep(time).await;
    server.signal(Signal::SIGCONT)
}

/// Runs a course on a server with these flags, over a road that is made of a proxy.
async fn course(flags: &[&str], closes: bool, road: impl FnOnce(CuttingProxy) -> Road) -> anyhow::Result<()> {
    let mut server = Server::start(&[&COURSE_FLAGS, flags].concat()).await?;
    let road = road(CuttingProxy::start(server.websocket).await?);
    let course =
        CutCourse { server: &mut server, road, pages: PAGES, messages: course_messages(1000), closes };
    course.run(disturb).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_over_random_cuts() -> anyhow::Result<()> {
    course(&[], false, Road::plain).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_close_has_cost_is_one_gap_that_the_page_is_told_of() -> anyhow::Result<()> {
    course(&[], true, Road::plain).await
}

/// Connections that only seem to be there are found by pings, so that their clients are parked before their pages come back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_with_compression_and_pings() -> anyhow::Result<()> {
    let road = |proxy| Road { deflates: true, ..Road::plain(proxy) };
    course(&["--deflate", "true", "--ping-interval", "0.05"], true, road).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_doubled_over_tls() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let road = |proxy| Road { tls: Some(certificate), ..Road::plain(proxy) };
    course(&flags.each_ref().map(String::as_str), true, road).await
}
