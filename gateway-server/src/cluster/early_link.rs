//! The connection to the broker of a process that is to take over from another one of the same node. It is made while that one still
//! serves, and subscribes to what concerns this node, so that no question or answer of another node is lost in between.

use std::net::SocketAddrV4;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;

use super::Cluster;
use super::authenticator::FrameAuthenticator;
use super::broker::{Broker as _, Connection, Incoming};
use super::link::{Ended, options, put};
use super::nats::Nats;
use super::subject::Subjects;
use crate::config::Settings;

/// Time for the connection. The other process waits for it.
const TIME: Duration = Duration::from_secs(3);
/// Bytes that one read may take at most.
const INPUT: usize = 64 << 10;

/// A connection to the broker, which is not served yet.
pub struct EarlyLink(Connection);

impl EarlyLink {
    /// Connects to the first of the NATS servers that can be reached.
    pub async fn connect(settings: &Settings, node: SocketAddrV4) -> Result<Self, String> {
        let mut reason = "no server of NATS is set".to_owned();
        let options = options(settings, node);
        let name = &settings.cluster_name;
        let authenticator = FrameAuthenticator::new(settings.secret_key.as_bytes(), name);
        let subjects = Subjects::new(name, authenticator.derive_key(b"names"));
        let connected = tokio::time::timeout(TIME, async {
            for address in &settings.cluster_nats {
                reason = match Nats::connect(address, &options).await {
                    Ok(connection) => match subscribe(connection, &subjects, node).await {
                        Ok(connection) => return Some(Self(connection)),
                        Err(ended) => format!("{address}: {ended}"),
                    },
                    Err(error) => format!("{address}: {error}"),
                };
            }
            None
        });
        match connected.await {
            Ok(Some(link)) => Ok(link),
            Ok(None) => Err(reason),
            Err(_) => Err(format!("no connection to NATS within {TIME:?}")),
        }
    }
}

/// Subscribes, and waits until that is in effect. Frames that come before are left to the other process, which still takes all.
async fn subscribe(
    mut connection: Connection,
    subjects: &Subjects,
    node: SocketAddrV4,
) -> Result<Connection, Ended> {
    let mut out = Vec::new();
    subjects.append_own(node, &mut out);
    Nats::ping(&mut out);
    put(&mut connection.writer, &out).await?;
    let max_payload = connection.server.max_payload;
    loop {
        while let Some(incoming) = Nats::decode(&mut connection.input, max_payload)? {
            match incoming {
                Incoming::Pong => return Ok(connection),
                Incoming::Ping => {
                    let mut pong = Vec::new();
                    Nats::pong(&mut pong);
                    put(&mut connection.writer, &pong).await?;
                }
                Incoming::Error(error) => return Err(Ended::Refused(error)),
                Incoming::Info(server) if server.is_leaving => {
                    return Err(Ended::Refused("it is about to end".to_owned()));
                }
                Incoming::Frame(_) | Incoming::Info(_) | Incoming::Nothing => {}
            }
        }
        connection.input.reserve(INPUT);
        if connection.reader.read_buf(&mut connection.input).await? == 0 {
            return Err(Ended::Closed);
        }
    }
}

impl Cluster {
    /// Keeps a connection for the first time that one is needed.
    pub fn begin_with(&self, EarlyLink(connection): EarlyLink) {
        *self.early_link.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
    }

    pub(super) fn take_early_link(&self) -> Option<Connection> {
        self.early_link.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
