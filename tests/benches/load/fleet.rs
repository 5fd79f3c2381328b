//! Many clients in one thread. A single buffer takes everything that they read, and only the ends of frames are looked for.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use gateway_server::shard::uring;
use gateway_server::shard::uring::Ring;
use gateway_tests::PATIENCE;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::libc;

use crate::endpoint::Endpoint;
use crate::frames::{Header, Walker};
use crate::handshake::{self, Opening};
use crate::records::Secured;

/// The token of the socket that publishes.
pub(crate) const CONTROL: Token = Token(usize::MAX);
const READ_BUFFER: usize = 256 << 10;
/// The number of handshakes that are under way at once, which fits into any listener's queue.
const OPENINGS: usize = 200;

pub(crate) struct Fleet {
    pub(crate) poll: Poll,
    pub(crate) clients: Vec<Client>,
    /// The time in which nothing came; `None` where the thread sleeps instead of spinning.
    pub(crate) idle: Option<Duration>,
    events: Events,
    buffer: Vec<u8>,
    patience: Option<Duration>,
    /// An io_uring by which many clients send with one system call, where the kernel permits it; otherwise the clients would
    /// hold up servers that use one.
    ring: Option<Ring>,
}

pub(crate) struct Client {
    socket: TcpStream,
    stream: Stream,
    /// The number of messages so far.
    pub(crate) messages: usize,
    /// The number of messages that a client of `gateway.2` has taken, and how many of them it has told the server of.
    pub(crate) taken: usize,
    pub(crate) told: usize,
}

/// What a client's socket brings.
enum Stream {
    Plain(Walker),
    Tls(Secured),
}

/// The outcome of a turn of the loop.
pub(crate) struct Turn {
    /// True if something came for the publisher.
    pub(crate) control: bool,
}

impl Fleet {
    /// Makes a fleet. With `spins` the thread never sleeps: it has a core of its own, and no server has to pay for waking it
    /// up.
    pub(crate) fn new(spins: bool) -> anyhow::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            clients: Vec::new(),
            idle: spins.then_some(Duration::ZERO),
            events: Events::with_capacity(1024),
            buffer: vec![0; READ_BUFFER],
            patience: spins.then_some(Duration::ZERO).or(Some(PATIENCE)),
            ring: Ring::open().ok(),
        })
    }

    /// Adds clients with these requests, and waits until all are connected. Where the server `greets`, gives the first message of each,
    /// and what came right behind it.
    pub(crate) fn connect(
        &mut self,
        server: &Endpoint,
        requests: impl IntoIterator<Item = Vec<u8>>,
        greets: bool,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        self.connect_from(None, server, requests, greets)
    }

    /// Does the same as [`Fleet::connect`]; all clients come from the address `from`, by its port and those that follow.
    pub(crate) fn connect_from(
        &mut self,
        mut from: Option<SocketAddr>,
        server: &Endpoint,
        requests: impl IntoIterator<Item = Vec<u8>>,
        greets: bool,
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let base = self.clients.len();
        let mut openings: Vec<Option<Opening>> = Vec::new();
        let mut greetings = Vec::new();
        let mut requests = requests.into_iter().peekable();
        let mut open = 0;
        let mut opened: Vec<Option<Opening>> = Vec::new();
        let mut last = Instant::now();
        while open > 0 || requests.peek().is_some() {
            while open < OPENINGS
                && let Some(request) = requests.next()
            {
                let mut opening = begin(&mut from, server, &request)?;
                self.poll.registry().register(
                    &mut opening.socket,
                    Token(base + openings.len()),
                    Interest::READABLE | Interest::WRITABLE,
                )?;
                openings.push(Some(opening));
                opened.push(None);
                greetings.push(Vec::new());
                open += 1;
            }
            self.poll.poll(&mut self.events, Some(PATIENCE))?;
            for event in &self.events {
                let Some(key) = event.token().0.checked_sub(base).filter(|key| *key < openings.len()) else {
                    continue;
                };
                let Some(opening) = &mut openings[key] else { continue };
                let Some(rest) = opening.advance(greets)? else { continue };
                greetings[key] = rest;
                opened[key] = openings[key].take();
                open -= 1;
                last = Instant::now();
            }
            anyhow::ensure!(last.elapsed() < PATIENCE, "{open} handshakes do not end");
        }
        for (opening, greeting) in opened.into_iter().flatten().zip(&greetings) {
            let Opening { socket, session, .. } = opening;
            let stream = match session {
                None => Stream::Plain(Walker::default()),
                Some(session) if self.clients.is_empty() => Stream::Tls(Secured::reading(session)),
                Some(_) => Stream::Tls(Secured::counting()),
            };
            let mut client = Client { socket, stream, messages: 0, taken: 0, told: 0 };
            let first =
                Header::read(greeting).filter(|_| greets).map_or(0, |first| first.length + first.payload);
            match &mut client.stream {
                Stream::Plain(walker) => walker.walk(&greeting[first..], |_| client.taken += 1),
                Stream::Tls(_) => {
                    anyhow::ensure!(greeting.len() == first, "something came behind a greeting")
                }
            }
            self.clients.push(client);
        }
        Ok(greetings)
    }

    /// Waits for input, and calls `ended` with the client's key, the client, and the opcode for each frame that ended.
    pub(crate) fn turn(&mut self, ended: impl FnMut(usize, &mut Client, u8)) -> anyhow::Result<Turn> {
        self.turn_in(self.patience, ended)
    }

    /// Does the same, and waits for so long at most.
    pub(crate) fn turn_within(
        &mut self,
        most: Duration,
        ended: impl FnMut(usize, &mut Client, u8),
    ) -> anyhow::Result<Turn> {
        self.turn_in(Some(most), ended)
    }

    fn turn_in(
        &mut self,
        most: Option<Duration>,
        mut ended: impl FnMut(usize, &mut Client, u8),
    ) -> anyhow::Result<Turn> {
        let before = Instant::now();
        self.poll.poll(&mut self.events, most)?;
        let mut turn = Turn { control: false };
        if self.events.is_empty() {
            self.idle = self.idle.map(|idle| idle + before.elapsed());
            return Ok(turn);
        }
        for event in &self.events {
            if event.token() == CONTROL {
                turn.control = true;
                continue;
            }
            let key = event.token().0;
            let Some(client) = self.clients.get_mut(key) else { continue };
            client.read(&mut self.buffer, |client, opcode| ended(key, client, opcode))?;
        }
        Ok(turn)
    }

    /// Says how long the frames are that come next, which clients that do not decrypt need to know.
    pub(crate) fn expect(&mut self, length: usize) {
        for client in &mut self.clients {
            if let Stream::Tls(secured) = &mut client.stream {
                secured.expect(length);
            }
        }
    }

    /// Reads what has come for any client since it connected, of which there may be no event any more.
    pub(crate) fn read_all(&mut self, mut ended: impl FnMut(&mut Client, u8)) -> anyhow::Result<()> {
        self.clients.iter_mut().try_for_each(|client| client.read(&mut self.buffer, &mut ended))
    }

    /// Sends one small frame for each of these clients. There is always room for it, because the server reads.
    pub(crate) fn send(&mut self, keys: &[usize], frame: &[u8]) -> anyhow::Result<()> {
        let Some(ring) = &mut self.ring else {
            return keys.iter().try_for_each(|key| self.clients[*key].send(frame));
        };
        for keys in keys.chunks(uring::AT_ONCE) {
            let send = |key: &usize| uring::Send { socket: self.clients[*key].socket.as_fd(), bytes: frame };
            let sends: Vec<_> = keys.iter().map(send).collect();
            let (outcomes, result) = ring.send(&sends);
            let all_went = outcomes.iter().all(|outcome| *outcome == Some(frame.len() as i32));
            result.context("writing as clients")?;
            anyhow::ensure!(all_went, "not all of the clients' frames went out: {outcomes:?}");
        }
        Ok(())
    }
}

/// Begins a connection. With an address, it takes that address's next free port: the kernel's own search slows down when most
/// ports are taken.
fn begin(from: &mut Option<SocketAddr>, server: &Endpoint, request: &[u8]) -> anyhow::Result<Opening> {
    loop {
        let place = *from;
        if let Some(from) = from {
            from.set_port(from.port().checked_add(1).context("the ports of an address are used up")?);
        }
        match Opening::begin(place, server, request.to_vec()) {
            Err(error) if place.is_some() && is_used(&error) => {}
            opening => return opening,
        }
    }
}

fn is_used(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == ErrorKind::AddrInUse)
}

impl Client {
    /// Reads everything that is there, and calls `ended` with the opcode for each frame that ended.
    fn read(&mut self, buffer: &mut [u8], mut ended: impl FnMut(&mut Self, u8)) -> anyhow::Result<()> {
        loop {
            let length = match self.socket.read(buffer) {
                Ok(0) => bail!("the server closed a client"),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("reading as a client"),
            };
            let mut stream = std::mem::replace(&mut self.stream, Stream::Plain(Walker::default()));
            match &mut stream {
                Stream::Plain(walker) => walker.walk(&buffer[..length], |opcode| ended(self, opcode)),
                Stream::Tls(secured) => secured.walk(&buffer[..length], |opcode| ended(self, opcode))?,
            }
            self.stream = stream;
            // A read that did not fill the buffer took everything that was there.
            if length < buffer.len() {
                return Ok(());
            }
        }
    }

    /// The number of segments with data that have come over the connection, by the kernel's `tcp_info`.
    pub(crate) fn segments(&self) -> anyhow::Result<u32> {
        /// The place of `tcpi_data_segs_in`.
        const SEGMENTS: usize = 152;
        let mut info = [0_u8; 256];
        let mut length = info.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into `info`, which has so many, and says how many it wrote.
        let result = unsafe {
            let info = info.as_mut_ptr().cast();
            libc::getsockopt(
                self.socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info,
                &raw mut length,
            )
        };
        anyhow::ensure!(result == 0 && length as usize >= SEGMENTS + 4, "the kernel counts no segments");
        Ok(u32::from_ne_bytes(info[SEGMENTS..SEGMENTS + 4].try_into()?))
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> anyhow::Result<()> {
        let written = self.socket.write(frame).context("writing as a client")?;
        anyhow::ensure!(written == frame.len(), "a client's frame went out in part");
        Ok(())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        handshake::reset(&self.socket);
    }
}

/// Gives the payload of the frame in `bytes`.
pub(crate) fn payload(bytes: &[u8]) -> anyhow::Result<&[u8]> {
    let header = Header::read(bytes).context("a frame")?;
    bytes.get(header.length..header.length + header.payload).context("a whole frame")
}
