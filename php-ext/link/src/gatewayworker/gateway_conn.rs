//! A connection to one gateway: packets out, replies in.

use std::io::{self, Write};
use std::net::{SocketAddr, SocketAddrV4};
use std::time::{Duration, Instant};

use gateway_wire::gatewayworker::{Command, reply};
use socket2::{Domain, SockAddr, Socket, Type};

use super::epoll::Epoll;
use super::unacked::{ReplyPurpose, Unacked, UnfinishedCalls};
use crate::dial;
use crate::error::describe;
use crate::fork::CloseOnFork;
use crate::poll::Interest;
use crate::read_buffer::ReadBuffer;

/// A gateway that owes a reply may be silent for so long. One that sends a message to very many clients does nothing else
/// meanwhile.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(60);
/// Why a connection was lost, when nothing else is known.
pub(super) const CLOSED: &str = "it closed the connection";

pub(super) struct GatewayConn {
    socket: CloseOnFork<Socket>,
    token: u64,
    outbox: Vec<u8>,
    /// How much of it has gone out.
    written: usize,
    /// The socket takes no more for now, or is not connected yet.
    blocked: bool,
    inbox: ReadBuffer,
    pub(super) unacked: Unacked,
    /// When something last went out or came in, or began to be waited for.
    pub(super) moved: Instant,
}

impl GatewayConn {
    /// Begins to connect. What is put in goes out once it is connected.
    pub(super) fn connect(epoll: &Epoll, to: SocketAddrV4, token: u64) -> io::Result<Self> {
        let socket = CloseOnFork::open(|| Socket::new(Domain::IPV4, Type::STREAM, None))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        dial::notice_silence(&socket, MAX_SILENCE)?;
        begin_connect(&socket, &SockAddr::from(SocketAddr::V4(to)))?;
        epoll.add(&*socket, token, Interest { input: true, output: true })?;
        Ok(Self {
            socket,
            token,
            outbox: Vec::new(),
            written: 0,
            blocked: true,
            inbox: ReadBuffer::default(),
            unacked: Unacked::default(),
            moved: Instant::now(),
        })
    }

    /// Introduces PHP, and asks for a first sign of life.
    pub(super) fn greet(&mut self, secret: &str) -> Result<(), String> {
        if !secret.is_empty() {
            let greeting = Command::ClientConnect { secret_key: secret.to_owned() };
            greeting.encode(&mut self.outbox).map_err(|error| error.to_string())?;
        }
        self.ask_ourselves();
        Ok(())
    }

    /// Order `seq`, as a packet.
    pub(super) fn tell(&mut self, seq: u64, packet: &[u8]) {
        self.unacked.told(seq);
        self.outbox.extend_from_slice(packet);
    }

    pub(super) fn ask(&mut self, asked: ReplyPurpose, packet: &[u8]) {
        if !self.unacked.is_waiting() {
            self.moved = Instant::now();
        }
        self.unacked.asked(asked);
        self.outbox.extend_from_slice(packet);
    }

    /// Has the orders so far confirmed, unless that is under way.
    pub(super) fn seal(&mut self) {
        if self.unacked.wants_seal() {
            self.ask_ourselves();
        }
    }

    /// Any question does. This one is small, and every version of GatewayWorker knows it.
    fn ask_ourselves(&mut self) {
        let mut packet = Vec::with_capacity(32);
        if let Err(error) = (Command::IsOnline { connection: 0 }).encode(&mut packet) {
            unreachable!("a packet without content is small: {error}");
        }
        self.ask(ReplyPurpose::Confirmation, &packet);
    }

    /// Bytes that have not gone out.
    pub(super) fn backlog(&self) -> usize {
        self.outbox.len() - self.written
    }

    /// The socket can be written again, or has failed.
    pub(super) fn unblock(&mut self, epoll: &Epoll) -> Result<(), String> {
        if self.blocked {
            if let Some(error) = self.socket.take_error().map_err(|error| describe(&error))? {
                return Err(describe(&error));
            }
            self.blocked = false;
            self.watch(epoll)?;
            self.moved = Instant::now();
        }
        Ok(())
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self, epoll: &Epoll) -> Result<(), String> {
        while self.backlog() > 0 && !self.blocked {
            match (&*self.socket).write(&self.outbox[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    self.moved = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.watch(epoll)?;
                }
                Err(error) => return Err(describe(&error)),
            }
        }
        self.tidy();
        Ok(())
    }

    /// Reads once, if there is something.
    pub(super) fn fill(&mut self) -> Result<bool, String> {
        match self.inbox.fill(&mut &*self.socket) {
            Ok(0) => Err(CLOSED.to_owned()),
            Ok(_) => {
                self.moved = Instant::now();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(describe(&error)),
        }
    }

    /// The next reply that has arrived whole, and what it answers.
    pub(super) fn reply(&mut self) -> Result<Option<(ReplyPurpose, &[u8])>, String> {
        let length = reply::content_length(self.inbox.unread(), reply::MAX_REPLY);
        let Some(length) = length.map_err(|error| error.to_string())? else { return Ok(None) };
        let asked = self.unacked.answered().ok_or("it replied to what nobody asked")?;
        Ok(Some((asked, &self.inbox.take(reply::HEADER + length)[reply::HEADER..])))
    }

    /// When it is given up, unless something moves before.
    pub(super) fn patience_ends(&self, patience: Duration) -> Option<Instant> {
        self.unacked.is_waiting().then(|| self.moved + patience)
    }

    pub(super) fn close(self, epoll: &Epoll) -> UnfinishedCalls {
        epoll.remove(&*self.socket);
        self.unacked.close()
    }

    fn watch(&self, epoll: &Epoll) -> Result<(), String> {
        let interest = Interest { input: true, output: self.blocked };
        epoll.change(&*self.socket, self.token, interest).map_err(|error| describe(&error))
    }

    /// Gives back memory of what has gone out.
    fn tidy(&mut self) {
        const KEPT: usize = 256 << 10;
        if self.backlog() == 0 {
            self.outbox.clear();
            self.written = 0;
            self.outbox.shrink_to(KEPT);
        } else if self.written > KEPT {
            self.outbox.drain(..self.written);
            self.written = 0;
        }
    }
}

/// On a socket that does not block.
pub(super) fn begin_connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    match socket.connect(to) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}
