//! A page that comes back has missed nothing: what was pushed while it was away, while its connection was dying, and what it sent
//! itself.

use gateway_tests::{
    Operator, PhpPeer, ReceivedEvent, ResumingPage, Server, TestCertificate, WorkerPeer, eventually,
};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query};
use gateway_wire::client_protocol::{GapReason, Opened};
use gateway_wire::gatewayworker::EventCommand;
use serde_bytes::Bytes;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

fn text(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

async fn is_uid_online(php: &mut PhpPeer, uid: &str) -> anyhow::Result<bool> {
    Ok(php.ask(Query::IsUidOnline { uid: text(uid) }).await? == AnswerValue::Bool(true))
}

/// Waits until the server has parked so many clients.
pub(crate) async fn parked(server: &Server, count: usize) -> anyhow::Result<()> {
    eventually("parked clients", count as f64, async || metric(server, "gateway_parked_clients").await).await
}

/// The value of a metric now.
pub(crate) async fn metric(server: &Server, name: &str) -> anyhow::Result<f64> {
    Operator::of(server)?.metric(name).await
}

/// The next event of one client.
async fn next_event(worker: &mut WorkerPeer, client: ClientId) -> anyhow::Result<ReceivedEvent> {
    loop {
        let event = worker.told().await?;
        if event.client == client {
            return Ok(event);
        }
    }
}

/// A server with these flags and an operations port, and a PHP process that is logged in.
pub(crate) async fn start(flags: &[&str]) -> anyhow::Result<(Server, PhpPeer)> {
    let server = Server::start(&[&["--operations", "127.0.0.1:0"], flags].concat()).await?;
    let php = PhpPeer::connect(server.register[0]).await?;
    Ok((server, php))
}

#[tokio::test]
async fn what_was_pushed_meanwhile_comes_before_what_is_new() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--shards", "2"]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    php.bind(id, "alice").await?;
    php.order(Order::JoinGroup { client: id, group: text("red") }).await?;
    php.send_to_uid("alice", "before").await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "before");
    let mut expected = Vec::new();
    for round in 0..5 {
        page.reset()?;
        parked(&server, 1).await?;
        assert!(is_uid_online(&mut php, "alice").await?);
        assert_eq!(php.clients_of("alice").await?, [id]);
        assert_eq!(php.count().await?, AnswerValue::Int(1));
        for number in 0..30 {
            let message = format!("{round}.{number}");
            match number % 4 {
                0 => php.send_to_uid("alice", &message).await?,
                1 => php.send_to_all(&message).await?,
                2 => {
                    let (groups, except) = ([text("red")].into(), vec![]);
                    php.order(Order::SendToGroups { groups, except, message: text(&message), raw: false })
                        .await?;
                }
                _ => {
                    php.order(Order::SendToClient { client: id, message: text(&message), raw: false })
                        .await?;
                }
            }
            expected.push(message);
        }
        php.acked().await?;
        page.connect(server.websocket).await?;
        assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 30 }));
        php.send_to_uid("alice", "new").await?;
        expected.push("new".to_owned());
        for expected in expected.drain(..) {
            assert_eq!(page.text().await?, expected);
        }
        parked(&server, 0).await?;
    }
    Ok(())
}

#[tokio::test]
async fn what_the_connection_lost_on_its_way_is_sent_again() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.bind(page.id()?, "alice").await?;
    // The page has taken none of these when its connection is reset, though the server has written them.
    for number in 0..40 {
        php.send_to_uid("alice", &format!("{number}")).await?;
    }
    php.acked().await?;
    for number in 0..10 {
        assert_eq!(page.text().await?, format!("{number}"));
    }
    page.reset()?;
    page.connect(server.websocket).await?;
    assert_eq!(page.outcome(), &Opened::Recovered { missed: 30 });
    for number in 10..40 {
        assert_eq!(page.text().await?, format!("{number}"));
    }
    Ok(())
}

#[tokio::test]
async fn an_attempt_that_comes_late_does_not_lock_the_page_out() -> anyhow::Result<()> {
    let (server, _php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let (id, early) = (page.id()?, page.end.offer());
    page.reset()?;
    // The page has its new secret, and nothing that it says on this connection is read before its own earlier attempt arrives.
    page.tells = false;
    page.connect(server.websocket).await?;
    let mut late = ResumingPage::<TcpStream>::default();
    late.tells = false;
    late.end = page.end.clone();
    let tcp = TcpStream::connect(server.websocket).await?;
    late.over_with(tcp, "/", &[], early).await?;
    assert_eq!(late.id()?, id);
    page.connect(server.websocket).await?;
    assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 0 }));
    Ok(())
}

#[tokio::test]
async fn a_page_replaces_a_connection_that_the_server_believes_in() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.bind(page.id()?, "alice").await?;
    let mut old = Vec::new();
    for round in 0..10 {
        // The old connection stays open at both ends.
        old.extend(page.socket.take());
        php.send_to_uid("alice", &format!("{round}")).await?;
        php.acked().await?;
        page.connect(server.websocket).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 1 });
        assert_eq!(page.text().await?, format!("{round}"));
    }
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    Ok(())
}

#[tokio::test]
async fn each_message_of_the_page_reaches_the_worker_once_and_nobody_hears_of_the_cuts() -> anyhow::Result<()>
{
    let (server, _php) = start(&["--events", "workers"]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    eventually("the worker is known", true, async || {
        let mut page = ResumingPage::<TcpStream>::default();
        Ok(page.connect(server.websocket).await.is_ok())
    })
    .await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    while next_event(&mut worker, id).await?.kind != EventCommand::WebsocketConnect {}
    for number in 0..100 {
        page.send(&format!("{number}")).await?;
        if number % 7 == 0 {
            page.reset()?;
        } else if number % 7 == 3 {
            page.connect(server.websocket).await?;
        }
    }
    page.connect(server.websocket).await?;
    let mut heard = Vec::new();
    while heard.len() < 100 {
        let event = next_event(&mut worker, id).await?;
        assert_eq!(event.kind, EventCommand::Message);
        heard.push(String::from_utf8(event.body)?);
    }
    assert_eq!(heard, (0..100).map(|number| number.to_string()).collect::<Vec<_>>());
    page.close(1000).await?;
    assert_eq!(next_event(&mut worker, id).await?.kind, EventCommand::Close);
    Ok(())
}

#[tokio::test]
async fn who_stays_away_too_long_is_gone_and_is_told() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--events", "workers", "--resume-seconds", "0.3"]).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    let mut page = ResumingPage::<TcpStream>::default();
    while page.connect(server.websocket).await.is_err() {}
    let id = page.id()?;
    php.bind(id, "alice").await?;
    php.acked().await?;
    page.reset()?;
    let mut kinds = Vec::new();
    while kinds.last() != Some(&EventCommand::Close) {
        kinds.push(next_event(&mut worker, id).await?.kind);
    }
    use EventCommand::{Close, Connect, WebsocketConnect};
    assert_eq!(kinds, [Connect, WebsocketConnect, Close]);
    assert!(!is_uid_online(&mut php, "alice").await?);
    page.connect(server.websocket).await?;
    assert_ne!(page.id()?, id);
    assert_eq!(page.gap(), Some(GapReason::Expired));
    assert_eq!(page.init.as_ref().map(|init| (init.seen, init.missed)), Some((0, 0)));
    Ok(())
}

#[tokio::test]
async fn without_parking_there_is_no_secret_and_the_end_is_the_end() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--resume-seconds", "0"]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    assert_eq!(page.init.as_ref().unwrap().resume, None);
    php.bind(page.id()?, "alice").await?;
    php.send_to_uid("alice", "gateway:x").await?;
    php.acked().await?;
    assert_eq!(page.text().await?, "gateway:x");
    page.reset()?;
    eventually("alice is offline", false, async || is_uid_online(&mut php, "alice").await).await?;
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), None);
    Ok(())
}

#[tokio::test]
async fn the_page_says_by_its_close_code_whether_it_comes_back() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    for (code, comes_back) in [(1000, false), (1001, false), (4900, true), (3000, true), (1011, true)] {
        let mut page = ResumingPage::connected(server.websocket).await?;
        php.bind(page.id()?, "alice").await?;
        php.acked().await?;
        page.close(code).await?;
        assert_eq!(is_uid_online(&mut php, "alice").await?, comes_back, "{code}");
        php.send_to_uid("alice", "meanwhile").await?;
        php.acked().await?;
        page.connect(server.websocket).await?;
        if comes_back {
            assert_eq!(page.text().await?, "meanwhile");
        } else {
            assert_eq!(page.gap(), Some(GapReason::Expired), "{code}");
        }
        page.close(1000).await?;
    }
    Ok(())
}

#[tokio::test]
async fn who_was_closed_while_away_gets_the_rest_and_the_close() -> anyhow::Result<()> {
    let (server, mut php) = start(&[]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    let id = page.id()?;
    php.bind(id, "alice").await?;
    page.reset()?;
    parked(&server, 1).await?;
    php.send_to_uid("alice", "missed").await?;
    php.order(Order::Close { client: id, last: Some(text("bye")) }).await?;
    php.acked().await?;
    assert!(!is_uid_online(&mut php, "alice").await?);
    assert_eq!(php.ask(Query::IsOnline { client: id }).await?, AnswerValue::Bool(false));
    page.connect(server.websocket).await?;
    assert_eq!((page.id()?, page.outcome()), (id, &Opened::Recovered { missed: 2 }));
    assert_eq!([page.text().await?, page.text().await?], ["missed", "bye"]);
    assert_eq!(page.closed().await?, (1000, String::new()));
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Closed));
    let other = page.id()?;
    page.reset()?;
    parked(&server, 1).await?;
    php.order(Order::Destroy { client: other }).await?;
    php.acked().await?;
    page.connect(server.websocket).await?;
    assert_eq!(page.gap(), Some(GapReason::Closed));
    Ok(())
}

#[tokio::test]
async fn a_page_may_come_back_with_compression_or_without() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--deflate", "true"]).await?;
    let long = "a message that is long enough to be compressed ".repeat(20);
    let deflate = ("sec-websocket-extensions", "permessage-deflate");
    // The test's websocket does not inflate, so it takes compressed frames for a violation: this page reads by hand.
    let tcp = TcpStream::connect(server.websocket).await?;
    let mut request =
        tokio_tungstenite::tungstenite::client::IntoClientRequest::into_client_request("ws://localhost/")?;
    request.headers_mut().insert("sec-websocket-protocol", "gateway.2".parse()?);
    request.headers_mut().insert(deflate.0, deflate.1.parse()?);
    let (mut compressed, _) = tokio_tungstenite::client_async(request, tcp).await?;
    let init = futures_util::StreamExt::next(&mut compressed).await.unwrap()?;
    let init: gateway_wire::client_protocol::Init = serde_json::from_str(init.to_text()?)?;
    php.bind(init.client_id.parse()?, "alice").await?;
    for number in 0..3 {
        php.send_to_uid("alice", &format!("{number} {long}")).await?;
        php.send_to_uid("alice", &format!("{number}")).await?;
    }
    php.acked().await?;
    compressed.get_ref().set_zero_linger()?;
    drop(compressed);
    let mut page = ResumingPage::<TcpStream>::default();
    let offer =
        gateway_wire::client_protocol::ResumeOffer { secret: init.resume.clone().unwrap().parse()?, seen: 0 };
    // The page has lived before, in the other connection.
    let first = gateway_wire::client_protocol::Init { resumed: false, ..init };
    let _ = page.end.open(&first)?;
    let tcp = TcpStream::connect(server.websocket).await?;
    page.over_with(tcp, "/", &[], Some(offer)).await?;
    for number in 0..3 {
        assert_eq!(page.text().await?, format!("{number} {long}"));
        assert_eq!(page.text().await?, format!("{number}"));
    }
    Ok(())
}

#[tokio::test]
async fn over_tls() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let (server, mut php) = start(&flags.each_ref().map(String::as_str)).await?;
    let mut page = ResumingPage::default();
    let connect = async || {
        let tcp = TcpStream::connect(server.websocket).await?;
        certificate.over(tcp).await
    };
    page.over(connect().await?, "/", &[]).await?;
    php.bind(page.id()?, "alice").await?;
    for round in 0..3 {
        php.send_to_uid("alice", &format!("unread {round}")).await?;
        php.acked().await?;
        if let Some(socket) = page.socket.take() {
            socket.get_ref().get_ref().0.set_zero_linger()?;
        }
        php.send_to_uid("alice", &format!("meanwhile {round}")).await?;
        php.acked().await?;
        page.over(connect().await?, "/", &[]).await?;
        assert_eq!(page.outcome(), &Opened::Recovered { missed: 2 });
        assert_eq!(
            [page.text().await?, page.text().await?],
            [format!("unread {round}"), format!("meanwhile {round}")]
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_client_that_reads_too_slowly_is_closed_and_may_come_back_for_all_of_it() -> anyhow::Result<()> {
    let (server, mut php) = start(&["--outbox-bytes", "100000", "--resume-messages", "100000"]).await?;
    let mut page = ResumingPage::connected(server.websocket).await?;
    php.bind(page.id()?, "alice").await?;
    let mut sent = 0;
    let long = "x".repeat(5000);
    while sent < 20_000 {
        for _ in 0..100 {
            php.send_to_uid("alice", &format!("{sent} {long}")).await?;
            sent += 1;
        }
        php.acked().await?;
        if metric(&server, "gateway_parked_clients").await? == 1.0 {
            break;
        }
    }
    parked(&server, 1).await?;
    // What the kernel has taken comes first, then the close frame.
    let mut next = 0;
    loop {
        match page.message().await? {
            Message::Text(message) => {
                if let Some(message) = page.take(&message).await? {
                    assert!(message.starts_with(&format!("{next} ")), "{}", &message[..9]);
                    next += 1;
                }
            }
            Message::Close(Some(frame)) => {
                assert_eq!(u16::from(frame.code), 4008);
                break;
            }
            other => anyhow::bail!("{other:?}"),
        }
    }
    assert!(next < sent, "{next} of {sent} had come before the close");
    page.connect(server.websocket).await?;
    match page.outcome() {
        Opened::Recovered { .. } => {
            for number in next..sent {
                assert!(page.text().await?.starts_with(&format!("{number} ")), "{number}");
            }
        }
        Opened::Gap { reason, .. } => assert_eq!(*reason, Some(GapReason::Overflow)),
        Opened::First => anyhow::bail!("the page was here before"),
    }
    Ok(())
}
