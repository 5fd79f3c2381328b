//! The connection to the register, which tells at once and at every change which gateways there are.

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

/// How long connecting may take, and how long gateway-server has to show itself in the register's place.
const PATIENCE: Duration = Duration::from_secs(3);

const INPUT: Interest = Interest { input: true, output: false };

/// What `epoll` calls the connection, and the one beside it. No gateway's address makes such a number.
pub(super) const REGISTER_TOKEN: u64 = u64::MAX;
pub(super) const PROBE_TOKEN: u64 = u64::MAX - 1;

pub(super) struct RegisterConn {
    told: RegisterTarget,
    phase: RegisterPhase,
    /// It may be gateway-server after all, that was late or took the register's place, and speaks both. This connection
    /// finds out.
    probe: Option<(CloseOnFork<Socket>, Instant)>,
    backoff: ReconnectBackoff,
}

/// Where it is, and what is said to it first.
pub(super) struct RegisterTarget {
    pub(super) place: SockAddr,
    pub(super) greeting: Vec<u8>,
    /// gateway-server may take its place, and is looked for.
    pub(super) probes: bool,
}

enum RegisterPhase {
    Listening { socket: CloseOnFork<Socket>, inbox: ReadBuffer },
    Connecting { socket: CloseOnFork<Socket>, until: Instant },
    Lost { retry_at: Instant },
}

impl RegisterConn {
    /// `socket` has been greeted and is non-blocking; `inbox` holds what came behind the first answer. `bridge` has
    /// been told the preface.
    pub(super) fn new(
        epoll: &Epoll,
        told: RegisterTarget,
        socket: CloseOnFork<Socket>,
        inbox: ReadBuffer,
        bridge: Option<CloseOnFork<Socket>>,
    ) -> io::Result<Self> {
        epoll.add(&*socket, REGISTER_TOKEN, INPUT)?;
        if let Some(bridge) = &bridge {
            bridge.set_nonblocking(true)?;
            epoll.add(&**bridge, PROBE_TOKEN, INPUT)?;
        }
        let probe = bridge.map(|bridge| (bridge, Instant::now() + PATIENCE));
        let phase = RegisterPhase::Listening { socket, inbox };
        Ok(Self { told, phase, probe, backoff: ReconnectBackoff::default() })
    }

    pub(super) fn ready(&mut self, epoll: &Epoll, ready: Ready) -> Option<RegisterUpdate> {
        if ready.token == PROBE_TOKEN {
            return self.probed(epoll, ready);
        }
        match &mut self.phase {
            RegisterPhase::Listening { socket, inbox } => match inbox.fill(&mut &**socket) {
                Ok(1..) => newest(inbox, self.told.probes),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
                Ok(0) | Err(_) => Some(self.lost(epoll)),
            },
            RegisterPhase::Connecting { socket, .. } => {
                // The line is short, and the socket empty.
                let is_told = matches!(socket.take_error(), Ok(None))
                    && matches!((&**socket).write(&self.told.greeting), Ok(written) if written == self.told.greeting.len());
                if !is_told || epoll.change(&**socket, REGISTER_TOKEN, INPUT).is_err() {
                    return Some(self.lost(epoll));
                }
                let before =
                    std::mem::replace(&mut self.phase, RegisterPhase::Lost { retry_at: Instant::now() });
                if let RegisterPhase::Connecting { socket, .. } = before {
                    self.phase = RegisterPhase::Listening { socket, inbox: ReadBuffer::default() };
                }
                if self.told.probes {
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

    /// At [`Self::due`].
    pub(super) fn keep_time(&mut self, epoll: &Epoll, now: Instant) {
        if let Some((socket, _)) = self.probe.take_if(|(_, until)| now >= *until) {
            epoll.remove(&*socket);
        }
        match &self.phase {
            RegisterPhase::Connecting { until, .. } if now >= *until => drop(self.lost(epoll)),
            RegisterPhase::Lost { retry_at } if now >= *retry_at => {
                match begin(epoll, &self.told.place, REGISTER_TOKEN) {
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
        // Without it the register's word stands, until the next time.
        self.probe = begin(epoll, &self.told.place, PROBE_TOKEN)
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

fn begin(epoll: &Epoll, place: &SockAddr, token: u64) -> io::Result<CloseOnFork<Socket>> {
    let socket = CloseOnFork::open(|| Socket::new(place.domain(), Type::STREAM, None))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    dial::notice_silence(&socket, MAX_SILENCE)?;
    begin_connect(&socket, place)?;
    epoll.add(&*socket, token, Interest { input: true, output: true })?;
    Ok(socket)
}
