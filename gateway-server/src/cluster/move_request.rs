//! What nodes ask each other about clients that come back at another node than they have left.

use std::net::SocketAddrV4;

use gateway_wire::ClientId;
use gateway_wire::bridge::AnswerValue;
use gateway_wire::client_protocol::GapReason;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::marks::Marks;
use crate::shard::{Names, Resumable};

/// A question about clients that the asked node has or has had. Offers are written as the subprotocol `gateway.resume.SECRET.SEEN`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MoveRequest {
    /// Asks whether a page may come back by this offer. It changes nothing.
    Find {
        offer: String,
        /// A node that may have the client, if the asking one does not hear that.
        #[serde(default)]
        missed: Option<SocketAddrV4>,
    },
    /// Asks for everything that is kept about the client.
    Take {
        offer: String,
        /// The names to which the asking node has bound the client already.
        names: Names,
        /// The client_id that the client gets at the asking node.
        to: ClientId,
        /// Orders of all nodes, behind whose numbers the asking node receives everything that concerns the client, its own included.
        marks: Marks,
    },
    /// Makes it impossible for the client to come back.
    Disown { offer: String, reason: GapReason },
    /// Asks what has become of clients that the asking node has given away, named by the client_ids that they got.
    Whereabouts { clients: Vec<ClientId> },
}

/// The answer to a [`MoveRequest`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum MoveReply {
    /// The page may come back to this client.
    Found(Resumable),
    /// The page cannot come back.
    Gap(GapReason),
    /// The client has gone on at another node, where it has this client_id.
    MovedOn(ClientId),
    /// The client, as [`DetachedClient`](crate::shard::DetachedClient) writes it. The asked node does not have it any more.
    Taken {
        client: ByteBuf,
        /// The orders whose messages the client contains.
        contained: Marks,
    },
    /// The request cannot be granted at this moment, for this reason. Nothing has changed.
    NotNow(String),
    /// The request to disown has been carried out.
    Disowned,
    /// What has become of each client of [`MoveRequest::Whereabouts`].
    Whereabouts(Vec<Whereabouts>),
}

/// What has become of a client that was given to another node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Whereabouts {
    /// The node has asked for the client and does not have it yet.
    Coming,
    /// The node has the client, or has given it to another one.
    Here,
    /// The node has had the client, which has ended there.
    Ended,
    /// The node has never got the client.
    Unknown,
}

/// Reads the request of a frame.
pub(super) fn decode(body: &[u8]) -> Result<MoveRequest, String> {
    rmp_serde::from_slice(body).map_err(|error| error.to_string())
}

/// Writes a reply as the answer to a question.
pub(super) fn encode(reply: &MoveReply) -> Result<AnswerValue, String> {
    rmp_serde::to_vec(reply).map(AnswerValue::Str).map_err(|error| error.to_string())
}
