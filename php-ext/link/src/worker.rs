//! The connection over which a worker is told of events, driven by PHP's thread alone.
//!
//! It is no part of a link: what a handler sends goes the ordinary way.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::{self, HEADER, MAX_REPLY};
use gateway_wire::bridge::{Event, Login, Producer, Said, Told};
use socket2::Socket;

use crate::connect::{self, Reached};
use crate::fork::{self, Watched};
use crate::guess::Known;
use crate::inbox::Inbox;
use crate::poll::{self, Interest};
use crate::{Failure, LinkError, Reason, Target, Unreachable};

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Worker {
    socket: Watched<Socket>,
    inbox: Inbox,
    /// Of the process that joined: a forked child has no part in it.
    generation: u32,
    /// The event that was given out last, and the last one that is known to the gateway as done.
    taken: u64,
    done: u64,
    is_leaving: bool,
}

/// What [`Worker::take`] finds.
#[derive(Debug)]
pub enum Next<'a> {
    Event(Event<'a>),
    /// The gateway has no more for one that leaves.
    End,
    /// It has not arrived yet.
    Nothing,
}

/// Why a worker has to join again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the connection for events was lost: {0}")]
pub struct WorkerLost(String);

impl Worker {
    /// Joins within `bound`.
    pub fn join(target: &Target, name: &str, bound: Duration) -> Result<Self, LinkError> {
        let mut producer = [0; 16];
        getrandom::fill(&mut producer).map_err(lost)?;
        let reached =
            connect::attempt(target, Login::WORKER, Producer(producer), bound, &mut Known::default())?;
        let connection = match reached {
            Reached::Gateway(connection, _) => connection,
            Reached::Cluster(_) => {
                let reason =
                    "a worker needs gateway-server; GatewayWorker's gateways have its own BusinessWorker";
                let failure = |address: &crate::Address| Failure {
                    address: address.clone(),
                    reason: Reason::Cluster(reason.to_owned()),
                };
                let failures = target.addresses().iter().map(failure).collect();
                return Err(Unreachable { failures }.into());
            }
        };
        let (socket, inbox) = connection.into_parts();
        let generation = fork::generation();
        let mut worker = Self { socket, inbox, generation, taken: 0, done: 0, is_leaving: false };
        worker.say(&Said::Join { name })?;
        Ok(worker)
    }

    /// Whether this process has joined, and not its parent.
    pub fn is_own(&self) -> bool {
        self.generation == fork::generation()
    }

    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// An event is with the handler, or has been since the gateway was told last.
    pub fn is_behind(&self) -> bool {
        self.done < self.taken
    }

    /// No more events are wanted, but for those on their way.
    pub fn leave(&mut self) -> Result<(), WorkerLost> {
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.say(&Said::Leave)?;
        }
        Ok(())
    }

    /// The next event that has arrived. The gateway knows of it before the caller does, so that nobody else gets it.
    pub fn take(&mut self) -> Result<Next<'_>, WorkerLost> {
        let whole = frame::content_length(self.inbox.unread(), MAX_REPLY);
        let Some(length) = whole.map_err(lost)? else { return Ok(Next::Nothing) };
        let number = {
            match Told::decode(&self.inbox.unread()[HEADER..HEADER + length]).map_err(lost)? {
                Told::Event(event) => event.number,
                Told::End => {
                    self.inbox.take(HEADER + length);
                    return Ok(Next::End);
                }
            }
        };
        let done = self.taken;
        self.say(&Said::Progress { taken: number, done })?;
        self.wait_until_sent()?;
        (self.taken, self.done) = (number, done);
        match Told::decode(&self.inbox.take(HEADER + length)[HEADER..]).map_err(lost)? {
            Told::Event(event) => Ok(Next::Event(event)),
            Told::End => Ok(Next::End),
        }
    }

    /// Everything that was given out has been handled.
    pub fn all_done(&mut self) -> Result<(), WorkerLost> {
        if self.is_behind() {
            self.say(&Said::Progress { taken: self.taken, done: self.taken })?;
            self.done = self.taken;
        }
        Ok(())
    }

    /// Waits until something arrives, or a signal does. `is_interrupted` is asked with all signals blocked, so that none
    /// slips in between the question and the sleep.
    pub fn wait(&mut self, is_interrupted: impl FnOnce() -> bool) -> Result<(), WorkerLost> {
        if poll::interruptible(self.socket.as_raw_fd(), is_interrupted).map_err(lost)? {
            self.read()?;
        }
        Ok(())
    }

    /// What has arrived, as far as one read goes.
    pub fn read(&mut self) -> Result<(), WorkerLost> {
        match self.inbox.fill(&mut &*self.socket) {
            Ok(0) => Err(WorkerLost("the gateway closed it".to_owned())),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(lost(error)),
        }
    }

    /// What the system holds back, because much is on its way, would go with a process that is killed: others would then
    /// be given an event that had been handled.
    fn wait_until_sent(&self) -> Result<(), WorkerLost> {
        const PAUSE: Duration = Duration::from_micros(100);
        let deadline = Instant::now() + PATIENCE;
        while poll::unsent(self.socket.as_raw_fd()) > 0 {
            if Instant::now() >= deadline {
                return Err(lost("the gateway does not take what it is told"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    /// These frames are small, and the gateway reads them whatever else it does.
    fn say(&mut self, said: &Said<'_>) -> Result<(), WorkerLost> {
        let mut bytes = Vec::with_capacity(32);
        said.encode(&mut bytes).map_err(lost)?;
        let mut left = &bytes[..];
        while !left.is_empty() {
            match (&*self.socket).write(left) {
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let output = Interest { input: false, output: true };
                    poll::either(Some((self.socket.as_raw_fd(), output)), None, PATIENCE).map_err(lost)?;
                }
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }
}

fn lost(error: impl std::fmt::Display) -> WorkerLost {
    WorkerLost(error.to_string())
}
