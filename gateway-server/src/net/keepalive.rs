//! Ends connections within a minute whose other end has vanished without closing them.

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// The kernel probes a silent peer after this time, then every [`INTERVAL`], and ends the connection after [`PROBES`] probes
/// without an answer.
const IDLE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;
/// How long the peer's kernel may leave sent bytes unacknowledged. Without this bound the kernel would try for 15 minutes.
const UNTAKEN: Duration = Duration::from_secs(50);

/// Makes the kernel find out whether the peer is still there.
pub fn watch(socket: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(socket);
    let keepalive = TcpKeepalive::new().with_time(IDLE).with_interval(INTERVAL).with_retries(PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_user_timeout(Some(UNTAKEN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_kernel_looks_after_the_peer_within_a_minute() -> io::Result<()> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let socket = TcpStream::connect(listener.local_addr()?).await?;
        watch(&socket)?;
        let socket = SockRef::from(&socket);
        assert!(socket.keepalive()?);
        let probing = socket.tcp_keepalive_time()?
            + socket.tcp_keepalive_interval()? * socket.tcp_keepalive_retries()?;
        assert!(probing <= Duration::from_secs(60), "{probing:?}");
        assert_eq!(socket.tcp_user_timeout()?, Some(UNTAKEN));
        Ok(())
    }
}
