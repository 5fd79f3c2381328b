//! Clients of the subprotocol `gateway.2`, which may come back after their connection has ended: what each has not seen yet is kept,
//! and a client without a connection is parked for some time. For all others it is online meanwhile.

mod arrive;
mod carry;
mod come_back;
mod depart;
mod kept;
mod park;
mod parked;
mod secrets;
mod seen;
mod subjects;
mod table;
mod tombstones;

pub(super) use carry::{CarriedReasons, CarriedResume};
pub use secrets::ResumeSecrets;
pub(super) use seen::{Heard, Message, control_frame};

use std::net::SocketAddrV4;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{
    ControlError, GapReason, Received, ResumeOffer, ResumeSecret, ServerEnd,
};
use hashbrown::HashMap;

use self::kept::{KeptFrames, cost};
use self::parked::ParkedClients;
use self::subjects::Subjects;
use self::table::{ClientRecord, RecordTable, is_too_much};
use self::tombstones::Tombstones;
use super::counts::ResumeCounts;
use super::origin::Origin;
use super::write_batch::{Content, FrameList, WriteBatch};
use crate::config::Listener;

/// What a shard keeps about the clients that count messages.
pub(super) struct ResumeState {
    records: RecordTable,
    pub(super) kept: KeptFrames,
    pub(super) parked: ParkedClients,
    /// The clients that PHP has closed while they were parked, by their connection ids: who comes back gets the rest and the close.
    closed: HashMap<u32, u32>,
    /// The clients that come from another node, by their keys, with the origin of each entry of their records.
    arriving: HashMap<usize, Vec<Origin>>,
    /// The secrets of other nodes by which pages may come back, by the keys of the clients, with the number that the first has here.
    foreign: HashMap<usize, (NonZeroU32, Vec<ResumeSecret>)>,
    /// The keys of the clients that were given to another node and may have to be taken for closed, by their connection ids.
    departed: HashMap<u32, u32>,
    pub(super) subjects: Subjects,
    tombstones: Tombstones,
    pub(super) counts: ResumeCounts,
    secrets: ResumeSecrets,
    node: SocketAddrV4,
    /// The moment from which the times in the records are counted.
    start: Instant,
}

impl ResumeState {
    /// The state of a shard that counts its parked clients in `parked` too.
    pub(super) fn new(secrets: ResumeSecrets, node: SocketAddrV4, parked: Arc<AtomicUsize>) -> Self {
        Self {
            records: RecordTable::default(),
            kept: KeptFrames::default(),
            parked: ParkedClients::counted_in(parked),
            closed: HashMap::new(),
            arriving: HashMap::new(),
            foreign: HashMap::new(),
            departed: HashMap::new(),
            subjects: Subjects::default(),
            tombstones: Tombstones::default(),
            counts: ResumeCounts::default(),
            secrets,
            node,
            start: Instant::now(),
        }
    }

    /// Begins the record of a client. Without `may_return` it only counts. `has_token` says that it came with a connect token.
    fn begin(&mut self, key: usize, connection_id: u32, came: u64, may_return: bool, has_token: bool) {
        if may_return && has_token {
            self.subjects.insert(key);
        }
        let mut record = ServerEnd::new(self.secrets.first(connection_id, came));
        if !may_return {
            record.end(GapReason::Expired, |_| 0);
            self.kept.change(0, record.memory());
        }
        self.records.insert(key, record);
    }

    /// Forgets everything about a client.
    pub(super) fn forget(&mut self, key: usize, connection_id: u32) {
        self.parked.remove(key);
        self.arriving.remove(&key);
        self.foreign.remove(&key);
        self.subjects.forget(key);
        if self.closed.get(&connection_id) == Some(&(key as u32)) {
            self.closed.remove(&connection_id);
        }
        let gap = self.change(key, |record, kept| {
            let gap = record.gap();
            record.end(GapReason::Closed, |frame| kept.release(frame));
            gap
        });
        if let Some(reason) = gap.flatten() {
            self.bury(connection_id, reason);
        }
        if let Some(record) = self.records.remove(key) {
            self.kept.change(record.memory(), 0);
        }
    }

    /// Whether any client that counts messages was ever here.
    pub(super) fn has_records(&self) -> bool {
        self.records.has_pages()
    }

    pub(super) fn record(&self, key: usize) -> Option<&ClientRecord> {
        self.records.get(key)
    }

    /// Remembers why a client cannot come back.
    fn bury(&mut self, connection_id: u32, reason: GapReason) {
        self.tombstones.insert(connection_id, reason);
    }

    /// Remembers that PHP has closed a client, if it may ever have got a secret.
    pub(super) fn bury_closed(&mut self, connection_id: u32, key: usize) {
        if self.records.get(key).is_some() {
            self.bury(connection_id, GapReason::Closed);
        }
    }

    /// Changes the record of a client, and counts what that changes in memory.
    fn change<T>(
        &mut self,
        key: usize,
        action: impl FnOnce(&mut ClientRecord, &mut KeptFrames) -> T,
    ) -> Option<T> {
        let record = self.records.get_mut(key)?;
        let before = record.memory();
        let result = action(record, &mut self.kept);
        self.kept.change(before, record.memory());
        Some(result)
    }

    /// Keeps the messages that a turn has brought a client, before they are written. Gives false if they are more than may be kept
    /// for it and, as it is parked, it cannot say what it has seen.
    pub(super) fn keep(
        &mut self,
        key: usize,
        turn: &mut WriteBatch,
        chain: FrameList,
        listener: &Listener,
    ) -> bool {
        let is_parked = self.parked.get(key).is_some();
        let mut origins = if self.arriving.is_empty() { None } else { self.arriving.remove(&key) };
        let fits = self.change(key, |record, kept| {
            turn.each_in(chain, |frame| match frame.content {
                Content::Control => {}
                Content::Raw => record.end(GapReason::Raw, |frame| kept.release(frame)),
                Content::Messages(messages) => {
                    let index = match frame.kept {
                        Some(index) => index.get() - 1,
                        None => frame.keep_as(kept.insert(frame.bytes.clone())),
                    };
                    kept.hold(index);
                    origins.iter_mut().for_each(|origins| origins.push(frame.origin));
                    record.send(index, messages, cost(&frame.bytes), |frame| kept.release(frame));
                }
            });
            while is_too_much(record, listener) {
                if is_parked {
                    return false;
                }
                record.forget_oldest(|frame| kept.release(frame));
            }
            true
        });
        if let Some(origins) = origins {
            self.arriving.insert(key, origins);
        }
        fits.unwrap_or(true)
    }

    /// Releases what the frames of a turn hold, after the turn was written.
    pub(super) fn end_turn(&mut self, turn: &mut WriteBatch) {
        turn.each_kept(|frame| {
            self.kept.release(frame);
        });
    }

    /// Takes a text message of a client that may be control.
    fn receive<'a>(
        &mut self,
        key: usize,
        text: &'a str,
        now: Duration,
    ) -> Result<Received<'a>, ControlError> {
        let nobody = Received { message: Some(text), header: None, reply: None };
        let received =
            self.change(key, |record, kept| record.receive(text, now, |frame| kept.release(frame)));
        received.unwrap_or(Ok(nobody))
    }

    /// Says whether a page could come back: the key of its client, or the reason why not; `None` when nothing is known of it.
    pub(super) fn find(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
        online: Option<usize>,
    ) -> Result<usize, Option<GapReason>> {
        let closed = || self.closed.get(&connection_id).map(|key| *key as usize);
        let Some((key, record)) = online.or_else(closed).and_then(|key| Some((key, self.records.get(key)?)))
        else {
            return Err(self.tombstones.reason(connection_id));
        };
        record.check(offer, self.secret_of(key, connection_id)).map_err(Some)?;
        Ok(key)
    }

    /// Gives the secret of a client that has this number, which may be that of the node from which it has come.
    fn secret_of(&self, key: usize, connection_id: u32) -> impl Fn(NonZeroU32) -> ResumeSecret + use<> {
        let (secrets, id) = (self.secrets.clone(), self.id(connection_id));
        let foreign = self.foreign.get(&key).cloned();
        let foreign = move |number: NonZeroU32| {
            let (first, secrets) = foreign.as_ref()?;
            secrets.get(number.get().wrapping_sub(first.get()) as usize).copied()
        };
        move |number| foreign(number).unwrap_or_else(|| secrets.secret(id, number))
    }

    /// Whether the client is one that another node has not given yet.
    pub(super) fn is_arriving(&self, key: usize) -> bool {
        !self.arriving.is_empty() && self.arriving.contains_key(&key)
    }

    fn id(&self, connection_id: u32) -> ClientId {
        ClientId::new(self.node, connection_id)
    }

    /// The time now, as the records count it.
    pub(super) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// The unseen frames of a client, each with the number of messages at its start that the client has seen.
    fn unseen(&self, key: usize) -> Vec<(Bytes, usize)> {
        let Some(record) = self.records.get(key) else { return Vec::new() };
        let (mut skip, entries) = record.unseen();
        let frames =
            entries.filter_map(|(frame, _)| Some((self.kept.frame(*frame)?.clone(), skip_of(&mut skip))));
        frames.collect()
    }
}

/// Takes the number of messages to skip, which counts for the first frame alone.
fn skip_of(skip: &mut u64) -> usize {
    std::mem::take(skip) as usize
}
