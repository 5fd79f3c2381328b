//! What remains to be done with a peer that is not let in.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::refusal::Refusal;
use super::stream::Stream;

/// A peer that is refused. The log learns of it before the peer is told, as a peer that never closes would keep it waiting.
pub(super) struct RefusedPeer {
    pub(super) refusal: Refusal,
    /// The socket of a peer that is still there, and the bytes that it is sent.
    open: Option<(Stream, Vec<u8>)>,
}

impl RefusedPeer {
    pub(super) fn on(socket: Stream, refusal: Refusal) -> Self {
        let open = refusal.response().map(|response| (socket, response));
        Self { refusal, open }
    }

    /// The TLS handshake failed, and an alert has been sent.
    pub(super) fn after_alert(socket: TcpStream, refusal: Refusal) -> Self {
        Self { refusal, open: Some((Stream::Plain(socket), Vec::new())) }
    }

    /// Tells the peer, and waits until it has closed: closing over unread input would destroy what it was told on the way.
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
    /// There is nobody to be told.
    fn from(refusal: Refusal) -> Self {
        Self { refusal, open: None }
    }
}
