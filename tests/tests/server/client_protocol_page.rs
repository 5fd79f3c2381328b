//! The sessions in docs/client-protocol.md, replayed against a real server byte for byte.

use std::collections::HashMap;

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{PhpPeer, Server, root, soon, store_folder};
use gateway_wire::bridge::{AnswerValue, Order, Query};
use serde_bytes::Bytes;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

/// The number of the question that PHP asks.
const QUESTION: u64 = 0x0123_4567_89ab_cdef;

const PROTOCOL: &str = "Sec-WebSocket-Protocol: ";

/// The values for which words in angle brackets stand, by the words.
#[derive(Default)]
struct Values(HashMap<String, String>);

impl Values {
    /// Puts the values in place of the words.
    fn fill(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, value)| text.replace(&format!("<{word}>"), value))
    }

    /// Compares what was expected with what came. A word that has no value yet gets it.
    fn learn(&mut self, expected: &str, came: &str) -> anyhow::Result<()> {
        let (mut left, mut right) = (self.fill(expected), came);
        while let Some((before, rest)) = left.split_once('<') {
            let (word, behind) = rest.split_once('>').context("a word without an end")?;
            let value =
                right.strip_prefix(before).with_context(|| format!("{came} instead of {expected}"))?;
            let end = behind.chars().next().context("nothing follows the word")?;
            let (value, rest) = value.split_once(end).with_context(|| format!("{came} is cut short"))?;
            ensure!(!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_hexdigit()), "{value}");
            ensure!(self.0.values().all(|other| other != value), "{value} stands for two words");
            self.0.insert(word.to_owned(), value.to_owned());
            right = &right[right.len() - rest.len() - end.len_utf8()..];
            left = self.fill(behind);
        }
        ensure!(left == right, "{came} instead of {expected}");
        Ok(())
    }
}

/// The first session on the page behind this heading.
fn session(heading: &str) -> anyhow::Result<String> {
    let page = std::fs::read_to_string(root().join("docs/client-protocol.md"))?;
    let session = page.split(heading).nth(1).and_then(|rest| rest.split("```\n").nth(1));
    session.map(str::to_owned).context("no session on the page")
}

/// Replays a session. Gives how many messages the server has said, and the values.
async fn replay(session: &str, server: &Server, php: &mut PhpPeer) -> anyhow::Result<(usize, Values)> {
    let mut values = Values::default();
    // The client that came last.
    let mut client = None;
    let mut socket: Option<WebSocketStream<TcpStream>> = None;
    let mut answered = String::new();
    let mut said = 0;
    for line in session.lines().filter(|line| !line.starts_with('#')) {
        let (who, text) = line.split_once("> ").unwrap_or((line, ""));
        match (who, text.strip_prefix(PROTOCOL)) {
            ("client", Some(offers)) => {
                let mut request = "ws://localhost/".into_client_request()?;
                request.headers_mut().insert("sec-websocket-protocol", values.fill(offers).parse()?);
                let tcp = TcpStream::connect(server.websocket).await?;
                let (opened, response) = tokio_tungstenite::client_async(request, tcp).await?;
                answered = response.headers()["sec-websocket-protocol"].to_str()?.to_owned();
                socket = Some(opened);
            }
            ("server", Some(protocol)) => ensure!(answered == protocol, "{answered} instead of {protocol}"),
            ("client", None) => {
                let socket = socket.as_mut().context("no connection")?;
                socket.send(Message::text(values.fill(text))).await?;
            }
            ("server", None) => {
                let socket = socket.as_mut().context("no connection")?;
                let came = soon(text, socket.next()).await?.context("the connection ended")??;
                values.learn(text, came.to_text()?)?;
                said += 1;
                if let Ok(init) = serde_json::from_str::<serde_json::Value>(came.to_text()?)
                    && init["type"] == "init"
                {
                    client = Some(init["client_id"].as_str().context("no client_id")?.parse()?);
                }
            }
            ("php", None) => {
                let client = client.context("no client yet")?;
                let message = Bytes::new(text.as_bytes());
                php.order(Order::SendToClient { client, message, raw: false }).await?;
                php.acked().await?;
            }
            ("asks", None) => {
                php.ask_page(QUESTION, client.context("no client yet")?, text).await?;
                php.acked().await?;
            }
            ("binds", None) => {
                php.bind(client.context("no client yet")?, text).await?;
            }
            ("delivers", None) => {
                let mut parts = text.splitn(3, ' ');
                let mut next = || parts.next().context("a uid, an id and a message are needed");
                php.deliver(next()?, next()?, next()?).await?;
                php.acked().await?;
            }
            ("leave", None) => {
                let mut socket = socket.take().context("no connection")?;
                let frame = CloseFrame { code: CloseCode::Away, reason: "".into() };
                socket.close(Some(frame)).await?;
                while let Some(Ok(_)) = soon("the end of the connection", socket.next()).await? {}
            }
            ("cut", None) => {
                let socket = socket.take().context("no connection")?;
                socket.get_ref().set_zero_linger()?;
            }
            _ => bail!("{line:?} is none of the lines that the page explains"),
        }
    }
    Ok((said, values))
}

#[tokio::test]
async fn the_session_on_the_page_is_what_a_server_says() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let (said, values) = replay(&session("## An example\n")?, &server, &mut php).await?;
    ensure!(said >= 9 && values.0.len() == 8, "{said} messages, {} values", values.0.len());
    let replies = php.ask(Query::Replies { id: QUESTION, wait: 0 }).await?;
    let AnswerValue::Map(replies) = replies else { bail!("{replies:?}") };
    ensure!(replies.len() == 1 && replies[0].1 == AnswerValue::Str(b"one".to_vec()), "{replies:?}");
    Ok(())
}

#[tokio::test]
async fn the_session_of_the_inbox_on_the_page_is_what_a_server_with_a_store_says() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let server = Server::start_with(|command| {
        command.arg("--store").arg(folder.path().join("store"));
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let (said, values) = replay(&session("## The inbox\n")?, &server, &mut php).await?;
    ensure!(said >= 6 && values.0.len() == 7, "{said} messages, {} values", values.0.len());
    Ok(())
}
