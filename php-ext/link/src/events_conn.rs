//! The connection over which a worker receives events, driven by PHP's thread alone.
//!
//! It is separate from the link: a handler sends over the link like any other code.

use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use gateway_wire::bridge::frame::{self, HEADER, MAX_REPLY};
use gateway_wire::bridge::worker_notices::WorkerNotices;
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
/// With a progress file, the gateway need not hear at once how many events are done, but it must before it has sent as many
/// ahead as it may.
const MAX_UNREPORTED: u64 = 64;
const MAX_UNREPORTED_TIME: Duration = Duration::from_millis(10);
/// While nothing arrives for so long, the gateway is pinged.
const ASK_AFTER: Duration = Duration::from_secs(15);
/// Every event has at least so many bytes, and every other frame fewer.
const LEAST_EVENT: usize = 16;

/// A worker's membership: the gateway sends it events for as long as this lives.
#[derive(Debug)]
pub struct EventsConn {
    stream: MaybeTlsStream,
    buffer: ReadBuffer,
    /// The generation of the process that joined; a forked child must not use this connection.
    generation: u32,
    /// The number of the event that was given out last, and of the last one that was reported as done.
    taken: u64,
    done: u64,
    begun: ProgressReporting,
    told_at: Instant,
    /// When something arrived last, when the gateway was pinged since then, and how long it may take to answer.
    heard_at: Instant,
    asked_at: Option<Instant>,
    silence: Duration,
    is_leaving: bool,
    /// The batch of notices that is with the handler.
    notices: Option<u64>,
}

/// How the gateway learns which events this worker has begun to handle.
#[derive(Debug)]
enum ProgressReporting {
    /// The worker reports each event before it handles it.
    PerEvent,
    /// The worker reports each event until the gateway confirms that it can read the file.
    FileOffered(ProgressFile),
    /// The worker counts in the file, which the gateway reads when this worker is gone.
    InFile(ProgressFile),
}

/// The result of [`EventsConn::take`].
#[derive(Debug)]
pub enum NextEvent<'a> {
    /// The next event, which the caller is to handle.
    Event(WorkerEvent<'a>),
    /// What has become of messages in the inbox, which the caller is to handle before it takes something else.
    Notices(WorkerNotices<'a>),
    /// The worker has left, and the gateway has no more events for it.
    End,
    /// No event has arrived yet.
    Nothing,
}

impl EventsConn {
    /// Joins as a worker called `name` within `bound`, and announces whether it takes `moves` of clients between nodes. A gateway that
    /// does not answer a ping for `silence` is given up.
    pub fn join(
        target: &Target,
        name: &str,
        moves: bool,
        bound: Duration,
        silence: Duration,
    ) -> Result<Self, LinkError> {
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
        let (stream, buffer) = connection.into_parts();
        let generation = fork::generation();
        let mut worker = Self {
            stream,
            buffer,
            generation,
            taken: 0,
            done: 0,
            begun: ProgressReporting::PerEvent,
            told_at: Instant::now(),
            heard_at: Instant::now(),
            asked_at: None,
            silence,
            is_leaving: false,
            notices: None,
        };
        worker.send(&WorkerToServer::Join { name, moves })?;
        if let Some((file, name)) = ProgressFile::create() {
            worker.send(&WorkerToServer::ProgressFile { name: &name })?;
            worker.begun = ProgressReporting::FileOffered(file);
        }
        Ok(worker)
    }

    /// Whether this process has joined, and not its parent.
    pub fn is_own(&self) -> bool {
        self.generation == fork::generation()
    }

    /// Whether [`EventsConn::leave`] was called.
    pub fn is_leaving(&self) -> bool {
        self.is_leaving
    }

    /// Whether an event is with the handler, or was since the last report.
    pub fn has_unreported(&self) -> bool {
        self.done < self.taken
    }

    /// Asks the gateway for no more events than those on their way.
    pub fn leave(&mut self) -> Result<(), EventsConnLost> {
        if !std::mem::replace(&mut self.is_leaving, true) {
            self.send(&WorkerToServer::Leave)?;
        }
        Ok(())
    }

    /// Tells the gateway that this worker takes notices of the inbox.
    pub fn take_notices(&mut self) -> Result<(), EventsConnLost> {
        self.send(&WorkerToServer::TakeNotices)
    }

    /// Takes what has arrived next. The gateway knows of an event before the caller does, so that no other worker gets it, and of notices
    /// when the caller comes for what follows them.
    pub fn take(&mut self) -> Result<NextEvent<'_>, EventsConnLost> {
        if let Some(number) = self.notices.take() {
            self.send(&WorkerToServer::NoticesDone { number })?;
        }
        let Some(length) = self.arrived()? else { return Ok(NextEvent::Nothing) };
        if self.is_end(length)? {
            self.buffer.take(HEADER + length);
            return Ok(NextEvent::End);
        }
        if !ServerToWorker::begins_event(&self.buffer.unread()[HEADER..]) {
            let content = &self.buffer.take(HEADER + length)[HEADER..];
            let ServerToWorker::Notices(notices) = ServerToWorker::decode(content).map_err(lost)? else {
                return Err(lost("it says what nobody has asked for"));
            };
            self.notices = Some(notices.number);
            return Ok(NextEvent::Notices(notices));
        }
        self.report_begun()?;
        match ServerToWorker::decode(&self.buffer.take(HEADER + length)[HEADER..]).map_err(lost)? {
            ServerToWorker::Event(event) if event.number == self.taken => Ok(NextEvent::Event(event)),
            ServerToWorker::Event(_)
            | ServerToWorker::Notices(_)
            | ServerToWorker::ProgressFile { .. }
            | ServerToWorker::Pong
            | ServerToWorker::End => Err(lost("it does not count the events as agreed")),
        }
    }

    /// Gives the length of the next frame that is an event or the end.
    fn arrived(&mut self) -> Result<Option<usize>, EventsConnLost> {
        loop {
            let whole = frame::content_length(self.buffer.unread(), MAX_REPLY);
            let Some(length) = whole.map_err(lost)? else { return Ok(None) };
            if length < LEAST_EVENT && self.peek(length)? == ServerToWorker::Pong {
                self.buffer.take(HEADER + length);
                continue;
            }
            if !matches!(self.begun, ProgressReporting::FileOffered(_)) {
                return Ok(Some(length));
            }
            let ServerToWorker::ProgressFile { is_read } = self.peek(length)? else {
                return Ok(Some(length));
            };
            self.buffer.take(HEADER + length);
            self.begun = match std::mem::replace(&mut self.begun, ProgressReporting::PerEvent) {
                ProgressReporting::FileOffered(mut file) if is_read => {
                    file.unlink();
                    ProgressReporting::InFile(file)
                }
                _ => ProgressReporting::PerEvent,
            };
        }
    }

    /// Besides events a worker that leaves receives only an end, which is shorter than any event.
    fn is_end(&self, length: usize) -> Result<bool, EventsConnLost> {
        Ok(length < LEAST_EVENT && self.peek(length)? == ServerToWorker::End)
    }

    fn peek(&self, length: usize) -> Result<ServerToWorker<'_>, EventsConnLost> {
        ServerToWorker::decode(&self.buffer.unread()[HEADER..HEADER + length]).map_err(lost)
    }

    /// Whether [`EventsConn::take`] will report finished events to the gateway before it gives out the next.
    pub fn must_report(&self) -> bool {
        let is_counted = matches!(self.begun, ProgressReporting::InFile(_));
        !is_counted
            || self.notices.is_some()
            || self.taken - self.done >= MAX_UNREPORTED
            || self.told_at.elapsed() > MAX_UNREPORTED_TIME
    }

    /// Reports or counts that the next event is about to be handled, and that the one before it is done.
    fn report_begun(&mut self) -> Result<(), EventsConnLost> {
        let is_to_tell = self.must_report();
        let (taken, done) = (self.taken + 1, self.taken);
        let is_counted = match &mut self.begun {
            ProgressReporting::InFile(file) => {
                file.write(taken);
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

    /// Reports that every event which was given out has been handled.
    pub fn report_all_done(&mut self) -> Result<(), EventsConnLost> {
        if self.has_unreported() {
            self.send(&WorkerToServer::Progress { taken: self.taken, done: self.taken })?;
            self.done = self.taken;
        }
        Ok(())
    }

    /// Waits until something arrives, a signal comes or `timeout` passes; without a timeout, as long as that takes.
    /// `is_interrupted` is called with all signals blocked, so that none is missed between the check and the sleep. A pong of
    /// the gateway ends no wait by input.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
        is_interrupted: impl Fn() -> bool,
    ) -> Result<WaitEnd, EventsConnLost> {
        loop {
            let Some(patience) = self.keep_pinging()? else { return Ok(WaitEnd::Input) };
            let wait = timeout.map_or(patience, |timeout| timeout.min(patience));
            match poll::wait_interruptibly(self.stream.as_raw_fd(), Some(wait), &is_interrupted)
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

    /// Pings the gateway once that is due, and gives how long nothing has to be done about it. `None` means that something has
    /// arrived, perhaps while a handler ran.
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

    /// Reads once what has arrived.
    pub fn read(&mut self) -> Result<(), EventsConnLost> {
        match self.buffer.fill(&mut self.stream) {
            Ok(0) => return Err(EventsConnLost("the gateway closed it".to_owned())),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(lost(error)),
        }
        (self.heard_at, self.asked_at) = (Instant::now(), None);
        // Bytes that are buffered here would never make the socket readable.
        if self.stream.has_buffered_input() { self.read() } else { Ok(()) }
    }

    /// Waits until the system has sent everything. What it holds back when much is on its way would be lost with a process that
    /// is killed, and another worker would then get an event that had been handled.
    fn wait_until_sent(&self) -> Result<(), EventsConnLost> {
        const PAUSE: Duration = Duration::from_micros(100);
        let deadline = Instant::now() + PATIENCE;
        while poll::unsent_bytes(self.stream.as_raw_fd()) > 0 {
            if Instant::now() >= deadline {
                return Err(lost("the gateway does not take what it is told"));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }

    fn wait_for_room(&self) -> Result<(), EventsConnLost> {
        let output = Interest { input: false, output: true };
        poll::wait_for_either(Some((self.stream.as_raw_fd(), output)), None, PATIENCE).map(drop).map_err(lost)
    }

    /// Waits for room if it must: these frames are small, and the gateway reads them whatever else it does.
    fn send(&mut self, said: &WorkerToServer<'_>) -> Result<(), EventsConnLost> {
        let mut bytes = Vec::with_capacity(32);
        said.encode(&mut bytes).map_err(lost)?;
        let mut left = &bytes[..];
        while !left.is_empty() || self.stream.has_buffered_output() {
            let written =
                if left.is_empty() { self.stream.flush().map(|()| 0) } else { self.stream.write(left) };
            match written {
                Ok(0) if self.stream.has_buffered_output() => self.wait_for_room()?,
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
