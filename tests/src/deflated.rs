//! permessage-deflate as browsers do it, for a websocket library that has none.

use std::convert::Infallible;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};

/// The header by which a client asks for compression.
pub(crate) const OFFER: (&str, &str) =
    ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits");

/// The bit of a frame's first byte that says that the frame's payload is compressed.
const COMPRESSED: u8 = 0x40;
/// What a compressor puts behind each message, which is left out.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// The payload in bytes up to which a message is not worth compressing.
const SHORT: usize = 8;
/// The largest payload of a frame in bytes.
const MOST: u64 = 16 << 20;

/// Gives a connection that speaks websocket without compression, and carries it over `stream` with compression, from the first
/// frame behind the handshake. Both end together.
pub fn deflated<S>(stream: S) -> DuplexStream
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (page, middle) = tokio::io::duplex(64 << 10);
    tokio::spawn(async move {
        let (from_page, to_page) = tokio::io::split(middle);
        let (from_server, to_server) = tokio::io::split(stream);
        // When one direction ends, the other does, and both sockets are closed. Their owners see that.
        tokio::select! {
            _ = copy_frames(from_server, to_page, false, inflate_frame) => {}
            _ = copy_frames(from_page, to_server, true, deflate_frame) => {}
        }
    });
    page
}

/// Copies the head of the handshake, and then each frame as `change` makes it of its first byte and its payload.
async fn copy_frames(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    is_masked: bool,
    change: impl Fn(u8, Vec<u8>) -> anyhow::Result<(u8, Vec<u8>)>,
) -> anyhow::Result<Infallible> {
    copy_head(&mut from, &mut to).await?;
    loop {
        let (first, payload) = read_frame(&mut from).await?;
        let (first, payload) = change(first, payload)?;
        write_frame(&mut to, first, &payload, is_masked).await?;
    }
}

/// Makes a frame of the server one without compression.
fn inflate_frame(first: u8, payload: Vec<u8>) -> anyhow::Result<(u8, Vec<u8>)> {
    let payload = if first & COMPRESSED == 0 { payload } else { inflate(&payload)? };
    Ok((first & !COMPRESSED, payload))
}

/// Compresses a frame of the page if it is a message and worth it.
fn deflate_frame(first: u8, payload: Vec<u8>) -> anyhow::Result<(u8, Vec<u8>)> {
    let is_message = matches!(first & 0x0f, 1 | 2);
    if is_message && payload.len() > SHORT {
        Ok((first | COMPRESSED, deflate(&payload)?))
    } else {
        Ok((first, payload))
    }
}

/// Copies the HTTP request or its answer.
async fn copy_head(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> anyhow::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(from.read_u8().await?);
    }
    Ok(to.write_all(&head).await?)
}

/// Reads a frame, and gives its first byte and its payload without a mask.
async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> anyhow::Result<(u8, Vec<u8>)> {
    let first = from.read_u8().await?;
    let second = from.read_u8().await?;
    let length = match second & 0x7f {
        126 => from.read_u16().await?.into(),
        127 => from.read_u64().await?,
        length => u64::from(length),
    };
    anyhow::ensure!(length <= MOST, "a frame of {length} bytes");
    let mut mask = [0; 4];
    if second & 0x80 != 0 {
        from.read_exact(&mut mask).await?;
    }
    let mut payload = vec![0; length as usize];
    from.read_exact(&mut payload).await?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Ok((first, payload))
}

/// Writes a frame. If it is masked, the mask is zero, which leaves the payload as it is.
async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin),
    first: u8,
    payload: &[u8],
    is_masked: bool,
) -> anyhow::Result<()> {
    let mask = if is_masked { 0x80 } else { 0 };
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..=125 => frame.push(mask | length as u8),
        length @ 126..=0xffff => {
            frame.push(mask | 126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(mask | 127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    if is_masked {
        frame.extend_from_slice(&[0; 4]);
    }
    frame.extend_from_slice(payload);
    Ok(to.write_all(&frame).await?)
}

fn inflate(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let whole = [payload, &TAIL].concat();
    let (mut decompress, mut out) = (Decompress::new(false), Vec::with_capacity(4 * whole.len()));
    loop {
        let taken = decompress.total_in() as usize;
        decompress.decompress_vec(&whole[taken..], &mut out, FlushDecompress::Sync)?;
        if decompress.total_in() as usize == whole.len() && out.len() < out.capacity() {
            return Ok(out);
        }
        out.reserve(out.len().max(1024));
    }
}

fn deflate(payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(payload.len() + 1024);
    Compress::new(Compression::fast(), false).compress_vec(payload, &mut out, FlushCompress::Sync)?;
    anyhow::ensure!(out.ends_with(&TAIL), "a message is compressed in one go");
    out.truncate(out.len() - TAIL.len());
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_compressed_comes_back() -> anyhow::Result<()> {
        for length in [9, 100, 5000, 1 << 20] {
            let message: Vec<u8> = (0..length).map(|at: u32| (at % 7 * (at / 1000)) as u8).collect();
            let deflated = deflate(&message)?;
            assert!(inflate(&deflated)? == message, "{length}");
        }
        Ok(())
    }
}
