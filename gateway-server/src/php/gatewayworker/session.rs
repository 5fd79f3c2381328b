//! The session of a connection that speaks the internal protocol: its packets are read, carried out and answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_wire::gatewayworker::{
    Command, CommandError, MAX_PACKET, Packet, PacketError, array_as_json, reply,
};
use serde_bytes::ByteBuf;
use socket2::Socket;
use tokio::io::{self, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ended::Ended;
use super::input::Input;
use super::orders::order;
use super::queries;
use crate::php::backend::Backend;
use crate::php::carry::attendance::Rest;
use crate::php::carry::form::InternalAtRest;
use crate::php::memory_budget::{Held, may_carry_out};
use crate::php::ordered_handshakes::HandshakeDone;
use crate::php::stream::{ConnectionSlot, Stream};
use crate::telemetry::abuse_log::{self, Offence};

/// Bytes of the longest packet before the peer has shown that it knows the secret.
const MAX_LOGIN: usize = 4 << 10;
/// Bytes of the longest name that a worker may give itself.
const MAX_NAME: usize = 256;
/// Capacity in bytes that the output buffer keeps for the next replies after all of it was written.
const KEPT: usize = 16 << 10;
/// Bytes of replies that are collected before they are written.
const REPLIES: usize = 1 << 20;

/// A connection that speaks the internal protocol, and its buffers.
pub(super) struct Session<'a> {
    /// The connection's slot among all PHP connections, which it can lose until it has proved itself.
    pub(super) slot: &'a ConnectionSlot,
    pub(super) peer: Option<SocketAddr>,
    pub(super) backend: &'a Backend,
    pub(super) input: Input,
    /// The bytes that the buffers take in the memory budget of all PHP connections.
    pub(super) held: Held,
    pub(super) output: Vec<u8>,
    /// Number of bytes at the start of `output` that the peer's socket has taken already.
    pub(super) written: usize,
    /// True when the peer has shown that it knows the secret, or when the server has none.
    pub(super) is_trusted: bool,
    /// True when the peer has sent a command besides its credentials.
    pub(super) has_ordered: bool,
    /// The name by which the peer has joined as a worker, with its machine before it.
    pub(super) worker: Option<String>,
}

impl<'a> Session<'a> {
    /// Goes on where a connection has come to rest.
    pub(super) fn new(
        peer: Option<SocketAddr>,
        backend: &'a Backend,
        slot: &'a ConnectionSlot,
        at_rest: InternalAtRest,
    ) -> Self {
        let InternalAtRest { input, output, is_trusted, has_ordered } = at_rest;
        let mut session = Self {
            slot,
            peer,
            backend,
            input: Input::with(&input),
            held: backend.budget.held(),
            output: output.into_vec(),
            written: 0,
            is_trusted,
            has_ordered,
            worker: None,
        };
        if has_ordered {
            session.prove();
        }
        session
    }

    /// The peer has shown that it is one of ours.
    pub(super) fn prove(&mut self) {
        self.slot.prove();
        self.input.trust();
    }

    /// Serves a client that sends commands and queries until it joins as a worker, and gives the worker's name. Gives `None` when the
    /// connection has come to rest before.
    pub(super) async fn until_worker(
        &mut self,
        socket: &mut Box<dyn Stream>,
        timeout: Duration,
        done: &HandshakeDone,
    ) -> Result<Option<String>, Ended> {
        let called = self.backend.attendance.called(Rest::Calls);
        tokio::pin!(called);
        let handshake = tokio::time::timeout(timeout, async {
            loop {
                self.take_packets(socket).await?;
                // Credentials alone change nothing, so the order among connections begins to matter with the first command.
                if self.has_ordered || self.worker.is_some() {
                    return Ok::<_, Ended>(true);
                }
                // What is there already is read before connections that came later have their turn.
                if self.input.read_with(|chunk| socket.read_now(chunk))? {
                    continue;
                }
                tokio::select! {
                    biased;
                    () = &mut called => return Ok(false),
                    read = self.read_more(socket) => read?,
                }
            }
        });
        let is_done = handshake.await.map_err(|_| {
            Ended::Refused(format!("it did not finish a packet within {timeout:?} (handshake_timeout)"))
        })??;
        if !is_done {
            return Ok(None);
        }
        done.is_done();
        while self.worker.is_none() {
            let exchanged = async {
                self.flush(socket).await?;
                self.read_more(socket).await
            };
            tokio::select! {
                biased;
                () = &mut called => return Ok(None),
                exchanged = exchanged => exchanged?,
            }
            self.take_packets(socket).await?;
        }
        let attendance = &self.backend.attendance;
        tokio::select! {
            flushed = self.flush(socket) => flushed?,
            // It has asked before it joined, reads no answers, and holds up all others.
            () = attendance.late() => return Err(Ended::Closed),
        }
        Ok(self.worker.clone())
    }

    /// What is left of the connection when it comes to rest.
    pub(super) fn at_rest(&mut self) -> InternalAtRest {
        self.backend.gateway.flush();
        InternalAtRest {
            input: ByteBuf::from(self.input.unread()),
            output: ByteBuf::from(&self.output[self.written..]),
            is_trusted: self.is_trusted,
            has_ordered: self.has_ordered,
        }
    }

    /// Carries out a worker's orders, while another task sends it its events over the same connection, until the connection comes to
    /// rest.
    ///
    /// `socket` is a second handle of the socket that `reader` reads. When a query waits for the orders before it, the socket is
    /// read until it is empty.
    pub(super) async fn obey_worker(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        socket: &Socket,
    ) -> Result<(), Ended> {
        let called = self.backend.attendance.called(Rest::Everybody);
        tokio::pin!(called);
        let mut entry = self.backend.gatewayworker.barrier.enter(self.machine());
        loop {
            self.take_packets(&mut tokio::io::sink()).await?;
            self.backend.gateway.flush();
            let reply = tokio::select! {
                biased;
                Some(reply) = entry.requests.recv() => reply,
                () = &mut called => return Ok(()),
                read = self.read_more(reader) => {
                    read?;
                    continue;
                }
            };
            while self.input.read_now(socket)? {
                self.take_packets(&mut tokio::io::sink()).await?;
            }
            // The connection that waited for the orders may have ended.
            let _ = reply.send(());
        }
    }

    fn machine(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }

    /// Carries out all complete packets that were read, one after the other. It stops at the packet by which the peer joins as a
    /// worker.
    async fn take_packets(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        let was_worker = self.worker.is_some();
        while self.worker.is_some() == was_worker {
            let limit = if self.is_trusted { MAX_PACKET } else { MAX_LOGIN };
            let Some(bytes) = self.input.packet(limit)? else { break };
            let packet = Packet::decode(&bytes).map_err(|error| Ended::Refused(error.to_string()))?;
            // A large packet's extension data is a list, and each of its elements takes at least four bytes.
            let _room = self.backend.budget.room_for(bytes.len(), || packet.extension.len() / 4).await;
            may_carry_out(bytes.len(), || packet.extension.len() / 4)?;
            // An array is converted only for a peer that knows the secret: the conversion takes memory and time.
            let json = if self.is_trusted { array_as_json(&packet) } else { None };
            let command = match &json {
                None => Command::from_packet(&packet),
                Some(Ok(json)) => Command::from_packet(&packet.with_scalar(json)),
                Some(Err(error)) => Err(error.clone()),
            };
            match command {
                Ok(Command::ClientConnect { secret_key }) => {
                    self.backend
                        .gatewayworker
                        .check_secret(self.peer, &secret_key, &self.backend.attendance)
                        .await?;
                    self.is_trusted = true;
                }
                Ok(Command::WorkerConnect { worker_key, secret_key }) => {
                    self.backend
                        .gatewayworker
                        .check_secret(self.peer, &secret_key, &self.backend.attendance)
                        .await?;
                    self.is_trusted = true;
                    self.prove();
                    self.become_worker(&worker_key)?;
                }
                _ if !self.is_trusted => {
                    return Err(Ended::Login(
                        "it knows no secret: set secretKey in PHP to the server's secret_key".to_owned(),
                    ));
                }
                Ok(command) => {
                    if !self.has_ordered {
                        self.prove();
                    }
                    self.execute(&command).await?;
                    self.has_ordered = true;
                }
                Err(error) => {
                    self.slot.prove();
                    self.refuse(&error)?;
                    self.has_ordered = true;
                }
            }
            if self.output.len() > REPLIES {
                let called = self.backend.attendance.called(Rest::Calls);
                tokio::select! {
                    biased;
                    flushed = self.flush(writer) => flushed?,
                    // A peer that does not read its answers holds up nobody. The packets that are left are carried out when it goes on.
                    () = called => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// Makes the peer a worker. The machine's address is put before the name, which is unique on one machine only.
    fn become_worker(&mut self, key: &str) -> Result<(), Ended> {
        if self.worker.is_some() {
            return Err(Ended::Refused("it is a worker already".to_owned()));
        }
        if key.len() > MAX_NAME {
            return Err(Ended::Refused(format!("its worker_key has over {MAX_NAME} bytes")));
        }
        let machine = self.peer.map_or_else(|| "unix".to_owned(), |peer| peer.ip().to_string());
        self.worker = Some(format!("{machine}:{key}"));
        Ok(())
    }

    async fn execute(&mut self, command: &Command<'_>) -> Result<(), Ended> {
        let Backend { gateway, gatewayworker, .. } = self.backend;
        if let Some(order) = order(command, gatewayworker.node) {
            // GatewayWorker's classes send the order to the other nodes themselves, so it is carried out on this node alone.
            if let Err(error) = gateway.execute_for_gatewayworker(&order).await? {
                abuse_log::report(Offence::Call, self.peer, &error);
            }
            return Ok(());
        }
        if self.worker.is_some() && command.is_query() {
            let detail = "a worker must ask over another connection than the one for its events";
            return Err(Ended::Refused(detail.to_owned()));
        }
        if command.is_query() {
            gatewayworker.barrier.pass(self.machine()).await;
        }
        Ok(queries::answer(command, gateway.hub(), &mut self.output).await??)
    }

    /// Reports a command that cannot be carried out, and goes on with those behind it. A query gets an empty reply, as its PHP
    /// process waits for one.
    fn refuse(&mut self, error: &CommandError) -> Result<(), Ended> {
        abuse_log::report(Offence::Call, self.peer, error);
        if error.is_of_query() && self.worker.is_none() {
            reply::append(&mut self.output, |writer| writer.empty_array())?;
        }
        Ok(())
    }

    /// Writes the remaining replies and waits until the peer has closed its side. Closing a socket that has unread input resets
    /// the connection, which would destroy the replies on their way.
    pub(super) async fn say_goodbye(&mut self, socket: &mut Box<dyn Stream>) -> Result<(), Ended> {
        self.flush(socket).await?;
        socket.shutdown().await?;
        let mut rest = [0; 64];
        while socket.read(&mut rest).await? > 0 {}
        Ok(())
    }

    async fn read_more(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> Result<(), Ended> {
        self.held.set(self.input.len());
        self.held.unless_revoked(self.input.read_more(reader)).await?
    }

    /// Writes the replies that wait. The future can be dropped half-way without losing bytes.
    async fn flush(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        self.backend.gateway.flush();
        if self.output.is_empty() {
            return Ok(());
        }
        self.held.set(self.input.len() + self.output.len());
        while self.written < self.output.len() {
            match self.held.unless_revoked(writer.write(&self.output[self.written..])).await?? {
                0 => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                written => self.written += written,
            }
        }
        self.written = 0;
        self.output.clear();
        self.output.shrink_to(KEPT);
        Ok(())
    }
}

impl From<PacketError> for Ended {
    fn from(error: PacketError) -> Self {
        Self::Refused(format!("the reply is too large: {error}"))
    }
}
