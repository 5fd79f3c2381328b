//! The hub: all shards as one. It sends orders to the shards that they concern, and collects the answers of shards to queries.

mod asks;
mod carry;
mod eviction;
mod moves;
mod parked_eviction;
mod shards_left;
mod wanted_forms;

pub use asks::{Asks, CarriedAsk, NotAsked, Reply};
pub use carry::{FrozenHub, ShardRestorer};
pub use moves::ArrivalSlot;

use std::io;
use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_blocking;

use crate::inbox::notes::InboxNotes;
use crate::protocol::{Encoded, Encoding, WantedEncodings};
use crate::shard::audience::{Audience, Except};
use crate::shard::change::Change;
use crate::shard::claim::NameClaim;
use crate::shard::client_proof::ClientProofs;
use crate::shard::clients::Clients;
use crate::shard::command::{Command, NewConnection, SlotOf};
use crate::shard::command_queue::Stopped;
use crate::shard::connection_id::ConnectionIds;
use crate::shard::counts::ShardCounts;
use crate::shard::event_sink::EventSinks;
use crate::shard::handle::ShardHandle;
use crate::shard::identity::{ClaimedIdentity, Identity};
use crate::shard::index::{Index, NameKind, NameWatch, STRIPES};
use crate::shard::membership::TooManyGroups;
use crate::shard::query::{
    ConnectionFilter, ConnectionInfo, Cursor, Delivery, Profile, ProfileFields, Scope, Selector,
};
use crate::shard::session::SessionError;
use crate::shard::total_backlog::TotalBacklog;
use crate::shard::{Name, Origin, Resumable, ShardSettings, reactor};

use self::asks::AskingSink;
use self::shards_left::ShardsLeft;
use self::wanted_forms::WantedForms;

/// How often a large session is merged beside its shard before the shard merges it itself.
const MERGES: usize = 8;

/// All shards of this server, and what they share.
pub struct Hub {
    shards: Box<[ShardHandle]>,
    /// Issues connection ids, and finds the shard of each.
    connection_ids: Arc<ConnectionIds>,
    proofs: ClientProofs,
    /// The node part of every client_id that this server issues.
    node: SocketAddrV4,
    /// Forms of messages that some client has needed.
    wanted: Arc<WantedForms>,
    /// Makes the event sinks of the shards, and says what these need.
    sinks: Box<dyn EventSinks>,
    /// The questions to pages.
    asks: Arc<Asks>,
    /// The shards that have members of each uid.
    uids: Arc<Index>,
    /// The shards that have members of each group.
    groups: Arc<Index>,
    /// The memory of what waits for the clients of all shards.
    waiting: Arc<TotalBacklog>,
    /// The number of clients that are parked.
    parked: Arc<AtomicUsize>,
    /// The number of clients that come from other nodes at this moment.
    arrivals: AtomicUsize,
    /// The threads of the shards, until they are joined.
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Limits how many large sessions are merged at the same time, as other work needs the processors too.
    merges: Semaphore,
    /// The turn to evict parked clients, which one newcomer at a time has.
    evictions: Semaphore,
    /// The turn to freeze all shards, which one at a time has.
    freezes: Arc<Semaphore>,
}

impl Hub {
    /// Starts the threads of the shards. `key` is the secret from which connection ids are made; `sinks` makes the event sink of
    /// each shard; `names` is told which uids and groups have members here, and `inbox_notes` which clients are bound to which uids.
    pub fn start(
        shards: usize,
        key: [u8; 16],
        settings: &ShardSettings,
        sinks: Box<dyn EventSinks>,
        names: Option<Arc<dyn NameWatch>>,
        inbox_notes: Option<&InboxNotes>,
    ) -> io::Result<Self> {
        let index = |sort| Arc::new(Index::new(names.clone().map(|names| (sort, names))));
        let (uids, groups) = (index(NameKind::Uid), index(NameKind::Group));
        let waiting = Arc::new(TotalBacklog::new(settings.server.max_outbox_bytes, shards));
        let parked = Arc::new(AtomicUsize::new(0));
        let asks = Arc::<Asks>::default();
        let mut handles = Vec::with_capacity(shards);
        let mut threads = Vec::with_capacity(shards);
        for shard in 0..shards as u16 {
            let indexes = (Arc::clone(&uids), Arc::clone(&groups));
            let (handle, thread) = reactor::start(
                shard,
                settings.clone(),
                AskingSink::around(sinks.sink(), &asks),
                indexes,
                Arc::clone(&waiting),
                Arc::clone(&parked),
                inbox_notes.cloned(),
            )?;
            handles.push(handle);
            threads.push(thread);
        }
        Ok(Self {
            shards: handles.into(),
            connection_ids: Arc::new(ConnectionIds::new(key, shards)),
            proofs: settings.proofs.clone(),
            node: settings.node,
            wanted: Arc::default(),
            sinks,
            asks,
            uids,
            groups,
            waiting,
            parked,
            arrivals: AtomicUsize::new(0),
            threads: Mutex::new(threads),
            merges: Semaphore::new(1),
            evictions: Semaphore::new(1),
            freezes: Arc::new(Semaphore::new(1)),
        })
    }

    /// Hands an established connection to its shard, with the identity of its connect token, if it has one. What the client gets first is
    /// written by [`Hub::flush`] at the latest.
    pub async fn adopt(
        &self,
        new_connection: NewConnection,
        identity: Option<Box<Identity>>,
    ) -> Result<(), Stopped> {
        self.want(new_connection.encoding);
        let (connection_id, shard) = self.connection_ids.issue();
        let claimed = |identity: Box<Identity>| {
            Box::new(ClaimedIdentity::new(*identity, &self.uids, &self.groups, shard))
        };
        let identity = identity.map(claimed);
        let shard = &self.shards[shard];
        // What the client has sent already takes more work, or a deadline of which the shard's thread has to know.
        let is_little = new_connection.tls.is_none() && new_connection.early.is_empty();
        let adopt = Command::Adopt { connection_id, new_connection, identity };
        if is_little { shard.execute_inline(adopt).await } else { shard.enqueue(adopt).await }
    }

    /// Says whether a page may come back by this offer as the client with this connection id, or the reason why not.
    pub async fn find_client(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
    ) -> Result<Result<Resumable, GapReason>, Stopped> {
        let offer = *offer;
        let found = self
            .shard_of(connection_id)
            .query(move |clients| clients.find(connection_id, &offer).map(|key| clients.resumable(key)))
            .await?;
        Ok(found.map_err(|reason| match reason {
            Some(reason) => reason,
            None if self.connection_ids.was_issued(connection_id) => GapReason::Expired,
            None => GapReason::Restarted,
        }))
    }

    /// Whether a client is parked, which may come back.
    pub fn has_parked(&self) -> bool {
        self.parked.load(Ordering::Relaxed) > 0
    }

    /// Hands a connection to the client that has come back with it. A page whose offer is not good any more is asked to try again.
    pub async fn come_back(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
        new_connection: NewConnection,
    ) -> Result<(), Stopped> {
        self.want(new_connection.encoding);
        let offer = Box::new(*offer);
        self.shard_of(connection_id).enqueue(Command::ComeBack { connection_id, offer, new_connection }).await
    }

    /// Makes it impossible for a client to come back, for a reason that it is told when it tries.
    pub async fn disown(
        &self,
        connection_id: u32,
        offer: &ResumeOffer,
        reason: GapReason,
    ) -> Result<(), Stopped> {
        let offer = Box::new(*offer);
        self.shard_of(connection_id).enqueue(Command::Disown { connection_id, offer, reason }).await
    }

    /// Records an encoding before a client that needs it is online, as the client gets only messages that are encoded so.
    fn want(&self, encoding: Encoding) {
        self.wanted.note(encoding);
    }

    /// The encodings that messages have to get.
    pub fn wanted(&self) -> WantedEncodings {
        self.wanted.get()
    }

    /// Whether new connections have to bring their opening handshakes to [`Hub::adopt`].
    pub fn wants_handshakes(&self) -> bool {
        self.sinks.wants_handshakes()
    }

    /// Reads on from the clients that were paused because their workers took no more events.
    pub async fn read_on(&self) {
        // Shards that have all ended have no clients any more.
        let _ = self.tell_all(|| Command::ReadOn).await;
    }

    pub async fn send_to_all(&self, frame: Encoded, except: Vec<u32>, origin: Origin) -> Result<(), Stopped> {
        let except = Except::new(except);
        self.tell_all(|| {
            let to = Audience::All { except: except.clone() };
            Command::Deliver { to, frame: frame.clone(), origin }
        })
        .await
    }

    pub async fn send_to_connections(
        &self,
        frame: Encoded,
        connection_ids: &[u32],
        origin: Origin,
    ) -> Result<(), Stopped> {
        let parts = self.by_shard(connection_ids);
        let mut left = ShardsLeft::default();
        for (shard, connection_ids) in parts {
            let to = Audience::Connections(connection_ids);
            let command = Command::Deliver { to, frame: frame.clone(), origin };
            left.note(self.shards[shard].execute_inline(command).await);
        }
        left.any()
    }

    /// Sends to those of the connections that are still bound to the uid.
    pub async fn send_to_bound(
        &self,
        frame: Encoded,
        uid: &Name,
        connection_ids: &[u32],
    ) -> Result<(), Stopped> {
        let parts = self.by_shard(connection_ids);
        let mut left = ShardsLeft::default();
        for (shard, connections) in parts {
            let to = Audience::Bound { uid: uid.clone(), connections };
            let command = Command::Deliver { to, frame: frame.clone(), origin: Origin::HERE };
            left.note(self.shards[shard].execute_inline(command).await);
        }
        left.any()
    }

    /// Waits until the shards with clients of a uid have done what they were told before, such as to bind a client to it.
    pub async fn wait_for_holders(&self, uid: &[u8]) -> Result<(), Stopped> {
        let mut left = ShardsLeft::default();
        for shard in self.uids.shards(uid) {
            left.note(self.shards[usize::from(shard)].query(|_| ()).await);
        }
        left.any()
    }

    /// Gives those of the connections whose sockets have taken all that they were sent.
    pub async fn written(&self, connection_ids: &[u32]) -> Result<Vec<u32>, Stopped> {
        self.ask_about(connection_ids, |clients, ids| clients.written(ids)).await.map(|parts| parts.concat())
    }

    /// Sends to the clients of some uids. `frame` encodes the message, and is called only if some uid has a client here.
    pub async fn send_to_uids<'a>(
        &self,
        frame: impl FnOnce() -> Encoded,
        uids: impl Iterator<Item = &'a [u8]>,
        origin: Origin,
    ) -> Result<(), Stopped> {
        let parts = self.scatter(held(&self.uids, uids));
        if parts.is_empty() {
            return Ok(());
        }
        let frame = frame();
        let mut left = ShardsLeft::default();
        for (shard, uids) in parts {
            let to = Audience::Uids(uids);
            let command = Command::Deliver { to, frame: frame.clone(), origin };
            left.note(self.shards[shard].execute_inline(command).await);
        }
        left.any()
    }

    /// Sends to the clients of some groups, except those in `except`. `frame` encodes the message, and is called only if some
    /// group has a client here.
    pub async fn send_to_groups<'a>(
        &self,
        frame: impl FnOnce() -> Encoded,
        groups: impl Iterator<Item = &'a [u8]>,
        except: Vec<u32>,
        origin: Origin,
    ) -> Result<(), Stopped> {
        let parts = self.scatter(held(&self.groups, groups));
        if parts.is_empty() {
            return Ok(());
        }
        let (frame, except) = (frame(), Except::new(except));
        let mut left = ShardsLeft::default();
        for (shard, groups) in parts {
            let to = Audience::Groups { groups, except: except.clone() };
            let command = Command::Deliver { to, frame: frame.clone(), origin };
            left.note(self.shards[shard].enqueue(command).await);
        }
        left.any()
    }

    pub async fn close(&self, connection_id: u32, last: Option<Encoded>) -> Result<(), Stopped> {
        self.to(connection_id, Command::Close { connection_id, last }).await
    }

    /// Drops the connection at once, together with what waits for it.
    pub async fn destroy(&self, connection_id: u32) -> Result<(), Stopped> {
        self.to(connection_id, Command::Destroy { connection_id }).await
    }

    /// Closes some of the clients whose TLS is carried by the process with this number, about `most` at most.
    pub async fn close_relayed(&self, relay: u32, most: usize) -> Result<(), Stopped> {
        let most = most.div_ceil(self.shards.len());
        self.tell_all(|| Command::CloseRelayed { relay, most }).await
    }

    /// Closes a client because too much waits for it.
    pub(super) async fn give_up(&self, shard: usize, key: usize, connection_id: u32) -> Result<(), Stopped> {
        self.shards[shard].enqueue(Command::GiveUp { key, connection_id }).await
    }

    pub async fn bind(&self, connection_id: u32, uid: Name) -> Result<(), Stopped> {
        let uid = NameClaim::new(&self.uids, &uid, self.connection_ids.shard_of(connection_id));
        self.change(connection_id, Change::Bind { uid }).await
    }

    pub async fn unbind(&self, connection_id: u32) -> Result<(), Stopped> {
        self.change(connection_id, Change::Unbind).await
    }

    /// Adds a client to a group. This waits for the shard, which alone knows how many groups the client is in.
    pub async fn join(&self, connection_id: u32, group: Name) -> Result<Result<(), TooManyGroups>, Stopped> {
        let group = NameClaim::new(&self.groups, &group, self.connection_ids.shard_of(connection_id));
        let (back, result) = oneshot::channel();
        self.change(connection_id, Change::Join { group, back }).await?;
        // If the client has gone, the shard drops the sender of the result.
        Ok(result.await.unwrap_or(Ok(())))
    }

    pub async fn leave(&self, connection_id: u32, group: Name) -> Result<(), Stopped> {
        self.change(connection_id, Change::Leave { group }).await
    }

    /// Removes all members from the group.
    pub async fn ungroup(&self, group: Name) -> Result<(), Stopped> {
        let mut left = ShardsLeft::default();
        for shard in self.groups.shards(&group) {
            let command = Command::Ungroup { group: group.clone() };
            left.note(self.shards[usize::from(shard)].enqueue(command).await);
        }
        left.any()
    }

    pub async fn set_session(&self, connection_id: u32, serialized: Bytes) -> Result<(), Stopped> {
        self.change(connection_id, Change::SetSession { serialized }).await
    }

    /// Merges `changes` into a client's session, and waits for the result.
    ///
    /// A small session is merged by the shard. A large one is merged in another thread, while the shard serves its clients, and
    /// then put in place if the session has not changed meanwhile. If it has, the merge is repeated, and after some attempts the
    /// shard merges it itself.
    pub async fn update_session(
        &self,
        connection_id: u32,
        changes: Bytes,
    ) -> Result<Result<(), SessionError>, Stopped> {
        for attempt in 1.. {
            let (back, result) = oneshot::channel();
            let in_shard = attempt > MERGES;
            self.change(connection_id, Change::UpdateSession { changes: changes.clone(), in_shard, back })
                .await?;
            // If the client has gone, the shard drops the sender of the result.
            let before = match result.await {
                Ok(Ok(Some(before))) => before,
                Ok(Err(error)) => return Ok(Err(error)),
                Ok(Ok(None)) | Err(_) => break,
            };
            let _turn = self.merges.acquire().await;
            let (old, new) = (before.clone(), changes.clone());
            let merged = match spawn_blocking(move || old.merged(&new)).await {
                Ok(Ok(merged)) => merged,
                Ok(Err(error)) => return Ok(Err(error)),
                Err(_) => return Err(Stopped),
            };
            let (back, result) = oneshot::channel();
            self.change(connection_id, Change::ReplaceSession { before, merged, back }).await?;
            if result.await.unwrap_or(true) {
                break;
            }
        }
        Ok(Ok(()))
    }

    pub async fn is_online(&self, connection_id: u32) -> Result<bool, Stopped> {
        self.shard_of(connection_id).query(move |clients| clients.is_online(connection_id)).await
    }

    /// The proof that a client got in its init message, or `None` if it is not online.
    pub async fn proof_of(&self, connection_id: u32) -> Result<Option<String>, Stopped> {
        Ok(self.is_online(connection_id).await?.then(|| self.proofs.of(connection_id)))
    }

    pub async fn uid_of(&self, connection_id: u32) -> Result<Option<Bytes>, Stopped> {
        self.shard_of(connection_id).query(move |clients| clients.uid_of(connection_id)).await
    }

    /// The session of a client, or `None` if it is not online.
    pub async fn session_of(&self, connection_id: u32) -> Result<Option<Bytes>, Stopped> {
        self.shard_of(connection_id).query(move |clients| clients.session_of(connection_id)).await
    }

    /// Gives what is known of a client, and for how long it has been online, as far as that is known; or `None` if it is not online.
    pub async fn client_info(
        &self,
        connection_id: u32,
    ) -> Result<Option<(ConnectionInfo, Option<Duration>)>, Stopped> {
        let info =
            self.shard_of(connection_id).query(move |clients| clients.client_info(connection_id)).await?;
        Ok(info.map(|info| (info, self.connection_ids.age(connection_id))))
    }

    /// The questions to pages.
    pub fn asks(&self) -> &Arc<Asks> {
        &self.asks
    }

    /// Gives those of the clients that speak `gateway.2`.
    pub async fn pages(&self, connection_ids: &[u32]) -> Result<Vec<u32>, Stopped> {
        self.ask_about(connection_ids, |clients, ids| clients.pages(ids)).await.map(|pages| pages.concat())
    }

    /// What has become of the messages that these clients were sent.
    pub async fn delivery(&self, connection_ids: &[u32]) -> Result<Delivery, Stopped> {
        let parts = self.ask_about(connection_ids, |clients, ids| clients.delivery(ids)).await?;
        Ok(parts.into_iter().sum())
    }

    /// Asks each shard about those of the clients that it has.
    async fn ask_about<T: Send + 'static>(
        &self,
        connection_ids: &[u32],
        look: fn(&Clients, &[u32]) -> T,
    ) -> Result<Vec<T>, Stopped> {
        let parts = self.by_shard(connection_ids);
        let (mut found, mut left) = (Vec::new(), ShardsLeft::default());
        for (shard, ids) in parts {
            found.extend(left.note(self.shards[shard].query(move |clients| look(clients, &ids)).await));
        }
        left.any().map(|()| found)
    }

    pub async fn is_uid_online(&self, uid: &Name) -> Result<bool, Stopped> {
        let mut left = ShardsLeft::default();
        for shard in self.uids.shards(uid) {
            let uid = uid.clone();
            let is_online =
                self.shards[usize::from(shard)].query(move |clients| clients.is_uid_online(&uid)).await;
            if left.note(is_online) == Some(true) {
                return Ok(true);
            }
        }
        left.any().map(|()| false)
    }

    pub async fn clients_of_uid(&self, uid: &Name) -> Result<Vec<u32>, Stopped> {
        let (mut connection_ids, mut left) = (Vec::new(), ShardsLeft::default());
        for shard in self.uids.shards(uid) {
            let uid = uid.clone();
            let found =
                self.shards[usize::from(shard)].query(move |clients| clients.clients_of_uid(&uid)).await;
            connection_ids.extend(left.note(found).unwrap_or_default());
        }
        left.any().map(|()| connection_ids)
    }

    pub async fn count(&self, scope: Scope) -> Result<usize, Stopped> {
        Ok(self.ask_left(move |clients| clients.count(&scope)).await?.into_iter().sum())
    }

    /// Counts the members of each group, in the order of the groups.
    pub async fn counts_of(&self, groups: &[Name]) -> Result<Vec<usize>, Stopped> {
        /// So many groups are asked about at once, as a shard does nothing else meanwhile.
        const AT_ONCE: usize = 1024;
        let mut counts = Vec::with_capacity(groups.len());
        for groups in groups.chunks(AT_ONCE) {
            let asked: Arc<[Name]> = groups.into();
            let parts = self.ask_left(move |clients| clients.counts_of(&asked)).await?;
            let of_one = |at: usize| -> usize { parts.iter().filter_map(|part| part.get(at)).sum() };
            counts.extend((0..groups.len()).map(of_one));
        }
        Ok(counts)
    }

    pub async fn clients(&self, scope: Scope) -> Result<Vec<u32>, Stopped> {
        Ok(self.ask_left(move |clients| clients.connection_ids(&scope)).await?.concat())
    }

    pub async fn sessions(&self, scope: Scope) -> Result<Vec<(u32, Bytes)>, Stopped> {
        Ok(self.ask_left(move |clients| clients.sessions(&scope)).await?.concat())
    }

    pub async fn profiles(&self, who: Selector, fields: ProfileFields) -> Result<Vec<Profile>, Stopped> {
        Ok(self.ask_left(move |clients| clients.profiles(&who, fields)).await?.concat())
    }

    /// A page of clients: at most `limit` clients that match the filter, from a position on, and the position at which to go on,
    /// or `None` at the end.
    pub async fn page(
        &self,
        filter: &ConnectionFilter,
        from: Cursor,
        limit: usize,
    ) -> Result<(Vec<ConnectionInfo>, Option<Cursor>), Stopped> {
        let mut found = Vec::new();
        let mut key = from.key;
        for (shard, handle) in self.shards.iter().enumerate().skip(from.shard) {
            let mut next = Some(std::mem::take(&mut key));
            while let Some(from) = next {
                if found.len() == limit {
                    return Ok((found, Some(Cursor { shard, key: from })));
                }
                let (filter, room) = (filter.clone(), limit - found.len());
                let (part, rest) =
                    handle.query_in_thread(move |clients| clients.page(&filter, from, room)).await?;
                found.extend(part);
                next = rest;
            }
        }
        Ok((found, None))
    }

    /// All uids in the scope, each once.
    pub async fn uids(&self, scope: Scope) -> Result<HashSet<Bytes>, Stopped> {
        Ok(self.ask_left(move |clients| clients.uids(&scope)).await?.into_iter().flatten().collect())
    }

    pub async fn groups(&self) -> Result<HashSet<Bytes>, Stopped> {
        Ok(self.ask_left(Clients::groups).await?.into_iter().flatten().collect())
    }

    pub async fn group_clients(&self) -> Result<HashMap<Bytes, Vec<u32>>, Stopped> {
        Ok(merge(self.ask_left(Clients::group_clients).await?, |all: &mut Vec<u32>, part| all.extend(part)))
    }

    pub async fn group_counts(&self) -> Result<HashMap<Bytes, usize>, Stopped> {
        Ok(merge(self.ask_left(Clients::group_counts).await?, |all: &mut usize, part| *all += part))
    }

    /// All groups, each with the uids of its clients; every uid stands once in a group.
    pub async fn group_uids(&self) -> Result<HashMap<Bytes, HashSet<Bytes>>, Stopped> {
        let parts = self.ask_left(Clients::group_uids).await?;
        Ok(merge(parts, |all: &mut HashSet<Bytes>, part: Vec<Bytes>| all.extend(part)))
    }

    /// The indexes of the shards whose own threads do not answer within this time.
    pub async fn silent(&self, within: Duration) -> Vec<usize> {
        let asked = self.shards.iter().map(|shard| tokio::time::timeout(within, shard.answers()));
        let answered = join_all(asked).await.into_iter().enumerate();
        answered.filter_map(|(shard, answered)| answered.is_err().then_some(shard)).collect()
    }

    /// The amount of work that each shard has done so far. A shard whose number grows is alive.
    pub fn steps(&self) -> Vec<u64> {
        self.shards.iter().map(ShardHandle::steps).collect()
    }

    /// The counts of each shard, in the order of the shards.
    pub async fn census(&self) -> Result<Vec<ShardCounts>, Stopped> {
        self.ask_all(Clients::census).await
    }

    /// Counts what waits for the clients of all shards.
    pub(super) fn waiting(&self) -> &TotalBacklog {
        &self.waiting
    }

    /// The memory of what waits for the clients of all shards, in bytes.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    /// The number of uids and the number of groups that have members on this server.
    pub fn name_counts(&self) -> (usize, usize) {
        (self.uids.len(), self.groups.len())
    }

    /// Visits a part of all uids and groups, by the number of the part, counted from 0. Gives whether there are more parts.
    pub fn each_name(&self, part: usize, visit: &mut dyn FnMut(NameKind, &[u8])) -> bool {
        let (index, sort) = match part < STRIPES {
            true => (&self.uids, NameKind::Uid),
            false => (&self.groups, NameKind::Group),
        };
        index.each_name(part % STRIPES, &mut |name| visit(sort, name));
        part + 1 < 2 * STRIPES
    }

    /// Writes the frames that orders to few clients have left in the shards. The caller does this at the end of a burst of
    /// orders.
    pub fn flush(&self) {
        self.shards.iter().for_each(ShardHandle::flush);
    }

    /// The sum of the largest numbers of connections that each shard had at the same time since the last [`Hub::shrink`].
    pub async fn peak(&self) -> Result<usize, Stopped> {
        Ok(self.ask_all(Clients::peak).await?.into_iter().sum())
    }

    /// Makes every shard return the memory of connections that have ended to the allocator, and waits until all have done so.
    pub async fn shrink(&self) -> Result<(), Stopped> {
        // Shards that have all ended have nothing to give back.
        let _ = self.tell_all(|| Command::Shrink).await;
        // Each shard answers only after it has carried out the earlier command.
        self.count(None).await.map(drop)
    }

    /// Replaces the settings of all shards. The listeners must be the same ones in the same order.
    pub async fn configure(&self, settings: ShardSettings) -> Result<(), Stopped> {
        let settings = Arc::new(settings);
        self.tell_all(|| Command::Configure(Arc::clone(&settings))).await
    }

    /// Replaces the slot of each connection in the count outside the shards, [`NewConnection::place`].
    pub async fn recount(&self, slot_of: SlotOf) -> Result<(), Stopped> {
        self.tell_all(|| Command::Recount(Arc::clone(&slot_of))).await
    }

    /// Makes every shard close its clients, spread evenly over the time `over`, and end, at the latest `patience` after that.
    /// Until then everything else goes on, and with `keeps_parked` the clients that may come back stay. A later call replaces an
    /// earlier one.
    pub async fn stop(&self, over: Duration, patience: Duration, keeps_parked: bool) {
        // Shards that have all ended need no stop.
        let _ = self.tell_all(|| Command::Stop { over, patience, keeps_parked }).await;
    }

    /// Blocks until the threads of all shards have ended.
    pub fn join_threads(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a shard's thread ended by a fault");
            }
        }
    }

    #[cfg(test)]
    pub(super) fn handle(&self, shard: usize) -> &ShardHandle {
        &self.shards[shard]
    }

    /// Gives all shards the same command, in their order.
    async fn tell_all(&self, command: impl Fn() -> Command) -> Result<(), Stopped> {
        let mut left = ShardsLeft::default();
        for shard in &self.shards {
            left.note(shard.enqueue(command()).await);
        }
        left.any()
    }

    fn shard_of(&self, connection_id: u32) -> &ShardHandle {
        &self.shards[self.connection_ids.shard_of(connection_id)]
    }

    async fn to(&self, connection_id: u32, command: Command) -> Result<(), Stopped> {
        self.shard_of(connection_id).execute_inline(command).await
    }

    async fn change(&self, connection_id: u32, change: Change) -> Result<(), Stopped> {
        self.to(connection_id, Command::Change { connection_id, change }).await
    }

    /// Groups connections by their shards.
    fn by_shard(&self, connection_ids: &[u32]) -> SmallVec<[(usize, SmallVec<[u32; 4]>); 2]> {
        let shard_of = |id: &u32| (self.connection_ids.shard_of(*id), *id);
        self.scatter(connection_ids.iter().map(shard_of))
    }

    /// Groups items by the shard that they belong to. Within a shard their order is kept.
    fn scatter<A: smallvec::Array>(
        &self,
        items: impl Iterator<Item = (usize, A::Item)>,
    ) -> SmallVec<[(usize, SmallVec<A>); 2]> {
        let mut parts: SmallVec<[(usize, SmallVec<A>); 2]> = SmallVec::new();
        for (shard, item) in items {
            match parts.iter_mut().find(|(other, _)| *other == shard) {
                Some((_, part)) => part.push(item),
                None => parts.push((shard, SmallVec::from_iter([item]))),
            }
        }
        parts
    }

    /// Asks all shards at the same time, and collects their answers in the order of the shards.
    pub(super) async fn ask_all<T: Send + 'static>(
        &self,
        question: impl Fn(&Clients) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Stopped> {
        try_join_all(self.shards.iter().map(|shard| shard.query_in_thread(question.clone()))).await
    }

    /// Asks all shards at the same time, and collects the answers of those that have not ended.
    async fn ask_left<T: Send + 'static>(
        &self,
        question: impl Fn(&Clients) -> T + Clone + Send + 'static,
    ) -> Result<Vec<T>, Stopped> {
        let answers = join_all(self.shards.iter().map(|shard| shard.query_in_thread(question.clone()))).await;
        let mut left = ShardsLeft::default();
        let answers = answers.into_iter().filter_map(|answer| left.note(answer)).collect();
        left.any().map(|()| answers)
    }
}

/// Merges what each shard knows of the same names.
fn merge<Part, Whole: Default>(
    parts: Vec<Vec<(Bytes, Part)>>,
    add: impl Fn(&mut Whole, Part),
) -> HashMap<Bytes, Whole> {
    let mut merged = HashMap::new();
    for (name, part) in parts.into_iter().flatten() {
        add(merged.entry(name).or_default(), part);
    }
    merged
}

/// Each name together with each shard that has members of it, as (shard, name).
fn held<'a>(index: &Index, names: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = (usize, Name)> {
    names.flat_map(|name| {
        index.shards(name).into_iter().map(|shard| (usize::from(shard), Name::from_slice(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::BuiltInSink;
    use crate::shard::testing::settings;

    #[tokio::test]
    async fn nobody_waits_for_an_answer_of_a_shard_that_has_ended() {
        let hub = Arc::new(Hub::start(2, [7; 16], &settings(), Box::new(BuiltInSink), None, None).unwrap());
        hub.stop(Duration::ZERO, Duration::ZERO, false).await;
        let ended = Arc::clone(&hub);
        spawn_blocking(move || ended.join_threads()).await.unwrap();
        let asked = async {
            assert!(hub.count(None).await.is_err());
            let message = Encoded::raw(Bytes::from_static(b"a"));
            assert!(hub.session_of(1).await.is_err() && hub.session_of(2).await.is_err());
            assert!(hub.send_to_connections(message, &[1, 2], Origin::HERE).await.is_err());
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    }
}
