//! A handshake that is not over when another process takes over, and with which that process goes on.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::relay::RelayedClient;
use crate::versioned::{Form, Malformed};

/// Fields have their names, so that a later version may add some.
const FORM: Form = Form::new("the handshake", 1).with_names();

/// A handshake on its way to another process.
pub struct PassedHandshake {
    pub handshake: BegunHandshake,
    /// The client's socket, or the other process's end of the pair that stands for it.
    pub socket: OwnedFd,
    /// The client, if it speaks TLS with this process.
    pub relayed: Option<RelayedClient>,
}

/// How far a handshake has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunHandshake {
    /// The number of the listener that has accepted the connection.
    pub(super) listener: u8,
    pub(super) peer: SocketAddr,
    /// The client's address, which is the peer's unless a header of the PROXY protocol has named another.
    pub(super) client: SocketAddr,
    pub(super) is_past_proxy_header: bool,
    /// Whether the socket is one end of a pair, whose other end is that of a process with which the client speaks TLS.
    pub(super) is_relayed: bool,
    /// What was read of the request.
    pub(super) read: ByteBuf,
    /// How long the handshake may still take.
    pub(super) left_millis: u64,
}

/// Why bytes are no handshake that this server goes on with.
#[derive(Debug, thiserror::Error)]
pub enum MalformedHandshake {
    #[error(transparent)]
    Form(#[from] Malformed),
    #[error("the handshake comes with {0} sockets instead of one")]
    Sockets(usize),
    #[error("the handshake is one of listener {0}, which there is not")]
    Listener(u8),
}

impl BegunHandshake {
    /// How long the handshake may still take.
    pub(super) fn left(&self) -> Duration {
        Duration::from_millis(self.left_millis)
    }

    /// Writes the handshake.
    pub fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    /// Reads a handshake that a process of the same version has written.
    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        FORM.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A handshake as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("golden/begun_handshake_1.bin");

    fn handshake() -> BegunHandshake {
        BegunHandshake {
            listener: 3,
            peer: "127.0.0.1:4711".parse().unwrap(),
            client: "[2001:db8::7]:80".parse().unwrap(),
            is_past_proxy_header: true,
            is_relayed: false,
            read: ByteBuf::from(b"GET / HTTP/1.1\r\nHost: ".to_vec()),
            left_millis: 9_500,
        }
    }

    #[test]
    fn handshakes_of_every_released_version_are_read() {
        assert_eq!(handshake().to_bytes(), GOLDEN);
        assert_eq!(BegunHandshake::from_bytes(GOLDEN).unwrap(), handshake());
        assert_eq!(handshake().left(), Duration::from_millis(9_500));
    }

    #[test]
    fn what_is_no_handshake_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| BegunHandshake::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the handshake has no bytes");
        assert_eq!(
            error(&[2, 0x90]),
            "the handshake is written in version 2, and this server reads version 1"
        );
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).starts_with("the handshake is not written as version 1"));
        }
    }
}
