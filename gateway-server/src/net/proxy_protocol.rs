//! Reads the header of the PROXY protocol, version 1 or 2, in which a proxy names the client that it speaks for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::net::TcpStream;

/// The longest header of version 1, in bytes, with its line end.
const MAX_LINE: usize = 107;
/// The longest rest of a header of version 2 behind its first 16 bytes: the addresses, and further fields of the proxy.
const MAX_REST: usize = 4096;
const PREFIX: &[u8] = b"PROXY ";
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Why the header could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ProxyHeaderError {
    #[error("it does not begin with a header of the PROXY protocol (proxy_protocol)")]
    Missing,
    #[error("the header of the PROXY protocol is over the limit of {0} bytes")]
    TooLong(usize),
    #[error("the header of the PROXY protocol is malformed")]
    Malformed,
    #[error("the peer has closed")]
    Closed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header from the socket, and not a byte more. Gives the address of the client, or `None` if the proxy speaks for
/// itself.
pub async fn take_header(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut first = [0];
    read_exact(socket, &mut first).await?;
    match first[0] {
        b'P' => line(socket).await,
        b'\r' => binary(socket).await,
        _ => Err(ProxyHeaderError::Missing),
    }
}

/// Reads a header of version 1, the first byte of which has been read.
async fn line(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut line = [b'P'; MAX_LINE];
    let mut length = 1;
    loop {
        let seen = socket.peek(&mut line[length..]).await?;
        let end = line[length..length + seen].iter().position(|byte| *byte == b'\n');
        // Everything up to the line feed belongs to the header.
        let taken = end.map_or(seen, |end| end + 1);
        if taken == 0 {
            return Err(ProxyHeaderError::Closed);
        }
        read_exact(socket, &mut line[length..length + taken]).await?;
        length += taken;
        if !line[..length].iter().zip(PREFIX).all(|(byte, expected)| byte == expected) {
            return Err(ProxyHeaderError::Missing);
        }
        if end.is_some() {
            return parse_line(&line[..length]);
        }
        if length == MAX_LINE {
            return Err(ProxyHeaderError::TooLong(MAX_LINE));
        }
    }
}

fn parse_line(line: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let line = line
        .strip_prefix(PREFIX)
        .and_then(|line| line.strip_suffix(b"\r\n"))
        .ok_or(ProxyHeaderError::Malformed)?;
    let line = std::str::from_utf8(line).map_err(|_| ProxyHeaderError::Malformed)?;
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Ok(None);
    }
    let fields: Vec<_> = line.split(' ').collect();
    let [family, source, destination, source_port, destination_port] = fields[..] else {
        return Err(ProxyHeaderError::Malformed);
    };
    let ip = |text: &str| -> Result<IpAddr, ProxyHeaderError> {
        match family {
            "TCP4" => text.parse().map(IpAddr::V4).map_err(|_| ProxyHeaderError::Malformed),
            "TCP6" => text.parse().map(IpAddr::V6).map_err(|_| ProxyHeaderError::Malformed),
            _ => Err(ProxyHeaderError::Malformed),
        }
    };
    let port = |text: &str| -> Result<u16, ProxyHeaderError> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).ok_or(ProxyHeaderError::Malformed)
    };
    ip(destination)?;
    port(destination_port)?;
    Ok(Some(SocketAddr::new(ip(source)?.to_canonical(), port(source_port)?)))
}

/// Reads a header of version 2, the first byte of which has been read.
async fn binary(socket: &mut TcpStream) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    let mut head = [b'\r'; 16];
    read_exact(socket, &mut head[1..]).await?;
    let [.., command, family, high, low] = head;
    if head[..SIGNATURE.len()] != SIGNATURE {
        return Err(ProxyHeaderError::Missing);
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_REST {
        return Err(ProxyHeaderError::TooLong(MAX_REST));
    }
    let mut rest = vec![0; length];
    read_exact(socket, &mut rest).await?;
    parse_binary(command, family, &rest)
}

fn parse_binary(command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyHeaderError> {
    match command {
        // LOCAL: the proxy itself connects, for a health check. The rest of the header is to be ignored.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(ProxyHeaderError::Malformed),
    }
    match family {
        // TCP over IPv4: source and destination address, then source and destination port.
        0x11 => {
            let [a, b, c, d, _, _, _, _, high, low, _, _] =
                *rest.first_chunk().ok_or(ProxyHeaderError::Malformed)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([high, low]))))
        }
        0x21 => {
            let addresses: &[u8; 36] = rest.first_chunk().ok_or(ProxyHeaderError::Malformed)?;
            let source: &[u8; 16] = addresses.first_chunk().ok_or(ProxyHeaderError::Malformed)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            Ok(Some(SocketAddr::new(IpAddr::from(Ipv6Addr::from(*source)).to_canonical(), port)))
        }
        // The family is unspecified, or the client came by a unix socket.
        0x00 | 0x31 => Ok(None),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

async fn read_exact(socket: &mut (impl AsyncRead + Unpin), bytes: &mut [u8]) -> Result<(), ProxyHeaderError> {
    socket.read_exact(bytes).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(line: &str) -> Option<Option<String>> {
        parsed(parse_line(line.as_bytes()))
    }

    fn binary_source(command: u8, family: u8, rest: &[u8]) -> Option<Option<String>> {
        parsed(parse_binary(command, family, rest))
    }

    /// The client's address, or `None` for a malformed header, which is the only error that is expected.
    fn parsed(source: Result<Option<SocketAddr>, ProxyHeaderError>) -> Option<Option<String>> {
        match source {
            Ok(source) => Some(source.map(|source| source.to_string())),
            Err(ProxyHeaderError::Malformed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn lines() {
        let some = |text: &str| Some(Some(text.to_owned()));
        assert_eq!(source("PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\r\n"), some("192.0.2.1:56324"));
        assert_eq!(source("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"), some("[2001:db8::1]:1"));
        assert_eq!(source("PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n"), some("192.0.2.1:1"));
        assert_eq!(source("PROXY UNKNOWN\r\n"), Some(None));
        assert_eq!(source("PROXY UNKNOWN ffff::1 and so on\r\n"), Some(None));
        for wrong in [
            "PROXY \r\n",
            "PROXY UNKNOWNS\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 56324 443 \r\n",
            "PROXY TCP4 192.0.2.1  10.0.0.1 56324 443\r\n",
            "PROXY TCP4 192.0.2.256 10.0.0.1 56324 443\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 65536 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +5 443\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 5 -1\r\n",
            "PROXY UDP4 192.0.2.1 10.0.0.1 5 6\r\n",
        ] {
            assert_eq!(source(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn binaries() {
        let four = [192, 0, 2, 1, 10, 0, 0, 1, 0xdc, 0x04, 1, 187, 4, 0, 1, 7];
        assert_eq!(binary_source(0x21, 0x11, &four), Some(Some("192.0.2.1:56324".to_owned())));
        assert_eq!(binary_source(0x21, 0x11, &four[..11]), None);
        let mut six = [0; 36];
        (six[0], six[15], six[33]) = (0x20, 1, 80);
        assert_eq!(binary_source(0x21, 0x21, &six), Some(Some("[2000::1]:80".to_owned())));
        assert_eq!(binary_source(0x21, 0x21, &six[..35]), None);
        for (command, family) in [(0x20, 0x11), (0x20, 0x99), (0x21, 0x00), (0x21, 0x31)] {
            assert_eq!(binary_source(command, family, &[]), Some(None));
        }
        for (command, family) in [(0x22, 0x11), (0x11, 0x11), (0x21, 0x12), (0x21, 0x01)] {
            assert_eq!(binary_source(command, family, &four), None);
        }
    }
}
