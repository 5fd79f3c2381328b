//! Clients whose few bytes become many.

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::join_all;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{MIB, REQUEST, connect, during, frame, in_batches};
use gateway_tests::Server;

/// A websocket that may send compressed messages.
async fn deflating(server: &Server) -> anyhow::Result<TcpStream> {
    let mut socket = connect(server.websocket).await?;
    let request = String::from_utf8_lossy(REQUEST)
        .replacen("\r\n", "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", 1);
    socket.write_all(request.as_bytes()).await?;
    let mut seen = Vec::new();
    while !seen.ends_with(b"\"}") {
        ensure!(socket.read_buf(&mut seen).await? > 0, "{} and the end", String::from_utf8_lossy(&seen));
    }
    ensure!(String::from_utf8_lossy(&seen).contains("permessage-deflate"));
    Ok(socket)
}

#[tokio::test]
async fn deflated_zeros() -> anyhow::Result<()> {
    // A whole message of the longest kind, in about a thousandth of its bytes.
    let bomb = {
        let mut compress = flate2::Compress::new(flate2::Compression::best(), false);
        let mut out = Vec::with_capacity(64 << 10);
        compress.compress_vec(&vec![0; MIB as usize], &mut out, flate2::FlushCompress::Sync)?;
        out.truncate(out.len() - 4);
        frame(0xc2, &out)
    };
    let bombs = bomb.repeat(50);
    during("50 who send deflated zeros", &["--deflate"], async |server, crowd| {
        let mut sockets = in_batches(50, async |_| deflating(server).await).await?;
        let floods = sockets.iter_mut().map(async |socket| {
            let write = async { while socket.write_all(&bombs).await.is_ok() {} };
            let _ = tokio::time::timeout(Duration::from_secs(3), write).await;
        });
        join_all(floods).await;
        let memory = crowd.memory_beside(server)?;
        ensure!(memory < 48 * MIB, "{memory} bytes");
        Ok(())
    })
    .await
}
