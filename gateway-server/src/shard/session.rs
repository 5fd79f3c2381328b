//! The session of a client: the bytes of a PHP array as `serialize()` gives them.

use std::sync::Arc;

use gateway_wire::php_serialize::{self, Malformed};

use super::packed_bytes::PackedBytes;
use crate::system::memory_reserve;

/// The default of the longest session, in bytes.
pub const MAX_SESSION: usize = 1 << 20;

/// The longest session that is packed, in bytes. A longer one has pages of its own.
const LONGEST_PACKED: usize = 4096;

/// Why a session was not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    #[error("the session is no serialized PHP array: {0}")]
    Malformed(Malformed),
    #[error(
        "the session would be too long: its bytes are more than the {limit} allowed (max_session_bytes); it is left as it was"
    )]
    TooLarge { limit: usize },
    #[error("the server has no memory to change the session now; it is left as it was")]
    NoMemory,
}

/// The session of one client, `None` until PHP sets one.
#[derive(Default)]
pub(super) struct Session(Option<Arc<[u8]>>);

/// A session as it was at one moment. Later it can be told whether the session has changed since.
#[derive(Clone)]
pub(crate) struct Snapshot {
    bytes: Option<Arc<[u8]>>,
    /// The longest session that a merge may give, in bytes.
    limit: usize,
}

/// The memory that a merge takes for each byte of the session and the changes: the shortest values take six bytes of text, and
/// each gets a slot of its own in the parsed tree.
const MERGING: usize = 16;

impl Snapshot {
    pub(super) fn len(&self) -> usize {
        self.bytes.as_deref().map_or(0, <[u8]>::len)
    }

    /// Merges as `array_replace_recursive(session, changes)` does, outside the shard.
    pub(crate) fn merged(&self, changes: &[u8]) -> Result<Arc<[u8]>, SessionError> {
        if !memory_reserve::has_room(MERGING * (self.len() + changes.len())) {
            return Err(SessionError::NoMemory);
        }
        merged(self.bytes.as_deref().unwrap_or_default(), changes, self.limit).map(Arc::from)
    }
}

fn merged(old: &[u8], changes: &[u8], limit: usize) -> Result<Vec<u8>, SessionError> {
    match old {
        [] if changes.len() > limit => Err(SessionError::TooLarge { limit }),
        [] => Ok(changes.to_vec()),
        old => Ok(php_serialize::replace_recursive(old, changes, limit)?),
    }
}

impl Session {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn set(&mut self, serialized: &[u8]) {
        self.0 = (!serialized.is_empty()).then(|| serialized.into());
    }

    /// Merges as `array_replace_recursive(session, changes)` does, into at most `limit` bytes. After an error the session is as
    /// it was.
    pub(super) fn update(&mut self, changes: &[u8], limit: usize) -> Result<(), SessionError> {
        self.set(&merged(self.bytes(), changes, limit)?);
        Ok(())
    }

    /// Moves a session that is not long and that nobody else has into `bytes`, and gives its length.
    pub(super) fn pack(&mut self, bytes: &mut PackedBytes) -> Option<u32> {
        let session = self.0.take_if(|session| {
            session.len() <= LONGEST_PACKED && Arc::strong_count(session) + Arc::weak_count(session) == 1
        })?;
        bytes.push(&session);
        Some(session.len() as u32)
    }

    pub(super) fn snapshot(&self, limit: usize) -> Snapshot {
        Snapshot { bytes: self.0.clone(), limit }
    }

    /// Puts `merged` in place of the session if that is still the one of the snapshot. Gives whether it is.
    pub(super) fn replace(&mut self, before: &Snapshot, merged: Arc<[u8]>) -> bool {
        let is_same = match (&self.0, &before.bytes) {
            (Some(now), Some(before)) => Arc::ptr_eq(now, before),
            (now, before) => now.is_none() && before.is_none(),
        };
        if is_same {
            self.0 = Some(merged);
        }
        is_same
    }
}

impl From<Malformed> for SessionError {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::TooLong { limit } => Self::TooLarge { limit },
            malformed => Self::Malformed(malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::oneshot;

    use super::super::change::Change;
    use super::super::command::Command;
    use super::super::testing::{TestShard, settings};
    use super::*;
    use crate::protocol::Encoding;

    /// Has a shard apply a change to its client, and gives the answer.
    fn change<T>(shard: &mut TestShard, change: impl FnOnce(oneshot::Sender<T>) -> Change) -> T {
        let (back, mut answer) = oneshot::channel();
        shard.shard.obey_alone(Command::Change { connection_id: 1, change: change(back) });
        answer.try_recv().unwrap()
    }

    fn update(shard: &mut TestShard, changes: &'static [u8], in_shard: bool) -> Option<Snapshot> {
        let changes = Bytes::from_static(changes);
        change(shard, |back| Change::UpdateSession { changes, in_shard, back }).unwrap()
    }

    #[test]
    fn a_session_is_packed_unless_somebody_merges_it_or_it_is_long() {
        let mut bytes = PackedBytes::default();
        let mut session = Session::default();
        assert_eq!(session.pack(&mut bytes), None);
        session.set(b"a:0:{}");
        let before = session.snapshot(100);
        assert_eq!(session.pack(&mut bytes), None);
        assert!(session.replace(&before, Arc::from(&b"merged"[..])));
        assert_eq!((session.pack(&mut bytes), session.is_empty()), (Some(6), true));
        assert_eq!(bytes.take(6), b"merged");
        session.set(&[b'x'; LONGEST_PACKED + 1]);
        assert_eq!(session.pack(&mut bytes), None);
        assert_eq!(session.bytes().len(), LONGEST_PACKED + 1);
    }

    #[test]
    fn a_large_session_is_merged_elsewhere_unless_it_changes_meanwhile() {
        let mut shard = TestShard::new(settings());
        let _client = shard.client(1, Encoding::Websocket);
        let large = format!(r#"a:1:{{s:1:"a";s:50000:"{}";}}"#, "x".repeat(50_000));
        let serialized = Bytes::from(large.clone());
        shard
            .shard
            .obey_alone(Command::Change { connection_id: 1, change: Change::SetSession { serialized } });
        let session = |shard: &TestShard| shard.shard.clients().session_of(1).unwrap();

        let before = update(&mut shard, b"a:1:{i:5;i:1;}", false).unwrap();
        assert_eq!((session(&shard), shard.shard.clients().merged), (Bytes::from(large), 0));
        // Another change comes before the merged session is put in place.
        assert!(update(&mut shard, b"a:1:{i:6;i:2;}", true).is_none());
        let replace = |shard: &mut TestShard, before: Snapshot| {
            let merged = before.merged(b"a:1:{i:5;i:1;}").unwrap();
            change(shard, |back| Change::ReplaceSession { before, merged, back })
        };
        assert!(!replace(&mut shard, before));
        assert!(session(&shard).ends_with(b"i:6;i:2;}"));
        let before = update(&mut shard, b"a:1:{i:5;i:1;}", false).unwrap();
        assert!(replace(&mut shard, before));
        assert!(session(&shard).ends_with(b"i:6;i:2;i:5;i:1;}"));
    }
}
