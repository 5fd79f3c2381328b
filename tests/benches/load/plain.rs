//! The server that others are compared with: it does nothing but one plain `send(2)` for each message to each client.
//!
//! It speaks only as much websocket as the generator needs, and checks nothing that it is told.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use mio::{Events, Interest, Poll, Token};

use crate::frames::{Header, PING, PONG, TEXT, unmasked};
use crate::ring::{self, Ring};

/// The hidden argument by which the benchmark runs itself as this server.
pub(crate) const ARGUMENT: &str = "--plain-server";

const LISTENER: Token = Token(usize::MAX);
const ANSWER: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const READ_BUFFER: usize = 64 << 10;

struct Connection {
    socket: mio::net::TcpStream,
    /// The role is known after the handshake.
    role: Option<Role>,
}

enum Role {
    Client {
        topic: Vec<u8>,
    },
    /// A connection that sends the messages to publish; `rest` is the part of a frame that has come so far.
    Publisher {
        rest: Vec<u8>,
    },
}

struct Server {
    connections: Vec<Option<Connection>>,
    /// The free places in `connections`.
    free: Vec<usize>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
    buffer: Vec<u8>,
    /// Sends through io_uring, if it was asked to.
    ring: Option<Ring>,
}

pub(crate) fn serve() -> anyhow::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("ready {}", listener.local_addr()?);
    listener.set_nonblocking(true)?;
    let mut listener = mio::net::TcpListener::from_std(listener);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut server = Server {
        connections: Vec::new(),
        free: Vec::new(),
        topics: HashMap::new(),
        buffer: vec![0; READ_BUFFER],
        ring: std::env::args().any(|argument| argument == ring::ARGUMENT).then(Ring::open).transpose()?,
    };
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != LISTENER {
                server.read(event.token().0)?;
                continue;
            }
            while let Ok((mut socket, _)) = listener.accept() {
                socket.set_nodelay(true)?;
                let key = server.free.pop().unwrap_or(server.connections.len());
                poll.registry().register(&mut socket, Token(key), Interest::READABLE)?;
                let connection = Some(Connection { socket, role: None });
                match server.connections.get_mut(key) {
                    Some(place) => *place = connection,
                    None => server.connections.push(connection),
                }
            }
        }
    }
}

impl Server {
    fn read(&mut self, key: usize) -> anyhow::Result<()> {
        loop {
            let Some(connection) = self.connections[key].as_mut() else { return Ok(()) };
            let length = match connection.socket.read(&mut self.buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Ok(0) | Err(_) => {
                    self.forget(key);
                    return Ok(());
                }
                Ok(length) => length,
            };
            let buffer = std::mem::take(&mut self.buffer);
            let taken = self.take_input(key, &buffer[..length]);
            self.buffer = buffer;
            taken?;
            if length < self.buffer.len() {
                return Ok(());
            }
        }
    }

    fn take_input(&mut self, key: usize, input: &[u8]) -> anyhow::Result<()> {
        let Some(connection) = self.connections[key].as_mut() else { return Ok(()) };
        match &mut connection.role {
            None => self.shake_hands(key, input),
            Some(Role::Client { .. }) => answer(&mut connection.socket, input),
            Some(Role::Publisher { rest }) => {
                let mut input = [std::mem::take(rest).as_slice(), input].concat();
                let mut used = 0;
                while let Some((_, payload, length)) = whole_frame(&input[used..]) {
                    self.publish(payload)?;
                    used += length;
                }
                input.drain(..used);
                if let Some(Connection { role: Some(Role::Publisher { rest }), .. }) =
                    &mut self.connections[key]
                {
                    *rest = input;
                }
                Ok(())
            }
        }
    }

    fn shake_hands(&mut self, key: usize, request: &[u8]) -> anyhow::Result<()> {
        let mut words = request.split(|byte| *byte == b' ');
        let path = words.nth(1).context("a request has a path")?;
        let topic = path[1..].to_vec();
        let Some(connection) = self.connections[key].as_mut() else { return Ok(()) };
        if topic == b"control" {
            connection.role = Some(Role::Publisher { rest: Vec::new() });
        } else {
            self.topics.entry(topic.clone()).or_default().push(key);
            connection.role = Some(Role::Client { topic });
        }
        send(&mut connection.socket, ANSWER)
    }

    /// Sends a message to all clients of a topic: this is the loop that the comparison is about.
    fn publish(&mut self, order: &[u8]) -> anyhow::Result<()> {
        let end = order.iter().position(|byte| *byte == b'\n').context("a topic ends with a newline")?;
        let frame = unmasked(&order[end + 1..]);
        let members = self.topics.get(&order[..end]).into_iter().flatten();
        if let Some(ring) = &mut self.ring {
            let sockets = members.filter_map(|key| Some(self.connections[*key].as_ref()?.socket.as_fd()));
            return Ok(ring.send(&sockets.collect::<Vec<BorrowedFd<'_>>>(), &frame)?);
        }
        for key in members {
            if let Some(connection) = &mut self.connections[*key] {
                send(&mut connection.socket, &frame)?;
            }
        }
        Ok(())
    }

    fn forget(&mut self, key: usize) {
        let Some(connection) = self.connections[key].take() else { return };
        self.free.push(key);
        if let Some(Role::Client { topic }) = connection.role
            && let Some(members) = self.topics.get_mut(&topic)
        {
            members.retain(|member| *member != key);
        }
    }
}

/// Answers pings by pongs, and sends messages back.
fn answer(socket: &mut mio::net::TcpStream, mut input: &[u8]) -> anyhow::Result<()> {
    while let Some((opcode, payload, length)) = whole_frame(input) {
        let mut frame = unmasked(payload);
        match opcode {
            PING => frame[0] = 0x80 | PONG,
            TEXT => {}
            _ => return Ok(()),
        }
        send(socket, &frame)?;
        input = &input[length..];
    }
    Ok(())
}

/// Gives the opcode, the payload and the whole length of the frame at the start of `input`.
fn whole_frame(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let header = Header::read(input)?;
    let length = header.length + header.payload;
    Some((header.opcode, input.get(header.length..length)?, length))
}

/// Sends all bytes, and waits for room in the socket, because this server keeps nothing for later.
fn send(socket: &mut mio::net::TcpStream, mut bytes: &[u8]) -> anyhow::Result<()> {
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            // The loop reads the connection's end next.
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}
