//! What a shard is told.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::ServerConnection;

use super::ShardSettings;
use super::audience::Audience;
use super::change::Change;
use super::clients::Clients;
use super::event_sink::Handshake;
use super::identity::ClaimedIdentity;
use super::write_batch::LARGE;
use crate::protocol::{Encoded, Encoding};
use crate::shard::Name;

/// An established connection.
pub struct NewConnection {
    pub socket: TcpStream,
    /// What is between the socket and its protocol.
    pub tls: Option<Box<ServerConnection>>,
    /// Where it came in: the place of its [`ListenerLimits`](super::ListenerLimits) in the settings.
    pub door: u8,
    pub form: Encoding,
    /// What it has said behind its handshake already.
    pub early: Box<[u8]>,
    /// Where it comes from, if not from its socket's peer: a proxy may have said so.
    pub address: Option<SocketAddr>,
    /// How it came, if [`Hub::wants_handshakes`](crate::hub::Hub::wants_handshakes) and its protocol has one.
    pub handshake: Option<Box<Handshake>>,
    /// Dropped when the connection is, for those who count them.
    pub place: Option<Box<dyn Send>>,
}

/// Makes a new [`NewConnection::place`] for a connection from an address.
pub type PlaceOf = Arc<dyn Fn(Option<SocketAddr>) -> Option<Box<dyn Send>> + Send + Sync>;

pub(crate) enum Command {
    /// Take over a connection whose handshake is done.
    Adopt {
        number: u32,
        newcomer: NewConnection,
        /// Who it is, if it has said so.
        identity: Option<Box<ClaimedIdentity>>,
    },
    /// Send one encoded frame to everybody of an audience.
    Deliver {
        to: Audience,
        frame: Encoded,
    },
    /// Flush, send the frame if any, then close.
    Close {
        number: u32,
        last: Option<Encoded>,
    },
    /// Drop the connection at once.
    Destroy {
        number: u32,
    },
    /// Close one for whom too much waits, by its key.
    GiveUp {
        key: usize,
        number: u32,
    },
    Change {
        number: u32,
        change: Change,
    },
    /// Everybody leaves the group.
    Ungroup {
        group: Name,
    },
    Ask(Question),
    /// Give back the room of those who have gone.
    Shrink,
    /// The sink takes more events again.
    ReadOn,
    /// Other settings, for the same doors.
    Configure(Arc<ShardSettings>),
    /// Replace everybody's place.
    Recount(PlaceOf),
    /// Close everybody, evenly `over` some time, then end the thread, at the latest `patience` later. The newest one counts.
    Stop {
        over: std::time::Duration,
        patience: std::time::Duration,
    },
}

/// Looks at the clients and sends what it saw to whoever asked.
pub(super) type Question = Box<dyn FnOnce(&Clients) + Send>;

impl Command {
    /// Whether many such may be carried out before it is seen whether there is time for more.
    pub(super) fn is_cheap(&self) -> bool {
        match self {
            Self::Change { change: Change::UpdateSession { .. }, .. } => false,
            Self::Deliver { frame, .. } => frame.websocket.len() < LARGE,
            _ => true,
        }
    }

    /// How long it takes, in commands of the usual kind.
    pub(super) fn cost(&self) -> usize {
        match self {
            // The system is called several times.
            Self::Adopt { .. } | Self::Close { .. } | Self::Destroy { .. } | Self::GiveUp { .. } => 64,
            _ => 1,
        }
    }

    /// The bytes that it holds while it waits in an inbox.
    pub(super) fn weight(&self) -> usize {
        let names = |names: &[Name]| names.iter().map(|name| size_of::<Name>() + name.len()).sum::<usize>();
        size_of::<Self>()
            + match self {
                Self::Deliver { to, frame } => {
                    frame.weight()
                        + match to {
                            Audience::All { except } => 4 * except.len(),
                            Audience::Connections(numbers) => 4 * numbers.len(),
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
                Self::Adopt { newcomer, identity, .. } => {
                    newcomer.handshake.as_ref().map_or(0, |handshake| handshake.weight())
                        + identity.as_ref().map_or(0, |identity| identity.weight())
                }
                Self::Destroy { .. }
                | Self::GiveUp { .. }
                | Self::Ask(_)
                | Self::ReadOn
                | Self::Shrink
                | Self::Configure(_)
                | Self::Recount(_)
                | Self::Stop { .. } => 0,
            }
    }
}
