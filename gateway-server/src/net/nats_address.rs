//! The address of a NATS server, as a setting gives it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// The port of an address that gives none.
const PORT: u16 = 4222;

/// An address like `nats://user:password@host:port`. The scheme may be `tls://`, and a token may stand in place of user and
/// password.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsAddress {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

impl FromStr for NatsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let example = "it must be like nats://10.0.0.1:4222 or tls://user:password@nats.example.com";
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        let is_tls = match scheme {
            "nats" => false,
            "tls" => true,
            _ => return Err(format!("there is no scheme {scheme}://; {example}")),
        };
        let (login, host_and_port) =
            rest.rsplit_once('@').map_or((None, rest), |(login, host_and_port)| (Some(login), host_and_port));
        let host_and_port = host_and_port.trim_end_matches('/');
        let (host, port) = match host_and_port.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((host, "")) => (host, None),
            Some((host, port)) => (host, Some(port.strip_prefix(':').ok_or(example)?)),
            None => {
                host_and_port.split_once(':').map_or((host_and_port, None), |(host, port)| (host, Some(port)))
            }
        };
        let port = match port {
            Some(port) => port.parse().map_err(|_| format!("{port:?} is no port; {example}"))?,
            None => PORT,
        };
        if host.is_empty() {
            return Err(format!("there is no host in it; {example}"));
        }
        let (user, password) = match login.map(|login| login.split_once(':').ok_or(login)) {
            None => (None, None),
            Some(Ok((user, password))) => (Some(decoded(user)?), Some(decoded(password)?)),
            Some(Err(token)) => (Some(decoded(token)?), None),
        };
        Ok(Self { host: host.to_owned(), port, is_tls, user, password })
    }
}

/// Decodes `%40` and its like.
fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or("a % in user or password must be written %25")?);
        rest = &behind[2..];
    }
    String::from_utf8(bytes).map_err(|_| "user or password is no UTF-8".to_owned())
}

impl<'de> Deserialize<'de> for NatsAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The error does not quote the text, which may hold a password.
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Shows the address without user and password.
impl fmt::Display for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "tls" } else { "nats" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        write!(f, "{scheme}://{host}:{}", self.port)
    }
}

impl fmt::Debug for NatsAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parse = |text: &str| text.parse::<NatsAddress>();
        let address = parse("tls://a%40b:p%3Aw@nats.example.com").unwrap();
        assert_eq!((address.user.as_deref(), address.password.as_deref()), (Some("a@b"), Some("p:w")));
        assert_eq!(format!("{address:?}"), "tls://nats.example.com:4222");
        assert_eq!(parse("10.0.0.1").unwrap().to_string(), "nats://10.0.0.1:4222");
        assert_eq!(parse("nats://[::1]:4000/").unwrap().to_string(), "nats://[::1]:4000");
        assert_eq!(parse("nats://t0ken@h").unwrap().user.as_deref(), Some("t0ken"));
        for wrong in
            ["http://a", "nats://", "nats://a:b", "nats://u:p%zz@a", "nats://[::1]x", "nats://a:70000"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
