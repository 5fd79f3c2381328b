//! Who publishes by the HTTP API of Pusher: each request has a connection of its own, because the servers close it behind the answer, and as
//! many requests are under way as messages are in flight.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use serde_json::Value;

use crate::fleet::CONTROL;
use crate::handshake;
use crate::publisher::{SHARED, Target, connect};
use crate::pusher::{self, BATCH, Signer};

/// The most connections, and so requests that are under way at once: as many as any scenario has messages in flight.
const CONNECTIONS: usize = 64;
/// The most headers of an answer.
const HEADERS: usize = 32;

pub(crate) struct PusherApi {
    server: SocketAddr,
    signer: Signer,
    /// Watches the connections, and is itself watched by the poll of whoever publishes.
    poll: Poll,
    events: Events,
    exchanges: Vec<Option<Exchange>>,
    /// The places of `exchanges` that are free.
    free: Vec<usize>,
    /// The requests that wait for a free place.
    waiting: VecDeque<Vec<u8>>,
    /// Messages for one client each, which go out together.
    singles: Vec<Value>,
}

/// A connection over which a request has gone, and what has come of the answer.
struct Exchange {
    socket: TcpStream,
    answer: Vec<u8>,
}

impl PusherApi {
    pub(crate) fn new(server: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self {
            server,
            signer: Signer::new(server),
            poll: Poll::new()?,
            events: Events::with_capacity(CONNECTIONS),
            exchanges: (0..CONNECTIONS).map(|_| None).collect(),
            free: (0..CONNECTIONS).collect(),
            waiting: VecDeque::new(),
            singles: Vec::new(),
        })
    }

    pub(crate) fn register(&self, registry: &Registry) -> anyhow::Result<()> {
        let poll = self.poll.as_raw_fd();
        Ok(registry.register(&mut SourceFd(&poll), CONTROL, Interest::READABLE)?)
    }

    /// Queues a message. One for all clients is a request of its own; those for one client each share requests.
    pub(crate) fn publish(&mut self, target: Target, payload: &[u8]) -> anyhow::Result<()> {
        match target {
            Target::All => {
                let event = pusher::event(SHARED, payload)?;
                self.waiting.push_back(self.signer.request(&[event])?);
            }
            Target::One(topic) => self.singles.push(pusher::event(topic, payload)?),
        }
        Ok(())
    }

    /// Sends what is queued, as far as there are connections for it.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        for batch in self.singles.chunks(BATCH) {
            self.waiting.push_back(self.signer.request(batch)?);
        }
        self.singles.clear();
        self.send_waiting()
    }

    /// Reads answers, and sends what has waited for them.
    pub(crate) fn drain(&mut self) -> anyhow::Result<()> {
        loop {
            self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
            if self.events.is_empty() {
                return self.send_waiting();
            }
            for event in &self.events {
                let Token(at) = event.token();
                if let Some(exchange) = &mut self.exchanges[at]
                    && exchange.read()?
                {
                    handshake::reset(&exchange.socket);
                    self.exchanges[at] = None;
                    self.free.push(at);
                }
            }
        }
    }

    fn send_waiting(&mut self) -> anyhow::Result<()> {
        while !self.waiting.is_empty()
            && let Some(at) = self.free.pop()
            && let Some(request) = self.waiting.pop_front()
        {
            let mut socket = connect(self.server)?;
            socket.write_all(&request).context("publishing")?;
            socket.set_nonblocking(true)?;
            let mut socket = TcpStream::from_std(socket);
            self.poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
            self.exchanges[at] = Some(Exchange { socket, answer: Vec::new() });
        }
        Ok(())
    }
}

impl Exchange {
    /// Reads what has come, and says whether the answer is whole with it.
    fn read(&mut self) -> anyhow::Result<bool> {
        let mut chunk = [0; 4096];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => bail!("the server closed on whoever publishes"),
                Ok(length) => self.answer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error).context("reading as whoever publishes"),
            }
            if is_whole(&self.answer)? {
                return Ok(true);
            }
        }
    }
}

/// Whether an answer is there to its end; an answer that refuses the request is an error.
fn is_whole(answer: &[u8]) -> anyhow::Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(end) = head.parse(answer)? else { return Ok(false) };
    anyhow::ensure!(head.code == Some(200), "nothing is published: {}", String::from_utf8_lossy(answer));
    let length = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let length: usize = str::from_utf8(length.context("an answer without a length")?.value)?.parse()?;
    Ok(answer.len() >= end + length)
}
