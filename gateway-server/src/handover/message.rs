//! The messages of a hand-over, as bytes, and what some messages carry behind them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::versioned::{Form, Malformed};

/// Fields have their names, so that a later version may add some.
const FORM: Form = Form::new("a message of the hand-over", VERSION).with_names();
const VERSION: u8 = 1;
/// The version of the state that this server writes.
pub const STATE_VERSION: u8 = 1;
/// The lowest version of state that this server reads: its own and the one before.
const LOWEST_STATE_VERSION: u8 = 1;
/// The most characters of a reason that another process has given.
const MAX_REASON: usize = 1_000;

/// What the two servers say. What a message carries besides stands behind it in the same parcel.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Message {
    /// The first message of the new server.
    Hello(Hello),
    /// What the old server would hand over.
    Offer(Offer),
    /// The new server agrees.
    Ready,
    /// The new server does not take over, for this reason. It may say so until it is complete.
    Refused(String),
    /// The listening sockets, each with its descriptor.
    Listeners(Vec<ListeningSocket>),
    /// A batch of clients of the shard with this number, with their sockets.
    Clients(u32),
    /// A part of all other state, by its name, with its descriptors.
    State(String),
    /// All state has been sent.
    End(Totals),
    /// The new server has restored everything.
    Complete,
    /// The new server serves the clients.
    Serving,
    /// A handshake that the old server has finished after the decision: the client, with its socket.
    Handshake,
    /// How many clients the old server still has, as their relay.
    Relayed(u64),
}

/// Who the new server is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hello {
    /// The version of the program, for people.
    pub server: String,
    /// The process, which has to be the one that the old server has started.
    pub pid: u32,
    /// The versions of state that it reads: the lowest and the highest.
    pub reads: (u8, u8),
}

/// What the old server would hand over.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// The version of the program, for people.
    pub server: String,
    /// The version of the state that follows.
    pub state: u8,
    /// The number of shards.
    pub shards: u32,
    /// The address in client_ids.
    pub node: String,
    /// The cluster of which the old server is a node.
    #[serde(default)]
    pub cluster: Option<OfferedCluster>,
    /// The listening sockets, as the settings have them.
    pub listeners: Vec<ListeningSocket>,
    /// The number of clients, and how many of them speak TLS.
    pub clients: u64,
    pub tls_clients: u64,
    /// The bytes of the clients' records, as an estimate.
    pub bytes: u64,
}

/// The cluster of which a server is a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OfferedCluster {
    pub name: String,
    /// Whether the old server has a connection to the other nodes.
    pub is_connected: bool,
}

/// A listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ListeningSocket {
    pub port: Port,
    /// The address or path as the setting has it, so a port of 0 stays one.
    pub address: String,
}

/// What a listening socket is for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Port {
    /// Clients, with the protocol that they speak.
    Clients(String),
    Register,
    RegisterUnix,
    Operations,
}

/// How much state the old server has sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Totals {
    /// The number of messages that carried clients or other state.
    pub parcels: u64,
    /// The number of descriptors with them.
    pub descriptors: u64,
}

impl Message {
    /// Writes the message. What it carries follows it in the same parcel.
    pub fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    /// Reads a message at the start of a parcel, and gives where what it carries begins.
    pub fn from_bytes(bytes: &[u8]) -> Result<(Self, usize), Malformed> {
        let (message, length) = FORM.read_first(bytes)?;
        let message = match message {
            Self::Refused(reason) => Self::Refused(readable(&reason)),
            message => message,
        };
        Ok((message, length))
    }

    /// The name of the message, for errors.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Offer(_) => "an offer",
            Self::Ready => "its consent",
            Self::Refused(_) => "a refusal",
            Self::Listeners(_) => "listening sockets",
            Self::Clients(_) => "clients",
            Self::State(_) => "state",
            Self::End(_) => "the end of the state",
            Self::Complete => "that it is complete",
            Self::Serving => "that it serves",
            Self::Handshake => "a handshake",
            Self::Relayed(_) => "a report of its relay",
        }
    }
}

impl Hello {
    /// Says hello for this process.
    pub fn new() -> Self {
        Self {
            server: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            reads: (LOWEST_STATE_VERSION, STATE_VERSION),
        }
    }
}

impl Default for Hello {
    fn default() -> Self {
        Self::new()
    }
}

impl Port {
    /// The setting that says where the socket listens.
    pub(super) fn setting(&self) -> &str {
        match self {
            Self::Clients(_) => "listener",
            Self::Register => "register",
            Self::RegisterUnix => "register_unix",
            Self::Operations => "operations",
        }
    }
}

impl fmt::Display for ListeningSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.port {
            Port::Clients(protocol) => write!(f, "{protocol}://{}", self.address),
            _ => f.write_str(&self.address),
        }
    }
}

/// A reason of another process, as one line of bounded length.
fn readable(reason: &str) -> String {
    let line = reason.chars().map(|sign| if sign.is_control() { ' ' } else { sign });
    line.take(MAX_REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All messages as the first release of version 1 has written them, each behind its length.
    const GOLDEN: &[u8] = include_bytes!("golden/messages_1.bin");

    fn messages() -> Vec<Message> {
        let clients = Port::Clients("websocket".to_owned());
        let listener = |port, address: &str| ListeningSocket { port, address: address.to_owned() };
        let listeners = vec![
            listener(clients, "0.0.0.0:8282"),
            listener(Port::Register, "127.0.0.1:1238"),
            listener(Port::RegisterUnix, "/run/gateway/register"),
            listener(Port::Operations, "127.0.0.1:8283"),
        ];
        vec![
            Message::Hello(Hello { server: "0.1.0".to_owned(), pid: 70_000, reads: (1, 1) }),
            Message::Offer(Offer {
                server: "0.1.0".to_owned(),
                state: 1,
                shards: 8,
                node: "127.0.0.1:1238".to_owned(),
                cluster: Some(OfferedCluster { name: "gateway".to_owned(), is_connected: true }),
                listeners: listeners.clone(),
                clients: 18_000,
                tls_clients: 6_000,
                bytes: 1 << 33,
            }),
            Message::Ready,
            Message::Refused("it is Sunday".to_owned()),
            Message::Listeners(listeners),
            Message::Clients(7),
            Message::State("producers".to_owned()),
            Message::End(Totals { parcels: 300, descriptors: 70_000 }),
            Message::Complete,
            Message::Serving,
            Message::Handshake,
            Message::Relayed(3),
        ]
    }

    fn golden() -> Vec<&'static [u8]> {
        let (mut left, mut found) = (GOLDEN, Vec::new());
        while let Some((length, rest)) = left.split_first_chunk() {
            let (message, rest) = rest.split_at(u32::from_be_bytes(*length) as usize);
            found.push(message);
            left = rest;
        }
        found
    }

    #[test]
    fn messages_of_every_released_version_are_read() {
        let written = messages().into_iter().flat_map(|message| {
            let bytes = message.to_bytes();
            [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat()
        });
        assert_eq!(written.collect::<Vec<_>>(), GOLDEN);
        for (bytes, message) in golden().into_iter().zip(messages()) {
            let mut parcel = bytes.to_vec();
            parcel.extend_from_slice(b"\xffcarried");
            assert_eq!(Message::from_bytes(&parcel).unwrap(), (message, bytes.len()));
        }
    }

    #[test]
    fn what_is_no_message_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| Message::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "a message of the hand-over has no bytes");
        assert_eq!(
            error(&[2, 0x90]),
            "a message of the hand-over is written in version 2, and this server reads version 1"
        );
        for message in golden() {
            for length in 1..message.len() {
                assert!(error(&message[..length]).contains("not written as version 1"), "{length}");
            }
        }
        // A length that is claimed and does not come takes no memory.
        assert!(
            error(&[1, 0x81, 0xa7, b'R', b'e', b'f', b'u', b's', b'e', b'd', 0xdb, 255, 255, 255, 255])
                .contains("not written as version 1")
        );
    }

    #[test]
    fn any_bytes_are_a_message_or_an_error() {
        let mut random = 7_u64;
        for message in golden() {
            for _ in 0..2_000 {
                let mut bytes = message.to_vec();
                for _ in 0..1 + random % 3 {
                    random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
                    let at = (random >> 33) as usize % bytes.len();
                    bytes[at] = (random >> 24) as u8;
                }
                if let Ok((message, length)) = Message::from_bytes(&bytes) {
                    assert!(length <= bytes.len());
                    assert_eq!(Message::from_bytes(&message.to_bytes()).unwrap().0, message);
                }
            }
        }
    }

    #[test]
    fn a_later_version_may_add_a_field() {
        #[derive(Serialize)]
        struct Later {
            server: &'static str,
            pid: u32,
            reads: (u8, u8),
            colour: &'static str,
        }
        #[derive(Serialize)]
        enum Told {
            Hello(Later),
        }
        let told = Told::Hello(Later { server: "9", pid: 1, reads: (1, 4), colour: "red" });
        let bytes = [&[VERSION][..], &rmp_serde::to_vec_named(&told).unwrap()].concat();
        let hello = Hello { server: "9".to_owned(), pid: 1, reads: (1, 4) };
        assert_eq!(Message::from_bytes(&bytes).unwrap().0, Message::Hello(hello));
    }

    #[test]
    fn a_reason_is_one_line_of_bounded_length() {
        let reason = Message::Refused(format!("a\nb\u{7}{}", "x".repeat(5_000)));
        let (read, _) = Message::from_bytes(&reason.to_bytes()).unwrap();
        let Message::Refused(read) = read else { panic!("{read:?}") };
        assert!(read.starts_with("a b x") && read.len() == MAX_REASON);
    }
}
