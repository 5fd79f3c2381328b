//! Handshakes that are under way when a server is upgraded: wherever their clients have halted, they go on in the process that serves.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Client, Halt, HaltingStream, Operator, PhpPeer, PlainClient, ResumingPage, Server, TestCertificate,
    WorkerPeer, children, eventually, soon,
};
use gateway_wire::client_protocol::{GapReason, Opened};
use gateway_wire::gatewayworker::EventCommand;
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::{Signal, kill};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;

const KEY: &str = "a key of thirty-two bytes or more";

/// The bytes after which clients halt, within a request and at its start.
const HALTS: [usize; 4] = [0, 1, 40, 120];

type HaltedClient = Client<HaltingStream<TcpStream>>;
type HaltedPage = ResumingPage<HaltingStream<TcpStream>>;
type Halted<T> = (Halt, JoinHandle<anyhow::Result<T>>);

/// A client whose handshake halts.
async fn halted_client(server: &Server, after: usize) -> anyhow::Result<Halted<HaltedClient>> {
    let (stream, halt) = HaltingStream::after(after, TcpStream::connect(server.websocket).await?);
    let client = tokio::spawn(Client::over(stream));
    halt.halted().await?;
    Ok((halt, client))
}

/// A page that comes, or comes back, and halts in its handshake.
async fn halted_page(
    server: &Server,
    mut page: HaltedPage,
    path: String,
    after: usize,
) -> anyhow::Result<Halted<HaltedPage>> {
    let (stream, halt) = HaltingStream::after(after, TcpStream::connect(server.websocket).await?);
    let page = tokio::spawn(async move {
        page.over(stream, &path, &[]).await?;
        Ok(page)
    });
    halt.halted().await?;
    Ok((halt, page))
}

/// A page that has come.
async fn page_at(server: &Server, path: &str) -> anyhow::Result<HaltedPage> {
    let (stream, _) = HaltingStream::after(usize::MAX, TcpStream::connect(server.websocket).await?);
    let mut page = HaltedPage::default();
    page.over(stream, path, &[]).await?;
    Ok(page)
}

async fn finish<T>((halt, task): Halted<T>) -> anyhow::Result<T> {
    halt.go_on();
    soon("the end of a handshake", task).await??
}

/// The number of handshakes that are under way in the serving process.
async fn handshakes(server: &Server, expected: usize) -> anyhow::Result<()> {
    let operator = Operator::of(server)?;
    eventually("handshakes under way", expected as u64, async || {
        let status = operator.json("/status").await?;
        let listeners = status["listeners"].as_array().context("listeners")?;
        Ok(listeners.iter().filter_map(|listener| listener["handshakes"].as_u64()).sum())
    })
    .await
}

/// Whether a client gets what PHP sends to it alone.
async fn is_served<S: AsyncRead + AsyncWrite + Unpin>(
    php: &mut PhpPeer,
    client: &mut Client<S>,
) -> anyhow::Result<()> {
    let uid = format!("uid of {}", client.id);
    php.bind(client.id, &uid).await?;
    php.send_to_uid(&uid, &uid).await?;
    php.acked().await?;
    ensure!(client.text().await? == uid);
    Ok(())
}

fn token(uid: &str, once: &str) -> anyhow::Result<String> {
    let expires = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() + 100;
    let claims = Claims { uid: uid.to_owned(), expires, once: Some(once.to_owned()), ..Claims::default() };
    Ok(format!("/?token={}", TokenKey::new(KEY.as_bytes()).mint(&claims)?))
}

async fn start(flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0", "--shards", "2"]).args(flags);
        command.env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_sent_a_part_of_a_request_is_served_by_the_new_process() -> anyhow::Result<()> {
    let mut server = start(&[]).await?;
    let mut halted = Vec::new();
    for after in HALTS {
        halted.push(halted_client(&server, after).await?);
    }
    handshakes(&server, HALTS.len()).await?;
    let old = server.pid()?;
    server.upgrade().await?;
    ensure!(server.pid()? != old);
    // The old process has nothing left to do, although nobody has gone on.
    assert!(server.exit().await?.success());
    handshakes(&server, HALTS.len()).await?;
    // A second upgrade passes on what the first has passed on.
    server.upgrade().await?;
    handshakes(&server, HALTS.len()).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut clients = Vec::new();
    for halted in halted {
        clients.push(finish(halted).await?);
    }
    for client in &mut clients {
        is_served(&mut php, client).await?;
    }
    // They are clients like any other in the next upgrade.
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["clients"] == HALTS.len(), "{upgraded}");
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for client in &mut clients {
        is_served(&mut php, client).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_judged_and_used_once() -> anyhow::Result<()> {
    let mut server = start(&["--require-token", "true"]).await?;
    let used = token("alice", "used before")?;
    page_at(&server, &used).await?;
    let fresh = token("bob", "used after")?;
    let page =
        async |path: &str, after| halted_page(&server, HaltedPage::default(), path.to_owned(), after).await;
    let (late, stale, bare) = (page(&fresh, 60).await?, page(&used, 60).await?, page("/", 60).await?);
    handshakes(&server, 3).await?;
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let late = finish(late).await?;
    assert_eq!(php.clients_of("bob").await?, [late.id()?]);
    for refused in [finish(stale).await, finish(bare).await, page_at(&server, &fresh).await] {
        let error = refused.err().context("it is let in")?.to_string();
        ensure!(error.contains("4401"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_comes_back_over_a_handshake_that_began_before() -> anyhow::Result<()> {
    let mut server = start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut halted = Vec::new();
    // One has lost its connection, and one has not noticed yet.
    for (number, is_away) in [true, false].into_iter().enumerate() {
        let mut page = page_at(&server, "/").await?;
        let (id, uid) = (page.id()?, format!("page {number}"));
        php.bind(id, &uid).await?;
        php.send_to_uid(&uid, "seen").await?;
        php.acked().await?;
        assert_eq!(page.text().await?, "seen");
        let kept = if is_away { None } else { page.socket.take() };
        page.socket = None;
        php.send_to_uid(&uid, "missed").await?;
        php.acked().await?;
        halted.push((id, uid, kept, halted_page(&server, page, "/".to_owned(), 60).await?));
    }
    // The secret of a client that has never been.
    let mut stranger = page_at(&start(&[]).await?, "/").await?;
    stranger.socket = None;
    let stranger = halted_page(&server, stranger, "/".to_owned(), 60).await?;
    handshakes(&server, 3).await?;
    server.upgrade().await?;
    assert!(server.exit().await?.success());
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for (id, uid, _kept, halted) in halted {
        php.send_to_uid(&uid, "new").await?;
        php.acked().await?;
        let mut page = finish(halted).await?;
        assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 2 }));
        assert_eq!((page.text().await?, page.text().await?), ("missed".to_owned(), "new".to_owned()));
    }
    ensure!(finish(stranger).await?.gap().is_some_and(|reason| reason != GapReason::Overflow));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_that_a_proxy_has_named_is_kept() -> anyhow::Result<()> {
    let mut server = start(&["--proxy-protocol", "true"]).await?;
    // Within the header, and within the request behind it.
    let mut halted = Vec::new();
    for (number, after) in [(1, 20), (2, 80)] {
        let (mut stream, halt) = HaltingStream::after(after, TcpStream::connect(server.websocket).await?);
        let client = tokio::spawn(async move {
            let header = format!("PROXY TCP4 192.0.2.{number} 198.51.100.1 4711 80\r\n");
            stream.write_all(header.as_bytes()).await?;
            Client::over(stream).await
        });
        halt.halted().await?;
        halted.push((number, (halt, client)));
    }
    handshakes(&server, halted.len()).await?;
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let operator = Operator::of(&server)?;
    for (number, halted) in halted {
        let mut client = finish(halted).await?;
        is_served(&mut php, &mut client).await?;
        let named = operator.json(&format!("/connections?address=192.0.2.{number}")).await?;
        ensure!(named.to_string().contains(&client.id.to_string()), "{named}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_get_the_request_of_who_began_before() -> anyhow::Result<()> {
    let mut server = start(&["--events", "workers"]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    server.logs("a worker joined").await?;
    let (stream, halt) = HaltingStream::after(30, TcpStream::connect(server.websocket).await?);
    let request = tokio_tungstenite::client_async("ws://localhost/room?number=7", stream);
    let opened = tokio::spawn(request);
    halt.halted().await?;
    handshakes(&server, 1).await?;
    server.upgrade().await?;
    halt.go_on();
    let (_socket, _) = soon("the handshake", opened).await???;
    assert_eq!(worker.told().await?.kind, EventCommand::Connect);
    let event = worker.told_of(EventCommand::WebsocketConnect).await?;
    let request = String::from_utf8_lossy(&event.body);
    ensure!(request.contains("/room?number=7"), "{request}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_handshake_of_tls_ends_in_the_old_process_and_the_client_is_the_new_ones() -> anyhow::Result<()>
{
    let certificate = Arc::new(TestCertificate::new()?);
    let flags = certificate.flags();
    let mut server = start(&flags.each_ref().map(String::as_str)).await?;
    // No byte of TLS, a part of the client's first message, and a part of its last.
    let mut halted = Vec::new();
    for after in [0, 100, 290] {
        let (stream, halt) = HaltingStream::after(after, TcpStream::connect(server.websocket).await?);
        let certificate = Arc::clone(&certificate);
        let client = tokio::spawn(async move { Client::over(certificate.over(stream).await?).await });
        halt.halted().await?;
        halted.push((halt, client));
    }
    // A part of the request, over TLS that is established.
    let tls = certificate.over(TcpStream::connect(server.websocket).await?).await?;
    let (stream, halt) = HaltingStream::after(40, tls);
    let within: JoinHandle<anyhow::Result<Client<HaltingStream<TlsStream<TcpStream>>>>> =
        tokio::spawn(Client::over(stream));
    halt.halted().await?;
    handshakes(&server, 4).await?;
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["relayed_clients"] == 0, "{upgraded}");
    // One had sent no byte, and one was done with TLS.
    handshakes(&server, 2).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut within = finish((halt, within)).await?;
    is_served(&mut php, &mut within).await?;
    let mut clients = Vec::new();
    for halted in halted {
        clients.push(finish(halted).await?);
    }
    for client in &mut clients {
        is_served(&mut php, client).await?;
    }
    let operator = Operator::of(&server)?;
    let relayed = async || Ok(operator.json("/status").await?["relays"][0]["clients"].as_u64());
    eventually("the relay's clients", Some(3), relayed).await?;
    // The address is the client's, and not that of the pair.
    let connections = operator.json("/connections").await?.to_string();
    ensure!(connections.matches("127.0.0.1:").count() >= 4, "{connections}");
    // The process after the next hears of that relay too.
    let upgraded = server.upgrade().await?;
    ensure!(upgraded["clients"] == 4 && upgraded["relayed_clients"] == 1, "{upgraded}");
    let relays = async || {
        let status = operator.json("/status").await?;
        let relays = status["relays"].as_array().context("relays")?;
        let mut clients: Vec<_> = relays.iter().filter_map(|relay| relay["clients"].as_u64()).collect();
        clients.sort_unstable();
        Ok(clients)
    };
    eventually("two relays", vec![1, 3], relays).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    is_served(&mut php, &mut within).await?;
    for mut client in clients {
        is_served(&mut php, &mut client).await?;
        client.leave().await?;
    }
    within.leave().await?;
    // The first process ends with its last client, and the serving one forgets it.
    assert!(server.exit().await?.success());
    eventually("no relay", vec![], relays).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_never_goes_on_keeps_no_process() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let flags = [&flags.each_ref().map(String::as_str)[..], &["--handshake-timeout", "2"]].concat();
    let mut server = start(&flags).await?;
    let mut strangers = Vec::new();
    // The first bytes of a handshake of TLS, which the old process has to wait for.
    for bytes in [&b"\x16\x03\x01\x01\x00\x01\x00"[..], b"\x16", b""] {
        let mut stranger = PlainClient::connect(server.websocket).await?;
        stranger.write(bytes).await?;
        strangers.push(stranger);
    }
    handshakes(&server, 3).await?;
    let start = Instant::now();
    let upgraded = server.upgrade().await?;
    ensure!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    ensure!(upgraded["pause_seconds"].as_f64().is_some_and(|pause| pause < 1.0), "{upgraded}");
    certificate.connect(server.websocket).await?.leave().await?;
    assert!(server.exit().await?.success());
    for stranger in &mut strangers {
        stranger.ended().await?;
    }
    handshakes(&server, 0).await
}

/// Clients come all the time, and halt for a moment, while upgrades follow each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_during_upgrades_is_served() -> anyhow::Result<()> {
    const UPGRADES: usize = 10;
    const COMERS: usize = 12;
    let certificate = Arc::new(TestCertificate::new()?);
    let (mut plain, flags) = (start(&[]).await?, certificate.flags());
    let mut secured = start(&flags.each_ref().map(String::as_str)).await?;
    let (done, all) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let mut comers = Vec::new();
    for number in 0..COMERS {
        let (done, all, certificate) = (Arc::clone(&done), Arc::clone(&all), Arc::clone(&certificate));
        let (plain, secured) = (plain.websocket, secured.websocket);
        comers.push(tokio::spawn(async move {
            let mut came = 0;
            while !done.load(Ordering::Relaxed) {
                let address = if number % 2 == 0 { plain } else { secured };
                let after = (number * 37 + came * 61) % 400;
                let (stream, halt) = HaltingStream::after(after, TcpStream::connect(address).await?);
                let going_on = tokio::spawn(async move {
                    let halted = tokio::time::timeout(Duration::from_millis(20), halt.halted()).await;
                    halt.go_on();
                    halted.is_ok()
                });
                if number % 2 == 0 {
                    Client::over(stream).await?.leave().await?;
                } else {
                    Client::over(certificate.over(stream).await?).await?.leave().await?;
                }
                going_on.await?;
                came += 1;
                all.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        }));
    }
    let mut upgrades = 0;
    while upgrades < UPGRADES || all.load(Ordering::Relaxed) < COMERS * UPGRADES {
        let (one, other) = tokio::join!(plain.upgrade(), secured.upgrade());
        eprintln!("{} {}", one?, other?);
        upgrades += 1;
        let came = all.load(Ordering::Relaxed);
        ensure!(upgrades < 20 * UPGRADES, "only {came} have come during {upgrades} upgrades");
    }
    done.store(true, Ordering::Relaxed);
    for comer in comers {
        comer.await??;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_an_upgrade_is_given_up_they_go_on_in_the_old_process() -> anyhow::Result<()> {
    let server = start(&[]).await?;
    let old = server.pid()?;
    let mut kept = 0;
    for moment in (0..30).map(Duration::from_millis) {
        let before = children(old)?;
        let mut halted = vec![
            halted_client(&server, 40).await?,
            halted_client(&server, 120).await?,
            halted_client(&server, 0).await?,
        ];
        handshakes(&server, halted.len()).await?;
        let operator = Operator::of(&server)?;
        let answer = tokio::spawn(async move { operator.ask("POST", "/upgrade", "").await });
        let started = Instant::now();
        let new = loop {
            if let Some(new) = children(old)?.into_iter().find(|child| !before.contains(child)) {
                break new;
            }
            ensure!(started.elapsed() < Duration::from_secs(10), "no new process");
            tokio::task::yield_now().await;
        };
        tokio::time::sleep(moment).await;
        // It comes to the gate while that may be closed.
        let early = halted.remove(0);
        early.0.go_on();
        // One that has taken over already is not killed.
        if answer.is_finished() {
            kill(new, Signal::SIGKILL)?;
            break;
        }
        kill(new, Signal::SIGKILL)?;
        let answer = soon("the answer", answer).await???;
        if answer.status == 200 {
            break;
        }
        ensure!(answer.status == 409, "{answer:?}");
        kept += 1;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        halted.push(early);
        for halted in halted {
            let mut client = finish(halted).await?;
            is_served(&mut php, &mut client).await?;
            client.leave().await?;
        }
    }
    eprintln!("{kept} upgrades were given up");
    ensure!(kept >= 5, "only {kept} were killed in time");
    Ok(())
}
