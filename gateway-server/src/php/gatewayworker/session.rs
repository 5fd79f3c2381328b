//! What a connection that speaks the internal protocol has said and is answered.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use gateway_wire::gatewayworker::{
    Command, CommandError, MAX_PACKET, Packet, PacketError, array_as_json, reply,
};
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::ended::Ended;
use super::input::Input;
use super::orders::order;
use super::queries;
use crate::php::backend::Backend;
use crate::php::memory_budget::{Held, may_carry_out};
use crate::php::ordered_handshakes::HandshakeDone;
use crate::php::stream::{ConnectionSlot, Stream};
use crate::telemetry::abuse_log::{self, Offence};

/// Longest packet of a peer that has not shown yet that it knows the secret.
const MAX_LOGIN: usize = 4 << 10;
/// Longest name that a worker may have.
const MAX_NAME: usize = 256;
/// Output that is kept for the next replies.
const KEPT: usize = 16 << 10;
/// Replies that are collected at most before they are sent.
const REPLIES: usize = 1 << 20;

pub(super) struct Session<'a> {
    pub(super) place: &'a ConnectionSlot,
    pub(super) peer: Option<SocketAddr>,
    pub(super) backend: &'a Backend,
    pub(super) input: Input,
    pub(super) held: Held,
    pub(super) output: Vec<u8>,
    /// It has shown that it knows the secret, or there is none.
    pub(super) is_trusted: bool,
    /// It has said more than who it is.
    pub(super) has_ordered: bool,
    /// The name that it has given itself as a worker.
    pub(super) worker: Option<String>,
}

impl Session<'_> {
    /// Serves a client until it says that it is a worker; gives its name.
    pub(super) async fn until_worker(
        &mut self,
        socket: &mut Box<dyn Stream>,
        timeout: Duration,
        growth: &HandshakeDone,
    ) -> Result<String, Ended> {
        let is_late = tokio::time::timeout(timeout, async {
            loop {
                self.take_packets(socket).await?;
                // Credentials alone have no effect that somebody else's could come before.
                if self.has_ordered || self.worker.is_some() {
                    return Ok::<_, Ended>(());
                }
                self.read_more(socket).await?;
            }
        });
        is_late.await.map_err(|_| {
            Ended::Refused(format!("it did not finish a packet within {timeout:?} (handshake_timeout)"))
        })??;
        growth.is_done();
        while self.worker.is_none() {
            self.flush(socket).await?;
            self.read_more(socket).await?;
            self.take_packets(socket).await?;
        }
        self.flush(socket).await?;
        Ok(self.worker.clone().unwrap_or_default())
    }

    /// Carries out what a worker orders, beside telling it of events.
    ///
    /// `socket` is what `reader` reads; it is asked directly what it has, when somebody wishes that all be done first.
    pub(super) async fn obey_worker(
        &mut self,
        reader: &mut (impl AsyncRead + Unpin),
        socket: &Socket,
    ) -> Result<Infallible, Ended> {
        let mut entry = self.backend.gatewayworker.barrier.enter(self.machine());
        loop {
            self.take_packets(&mut tokio::io::sink()).await?;
            self.backend.gateway.flush();
            let wish = tokio::select! {
                biased;
                Some(wish) = entry.wishes.recv() => wish,
                read = self.read_more(reader) => {
                    read?;
                    continue;
                }
            };
            while self.input.read_now(socket)? {
                self.take_packets(&mut tokio::io::sink()).await?;
            }
            // The peer that wished it may have gone.
            let _ = wish.send(());
        }
    }

    fn machine(&self) -> Option<IpAddr> {
        self.peer.map(|peer| peer.ip().to_canonical())
    }

    /// All whole packets that have been read, each after the one before it has taken effect; the last one may make it a
    /// worker.
    async fn take_packets(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        let was_worker = self.worker.is_some();
        while self.worker.is_some() == was_worker {
            let limit = if self.is_trusted { MAX_PACKET } else { MAX_LOGIN };
            let Some(bytes) = self.input.packet(limit)? else { break };
            let packet = Packet::decode(&bytes).map_err(|error| Ended::Refused(error.to_string()))?;
            // The extension data of large packets is a list, of which an element takes four bytes at least.
            let _room = self.backend.budget.room_for(bytes.len(), || packet.extension.len() / 4).await;
            may_carry_out(bytes.len(), || packet.extension.len() / 4)?;
            // A stranger's packet has no say in what it is made.
            let json = if self.is_trusted { array_as_json(&packet) } else { None };
            let command = match &json {
                None => Command::from_packet(&packet),
                Some(Ok(json)) => Command::from_packet(&packet.with_scalar(json)),
                Some(Err(error)) => Err(error.clone()),
            };
            match command {
                Ok(Command::ClientConnect { secret_key }) => {
                    self.backend.gatewayworker.check_secret(self.peer, &secret_key).await?;
                    self.is_trusted = true;
                }
                Ok(Command::WorkerConnect { worker_key, secret_key }) => {
                    self.backend.gatewayworker.check_secret(self.peer, &secret_key).await?;
                    self.is_trusted = true;
                    self.place.prove();
                    self.input.trust();
                    self.become_worker(&worker_key)?;
                }
                _ if !self.is_trusted => {
                    return Err(Ended::Login(
                        "it knows no secret: set secretKey in PHP to the server's secret_key".to_owned(),
                    ));
                }
                Ok(command) => {
                    if !self.has_ordered {
                        self.place.prove();
                        self.input.trust();
                    }
                    self.execute(&command).await?;
                    self.has_ordered = true;
                }
                Err(error) => {
                    self.place.prove();
                    self.refuse(&error)?;
                    self.has_ordered = true;
                }
            }
            if self.output.len() > REPLIES {
                self.flush(writer).await?;
            }
        }
        Ok(())
    }

    /// The name is one of its kind on a machine.
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
            // Its classes tell the other nodes by themselves.
            if let Err(error) = gateway.execute_here(&order).await? {
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

    /// What is wrong with one command is no reason to lose those behind it; but somebody may wait for a reply.
    fn refuse(&mut self, error: &CommandError) -> Result<(), Ended> {
        abuse_log::report(Offence::Call, self.peer, error);
        if error.is_of_query() && self.worker.is_none() {
            reply::append(&mut self.output, |writer| writer.empty_array())?;
        }
        Ok(())
    }

    /// Waits until the peer has closed its side: closing over unread input would destroy the answers on their way.
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

    async fn flush(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        self.backend.gateway.flush();
        if self.output.is_empty() {
            return Ok(());
        }
        self.held.set(self.input.len() + self.output.len());
        self.held.unless_revoked(writer.write_all(&self.output)).await??;
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
