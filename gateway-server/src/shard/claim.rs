//! A membership that the index counts before its shard knows of it.

use std::sync::Arc;

use super::index::Index;

/// One member of a uid or group, counted in the index from the moment that somebody asks for the membership. Until the shard has
/// stored the membership, dropping this value takes the count back. So no count is left behind by a caller that gave up while it
/// waited for the shard, by a client that has gone, or by a command in the inbox of a shard that has ended.
#[must_use]
pub(crate) struct NameClaim {
    /// The index that counts this member, or `None` once the shard has stored the membership.
    index: Option<Arc<Index>>,
    name: Arc<[u8]>,
    shard: u16,
}

impl NameClaim {
    pub(crate) fn new(index: &Arc<Index>, name: &[u8], shard: usize) -> Self {
        let shard = shard as u16;
        let name = index.add(name, shard);
        Self { index: Some(Arc::clone(index)), name, shard }
    }

    /// The name as the index stores it.
    pub(super) fn name(&self) -> &Arc<[u8]> {
        &self.name
    }

    /// Hands the count over to the shard, which takes it back when the member leaves.
    pub(super) fn keep(mut self) {
        self.index = None;
    }
}

impl Drop for NameClaim {
    fn drop(&mut self) {
        if let Some(index) = &self.index {
            index.remove(&self.name, self.shard);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use futures_util::FutureExt as _;

    use super::super::audience::Audience;
    use super::super::command::Command;
    use super::super::event_sink::BuiltInSink;
    use super::super::testing::{new_connection, settings};
    use super::super::{Identity, NameKind, NameWatch};
    use super::*;
    use crate::hub::Hub;
    use crate::protocol::{Encoded, Encoding};
    use crate::shard::{Name, Origin};

    /// The names to which this node would be subscribed.
    #[derive(Default)]
    struct Subscribed(Mutex<Vec<(NameKind, Vec<u8>)>>);

    impl NameWatch for Subscribed {
        fn first(&self, sort: NameKind, name: &[u8]) {
            self.0.lock().unwrap().push((sort, name.to_vec()));
        }

        fn last(&self, sort: NameKind, name: &[u8]) {
            self.0.lock().unwrap().retain(|(one, held)| (*one, &held[..]) != (sort, name));
        }
    }

    #[test]
    fn whoever_gives_up_before_the_shard_is_told_leaves_nothing_behind() {
        let watch = Arc::new(Subscribed::default());
        let names: Arc<dyn NameWatch> = watch.clone();
        let hub = Hub::start(1, [7; 16], &settings(), Box::new(BuiltInSink), Some(names), None).unwrap();
        // The test holds the shard's lock, and the command queue is full.
        let busy = hub.handle(0).hold();
        let large = Command::Deliver {
            to: Audience::Connections([].into_iter().collect()),
            frame: Encoded::raw(Bytes::from(vec![0; 16 << 20])),
            origin: Origin::HERE,
        };
        hub.handle(0).enqueue(large).now_or_never().unwrap().unwrap();
        let name = |name: &str| Name::from_slice(name.as_bytes());

        assert!(hub.bind(1, name("uid")).now_or_never().is_none());
        assert!(hub.join(1, name("group")).now_or_never().is_none());
        let identity = Identity {
            uid: name("who"),
            groups: vec![name("a"), name("b")],
            session: Bytes::new(),
            device: None,
        };
        let (new_connection, _peer) = new_connection(Encoding::Websocket);
        assert!(hub.adopt(new_connection, Some(Box::new(identity))).now_or_never().is_none());
        assert_eq!(hub.name_counts(), (0, 0));
        assert!(watch.0.lock().unwrap().is_empty());

        // A request that waits is counted, so that a push which follows it finds the shard.
        let mut waiting = Box::pin(hub.bind(1, name("uid")));
        assert!((&mut waiting).now_or_never().is_none());
        assert_eq!((hub.name_counts().0, watch.0.lock().unwrap().len()), (1, 1));
        drop(waiting);
        assert_eq!(hub.name_counts(), (0, 0));
        drop(busy);
    }
}
