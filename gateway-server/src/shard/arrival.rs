//! The arrival of a client from another node of the cluster: what is known of it before it comes, and what the other node gives.

use gateway_wire::client_protocol::ResumeOffer;

use super::claim::NameClaim;
use super::detached_client::DetachedClient;
use super::origin::Contained;
use crate::protocol::Encoding;

/// A client as it is known before it comes.
pub(crate) struct Arrival {
    pub(crate) uid: Option<NameClaim>,
    pub(crate) groups: Vec<NameClaim>,
    /// The encoding and the listener of the connection with which it comes.
    pub(crate) encoding: Encoding,
    pub(crate) listener: u8,
}

/// What another node has given.
pub(crate) struct Arrived {
    /// The page's offer, which names the client by its old client_id.
    pub(crate) offer: ResumeOffer,
    pub(crate) client: DetachedClient,
    /// The orders of which `client` contains the messages.
    pub(crate) contained: Contained,
}

impl Arrival {
    /// The memory that this takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let names = self.uid.iter().chain(&self.groups);
        size_of::<Self>() + names.map(|name| size_of::<NameClaim>() + name.name().len()).sum::<usize>()
    }
}

impl Arrived {
    /// The memory that this takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        let frames = self.client.frames.iter().map(|(frame, _)| frame.len() + size_of::<(Vec<u8>, u32)>());
        size_of::<Self>() + self.client.session.len() + frames.sum::<usize>()
    }
}
