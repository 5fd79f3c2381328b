//! The old process's side of an upgrade: it starts the new one, gives it everything, and goes on by itself where that fails.

use std::io;
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::{JoinHandle, block_in_place};
use tracing::{error, info};

use super::carrier::Carrier;
use super::letting_go::LettingGo;
use super::listening_sockets::listed;
use super::predecessor::Predecessor;
use super::state;
use crate::admin::{RequestsAtRest, Upgraded};
use crate::handover::{
    Decision, Given, Giver, Killer, MAX_DESCRIPTORS, NewProcess, Offer, OfferedCluster, PATIENCE,
    STATE_VERSION, Sender, checks, give, start_within,
};
use crate::hub::FrozenHub;
use crate::inbox::pause::AtRest;
use crate::lifecycle::stop::StopSignals;
use crate::lifecycle::systemd;
use crate::listener::{ClosedGate, HandshakeGate};
use crate::php::{self, PhpAtRest};
use crate::server::Server;
use crate::service::{MovesAtRest, TurnedAway};
use crate::system::machine;
use crate::system::priority::Hurry;

/// Time for what is under way when an upgrade begins: requests of the operations port, calls of PHP.
const REST: Duration = Duration::from_secs(2);
/// Time for the handshakes that use the shards at that moment. All others wait.
const HANDSHAKES: Duration = Duration::from_secs(2);

impl Server {
    /// Lets a new process of the installed binary take over. Gives what has come of it, or why this process goes on.
    pub(in crate::server) async fn upgrade(&mut self) -> Result<Upgraded, String> {
        checks::process(std::process::id(), false, false).map_err(in_words)?;
        // A signal that has come before this is still to be seen by the server, and a later one ends the upgrade.
        let mut signals = StopSignals::new().map_err(in_words)?;
        if self.stop_signals.next().now_or_never().is_some() {
            self.stops = true;
            return Err("the server was asked to stop".to_owned());
        }
        let offer = self.offer().await?;
        let limit = rlimit::Resource::NOFILE.get_soft().map_err(in_words)?;
        checks::descriptors(offer.clients, offer.tls_clients, limit).map_err(in_words)?;
        checks::memory(offer.bytes, machine::available()).map_err(in_words)?;
        let (clients, relayed) = (offer.clients as usize, offer.tls_clients as usize);
        let new = tokio::select! {
            new = start_within(&self.binary, PATIENCE) => new.map_err(in_words)?,
            // The server sees the same signal when this has ended.
            _ = signals.next() => return Err("the server was asked to stop".to_owned()),
        };
        info!(pid = new.pid(), "upgrade: a new process is to take over");
        let decision = Arc::new(Decision::default());
        let stop_watch = watch_stop(signals, Arc::clone(&decision), new.killer());
        let gate = Arc::clone(&self.live.components.gate);
        let mut giving = Giving {
            server: self,
            gate: &gate,
            closed: None,
            requests: None,
            turned_away: None,
            moves: None,
            inbox: None,
            php: None,
            predecessors: Vec::new(),
            frozen: None,
            since: None,
            hurry: None,
        };
        let given = block_in_place(|| give(new, offer, &decision, &mut giving));
        stop_watch.abort();
        match given {
            Given::HasGiven { new, fault } => {
                if let Some(fault) = fault {
                    error!("upgrade: {fault}");
                }
                let (pid, pause) = giving.given(new);
                Ok(Upgraded { pid, clients, relayed, pause })
            }
            Given::GoesOn { why, accepts, .. } => {
                giving.go_on(accepts).await;
                Err(why)
            }
        }
    }

    async fn offer(&self) -> Result<Offer, String> {
        let stopped = |_| "the server stops".to_owned();
        let (clients, tls_clients, bytes) = self.live.hub.to_carry().await.map_err(stopped)?;
        Ok(Offer {
            server: env!("CARGO_PKG_VERSION").to_owned(),
            state: STATE_VERSION,
            shards: self.live.components.shards as u32,
            node: self.live.components.node().to_string(),
            cluster: self.cluster.as_ref().map(|cluster| OfferedCluster {
                name: cluster.name().to_owned(),
                is_connected: cluster.is_up(),
            }),
            listeners: listed(self.reloads.settings()),
            clients: clients as u64,
            tls_clients: tls_clients as u64,
            bytes: (bytes + self.cluster.as_ref().map_or(0, |cluster| cluster.bytes_to_carry())) as u64,
        })
    }
}

/// A server that is being given away, and what has happened to it so far.
struct Giving<'a> {
    server: &'a mut Server,
    gate: &'a HandshakeGate,
    /// Keeps handshakes from the shards.
    closed: Option<ClosedGate<'a>>,
    /// Keeps requests of the operations port waiting.
    requests: Option<RequestsAtRest>,
    /// Keeps pages away whose clients are at other nodes.
    turned_away: Option<TurnedAway>,
    /// Keeps clients from moving to or from other nodes.
    moves: Option<MovesAtRest>,
    /// The store, which is closed.
    inbox: Option<AtRest>,
    /// PHP's connections, which have come to rest.
    php: Option<PhpAtRest>,
    /// The processes before this one that have something left to do.
    predecessors: Vec<Predecessor>,
    frozen: Option<FrozenHub>,
    /// Since when clients are not served.
    since: Option<Instant>,
    /// Has this thread, and those that it starts to write the clients, hurry since then.
    hurry: Option<Hurry>,
}

impl Giver for Giving<'_> {
    fn pass_listeners(&mut self, sender: &mut Sender<'_>) -> Result<(), String> {
        Handle::current().block_on(self.rest())?;
        let listeners = listed(self.server.reloads.settings());
        sender.listeners(listeners, &self.server.sockets.all()).map_err(in_words)
    }

    fn freeze(&mut self) -> Result<(), String> {
        // What they have said until now is still done here.
        self.predecessors = self.server.predecessors.rest();
        if self.closed.is_none() {
            Handle::current().block_on(self.close_gate())?;
        }
        self.since = Some(Instant::now());
        self.hurry = Hurry::begin();
        let frozen = Handle::current().block_on(self.server.live.hub.freeze());
        self.frozen = Some(frozen.map_err(|_| "a shard has ended")?);
        Ok(())
    }

    fn write_state(&mut self, sender: &mut Sender<'_>) -> Result<(), String> {
        self.write(sender).map_err(in_words)
    }
}

impl Giving<'_> {
    /// Accepts no more, and brings to rest what is under way.
    async fn rest(&mut self) -> Result<(), String> {
        let Server { live, client_listeners, operations_listener, .. } = &mut *self.server;
        for listeners in [client_listeners, operations_listener] {
            listeners.stop().await;
        }
        let requests = tokio::time::timeout(REST, live.operations.rest()).await;
        self.requests = requests.map_err(|_| "a request of the operations port has not ended in time")?;
        if self.server.cluster.is_some() {
            // A page that comes from another node uses the shards until it is here, and that node may not answer.
            self.turned_away = Some(self.server.live.backend.gateway.turn_moves_away());
            self.close_gate().await?;
            self.moves = Some(self.server.live.backend.gateway.rest_moves(REST).await?);
        }
        let live = &self.server.live;
        let settings = live.register_ports.borrow().clone();
        self.php = Some(php::rest(&live.backend, &settings, REST).await.map_err(in_words)?);
        if let Some(inbox) = live.backend.gateway.inbox() {
            let at_rest = tokio::time::timeout(REST, inbox.rest()).await;
            let at_rest = at_rest.map_err(|_| "the disk of the store does not answer")?;
            self.inbox = Some(at_rest.map_err(in_words)?);
        }
        // PHP's calls needed the other nodes until now.
        match &self.server.cluster {
            Some(cluster) => cluster.rest(REST).await,
            None => Ok(()),
        }
    }

    async fn close_gate(&mut self) -> Result<(), String> {
        let closed = self.gate.close(HANDSHAKES).await;
        self.closed =
            Some(closed.ok_or("a handshake that has begun to use the shards has not ended in time")?);
        Ok(())
    }

    fn write(&mut self, sender: &mut Sender<'_>) -> io::Result<()> {
        let live = &self.server.live;
        sender.state(state::KEYS, &state::write(&self.server.keys), &[])?;
        sender.state(state::TOKENS, &state::write(&live.token_verifier().used()), &[])?;
        let frozen = self.frozen.as_ref().ok_or_else(|| io::Error::other("the shards are not frozen"))?;
        sender.state(state::CONNECTION_IDS, &frozen.export_ids(), &[])?;
        frozen.write(&mut |shard, bytes, sockets| sender.clients(shard as u32, bytes, sockets))?;
        sender.state(state::MOVES, &state::write(&live.backend.gateway.carry_moves()), &[])?;
        let tracked = live.backend.gateway.carry_tracked();
        if !tracked.is_empty() {
            sender.state(state::TRACKED, &state::write(&tracked), &[])?;
        }
        if let Some(cluster) = &self.server.cluster {
            sender.state(state::CLUSTER, &state::write(&cluster.carry()), &[])?;
            cluster.carry_orders(&mut |orders| {
                sender.state(state::CLUSTER_ORDERS, &state::write(&orders), &[])
            })?;
        }
        let php = self.php.as_ref().ok_or_else(|| io::Error::other("PHP's connections are not at rest"))?;
        let php = php.write(&live.backend);
        for sockets in php.descriptors.chunks(MAX_DESCRIPTORS) {
            sender.state(state::PHP_SOCKETS, &[], sockets)?;
        }
        sender.state(state::PHP, &php.bytes, &[])?;
        for predecessor in &self.predecessors {
            sender.state(state::PREDECESSOR, &[], &[predecessor.as_fd()])?;
        }
        Ok(())
    }

    /// The clients belong to the new process. Gives that, and for how long nobody was served.
    fn given(self, new: NewProcess) -> (u32, Duration) {
        // Nobody waits for what is left to do, and the threads that are started now live for long.
        drop(self.hurry);
        let pause = self.since.map_or(Duration::ZERO, |since| since.elapsed());
        let pid = new.pid();
        let mut relayed = Vec::new();
        if let Some(frozen) = self.frozen {
            (0..frozen.shards()).for_each(|shard| relayed.extend(frozen.take_relayed(shard)));
            self.server.letting_go = Some(LettingGo::begin(frozen));
        }
        let begun = match self.closed {
            Some(closed) => Carrier::begin(new, relayed, closed.hand_over()),
            None => Err(anyhow::anyhow!("the gate was open")),
        };
        match begun {
            Ok(carrier) => self.server.carrier = carrier,
            Err(error) => error!("upgrade: the TLS clients are lost: {error:#}"),
        }
        self.inbox.into_iter().for_each(AtRest::leave);
        self.server.sockets.give_files_away();
        self.server.live.operations.replace();
        systemd::replaced_by(pid);
        (pid, pause)
    }

    /// The clients stay. Serves on, and accepts again if that has ceased.
    async fn go_on(self, accepts: bool) {
        let Self {
            server,
            php,
            predecessors,
            frozen,
            closed,
            requests,
            turned_away,
            moves,
            inbox,
            hurry,
            ..
        } = self;
        drop((hurry, frozen, closed, requests, turned_away, moves, inbox));
        if let Some(cluster) = &server.cluster {
            cluster.go_on();
        }
        predecessors.into_iter().for_each(|predecessor| server.predecessors.hear(predecessor));
        if !accepts {
            return;
        }
        if let Some(php) = php {
            php.go_on(&server.live.backend, &server.live.register_ports.borrow());
        }
        match server.sockets.reopen() {
            Ok((clients, operations)) => server.listen(clients, operations),
            Err(error) => crate::system::exit::now(&format!("the ports cannot be served again: {error:#}")),
        }
    }
}

/// Keeps the clients when the server is asked to stop, unless they are given away already.
fn watch_stop(mut signals: StopSignals, decision: Arc<Decision>, killer: Killer) -> JoinHandle<()> {
    tokio::spawn(async move {
        signals.next().await;
        decision.keep(|| killer.kill());
    })
}

fn in_words(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
