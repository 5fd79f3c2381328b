//! Helpers for the unit tests of shards: settings, clients, and a shard whose turns the test runs itself.

use std::io::{ErrorKind, Read as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mio::{Events, Poll, Token};
use socket2::SockRef;

use super::carry::{MalformedBatch, RelayEnds, Restoration};
use super::clients::Clients;
use super::command::{Command, NewConnection};
use super::command_queue::{CommandSender, command_queue};
use super::connection::Connection;
use super::event_sink::{BuiltInSink, Client, EventSink};
use super::index::Index;
use super::membership::NameTable;
use super::resume::ResumeState;
use super::state::Shard;
use super::sync::Waker;
use super::total_backlog::TotalBacklog;
use super::{ClientProofs, ResumeSecrets, ShardSettings};
use crate::config::Settings;
use crate::protocol::Encoding;

pub(crate) fn settings() -> ShardSettings {
    settings_with(|_| ())
}

/// The settings of unit tests, but for what `change` changes: nobody is pinged, closed or given up by the clock.
pub(crate) fn settings_with(change: impl FnOnce(&mut Settings)) -> ShardSettings {
    let mut settings = Settings {
        close_timeout: Duration::from_secs(600),
        outbox_timeout: Duration::ZERO,
        max_groups_per_client: 10,
        max_unfinished_bytes: 64 << 20,
        resume_total_bytes: 64 << 20,
        max_outbox_bytes: 64 << 20,
        ..Settings::default()
    };
    let listener = &mut settings.listeners[0];
    (listener.max_message, listener.outbox_bytes) = (1 << 20, 4 << 20);
    (listener.ping_interval, listener.ping_not_response_limit) = (Duration::from_secs(600), 0);
    (listener.resume_messages, listener.resume_bytes) = (256, 4 << 20);
    change(&mut settings);
    let ports = vec![1; settings.listeners.len()].into();
    let node = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
    let (proofs, secrets) = (ClientProofs::new([1; 16]), ResumeSecrets::new([2; 16]));
    ShardSettings::new(&Arc::new(settings), 1, ports, node, proofs, secrets)
}

/// A connection for a shard, and the client's end of it.
pub(crate) fn new_connection(encoding: Encoding) -> (NewConnection, TcpStream) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (socket, _) = listener.accept().unwrap();
    socket.set_nonblocking(true).unwrap();
    client.set_nonblocking(true).unwrap();
    // With small buffers the kernel takes little for a client that does not read.
    SockRef::from(&client).set_recv_buffer_size(64 << 10).unwrap();
    SockRef::from(&socket).set_tcp_notsent_lowat(64 << 10).unwrap();
    let new_connection = NewConnection {
        socket,
        tls: None,
        answer: Bytes::new(),
        listener: 0,
        encoding,
        early: Box::default(),
        address: None,
        handshake: None,
        slot: None,
        device: None,
        gap: None,
    };
    (new_connection, client)
}

/// Calls `then` with a client of 127.0.0.1 that has the session, for tests of what an [`EventSink`] does.
pub(crate) fn with_client<T>(connection_id: u32, session: &[u8], then: impl FnOnce(&Client<'_>) -> T) -> T {
    let (new_connection, other_end) = new_connection(Encoding::Websocket);
    // Thousands of such clients would leave the system no ports for a minute.
    SockRef::from(&other_end).set_linger(Some(Duration::ZERO)).unwrap();
    let socket = mio::net::TcpStream::from_std(new_connection.socket);
    let connection = Connection::new(socket, connection_id, Encoding::Websocket, 0);
    let mut client = Client::of(&connection, &settings().ports);
    client.session = session;
    then(&client)
}

/// Everything that has arrived at a client.
pub(super) fn arrived(client: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    match client.read_to_end(&mut all) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => panic!("{error}"),
        _ => all,
    }
}

/// A client that reads nothing and for which something waits in its outbox.
pub(super) fn stalled(shard: &mut TestShard, connection_id: u32) -> TcpStream {
    let client = shard.client(connection_id, Encoding::Websocket);
    let key = shard.shard.clients.key(connection_id).unwrap();
    // The kernel's buffers have to be full first.
    while !shard.shard.clients.connections[key].has_outbox() {
        shard.shard.send(key, Bytes::from(vec![b'x'; 64 << 10]));
        shard.shard.write_turn();
    }
    client
}

/// A batch of clients as it was written, and their sockets.
pub(super) type WrittenBatch = (Vec<u8>, Vec<OwnedFd>);

/// A shard without a thread of its own.
pub(super) struct TestShard {
    poll: Poll,
    events: Events,
    pub(super) shard: Shard,
    pub(super) outside: CommandSender,
}

impl TestShard {
    pub(super) fn new(settings: ShardSettings) -> Self {
        Self::telling(settings, Box::new(BuiltInSink))
    }

    pub(super) fn telling(settings: ShardSettings, sink: Box<dyn EventSink>) -> Self {
        let poll = Poll::new().unwrap();
        let (outside, commands) = command_queue(Waker::new(poll.registry(), Token(usize::MAX)).unwrap());
        let names = || NameTable::new(Index::new(None).into(), 0);
        let total = TotalBacklog::new(settings.server.max_outbox_bytes, 1);
        let resume = ResumeState::new(settings.secrets.clone(), settings.node, Default::default());
        let clients = Clients::new(names(), names(), total.into(), resume, None);
        let registry = poll.registry().try_clone().unwrap();
        let shard = Shard::new(registry, commands, settings, sink, clients);
        Self { poll, events: Events::with_capacity(1024), shard, outside }
    }

    /// A client that has read its init message. Its key is the first free one.
    pub(super) fn client(&mut self, connection_id: u32, encoding: Encoding) -> TcpStream {
        let (new_connection, mut client) = new_connection(encoding);
        self.shard.obey_alone(Command::Adopt { connection_id, new_connection, identity: None });
        self.turn();
        assert!(!arrived(&mut client).is_empty());
        client
    }

    /// Writes the clients of the shard, and gives the batches and the relay's ends of pairs.
    pub(super) fn written(&mut self) -> (Vec<WrittenBatch>, RelayEnds) {
        self.shard.write_turn();
        self.shard.is_frozen = true;
        let (mut batches, mut relay_ends) = (Vec::new(), RelayEnds::new());
        let mut out = |bytes: &[u8], sockets: &[BorrowedFd<'_>]| {
            let sockets =
                sockets.iter().map(|socket| socket.try_clone_to_owned()).collect::<Result<_, _>>()?;
            batches.push((bytes.to_vec(), sockets));
            Ok(())
        };
        self.shard.write_carried(&mut relay_ends, &mut out).unwrap();
        (batches, relay_ends)
    }

    /// Goes on in another shard, with the same clients.
    pub(super) fn carried(mut self, settings: ShardSettings, sink: Box<dyn EventSink>) -> Self {
        let (batches, _) = self.written();
        let mut new = Self::telling(settings, sink);
        new.restore(batches).unwrap();
        self.shard.let_go();
        new
    }

    /// Takes over the clients of another shard.
    pub(super) fn restore(&mut self, batches: Vec<WrittenBatch>) -> Result<(), MalformedBatch> {
        self.shard.is_frozen = true;
        let mut restoration = Restoration::default();
        for (bytes, sockets) in batches {
            self.shard.restore_batch(&mut restoration, &bytes, sockets)?;
        }
        self.shard.thaw();
        Ok(())
    }

    /// Whether the shard has more to do even if nothing happens.
    pub(super) fn is_busy(&self) -> bool {
        !self.shard.read_on.is_empty() || self.shard.inflating.is_some() || self.shard.unpolled.is_due()
    }

    /// Runs one turn with the events that have happened so far.
    pub(super) fn turn(&mut self) {
        self.poll.poll(&mut self.events, Some(Duration::ZERO)).unwrap();
        let _ = self.shard.turn(&self.events);
    }

    /// Runs one turn, and gives the number of sockets that had an event.
    pub(super) fn events_of_turn(&mut self) -> usize {
        self.turn();
        self.events.iter().count()
    }
}

/// Settings under which much may wait for each client, but little for all of them together.
pub(crate) fn tight() -> ShardSettings {
    settings_with(|settings| {
        settings.listeners[0].outbox_bytes = 64 << 20;
        settings.max_outbox_bytes = 4 << 20;
    })
}
