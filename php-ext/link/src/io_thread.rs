//! The thread that talks to the gateway: connects, writes what is queued, reads what is confirmed and answered.

use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use gateway_wire::bridge::{Producer, Reply, Value};

use crate::backoff::Backoff;
use crate::connect;
use crate::connection::Connection;
use crate::poll;
use crate::queue::{Done, Frame, Queue};
use crate::shared::{Shared, State, Status};
use crate::{Failure, Reason, Target, Unreachable};

/// With nothing to deliver, attempts end when nobody has wanted the link for so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much earlier than its caller an attempt gives up, at most.
const HEAD_START: Duration = Duration::from_millis(200);
/// Writing goes on while PHP hands in more.
const COLLECTED_A_TURN: usize = 1024;

pub(crate) struct IoThread {
    shared: Arc<Shared>,
    target: Arc<Target>,
    producer: Producer,
    frames: Receiver<Frame>,
    queue: Queue,
    connection: Option<Connection>,
    backoff: Backoff,
    /// No attempt before this.
    retry_at: Instant,
    /// What the gateway said of a frame that it could not read, before it closed the connection.
    complaint: Option<String>,
}

impl IoThread {
    pub(crate) fn new(
        shared: Arc<Shared>,
        target: Arc<Target>,
        producer: Producer,
        frames: Receiver<Frame>,
    ) -> Self {
        Self {
            shared,
            target,
            producer,
            frames,
            queue: Queue::default(),
            connection: None,
            backoff: Backoff::default(),
            retry_at: Instant::now(),
            complaint: None,
        }
    }

    /// Until it is told to stop. Whoever tells has waited before for what is to be delivered.
    pub(crate) fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Acquire) {
            self.collect();
            if self.connection.is_some() {
                self.turn();
            } else {
                self.reconnect();
            }
        }
    }

    /// Takes over what PHP has handed in.
    fn collect(&mut self) {
        for frame in self.frames.try_iter().take(COLLECTED_A_TURN) {
            self.queue.push(frame);
        }
    }

    /// One turn with a connection: write once, then wait for what comes first.
    fn turn(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        if self.queue.has_unsent()
            && !connection.is_full()
            && let Err(why) = connection.write(&mut self.queue)
        {
            return self.lost(why);
        }
        let busy = self.queue.has_unsent() && !connection.is_full();
        let (socket, full) = (connection.as_raw_fd(), connection.is_full());
        let ready = if busy {
            poll::wait(&self.shared.wake, Some(socket), false, Some(Duration::ZERO))
        } else {
            self.sleep(Some(socket), full, None)
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(error) => return self.lost(error.to_string()),
        };
        if ready.woken {
            self.shared.wake.clear();
        }
        let Some(connection) = &mut self.connection else { return };
        if ready.writable {
            connection.has_room();
        }
        if ready.readable {
            match connection.read() {
                Ok(()) => self.replies(),
                Err(why) => self.lost(why),
            }
        }
    }

    /// Waits in poll, unless a frame or a wish has come in the meantime.
    fn sleep(
        &self,
        socket: Option<i32>,
        for_writing: bool,
        timeout: Option<Duration>,
    ) -> std::io::Result<poll::Ready> {
        let shared = &*self.shared;
        shared.asleep.store(true, Ordering::Relaxed);
        // Pairs with the fence in `Shared::rouse`.
        fence(Ordering::SeqCst);
        let wished = || socket.is_none() && matches!(shared.lock().status, Status::Connecting);
        let pending = !self.frames.is_empty() || shared.stop.load(Ordering::Relaxed) || wished();
        let timeout = if pending { Some(Duration::ZERO) } else { timeout };
        let ready = poll::wait(&shared.wake, socket, for_writing, timeout);
        shared.asleep.store(false, Ordering::Relaxed);
        ready
    }

    /// Deals with the replies that have arrived.
    fn replies(&mut self) {
        while let Some(connection) = &mut self.connection {
            let dealt_with = match connection.reply() {
                Ok(None) => return,
                Ok(Some(reply)) => self.reply(reply),
                Err(why) => Err(why),
            };
            if let Err(why) = dealt_with {
                self.lost(why);
            }
        }
    }

    fn reply(&mut self, reply: Reply) -> Result<(), String> {
        match reply {
            Reply::Ack { seq } => {
                let done = self.queue.confirm(seq);
                self.done(done);
            }
            Reply::Answer { seq, value } => {
                let done = self.queue.confirm(seq);
                self.done(done);
                if let Some(frame) = self.queue.remove(seq) {
                    self.done(Done::of(&frame));
                    self.answer(seq, Ok(value));
                }
            }
            // It could not read a call, and closes the connection.
            Reply::Error { seq: 0, message } => {
                self.complaint = Some(message.clone());
                return Err(message);
            }
            Reply::Error { seq, message } => self.refused(seq, message),
            Reply::Hello { .. } | Reply::Welcome { .. } => {
                return Err("the gateway began a second handshake".to_owned());
            }
        }
        Ok(())
    }

    /// The gateway took what came before `seq`, but would refuse that again: PHP is told.
    fn refused(&mut self, seq: u64, message: String) {
        let done = self.queue.confirm(seq.saturating_sub(1));
        self.done(done);
        let Some(frame) = self.queue.remove(seq) else { return };
        if frame.is_query {
            self.answer(seq, Err(message));
        } else {
            // Before it counts as done: whoever waits for that looks here next.
            self.shared.refused(message);
        }
        self.done(Done::of(&frame));
    }

    fn answer(&self, seq: u64, answer: Result<Value, String>) {
        self.shared.change(|state| {
            if let Some(asked) = state.asked.as_mut().filter(|asked| asked.seq == seq) {
                asked.answer = Some(answer);
            }
        });
    }

    fn done(&mut self, done: Done) {
        if let Some(connection) = self.connection.as_mut().filter(|_| done != Done::default()) {
            connection.proved_useful();
        }
        self.shared.done(done);
    }

    /// The connection is gone. What is not confirmed stays and is sent again.
    fn lost(&mut self, why: String) {
        let Some(connection) = self.connection.take() else { return };
        let address = connection.address.clone();
        if connection.was_good() {
            self.backoff.reset();
        }
        drop(connection);
        self.shared.up.store(false, Ordering::Release);
        self.collect();
        self.retry_at = Instant::now();
        let status = if !self.has_work() {
            Status::Idle
        } else if self.backoff.is_fresh() {
            self.backoff.next();
            Status::Connecting
        } else {
            self.retry_at += self.backoff.next();
            let failures = vec![Failure { address, reason: Reason::Lost(why) }];
            Status::Down(Arc::new(Unreachable { failures }))
        };
        self.shared.change(|state| {
            state.status = status;
            state.connected = None;
        });
    }

    /// One turn without a connection: an attempt if it is time for one, else sleep.
    fn reconnect(&mut self) {
        let now = Instant::now();
        let wait = match self.wish(now) {
            Wish::Attempt => return self.attempt(),
            Wish::Later => Some(self.retry_at - now),
            Wish::Nothing => None,
        };
        // Fails only for want of memory, and then the next turn tries again.
        if self.sleep(None, false, wait).is_ok_and(|ready| ready.woken) {
            self.shared.wake.clear();
        }
    }

    fn wish(&mut self, now: Instant) -> Wish {
        let has_work = self.has_work();
        let due = now >= self.retry_at;
        let mut state = self.shared.lock();
        match state.status {
            Status::Connecting => Wish::Attempt,
            Status::Down(_) if !due => Wish::Later,
            _ if has_work => Wish::Attempt,
            Status::Down(_) if now.duration_since(state.wanted) < PATIENCE => Wish::Attempt,
            _ => {
                state.status = Status::Idle;
                Wish::Nothing
            }
        }
    }

    fn attempt(&mut self) {
        let bound = self.shared.lock().connect_timeout;
        // Less than the caller waits, so that the caller gets the reason.
        let bound = bound - (bound / 10).min(HEAD_START);
        let (connection, applied) = match connect::attempt(&self.target, self.producer, bound) {
            Ok(connected) => connected,
            Err(unreachable) => {
                self.retry_at = Instant::now() + self.backoff.next();
                self.shared.change(|state| state.status = Status::Down(Arc::new(unreachable)));
                return;
            }
        };
        let awaited = self.shared.lock().asked.as_ref().map(|asked| asked.seq);
        let done = self.queue.rewind(applied, awaited);
        self.shared.done(done);
        if done.orders > 0 {
            // The lost connection did some good after all.
            self.backoff.reset();
        }
        // The gateway takes calls in turn, so what it could not read is the first that it has not taken. Sent again, it
        // would end this connection too.
        if let Some(message) = self.complaint.take()
            && let Some(seq) = self.queue.first_sent()
        {
            self.refused(seq, message);
        }
        self.shared.resent.fetch_add(self.queue.to_be_resent(), Ordering::Relaxed);
        let address = connection.address.clone();
        self.connection = Some(connection);
        self.shared.change(|state| {
            state.status = Status::Up;
            state.connected = Some(address);
        });
        self.replies();
    }

    /// Whether there is something to deliver or an answer to wait for.
    fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl Drop for IoThread {
    /// Also after a panic: whoever waits must not wait for ever.
    fn drop(&mut self) {
        self.connection = None;
        self.shared.change(|state: &mut State| {
            let failure = |address: &crate::Address| Failure {
                address: address.clone(),
                reason: Reason::Lost("the link was closed".to_owned()),
            };
            let failures = self.target.addresses().iter().map(failure).collect();
            state.status = Status::Down(Arc::new(Unreachable { failures }));
            state.finished = true;
        });
    }
}

enum Wish {
    Attempt,
    Later,
    Nothing,
}
