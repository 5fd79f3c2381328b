//! What a shard is told.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::Bytes;
use rustls::ServerConnection;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::Settings;
use super::claim::NameClaim;
use super::event_sink::Handshake;
use super::identity::ClaimedIdentity;
use super::membership::TooManyGroups;
use super::session::{SessionError, Snapshot};
use super::state::Clients;
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
    Configure(Arc<Settings>),
    /// Replace everybody's place.
    Recount(PlaceOf),
    /// Close everybody, evenly `over` some time, then end the thread, at the latest `patience` later. The newest one counts.
    Stop {
        over: std::time::Duration,
        patience: std::time::Duration,
    },
}

#[derive(PartialEq, Eq)]
pub(crate) enum Audience {
    All { except: Except },
    Connections(SmallVec<[u32; 4]>),
    Uids(SmallVec<[Name; 1]>),
    Groups { groups: SmallVec<[Name; 1]>, except: Except },
}

impl Audience {
    /// Connections of a part.
    pub(super) const PART: usize = 4096;

    /// In how many parts it is told one after the other, each of which has no more receivers than there are clients.
    pub(super) fn parts(&self) -> usize {
        match self {
            Self::All { .. } => 1,
            Self::Connections(numbers) => numbers.len().div_ceil(Self::PART),
            Self::Uids(uids) => uids.len(),
            Self::Groups { groups, .. } => groups.len(),
        }
    }
}

/// What is kept about a client.
pub(crate) enum Change {
    Bind {
        uid: NameClaim,
    },
    Unbind,
    Join {
        group: NameClaim,
        back: oneshot::Sender<Result<(), TooManyGroups>>,
    },
    Leave {
        group: Name,
    },
    SetSession {
        serialized: Bytes,
    },
    /// `back` is told what to merge elsewhere instead, if that is much and `in_shard` does not want it here all the same.
    UpdateSession {
        changes: Bytes,
        in_shard: bool,
        back: oneshot::Sender<Result<Option<Snapshot>, SessionError>>,
    },
    /// What was merged elsewhere; `back` is told whether the session is still what it was merged with.
    ReplaceSession {
        before: Snapshot,
        merged: Arc<[u8]>,
        back: oneshot::Sender<bool>,
    },
}

/// Looks at the clients and sends what it saw to whoever asked.
pub(super) type Question = Box<dyn FnOnce(&Clients) + Send>;

/// Connections left out of a broadcast, sorted.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Except(Option<Arc<[u32]>>);

impl Except {
    pub(crate) fn new(mut numbers: Vec<u32>) -> Self {
        numbers.sort_unstable();
        Self((!numbers.is_empty()).then(|| numbers.into()))
    }

    pub(super) fn has(&self, number: u32) -> bool {
        self.0.as_ref().is_some_and(|numbers| numbers.binary_search(&number).is_ok())
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |numbers| numbers.len())
    }
}

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
