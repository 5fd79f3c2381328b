//! A store of a cluster that is opened when it is needed, for a server that starts before NATS does.

use super::jetstream_store::JetStreamStore;
use crate::inbox::model::{
    Millis, PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage,
};
use crate::inbox::notices::Notice;
use crate::inbox::store::{News, Operation, Outcome, Store, StoreError};

/// Opens the store, or says why it cannot be opened.
type OpenLate = Box<dyn FnMut() -> Result<JetStreamStore, String> + Send>;

/// A store that fails until it can be opened.
pub struct LateStore {
    store: Option<JetStreamStore>,
    open: OpenLate,
}

impl LateStore {
    /// Makes the store, which may be open already.
    pub fn new(store: Option<JetStreamStore>, open: OpenLate) -> Self {
        Self { store, open }
    }

    fn store(&mut self) -> Result<&mut JetStreamStore, StoreError> {
        match &mut self.store {
            Some(store) => Ok(store),
            none => Ok(none.insert((self.open)().map_err(StoreError::Io)?)),
        }
    }
}

impl Store for LateStore {
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        self.store()?.apply(now, operations)
    }

    fn waiting(&mut self, now: Millis, page: &PageRequest) -> Result<WaitingPage, StoreError> {
        self.store()?.waiting(now, page)
    }

    fn waiting_all(&mut self, now: Millis, pages: &[PageRequest]) -> Vec<Result<WaitingPage, StoreError>> {
        match self.store() {
            Ok(store) => store.waiting_all(now, pages),
            Err(error) => pages.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError> {
        self.store()?.receipt(now, id, uids)
    }

    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        self.store()?.inbox_of(now, uid)
    }

    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError> {
        self.store()?.uids(after, limit)
    }

    fn progress(&mut self, producer: &Producer) -> Result<Option<u64>, StoreError> {
        self.store()?.progress(producer)
    }

    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError> {
        self.store()?.notices(limit, bytes)
    }

    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError> {
        self.store()?.has_undelivered(now)
    }

    /// Gives what was counted last, and nothing before the store is open.
    fn totals(&mut self) -> Result<Totals, StoreError> {
        self.store.as_mut().map_or(Ok(Totals::default()), |store| store.totals())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.store()?.probe()
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn news(&mut self) -> Vec<News> {
        self.store.as_mut().map(|store| store.news()).unwrap_or_default()
    }
}
