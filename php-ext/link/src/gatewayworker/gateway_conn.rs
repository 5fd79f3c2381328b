//! A connection to one gateway: it sends packets, and reads replies.

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

/// A gateway that owes a reply may be silent for so long. While a gateway sends a message to very many clients it does nothing
/// else.
pub(super) const MAX_SILENCE: Duration = Duration::from_secs(60);
/// The reason of a lost connection when no other is known.
pub(super) const CLOSED: &str = "it closed the connection";

pub(super) struct GatewayConn {
    socket: CloseOnFork<Socket>,
    token: u64,
    outbox: Vec<u8>,
    /// How many bytes of the outbox have been written.
    written: usize,
    /// The socket takes no more for now, or is not connected yet.
    blocked: bool,
    buffer: ReadBuffer,
    pub(super) unacked: Unacked,
    /// When bytes last went out or arrived, or a reply began to be waited for.
    pub(super) last_activity: Instant,
}

impl GatewayConn {
    /// Begins to connect. What is queued goes out once the socket is connected.
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
            buffer: ReadBuffer::default(),
            unacked: Unacked::default(),
            last_activity: Instant::now(),
        })
    }

    /// Introduces PHP, and asks for a first reply.
    pub(super) fn greet(&mut self, secret: &str) -> Result<(), String> {
        if !secret.is_empty() {
            let greeting = Command::ClientConnect { secret_key: secret.to_owned() };
            greeting.encode(&mut self.outbox).map_err(|error| error.to_string())?;
        }
        self.ask_for_confirmation();
        Ok(())
    }

    /// Queues order `seq`, as a packet.
    pub(super) fn send_order(&mut self, seq: u64, packet: &[u8]) {
        self.unacked.order_sent(seq);
        self.outbox.extend_from_slice(packet);
    }

    pub(super) fn send_query(&mut self, purpose: ReplyPurpose, packet: &[u8]) {
        if !self.unacked.is_waiting() {
            self.last_activity = Instant::now();
        }
        self.unacked.query_sent(purpose);
        self.outbox.extend_from_slice(packet);
    }

    /// Asks for a confirmation of the orders so far, unless one is on its way.
    pub(super) fn request_confirmation(&mut self) {
        if self.unacked.needs_confirmation() {
            self.ask_for_confirmation();
        }
    }

    /// Asks a query whose reply only serves as a confirmation. It is small, and every version of GatewayWorker knows it.
    fn ask_for_confirmation(&mut self) {
        let mut packet = Vec::with_capacity(32);
        if let Err(error) = (Command::IsOnline { connection: 0 }).encode(&mut packet) {
            unreachable!("a packet without content is small: {error}");
        }
        self.send_query(ReplyPurpose::Confirmation, &packet);
    }

    /// The number of bytes that have not been written.
    pub(super) fn backlog(&self) -> usize {
        self.outbox.len() - self.written
    }

    /// Notes that the socket can be written again, or fails if the socket has.
    pub(super) fn unblock(&mut self, epoll: &Epoll) -> Result<(), String> {
        if self.blocked {
            if let Some(error) = self.socket.take_error().map_err(|error| describe(&error))? {
                return Err(describe(&error));
            }
            self.blocked = false;
            self.watch(epoll)?;
            self.last_activity = Instant::now();
        }
        Ok(())
    }

    /// Writes as much as the socket takes.
    pub(super) fn flush(&mut self, epoll: &Epoll) -> Result<(), String> {
        while self.backlog() > 0 && !self.blocked {
            match (&*self.socket).write(&self.outbox[self.written..]) {
                Ok(written) => {
                    self.written += written;
                    self.last_activity = Instant::now();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.blocked = true;
                    self.watch(epoll)?;
                }
                Err(error) => return Err(describe(&error)),
            }
        }
        self.shrink_outbox();
        Ok(())
    }

    /// Reads once, if there is something, and gives whether there was.
    pub(super) fn fill(&mut self) -> Result<bool, String> {
        match self.buffer.fill(&mut &*self.socket) {
            Ok(0) => Err(CLOSED.to_owned()),
            Ok(_) => {
                self.last_activity = Instant::now();
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(describe(&error)),
        }
    }

    /// Gives the next reply that has arrived whole, and what it replies to.
    pub(super) fn reply(&mut self) -> Result<Option<(ReplyPurpose, &[u8])>, String> {
        let length = reply::content_length(self.buffer.unread(), reply::MAX_REPLY);
        let Some(length) = length.map_err(|error| error.to_string())? else { return Ok(None) };
        let purpose = self.unacked.reply_received().ok_or("it replied to what nobody asked")?;
        Ok(Some((purpose, &self.buffer.take(reply::HEADER + length)[reply::HEADER..])))
    }

    /// When the connection is given up, unless bytes move before.
    pub(super) fn deadline(&self, patience: Duration) -> Option<Instant> {
        self.unacked.is_waiting().then(|| self.last_activity + patience)
    }

    pub(super) fn close(self, epoll: &Epoll) -> UnfinishedCalls {
        epoll.remove(&*self.socket);
        self.unacked.close()
    }

    fn watch(&self, epoll: &Epoll) -> Result<(), String> {
        let interest = Interest { input: true, output: self.blocked };
        epoll.change(&*self.socket, self.token, interest).map_err(|error| describe(&error))
    }

    /// Gives back the memory of bytes that have been written.
    fn shrink_outbox(&mut self) {
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

/// Begins to connect a non-blocking socket.
pub(super) fn begin_connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    match socket.connect(to) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(()),
    }
}
