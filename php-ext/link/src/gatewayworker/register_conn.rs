//! The connection to the register, which sends the list of gateways at once and at every change.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use gateway_wire::bridge::PREFACE;
use socket2::{SockAddr, Socket, Type};

use super::epoll::{Epoll, Ready};
use super::gateway_conn::begin_connect;
use crate::backoff::ReconnectBackoff;
use crate::dial::{self, MAX_SILENCE};
use crate::fork::CloseOnFork;
use crate::poll::Interest;
use crate::read_buffer::ReadBuffer;
use crate::register_line::{RegisterUpdate, newest};

/// Connecting may take so long, and gateway-server has so long to show itself in the register's place.
const PATIENCE: Duration = Duration::from_secs(3);

const INPUT: Interest = Interest { input: true, output: false };

/// The tokens under which `epoll` reports this connection and the probe. No gateway's address makes such a number.
pub(super) const REGISTER_TOKEN: u64 = u64::MAX;
pub(super) const PROBE_TOKEN: u64 = u64::MAX - 1;

pub(super) struct RegisterConn {
    target: RegisterTarget,
    phase: RegisterPhase,
    /// A second connection, which finds out whether gateway-server has taken the register's place, or was late to answer; it
    /// speaks both protocols.
    probe: Option<(CloseOnFork<Socket>, Instant)>,
    backoff: ReconnectBackoff,
}

/// The register's address, and what is sent to it.
pub(super) struct RegisterTarget {
    pub(super) socket_address: SockAddr,
    pub(super) greeting: Vec<u8>,
    /// Whether gateway-server is looked for at this address.
    pub(super) probes: bool,
}

enum RegisterPhase {
    Listening { socket: CloseOnFork<Socket>, buffer: ReadBuffer },
    Connecting { socket: CloseOnFork<Socket>, until: Instant },
    Lost { retry_at: Instant },
}

impl RegisterConn {
    /// `socket` has sent the greeting and is non-blocking; `buffer` holds what came behind the first line. `bridge` has sent the
    /// preface.
    pub(super) fn new(
        epoll: &Epoll,
        target: RegisterTarget,
        socket: CloseOnFork<Socket>,
        buffer: ReadBuffer,
        bridge: Option<CloseOnFork<Socket>>,
    ) -> io::Result<Self> {
        epoll.add(&*socket, REGISTER_TOKEN, INPUT)?;
        if let Some(bridge) = &bridge {
            bridge.set_nonblocking(true)?;
            epoll.add(&**bridge, PROBE_TOKEN, INPUT)?;
        }
        let probe = bridge.map(|bridge| (bridge, Instant::now() + PATIENCE));
        let phase = RegisterPhase::Listening { socket, buffer };
        Ok(Self { target, phase, probe, backoff: ReconnectBackoff::default() })
    }

    pub(super) fn ready(&mut self, epoll: &Epoll, ready: Ready) -> Option<RegisterUpdate> {
        if ready.token == PROBE_TOKEN {
            return self.probed(epoll, ready);
        }
        match &mut self.phase {
            RegisterPhase::Listening { socket, buffer } => match buffer.fill(&mut &**socket) {
                Ok(1..) => newest(buffer, self.target.probes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Ok(0) | Err(_) => Some(self.lost(epoll)),
            },
            RegisterPhase::Connecting { socket, .. } => {
                // The line is short and the socket empty, so it is written whole or not at all.
                let is_told = matches!(socket.take_error(), Ok(None))
                    && matches!((&**socket).write(&self.target.greeting), Ok(written) if written == self.target.greeting.len());
                if !is_told || epoll.change(&**socket, REGISTER_TOKEN, INPUT).is_err() {
                    return Some(self.lost(epoll));
                }
                let before =
                    std::mem::replace(&mut self.phase, RegisterPhase::Lost { retry_at: Instant::now() });
                if let RegisterPhase::Connecting { socket, .. } = before {
                    self.phase = RegisterPhase::Listening { socket, buffer: ReadBuffer::default() };
                }
                if self.target.probes {
                    self.probe(epoll);
                }
                None
            }
            RegisterPhase::Lost { .. } => None,
        }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        let own = match &self.phase {
            RegisterPhase::Listening { .. } => None,
            RegisterPhase::Connecting { until, .. } => Some(*until),
            RegisterPhase::Lost { retry_at } => Some(*retry_at),
        };
        own.into_iter().chain(self.probe.as_ref().map(|(_, until)| *until)).min()
    }

    /// Called when [`Self::due`] has passed.
    pub(super) fn check_deadlines(&mut self, epoll: &Epoll, now: Instant) {
        if let Some((socket, _)) = self.probe.take_if(|(_, until)| now >= *until) {
            epoll.remove(&*socket);
        }
        match &self.phase {
            RegisterPhase::Connecting { until, .. } if now >= *until => drop(self.lost(epoll)),
            RegisterPhase::Lost { retry_at } if now >= *retry_at => {
                match begin(epoll, &self.target.socket_address, REGISTER_TOKEN) {
                    Ok(socket) => self.phase = RegisterPhase::Connecting { socket, until: now + PATIENCE },
                    Err(_) => drop(self.lost(epoll)),
                }
            }
            _ => {}
        }
    }

    fn lost(&mut self, epoll: &Epoll) -> RegisterUpdate {
        match &self.phase {
            RegisterPhase::Listening { socket, .. } => {
                epoll.remove(&**socket);
                self.backoff.reset();
            }
            RegisterPhase::Connecting { socket, .. } => epoll.remove(&**socket),
            RegisterPhase::Lost { .. } => {}
        }
        self.phase = RegisterPhase::Lost { retry_at: Instant::now() + self.backoff.next_pause() };
        RegisterUpdate::Lost
    }

    fn probe(&mut self, epoll: &Epoll) {
        if let Some((socket, _)) = self.probe.take() {
            epoll.remove(&*socket);
        }
        // If this fails, the other side counts as a register until the next time.
        self.probe = begin(epoll, &self.target.socket_address, PROBE_TOKEN)
            .ok()
            .map(|socket| (socket, Instant::now() + PATIENCE));
    }

    fn probed(&mut self, epoll: &Epoll, ready: Ready) -> Option<RegisterUpdate> {
        let (socket, _) = self.probe.as_ref()?;
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let answer = socket.peek(&mut byte);
        if matches!(answer, Ok(1..)) {
            return Some(RegisterUpdate::Replaced);
        }
        let still_open = matches!(&answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        let is_told = !ready.output
            || (matches!((&**socket).write(&PREFACE), Ok(written) if written == PREFACE.len())
                && epoll.change(&**socket, PROBE_TOKEN, INPUT).is_ok());
        if (!still_open || !is_told)
            && let Some((socket, _)) = self.probe.take()
        {
            epoll.remove(&*socket);
        }
        None
    }
}

fn begin(epoll: &Epoll, socket_address: &SockAddr, token: u64) -> io::Result<CloseOnFork<Socket>> {
    let socket = CloseOnFork::open(|| Socket::new(socket_address.domain(), Type::STREAM, None))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    dial::notice_silence(&socket, MAX_SILENCE)?;
    begin_connect(&socket, socket_address)?;
    epoll.add(&*socket, token, Interest { input: true, output: true })?;
    Ok(socket)
}
