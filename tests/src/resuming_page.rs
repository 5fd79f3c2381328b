//! A page that speaks the subprotocol `gateway.2` and comes back, by the state machine of gateway-wire.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{
    AskId, ClientEnd, GapReason, Header, InboxMessage, InboxPosition, Init, Opened, ResumeOffer, escape,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::frame::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::{PATIENCE, soon};

/// The pause before a page tries again.
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// What comes from the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromInbox {
    Message { is_new: bool, at: InboxPosition, id: String, message: String },
    Lost(u64),
}

/// A page of one browser tab, over all its connections.
pub struct ResumingPage<S = TcpStream> {
    pub end: ClientEnd<String>,
    pub socket: Option<WebSocketStream<S>>,
    /// The init of the newest connection.
    pub init: Option<Init>,
    /// The questions that have come and were not looked at.
    questions: VecDeque<(AskId, String)>,
    /// The messages of the inbox, and what was lost of it, that have come and were not looked at.
    inbox: VecDeque<FromInbox>,
    /// What each connection has meant, in their order.
    pub opened: Vec<Opened<String>>,
    /// Whether the page says what it has seen. One that does not is a lie that the server has to bear.
    pub tells: bool,
    start: Instant,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Default for ResumingPage<S> {
    fn default() -> Self {
        let (end, start) = (ClientEnd::default(), Instant::now());
        Self {
            end,
            socket: None,
            init: None,
            questions: VecDeque::new(),
            inbox: VecDeque::new(),
            opened: Vec::new(),
            tells: true,
            start,
        }
    }
}

impl ResumingPage {
    /// Connects for the first time, or comes back, over TCP.
    pub async fn connect(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        self.over(tcp, "/", &[]).await
    }

    /// A page of this device that has just connected.
    pub async fn of_device(address: SocketAddr, device: &str) -> anyhow::Result<Self> {
        let mut page = Self::default();
        let tcp = soon("connecting", TcpStream::connect(address)).await??;
        page.over(tcp, &format!("/?device={device}"), &[]).await?;
        Ok(page)
    }

    /// Connects as a page does that is asked to try again: until it may come back.
    pub async fn come_back(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        self.come_back_at(|| address).await
    }

    /// Does the same with an address that may be another one at each attempt.
    pub async fn come_back_at(&mut self, mut address: impl FnMut() -> SocketAddr) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            match self.connect(address()).await {
                Err(_) if start.elapsed() < PATIENCE => tokio::time::sleep(TRY_AGAIN).await,
                done => return done,
            }
        }
    }

    /// A page that has just connected.
    pub async fn connected(address: SocketAddr) -> anyhow::Result<Self> {
        let mut page = Self::default();
        page.connect(address).await?;
        Ok(page)
    }

    /// Cuts the connection by a reset, at once, and unread.
    pub fn reset(&mut self) -> anyhow::Result<()> {
        let Some(socket) = self.socket.take() else { return Ok(()) };
        self.end.cut();
        Ok(socket.get_ref().set_zero_linger()?)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> ResumingPage<S> {
    /// Connects for the first time, or comes back, over a connection that is open.
    pub async fn over(
        &mut self,
        stream: S,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<()> {
        let offer = self.end.offer();
        self.over_with(stream, path, headers, offer).await
    }

    /// Does the same as [`ResumingPage::over`] with an offer that may be false.
    pub async fn over_with(
        &mut self,
        stream: S,
        path: &str,
        headers: &[(&'static str, &str)],
        offer: Option<ResumeOffer>,
    ) -> anyhow::Result<()> {
        self.end.cut();
        self.socket = None;
        let mut request = format!("ws://localhost{path}").into_client_request()?;
        let resume = offer.map(|offer| format!(", {}", offer.to_subprotocol())).unwrap_or_default();
        let protocols = format!("gateway.2, gateway{resume}");
        request.headers_mut().insert("sec-websocket-protocol", protocols.parse()?);
        for (name, value) in headers {
            request.headers_mut().append(*name, value.parse()?);
        }
        let handshake = tokio_tungstenite::client_async(request, stream);
        let (socket, response) = soon("the websocket handshake", handshake).await??;
        anyhow::ensure!(response.headers()["sec-websocket-protocol"] == "gateway.2");
        self.socket = Some(socket);
        let init = match self.message().await? {
            Message::Text(init) => init,
            other => bail!("{other:?} instead of an init"),
        };
        let init: Init = serde_json::from_str(&init).with_context(|| format!("the init {init}"))?;
        let (opened, seen, again) = self.end.open(&init)?;
        self.init = Some(init);
        self.opened.push(opened);
        if self.tells {
            self.say(&seen.to_string()).await?;
        }
        for message in again {
            self.say(&message).await?;
        }
        Ok(())
    }

    pub fn id(&self) -> anyhow::Result<ClientId> {
        Ok(self.init.as_ref().context("no init yet")?.client_id.parse()?)
    }

    /// What the newest connection has meant.
    pub fn outcome(&self) -> &Opened<String> {
        &self.opened[self.opened.len() - 1]
    }

    /// The reason of the gap that the newest connection brought.
    pub fn gap(&self) -> Option<GapReason> {
        match self.outcome() {
            Opened::Gap { reason, .. } => *reason,
            Opened::First | Opened::Recovered { .. } => None,
        }
    }

    /// Waits for the application's next message.
    pub async fn text(&mut self) -> anyhow::Result<String> {
        loop {
            let text = match self.message().await? {
                Message::Text(text) => text,
                other => bail!("{other:?} instead of text"),
            };
            if let Some(message) = self.take(&text).await? {
                return Ok(message);
            }
        }
    }

    /// Takes a text message. Gives the application's message, if it is one.
    pub async fn take(&mut self, text: &Utf8Bytes) -> anyhow::Result<Option<String>> {
        let received = self.end.receive(text, self.start.elapsed())?;
        let message = received.message.map(str::to_owned);
        match received.header {
            Some(Header::Ask(id, question)) => self.questions.push_back((id, question.to_owned())),
            Some(Header::Inbox(InboxMessage { is_new, at, id, message })) => {
                let (id, message) = (id.to_owned(), message.to_owned());
                self.inbox.push_back(FromInbox::Message { is_new, at, id, message });
            }
            Some(Header::Lost(loss)) => self.inbox.push_back(FromInbox::Lost(loss.count)),
            Some(Header::Answer(..) | Header::Got(_) | Header::Read(_)) | None => {}
        }
        if let Some(reply) = received.reply.filter(|_| self.tells) {
            // The message has been taken even if the connection ends now, which the next read finds out.
            let _ = self.say(&reply.to_string()).await;
        }
        Ok(message)
    }

    /// Waits for the next message of the inbox.
    pub async fn inbox(&mut self) -> anyhow::Result<FromInbox> {
        loop {
            if let Some(message) = self.inbox.pop_front() {
                return Ok(message);
            }
            match self.message().await? {
                Message::Text(text) => {
                    anyhow::ensure!(self.take(&text).await?.is_none(), "{text} comes before")
                }
                other => bail!("{other:?} instead of text"),
            }
        }
    }

    /// Waits for the next message of the inbox, says that it is handled, and gives what it says.
    pub async fn handle(&mut self) -> anyhow::Result<String> {
        match self.inbox().await? {
            FromInbox::Message { at, message, .. } => {
                self.say_counted(at.got()).await?;
                Ok(message)
            }
            FromInbox::Lost(count) => Ok(format!("lost {count}")),
        }
    }

    /// Sends a message with a header, or keeps it for the next connection.
    pub async fn say_counted(&mut self, text: String) -> anyhow::Result<()> {
        if self.end.answer(text.clone()) {
            self.say(&text).await?;
        }
        Ok(())
    }

    /// Waits for the next question.
    pub async fn question(&mut self) -> anyhow::Result<(AskId, String)> {
        loop {
            if let Some(question) = self.questions.pop_front() {
                return Ok(question);
            }
            match self.message().await? {
                Message::Text(text) => {
                    anyhow::ensure!(self.take(&text).await?.is_none(), "{text} comes before")
                }
                other => bail!("{other:?} instead of text"),
            }
        }
    }

    /// Waits for the next message of any kind except ping and pong.
    pub async fn message(&mut self) -> anyhow::Result<Message> {
        let socket = self.socket.as_mut().context("the page has no connection")?;
        soon("a message", async {
            loop {
                match socket.next().await.context("the connection ended")?? {
                    // tungstenite only queues the pong, so it has to be sent here.
                    Message::Ping(_) => socket.flush().await?,
                    Message::Pong(_) => {}
                    message => return anyhow::Ok(message),
                }
            }
        })
        .await?
    }

    /// Takes the close frame that must come next, behind control alone; gives its code and reason.
    pub async fn closed(&mut self) -> anyhow::Result<(u16, String)> {
        loop {
            match self.message().await? {
                Message::Close(Some(frame)) => return Ok((frame.code.into(), frame.reason.to_string())),
                Message::Text(text) if self.take(&text).await?.is_none() => {}
                other => bail!("{other:?} instead of a close frame with a code"),
            }
        }
    }

    /// Sends a message of the application, or keeps it for the next connection.
    pub async fn send(&mut self, message: &str) -> anyhow::Result<()> {
        let text = escape(message).into_owned();
        if self.end.send(text.clone()) {
            self.say(&text).await?;
        }
        Ok(())
    }

    /// Answers a question, now or over the next connection.
    pub async fn answer(&mut self, id: AskId, answer: &str) -> anyhow::Result<()> {
        self.say_counted(id.answer(answer)).await
    }

    /// Sends text as it is.
    pub async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        let socket = self.socket.as_mut().context("the page has no connection")?;
        Ok(soon("sending", socket.send(Message::text(text))).await??)
    }

    /// Closes the connection with a code, and waits until the server has closed the socket.
    pub async fn close(&mut self, code: u16) -> anyhow::Result<()> {
        let Some(mut socket) = self.socket.take() else { return Ok(()) };
        self.end.cut();
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        soon("closing", socket.close(Some(frame))).await??;
        soon("the connection's end", async {
            while let Some(Ok(message)) = socket.next().await {
                if let Message::Close(Some(answer)) = message {
                    anyhow::ensure!(u16::from(answer.code) == code, "{answer:?} answers {code}");
                }
            }
            Ok(())
        })
        .await?
    }
}
