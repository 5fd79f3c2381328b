//! Bursts of pushes, and clients that read slowly: a client that reads at all is served, however much waits for it.

use std::time::Duration;

use futures_util::future::try_join_all;
use gateway_tests::{Browser, Client, Firefox, Operator, PhpPeer, Server, Tab, TestCertificate, skip, soon};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::tungstenite::Message;

/// The number of messages that come at once, and the length in bytes of each.
const BURSTS: [(usize, usize); 4] = [(10, 300_000), (5, 900_000), (30, 100_000), (300, 5_000)];

/// A message of this length that ends with its number.
fn numbered(number: usize, length: usize) -> String {
    let number = number.to_string();
    "0".repeat(length - number.len()) + &number
}

/// A page in some browser.
trait Page {
    /// Runs a script in the page, and gives what it returns.
    async fn run(&mut self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value>;
}

impl Page for Tab {
    async fn run(&mut self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        self.script(script, arguments).await
    }
}

impl Page for Firefox {
    async fn run(&mut self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        self.script(script, arguments).await
    }
}

/// Connects a page. It keeps each message as [number, length], and the end of its connection as a text.
async fn connect(page: &mut impl Page, url: String) -> anyhow::Result<gateway_wire::ClientId> {
    let script = "const seen = window.seen = []; window.id = null;\
        const socket = window.socket = new WebSocket(arguments[0]);\
        socket.onmessage = ({data}) => {\
            if (window.id === null) window.id = JSON.parse(data).client_id; else seen.push([+data, data.length]);\
        };\
        socket.onclose = ({code, reason}) => seen.push(code + ' ' + reason);";
    page.run(script, vec![url.into()]).await?;
    loop {
        if let Some(id) = page.run("return window.id", vec![]).await?.as_str() {
            return Ok(id.parse()?);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn seen(page: &mut impl Page) -> anyhow::Result<Vec<Value>> {
    Ok(serde_json::from_value(page.run("return window.seen", vec![]).await?)?)
}

/// Pushes all bursts to a page that reads all the time.
async fn gets_all_bursts(page: &mut impl Page, server: &Server, scheme: &str) -> anyhow::Result<()> {
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for (count, length) in BURSTS {
        // Each burst is sent to the page by its uid, and then to all clients.
        for audience in ["uid", "all"] {
            let id = soon("the page's greeting", connect(page, format!("{scheme}://{}", server.websocket)))
                .await??;
            php.bind(id, "browser").await?;
            php.acked().await?;
            for number in 0..count {
                match audience {
                    "uid" => php.send_to_uid("browser", &numbered(number, length)).await?,
                    _ => php.send_to_all(&numbered(number, length)).await?,
                };
            }
            php.acked().await?;
            let all: Vec<_> = (0..count).map(|number| json!([number, length])).collect();
            let whole = async {
                loop {
                    let seen = seen(page).await?;
                    if let Some(end) = seen.iter().find(|one| one.is_string()) {
                        anyhow::bail!("{end} after {} messages of {length} bytes", seen.len() - 1);
                    }
                    if seen.len() >= all.len() {
                        return Ok(seen);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            let seen = soon(&format!("{count} messages of {length} bytes to {audience}"), whole).await??;
            assert_eq!(seen, all);
            php.close_client(id).await?;
        }
    }
    Ok(())
}

/// The address of a page of this machine. Any will do, but browsers do not let an empty page connect here.
fn page_of(server: &Server) -> anyhow::Result<String> {
    Ok(format!("http://{}/healthz", Operator::of(server)?.address))
}

const WITH_PAGES: [&str; 4] = ["--shards", "2", "--operations", "127.0.0.1:0"];

/// Starts a server with a certificate, which it has read by then.
async fn start_with_tls() -> anyhow::Result<Server> {
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    Server::start(&[&WITH_PAGES[..], &flags.each_ref().map(String::as_str)].concat()).await
}

#[tokio::test]
async fn chromium_gets_all_of_a_burst() -> anyhow::Result<()> {
    let server = Server::start(&WITH_PAGES).await?;
    let browser = Browser::start().await?;
    let mut tab = browser.open(&page_of(&server)?).await?;
    gets_all_bursts(&mut tab, &server, "ws").await?;
    let server = start_with_tls().await?;
    let mut tab = browser.open(&page_of(&server)?).await?;
    gets_all_bursts(&mut tab, &server, "wss").await
}

#[tokio::test]
async fn firefox_gets_all_of_a_burst() -> anyhow::Result<()> {
    let Some(mut firefox) = Firefox::start().await? else {
        skip("firefox_gets_all_of_a_burst", "there is no firefox-esr");
        return Ok(());
    };
    let server = Server::start(&WITH_PAGES).await?;
    firefox.open(&page_of(&server)?).await?;
    gets_all_bursts(&mut firefox, &server, "ws").await?;
    let server = start_with_tls().await?;
    firefox.open(&page_of(&server)?).await?;
    gets_all_bursts(&mut firefox, &server, "wss").await
}

#[tokio::test]
async fn whoever_makes_it_too_much_for_all_is_the_one_to_go() -> anyhow::Result<()> {
    // A single client may have so much waiting that only the bound for all clients counts.
    let flags = ["--shards", "2", "--max-outbox-bytes", "33554432", "--outbox-bytes", "1000000000"];
    let mut server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut readers = try_join_all((0..8).map(|_| Client::connect(server.websocket))).await?;
    let idle = try_join_all((0..8).map(|_| Client::connect(server.websocket))).await?;
    let greedy = try_join_all((0..4).map(|_| Client::connect(server.websocket))).await?;
    for client in readers.iter().chain(&idle) {
        php.bind(client.id, "crowd").await?;
    }
    for (number, client) in greedy.iter().enumerate() {
        php.bind(client.id, &format!("greedy-{number}")).await?;
    }
    // Some bytes also wait for the idle clients, which read nothing but have far less than the greedy ones.
    let (shared, own) = (numbered(0, 20_000), numbered(0, 1_000_000));
    for number in 0..greedy.len() {
        let uid = format!("greedy-{number}");
        while !php.clients_of(&uid).await?.is_empty() {
            php.send_to_uid(&uid, &own).await?;
            php.send_to_uid("crowd", &shared).await?;
            for reader in &mut readers {
                assert_eq!(reader.text().await?, shared);
            }
        }
        let line = server.logs("closed a client that reads too slowly").await?;
        assert!(line.contains("max_outbox_bytes"), "{line}");
        assert_eq!(php.clients_of("crowd").await?.len(), readers.len() + idle.len());
    }
    Ok(())
}

/// The timeouts are so short that a client which reads by these flags is past all of them before it has read everything.
const IMPATIENT: [&str; 8] = [
    "--outbox-timeout",
    "4",
    "--close-timeout",
    "4",
    "--ping-interval",
    "4",
    "--ping-not-response-limit",
    "1",
];

/// Connects with a small receive buffer, so that little of what the client does not read fits into its kernel.
async fn narrow(server: &Server) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(64 << 10)?;
    Ok(socket.connect(server.websocket).await?)
}

/// Gets 14 MB at once and reads them in about twelve seconds. A client that is closed right behind them gets them all, too.
async fn read_slowly<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    stream: S,
    is_closed: bool,
) -> anyhow::Result<()> {
    const MESSAGES: usize = 60;
    const LENGTH: usize = 230_000;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut client = Client::over(stream).await?;
    let uid = format!("slow-{is_closed}");
    php.bind(client.id, &uid).await?;
    for number in 0..MESSAGES {
        php.send_to_uid(&uid, &numbered(number, LENGTH)).await?;
    }
    if is_closed {
        let last = Some(Bytes::new(b"goodbye"));
        php.order(Order::Close { client: client.id, last }).await?;
    }
    php.acked().await?;
    for number in 0..MESSAGES {
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(client.text().await?, numbered(number, LENGTH));
    }
    if is_closed {
        assert_eq!(client.text().await?, "goodbye");
        assert_eq!(client.closed().await?.0, 1000);
        return client.gone().await;
    }
    assert_eq!(php.clients_of(&uid).await?, [client.id]);
    php.send_to_uid(&uid, "still here").await?;
    assert_eq!(client.text().await?, "still here");
    client.leave().await
}

#[tokio::test]
async fn one_that_reads_slowly_gets_all_however_long_it_takes() -> anyhow::Result<()> {
    let server = Server::start(&IMPATIENT).await?;
    let certificate = TestCertificate::new()?;
    let flags = certificate.flags();
    let flags: Vec<_> = flags.iter().map(String::as_str).chain(IMPATIENT).collect();
    let secured = Server::start(&flags).await?;
    let plain = async |is_closed| read_slowly(&server, narrow(&server).await?, is_closed).await;
    let tls = async |is_closed| {
        read_slowly(&secured, certificate.over(narrow(&secured).await?).await?, is_closed).await
    };
    tokio::try_join!(plain(false), plain(true), tls(false), tls(true))?;
    Ok(())
}

#[tokio::test]
async fn one_that_stops_is_closed_in_time() -> anyhow::Result<()> {
    let mut server = Server::start(&["--outbox-timeout", "1", "--ping-interval", "0"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut client = Client::over(narrow(&server).await?).await?;
    php.bind(client.id, "stops").await?;
    for number in 0..8 {
        php.send_to_uid("stops", &numbered(number, 1_000_000)).await?;
    }
    // The client reads two messages, and then nothing.
    for number in 0..2 {
        assert_eq!(client.text().await?, numbered(number, 1_000_000));
    }
    let line = server.logs("closed a client that reads too slowly").await?;
    assert!(line.contains("it took nothing for 1s (outbox_timeout)"), "{line}");
    assert!(php.clients_of("stops").await?.is_empty());
    // If the client reads on in time, it gets the message that had begun as a whole, and then the reason for its close.
    assert_eq!(client.text().await?, numbered(2, 1_000_000));
    let end = client.message().await?;
    assert!(matches!(&end, Message::Close(Some(close)) if u16::from(close.code) == 4008), "{end:?}");
    client.gone().await
}
