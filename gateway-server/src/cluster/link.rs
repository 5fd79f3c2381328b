//! The connection to the broker, which is made, used, and made again when it is lost.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use gateway_wire::Backoff;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Notify;
use tracing::{info, warn};

use super::authenticator::OVERHEAD;
use super::broker::{Broker, Connection, Incoming, ServerInfo};
use super::frame::{FrameKind, Header};
use super::heartbeat::{self, Heartbeat};
use super::membership::Resume;
use super::nats::{Nats, Options};
use super::queue::Entry;
use super::receiver::Receiver;
use super::rest::{Held, Taking};
use super::subject::SubjectTarget;
use super::{Cluster, Host, LinkState};
use crate::config::Settings;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The shortest and the longest pause between two attempts to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Time without an answer to a ping, or to a write, after which the connection to a NATS server is given up.
const DEAD: Duration = Duration::from_secs(6);
/// Time that other nodes have to object to the address of a new node.
const OBJECTIONS: Duration = Duration::from_millis(300);
/// Bytes of frames that are collected before they are written.
const BATCH: usize = 128 << 10;
/// Bytes that one read may take at most. Orders that arrive together are carried out before anything is written to clients, so
/// that several messages for one client go out with one write.
const INPUT: usize = 512 << 10;
/// Time after a connection was made for which all orders are kept.
const SETTLING: Duration = Duration::from_secs(5);
/// Age up to which orders are kept even if all nodes have them.
const YOUNG: Duration = Duration::from_secs(2);
/// Time that a leaving node waits until NATS has its last frames.
const GOODBYE: Duration = Duration::from_secs(1);

#[derive(Debug, thiserror::Error)]
pub(super) enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] <Nats as Broker>::Malformed),
    #[error("the server says: {0}")]
    Refused(String),
    #[error("the server does not answer")]
    Silent,
    #[error("the server closed the connection")]
    Closed,
}

/// One connection to NATS, from its login to its end.
struct Session<'a, H> {
    cluster: &'a Arc<Cluster>,
    host: &'a Arc<H>,
    epoch: u32,
    /// True when the connection continues that of the process before this one, which has subscribed to what concerns this node alone.
    is_inherited: bool,
    since: Instant,
    max_payload: usize,
    /// The pings that are not answered: the time when each was sent, and the meaning of its answer.
    pings: Mutex<VecDeque<(Instant, Meaning)>>,
    /// Number of the server's pings that are not answered.
    pongs_owed: AtomicUsize,
}

/// The meaning of the server's answer to a ping. The server answers in order, so it has taken all that was sent before the ping.
enum Meaning {
    /// The server is alive.
    Life,
    /// The server has the first subscriptions of the connection.
    Begun,
    /// The server has all frames that were queued when this was asked for, by its number.
    Written(u64),
    /// The server has this many of the wanted subscriptions.
    Subscribed(u64),
}

impl Cluster {
    /// Keeps a connection to one of the NATS servers for as long as the server runs.
    pub async fn run<H: Host>(self: &Arc<Self>, host: Arc<H>) -> Infallible {
        let options = options(&self.settings, self.node);
        let mut backoff = Backoff::new(PAUSES.0, PAUSES.1);
        let mut said = String::new();
        let mut early = self.take_early_link();
        for address in self.settings.cluster_nats.iter().cycle() {
            // The process that may take over goes on from the state of this connection.
            self.rest.over().await;
            let is_inherited = early.is_some();
            let connected = match early.take() {
                Some(connection) => Ok(Ok(connection)),
                None => tokio::time::timeout(CONNECT_TIMEOUT, Nats::connect(address, &options)).await,
            };
            let reason = match connected {
                Ok(Ok(connection)) => {
                    let since = Instant::now();
                    let Err(ended) = self.serve(connection, is_inherited, &host).await;
                    self.lost();
                    if since.elapsed() > DEAD {
                        backoff.reset();
                    }
                    format!("{address}: {ended}")
                }
                Ok(Err(error)) => format!("{address}: {error}"),
                Err(_) => format!("{address}: no connection within {CONNECT_TIMEOUT:?}"),
            };
            self.down(&reason);
            if reason != said {
                warn!(reason, "no connection to NATS; other nodes get nothing until there is one");
                said = reason;
            }
            tokio::time::sleep(backoff.next_pause(getrandom::u32().ok())).await;
        }
        // The settings' check demands at least one address, so this line is not reached.
        std::future::pending().await
    }

    /// Tells the other nodes that this one leaves with all its clients.
    pub async fn leave(&self) {
        if self.push(SubjectTarget::All, FrameKind::Leave, Bytes::new()).is_ok() {
            let _ = tokio::time::timeout(GOODBYE, self.written()).await;
        }
    }

    /// Waits until NATS has everything that is queued by now. This ends never if the connection is lost meanwhile.
    pub(super) async fn written(&self) {
        let number = self.writes_wanted.fetch_add(1, Ordering::Relaxed) + 1;
        self.wake.notify_one();
        // The sender is a field of this struct, so it cannot be gone.
        let _ = self.writes_done.subscribe().wait_for(|done| *done >= number).await;
    }

    fn lost(&self) {
        self.subscriptions.end();
        self.queue().down();
        self.room.notify_waiters();
    }

    fn down(&self, reason: &str) {
        self.link.send_modify(|link| match link {
            LinkState::Down { reason: known, .. } => reason.clone_into(known),
            LinkState::Up { .. } => {
                *link = LinkState::Down { since: Instant::now(), reason: reason.to_owned() }
            }
            LinkState::Conflict => {}
        });
    }

    async fn serve<H: Host>(
        self: &Arc<Self>,
        connection: Connection,
        is_inherited: bool,
        host: &Arc<H>,
    ) -> Result<Infallible, Ended> {
        let Connection { mut reader, mut writer, input, server } = connection;
        let taking = self.rest.take().await;
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        let session = Session {
            cluster: self,
            host,
            epoch,
            is_inherited,
            since: Instant::now(),
            max_payload: server.max_payload.max(2 * OVERHEAD),
            pings: Mutex::default(),
            pongs_owed: AtomicUsize::new(0),
        };
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        // From here on the orders of other nodes are ignored until these nodes have sent the missed ones again.
        let missed = if is_inherited {
            self.membership().resume_inherited(Instant::now())
        } else {
            self.membership().resume_all(Instant::now())
        };
        let is_over = Notify::new();
        let read = async {
            let ended = session.read(&mut reader, input, &server, missed, &is_over, taking).await;
            // Messages that were queued until then are written, whatever ended the connection.
            host.flush();
            ended
        };
        both(read, session.write(&mut writer), &is_over).await
    }
}

/// Runs both until one of them ends. When writing ends, reading is told to end by itself: what it has received is never sent
/// again, so dropping it half-way could lose an order.
async fn both<T>(read: impl Future<Output = T>, write: impl Future<Output = T>, is_over: &Notify) -> T {
    let mut read = std::pin::pin!(read);
    tokio::select! {
        result = &mut read => result,
        result = write => {
            is_over.notify_one();
            read.await;
            result
        }
    }
}

impl<H: Host> Session<'_, H> {
    async fn read(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        mut input: BytesMut,
        server: &ServerInfo,
        missed: Vec<Resume>,
        is_over: &Notify,
        taking: Taking<'_>,
    ) -> Result<Infallible, Ended> {
        let rest = &self.cluster.rest;
        let receiver = Receiver::new(self.cluster, self.host);
        let mut max_payload = server.max_payload;
        let mut missed = Some(missed);
        let mut taking = Some(taking);
        let mut held = Held::default();
        loop {
            while let Some(incoming) = Nats::decode(&mut input, max_payload)? {
                match incoming {
                    Incoming::Frame(payload) if taking.is_none() => {
                        receiver.take_answer(payload.clone());
                        held.push(payload);
                    }
                    // Orders are sent again once this process has said that it is there.
                    Incoming::Frame(payload) if self.is_inherited && missed.is_some() => {
                        if !receiver.is_numbered(payload.clone()) && !held.is_full() {
                            held.push(payload);
                        }
                    }
                    Incoming::Frame(payload) => receiver.take(payload).await,
                    Incoming::Ping => {
                        self.pongs_owed.fetch_add(1, Ordering::Relaxed);
                        self.cluster.wake.notify_one();
                    }
                    Incoming::Pong => {
                        let answered = self.pings().pop_front();
                        match answered.map(|(_, meaning)| meaning) {
                            Some(Meaning::Begun) => {
                                self.begin(missed.take().unwrap_or_default(), &server.id);
                                receiver.take_held(&mut held).await;
                            }
                            Some(Meaning::Subscribed(wanted)) => {
                                self.cluster.subscriptions.confirm(wanted);
                            }
                            Some(Meaning::Written(number)) => {
                                self.cluster.writes_done.send_replace(number);
                            }
                            Some(Meaning::Life) | None => {}
                        }
                    }
                    Incoming::Error(error) => return Err(Ended::Refused(error)),
                    Incoming::Info(server) => {
                        max_payload = server.max_payload;
                        if server.is_leaving {
                            return Err(Ended::Refused("it is about to end".to_owned()));
                        }
                    }
                    Incoming::Nothing => {}
                }
            }
            self.host.flush();
            if rest.is_asked() {
                taking = None;
            } else if taking.is_none() {
                taking = Some(rest.take().await);
                receiver.take_held(&mut held).await;
                continue;
            }
            input.reserve(INPUT);
            let may_read = taking.is_some() || !held.is_full();
            let read = tokio::select! {
                read = reader.read_buf(&mut input), if may_read => read?,
                () = rest.asked(), if taking.is_some() => continue,
                () = rest.over(), if taking.is_none() => continue,
                () = is_over.notified() => 0,
            };
            if read == 0 {
                return Err(Ended::Closed);
            }
        }
    }

    /// Begins when everything published from now on arrives here. The node introduces itself first, so that the others know that
    /// their last orders may not have arrived.
    fn begin(&self, missed: Vec<Resume>, server: &str) {
        let cluster = self.cluster;
        {
            let mut queue = cluster.queue();
            queue.up();
            // These frames always find room, as they are small and there is a connection.
            cluster.heartbeats.store(1, Ordering::Relaxed);
            cluster.server.store(cluster.subjects.server(server), Ordering::Relaxed);
            let _ = queue.push(SubjectTarget::All, FrameKind::Hello, cluster.heartbeat_body(1));
            for Resume { node, instance, request } in missed {
                let _ = queue.push(SubjectTarget::Node(node), FrameKind::Resume, request.encode(instance));
            }
        }
        cluster.wake.notify_one();
        let is_first = self.epoch == 1;
        info!(cluster = cluster.name(), server, "connected to NATS");
        let up = LinkState::Up { server: server.to_owned() };
        if !is_first {
            cluster.link.send_replace(up);
        } else {
            let cluster = Arc::clone(cluster);
            tokio::spawn(async move {
                tokio::time::sleep(OBJECTIONS).await;
                // The connection may have been lost meanwhile, or another node has objected.
                let is_up = cluster.queue().is_up();
                cluster.link.send_if_modified(|link| {
                    let may = is_up && matches!(link, LinkState::Down { .. });
                    if may {
                        *link = up;
                    }
                    may
                });
            });
        }
    }

    async fn write(&self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<Infallible, Ended> {
        let cluster = self.cluster;
        self.subscribe(writer).await?;
        let mut next_tick = Instant::now();
        let mut out = Vec::new();
        let (mut pinged, mut probed, mut written) = (0, 0, 0);
        // Other nodes ignore what comes before the introduction, which is the first entry of the queue.
        let mut is_introduced = false;
        loop {
            let is_tick = Instant::now() >= next_tick;
            if is_tick {
                next_tick = Instant::now() + heartbeat::INTERVAL;
                self.tick(&mut out).await?;
            }
            for _ in 0..self.pongs_owed.swap(0, Ordering::Relaxed) {
                Nats::pong(&mut out);
            }
            if let Some(wanted) = cluster.subscriptions.take_commands(&mut out)
                && (wanted > pinged || wanted > probed || is_tick)
            {
                // Probes and pings are written behind the subscriptions, and so arrive after them.
                if is_introduced {
                    self.probe(wanted, &mut out);
                    probed = wanted;
                }
                if wanted > pinged {
                    pinged = wanted;
                    self.ping(Meaning::Subscribed(wanted), &mut out);
                }
            }
            while out.len() < BATCH {
                let Some(entry) = cluster.queue().pop() else { break };
                self.append(&entry, &mut out);
                is_introduced = true;
                cluster.counts.sent.fetch_add(1, Ordering::Relaxed);
            }
            cluster.room.notify_waiters();
            let wanted = cluster.writes_wanted.load(Ordering::Relaxed);
            if out.len() < BATCH && wanted > written {
                written = wanted;
                self.ping(Meaning::Written(wanted), &mut out);
            }
            if out.is_empty() {
                // After any wake-up the loop looks for all kinds of work.
                let _ = tokio::time::timeout_at(next_tick.into(), cluster.wake.notified()).await;
                continue;
            }
            put(writer, &out).await?;
            out.clear();
            out.shrink_to(BATCH);
        }
    }

    /// Subscribes to all subjects that concern this node.
    async fn subscribe(&self, writer: &mut (impl AsyncWrite + Unpin)) -> Result<(), Ended> {
        let subscriptions = &self.cluster.subscriptions;
        subscriptions.begin();
        let mut out = Vec::new();
        if !self.is_inherited {
            self.cluster.subjects.append_own(self.cluster.node, &mut out);
        }
        for chunk in 0.. {
            let has_more =
                self.host.each_name(chunk, &mut |sort, name| subscriptions.append_name(sort, name, &mut out));
            put(writer, &out).await?;
            out.clear();
            if !has_more {
                break;
            }
        }
        self.ping(Meaning::Begun, &mut out);
        put(writer, &out).await
    }

    async fn tick(&self, out: &mut Vec<u8>) -> Result<(), Ended> {
        let cluster = self.cluster;
        let now = Instant::now();
        if self.pings().front().is_some_and(|(sent, _)| now.duration_since(*sent) > DEAD) {
            return Err(Ended::Silent);
        }
        self.ping(Meaning::Life, out);
        cluster.subscriptions.tidy();
        let (gone, due, acked_by_all, acked_by_the_healthy) = {
            let mut membership = cluster.membership();
            let (gone, due) = (membership.tidy(now), membership.due(now));
            (gone, due, membership.acked_by_all(now), membership.acked_by_the_healthy(now))
        };
        for (node, request) in due {
            cluster.send_again(node, request);
        }
        for (instance, node) in gone {
            warn!(%node, "a node of the cluster has been silent for too long and is taken for gone");
            // Who waits for its answer gets those of the others, as who asks from now on does.
            cluster.pending.node_left(instance);
            self.host.node_left(node);
        }
        // The count has a time limit, as busy or ended shards must not keep the heartbeats back.
        let clients = tokio::time::timeout(heartbeat::INTERVAL / 5, self.host.clients()).await;
        let clients = clients.unwrap_or(cluster.clients.load(Ordering::Relaxed));
        cluster.clients.store(clients, Ordering::Relaxed);
        {
            let mut queue = cluster.queue();
            let last = queue.last();
            queue.acked(acked_by_the_healthy.unwrap_or(last));
            // For a while after connecting, orders stay for nodes that were without a connection too, or that start just now.
            if self.since.elapsed() > SETTLING {
                queue.forget(acked_by_all.unwrap_or(last), YOUNG);
            }
        }
        if cluster.is_up() {
            let body = cluster.heartbeat_body(cluster.heartbeats.fetch_add(1, Ordering::Relaxed) + 1);
            // If there is no room for it, the next heartbeat follows soon.
            let _ = cluster.push(SubjectTarget::All, FrameKind::Heartbeat, body);
        }
        Ok(())
    }

    /// Probes, through one node of each other NATS server, whether that server has the subscriptions.
    fn probe(&self, wanted: u64, out: &mut Vec<u8>) {
        let cluster = self.cluster;
        let servers = cluster.membership().servers(cluster.server.load(Ordering::Relaxed), Instant::now());
        for server in cluster.subscriptions.require(wanted, servers.keys().copied()) {
            if let Some(node) = servers.get(&server) {
                let body = Bytes::copy_from_slice(&wanted.to_be_bytes());
                self.append(&Entry::at_once(SubjectTarget::Node(*node), FrameKind::Probe, body), out);
            }
        }
    }

    fn ping(&self, meaning: Meaning, out: &mut Vec<u8>) {
        Nats::ping(out);
        self.pings().push_back((Instant::now(), meaning));
    }

    fn pings(&self) -> std::sync::MutexGuard<'_, VecDeque<(Instant, Meaning)>> {
        self.pings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an entry as one frame, or as several when its body is longer than the server allows.
    fn append(&self, entry: &Entry, out: &mut Vec<u8>) {
        let most = self.max_payload - OVERHEAD;
        let parts = entry.body.len().div_ceil(most).max(1);
        for part in 0..parts {
            let body = &entry.body[part * most..entry.body.len().min((part + 1) * most)];
            let header = Header {
                kind: entry.kind,
                instance: self.cluster.instance,
                epoch: self.epoch,
                serial: self.cluster.serials.fetch_add(1, Ordering::Relaxed) + 1,
                number: entry.number,
                again: entry.again,
                has_more: part + 1 < parts,
                is_first: part == 0,
            };
            let cluster = self.cluster;
            Nats::publish(
                out,
                |out| cluster.subjects.append(entry.to, out),
                OVERHEAD + body.len(),
                |out| cluster.authenticator.append(&header, body, out),
            );
        }
    }
}

impl Cluster {
    pub(super) fn own_heartbeat(&self, count: u64) -> Heartbeat {
        let membership = self.membership();
        Heartbeat {
            node: self.node,
            count,
            acked: membership.acked(),
            clients: self.clients.load(Ordering::Relaxed),
            nonce: membership.nonce(),
            server: self.server.load(Ordering::Relaxed),
        }
    }

    pub(super) fn heartbeat_body(&self, count: u64) -> Bytes {
        // Encoding plain numbers cannot fail.
        rmp_serde::to_vec(&self.own_heartbeat(count)).unwrap_or_default().into()
    }
}

/// The options of the connection to NATS of the node with this address.
pub(super) fn options(settings: &Settings, node: SocketAddrV4) -> Options {
    Options::of(settings, format!("gateway-server {node}"))
}

pub(super) async fn put(writer: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), Ended> {
    let written = tokio::time::timeout(DEAD, async {
        writer.write_all(bytes).await?;
        writer.flush().await
    });
    Ok(written.await.map_err(|_| Ended::Silent)??)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_read_comes_to_its_end_when_writing_fails() {
        let (is_over, goes_on) = (Notify::new(), Notify::new());
        let mut is_done = false;
        let read = async {
            is_over.notified().await;
            // The reading goes on later, as it does when it waits for a busy shard.
            goes_on.notified().await;
            is_done = true;
            "read"
        };
        let result =
            async { tokio::join!(both(read, async { "written" }, &is_over), async { goes_on.notify_one() }) };
        assert_eq!(tokio::time::timeout(DEAD, result).await.unwrap().0, "written");
        assert!(is_done);
    }
}
