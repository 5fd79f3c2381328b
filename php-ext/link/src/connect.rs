//! One attempt to reach a gateway: every address in turn, with handshake, within one bound of time.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_LOGIN;
use gateway_wire::bridge::{Login, PREFACE, Producer, Reply};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use crate::address::Host;
use crate::connection::Connection;
use crate::fork::Watched;
use crate::replies::Replies;
use crate::{Address, Failure, Reason, Target, Unreachable};

/// Gives the connection and the highest order of this producer that has taken effect already.
pub(crate) fn attempt(
    target: &Target,
    producer: Producer,
    bound: Duration,
) -> Result<(Connection, u64), Unreachable> {
    let deadline = Instant::now() + bound;
    let mut failures = Vec::new();
    let addresses = target.addresses();
    for (i, address) in addresses.iter().enumerate() {
        match reach(address, share(deadline, addresses.len() - i), target.secret(), producer) {
            Ok(connected) => return Ok(connected),
            Err(reason) => failures.push(Failure { address: address.clone(), reason }),
        }
    }
    Err(Unreachable { failures })
}

/// When the first of `waiting` must be done, so that all get their turn; the last gets one even when all are late.
fn share(deadline: Instant, waiting: usize) -> Instant {
    const LEAST: Duration = Duration::from_millis(10);
    let left = deadline.saturating_duration_since(Instant::now());
    Instant::now() + (left / u32::try_from(waiting).unwrap_or(u32::MAX).max(1)).max(LEAST)
}

fn reach(
    address: &Address,
    deadline: Instant,
    secret: &[u8],
    producer: Producer,
) -> Result<(Connection, u64), Reason> {
    let begun = Instant::now();
    let places = resolve(address)?;
    let mut reason = Reason::Resolve("it has no address".to_owned());
    for (i, place) in places.iter().enumerate() {
        let deadline = share(deadline, places.len() - i);
        let handshake = connect(place, deadline).map_err(Reason::from).and_then(|socket| {
            let (replies, applied) = Handshake { socket: &socket, deadline }.shake(secret, producer)?;
            socket.set_nonblocking(true)?;
            Ok((Connection::new(address.clone(), socket, replies), applied))
        });
        match handshake {
            Ok(connected) => return Ok(connected),
            Err(Reason::Timeout(_)) => reason = Reason::Timeout(begun.elapsed()),
            Err(other) => reason = other,
        }
    }
    Err(reason)
}

fn resolve(address: &Address) -> Result<Vec<SockAddr>, Reason> {
    let ip = |ip: IpAddr, port| Ok(vec![SockAddr::from(SocketAddr::new(ip, port))]);
    match address {
        Address::Unix(path) => Ok(vec![SockAddr::unix(path)?]),
        Address::Tcp { host: Host::V4(v4), port } => ip(IpAddr::V4(*v4), *port),
        Address::Tcp { host: Host::V6(v6), port } => ip(IpAddr::V6(*v6), *port),
        Address::Tcp { host: Host::Name(name), port } => {
            let found = (name.as_str(), *port).to_socket_addrs();
            let found = found.map_err(|error| {
                // "failed to lookup address information: Name or service not known"
                let text = error.to_string();
                Reason::Resolve(text.rsplit(": ").next().unwrap_or(&text).to_owned())
            })?;
            Ok(found.map(SockAddr::from).collect())
        }
    }
}

fn connect(place: &SockAddr, deadline: Instant) -> Result<Watched<Socket>, Failed> {
    let socket = Watched::open(|| Socket::new(place.domain(), Type::STREAM, None))?;
    if place.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
        notice_silence(&socket)?;
    }
    socket.connect_timeout(place, left(deadline)?)?;
    Ok(socket)
}

/// A gateway that is gone without a word is noticed in half a minute, not in the kernel's hours.
fn notice_silence(socket: &Socket) -> io::Result<()> {
    const SILENCE: Duration = Duration::from_secs(30);
    let probe = Duration::from_secs(10);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(2))?;
    socket.set_tcp_user_timeout(Some(SILENCE))
}

struct Handshake<'a> {
    socket: &'a Socket,
    deadline: Instant,
}

impl Handshake<'_> {
    fn shake(&self, secret: &[u8], producer: Producer) -> Result<(Replies, u64), Reason> {
        self.write(&PREFACE)?;
        let mut replies = Replies::default();
        let nonce = match self.reply(&mut replies)? {
            Reply::Hello { nonce, .. } => nonce,
            Reply::Error { message, .. } => return Err(Reason::NotAGateway(message)),
            other => return Err(unexpected(&other)),
        };
        let mut login = Vec::new();
        Login::new(Login::PHP, producer, secret, &nonce)
            .encode(&mut login)
            .map_err(|error| Reason::Io(error.to_string()))?;
        self.write(&login)?;
        match self.reply(&mut replies)? {
            Reply::Welcome { applied } => Ok((replies, applied)),
            Reply::Error { message, .. } => Err(Reason::LoginRefused(message)),
            other => Err(unexpected(&other)),
        }
    }

    fn write(&self, bytes: &[u8]) -> Result<(), Failed> {
        self.socket.set_write_timeout(Some(left(self.deadline)?))?;
        let mut socket = self.socket;
        Ok(socket.write_all(bytes)?)
    }

    fn reply(&self, replies: &mut Replies) -> Result<Reply, Reason> {
        loop {
            match replies.next(MAX_LOGIN) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => return Err(Reason::NotAGateway(error.to_string())),
            }
            if self.fill(replies)? == 0 {
                return Err(Reason::NotAGateway("the connection was closed during the handshake".to_owned()));
            }
        }
    }

    fn fill(&self, replies: &mut Replies) -> Result<usize, Failed> {
        self.socket.set_read_timeout(Some(left(self.deadline)?))?;
        let mut socket = self.socket;
        Ok(replies.fill(&mut socket)?)
    }
}

fn unexpected(reply: &Reply) -> Reason {
    let kind = match reply {
        Reply::Hello { .. } => "hello",
        Reply::Welcome { .. } => "welcome",
        Reply::Ack { .. } => "ack",
        Reply::Answer { .. } => "answer",
        Reply::Error { .. } => "error",
    };
    Reason::NotAGateway(format!("its handshake has an unexpected {kind}"))
}

fn left(deadline: Instant) -> Result<Duration, Failed> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failed::Timeout) } else { Ok(left) }
}

/// An I/O error, or a timeout in whichever of its guises.
enum Failed {
    Timeout,
    Io(io::Error),
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // A blocking socket says WouldBlock when its timeout passes.
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout,
            _ => Self::Io(error),
        }
    }
}

impl From<Failed> for Reason {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Timeout => Self::Timeout(Duration::ZERO),
            Failed::Io(error) => error.into(),
        }
    }
}
