//! The new process's side of an upgrade: it takes everything that the old one has, and serves once that has decided so.

use std::cell::{Cell, RefCell};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use tracing::{error, info, warn};

use super::listening_sockets::{ListeningSockets, listed};
use super::predecessor::{Predecessor, Predecessors};
use super::restoring::Restoring;
use super::state;
use crate::cluster::{Cluster, EarlyLink, Host as _};
use crate::config::Settings;
use crate::handover::protocol::NewOutcome;
use crate::handover::{
    Channel, Inherited, ListeningSocket, Offer, Taker, checks, inherited, say_serving, start_anew, take,
};
use crate::hub::FrozenHub;
use crate::lifecycle::stop::StopSignals;
use crate::listener::UsedTokens;
use crate::php::PhpAtRest;
use crate::server::keys::Keys;
use crate::server::live::LiveServer;
use crate::server::ports::Ports;
use crate::server::start::Started;
use crate::system::allocator::trim_heap;

/// Time for the connection to the other nodes of the cluster to be used again. PHP's calls wait for it.
const JOINING: Duration = Duration::from_secs(2);

/// How long a process that is about to start anew looks for a signal that has come already, or comes now.
const LAST_LOOK: Duration = Duration::from_millis(50);

/// Starts what serves, on these ports and with so many shards.
pub(crate) trait Start: FnOnce(&Ports, &Keys, Option<usize>) -> anyhow::Result<Started> {}

impl<F: FnOnce(&Ports, &Keys, Option<usize>) -> anyhow::Result<Started>> Start for F {}

/// A server before anybody is let in.
pub(crate) struct Beginning {
    pub(crate) started: Started,
    pub(crate) ports: Ports,
    pub(crate) sockets: ListeningSockets,
    pub(crate) keys: Keys,
    /// What was taken over, if this is the new process of an upgrade.
    pub(crate) taken: Option<Taken>,
}

/// What was taken over from another process, and is not served yet.
pub(crate) struct Taken {
    old: Predecessor,
    /// The processes before the old one that have not ended.
    older: Vec<Predecessor>,
    frozen: FrozenHub,
    tokens: Option<UsedTokens>,
    php: PhpAtRest,
    /// The cluster, if the server is a node of one, and whether it had a connection.
    cluster: Option<(Arc<Cluster>, bool)>,
    is_orphan: bool,
    stops: bool,
}

/// Why nothing was taken over.
pub(crate) enum NotTaken<S> {
    /// There is no process before this one, or it has died. Then this one may have its listening sockets.
    Alone(S, Option<Box<(ListeningSockets, Ports)>>),
    /// This process was started to take over, and cannot. It ends.
    Failed(anyhow::Error),
}

/// Takes over from another process, if this one was started for that.
pub(crate) fn take_over<S: Start>(
    settings: &Settings,
    signals: &mut StopSignals,
    start: S,
) -> Result<Beginning, NotTaken<S>> {
    match inherited() {
        Ok(Inherited::Nothing) => Err(NotTaken::Alone(start, None)),
        Ok(Inherited::OwnSockets(listeners, sockets)) => {
            let kept = ListeningSockets::kept(settings, &listeners, sockets);
            Err(NotTaken::Alone(start, kept.map(Box::new)))
        }
        Ok(Inherited::Channel(channel)) => {
            take_all(channel, settings, signals, start).map_err(NotTaken::Failed)
        }
        Err(error) => Err(NotTaken::Failed(error.into())),
    }
}

fn take_all(
    mut channel: Channel,
    settings: &Settings,
    signals: &mut StopSignals,
    start: impl Start,
) -> anyhow::Result<Beginning> {
    let mut taking = Taking {
        settings,
        signals: RefCell::new(signals),
        start: Some(start),
        shards: 0,
        sockets: None,
        base: None,
        restoring: None,
        tokens: None,
        php_sockets: Vec::new(),
        php: None,
        early_link: None,
        cluster: None,
        older: Vec::new(),
        stops: Cell::new(false),
    };
    let outcome = block_in_place(|| take(&mut channel, &mut taking));
    // The shards neither thaw nor stay frozen while something is restored.
    drop(taking.restoring.take());
    let NewOutcome::TakesOver { is_orphan, stops } = outcome else {
        // The clients are the old process's, so the shards that have some of them must not thaw while this process ends.
        taking.base.into_iter().for_each(|base| base.frozen.stay_frozen());
        let sockets = taking.sockets.as_ref().map(|(sockets, _)| sockets);
        let outcome = if outcome == NewOutcome::StartsAfresh && comes_late(&mut taking.signals.borrow_mut()) {
            NewOutcome::Ends("the server was asked to stop".to_owned())
        } else {
            outcome
        };
        return Err(ended(outcome, settings, sockets));
    };
    let Taking { sockets, base, tokens, php, cluster, older, .. } = taking;
    let Base { started, ports, keys, frozen } = base.context("no keys came")?;
    let (sockets, _) = sockets.context("no listening sockets came")?;
    let php = php.context("PHP's connections did not come")?;
    let old = Predecessor::of_channel(channel);
    let taken = Some(Taken { old, older, frozen, tokens, php, cluster, is_orphan, stops });
    Ok(Beginning { started, ports, sockets, keys, taken })
}

impl Taken {
    /// Takes the single-use tokens that were used.
    pub(crate) fn tokens(&mut self) -> Option<UsedTokens> {
        self.tokens.take()
    }

    /// Whether the server was asked to stop meanwhile.
    pub(crate) fn stops(&self) -> bool {
        self.stops
    }

    /// Serves the clients and PHP's connections from now on, and tells the old process so.
    pub(crate) async fn serve(
        mut self,
        live: &LiveServer,
        sockets: &ListeningSockets,
        predecessors: &mut Predecessors,
    ) {
        sockets.own_files();
        drop(self.frozen);
        if let Some((cluster, was_up)) = &self.cluster {
            for node in cluster.members() {
                live.backend.node_joined(node);
            }
            // PHP's calls may concern clients of other nodes.
            if *was_up && let Err(reason) = cluster.joined(JOINING).await {
                error!("upgrade: {reason}");
            }
        }
        self.php.go_on(&live.backend, &live.register_ports.borrow());
        self.older.into_iter().for_each(|older| predecessors.hear(older));
        if self.is_orphan {
            warn!("upgrade: the old process has died, and this one has taken over all that it had");
            return;
        }
        if let Err(error) = block_in_place(|| say_serving(self.old.channel_mut())) {
            info!(%error, "upgrade: the old process is not told that this one serves");
        }
        predecessors.hear(self.old);
    }
}

/// A server that is being taken over.
struct Taking<'a, S> {
    settings: &'a Settings,
    signals: RefCell<&'a mut StopSignals>,
    start: Option<S>,
    /// The number of shards of the old process, which this one follows.
    shards: usize,
    /// The ports are here until what serves is started on them.
    sockets: Option<(ListeningSockets, Option<Ports>)>,
    base: Option<Base>,
    /// Restores the clients, from the first batch of them until all have come.
    restoring: Option<Restoring>,
    tokens: Option<UsedTokens>,
    /// The sockets of PHP's connections that have come before these themselves.
    php_sockets: Vec<OwnedFd>,
    php: Option<PhpAtRest>,
    /// The connection to the other nodes of the cluster, until the cluster has it.
    early_link: Option<EarlyLink>,
    /// The cluster once it knows what the old process knew, and whether there was a connection.
    cluster: Option<(Arc<Cluster>, bool)>,
    older: Vec<Predecessor>,
    stops: Cell<bool>,
}

/// What there is once the keys have come.
struct Base {
    started: Started,
    ports: Ports,
    keys: Keys,
    /// The shards, which serve nobody yet.
    frozen: FrozenHub,
}

impl<S: Start> Taker for Taking<'_, S> {
    fn check(&mut self, offer: &Offer) -> Result<(), String> {
        let limit = rlimit::Resource::NOFILE.get_soft().map_err(in_words)?;
        // The TLS clients come as sockets too, and only the old process has two for each.
        checks::descriptors(offer.clients, 0, limit).map_err(in_words)?;
        let settings = self.settings;
        let wanted = checks::Wanted {
            shards: Some(u32::from(settings.shards)).filter(|shards| *shards > 0),
            node: settings.node.map(|node| node.to_string()),
            cluster: settings.is_clustered().then(|| settings.cluster_name.clone()),
            listeners: listed(settings),
        };
        self.shards = checks::settings(offer, &wanted).map_err(in_words)? as usize;
        self.connect(offer)
    }

    fn listeners(&mut self, _: Vec<ListeningSocket>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        let (sockets, ports) = ListeningSockets::passed(self.settings, sockets).map_err(in_words)?;
        self.sockets = Some((sockets, Some(ports)));
        Ok(())
    }

    fn clients(&mut self, shard: u32, bytes: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        let base = self.base.as_ref().ok_or("clients came before the keys of the server")?;
        let restoring = self.restoring.get_or_insert_with(|| Restoring::begin(&base.frozen));
        restoring.restore(shard, bytes, sockets)
    }

    fn state(&mut self, name: &str, bytes: Vec<u8>, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        // What follows the clients concerns them.
        self.restored()?;
        match name {
            state::KEYS => self.found(state::read(&bytes).map_err(in_words)?).map_err(in_words),
            state::CONNECTION_IDS => {
                let base = self.base.as_ref().ok_or("connection ids came before the keys of the server")?;
                base.frozen.resume_ids(&bytes).map_err(in_words)
            }
            state::TOKENS => {
                self.tokens = Some(state::read(&bytes).map_err(in_words)?);
                Ok(())
            }
            state::MOVES => {
                let base = self.base.as_ref().ok_or("clients moved before the keys of the server came")?;
                base.started.backend.gateway.take_over_moves(state::read(&bytes).map_err(in_words)?);
                Ok(())
            }
            state::TRACKED => {
                let base = self.base.as_ref().ok_or("tracked messages came before the keys of the server")?;
                base.started.backend.gateway.take_over_tracked(state::read(&bytes).map_err(in_words)?);
                Ok(())
            }
            state::CLUSTER => {
                let base = self.base.as_ref().ok_or("the cluster came before the keys of the server")?;
                let cluster = base.started.cluster.clone().ok_or("this server is no node of a cluster")?;
                cluster.take_over(state::read(&bytes).map_err(in_words)?).map_err(in_words)?;
                let link = self.early_link.take();
                self.cluster = Some((Arc::clone(&cluster), link.is_some()));
                link.into_iter().for_each(|link| cluster.begin_with(link));
                Ok(())
            }
            state::CLUSTER_ORDERS => {
                let (cluster, _) = self.cluster.as_ref().ok_or("orders came before the cluster")?;
                cluster.take_over_orders(state::read(&bytes).map_err(in_words)?).map_err(in_words)
            }
            state::PHP_SOCKETS => {
                self.php_sockets.extend(descriptors);
                Ok(())
            }
            state::PHP => {
                let base =
                    self.base.as_ref().ok_or("PHP's connections came before the keys of the server")?;
                let sockets = std::mem::take(&mut self.php_sockets);
                let php = PhpAtRest::read(&bytes, sockets, &base.started.backend).map_err(in_words)?;
                self.php = Some(php);
                Ok(())
            }
            state::PREDECESSOR => {
                self.older.extend(descriptors.into_iter().map(Predecessor::passed));
                Ok(())
            }
            other => Err(format!("the old server hands over {other:?}, which this one does not know")),
        }
    }

    fn finish(&mut self) -> Result<(), String> {
        self.restored()?;
        let Some(base) = self.base.as_ref().filter(|_| self.php.is_some()) else {
            return Err("the keys of the server or PHP's connections did not come".to_owned());
        };
        if base.started.cluster.is_some() && self.cluster.is_none() {
            return Err("the node's part in the cluster did not come".to_owned());
        }
        // The old process has all clients too, so what the tables have outgrown meanwhile is given back at once.
        trim_heap();
        Ok(())
    }

    fn is_asked_to_stop(&self) -> bool {
        let has_come = self.signals.borrow_mut().next().now_or_never().is_some();
        self.stops.set(self.stops.get() || has_come);
        self.stops.get()
    }
}

impl<S: Start> Taking<'_, S> {
    /// Connects to the other nodes of the cluster, while the old process serves. If it cannot reach them either, this is left for later.
    fn connect(&mut self, offer: &Offer) -> Result<(), String> {
        let Some(offered) = offer.cluster.as_ref().filter(|_| self.settings.is_clustered()) else {
            return Ok(());
        };
        let node =
            offer.node.parse().map_err(|_| format!("the old server has no address: {}", offer.node))?;
        match Handle::current().block_on(EarlyLink::connect(self.settings, node)) {
            Ok(link) => {
                self.early_link = Some(link);
                Ok(())
            }
            Err(reason) if offered.is_connected => {
                Err(format!("the other nodes of the cluster cannot be reached: {reason}"))
            }
            Err(reason) => {
                warn!(reason, "upgrade: the other nodes of the cluster cannot be reached, as before");
                Ok(())
            }
        }
    }

    /// Waits until all clients are restored that have come.
    fn restored(&mut self) -> Result<(), String> {
        self.restoring.take().map_or(Ok(()), |mut restoring| restoring.finish())
    }

    /// Starts the shards, which stay frozen.
    fn found(&mut self, keys: Keys) -> anyhow::Result<()> {
        let start = self.start.take().context("the keys came twice")?;
        let ports = self.sockets.as_mut().and_then(|(_, ports)| ports.take());
        let ports = ports.context("no listening sockets came")?;
        let started = start(&ports, &keys, Some(self.shards))?;
        let frozen = Handle::current().block_on(started.hub.freeze());
        let frozen = frozen.map_err(|_| anyhow::anyhow!("a shard has ended"))?;
        self.base = Some(Base { started, ports, keys, frozen });
        Ok(())
    }
}

/// Whether a signal to stop comes at the last moment. A program that is executed anew knows nothing of those that came before, and a stop of
/// the service signals all its processes at about the same time.
fn comes_late(signals: &mut StopSignals) -> bool {
    let comes = tokio::time::timeout(LAST_LOOK, signals.next());
    block_in_place(|| Handle::current().block_on(comes)).is_ok()
}

/// Why this process does not go on as the new one. It starts anew, as one without an old process, if that has died before it had
/// given everything, on the same listening sockets if these have come.
fn ended(outcome: NewOutcome, settings: &Settings, sockets: Option<&ListeningSockets>) -> anyhow::Error {
    match outcome {
        NewOutcome::StartsAfresh => {
            warn!(
                "upgrade: the old process has died before it had given everything, so this one starts without clients"
            );
            let (listeners, sockets) =
                sockets.map_or_else(Default::default, |sockets| (listed(settings), sockets.all()));
            anyhow::Error::from(start_anew(listeners, &sockets)).context("this process cannot start anew")
        }
        NewOutcome::Refuses(why) | NewOutcome::Ends(why) => anyhow::anyhow!("it does not take over: {why}"),
        NewOutcome::TakesOver { .. } => anyhow::anyhow!("it was to take over before it had everything"),
    }
}

fn in_words(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
