//! The publisher of messages: to our server by the bridge, to GatewayWorker by its own protocol, to nchan and socket.io by HTTP, to Sockudo
//! and Reverb by the HTTP API of Pusher, and to the others by a websocket of its own.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use gateway_tests::{OWN_NONCE, new_producer};
use gateway_wire::ClientId;
use gateway_wire::bridge::{Call, Login, Order, PREFACE, Reply, Request, frame};
use gateway_wire::gatewayworker::Command;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use serde_bytes::Bytes;

use crate::fleet::CONTROL;
use crate::frames::{self, push_masked};
use crate::handshake;
use crate::pusher_api::PusherApi;

/// The clients of a message: all of a fleet, or the one with this topic.
#[derive(Clone, Copy)]
pub(crate) enum Target<'a> {
    All,
    One(&'a str),
}

/// The topic that all clients share.
pub(crate) const SHARED: &str = "all";

pub(crate) enum Publisher {
    Line(Line),
    Pusher(Box<PusherApi>),
}

/// A single connection over which everything is published.
pub(crate) struct Line {
    socket: TcpStream,
    tongue: Tongue,
    out: Vec<u8>,
}

enum Tongue {
    Bridge {
        seq: u64,
    },
    Websocket,
    Http,
    /// That of GatewayWorker's own client.
    Original,
}

impl Publisher {
    pub(crate) fn bridge(address: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = connect(address)?;
        socket.write_all(&PREFACE)?;
        let Reply::Hello { nonce, .. } = read_reply(&mut socket)? else { bail!("no hello") };
        let mut login = Vec::new();
        Login::new(Login::PHP, new_producer(), b"", &nonce, OWN_NONCE).encode(&mut login)?;
        socket.write_all(&login)?;
        let Reply::Welcome { .. } = read_reply(&mut socket)? else { bail!("no welcome") };
        Self::over(socket, Tongue::Bridge { seq: 0 })
    }

    pub(crate) fn websocket(address: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = connect(address)?;
        socket.write_all(&handshake::request(address, "/control"))?;
        let length = socket.read(&mut [0; 2048])?;
        anyhow::ensure!(length > 0, "no way in for whoever publishes");
        Self::over(socket, Tongue::Websocket)
    }

    pub(crate) fn http(address: SocketAddr) -> anyhow::Result<Self> {
        Self::over(connect(address)?, Tongue::Http)
    }

    pub(crate) fn original(address: SocketAddr) -> anyhow::Result<Self> {
        let mut socket = connect(address)?;
        let mut login = Vec::new();
        Command::ClientConnect { secret_key: String::new() }.encode(&mut login)?;
        socket.write_all(&login)?;
        Self::over(socket, Tongue::Original)
    }

    pub(crate) fn pusher(address: SocketAddr) -> anyhow::Result<Self> {
        Ok(Self::Pusher(Box::new(PusherApi::new(address)?)))
    }

    fn over(socket: std::net::TcpStream, tongue: Tongue) -> anyhow::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self::Line(Line { socket: TcpStream::from_std(socket), tongue, out: Vec::new() }))
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> anyhow::Result<()> {
        match self {
            Self::Line(line) => Ok(registry.register(&mut line.socket, CONTROL, Interest::READABLE)?),
            Self::Pusher(api) => api.register(registry),
        }
    }

    /// Queues a message.
    pub(crate) fn publish(&mut self, target: Target, payload: &[u8]) -> anyhow::Result<()> {
        match self {
            Self::Line(line) => line.publish(target, payload),
            Self::Pusher(api) => api.publish(target, payload),
        }
    }

    /// Gives a client of our server its uid.
    pub(crate) fn bind(&mut self, client: ClientId, uid: &str) -> anyhow::Result<()> {
        let Self::Line(line) = self else { bail!("only clients of our server have uids") };
        line.order(Order::BindUid { client, uid: Bytes::new(uid.as_bytes()) })
    }

    /// Sends everything that is queued; what waits for an answer to an earlier request goes with that.
    pub(crate) fn flush(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Line(line) => line.flush(),
            Self::Pusher(api) => api.flush(),
        }
    }

    /// Reads acks and answers.
    pub(crate) fn drain(&mut self) -> anyhow::Result<()> {
        match self {
            Self::Line(line) => line.drain(),
            Self::Pusher(api) => api.drain(),
        }
    }
}

impl Line {
    fn publish(&mut self, target: Target, payload: &[u8]) -> anyhow::Result<()> {
        let topic = match target {
            Target::All => SHARED,
            Target::One(topic) => topic,
        };
        match &self.tongue {
            Tongue::Bridge { .. } => {
                let (uid, message) = (Bytes::new(topic.as_bytes()), Bytes::new(payload));
                return self.order(match target {
                    Target::All => Order::SendToAll { message, only: None, except: vec![], raw: false },
                    Target::One(_) => Order::SendToUids { uids: [uid].into(), message, raw: false },
                });
            }
            Tongue::Websocket => {
                let order = [topic.as_bytes(), b"\n", payload].concat();
                push_masked(&mut self.out, frames::BINARY, &order);
            }
            Tongue::Original => {
                anyhow::ensure!(matches!(target, Target::All), "nobody is bound to a uid");
                let (message, except) = (payload, Vec::new());
                Command::SendToAll { message, only: None, except, raw: false }.encode(&mut self.out)?;
            }
            Tongue::Http => {
                let length = payload.len();
                write!(self.out, "POST /publish/{topic} HTTP/1.1\r\nHost: bench\r\n")?;
                write!(self.out, "Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n")?;
                self.out.extend_from_slice(payload);
            }
        }
        Ok(())
    }

    fn order(&mut self, order: Order) -> anyhow::Result<()> {
        let Tongue::Bridge { seq } = &mut self.tongue else { bail!("orders go over the bridge") };
        *seq += 1;
        Ok(Request { seq: *seq, call: Call::Order(order) }.encode(&mut self.out)?)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let mut sent = 0;
        while sent < self.out.len() {
            match self.socket.write(&self.out[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.drain()?;
                    std::thread::yield_now();
                }
                Err(error) => return Err(error).context("publishing"),
            }
        }
        self.out.clear();
        Ok(())
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        let mut chunk = [0; 16 << 10];
        loop {
            match self.socket.read(&mut chunk) {
                Ok(0) => bail!("the server closed on whoever publishes"),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("reading as whoever publishes"),
            }
        }
    }
}

pub(crate) fn connect(address: SocketAddr) -> anyhow::Result<std::net::TcpStream> {
    let socket = std::net::TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(gateway_tests::PATIENCE))?;
    Ok(socket)
}

fn read_reply(socket: &mut std::net::TcpStream) -> anyhow::Result<Reply> {
    let mut header = [0; frame::HEADER];
    socket.read_exact(&mut header)?;
    let mut content = vec![0; u32::from_be_bytes(header) as usize];
    socket.read_exact(&mut content)?;
    Ok(Reply::decode(&content)?)
}
