//! The connection over which a worker is told of events, driven by PHP's thread alone.
//!
//! It is no part of a link: what a handler sends goes the ordinary way.

use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::{self, HEADER, MAX_REPLY};
use gateway_wire::bridge::{Login, Producer, ServerToWorker, WorkerEvent, WorkerToServer};

use crate::address::Address;
use crate::detect::DetectionCache;
use crate::error::{ConnectError, EventsConnLost, FailedAttempt, LinkError, Unreachable};
use crate::establish::{self, Established};
use crate::fork;
use crate::poll::{self, Interest, WaitEnd};
use crate::progress_file::ProgressFile;
use crate::read_buffer::ReadBuffer;
use crate::stream::MaybeTlsStream;
use crate::target::Target;

const PATIENCE: Duration = Duration::from_secs(30);
/// What is done need not be told at once where it is counted, but before the gateway runs out of what it may send ahead.
const MAX_UNREPORTED: u64 = 64;
const MAX_UNREPORTED_TIME: Duration = Duration::from_millis(10);
/// While nothing comes for so long, the gateway is asked whether it is there.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// No event has so few bytes.
const LEAST_EVENT: usize = 16;

#[derive(Debug)]
pub struct EventsConn {
    wire: MaybeTlsStream,
    inbox: ReadBuffer,
    /// Of the process that joined: a forked child has no part in it.
    generation: u32,
    /// The event that was given out last, and the last one that is known to the gateway as done.
    taken: u64,
    done: u64,
    begun: ProgressReporting,
    told_at: Instant,
    /// When something came last, when the gateway was asked since then whether it is there, and how long it may take to
    /// answer.
    heard_at: Instant,
    asked_at: Option<Instant>,
    silence: Duration,
    is_leaving: bool,
}

/// How the gateway knows which events this worker has begun to handle.
#[derive(Debug)]
enum ProgressReporting {
    /// It is told before each.
    PerEvent,
    /// The same, until it answers whether it finds the tally.
    FileOffered(ProgressFile),
    /// It looks there when this worker is gone.
    InFile(ProgressFile),
}

/// What [`EventsConn::take`] finds.
#[derive(Debug)]
pub enum NextEvent<'a> {
    Event(WorkerEvent<'a>),
    /// The gateway has no more for one that leaves.
    End,
    /// It has not arrived yet.
    Nothing,
}

impl EventsConn {
    /// Joins within `bound`. A gateway that says nothing for `silence` though it was asked is given up.
    pub fn join(target: &Target, name: &str, bound: Duration, silence: Duration) -> Result<Self, LinkError> {
        let mut producer = [0; 16];
        getrandom::fill(&mut producer).map_err(lost)?;
        let reached = establish::attempt(
            target,
            Login::WORKER,
            Producer(producer),
            bound,
            &mut DetectionCache::default(),
        )?;
        let connection = match reached {
            Established::Bridge(connection, _) => connection,
            Established::GatewayWorker(_) => {
                let reason =
                    "a worker needs gateway-server; GatewayWorker's gateways have its own BusinessWorker";
                let failure = |address: &Address| FailedAttempt {
                    address: address.clone(),
                    reason: ConnectError::Cluster(reason.to_owned()),
                };
                let failures = target.addresses().iter().map(failure).collect();
                return Err(Unreachable { failures }.into());
            }
        };
        let (wire, inbox) = connection.into_parts();
        let generation = fork::generation();
        let mut worker = Self {
            wire,
            inbox,
            generation,
            taken: 0,
            done: 0,
            begun: ProgressReporting::PerEvent,
            told_at: Instant::now(),
            heard_at: Instant::now(),
            asked_at: None,
            silence,
            is_leaving: false,
        };
        worker.send(&WorkerToServer::Join { name })?;
        if let Some((tally, name)) = ProgressFile::create() {
            worker.send(&WorkerToServer::ProgressFile { name: &name })?;
            worker.begun = ProgressReporting::FileOffered(tally);
        }
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
    pub fn has_unreported(&self) -> bool {
        self.done < self.taken
    }

    /// No more events are wanted, but for those on their way.
    pub fn leave(&mut self) -> Result<(), EventsConnLost> {
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.send(&WorkerToServer::Leave)?;
        }
        Ok(())
    }

    /// The next event that has arrived. The gateway knows of it before the caller does, so that nobody else gets it.
    pub fn take(&mut self) -> Result<NextEvent<'_>, EventsConnLost> {
        let Some(length) = self.arrived()? else { return Ok(NextEvent::Nothing) };
        if self.is_end(length)? {
            self.inbox.take(HEADER + length);
            return Ok(NextEvent::End);
        }
        self.report_begun()?;
        match ServerToWorker::decode(&self.inbox.take(HEADER + length)[HEADER..]).map_err(lost)? {
            ServerToWorker::Event(event) if event.number == self.taken => Ok(NextEvent::Event(event)),
            ServerToWorker::Event(_)
            | ServerToWorker::ProgressFile { .. }
            | ServerToWorker::Pong
            | ServerToWorker::End => Err(lost("it does not count the events as agreed")),
        }
    }

    /// The length of what has arrived for a handler.
    fn arrived(&mut self) -> Result<Option<usize>, EventsConnLost> {
        loop {
            let whole = frame::content_length(self.inbox.unread(), MAX_REPLY);
            let Some(length) = whole.map_err(lost)? else { return Ok(None) };
            if length < LEAST_EVENT && self.peek(length)? == ServerToWorker::Pong {
                self.inbox.take(HEADER + length);
                continue;
            }
            if !matches!(self.begun, ProgressReporting::FileOffered(_)) {
                return Ok(Some(length));
            }
            let ServerToWorker::ProgressFile { is_read } = self.peek(length)? else {
                return Ok(Some(length));
            };
            self.inbox.take(HEADER + length);
            self.begun = match std::mem::replace(&mut self.begun, ProgressReporting::PerEvent) {
                ProgressReporting::FileOffered(mut tally) if is_read => {
                    tally.unlink();
                    ProgressReporting::InFile(tally)
                }
                _ => ProgressReporting::PerEvent,
            };
        }
    }

    /// An end is all that comes to one that leaves but events, and shorter than any of them.
    fn is_end(&self, length: usize) -> Result<bool, EventsConnLost> {
        Ok(length < LEAST_EVENT && self.peek(length)? == ServerToWorker::End)
    }

    fn peek(&self, length: usize) -> Result<ServerToWorker<'_>, EventsConnLost> {
        ServerToWorker::decode(&self.inbox.unread()[HEADER..HEADER + length]).map_err(lost)
    }

    /// The gateway is told of what is done before the next event is given out.
    pub fn must_report(&self) -> bool {
        let is_counted = matches!(self.begun, ProgressReporting::InFile(_));
        !is_counted
            || self.taken - self.done >= MAX_UNREPORTED
            || self.told_at.elapsed() > MAX_UNREPORTED_TIME
    }

    /// The next event is about to be handled, the one before it has been.
    fn report_begun(&mut self) -> Result<(), EventsConnLost> {
        let is_to_tell = self.must_report();
        let (taken, done) = (self.taken + 1, self.taken);
        let is_counted = match &mut self.begun {
            ProgressReporting::InFile(tally) => {
                tally.write(taken);
                true
            }
            ProgressReporting::PerEvent | ProgressReporting::FileOffered(_) => false,
        };
        if is_to_tell {
            self.send(&WorkerToServer::Progress { taken, done })?;
            (self.done, self.told_at) = (done, Instant::now());
        }
        if !is_counted {
            self.wait_until_sent()?;
        }
        self.taken = taken;
        Ok(())
    }

    /// Everything that was given out has been handled.
    pub fn report_all_done(&mut self) -> Result<(), EventsConnLost> {
        if self.has_unreported() {
            self.send(&WorkerToServer::Progress { taken: self.taken, done: self.taken })?;
            self.done = self.taken;
        }
        Ok(())
    }

    /// Waits until something arrives, or a signal does. `is_interrupted` is asked with all signals blocked, so that none
    /// slips in between the question and the sleep. The gateway's word that it is there counts as time that has passed.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        is_interrupted: impl Fn() -> bool,
    ) -> Result<WaitEnd, EventsConnLost> {
        loop {
            let Some(patience) = self.keep_pinging()? else { return Ok(WaitEnd::Input) };
            let wait = timeout.map_or(patience, |timeout| timeout.min(patience));
            match poll::wait_interruptibly(self.wire.as_raw_fd(), Some(wait), &is_interrupted)
                .map_err(lost)?
            {
                WaitEnd::Timeout if timeout.is_none() => {}
                ended => {
                    if ended == WaitEnd::Input {
                        self.read()?;
                    }
                    return Ok(ended);
                }
            }
        }
    }

    /// Asks the gateway whether it is there once that is due, and gives how long nothing has to be done about that. `None`
    /// when something has come, perhaps while a handler ran and nobody read.
    fn keep_pinging(&mut self) -> Result<Option<Duration>, EventsConnLost> {
        let now = Instant::now();
        let due = match self.asked_at {
            Some(asked) => asked + self.silence,
            None => self.heard_at + ASK_AFTER.min(self.silence),
        };
        if now < due {
            return Ok(Some(due - now));
        }
        if self.asked_at.is_some() {
            self.read()?;
            if self.asked_at.is_some() {
                let silence = self.silence.as_secs_f64();
                return Err(EventsConnLost(format!(
                    "the gateway was asked whether it is there and has said nothing for {silence} s"
                )));
            }
            return Ok(None);
        }
        self.send(&WorkerToServer::Ping)?;
        self.asked_at = Some(now);
        Ok(Some(self.silence))
    }

    /// What has arrived, as far as one read goes.
    pub fn read(&mut self) -> Result<(), EventsConnLost> {
        match self.inbox.fill(&mut self.wire) {
            Ok(0) => return Err(EventsConnLost("the gateway closed it".to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(lost(error)),
        }
        (self.heard_at, self.asked_at) = (Instant::now(), None);
        // A wait for the socket is in vain for what has been read of it already.
        if self.wire.has_buffered_input() { self.read() } else { Ok(()) }
    }

    /// What the system holds back, because much is on its way, would go with a process that is killed: others would then
    /// be given an event that had been handled.
    fn wait_until_sent(&self) -> Result<(), EventsConnLost> {
        const PAUSE: Duration = Duration::from_micros(100);
        let deadline = Instant::now() + PATIENCE;
        while poll::unsent_bytes(self.wire.as_raw_fd()) > 0 {
            if Instant::now() >= deadline {
                return Err(lost("the gateway does not take what it is told"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), EventsConnLost> {
        let output = Interest { input: false, output: true };
        poll::wait_for_either(Some((self.wire.as_raw_fd(), output)), None, PATIENCE).map_err(lost)
    }

    /// These frames are small, and the gateway reads them whatever else it does.
    fn send(&mut self, said: &WorkerToServer<'_>) -> Result<(), EventsConnLost> {
        let mut bytes = Vec::with_capacity(32);
        said.encode(&mut bytes).map_err(lost)?;
        let mut left = &bytes[..];
        while !left.is_empty() || self.wire.has_buffered_output() {
            let written = if left.is_empty() { self.wire.flush().map(|()| 0) } else { self.wire.write(left) };
            match written {
                Ok(0) if self.wire.has_buffered_output() => self.wait_for_room()?,
                Ok(written) => left = &left[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.wait_for_room()?;
                }
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }
}

fn lost(error: impl std::fmt::Display) -> EventsConnLost {
    EventsConnLost(error.to_string())
}
