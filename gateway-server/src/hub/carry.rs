//! All shards frozen, so that another process takes their clients over or so that they take over those of another.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::OwnedSemaphorePermit;

use super::Hub;
use super::wanted_forms::WantedForms;
use crate::relay::RelayedClient;
use crate::shard::carry::frozen::FrozenShard;
use crate::shard::connection_id::ConnectionIds;
use crate::shard::handle::ShardHandle;
use crate::shard::{MalformedBatch, MalformedIds, Stopped};

/// The shards of a hub while they are frozen: they neither read nor write, and commands wait for them. Dropping this thaws them, and
/// they go on as if nothing had been.
///
/// The methods block, so they are for a thread that may.
pub struct FrozenHub {
    shards: Vec<FrozenShard>,
    connection_ids: Arc<ConnectionIds>,
    wanted: Arc<WantedForms>,
    _turn: OwnedSemaphorePermit,
}

impl Hub {
    /// Freezes all shards, each behind the commands that it was given before. If one has ended, none stays frozen.
    pub async fn freeze(&self) -> Result<FrozenHub, Stopped> {
        // Two who each wait for the shards that the other has would wait for ever.
        let turn = Arc::clone(&self.freezes).acquire_owned().await.map_err(|_| Stopped)?;
        let shards = try_join_all(self.shards.iter().map(ShardHandle::freeze)).await?;
        let (connection_ids, wanted) = (Arc::clone(&self.connection_ids), Arc::clone(&self.wanted));
        Ok(FrozenHub { shards, connection_ids, wanted, _turn: turn })
    }

    /// The number of connections, the number of those that need a relay, and the memory of what waits for all of them and is kept, in
    /// bytes: what it takes to carry them.
    pub async fn to_carry(&self) -> Result<(usize, usize, usize), Stopped> {
        let of_shards = self.ask_all(|clients| clients.to_carry()).await?;
        Ok(of_shards.into_iter().fold((0, 0, 0), |all, one| (all.0 + one.0, all.1 + one.1, all.2 + one.2)))
    }
}

/// Takes a batch: its bytes, and the sockets of its clients.
type Out<'o> = dyn FnMut(&[u8], &[BorrowedFd<'_>]) -> io::Result<()> + Send + 'o;

impl FrozenHub {
    /// The number of shards.
    pub fn shards(&self) -> usize {
        self.shards.len()
    }

    /// Gives the clients of a shard to `out`, batch by batch: the bytes, and the sockets of the clients, at most 250. The bytes are at
    /// most 1 MiB, or what one client takes without its messages if that is more.
    pub fn write(
        &self,
        shard: usize,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        self.shards[shard].write(out)
    }

    /// Takes over the clients of a batch of the same shard of another process. Batches come in their order. After an error some clients
    /// are here, so the process must end without thawing.
    pub fn restore(&self, shard: usize, bytes: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), MalformedBatch> {
        let shard = self.shards.get(shard).ok_or(MalformedBatch::Contradiction("there is no such shard"))?;
        let encodings = shard.restore(&bytes, sockets)?;
        encodings.into_iter().for_each(|encoding| self.wanted.note(encoding));
        Ok(())
    }

    /// How far the connection ids have come. The other process has the same key.
    pub fn export_ids(&self) -> Vec<u8> {
        self.connection_ids.export()
    }

    /// Goes on where the connection ids of another process have stopped.
    pub fn resume_ids(&self, exported: &[u8]) -> Result<(), MalformedIds> {
        self.connection_ids.resume(exported)
    }

    /// Takes the TLS clients of a shard, once the other process has them: the bytes of each go through this process from now on.
    pub fn take_relayed(&self, shard: usize) -> Vec<RelayedClient> {
        self.shards[shard].take_relayed()
    }

    /// Never thaws the shards, and closes this process's descriptors of the clients' sockets, without which a client would not be told
    /// that the other process has closed its connection.
    pub fn stay_frozen(self) {
        self.shards.into_iter().for_each(FrozenShard::stay_frozen);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::{Duration, Instant};

    use bytes::Bytes;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    };
    use tokio::task::spawn_blocking;

    use super::*;
    use crate::protocol::{Encoded, Encoding};
    use crate::relay::Relay;
    use crate::shard::testing::{new_connection, settings};
    use crate::shard::{BuiltInSink, NewConnection, Origin};

    const SHARDS: usize = 2;
    const KEY: [u8; 16] = [7; 16];

    fn hub() -> Arc<Hub> {
        Arc::new(Hub::start(SHARDS, KEY, &settings(), Box::new(BuiltInSink), None).unwrap())
    }

    /// Carries all clients from one frozen hub to another.
    fn carry(old: &FrozenHub, new: &FrozenHub) {
        for shard in 0..old.shards() {
            old.write(shard, &mut |bytes, sockets| {
                let sockets = sockets.iter().map(|socket| socket.try_clone_to_owned());
                new.restore(shard, bytes.to_vec(), sockets.collect::<io::Result<_>>()?)
                    .map_err(io::Error::other)
            })
            .unwrap();
        }
        new.resume_ids(&old.export_ids()).unwrap();
    }

    fn blocking(client: TcpStream) -> TcpStream {
        client.set_nonblocking(false).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        client
    }

    async fn push(hub: &Hub, message: &'static [u8]) {
        hub.send_to_all(Encoded::raw(Bytes::from_static(message)), Vec::new(), Origin::HERE).await.unwrap();
    }

    /// A client's connection id, once it has come, as a client of bytes without framing is told it.
    fn init(client: &mut impl io::Read) -> String {
        let mut init = Vec::new();
        while !init.ends_with(b"}") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            init.extend(byte);
        }
        String::from_utf8(init).unwrap()
    }

    fn reads(client: &mut impl io::Read, expected: &[u8]) {
        let mut got = vec![0; expected.len()];
        client.read_exact(&mut got).unwrap();
        assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn clients_go_on_at_another_hub_and_what_came_meanwhile_waits() {
        let (old, new) = (hub(), hub());
        let mut clients = Vec::new();
        for _ in 0..10 {
            let (new_connection, client) = new_connection(Encoding::Tcp);
            old.adopt(new_connection, None).await.unwrap();
            let mut client = blocking(client);
            init(&mut client);
            clients.push(client);
        }
        let frozen = old.freeze().await.unwrap();
        // Nothing is done meanwhile, and nobody takes the shards for hanging.
        push(&old, b"late").await;
        let steps = old.steps();
        let question = old.clone();
        let asked = tokio::spawn(async move { question.count(None).await });
        let start = Instant::now();
        while old.steps().iter().zip(&steps).any(|(now, before)| now == before) {
            assert!(start.elapsed() < Duration::from_secs(30));
            tokio::task::yield_now().await;
        }
        assert!(!asked.is_finished());
        let frozen_new = new.freeze().await.unwrap();
        let (frozen, frozen_new) = spawn_blocking(move || {
            carry(&frozen, &frozen_new);
            (frozen, frozen_new)
        })
        .await
        .unwrap();
        // The new hub is given up, and the old one goes on.
        drop(frozen_new);
        drop(frozen);
        assert_eq!(asked.await.unwrap().unwrap(), 10);
        clients.iter_mut().for_each(|client| reads(client, b"late"));

        let new = hub();
        let (frozen, frozen_new) = (old.freeze().await.unwrap(), new.freeze().await.unwrap());
        spawn_blocking(move || {
            carry(&frozen, &frozen_new);
            frozen.stay_frozen();
            drop(frozen_new);
        })
        .await
        .unwrap();
        assert_eq!(new.count(None).await.unwrap(), 10);
        assert!(new.wanted().non_websocket);
        push(&new, b"new").await;
        clients.iter_mut().for_each(|client| reads(client, b"new"));
        // The ids go on, and a client whose connection the new hub closes is told so at once.
        let (new_connection, client) = new_connection(Encoding::Tcp);
        new.adopt(new_connection, None).await.unwrap();
        init(&mut blocking(client));
        let ids = new.clients(None).await.unwrap();
        assert_eq!(ids.iter().collect::<hashbrown::HashSet<_>>().len(), 11);
        for id in ids {
            new.destroy(id).await.unwrap();
        }
        for mut client in clients {
            let end = client.read(&mut [0]);
            assert!(matches!(&end, Ok(0)) || end.is_err_and(|e| e.kind() == io::ErrorKind::ConnectionReset));
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_shard_stays_frozen_where_another_has_ended() {
        let hub = hub();
        let stop = |shard: usize| {
            let (over, patience) = (Duration::ZERO, Duration::ZERO);
            let command = crate::shard::command::Command::Stop { over, patience, keeps_parked: false };
            hub.handle(shard).enqueue(command)
        };
        stop(1).await.unwrap();
        while hub.handle(1).query_in_thread(|_| ()).await.is_ok() {}
        assert!(hub.freeze().await.is_err());
        hub.handle(0).query_in_thread(|_| ()).await.unwrap();
        stop(0).await.unwrap();
    }

    /// The TLS sessions of both ends, after their handshake.
    fn tls() -> (ServerConnection, ClientConnection) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
        let mut roots = RootCertStore::empty();
        roots.add(own.cert.der().clone()).unwrap();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .unwrap();
        let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let mut server = ServerConnection::new(Arc::new(server)).unwrap();
        let mut client = ClientConnection::new(Arc::new(client), "localhost".try_into().unwrap()).unwrap();
        while client.is_handshaking() || server.is_handshaking() || server.wants_write() {
            let mut bytes = Vec::new();
            while client.wants_write() {
                client.write_tls(&mut bytes).unwrap();
            }
            while !bytes.is_empty() {
                let length = server.read_tls(&mut &bytes[..]).unwrap();
                bytes.drain(..length);
                server.process_new_packets().unwrap();
            }
            while server.wants_write() {
                server.write_tls(&mut bytes).unwrap();
            }
            while !bytes.is_empty() {
                let length = client.read_tls(&mut &bytes[..]).unwrap();
                bytes.drain(..length);
                client.process_new_packets().unwrap();
            }
        }
        (server, client)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_tls_client_goes_on_through_the_old_process_and_moves_again_like_any_other() {
        let (old, second, third) = (hub(), hub(), hub());
        let (server, session) = tls();
        let (plain, client) = new_connection(Encoding::Text);
        let new_connection = NewConnection { tls: Some(Box::new(server)), ..plain };
        old.adopt(new_connection, None).await.unwrap();
        let mut client = StreamOwned::new(session, blocking(client));
        init(&mut client);
        assert_eq!(old.to_carry().await.unwrap(), (1, 1, 0));
        let id = old.clients(None).await.unwrap()[0];
        let address = old.client_info(id).await.unwrap().unwrap().0.address;
        assert!(address.is_some());
        let (frozen, frozen_new) = (old.freeze().await.unwrap(), second.freeze().await.unwrap());
        let relay = Relay::new(Arc::default()).unwrap();
        let handle = relay.handle();
        spawn_blocking(move || {
            carry(&frozen, &frozen_new);
            let relayed: Vec<_> = (0..SHARDS).flat_map(|shard| frozen.take_relayed(shard)).collect();
            assert_eq!(relayed.len(), 1);
            relayed.into_iter().for_each(|client| handle.add(client));
            handle.complete();
            frozen.stay_frozen();
            drop(frozen_new);
        })
        .await
        .unwrap();
        let relay = std::thread::spawn(move || relay.run().unwrap());
        for (from, to) in [(None, &second), (Some(&second), &third)] {
            if let Some(from) = from {
                // The end of the pair that stands for the client's socket is carried as a socket is.
                let (frozen, frozen_new) = (from.freeze().await.unwrap(), to.freeze().await.unwrap());
                spawn_blocking(move || {
                    carry(&frozen, &frozen_new);
                    assert!((0..SHARDS).all(|shard| frozen.take_relayed(shard).is_empty()));
                    frozen.stay_frozen();
                    drop(frozen_new);
                })
                .await
                .unwrap();
            }
            assert_eq!(to.client_info(id).await.unwrap().unwrap().0.address, address);
            push(to, b"through the relay").await;
            reads(&mut client, b"through the relay");
            let before = messages_in(to).await;
            client.write_all(b"back\n").unwrap();
            while messages_in(to).await == before {
                tokio::task::yield_now().await;
            }
        }
        // A client that is dropped sees the end of its connection, and so does the relay.
        third.destroy(id).await.unwrap();
        assert!(client.read(&mut [0]).map_or(true, |length| length == 0));
        spawn_blocking(move || relay.join()).await.unwrap().unwrap();
    }

    async fn messages_in(hub: &Hub) -> u64 {
        hub.census().await.unwrap().iter().map(|shard| shard.counts.messages_in).sum()
    }
}
