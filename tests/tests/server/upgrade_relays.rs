//! The relay that an upgrade leaves for clients which speak TLS: it ends when its time is over, and when the process that serves them
//! dies.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use gateway_tests::{
    HaltingStream, Operator, PhpPeer, ResumingPage, Server, TestCertificate, TlsClient, eventually, soon,
};
use gateway_wire::client_protocol::Opened;
use nix::sys::signal::Signal;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

/// The `relay_seconds` of these servers, and the time after which the second upgrade comes.
const LONGEST: Duration = Duration::from_secs(5);
const SECOND_UPGRADE: u64 = 2;

type Page = ResumingPage<TlsStream<TcpStream>>;

async fn start(certificate: &TestCertificate, flags: &[&str]) -> anyhow::Result<Server> {
    let tls = certificate.flags();
    let tls = tls.each_ref().map(String::as_str);
    Server::start(&[&tls[..], &["--operations", "127.0.0.1:0", "--shards", "2"], flags].concat()).await
}

async fn come(page: &mut Page, certificate: &TestCertificate, server: &Server) -> anyhow::Result<()> {
    page.over(certificate.over(TcpStream::connect(server.websocket).await?).await?, "/", &[]).await
}

/// Waits until the client is closed, in a task of its own. Gives when that was.
fn closing(mut client: TlsClient) -> JoinHandle<anyhow::Result<Instant>> {
    tokio::spawn(async move {
        ensure!(client.closed().await? == (1012, "come back".to_owned()));
        Ok(Instant::now())
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_relay_whose_time_is_over_are_to_come_back() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--relay-seconds", "5"]).await?;
    let operator = Operator::of(&server)?;
    let mut pages = Vec::new();
    for _ in 0..3 {
        let mut page = Page::default();
        come(&mut page, &certificate, &server).await?;
        pages.push(page);
    }
    let first = certificate.connect(server.websocket).await?;
    let upgraded_first = Instant::now();
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["relayed_clients"] == 4, "{upgraded}");
    let first = closing(first);
    let second = certificate.connect(server.websocket).await?;
    let is_old = async || {
        let status = operator.json("/status").await?;
        Ok(status["relays"][0]["age_seconds"].as_u64().is_some_and(|age| age >= SECOND_UPGRADE))
    };
    eventually("the relay has lasted for some time", true, is_old).await?;
    let upgraded_second = Instant::now();
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["clients"] == 5 && upgraded["relayed_clients"] == 1, "{upgraded}");
    let second = closing(second);
    let mut own = certificate.connect(server.websocket).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    // Each relay has its own time, also in the process after the next.
    for page in &mut pages {
        let id = page.id()?;
        ensure!(page.closed().await?.0 == 1012);
        ensure!(upgraded_first.elapsed() >= LONGEST, "{:?}", upgraded_first.elapsed());
        page.socket = None;
        php.bind(id, &id.to_string()).await?;
        php.send_to_uid(&id.to_string(), "missed").await?;
        php.acked().await?;
        come(page, &certificate, &server).await?;
        assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 1 }));
        assert_eq!(page.text().await?, "missed");
    }
    let (first, second) = (first.await??, second.await??);
    ensure!(first - upgraded_first >= LONGEST && second - upgraded_second >= LONGEST);
    ensure!(first < second, "the clients of the younger relay were closed first");
    // Both relays end, and the clients of the serving process stay.
    assert!(server.exit().await?.success());
    eventually("no relay", Some(0), async || {
        Ok(operator.json("/status").await?["relays"].as_array().map(Vec::len))
    })
    .await?;
    php.send_to_all("still here").await?;
    php.acked().await?;
    assert_eq!(own.text().await?, "still here");
    for page in &mut pages {
        assert_eq!(page.text().await?, "still here");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_serving_process_dies_its_relays_close_their_clients_and_end() -> anyhow::Result<()> {
    let certificate = Arc::new(TestCertificate::new()?);
    let mut server = start(&certificate, &["--handshake-timeout", "60"]).await?;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(certificate.connect(server.websocket).await?);
    }
    // Its handshake would take longer than anybody waits here.
    let (stream, halt) = HaltingStream::after(100, TcpStream::connect(server.websocket).await?);
    let halted = {
        let certificate = Arc::clone(&certificate);
        tokio::spawn(async move { certificate.over(stream).await })
    };
    halt.halted().await?;
    let operator = Operator::of(&server)?;
    eventually("a handshake", Some(1), async || {
        Ok(operator.json("/status").await?["listeners"][0]["handshakes"].as_u64())
    })
    .await?;
    for _ in 0..2 {
        server.upgrade().await?;
    }
    eventually("the relay", Some(5), async || {
        Ok(operator.json("/status").await?["relays"][0]["clients"].as_u64())
    })
    .await?;
    server.signal(Signal::SIGKILL)?;
    for client in &mut clients {
        client.gone().await?;
    }
    assert!(server.exit().await.context("the relay")?.success());
    halt.go_on();
    ensure!(soon("the end of the handshake", halted).await??.is_err());
    Ok(())
}
