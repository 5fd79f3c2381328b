//! Commands: what other threads tell a shard to do.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use gateway_wire::client_protocol::{GapReason, ResumeOffer};
use tokio::sync::oneshot;

use super::ShardSettings;
use super::arrival::{Arrival, Arrived};
use super::audience::Audience;
use super::carry::freezing::Freezing;
use super::change::Change;
use super::clients::Clients;
use super::detached_client::{DetachedClient, Names, NotDeparted};
use super::event_sink::Handshake;
use super::identity::ClaimedIdentity;
use super::origin::Origin;
use super::write_batch::LARGE;
use crate::inbox::model::Device;
use crate::net::tls::TlsSession;
use crate::protocol::{Encoded, Encoding};
use crate::shard::Name;

/// An established connection on its way to its shard: the handshake of its protocol is done.
pub struct NewConnection {
    pub socket: TcpStream,
    /// The TLS session between the socket and the client's protocol, for a connection that came through TLS.
    pub tls: Option<Box<TlsSession>>,
    /// The server's answer to the client's opening handshake, with which the client's first message goes out; empty if the client has it.
    pub answer: Bytes,
    /// The listener that accepted the connection: an index into the settings' list of listeners.
    pub listener: u8,
    /// The encoding in which the client gets messages.
    pub encoding: Encoding,
    /// The bytes that the client sent behind its handshake and that were read together with it.
    pub early: Box<[u8]>,
    /// The client's address, if a proxy has told it. With `None` it is the address of the socket's peer.
    pub address: Option<SocketAddr>,
    /// The opening handshake, for a websocket, if [`Hub::wants_handshakes`](crate::hub::Hub::wants_handshakes) says that somebody
    /// uses it.
    pub handshake: Option<Box<Handshake>>,
    /// The slot that the connection takes in a count kept outside the shard. The shard drops it when the connection ends, which
    /// frees the slot.
    pub slot: Option<Box<dyn Send>>,
    /// The device that the client has named.
    pub device: Option<Device>,
    /// Why the client that the page asked for could not be resumed, if it asked.
    pub gap: Option<GapReason>,
}

/// Makes the slot ([`NewConnection::slot`]) for a connection, or `None` if connections are not counted. It is given what finds out the
/// address of the client, which takes a system call.
pub type SlotOf = Arc<dyn Fn(&dyn Fn() -> Option<SocketAddr>) -> Option<Box<dyn Send>> + Send + Sync>;

/// What another thread tells a shard to do. `connection_id` is the random part of a client_id, and `key` the key of the
/// connection in the shard.
pub(crate) enum Command {
    /// Takes over a connection whose handshake is done.
    Adopt {
        connection_id: u32,
        new_connection: NewConnection,
        /// The uid, groups and session of its connect token, if it brought one.
        identity: Option<Box<ClaimedIdentity>>,
    },
    /// Gives a client its new connection.
    ComeBack {
        connection_id: u32,
        offer: Box<ResumeOffer>,
        new_connection: NewConnection,
    },
    /// Makes it impossible for a client to come back, and says why.
    Disown {
        connection_id: u32,
        offer: Box<ResumeOffer>,
        reason: GapReason,
    },
    /// Makes room for a client that another node is about to give. The answer says whether there is any.
    AwaitArrival {
        connection_id: u32,
        arrival: Box<Arrival>,
        back: oneshot::Sender<bool>,
    },
    /// Completes a client with what the other node has given. The answer says whether the client is here now.
    CompleteArrival {
        connection_id: u32,
        arrived: Box<Arrived>,
        new_connection: NewConnection,
        back: oneshot::Sender<bool>,
    },
    /// Forgets a client that the other node has not given.
    AbandonArrival {
        connection_id: u32,
    },
    /// Gives a client to another node.
    Depart {
        connection_id: u32,
        offer: Box<ResumeOffer>,
        names: Names,
        back: oneshot::Sender<Result<Box<DetachedClient>, NotDeparted>>,
    },
    /// Forgets a client that was given to another node, which has taken it or has not.
    SettleDeparted {
        connection_id: u32,
        was_taken: bool,
    },
    /// Ends the parking of a client to make room for a newcomer, unless it has come back meanwhile. The sender is dropped when
    /// its slot is free.
    EvictParked {
        key: usize,
        connection_id: u32,
        done: oneshot::Sender<()>,
    },
    /// Sends one encoded frame to each client of an audience.
    Deliver {
        to: Audience,
        frame: Encoded,
        origin: Origin,
    },
    /// Sends what waits, then the frame `last` if there is one, then a close frame.
    Close {
        connection_id: u32,
        last: Option<Encoded>,
    },
    /// Drops the connection at once, together with what waits for it.
    Destroy {
        connection_id: u32,
    },
    /// Closes some of the clients whose TLS is carried by the process with this number, `most` at most.
    CloseRelayed {
        relay: u32,
        most: usize,
    },
    /// Closes a client because too much waits for it. The id tells whether the slab key still belongs to that client.
    GiveUp {
        key: usize,
        connection_id: u32,
    },
    Change {
        connection_id: u32,
        change: Change,
    },
    /// Removes all members from the group.
    Ungroup {
        group: Name,
    },
    Ask(Question),
    /// Returns the memory of connections that have ended to the allocator.
    Shrink,
    /// Says that the worker of some clients takes events again: the shard reads on from the clients that it has paused.
    ReadOn,
    /// Ends the turn and then does nothing until the shard is to thaw.
    Freeze(Freezing),
    /// Replaces the settings. The listeners stay the same ones in the same order; only their limits may change.
    Configure(Arc<ShardSettings>),
    /// Replaces the slot of each connection in the count outside the shard, as the rules of counting have changed.
    Recount(SlotOf),
    /// Closes all clients, spread evenly over the time `over`, then ends the thread, at the latest `patience` after the last
    /// close. A later command of this kind replaces an earlier one.
    ///
    /// With `keeps_parked` the clients that may come back stay until then, so that another node can fetch them.
    Stop {
        over: std::time::Duration,
        patience: std::time::Duration,
        keeps_parked: bool,
    },
}

/// Looks at the clients in the shard's thread and sends the answer to the caller itself.
pub(super) type Question = Box<dyn FnOnce(&Clients) + Send>;

impl Command {
    /// Whether the shard may take many such commands in one go. After any other command it looks first whether there is time for
    /// more.
    pub(super) fn is_cheap(&self) -> bool {
        match self {
            Self::Change { change: Change::UpdateSession { .. }, .. } => false,
            Self::Deliver { frame, .. } => frame.websocket.len() < LARGE,
            _ => true,
        }
    }

    /// The time that the command takes, in units of a usual command's.
    /// [`Shard::take_commands`](super::state::Shard::take_commands) bounds their sum.
    pub(super) fn cost(&self) -> usize {
        match self {
            // These commands make several system calls.
            Self::Adopt { .. }
            | Self::ComeBack { .. }
            | Self::CompleteArrival { .. }
            | Self::Depart { .. }
            | Self::Close { .. }
            | Self::Destroy { .. }
            | Self::CloseRelayed { .. }
            | Self::GiveUp { .. } => 64,
            _ => 1,
        }
    }

    /// The memory in bytes that the command takes while it waits in an inbox.
    pub(super) fn weight(&self) -> usize {
        let names = |names: &[Name]| names.iter().map(|name| size_of::<Name>() + name.len()).sum::<usize>();
        size_of::<Self>()
            + match self {
                Self::Deliver { to, frame, .. } => {
                    frame.weight()
                        + match to {
                            Audience::All { except } => 4 * except.len(),
                            Audience::Connections(connection_ids) => 4 * connection_ids.len(),
                            Audience::Bound { uid, connections } => uid.len() + 4 * connections.len(),
                            Audience::Uids(uids) => names(uids),
                            Audience::Groups { groups, except } => names(groups) + 4 * except.len(),
                        }
                }
                Self::Close { last, .. } => last.as_ref().map_or(0, Encoded::weight),
                Self::Change { change, .. } => match change {
                    Change::Bind { uid: claim } | Change::Join { group: claim, .. } => claim.name().len(),
                    Change::Leave { group } => group.len(),
                    Change::SetSession { serialized: bytes }
                    | Change::UpdateSession { changes: bytes, .. } => bytes.len(),
                    Change::ReplaceSession { before, merged, .. } => before.len() + merged.len(),
                    Change::Unbind => 0,
                },
                Self::Ungroup { group } => group.len(),
                Self::Adopt { new_connection, identity, .. } => {
                    new_connection.answer.len()
                        + new_connection.early.len()
                        + new_connection.handshake.as_ref().map_or(0, |handshake| handshake.weight())
                        + identity.as_ref().map_or(0, |identity| identity.weight())
                }
                Self::AwaitArrival { arrival, .. } => arrival.weight(),
                Self::CompleteArrival { arrived, .. } => arrived.weight(),
                Self::AbandonArrival { .. }
                | Self::Depart { .. }
                | Self::SettleDeparted { .. }
                | Self::ComeBack { .. }
                | Self::Disown { .. }
                | Self::EvictParked { .. }
                | Self::Destroy { .. }
                | Self::GiveUp { .. }
                | Self::Ask(_)
                | Self::ReadOn
                | Self::Shrink
                | Self::Freeze(_)
                | Self::Configure(_)
                | Self::Recount(_)
                | Self::CloseRelayed { .. }
                | Self::Stop { .. } => 0,
            }
    }
}
