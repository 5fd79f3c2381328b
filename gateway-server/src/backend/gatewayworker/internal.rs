//! A connection that speaks the internal protocol, from its first packet to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use gateway_wire::gatewayworker::{Command, CommandError, MAX_PACKET, Packet, PacketError, reply};
use tokio::io::AsyncWriteExt as _;

use super::input::Input;
use super::orders::order;
use super::{Ended, queries};
use crate::backend::Backend;
use crate::backend::port::Stream;
use crate::ops::offence::{self, Offence};

/// Longest packet of a peer that has not shown yet that it knows the secret.
const MAX_LOGIN: usize = 4 << 10;
/// Replies that are collected at most before they are sent.
const REPLIES: usize = 1 << 20;

/// Serves a connection whose first byte, a zero, has been read.
pub(in crate::backend) async fn serve(
    socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    backend: &Backend,
    timeout: Duration,
) {
    let mut session = Session {
        socket,
        peer,
        backend,
        input: Input::new(0),
        output: Vec::new(),
        is_trusted: backend.gatewayworker.secret.is_empty(),
    };
    let Err(ended) = session.run(timeout).await;
    ended.report(peer);
}

struct Session<'a> {
    socket: Box<dyn Stream>,
    peer: Option<SocketAddr>,
    backend: &'a Backend,
    input: Input,
    output: Vec<u8>,
    /// It has shown that it knows the secret, or there is none.
    is_trusted: bool,
}

impl Session<'_> {
    async fn run(&mut self, timeout: Duration) -> Result<Infallible, Ended> {
        let is_late = tokio::time::timeout(timeout, self.read_first()).await;
        is_late.map_err(|_| {
            Ended::Refused(format!("it did not finish a packet within {timeout:?} (handshake_timeout)"))
        })??;
        loop {
            self.take_packets().await?;
            self.flush().await?;
            self.input.read_more(&mut self.socket).await?;
        }
    }

    /// Until the first packet has been taken.
    async fn read_first(&mut self) -> Result<(), Ended> {
        while self.take_packets().await? == 0 {
            self.input.read_more(&mut self.socket).await?;
        }
        Ok(())
    }

    /// All whole packets that have been read, each after the one before it has taken effect. Gives how many there were.
    async fn take_packets(&mut self) -> Result<usize, Ended> {
        let mut taken = 0;
        while let Some(bytes) = self.input.packet(if self.is_trusted { MAX_PACKET } else { MAX_LOGIN })? {
            let packet = Packet::decode(&bytes).map_err(|error| Ended::Refused(error.to_string()))?;
            match Command::from_packet(&packet) {
                Ok(Command::ClientConnect { secret_key }) => {
                    self.backend.gatewayworker.check_secret(&secret_key)?;
                    self.is_trusted = true;
                }
                Ok(Command::WorkerConnect { secret_key, .. }) => {
                    self.backend.gatewayworker.check_secret(&secret_key)?;
                    let detail = "event handling by BusinessWorker processes is not served";
                    return Err(Ended::Refused(detail.to_owned()));
                }
                _ if !self.is_trusted => {
                    return Err(Ended::Login(
                        "it knows no secret: set secretKey in PHP to the server's secret_key",
                    ));
                }
                Ok(command) => self.execute(&command).await?,
                Err(error) => self.refuse(&error)?,
            }
            taken += 1;
            if self.output.len() > REPLIES {
                self.flush().await?;
            }
        }
        Ok(taken)
    }

    async fn execute(&mut self, command: &Command<'_>) -> Result<(), Ended> {
        let Backend { bridge, .. } = self.backend;
        if let Some(order) = order(command, self.backend.gatewayworker.node) {
            if let Err(message) = bridge.obey(&order).await? {
                offence::report(Offence::Call, self.peer, &message);
            }
            return Ok(());
        }
        Ok(queries::answer(command, bridge.hub(), &mut self.output).await??)
    }

    /// What is wrong with one command is no reason to lose those behind it; but somebody may wait for a reply.
    fn refuse(&mut self, error: &CommandError) -> Result<(), Ended> {
        offence::report(Offence::Call, self.peer, error);
        if error.is_of_query() {
            reply::append(&mut self.output, |writer| writer.empty_array())?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        self.backend.bridge.hub().settle();
        self.socket.write_all(&self.output).await?;
        self.output.clear();
        self.output.shrink_to(REPLIES);
        Ok(())
    }
}

impl From<PacketError> for Ended {
    fn from(error: PacketError) -> Self {
        Self::Refused(format!("the reply is too large: {error}"))
    }
}
