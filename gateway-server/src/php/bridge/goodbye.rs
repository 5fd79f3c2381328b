//! The end of a bridge connection: it is reported, and the peer is told of it where it is the cause.

use std::net::SocketAddr;
use std::time::Duration;

use gateway_wire::bridge::Reply;
use tracing::debug;

use super::io::{Connection, Ended};
use crate::telemetry::abuse_log::{self, Offence};

/// Time that a peer has to read the error before its connection is closed.
const LAST_WORD: Duration = Duration::from_secs(1);

/// Reports why the connection ended. When the peer caused it, the peer is told too before the connection closes.
pub(super) async fn hang_up(mut connection: Connection, peer: Option<SocketAddr>, ended: Result<(), Ended>) {
    let Err(ended) = ended else { return };
    match &ended {
        Ended::Closed | Ended::TakenOver | Ended::Io(_) => debug!(?peer, "a bridge ended: {ended}"),
        Ended::Stopped(_) => {}
        Ended::AtRest => {
            // Everything was answered. The peer's side is waited for elsewhere, as nobody waits for that.
            tokio::spawn(async move {
                connection.acknowledged().await;
                tokio::time::timeout(LAST_WORD, connection.say_goodbye()).await
            });
            return;
        }
        Ended::Login(_) => abuse_log::report(Offence::Login, peer, &ended),
        Ended::Refused(_) | Ended::Revoked(_) => abuse_log::report(Offence::Register, peer, &ended),
        Ended::NoMemory(_) => abuse_log::report(Offence::NoMemory, peer, &ended),
    }
    if matches!(ended, Ended::Login(_) | Ended::Refused(_) | Ended::Revoked(_) | Ended::NoMemory(_)) {
        connection.reply(&Reply::Error { seq: 0, message: ended.to_string() });
        let _ = tokio::time::timeout(LAST_WORD, connection.say_goodbye()).await;
    }
}
