//! The other services that may listen at a gateway's address, recognised by the first bytes that they send.

use std::fmt;

/// A service that is neither our gateway nor, where none is expected, a register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignService {
    /// An HTTP server, such as the port for browsers.
    Http,
    /// An SSH server.
    Ssh,
    /// A MySQL server.
    MySql,
    /// A Redis server.
    Redis,
    /// A NATS server.
    Nats,
    /// An AMQP server.
    Amqp,
    /// A server that expects TLS.
    Tls,
    /// A mail server or an FTP server; both greet alike.
    Mail,
    /// GatewayWorker's register, which complains of a line that it does not know.
    Register,
}

impl ForeignService {
    /// `None` means that the bytes are unknown, or too few to tell.
    pub(crate) fn from_first_bytes(bytes: &[u8]) -> Option<Self> {
        let starts: [(&[u8], Self); 15] = [
            (b"HTTP/", Self::Http),
            (b"<html", Self::Http),
            (b"<!DOCTYPE", Self::Http),
            (b"SSH-", Self::Ssh),
            (b"-ERR ", Self::Redis),
            (b"-NOAUTH", Self::Redis),
            (b"-DENIED", Self::Redis),
            (b"INFO {", Self::Nats),
            (b"AMQP", Self::Amqp),
            (b"220 ", Self::Mail),
            (b"220-", Self::Mail),
            (b"+OK ", Self::Mail),
            (b"* OK", Self::Mail),
            // The bytes are a TLS alert of any version.
            (b"\x15\x03", Self::Tls),
            (b"Bad request for Register", Self::Register),
        ];
        if let Some((_, found)) = starts.iter().find(|(start, _)| bytes.starts_with(start)) {
            return Some(*found);
        }
        match bytes {
            // The bytes are a packet's length, its number 0, and a greeting of version 10 or an error.
            [_, _, _, 0, 10 | 0xff, ..] if bytes[..3] != [0; 3] => Some(Self::MySql),
            _ => None,
        }
    }
}

impl fmt::Display for ForeignService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "an HTTP server answers there, such as gateway-server's port for browsers",
            Self::Ssh => "an SSH server answers there",
            Self::MySql => "a MySQL server answers there",
            Self::Redis => "a Redis server answers there",
            Self::Nats => "a NATS server answers there",
            Self::Amqp => "an AMQP server, such as RabbitMQ, answers there",
            Self::Tls => "a server with TLS answers there: gateway-server is reached there by tls:// in place of tcp://",
            Self::Mail => "a mail or FTP server answers there",
            Self::Register => {
                "GatewayWorker's register answers there, which is told the secret as it is: where that is wanted, set \
                 gateway.protocol = gatewayworker"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use gateway_wire::bridge::{NONCE_BYTES, Reply};

    use super::*;

    #[test]
    fn servers_are_known_by_their_first_words() {
        for (words, known) in [
            (&b"HTTP/1.1 400 Bad Request\r\n"[..], ForeignService::Http),
            (b"SSH-2.0-OpenSSH_9.2p1\r\n", ForeignService::Ssh),
            (b"\x4a\x00\x00\x00\x0a8.0.36\x00", ForeignService::MySql),
            (b"\x45\x00\x00\x00\xff\x6a\x04Host is not allowed", ForeignService::MySql),
            (b"-ERR unknown command\r\n", ForeignService::Redis),
            (b"INFO {\"server_id\":", ForeignService::Nats),
            (b"AMQP\x00\x00\x09\x01", ForeignService::Amqp),
            (b"220 mail.example.com ESMTP\r\n", ForeignService::Mail),
            (b"\x15\x03\x01\x00\x02\x02\x46", ForeignService::Tls),
            (b"Bad request for Register service. Request info(IP:", ForeignService::Register),
        ] {
            assert_eq!(ForeignService::from_first_bytes(words), Some(known));
        }
    }

    #[test]
    fn nobody_of_ours_is_taken_for_one() {
        let mut hello = Vec::new();
        Reply::Hello { nonce: [0xff; NONCE_BYTES], instance: u64::MAX }.encode(&mut hello).unwrap();
        let mut error = Vec::new();
        Reply::Error { seq: 0, message: "no".repeat(200) }.encode(&mut error).unwrap();
        for bytes in
            [&hello[..], &error, b"{\"event\":\"broadcast_addresses\",\"addresses\":[]}\n", b"", b"\0"]
        {
            assert_eq!(ForeignService::from_first_bytes(bytes), None);
        }
        // These are frames of every length that a login may have.
        for length in 0..=1024u32 {
            let frame = [&length.to_be_bytes()[..], b"\x93\x00\x03"].concat();
            assert_eq!(ForeignService::from_first_bytes(&frame), None, "{length}");
        }
    }
}
