//! A page that takes numbered messages over connections that are cut at random, sends numbered messages itself, and notes all of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{ControlError, GapReason, MalformedInit, Opened};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use crate::cut_course::Road;
use crate::{Fate, PATIENCE, ResumingPage, Rng};

/// A connection of any kind.
pub(crate) trait Carrier: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Carrier for T {}

/// What a client gets with its close, and what stands before the number of everything else.
pub(crate) const BYE: &str = "bye";
/// What a page sends last.
pub(crate) const END: &str = "end";

/// The longest that a page waits for more of what was on its way when its connection was cut.
const LEFTOVERS: Duration = Duration::from_millis(5);
/// The pause between two attempts to connect, while the way to the server is interrupted.
const PAUSE: Duration = Duration::from_millis(5);
/// A page sends one message for so many that it takes.
const TAKES_A_SEND: usize = 5;

/// What a page has had as one client.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) id: ClientId,
    /// The numbers that it has taken, in their order.
    pub(crate) taken: Vec<usize>,
    /// Whether it has read the close of PHP's `closeClient`, and so everything before.
    pub(crate) read_the_close: bool,
}

/// The page, its road to the server, and its notes.
pub(crate) struct NumberedPage {
    pub(crate) number: usize,
    pub(crate) road: Arc<Road>,
    pub(crate) rng: Rng,
    pub(crate) page: ResumingPage<Box<dyn Carrier>>,
    pub(crate) lives: Vec<Life>,
    /// Where the page tells that it is a new client.
    pub(crate) born: mpsc::UnboundedSender<(usize, ClientId)>,
    /// The last number that the page has taken; none while it is a new client that has taken nothing.
    pub(crate) progress: watch::Sender<Option<usize>>,
    pub(crate) cuts: Arc<AtomicUsize>,
    /// How many messages the page has sent, or keeps until it can.
    pub(crate) sent: usize,
    /// Those of them of which a gap has left open whether they arrived.
    pub(crate) unconfirmed: BTreeSet<usize>,
    /// The address from which the newest connection comes.
    pub(crate) from: Option<SocketAddr>,
}

/// What a wait for the next message has brought.
#[derive(PartialEq)]
enum Heard {
    Taken(usize),
    /// Something else than a number.
    Other,
    Pong,
    Lost,
    Quiet,
}

impl NumberedPage {
    /// Takes messages until the one with the number `last` has come, and cuts the connection again and again.
    pub(crate) async fn run(mut self, last: usize) -> anyhow::Result<Self> {
        // The first connection may be cut before its first message.
        let early = (self.rng.below(2) == 0).then(|| Fate::AfterDown(self.rng.below(500)));
        self.open(early).await?;
        loop {
            for _ in 0..self.rng.below(100) {
                match self.hear(PATIENCE).await? {
                    Heard::Taken(number) if number == last => return self.finish().await,
                    Heard::Taken(_) if self.rng.below(TAKES_A_SEND) == 0 => self.send().await?,
                    Heard::Taken(_) | Heard::Other | Heard::Pong => {}
                    Heard::Lost => self.open(None).await?,
                    Heard::Quiet => {
                        let life = self.lives.last().map(|life| (life.id, life.taken.last()));
                        bail!("page {} from {:?}: nothing comes behind {life:?}", self.number, self.from);
                    }
                }
            }
            if self.cut(last).await? {
                return self.finish().await;
            }
        }
    }

    /// Cuts the connection in one of many ways, and comes back. Gives whether the last number has come meanwhile.
    async fn cut(&mut self, last: usize) -> anyhow::Result<bool> {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        let milliseconds = |rng: &mut Rng, most| Duration::from_millis(rng.below(most) as u64);
        let mut early = None;
        match self.rng.below(9) {
            0 => self.decide(Fate::Reset),
            // Both ends believe in the connection until the page comes back.
            1 => self.decide(Fate::Silence),
            2 => {}
            3 => {
                // The other cuts may hit this connection as well, and then its close is not answered.
                let _ = tokio::time::timeout(PATIENCE, self.page.close(4900)).await;
            }
            4 => {
                let bytes = self.rng.below(3000);
                self.decide(Fate::AfterDown(bytes));
            }
            5 => {
                let bytes = self.rng.below(60);
                self.decide(Fate::AfterUp(bytes));
                for _ in 0..self.rng.below(4) {
                    self.send().await?;
                }
            }
            // Nothing moves for a while, and then it goes on.
            6 => {
                let time = milliseconds(&mut self.rng, 30);
                self.decide(Fate::Stall(time));
                return Ok(false);
            }
            // The page's own process stands still.
            7 => {
                tokio::time::sleep(milliseconds(&mut self.rng, 30)).await;
                return Ok(false);
            }
            // The next connection is cut at once, wherever it is: in its handshake, in the init, or in what was missed.
            _ => {
                self.decide(Fate::Reset);
                early = Some(Fate::AfterDown(self.rng.below(1500)));
            }
        }
        // Some of what was on its way may still come, before the page notices or replaces the connection.
        let mut is_last = false;
        if early.is_none() && self.rng.below(2) == 0 {
            loop {
                match self.hear(LEFTOVERS).await? {
                    Heard::Taken(number) => is_last |= number == last,
                    Heard::Other | Heard::Pong => {}
                    Heard::Lost | Heard::Quiet => break,
                }
            }
        }
        self.page.socket = None;
        self.page.end.cut();
        if early.is_none() {
            if self.rng.below(4) == 0 {
                self.send().await?;
            }
            tokio::time::sleep(milliseconds(&mut self.rng, 10)).await;
        }
        self.open(early).await?;
        Ok(is_last)
    }

    fn decide(&self, fate: Fate) {
        if let Some(from) = self.from {
            self.road.proxy.decide(from, fate);
        }
    }

    /// Connects until it succeeds. The first attempt gets the fate `early` at once.
    async fn open(&mut self, mut early: Option<Fate>) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            let lives = self.page.opened.len();
            let opened = self.connect(early.take()).await;
            for at in lives..self.page.opened.len() {
                self.live(at)?;
            }
            let Err(error) = opened else { return Ok(()) };
            self.page.socket = None;
            self.page.end.cut();
            ensure!(!is_violation(&error), "page {}: {error:#}", self.number);
            if start.elapsed() > PATIENCE {
                return Err(error.context(format!("page {} cannot come back", self.number)));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn connect(&mut self, fate: Option<Fate>) -> anyhow::Result<()> {
        let (tcp, from) = self.road.proxy.connect(fate.unwrap_or(Fate::Forward)).await?;
        self.from = Some(from);
        let carrier = self.road.carry(tcp).await?;
        self.page.over(carrier, "/", self.road.headers()).await
    }

    /// Notes what a connection has meant.
    fn live(&mut self, at: usize) -> anyhow::Result<()> {
        match &self.page.opened[at] {
            Opened::Recovered { .. } => return Ok(()),
            Opened::First => ensure!(self.lives.is_empty(), "page {} is new again", self.number),
            Opened::Gap { reason, unconfirmed } => {
                ensure!(*reason == Some(GapReason::Closed), "page {}: a gap by {reason:?}", self.number);
                let numbers = unconfirmed.iter().map(|message| number_of(message));
                self.unconfirmed.extend(numbers.collect::<anyhow::Result<Vec<_>>>()?);
            }
        }
        let id = self.page.id()?;
        self.lives.push(Life { id, taken: Vec::new(), read_the_close: false });
        self.progress.send_replace(None);
        self.born.send((self.number, id)).context("nobody hears of new clients")
    }

    /// Waits for the next message, no longer than `patience`.
    async fn hear(&mut self, patience: Duration) -> anyhow::Result<Heard> {
        let Some(socket) = &mut self.page.socket else { return Ok(Heard::Lost) };
        match tokio::time::timeout(patience, socket.next()).await {
            Err(_) => Ok(Heard::Quiet),
            Ok(Some(Ok(Message::Text(text)))) => self.take(&text).await,
            Ok(Some(Ok(Message::Ping(_)))) => {
                // tungstenite only queues the pong. Whether the connection has ended is seen at the next read.
                let _ = socket.flush().await;
                Ok(Heard::Other)
            }
            Ok(Some(Ok(Message::Close(frame)))) => self.closed(frame.as_ref()),
            Ok(Some(Ok(other))) => bail!("{other:?} comes to page {}", self.number),
            Ok(Some(Err(error))) if !is_end(&error) => Err(error).context(format!("page {}", self.number)),
            Ok(Some(Err(_)) | None) => Ok(Heard::Lost),
        }
    }

    async fn take(&mut self, text: &Utf8Bytes) -> anyhow::Result<Heard> {
        if text.as_str() == "gateway:pong" {
            return Ok(Heard::Pong);
        }
        let Some(message) = self.page.take(text).await? else { return Ok(Heard::Other) };
        if message == BYE {
            return Ok(Heard::Other);
        }
        let number = number_of(&message)?;
        self.lives.last_mut().context("a message before an init")?.taken.push(number);
        self.progress.send_replace(Some(number));
        Ok(Heard::Taken(number))
    }

    fn closed(&mut self, frame: Option<&CloseFrame>) -> anyhow::Result<Heard> {
        match frame.map(|frame| u16::from(frame.code)) {
            Some(1000) => self.lives.last_mut().context("a close before an init")?.read_the_close = true,
            // The server asks to come back.
            Some(1013 | 4008) => {}
            other => bail!("page {} is closed by {other:?}", self.number),
        }
        self.page.socket = None;
        self.page.end.cut();
        Ok(Heard::Lost)
    }

    /// Sends the next number, or keeps it for the next connection.
    async fn send(&mut self) -> anyhow::Result<()> {
        self.sent += 1;
        let text = format!("page {} {}", self.number, self.sent);
        self.say(&text).await
    }

    async fn say(&mut self, text: &str) -> anyhow::Result<()> {
        if self.page.socket.is_none() {
            self.page.end.cut();
        }
        // The page has it in any case, and sends it again if it comes back.
        if self.page.send(text).await.is_err() {
            self.page.socket = None;
            self.page.end.cut();
        }
        Ok(())
    }

    /// Sends the last message, and waits until the server has it.
    async fn finish(mut self) -> anyhow::Result<Self> {
        let end = format!("{END} {} {}", self.number, self.sent + 1);
        self.say(&end).await?;
        loop {
            if self.page.socket.is_none() || self.page.say("gateway:ping").await.is_err() {
                self.open(None).await?;
                continue;
            }
            loop {
                match self.hear(PATIENCE).await? {
                    Heard::Pong => return Ok(self),
                    Heard::Taken(number) => bail!("{number} comes behind the last number"),
                    Heard::Other => {}
                    Heard::Lost => {
                        self.page.socket = None;
                        break;
                    }
                    Heard::Quiet => bail!("page {} gets no pong", self.number),
                }
            }
        }
    }
}

/// The number at the end of a message.
fn number_of(message: &str) -> anyhow::Result<usize> {
    let number = message.rsplit(' ').next().unwrap_or_default();
    number.parse().with_context(|| format!("{message:?} has no number"))
}

/// Whether a connection failed by what came over it, and not because it was cut.
fn is_violation(error: &anyhow::Error) -> bool {
    error.is::<MalformedInit>() || error.is::<ControlError>() || error.is::<serde_json::Error>()
}

/// Whether the error is how a websocket says that its connection has ended.
fn is_end(error: &Error) -> bool {
    matches!(
        error,
        Error::Io(_)
            | Error::ConnectionClosed
            | Error::AlreadyClosed
            | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)
    )
}
