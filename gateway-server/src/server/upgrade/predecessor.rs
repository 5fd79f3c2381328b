//! What the serving process hears of those before it, which have something left to do: a relay, and handshakes that were under way.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use anyhow::Context as _;
use tokio::runtime::Handle;
use tracing::{error, warn};

use crate::handover::{AfterDecision, Channel, PATIENCE, hear_after_decision};
use crate::listener::ContinuedHandshakes;
use crate::relay::{RelayReport, Relays};

/// The processes before this one that have not ended, each with a thread that hears it.
pub(crate) struct Predecessors {
    relays: Arc<Relays>,
    handshakes: Arc<ContinuedHandshakes>,
    heard: Vec<Heard>,
}

/// A process before this one.
pub(crate) struct Predecessor {
    channel: Channel,
    /// Its number, once it has reported its relay.
    pid: Option<u32>,
}

/// A process that is heard.
struct Heard {
    /// The thread stops when this is dropped.
    stop: UnixStream,
    /// Gives the process, unless that has ended.
    thread: JoinHandle<Option<Predecessor>>,
}

impl Predecessors {
    pub(crate) fn new(relays: Arc<Relays>, handshakes: ContinuedHandshakes) -> Self {
        Self { relays, handshakes: Arc::new(handshakes), heard: Vec::new() }
    }

    /// Hears a process from now on, until it has ended.
    pub(crate) fn hear(&mut self, predecessor: Predecessor) {
        if let Err(error) = self.try_to_hear(predecessor) {
            error!("upgrade: the old process is not heard: {error:#}");
        }
    }

    fn try_to_hear(&mut self, mut predecessor: Predecessor) -> anyhow::Result<()> {
        self.heard.retain(|heard| !heard.thread.is_finished());
        let (stop, stopped) = UnixStream::pair()?;
        let (relays, handshakes) = (Arc::clone(&self.relays), Arc::clone(&self.handshakes));
        let runtime = Handle::current();
        let hearing = move || {
            let _runtime = runtime.enter();
            while predecessor.channel.wait_unless(stopped.as_fd()).ok()? {
                predecessor.hear_once(&relays, &handshakes)?;
            }
            Some(predecessor)
        };
        let thread = thread::Builder::new().name("predecessor".to_owned()).spawn(hearing);
        self.heard.push(Heard { stop, thread: thread.context("its thread")? });
        Ok(())
    }

    /// Stops to hear the processes, and gives those that have not ended. What they have begun to say is heard to its end.
    pub(crate) fn rest(&mut self) -> Vec<Predecessor> {
        let (stops, threads): (Vec<_>, Vec<_>) =
            self.heard.drain(..).map(|heard| (heard.stop, heard.thread)).unzip();
        drop(stops);
        threads.into_iter().filter_map(|thread| thread.join().ok().flatten()).collect()
    }
}

impl Predecessor {
    /// The process that has started this one.
    pub(crate) fn of_channel(channel: Channel) -> Self {
        Self { channel, pid: None }
    }

    /// A process whose channel another one has passed on.
    pub(crate) fn passed(socket: OwnedFd) -> Self {
        Self::of_channel(Channel::new(socket, PATIENCE))
    }

    pub(crate) fn channel_mut(&mut self) -> &mut Channel {
        &mut self.channel
    }

    /// Hears what the process says next. Gives `None` when it has ended.
    fn hear_once(&mut self, relays: &Relays, handshakes: &ContinuedHandshakes) -> Option<()> {
        let Ok(said) = hear_after_decision(&mut self.channel) else {
            if let Some(pid) = self.pid {
                relays.forget(pid);
            }
            return None;
        };
        match said {
            AfterDecision::Relayed(_, report) => match RelayReport::from_bytes(&report) {
                Ok(report) => {
                    self.pid = Some(report.pid);
                    relays.note(report);
                }
                Err(error) => {
                    warn!(%error, "upgrade: the relay of the old process reports what this one does not understand");
                }
            },
            AfterDecision::Handshake(bytes, sockets) => {
                if let Err(error) = handshakes.go_on(&bytes, sockets) {
                    warn!(%error, "upgrade: the old process passes a handshake that this one does not understand");
                }
            }
        }
        Some(())
    }
}

impl AsFd for Predecessor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.channel.as_fd()
    }
}
