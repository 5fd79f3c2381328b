//! Instructions and allocations of a handshake, a fan-out, a push to one uid, and a ping, one after the other.

use std::net::SocketAddr;

use gateway_server::shard::uring::Ring;
use gateway_tests::{Client, PhpPeer, TestCertificate, server_binary, skip};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::profile::Profile;
use crate::recorded::Figure;
use crate::valgrind::Valgrind;

/// What is done first, so that buffers and tables have the size that they keep.
const WARM_UP: usize = 24;
/// The clients of a fan-out. What a message costs once stands in the figure for a delivery by a thousandth.
const CLIENTS: usize = 1000;
const FAN_OUTS: usize = 20;
const PUSHES: usize = 2000;

/// The flags with which the profile says all names and lines as they are.
const VERBOSE: [&str; 2] = ["--compress-strings=no", "--compress-pos=no"];

/// A server under callgrind that does one thing at a time: the next begins when the last has arrived.
struct Course<S> {
    valgrind: Valgrind,
    php: PhpPeer,
    clients: Vec<Client<S>>,
    /// The path of the server's program.
    program: String,
    message: String,
}

/// Counts with plain sends.
pub(crate) async fn count() -> anyhow::Result<Vec<Figure>> {
    let mut course = Course::start(&["--io-uring", "false"]).await?;
    let handshakes = course.gather(Client::connect).await?;
    let deliveries = course.fan_out().await?;
    let pushes = course.push().await?;
    Ok([
        each(["a handshake, instructions", "a handshake, allocations"], handshakes, CLIENTS - WARM_UP),
        each(
            ["a delivery of a fan-out, instructions", "a delivery of a fan-out, allocations"],
            deliveries,
            FAN_OUTS * CLIENTS,
        ),
        each(["a push to a uid, instructions", "a push to a uid, allocations"], pushes, PUSHES),
    ]
    .concat())
}

/// Counts fan-outs through io_uring, without TLS and with it, or nothing where that is forbidden.
pub(crate) async fn through_ring() -> anyhow::Result<Vec<Figure>> {
    if let Err(error) = Ring::open() {
        skip("the costs of io_uring", &error.to_string());
        return Ok(Vec::new());
    }
    let mut course = Course::start(&["--io-uring", "true"]).await?;
    course.gather(Client::connect).await?;
    let plain = course.fan_out().await?;
    let certificate = TestCertificate::new()?;
    let [flag, file, key_flag, key] = certificate.flags();
    let mut course = Course::start(&["--io-uring", "true", &flag, &file, &key_flag, &key]).await?;
    course.gather(async |address| certificate.connect(address).await).await?;
    let through_tls = course.fan_out().await?;
    let (names, tls_names) = (
        ["a delivery through io_uring, instructions", "a delivery through io_uring, allocations"],
        [
            "a delivery through io_uring and TLS, instructions",
            "a delivery through io_uring and TLS, allocations",
        ],
    );
    let deliveries = FAN_OUTS * CLIENTS;
    Ok([each(names, plain, deliveries), each(tls_names, through_tls, deliveries)].concat())
}

impl<S: AsyncRead + AsyncWrite + Unpin> Course<S> {
    async fn start(flags: &[&str]) -> anyhow::Result<Self> {
        let valgrind = Valgrind::start("callgrind", &VERBOSE, flags).await?;
        Ok(Self {
            php: PhpPeer::connect(valgrind.server.register[0]).await?,
            clients: Vec::new(),
            program: std::fs::canonicalize(server_binary()?)?.display().to_string(),
            message: "x".repeat(64),
            valgrind,
        })
    }

    fn profile(&mut self) -> anyhow::Result<Profile> {
        Ok(Profile::read(&self.valgrind.profile()?, &self.program))
    }

    /// Connects all clients, one after the other.
    async fn gather(
        &mut self,
        connect: impl AsyncFn(SocketAddr) -> anyhow::Result<Client<S>>,
    ) -> anyhow::Result<Profile> {
        for number in 0..CLIENTS {
            if number == WARM_UP {
                self.valgrind.zero()?;
            }
            self.clients.push(connect(self.valgrind.server.websocket).await?);
        }
        self.profile()
    }

    /// Sends messages to all clients.
    async fn fan_out(&mut self) -> anyhow::Result<Profile> {
        for number in 0..WARM_UP + FAN_OUTS {
            if number == WARM_UP {
                self.valgrind.zero()?;
            }
            self.php.send_to_all(&self.message).await?;
            self.php.acked().await?;
            for client in &mut self.clients {
                client.text().await?;
            }
        }
        self.profile()
    }

    /// Gives each client a uid, and sends messages to one after the other.
    async fn push(&mut self) -> anyhow::Result<Profile> {
        for (number, client) in self.clients.iter().enumerate() {
            self.php.bind(client.id, &format!("u{number}")).await?;
        }
        self.php.acked().await?;
        for number in 0..WARM_UP + PUSHES {
            if number == WARM_UP {
                self.valgrind.zero()?;
            }
            let to = number % CLIENTS;
            self.php.send_to_uid(&format!("u{to}"), &self.message).await?;
            self.php.acked().await?;
            self.clients[to].text().await?;
        }
        self.profile()
    }
}

fn each(names: [&'static str; 2], profile: Profile, events: usize) -> [Figure; 2] {
    let [instructions, allocations] =
        [profile.instructions, profile.allocations].map(|all| all as f64 / events as f64);
    [(names[0], instructions), (names[1], allocations)]
}
