//! The whole server: it binds the ports, starts what serves them, and stops all of it in order.

mod component_settings;
mod inbox;
mod keys;
mod live;
mod notices;
mod ports;
mod reload;
mod start;
mod tasks;
mod upgrade;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::Context as _;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task;
use tracing::{error, info, warn};

use crate::admin::{self, Operations};
use crate::cluster::Cluster;
use crate::config::{Settings, Source};
use crate::handover::InstalledBinary;
use crate::inbox::writer::Writer;
use crate::lifecycle::deadline::Deadline;
use crate::lifecycle::stop::{self, StopSignals};
use crate::lifecycle::{memory, systemd, watchdog};
use crate::listener::{self, ContinuedHandshakes, TokenVerifier};
use crate::net::tls;
use crate::php::{self, RegisterPort};
use crate::system::descriptors;
use crate::telemetry::abuse_log;
use crate::telemetry::logs::{self, Logs};
use keys::Keys;
use live::LiveServer;
use ports::Ports;
use reload::Reloads;
use start::Started;
use tasks::Tasks;
use upgrade::{
    Asked, Beginning, Carrier, LettingGo, ListeningSockets, NotTaken, Predecessors, Taken, UpgradeRequests,
    signal_for_upgrades, take_over, watch_relays,
};

/// Time that a stop waits for the PHP workers to take the events of the clients that have gone.
const LAST_EVENTS: std::time::Duration = std::time::Duration::from_secs(1);

/// Time that the answer to who has asked for an upgrade may take, and how often it is looked at.
const LAST_ANSWER: std::time::Duration = std::time::Duration::from_secs(2);
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// Time that a start waits for the other nodes of the cluster.
const JOINING: std::time::Duration = std::time::Duration::from_secs(5);

/// Starts the log, which is what the settings say from the first line on.
pub fn start_logs(settings: &Settings) -> anyhow::Result<Logs> {
    logs::start(&settings.log, settings.log_format)
}

/// Runs the server until SIGTERM or SIGINT, and then until its clients have gone.
pub async fn run(settings: Settings, source: Source, logs: Logs) -> anyhow::Result<()> {
    let Some(mut server) = Server::build(settings, source, logs).await? else {
        return Ok(());
    };
    match server.run().await {
        End::Signal => server.stop(None).await,
        End::Fault(fault) => server.stop(Some(fault)).await,
        End::Replaced => {
            server.leave_to_successor().await;
            Ok(())
        }
    }
}

/// Why a server serves no longer.
pub enum End {
    /// A signal has asked for a stop.
    Signal,
    /// Something has ended that never should.
    Fault(&'static str),
    /// Another process has taken over.
    Replaced,
}

/// A server that serves.
pub struct Server {
    stop_signals: StopSignals,
    deadline: Arc<Deadline>,
    reloads: Reloads,
    live: LiveServer,
    cluster: Option<Arc<Cluster>>,
    client_listeners: Tasks,
    php_listeners: Tasks,
    operations_listener: Tasks,
    upgrades: UpgradeRequests,
    /// What is started when an upgrade is asked for.
    binary: InstalledBinary,
    keys: Keys,
    /// The sockets on which the listeners accept.
    sockets: ListeningSockets,
    /// The tasks that run until the process ends.
    background: Tasks,
    /// The store of messages for users who are not there.
    inbox: Option<Writer>,
    /// Whether a signal has asked for a stop during an upgrade.
    stops: bool,
    /// The processes before this one that have something left to do.
    predecessors: Predecessors,
    /// Passes on handshakes and carries TLS clients after an upgrade, in which this was the old process.
    carrier: Option<Carrier>,
    /// Ends the shards after an upgrade, in which this was the old process.
    letting_go: Option<LettingGo>,
}

impl Server {
    /// Binds the ports and starts everything that serves them. Gives `None` when a signal has asked for a stop meanwhile.
    pub async fn build(settings: Settings, source: Source, logs: Logs) -> anyhow::Result<Option<Self>> {
        descriptors::raise_limit();
        // The signals are caught before anything listens, so that from now on a signal stops the server in order.
        let mut stop_signals = StopSignals::new()?;
        let upgrade_signal = signal_for_upgrades()?;
        let binary = InstalledBinary::of_this_process().context("the path of this program")?;
        let deadline = Deadline::start(settings.drain_seconds, settings.stop_timeout)?;
        let settings = Arc::new(settings);
        let newest = watch::Sender::new(Arc::clone(&settings));
        let reloads = Reloads::new(source, Arc::clone(&settings))?;
        let certificates = component_settings::certificates(&settings)?;
        let watched_certificates = certificates.all();
        let start =
            |ports: &Ports, keys: &Keys, shards| start::start(&newest, ports, certificates, keys, shards);
        let Beginning { started, ports, sockets, keys, mut taken } =
            match take_over(&settings, &mut stop_signals, start) {
                Err(NotTaken::Alone(start, kept)) => {
                    let keys = Keys::draw()?;
                    let (sockets, ports) = match kept {
                        Some(kept) => *kept,
                        None => {
                            let ports = Ports::bind(&settings)?;
                            (ListeningSockets::of(&ports)?, ports)
                        }
                    };
                    let started = start(&ports, &keys, None)?;
                    Beginning { started, ports, sockets, keys, taken: None }
                }
                Err(NotTaken::Failed(error)) => return Err(error),
                Ok(beginning) => beginning,
            };
        let Started { components, cluster, hub, backend } = started;

        let mut background = Tasks::default();
        if !watched_certificates.is_empty() {
            let watch = tls::watch(watched_certificates, signal(SignalKind::hangup())?);
            background.spawn("the certificates are not watched any more", watch);
        }
        if let Some(cluster) = &cluster {
            let (task, host) = (Arc::clone(cluster), Arc::clone(&backend));
            background.spawn("the cluster is not served any more", async move { task.run(host).await });
            // No client is let in before the other nodes know of this one. They know a node that is taken over.
            if taken.is_none() {
                tokio::select! {
                    joined = cluster.joined(JOINING) => joined.map_err(|reason| anyhow::anyhow!(reason))?,
                    signal = stop_signals.next() => {
                        info!("{signal}: stopping before it has served");
                        return Ok(None);
                    }
                }
            }
        }
        // The store of a process before this one is free once that has given its clients away.
        let inbox = inbox::start(&settings, &backend.gateway, taken.is_none())?;
        if let Some(teller) = notices::teller(&settings, &backend)? {
            background.spawn("nobody is told any more what becomes of messages", teller.run());
        }
        component_settings::warn_of_guessable(&settings);
        ports.announce(&settings)?;
        ports.warn_of_open_register(&settings);
        systemd::ready();

        let token_verifier = Arc::new(TokenVerifier::open().with(&settings));
        if let Some(used) = taken.as_mut().and_then(Taken::tokens) {
            token_verifier.take_over(used);
        }
        let listeners = (0..ports.clients.len())
            .map(|index| watch::Sender::new(components.listener(&settings, index, &token_verifier)))
            .collect();
        let register_ports = watch::Sender::new(components.register_port(&settings));
        let (operations, upgrades) = Operations::new(
            Arc::clone(&hub),
            Arc::clone(&backend),
            components.watched(&settings),
            components.php_connections(),
            newest.subscribe(),
        );
        let operations = Arc::new(operations);
        let shards = Arc::clone(&hub);
        background.spawn("what waits for clients is not watched any more", async move {
            shards.watch_waiting().await
        });
        let moves = Arc::clone(&backend.gateway);
        background.spawn("the clients that move are not watched any more", async move {
            moves.watch_moves().await
        });
        background.spawn("the shards are not watched any more", watchdog::watch(Arc::clone(&hub)));

        let relays = watch_relays(Arc::clone(&hub), operations.relays(), newest.subscribe());
        background.spawn("the relays are not watched any more", relays);

        let token_verifier = Mutex::new(token_verifier);
        let live = LiveServer {
            logs,
            settings: newest,
            hub,
            components,
            token_verifier,
            listeners,
            backend,
            register_ports,
            operations,
        };
        let continued = ContinuedHandshakes::new(
            Arc::clone(&live.backend.gateway),
            live.listeners.iter().map(watch::Sender::subscribe).collect(),
        );
        let predecessors = Predecessors::new(live.operations.relays(), continued);
        let mut server = Self {
            stop_signals,
            deadline,
            reloads,
            live,
            cluster,
            client_listeners: Tasks::default(),
            php_listeners: Tasks::default(),
            operations_listener: Tasks::default(),
            upgrades: UpgradeRequests::new(upgrade_signal, upgrades),
            binary,
            keys,
            predecessors,
            carrier: None,
            letting_go: None,
            sockets,
            background,
            inbox,
            stops: false,
        };
        if let Some(taken) = taken {
            server.stops = taken.stops();
            server.live.recount().await;
            taken.serve(&server.live, &server.sockets, &mut server.predecessors).await;
        }
        server.listen(ports.clients, ports.operations);
        server.listen_for_php(ports.register);
        Ok(Some(server))
    }

    /// Accepts clients and operators from now on.
    fn listen(&mut self, clients: Vec<TcpListener>, operations: Option<TcpListener>) {
        let LiveServer { listeners, backend, .. } = &self.live;
        for (socket, settings) in clients.into_iter().zip(listeners) {
            let task = listener::serve(socket, Arc::clone(&backend.gateway), settings.subscribe());
            self.client_listeners.spawn("a listener ended", task);
        }
        if let Some(port) = operations {
            let task = admin::serve(port, Arc::clone(&self.live.operations));
            self.operations_listener.spawn("the operations port ended", task);
            let history = admin::keep_history(Arc::clone(&self.live.operations));
            self.operations_listener.spawn("the history of the numbers is not kept any more", history);
        }
    }

    /// Accepts PHP's connections from now on.
    fn listen_for_php(&mut self, ports: Vec<RegisterPort>) {
        for port in ports {
            let settings = self.live.register_ports.subscribe();
            let task = php::serve(port, Arc::clone(&self.live.backend), settings);
            self.php_listeners.spawn("a register port ended", task);
        }
    }

    /// Serves until a signal asks for a stop, or something has ended that never should.
    pub async fn run(&mut self) -> End {
        loop {
            if self.stops {
                info!("asked to stop during an upgrade: stopping");
                return End::Signal;
            }
            let asked = match self.serve().await {
                ControlFlow::Continue(asked) => asked,
                ControlFlow::Break(end) => return end,
            };
            match self.upgrade().await {
                Ok(upgraded) => {
                    info!(pid = upgraded.pid, clients = upgraded.clients, pause = ?upgraded.pause, "upgrade: the new process serves");
                    self.upgrades.refuse_waiting();
                    asked.answer(Ok(upgraded));
                    return End::Replaced;
                }
                Err(why) => {
                    error!("upgrade: {why}: this process goes on");
                    self.upgrades.refuse_waiting();
                    asked.answer(Err(why));
                }
            }
        }
    }

    /// Serves, and reads the settings again on SIGHUP, until the end or until an upgrade is asked for.
    async fn serve(&mut self) -> ControlFlow<End, Asked> {
        let turn = self.reloads.turn();
        let asked = async {
            let asked = self.upgrades.next().await;
            // Settings that are being read are applied first.
            drop(turn.lock().await);
            asked
        };
        let apply = async |settings: &Arc<Settings>| {
            self.deadline.set(settings.drain_seconds, settings.stop_timeout);
            self.live.apply(settings).await;
        };
        let fault = tokio::select! {
            () = memory::watch(&self.live.hub) => "the shards have ended",
            () = self.reloads.serve(apply) => "the settings are not read again any more",
            signal = self.stop_signals.next() => {
                info!("{signal}: stopping");
                return ControlFlow::Break(End::Signal);
            }
            asked = asked => return ControlFlow::Continue(asked),
            fault = self.client_listeners.fault() => fault,
            fault = self.php_listeners.fault() => fault,
            fault = self.operations_listener.fault() => fault,
            fault = self.background.fault() => fault,
        };
        ControlFlow::Break(End::Fault(fault))
    }

    /// Ends after another process has taken over: who has asked for that gets the answer, handshakes that were under way are passed on,
    /// and TLS clients are carried until they have gone.
    async fn leave_to_successor(mut self) {
        // The new process is the node of the cluster from here on.
        self.background.stop().await;
        let settings = self.reloads.settings();
        let patience = settings.drain_seconds + settings.stop_timeout;
        let carrier = self.carrier.take();
        let carried = async {
            if let Some(carrier) = carrier {
                carrier.carry(&mut self.stop_signals, patience).await;
            }
        };
        let answered = async {
            let start = Instant::now();
            while self.live.operations.is_answering_upgrade() && start.elapsed() < LAST_ANSWER {
                tokio::time::sleep(LOOK).await;
            }
        };
        let letting_go = self.letting_go.take();
        let let_go = async {
            if let Some(letting_go) = letting_go {
                letting_go.done().await;
            }
        };
        tokio::join!(carried, answered, let_go);
        info!("another process serves, so this one has ended");
    }

    /// Closes the clients, and then stops everything. Gives an error when there was a fault, so that the supervisor starts the
    /// server again.
    pub async fn stop(mut self, fault: Option<&'static str>) -> anyhow::Result<()> {
        if let Some(fault) = fault {
            error!("{fault}: stopping");
            self.deadline.begin();
        }
        systemd::stopping();
        self.live.operations.stop();
        // New clients are not accepted any more. PHP is served as long as there are clients.
        self.client_listeners.stop().await;
        self.sockets.close_clients();
        let settings = self.reloads.settings();
        // Other nodes may fetch the clients that come back there.
        let keeps_parked = self.cluster.as_ref().is_some_and(|cluster| cluster.has_others());
        let (longest, patience) = (settings.drain_seconds, settings.stop_timeout);
        stop::drain(&self.live.hub, &mut self.stop_signals, longest, patience, keeps_parked).await?;
        self.php_listeners.stop().await;
        if tokio::time::timeout(LAST_EVENTS, self.live.backend.workers.emptied()).await.is_err() {
            warn!("the workers did not take their last events in time");
        }
        if let Some(cluster) = &self.cluster {
            cluster.leave().await;
        }
        if let Some(inbox) = self.inbox.take()
            && !task::block_in_place(|| inbox.stop())
        {
            error!("the thread of the store has ended by a fault");
        }
        for (offence, total) in abuse_log::totals().into_iter().filter(|(_, total)| *total > 0) {
            info!(offence, total, "since the start");
        }
        info!("stopped");
        fault.map_or(Ok(()), |fault| Err(anyhow::anyhow!("{fault}, so it has stopped")))
    }
}
