//! One attempt to reach a gateway: every address in turn, with handshake, within one bound of time.
//!
//! What answers may be a register of GatewayWorker in place of our gateway: see `detect`.

use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::MAX_LOGIN;
use gateway_wire::bridge::{Login, NONCE_BYTES, PREFACE, Producer, Reply};
use socket2::{Domain, SockAddr, Socket, TcpKeepalive, Type};

use crate::address::Host;
use crate::bridge_connection::BridgeConnection;
use crate::detect::{self, Answer, DetectionCache, ProtocolDetector};
use crate::fork::Watched;
use crate::gatewayworker::Session;
use crate::replies::Replies;
use crate::tls;
use crate::wire::Wire;
use crate::{Address, Failure, Protocol, Reason, Stranger, Target, Unreachable};

/// How long the other side may be gone without a word before that is noticed: half a minute, not the kernel's hours.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

/// How long somebody who has not answered gets to say who he is.
const LAST_WORD: Duration = Duration::from_millis(100);

/// What an attempt leads to.
pub(crate) enum Reached {
    /// Our gateway, and the highest order of this producer that has taken effect already.
    Gateway(BridgeConnection, u64),
    Cluster(Box<Session>),
}

pub(crate) fn attempt(
    target: &Target,
    role: &str,
    producer: Producer,
    bound: Duration,
    known: &mut DetectionCache,
) -> Result<Reached, Unreachable> {
    let deadline = Instant::now() + bound;
    let mut failures = Vec::new();
    let addresses = target.addresses();
    for (i, address) in addresses.iter().enumerate() {
        let deadline = share(deadline, addresses.len() - i);
        let attempt = Attempt { address, target, role, producer, deadline };
        match attempt.reach(known) {
            Ok(reached) => return Ok(reached),
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

struct Attempt<'a> {
    address: &'a Address,
    target: &'a Target,
    /// What the connection is for, as [`Login`] has it.
    role: &'a str,
    producer: Producer,
    deadline: Instant,
}

impl Attempt<'_> {
    fn reach(&self, known: &mut DetectionCache) -> Result<Reached, Reason> {
        let begun = Instant::now();
        let places = resolve(self.address)?;
        let mut reason = Reason::Resolve("it has no address".to_owned());
        for (i, place) in places.iter().enumerate() {
            match self.reach_place(place, share(self.deadline, places.len() - i), known) {
                Ok(reached) => return Ok(reached),
                Err(Reason::Timeout(_)) => reason = Reason::Timeout(begun.elapsed()),
                Err(other) => reason = other,
            }
        }
        Err(reason)
    }

    fn reach_place(
        &self,
        place: &SockAddr,
        deadline: Instant,
        known: &mut DetectionCache,
    ) -> Result<Reached, Reason> {
        let secret = self.target.secret();
        if self.address.is_tls() {
            return self.reach_by_tls(place, deadline);
        }
        let detector = ProtocolDetector { place, secret, deadline };
        let answer = if self.target.protocol() == Protocol::GatewayWorker {
            detector.register_alone()?
        } else {
            let begun = Instant::now();
            let socket = connect(place, deadline)?;
            write_by(&socket, &PREFACE, deadline)?;
            match self.target.protocol() {
                Protocol::Bridge => Answer::Gateway(socket),
                _ => detector.who(socket, known.patience(self.address, begun.elapsed(), deadline))?,
            }
        };
        match answer {
            Answer::Gateway(socket) => {
                let reached = self.log_in(Wire::plain(socket), deadline)?;
                known.is_gateway(self.address);
                Ok(reached)
            }
            Answer::Register(found) => {
                known.is_register(self.address);
                let session = Session::open(self.address.clone(), self.target, *found, deadline);
                session.map(|session| Reached::Cluster(Box::new(session))).map_err(Reason::Cluster)
            }
        }
    }

    /// Only our gateway speaks TLS: there is nothing to guess.
    fn reach_by_tls(&self, place: &SockAddr, deadline: Instant) -> Result<Reached, Reason> {
        if self.target.protocol() == Protocol::GatewayWorker {
            return Err(Reason::Tls("GatewayWorker's register has none (gateway.protocol)".to_owned()));
        }
        let session = tls::session(self.target.tls(), self.address).map_err(Reason::Tls)?;
        let mut wire = Wire::secured(connect(place, deadline)?, session);
        wire.shake_hands(|socket| Ok(set_timeouts(socket, deadline)?))?;
        Handshake { wire: &mut wire, deadline }.write(&PREFACE)?;
        self.log_in(wire, deadline)
    }

    /// After the preface.
    fn log_in(&self, mut wire: Wire, deadline: Instant) -> Result<Reached, Reason> {
        let mut replies = Replies::default();
        let applied = Handshake { wire: &mut wire, deadline }.shake(
            self.target.secret(),
            self.role,
            self.producer,
            &mut replies,
        )?;
        wire.socket().set_nonblocking(true)?;
        let connection = BridgeConnection::new(self.address.clone(), wire, replies)?;
        Ok(Reached::Gateway(connection, applied))
    }
}

fn resolve(address: &Address) -> Result<Vec<SockAddr>, Reason> {
    let ip = |ip: IpAddr, port| Ok(vec![SockAddr::from(SocketAddr::new(ip, port))]);
    match address {
        Address::Unix(path) => Ok(vec![SockAddr::unix(path)?]),
        Address::Tcp { host: Host::V4(v4), port, .. } => ip(IpAddr::V4(*v4), *port),
        Address::Tcp { host: Host::V6(v6), port, .. } => ip(IpAddr::V6(*v6), *port),
        Address::Tcp { host: Host::Name(name), port, .. } => {
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

pub(crate) fn connect(place: &SockAddr, deadline: Instant) -> Result<Watched<Socket>, Failed> {
    let socket = Watched::open(|| Socket::new(place.domain(), Type::STREAM, None))?;
    if place.domain() != Domain::UNIX {
        socket.set_tcp_nodelay(true)?;
        notice_silence(&socket, SILENCE)?;
    }
    socket.connect_timeout(place, left(deadline)?)?;
    Ok(socket)
}

/// `limit` is how long bytes may wait for the other side's system to take them.
pub(crate) fn notice_silence(socket: &Socket, limit: Duration) -> io::Result<()> {
    let probe = Duration::from_secs(10);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(probe).with_interval(probe).with_retries(2))?;
    socket.set_tcp_user_timeout(Some(limit))
}

fn write_by(mut socket: &Socket, bytes: &[u8], deadline: Instant) -> Result<(), Failed> {
    socket.set_write_timeout(Some(left(deadline)?))?;
    Ok(socket.write_all(bytes)?)
}

fn set_timeouts(socket: &Socket, deadline: Instant) -> Result<(), Failed> {
    let left = left(deadline)?;
    socket.set_read_timeout(Some(left))?;
    Ok(socket.set_write_timeout(Some(left))?)
}

struct Handshake<'a> {
    wire: &'a mut Wire,
    deadline: Instant,
}

impl Handshake<'_> {
    /// After the preface.
    fn shake(
        &mut self,
        secret: &[u8],
        role: &str,
        producer: Producer,
        replies: &mut Replies,
    ) -> Result<u64, Reason> {
        let nonce = match self.first_reply(replies)? {
            Reply::Hello { nonce, .. } => nonce,
            Reply::Error { message, .. } => return Err(Reason::NotAGateway(message)),
            other => return Err(unexpected(&other)),
        };
        let mut own = [0; NONCE_BYTES];
        getrandom::fill(&mut own).map_err(|error| Reason::Io(format!("no random numbers: {error}")))?;
        let login = Login::new(role, producer, secret, &nonce, own);
        let mut encoded = Vec::new();
        login.encode(&mut encoded).map_err(|error| Reason::Io(error.to_string()))?;
        self.write(&encoded)?;
        match self.reply(replies)? {
            // Without a secret everybody could prove as much.
            Reply::Welcome { proof, .. }
                if !secret.is_empty() && !login.is_answered(secret, &nonce, &proof) =>
            {
                Err(Reason::Unproven)
            }
            Reply::Welcome { applied, .. } => Ok(applied),
            Reply::Error { message, .. } => Err(Reason::LoginRefused(message)),
            other => Err(unexpected(&other)),
        }
    }

    /// Where nothing comes, the last of the time goes into finding out who is there.
    fn first_reply(&mut self, replies: &mut Replies) -> Result<Reply, Reason> {
        let left = left(self.deadline)?;
        // It waits by poll, since the timeouts of reads may be late by a tenth of a second.
        if !self.wire.has_read() && detect::is_silent(self.wire.socket(), left - LAST_WORD.min(left / 4))? {
            return Err(self.who_is_silent(replies));
        }
        self.reply(replies)
    }

    /// Our gateway answers the preface at once. Many other servers wait for the end of a line, and then say something
    /// by which they are known. This connection is given up in any case.
    fn who_is_silent(&mut self, replies: &mut Replies) -> Reason {
        let mut heard = self.write(b"\r\n\r\n").is_ok();
        while heard {
            heard = matches!(self.fill(replies), Ok(1..));
            if let Some(stranger) = Stranger::by_its_words(replies.unread()) {
                return Reason::Stranger(stranger);
            }
        }
        Reason::Timeout(Duration::ZERO)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failed> {
        set_timeouts(self.wire.socket(), self.deadline)?;
        Ok(self.wire.write_all(bytes)?)
    }

    fn reply(&mut self, replies: &mut Replies) -> Result<Reply, Reason> {
        loop {
            match replies.next(MAX_LOGIN) {
                Ok(Some(reply)) => return Ok(reply),
                Ok(None) => {}
                Err(error) => {
                    let stranger = Stranger::by_its_words(replies.unread());
                    return Err(stranger.map_or(Reason::NotAGateway(error.to_string()), Reason::Stranger));
                }
            }
            if self.fill(replies)? == 0 {
                return Err(Reason::closed());
            }
        }
    }

    fn fill(&mut self, replies: &mut Replies) -> Result<usize, Failed> {
        set_timeouts(self.wire.socket(), self.deadline)?;
        Ok(replies.fill(self.wire)?)
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
pub(crate) enum Failed {
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
