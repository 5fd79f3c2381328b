//! The thread that owns the store: it does what others ask in groups, each group in one transaction, and answers behind that. Then it
//! sends what was stored to the connections that are there.
//!
//! A group is what has come while the group before it was written, so one request alone does not wait for others, and many share one
//! write.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::counts::InboxCounts;
use super::delivery::{Delivery, Post};
use super::health::{Health, HealthNotes};
use super::model::Millis;
use super::notes::InboxNotes;
use super::pause::{AfterPause, Pause};
use super::queue::{Group, Queue, Taken};
use super::request::{Answer, Read, Unavailable};
use super::store::{Operation, Outcome, Store, StoreError};
use crate::system::ages::millis;
use crate::telemetry::clock;

/// How often the thread looks for what has had its time.
const EXPIRY_PERIOD: Duration = Duration::from_secs(60);
/// How many messages, devices and producers go in one step of that at most.
const EXPIRY_STEP: usize = 500;
/// How often the thread tries whether a store that has failed works again, while nobody asks for anything.
const PROBE_PERIOD: Duration = Duration::from_secs(1);
/// How long operations wait for others that nobody waits for: acknowledgements, and what was written to whom.
const LAZY: Duration = Duration::from_millis(20);
/// How often the thread asks whether sockets have taken what they were sent.
const TAKEN_PERIOD: Duration = Duration::from_millis(20);
/// How often the thread looks at connections that have waited for long.
const TICK: Duration = Duration::from_secs(1);
/// The pages that are read before the requests that have come meanwhile.
const PAGES: usize = 64;
/// The pages that are read before they are sent.
const PAGES_IN_MEMORY: usize = 16;

/// How often the thread tries to open a store that cannot be opened.
const OPEN_PERIOD: Duration = Duration::from_millis(100);

/// Opens the store, or says why it cannot be opened.
pub type Opener = Box<dyn FnMut() -> Result<Box<dyn Store>, String> + Send>;

/// Says that the thread has ended, however it does.
pub(super) struct End {
    pub(super) queue: Arc<Queue>,
    pub(super) counts: Arc<InboxCounts>,
    pub(super) health: Arc<HealthNotes>,
    pub(super) has_notices: Arc<Notify>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.health.end();
        self.queue.abandon();
    }
}

/// What the thread has.
pub(super) struct Worker {
    /// The store, unless it is to be opened yet.
    store: Option<Box<dyn Store>>,
    open: Opener,
    post: Box<dyn Post>,
    notes: InboxNotes,
    delivery: Delivery,
    end: End,
    /// The last time of day that the store was told.
    now: Millis,
    expiry_at: Instant,
    tick_at: Instant,
    /// When the thread looks for messages that no device has acknowledged, if it does.
    watch_at: Option<Instant>,
    /// When the operations that nobody waits for are done at the latest, if there are any.
    lazy_until: Option<Instant>,
}

impl Worker {
    /// Makes what the thread has. A store that is not open yet is opened by the thread.
    pub(super) fn new(
        store: Option<Box<dyn Store>>,
        open: Opener,
        post: Box<dyn Post>,
        notes: InboxNotes,
        end: End,
        watches: bool,
    ) -> Self {
        let begin = Instant::now();
        let delivery = Delivery::default();
        Self {
            store,
            open,
            post,
            notes,
            delivery,
            end,
            now: 0,
            expiry_at: begin,
            tick_at: begin,
            watch_at: watches.then_some(begin),
            lazy_until: None,
        }
    }

    pub(super) fn run(mut self) {
        self.count_totals();
        loop {
            if !self.opens() {
                break;
            }
            let is_working = self.end.health.health() == Health::Working;
            let patience = if is_working { self.patience() } else { PROBE_PERIOD };
            let taken = self.end.queue.take(patience);
            self.now();
            self.notes.hand_over(&mut self.delivery, self.now);
            match taken {
                Taken::Group(group) => self.do_group(group),
                Taken::Nothing if self.is_due(is_working) => self.do_group(Group::default()),
                Taken::Nothing if !is_working => {
                    self.commit(|store, _| store.probe()).ok();
                }
                Taken::Nothing => {}
                Taken::Pause(pause) => match self.pause(pause) {
                    AfterPause::GoOn => {}
                    AfterPause::End => return,
                },
                Taken::Closed => break,
            }
            self.deliver();
            self.watch();
            self.expire();
        }
        // What pages have acknowledged does not come again.
        if self.delivery.has_operations() {
            self.do_group(Group::default());
        }
    }

    /// Opens the store if it is not open, and tries until it is. Gives false if the thread is to end meanwhile.
    fn opens(&mut self) -> bool {
        while self.store.is_none() {
            match (self.open)() {
                Ok(store) => {
                    self.store = Some(store);
                    self.end.health.commit_ends(Ok(()));
                    self.count_totals();
                }
                Err(reason) => {
                    self.end.health.commit_ends(Err(&StoreError::Io(reason)));
                    if self.end.queue.closes_within(OPEN_PERIOD) {
                        return false;
                    }
                }
            }
        }
        true
    }

    /// Closes the store, so that another process can open it, and waits for what comes after that.
    fn pause(&mut self, pause: Pause) -> AfterPause {
        // What connections without acknowledgements were sent goes on with them in the other process, which does not send it again.
        for connection in self.delivery.untaken() {
            self.delivery.taken(connection, self.now);
        }
        self.do_group(Group::default());
        self.store = None;
        pause.wait()
    }

    /// Gives for how long the thread may wait for a request.
    fn patience(&self) -> Duration {
        if self.delivery.is_waited_for() {
            return Duration::ZERO;
        }
        let tick_at = self.delivery.needs_ticks().then_some(self.tick_at);
        let next = [self.lazy_until, tick_at, self.watch_at]
            .into_iter()
            .flatten()
            .fold(self.expiry_at, Instant::min);
        let patience = next.saturating_duration_since(Instant::now());
        if self.delivery.has_untaken() { patience.min(TAKEN_PERIOD) } else { patience }
    }

    /// Says whether the operations of the delivery are to be done without a request. After a failure they are tried all.
    fn is_due(&self, is_working: bool) -> bool {
        let has_operations = self.delivery.has_operations();
        let is_late = self.lazy_until.is_some_and(|until| until <= Instant::now());
        self.delivery.has_arrivals() || has_operations && (is_late || !is_working)
    }

    fn do_group(&mut self, group: Group) {
        let mut operations = self.delivery.take_operations();
        let count = operations.len();
        operations.extend(group.operations);
        if !operations.is_empty() {
            match self.commit(|store, now| store.apply(now, &operations)) {
                Ok(mut outcomes) => {
                    outcomes.iter().for_each(|outcome| self.end.counts.outcome(outcome));
                    let of_group = outcomes.split_off(count.min(outcomes.len()));
                    self.delivery.committed(outcomes);
                    self.tell_delivery(&operations[count..], &of_group);
                    let mut outcomes = of_group.into_iter();
                    for (count, answer) in group.answers {
                        // Who no longer waits for the answer has gone, and what it asked for is done all the same.
                        let _ = answer.send(Ok(outcomes.by_ref().take(count).collect()));
                    }
                }
                Err(error) => {
                    self.delivery.failed();
                    self.end.counts.refuse(operations.len() - count);
                    for (_, answer) in group.answers {
                        let _ = answer.send(Err(error.clone()));
                    }
                }
            }
        }
        for read in group.reads {
            self.read(read);
        }
    }

    /// Tells the delivery what was stored and forgotten, unless others store too: then the store's news tell that, in their order.
    fn tell_delivery(&mut self, operations: &[Operation], outcomes: &[Outcome]) {
        if self.store.as_ref().is_some_and(|store| store.is_shared()) {
            return;
        }
        for (operation, outcome) in operations.iter().zip(outcomes) {
            match (operation, outcome) {
                (Operation::Deliver(message), Outcome::Stored { epoch, seq, .. }) => {
                    self.delivery.stored(message, *epoch, *seq, self.now);
                }
                (Operation::Forget { uid }, Outcome::Done) => self.delivery.forgotten(uid),
                _ => {}
            }
        }
    }

    /// Sends what was stored, and what waits for connections that have room.
    fn deliver(&mut self) {
        for news in self.store.as_mut().map(|store| store.news()).unwrap_or_default() {
            self.delivery.hear(news, self.now);
        }
        self.send();
        for _ in 0..PAGES / PAGES_IN_MEMORY {
            let next = std::iter::from_fn(|| self.delivery.next_page());
            let (connections, wanted): (Vec<_>, Vec<_>) = next.take(PAGES_IN_MEMORY).unzip();
            if connections.is_empty() {
                break;
            }
            let pages = match &mut self.store {
                Some(store) => store.waiting_all(self.now, &wanted),
                None => wanted.iter().map(|_| Err(closed())).collect(),
            };
            for (connection, page) in connections.into_iter().zip(pages) {
                match page {
                    Ok(page) => self.delivery.page(connection, page, self.now),
                    Err(error) => {
                        tracing::debug!(%error, "what waits for a connection cannot be read");
                        self.delivery.page_failed(connection);
                    }
                }
            }
            self.send();
        }
        if self.delivery.has_untaken() {
            for connection in self.post.taken(self.delivery.untaken()) {
                self.delivery.taken(connection, self.now);
            }
        }
        if Instant::now() >= self.tick_at {
            self.delivery.tick(self.now);
            self.tick_at = Instant::now() + TICK;
        }
        self.lazy_until = match self.delivery.has_operations() {
            true => self.lazy_until.or_else(|| Some(Instant::now() + LAZY)),
            false => None,
        };
    }

    fn send(&mut self) {
        let sendings = self.delivery.take_sendings();
        if !sendings.is_empty() {
            self.post.send(sendings);
        }
    }

    /// Has PHP told of messages that no device has acknowledged in time, in steps.
    fn watch(&mut self) {
        if self.watch_at.is_none_or(|at| Instant::now() < at) || self.end.health.health() != Health::Working {
            return;
        }
        let now = self.now();
        let is_due = self.store.as_mut().is_some_and(|store| store.has_undelivered(now).unwrap_or(false));
        if !is_due || !self.step(Operation::TellUndelivered { at_most: EXPIRY_STEP }) {
            self.watch_at = Some(Instant::now() + TICK);
        }
    }

    /// Removes what has had its time, in steps.
    fn expire(&mut self) {
        if Instant::now() < self.expiry_at || self.end.health.health() != Health::Working {
            return;
        }
        if !self.step(Operation::Expire { at_most: EXPIRY_STEP }) {
            self.expiry_at = Instant::now() + EXPIRY_PERIOD;
        }
    }

    /// Does a step of something that may take many, and says whether there is more of it.
    fn step(&mut self, step: Operation) -> bool {
        let outcome = self.commit(|store, now| store.apply(now, &[step]));
        outcome.is_ok_and(|outcomes| matches!(outcomes[..], [Outcome::Expired { has_more: true, .. }]))
    }

    /// Does something that writes to the disk, and notes how that goes.
    fn commit<T>(
        &mut self,
        work: impl FnOnce(&mut dyn Store, Millis) -> Result<T, StoreError>,
    ) -> Result<T, Unavailable> {
        let now = self.now();
        let begin = Instant::now();
        self.end.health.commit_begins();
        let result = self.store.as_mut().map_or(Err(closed()), |store| work(&mut **store, now));
        self.end.health.commit_ends(result.as_ref().map(|_| ()));
        self.end.counts.commit(begin.elapsed());
        self.count_totals();
        Ok(result?)
    }

    fn count_totals(&mut self) {
        if let Some(Ok(totals)) = self.store.as_mut().map(|store| store.totals()) {
            self.end.counts.totals(totals);
            if totals.notices > 0 {
                self.end.has_notices.notify_one();
            }
        }
    }

    fn read(&mut self, read: Read) {
        let now = self.now();
        // Without its store, the thread answers nobody, and who waits learns that.
        let Some(store) = &mut self.store else { return };
        match read {
            Read::Waiting { page, answer } => answer_with(answer, store.waiting(now, &page)),
            Read::Receipt { id, uids, answer } => answer_with(answer, store.receipt(now, &id, uids)),
            Read::Uids { after, limit, answer } => answer_with(answer, store.uids(&after, limit)),
            Read::InboxOf { uid, answer } => answer_with(answer, store.inbox_of(now, &uid)),
            Read::Progress { producer, answer } => answer_with(answer, store.progress(&producer)),
            Read::Notices { limit, bytes, answer } => answer_with(answer, store.notices(limit, bytes)),
            Read::Totals { answer } => answer_with(answer, store.totals()),
        }
    }

    /// Gives the time of day, which never goes back for the store.
    fn now(&mut self) -> Millis {
        self.now = self.now.max(millis(clock::since_epoch()));
        self.now
    }
}

/// Sends an answer, unless whoever asked has gone.
fn answer_with<T>(answer: Answer<T>, result: Result<T, StoreError>) {
    let _ = answer.send(result.map_err(Unavailable::from));
}

fn closed() -> StoreError {
    StoreError::Io("it is not open".to_owned())
}
