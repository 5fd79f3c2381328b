//! Who a client is from its first moment on.

use bytes::Bytes;

use super::Name;

/// As its connect token says. It holds before anybody is told of the client.
#[derive(Debug)]
pub struct Identity {
    pub uid: Name,
    /// No more than a client may be in, and none twice.
    pub groups: Vec<Name>,
    /// A serialized PHP array, or nothing.
    pub session: Bytes,
}

impl Identity {
    /// The bytes that it holds.
    pub(super) fn weight(&self) -> usize {
        let groups: usize = self.groups.iter().map(|group| size_of::<Name>() + group.len()).sum();
        size_of::<Self>() + self.uid.len() + groups + self.session.len()
    }
}
