//! What a turn sends to many clients of TLS by one system call, through io_uring: TLS encrypts the frames, and keeps what the sockets have not
//! got.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::os::fd::AsFd as _;

use smallvec::SmallVec;

use super::clients::Clients;
use super::connection::Connection;
use super::state::Shard;
use super::uring::{self, Outcome, Send};
use super::write_batch::WriteBatch;

/// The longest frames for one client that are sealed to be sent so, in bytes together. Of longer ones the copy costs more than is saved.
const SEALED: usize = 4 << 10;

/// What TLS has encrypted for a client: where it is among all that was, and how many bytes of the frames are in it.
struct Sealed {
    key: usize,
    place: Range<usize>,
    taken: Outcome,
}

/// A client, and the outcome of its first send, or through TLS how many bytes of its frames were sealed.
pub(super) type Rung = (usize, Option<Outcome>);

impl Shard {
    /// Sends to clients that speak TLS what the turn has brought them, where that is worthwhile. Adds all to `rung`, each with how many bytes
    /// of its frames have been sealed, or none where everything is still to be written.
    pub(super) fn ring_for_secured(&mut self, keys: &[usize], rung: &mut SmallVec<[Rung; uring::AT_ONCE]>) {
        let mut sealed = SmallVec::<[Sealed; uring::AT_ONCE]>::new();
        let mut bytes = Vec::new();
        let is_worthwhile = self.ring.is_some() && keys.len() >= uring::WORTHWHILE;
        for key in keys {
            let connection = self.clients.connections.get_mut(*key).filter(|_| is_worthwhile);
            let one = connection.and_then(|connection| seal(*key, connection, &self.turn, &mut bytes));
            rung.push((*key, one.as_ref().map(|one| one.taken)));
            sealed.extend(one);
        }
        self.ring_sealed(&sealed, &bytes);
    }

    /// Sends what TLS has encrypted, and has it keep what has not gone.
    fn ring_sealed(&mut self, all: &[Sealed], bytes: &[u8]) {
        let Clients { connections, .. } = &mut self.clients;
        let send = |one: &Sealed| {
            let socket = connections.get(one.key)?.socket.as_ref()?.as_fd();
            Some(Send { socket, bytes: &bytes[one.place.clone()] })
        };
        let sends: SmallVec<[Send<'_>; uring::AT_ONCE]> = all.iter().filter_map(send).collect();
        let ring = self.ring.as_mut().filter(|_| sends.len() == all.len());
        let (outcomes, result) = ring.map_or((&[][..], Ok(())), |ring| ring.send(&sends));
        drop(sends);
        for (at, one) in all.iter().enumerate() {
            // What the socket has not got is sent as if it had never been tried, by which an error shows again.
            let sent = outcomes.get(at).copied().flatten().and_then(|sent| usize::try_from(sent).ok());
            let rest = one.place.start + sent.unwrap_or_default()..one.place.end;
            if !rest.is_empty()
                && let Some((mut tls, _)) = connections[one.key].tls()
            {
                tls.keep(&bytes[rest]);
            }
        }
        self.after_ring(result);
    }

    /// Goes on without io_uring after it has failed.
    pub(super) fn after_ring(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, "io_uring fails: a shard goes on without it");
            self.ring = None;
        }
    }
}

/// Has TLS encrypt a client's frames where nothing comes before them, and appends the result to `bytes`.
fn seal(key: usize, connection: &mut Connection, turn: &WriteBatch, bytes: &mut Vec<u8>) -> Option<Sealed> {
    if connection.has_outbox() {
        return None;
    }
    let mut slices: SmallVec<[IoSlice<'_>; 16]> = SmallVec::new();
    let mut length = 0;
    for frame in turn.frames(connection.pending) {
        length += frame.len();
        if length > SEALED {
            return None;
        }
        slices.push(IoSlice::new(frame));
    }
    let (mut tls, _) = connection.tls().filter(|_| length > 0)?;
    let start = bytes.len();
    let taken = tls.seal(&slices, bytes)? as Outcome;
    Some(Sealed { key, place: start..bytes.len(), taken })
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::sync::Arc;

    use bytes::Bytes;
    use rcgen::{CertificateParams, KeyPair};
    use rustls::crypto::ring;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig};

    use super::super::audience::{Audience, Except};
    use super::super::command::Command;
    use super::super::testing::{TestShard, arrived, new_connection, settings};
    use crate::net::tls::TlsSession;
    use crate::protocol::{Encoded, Encoding};
    use crate::shard::Origin;

    /// Clients and the server, as far as TLS goes.
    struct Certified {
        server: Arc<ServerConfig>,
        client: Arc<ClientConfig>,
    }

    impl Certified {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let certificate =
                CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
            let mut roots = RootCertStore::empty();
            roots.add(certificate.der().clone()).unwrap();
            let provider = Arc::new(ring::default_provider());
            let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(
                    vec![certificate.der().clone()],
                    PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
                )
                .unwrap();
            let client = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            Self { server: server.into(), client: client.into() }
        }

        /// Both ends of a session behind its handshake.
        fn session(&self) -> (TlsSession, ClientConnection) {
            let name = ServerName::try_from("localhost").unwrap();
            let mut client = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
            let mut server = TlsSession::new(Arc::clone(&self.server)).unwrap();
            while client.wants_write() || server.wants_write() {
                let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
                while client.wants_write() {
                    client.write_tls(&mut to_server).unwrap();
                }
                if !to_server.is_empty() {
                    server.receive(&mut &to_server[..], &mut []).unwrap();
                }
                while server.wants_write() {
                    server.send(&mut to_client).unwrap();
                }
                client.read_tls(&mut &to_client[..]).unwrap();
                client.process_new_packets().unwrap();
            }
            (server, client)
        }

        /// A client of the shard that speaks TLS and has read its init message.
        fn client(&self, shard: &mut TestShard, connection_id: u32) -> (TcpStream, ClientConnection) {
            let (mut new_connection, mut socket) = new_connection(Encoding::Websocket);
            let (server, mut session) = self.session();
            new_connection.tls = Some(Box::new(server));
            shard.shard.obey_alone(Command::Adopt { connection_id, new_connection, identity: None });
            shard.turn();
            assert!(!decrypted(&mut socket, &mut session).is_empty());
            (socket, session)
        }
    }

    fn decrypted(socket: &mut TcpStream, session: &mut ClientConnection) -> Vec<u8> {
        let all = arrived(socket);
        let mut sealed = &all[..];
        let mut plain = Vec::new();
        while !sealed.is_empty() {
            session.read_tls(&mut sealed).unwrap();
            session.process_new_packets().unwrap();
            let _ = session.reader().read_to_end(&mut plain);
        }
        plain
    }

    #[test]
    fn clients_of_tls_get_everything_once_though_io_uring_fails() {
        let mut shard = TestShard::new(settings());
        let certified = Certified::new();
        let mut clients: Vec<_> =
            (1..=20).map(|connection_id| certified.client(&mut shard, connection_id)).collect();
        if shard.shard.ring.is_none() {
            return println!("SKIPPED a failure of io_uring under TLS: this machine does not permit it");
        }
        for (frame, fails_after) in [("first", None), ("other", Some(5)), ("third", None)] {
            if let Some(ring) = &mut shard.shard.ring {
                ring.fails_after = fails_after;
            }
            let to = Audience::All { except: Except::default() };
            let frame = Encoded::raw(Bytes::from_static(frame.as_bytes()));
            shard.shard.obey_alone(Command::Deliver { to, origin: Origin::HERE, frame });
            shard.shard.write_turn();
        }
        assert!(shard.shard.ring.is_none());
        for (socket, session) in &mut clients {
            assert_eq!(decrypted(socket, session), b"firstotherthird");
        }
        assert!(shard.shard.clients.slow.is_empty());
    }
}
