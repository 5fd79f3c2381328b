//! The farewell to a peer that is refused.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::client_socket::ClientSocket;
use super::refusal::Refusal;
use super::stream::Stream;

/// A peer that is refused. The log reports it before the peer is told, as a peer that never closes would delay the line.
pub(super) struct RefusedPeer {
    pub(super) refusal: Refusal,
    /// The socket and the response, or `None` when nobody is left to be told.
    open: Option<(Stream, Vec<u8>)>,
}

impl RefusedPeer {
    pub(super) fn on(socket: Stream, refusal: Refusal) -> Self {
        let open = refusal.response().map(|response| (socket, response));
        Self { refusal, open }
    }

    /// Refuses a peer whose TLS handshake failed; TLS has sent it an alert already.
    pub(super) fn after_alert(socket: ClientSocket, refusal: Refusal) -> Self {
        Self { refusal, open: Some((Stream::Plain(socket), Vec::new())) }
    }

    /// Sends the response and waits until the peer has closed its side. Closing a socket that has unread input resets the
    /// connection, which would destroy the response on its way.
    pub(super) async fn say(self) {
        let Some((mut socket, response)) = self.open else { return };
        if socket.write_all(&response).await.is_err() {
            return;
        }
        let _ = socket.shutdown().await;
        let mut rest = [0; 1024];
        while socket.read(&mut rest).await.is_ok_and(|length| length > 0) {}
    }
}

impl From<Refusal> for RefusedPeer {
    /// Refuses a peer that is not told.
    fn from(refusal: Refusal) -> Self {
        Self { refusal, open: None }
    }
}
