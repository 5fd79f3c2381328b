//! The store of a cluster.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream as streams};
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::api::{Api, ApiError};
use super::connect::{JetStreamSettings, connect};
use super::figures;
use super::lease::Lease;
use super::names::Names;
use super::news;
use super::news_buffer::{NewsBuffer, Waker};
use super::shared::Shared;
use super::stream::{self, StreamSettings, StreamState};
use crate::inbox::bounds::Bounds;
use crate::inbox::model::{
    Millis, PageRequest, Producer, Receipt, Totals, UidInbox, UidSummary, WaitingPage,
};
use crate::inbox::notices::Notice;
use crate::inbox::request::uid_of;
use crate::inbox::store::{News, Operation, Outcome, Store, StoreError};

/// How long a batch of operations may take.
const APPLY: Duration = Duration::from_secs(8);
/// How long a read may take.
const READ: Duration = Duration::from_secs(8);
/// The uids that are worked on at the same time.
const TOGETHER: usize = 64;
/// The oldest nats-server that works: streams have metadata from here on, and the synchronisation of its disk can be set.
const OLDEST: (u64, u64, u64) = (2, 10, 0);
/// The oldest nats-server that removes single messages when their time has ended.
const TTL_SINCE: (u64, u64, u64) = (2, 11, 0);
/// The shortest payload that NATS must take.
const PAYLOAD: usize = 256 << 10;

/// Why the store cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// It may be there later.
    #[error("{0}")]
    Unreachable(String),
    /// Somebody has to change something.
    #[error("{0}")]
    Unsuitable(String),
}

/// The store in a stream of NATS JetStream, which all nodes of a cluster share.
pub struct JetStreamStore {
    pub(super) shared: Arc<Shared>,
    buffer: Arc<NewsBuffer>,
    runtime: Handle,
    /// What runs while the store is open.
    tasks: [JoinHandle<()>; 2],
    /// The last time that the store was told.
    now: Millis,
    /// The version of the server.
    version: String,
    /// Whether this node tells PHP, and whether it looks for late messages.
    teller: Lease,
    watcher: Lease,
}

impl JetStreamStore {
    /// Connects to NATS, and opens the stream, which it makes if there is none. `wake` is called when there are news. It waits, so it
    /// must not be called from a task.
    pub fn open(
        settings: &JetStreamSettings,
        bounds: Bounds,
        runtime: &Handle,
        wake: Waker,
    ) -> Result<Self, OpenError> {
        runtime.block_on(open(settings, bounds, runtime.clone(), wake))
    }

    /// The version of the NATS server.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn run<T>(
        &mut self,
        now: Millis,
        time: Duration,
        work: impl AsyncFnOnce(&Shared, Millis) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.now = now.max(self.now);
        let late = || StoreError::Io(format!("JetStream has not done it within {} s", time.as_secs()));
        let done = async { tokio::time::timeout(time, work(&self.shared, self.now)).await };
        self.runtime.block_on(done).unwrap_or_else(|_| Err(late()))
    }
}

async fn open(
    settings: &JetStreamSettings,
    bounds: Bounds,
    runtime: Handle,
    wake: Waker,
) -> Result<JetStreamStore, OpenError> {
    let again = Arc::new(Notify::new());
    let client = connect(settings, Arc::clone(&again)).await.map_err(OpenError::Unreachable)?;
    let info = client.server_info();
    let number = version(&info.version);
    if number < OLDEST {
        let (major, minor, patch) = OLDEST;
        return Err(OpenError::Unsuitable(format!(
            "`store = \"jetstream\"` needs nats-server {major}.{minor}.{patch} or newer, and this one is {}",
            info.version
        )));
    }
    if info.max_payload < PAYLOAD {
        return Err(OpenError::Unsuitable(format!(
            "nats-server takes messages of {} bytes at most: its max_payload must be {PAYLOAD} or more",
            info.max_payload
        )));
    }
    let api = Api::new(client, format!("gateway_inbox_{}", settings.server.cluster_name));
    let stream_settings = StreamSettings {
        replicas: settings.server.store_replicas.into(),
        bounds,
        has_ttl: number >= TTL_SINCE,
    };
    let names = Names::new(settings.server.secret_key.as_bytes(), &settings.server.cluster_name);
    api.account().await.map_err(|error| if error.is_off() { off(&error) } else { reason(&error) })?;
    let state = ensure(&api, &names, stream_settings).await.map_err(|error| reason(&error))?;
    let shared = Arc::new(Shared::new(api, names, stream_settings, &state, settings));
    let buffer = Arc::new(NewsBuffer::new(wake));
    // Whoever had a store before this one has not heard what was stored in between.
    buffer.push(News::Everything).await;
    let followed = news::follow(Arc::clone(&shared), Arc::clone(&buffer), Arc::clone(&again), state.last_seq);
    let tasks = [runtime.spawn(followed), runtime.spawn(figures::watch(Arc::clone(&shared), again))];
    Ok(JetStreamStore {
        shared,
        buffer,
        runtime,
        tasks,
        now: 0,
        version: info.version,
        teller: Lease::of_teller(),
        watcher: Lease::of_watcher(),
    })
}

/// Makes the stream or takes it, and gives a NATS the time to find all of its servers: one that has just started says at first that it
/// has too few.
async fn ensure(api: &Api, names: &Names, wanted: StreamSettings) -> Result<StreamState, ApiError> {
    const FORMS: Duration = Duration::from_secs(20);
    const PAUSE: Duration = Duration::from_millis(250);
    let begun = Instant::now();
    loop {
        match stream::ensure(api, names, wanted).await {
            Err(error) if error.lacks_servers() && begun.elapsed() < FORMS => tokio::time::sleep(PAUSE).await,
            ensured => return ensured,
        }
    }
}

fn version(text: &str) -> (u64, u64, u64) {
    let text = text.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

/// Says whether it helps to wait.
fn reason(error: &ApiError) -> OpenError {
    let text = format!("the store cannot be opened: {error}");
    match error {
        ApiError::Refused { code: 0, .. } => OpenError::Unsuitable(text),
        error if error.is_too_much() => OpenError::Unsuitable(format!(
            "{text}; it asks NATS for as many servers as store_replicas says, and for disk for store_bytes and a little more"
        )),
        _ => OpenError::Unreachable(text),
    }
}

fn off(error: &ApiError) -> OpenError {
    OpenError::Unsuitable(format!(
        "JetStream is off, which `store = \"jetstream\"` needs: set `jetstream {{}}` in nats-server's file, and enable it for the account ({error})"
    ))
}

impl Drop for JetStreamStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Store for JetStreamStore {
    fn apply(&mut self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        // A request that nobody waits for any more may still be carried out, and another one of the batch may have been.
        self.run(now, APPLY, async |shared, now| shared.apply(now, operations).await).map_err(|error| {
            match error {
                StoreError::Io(reason) | StoreError::Gone(reason) => StoreError::Unanswered(reason),
                other => other,
            }
        })
    }

    fn waiting(&mut self, now: Millis, page: &PageRequest) -> Result<WaitingPage, StoreError> {
        self.run(now, READ, async |shared, now| shared.waiting(now, page).await)
    }

    fn waiting_all(&mut self, now: Millis, pages: &[PageRequest]) -> Vec<Result<WaitingPage, StoreError>> {
        let read = self.run(now, READ, async |shared, now| {
            let pages = streams::iter(pages).map(|page| shared.waiting(now, page));
            Ok(pages.buffered(TOGETHER).collect::<Vec<_>>().await)
        });
        read.unwrap_or_else(|error| pages.iter().map(|_| Err(error.clone())).collect())
    }

    fn receipt(&mut self, now: Millis, id: &str, uids: usize) -> Result<Vec<Receipt>, StoreError> {
        self.run(now, READ, async |shared, now| shared.receipt(now, id, uids).await)
    }

    fn inbox_of(&mut self, now: Millis, uid: &[u8]) -> Result<Option<UidInbox>, StoreError> {
        self.run(now, READ, async |shared, now| shared.inbox_of(now, uid).await)
    }

    fn uids(&mut self, after: &[u8], limit: usize) -> Result<Vec<UidSummary>, StoreError> {
        self.run(self.now, READ, async |shared, now| shared.uids(now, after, limit).await)
    }

    /// Gives nothing: the stream knows messages by their ids.
    fn progress(&mut self, _producer: &Producer) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    fn notices(&mut self, limit: usize, bytes: usize) -> Result<Vec<Notice>, StoreError> {
        let mut lease = std::mem::replace(&mut self.teller, Lease::of_teller());
        let work = async |shared: &Shared, _| shared.notices(&mut lease, limit, bytes).await;
        let notices = self.run(self.now, READ, work);
        self.teller = lease;
        notices
    }

    fn has_undelivered(&mut self, now: Millis) -> Result<bool, StoreError> {
        let mut lease = std::mem::replace(&mut self.watcher, Lease::of_watcher());
        let work = async |shared: &Shared, now| shared.has_undelivered(now, &mut lease).await;
        let is_due = self.run(now, READ, work);
        self.watcher = lease;
        is_due
    }

    fn totals(&mut self) -> Result<Totals, StoreError> {
        Ok(self.shared.totals())
    }

    fn probe(&mut self) -> Result<(), StoreError> {
        self.run(self.now, READ, async |shared, _| {
            shared.api.call("STREAM.INFO", "", &json!({})).await?;
            Ok(())
        })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn news(&mut self) -> Vec<News> {
        self.buffer.take().into()
    }
}

impl Shared {
    /// Does operations: those of one uid in their order, those of several at the same time.
    async fn apply(&self, now: Millis, operations: &[Operation]) -> Result<Vec<Outcome>, StoreError> {
        if operations.iter().any(|operation| matches!(operation, Operation::Expire { .. })) {
            // Nothing is to be removed here, but a server on which nobody calls sees so that NATS is there.
            self.take_bytes(&stream::state(&self.api).await?);
        }
        let mut by_uid: HashMap<&Bytes, Vec<usize>> = HashMap::new();
        let mut outcomes: Vec<_> =
            operations.iter().map(|_| Outcome::Expired { removed: 0, has_more: false }).collect();
        for (at, operation) in operations.iter().enumerate() {
            if let Some(uid) = uid_of(operation) {
                by_uid.entry(uid).or_default().push(at);
            }
        }
        let mut done = streams::iter(by_uid)
            .map(|(uid, places)| async move {
                let of_uid: Vec<_> = places.iter().filter_map(|at| operations.get(*at)).collect();
                let outcomes = self.apply_to(now, uid, &of_uid).await?;
                Ok::<_, StoreError>(places.into_iter().zip(outcomes).collect::<Vec<_>>())
            })
            .buffer_unordered(TOGETHER);
        while let Some(of_uid) = done.try_next().await? {
            for (at, outcome) in of_uid {
                outcomes[at] = outcome;
            }
        }
        for (at, operation) in operations.iter().enumerate() {
            match operation {
                Operation::TellUndelivered { at_most } => {
                    outcomes[at] = self.tell_undelivered(now, *at_most).await?;
                }
                Operation::NoticesTold { up_to } => outcomes[at] = self.notices_told(*up_to).await?,
                _ => {}
            }
        }
        Ok(outcomes)
    }

    /// Does the operations of one uid, one after the other: a message must not be stored when the one before it was not.
    async fn apply_to(
        &self,
        now: Millis,
        name: &Bytes,
        operations: &[&Operation],
    ) -> Result<Vec<Outcome>, StoreError> {
        let uid = self.names.uid(name);
        let (mut outcomes, mut end) = (Vec::with_capacity(operations.len()), None);
        let is_single =
            |operation: &&Operation| matches!(operation, Operation::Deliver(_) | Operation::Forget { .. });
        for together in operations.chunk_by(|one, other| !is_single(one) && !is_single(other)) {
            match together {
                [Operation::Deliver(message)] => {
                    outcomes.push(self.deliver(now, &uid, message, &mut end).await?)
                }
                [Operation::Forget { .. }] => {
                    end = None;
                    outcomes.push(self.forget(now, &uid, name).await?);
                }
                changes => outcomes.extend(self.change(now, &uid, changes).await?),
            }
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_number_by_number() {
        assert_eq!(version("2.10.27"), (2, 10, 27));
        assert_eq!(version("2.12.0-RC.1"), (2, 12, 0));
        assert!(version("2.9.10") < OLDEST && version("2.10.0") >= OLDEST && version("nonsense") < OLDEST);
    }
}
