//! A server and its clients, in a thread with its own table of descriptors: the clients of several servers are more than one
//! process may have open.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Context as _;
use nix::sched::{CloneFlags, unshare};

use crate::contender::Contender;
use crate::measure::Figures;
use crate::running::Running;
use crate::session::{Part, Session};

/// The number of descriptors that are not connections.
const OTHER_FILES: usize = 500;
const MOST_PORTS: usize = 25_000;

/// Gives how many connections one process can have here, as a server or as its clients.
pub(crate) fn most_connections() -> anyhow::Result<usize> {
    // The ports set a limit as well, because a server and its clients have one address each.
    Ok(most_files()?.min(MOST_PORTS))
}

pub(crate) fn most_files() -> anyhow::Result<usize> {
    let limit = rlimit::getrlimit(rlimit::Resource::NOFILE)?.0 as usize;
    Ok(limit.saturating_sub(OTHER_FILES).max(1))
}

/// A server and its clients, which end when this is dropped.
pub(crate) struct Seat {
    pub(crate) contender: Contender,
    /// The parts to measure; the thread ends when this is dropped.
    orders: Option<Sender<(Part, Duration)>>,
    figures: Receiver<anyhow::Result<Figures>>,
    thread: Option<JoinHandle<()>>,
}

impl Seat {
    /// Connects the clients, and also gives the memory that each took.
    pub(crate) fn take(session: &Session, server: Running, spins: bool) -> anyhow::Result<(Self, Figures)> {
        let (orders, next) = channel();
        let (say, figures) = channel();
        let (contender, session) = (server.contender, session.clone());
        let thread = std::thread::Builder::new().name("clients".to_owned()).spawn(move || {
            let open = || {
                unshare(CloneFlags::CLONE_FILES)?;
                session.open(server, spins)
            };
            let mut place = match open() {
                Ok((place, idle)) => {
                    // If nobody listens any more, the loop below ends at once.
                    let _ = say.send(Ok(idle));
                    place
                }
                Err(error) => return drop(say.send(Err(error))),
            };
            for (part, time) in next {
                let _ = say.send(Part::measure(part, &mut place, time));
            }
        })?;
        let seat = Self { contender, orders: Some(orders), figures, thread: Some(thread) };
        let idle = seat.figures.recv().context("the thread of clients ended")??;
        Ok((seat, idle))
    }

    pub(crate) fn measure(&self, part: Part, time: Duration) -> anyhow::Result<Figures> {
        let orders = self.orders.as_ref().context("the thread of clients has ended")?;
        orders.send((part, time)).context("the thread of clients ended")?;
        self.figures.recv().context("the thread of clients ended")?
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
