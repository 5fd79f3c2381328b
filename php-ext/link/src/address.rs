//! Where a gateway listens, in the forms that people write.

use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use gateway_wire::excerpt;

/// An address at which a gateway or a register listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// A TCP port, with TLS or without.
    Tcp {
        /// The host, by number or by name.
        host: Host,
        /// The port, from 1 up.
        port: u16,
        /// Whether TLS is spoken there.
        is_tls: bool,
    },
    /// The absolute path of a unix socket.
    Unix(PathBuf),
}

/// The host of a TCP address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
    /// A host name in lower case, which is resolved at each attempt to connect.
    Name(String),
}

/// Why a text is no address; its text says which forms are possible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the gateway address {given:?} {problem}; write it as host:port, tcp://host:port, [ipv6]:port or unix:///path, or as \
     tls://host:port if it has TLS"
)]
pub struct AddressError {
    given: String,
    problem: &'static str,
}

impl Address {
    /// Parses an address. Blanks and line ends around it, as an address from a file has them, are ignored.
    pub fn parse(text: &[u8]) -> Result<Self, AddressError> {
        let text = text.trim_ascii();
        let error = |problem| AddressError { given: excerpt(text), problem };
        if text.is_empty() {
            return Err(error("is empty"));
        }
        if let Some(path) = text.strip_prefix(b"unix://") {
            return unix(path).map_err(error);
        }
        let encrypted = text.strip_prefix(b"tls://");
        let is_tls = encrypted.is_some();
        let rest = encrypted.or_else(|| text.strip_prefix(b"tcp://")).unwrap_or(text);
        let rest = std::str::from_utf8(rest).map_err(|_| error("is not text"))?;
        if rest.contains("://") {
            return Err(error("has a scheme that is not known here"));
        }
        let (host, port) = tcp(rest).map_err(error)?;
        Ok(Self::Tcp { host, port, is_tls })
    }

    /// Whether nobody has to be asked for what the address stands for, which may take any time.
    pub(crate) fn is_resolved(&self) -> bool {
        !matches!(self, Self::Tcp { host: Host::Name(_), .. })
    }

    pub(crate) fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { is_tls: true, .. })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls() { "tls" } else { "tcp" };
        match self {
            Self::Tcp { host: Host::V4(ip), port, .. } => write!(f, "{scheme}://{ip}:{port}"),
            Self::Tcp { host: Host::V6(ip), port, .. } => write!(f, "{scheme}://[{ip}]:{port}"),
            Self::Tcp { host: Host::Name(name), port, .. } => write!(f, "{scheme}://{name}:{port}"),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

fn tcp(text: &str) -> Result<(Host, u16), &'static str> {
    let (host, port) = if let Some(bracketed) = text.strip_prefix('[') {
        let (ip, port) = bracketed.split_once("]:").ok_or("has no port behind its brackets")?;
        (Host::V6(ip.parse().map_err(|_| "has no IPv6 address in its brackets")?), port)
    } else {
        let (name, port) = text.rsplit_once(':').ok_or("has no port")?;
        (host(name)?, port)
    };
    // `parse` alone would take a plus sign.
    let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    match port.parse() {
        Ok(port @ 1..) if digits => Ok((host, port)),
        _ => Err("has no port between 1 and 65535"),
    }
}

fn host(name: &str) -> Result<Host, &'static str> {
    if name.is_empty() {
        return Err("has no host");
    }
    if name.contains(':') {
        return Err("has too many colons (an IPv6 address stands in brackets)");
    }
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        // The network address of loopback, which a much-copied tutorial uses, stands for loopback itself.
        let ip = if ip == Ipv4Addr::new(127, 0, 0, 0) { Ipv4Addr::LOCALHOST } else { ip };
        return Ok(Host::V4(ip));
    }
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_')) {
        return Err("has a host with characters that no host has");
    }
    Ok(Host::Name(name.to_ascii_lowercase()))
}

fn unix(path: &[u8]) -> Result<Address, &'static str> {
    /// The longest path that `sun_path` holds, without its terminator, in bytes.
    const LONGEST: usize = 107;
    if !path.starts_with(b"/") || path.len() == 1 {
        return Err("has no absolute path");
    }
    if path.contains(&0) {
        return Err("has a path with a NUL byte");
    }
    if path.len() > LONGEST {
        return Err("has a path of more than 107 bytes");
    }
    Ok(Address::Unix(PathBuf::from(OsStr::from_bytes(path))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text.as_bytes()).unwrap().to_string()
    }

    #[test]
    fn accepted_forms() {
        assert_eq!(shown("127.0.0.1:1238"), "tcp://127.0.0.1:1238");
        assert_eq!(shown("tcp://10.1.2.3:1"), "tcp://10.1.2.3:1");
        assert_eq!(shown("Gateway_1.example.com:65535"), "tcp://gateway_1.example.com:65535");
        assert_eq!(shown("[::1]:1238"), "tcp://[::1]:1238");
        assert_eq!(shown("tcp://[2001:DB8::1]:80"), "tcp://[2001:db8::1]:80");
        assert_eq!(shown("tls://gateway.example.com:1238"), "tls://gateway.example.com:1238");
        assert_eq!(shown("unix:///run/gateway.sock"), "unix:///run/gateway.sock");
    }

    #[test]
    fn what_a_file_has_around_it_is_no_part_of_it() {
        assert_eq!(shown(" 127.0.0.1:1238\r\n"), "tcp://127.0.0.1:1238");
        assert_eq!(shown("\tunix:///run/gateway.sock \n"), "unix:///run/gateway.sock");
        assert!(Address::parse(b" \n").is_err_and(|error| error.to_string().contains("is empty")));
        assert!(Address::parse(b"127.0.0.1:1238\n127.0.0.1:1239").is_err());
    }

    #[test]
    fn the_network_address_of_loopback_is_loopback() {
        assert_eq!(shown("127.0.0.0:1238"), "tcp://127.0.0.1:1238");
        assert_eq!(Address::parse(b"127.0.0.0:1238"), Address::parse(b"tcp://127.0.0.1:1238"));
    }

    #[test]
    fn anything_else_says_what_is_wrong() {
        for (text, problem) in [
            ("", "is empty"),
            ("127.0.0.1", "has no port"),
            ("127.0.0.1:", "no port between"),
            ("127.0.0.1:0", "no port between"),
            ("127.0.0.1:65536", "no port between"),
            ("127.0.0.1:+80", "no port between"),
            ("127.0.0.1:80/", "no port between"),
            (":1238", "has no host"),
            ("::1:1238", "too many colons"),
            ("[::1]", "no port behind"),
            ("[::g]:1", "no IPv6 address"),
            ("a host:1238", "characters that no host has"),
            ("a:1,b:2", "too many colons"),
            ("ws://127.0.0.1:1238", "scheme"),
            ("tcp://ws://127.0.0.1:1238", "scheme"),
            ("unix://relative", "no absolute path"),
            ("unix:///", "no absolute path"),
            ("unix:///a\0b", "NUL byte"),
        ] {
            let error = Address::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(problem), "{text:?} gave {error}");
            assert!(error.contains("host:port, tcp://host:port, [ipv6]:port or unix:///path"), "{error}");
        }
        assert!(Address::parse(b"\xff:1").unwrap_err().to_string().contains("is not text"));
        assert!(Address::parse(&[b'a'; 5000]).unwrap_err().to_string().len() < 400);
        let long = format!("unix:///{}", "p".repeat(200));
        assert!(Address::parse(long.as_bytes()).unwrap_err().to_string().contains("107 bytes"));
    }
}
