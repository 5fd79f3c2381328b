//! The routing of orders: which clients one concerns, and its parts for some of them.

use smallvec::smallvec;

use super::{Names, Order, PhpStr, Query};
use crate::ClientId;

/// The clients that an order concerns, as far as it says so itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route<'o, 'a> {
    /// The order may concern clients of all nodes.
    Everybody,
    /// The order concerns one client.
    Client(ClientId),
    /// The order concerns the clients of `only` that are not in `except`.
    Clients {
        /// The clients that the order names.
        only: &'o [ClientId],
        /// The clients that it leaves out, whether or not `only` names them.
        except: &'o [ClientId],
    },
    /// The order concerns the clients that are bound to one of these uids.
    Uids(&'o [PhpStr<'a>]),
    /// The order concerns the members of these groups.
    Groups(&'o [PhpStr<'a>]),
}

/// Bytes that a client's id takes in a call, about: 10, and a head of 2.
const ID: usize = 12;

impl<'a> Order<'a> {
    /// Tells whom the order concerns.
    pub fn route(&self) -> Route<'_, 'a> {
        match self {
            Self::SendToAll { only: Some(only), except, .. }
            | Self::Send { only: Some(only), except, .. } => Route::Clients { only, except },
            Self::SendToUids { uids, .. } | Self::CloseUids { uids, .. } => Route::Uids(uids),
            Self::Send { uids: Some(uids), .. } => Route::Uids(uids),
            Self::SendToGroups { groups, .. } => Route::Groups(groups),
            Self::Send { groups: Some(groups), .. } => Route::Groups(groups),
            Self::Ungroup { group } => Route::Groups(std::slice::from_ref(group)),
            Self::Deliver { uid, .. } | Self::Forget { uid } => Route::Uids(std::slice::from_ref(uid)),
            Self::SendTracked { client: Some(client), .. } => Route::Client(*client),
            Self::SendTracked { uids: Some(names), .. } => Route::Uids(names),
            Self::SendTracked { groups: Some(names), .. } => Route::Groups(names),
            Self::SendToAll { .. } | Self::Send { .. } | Self::SendTracked { .. } => Route::Everybody,
            Self::BindUid { client, .. }
            | Self::JoinGroup { client, .. }
            | Self::UpdateSession { client, .. }
            | Self::SendToClient { client, .. }
            | Self::Close { client, .. }
            | Self::UnbindUid { client }
            | Self::LeaveGroup { client, .. }
            | Self::Destroy { client }
            | Self::SetSession { client, .. } => Route::Client(*client),
            Self::Never(never, _) => match *never {},
        }
    }

    /// Tells whether the order may fail at the client's node. Its sender waits for the result, and carries out nothing of the same PHP
    /// process before it has it.
    pub fn is_awaited(&self) -> bool {
        matches!(self, Self::BindUid { .. } | Self::JoinGroup { .. } | Self::UpdateSession { .. })
    }

    /// Tells whether the order takes effect on disk, which is waited for.
    pub fn is_durable(&self) -> bool {
        matches!(self, Self::Deliver { .. } | Self::Forget { .. })
    }

    /// Makes the part of the order for `clients`, some of those that it concerns. The caller has already taken out the clients that
    /// the order leaves out by their ids, so the part does not name them again.
    pub fn for_clients(&self, clients: Vec<ClientId>) -> Self {
        let (only, except) = (Some(clients), Vec::new());
        match self {
            Self::SendToAll { message, raw, .. } => Self::SendToAll { message, only, except, raw: *raw },
            Self::Send { message, except_groups, raw, kind, .. } => {
                let (except_groups, raw, kind) = (except_groups.clone(), *raw, *kind);
                Self::Send { message, only, uids: None, groups: None, except, except_groups, raw, kind }
            }
            other => other.clone(),
        }
    }

    /// Makes the order for `client` of an order that concerns one client. Any other order stays as it is.
    pub fn for_client(&self, client: ClientId) -> Self {
        let mut order = self.clone();
        match &mut order {
            Self::BindUid { client: its, .. }
            | Self::JoinGroup { client: its, .. }
            | Self::UpdateSession { client: its, .. }
            | Self::SendToClient { client: its, .. }
            | Self::Close { client: its, .. }
            | Self::UnbindUid { client: its }
            | Self::LeaveGroup { client: its, .. }
            | Self::Destroy { client: its }
            | Self::SetSession { client: its, .. }
            | Self::SendTracked { client: Some(its), .. } => *its = client,
            _ => {}
        }
        order
    }

    /// Makes the part of the order for `name`, one of the uids or groups that it concerns.
    pub fn for_name(&self, name: PhpStr<'a>) -> Self {
        let one = || -> Names<'a> { smallvec![name] };
        match self {
            Self::SendToUids { message, raw, .. } => Self::SendToUids { uids: one(), message, raw: *raw },
            Self::CloseUids { last, .. } => Self::CloseUids { uids: one(), last: *last },
            Self::SendToGroups { message, except, raw, .. } => {
                Self::SendToGroups { groups: one(), message, except: except.clone(), raw: *raw }
            }
            Self::Send { message, only, uids, groups, except, except_groups, raw, kind } => Self::Send {
                message,
                only: only.clone(),
                uids: uids.as_ref().map(|_| vec![name]),
                groups: groups.as_ref().map(|_| vec![name]),
                except: except.clone(),
                except_groups: except_groups.clone(),
                raw: *raw,
                kind: *kind,
            },
            Self::SendTracked { id, message, client, uids, groups, except, asks } => Self::SendTracked {
                id: *id,
                message,
                client: *client,
                uids: uids.as_ref().map(|_| vec![name]),
                groups: groups.as_ref().map(|_| vec![name]),
                except: except.clone(),
                asks: *asks,
            },
            other => other.clone(),
        }
    }

    /// Counts, about, the bytes that every part of the order repeats: its message, and whom it leaves out.
    pub fn repeated_bytes(&self) -> usize {
        match self {
            Self::SendToAll { message, .. } | Self::SendToUids { message, .. } => message.len(),
            Self::SendToGroups { message, except, .. } => message.len() + ID * except.len(),
            Self::Send { message, only, except, except_groups, .. } => {
                let groups: usize = except_groups.iter().map(|group| group.len()).sum();
                // The parts for single clients need not say whom they leave out.
                let except = if only.is_some() { 0 } else { ID * except.len() };
                message.len() + groups + except
            }
            Self::SendTracked { message, except, .. } => message.len() + ID * except.len(),
            Self::CloseUids { last, .. } => last.map_or(0, |last| last.len()),
            _ => 0,
        }
    }
}

impl Query<'_> {
    /// Makes the query about `client` of a query about one client. Any other query stays as it is.
    pub fn for_client(&self, client: ClientId) -> Self {
        let mut query = self.clone();
        match &mut query {
            Self::IsOnline { client: its }
            | Self::UidOfClient { client: its }
            | Self::ProofOfClient { client: its }
            | Self::ClientInfo { client: its }
            | Self::Session { client: its } => *its = client,
            _ => {}
        }
        query
    }

    /// Gives the client that the query asks about, whose node alone answers it. It gives `None` for a query about uids, groups or all
    /// clients.
    pub fn client(&self) -> Option<ClientId> {
        match self {
            Self::IsOnline { client }
            | Self::UidOfClient { client }
            | Self::ProofOfClient { client }
            | Self::ClientInfo { client }
            | Self::Session { client } => Some(*client),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use serde_bytes::Bytes;

    use super::super::{Call, Request};
    use super::*;

    fn client(number: u32) -> ClientId {
        ClientId::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 2900), number)
    }

    fn tracked<'a>(
        client: Option<ClientId>,
        uids: Option<Vec<PhpStr<'a>>>,
        groups: Option<Vec<PhpStr<'a>>>,
    ) -> Order<'a> {
        Order::SendTracked {
            id: 1,
            message: Bytes::new(b"m"),
            client,
            uids,
            groups,
            except: vec![],
            asks: true,
        }
    }

    #[test]
    fn what_concerns_one_client_can_be_made_to_concern_another() {
        let name = Bytes::new(b"n");
        let before = client(1);
        for order in [
            Order::BindUid { client: before, uid: name },
            Order::JoinGroup { client: before, group: name },
            Order::UpdateSession { client: before, changes: name },
            Order::SendToClient { client: before, message: name, raw: false },
            Order::Close { client: before, last: None },
            Order::UnbindUid { client: before },
            Order::LeaveGroup { client: before, group: name },
            Order::Destroy { client: before },
            Order::SetSession { client: before, session: name },
            tracked(Some(before), None, None),
        ] {
            assert_eq!(order.route(), Route::Client(before));
            assert_eq!(order.for_client(client(2)).route(), Route::Client(client(2)), "{order:?}");
        }
        for query in [
            Query::IsOnline { client: before },
            Query::UidOfClient { client: before },
            Query::ProofOfClient { client: before },
            Query::ClientInfo { client: before },
            Query::Session { client: before },
        ] {
            assert_eq!(query.for_client(client(2)).client(), Some(client(2)), "{query:?}");
        }
    }

    #[test]
    fn a_part_concerns_those_alone_for_whom_it_is() {
        let message = Bytes::new(b"m");
        let (a, b) = (Bytes::new(b"a"), Bytes::new(b"b"));
        let uids = Order::SendToUids { uids: smallvec![a, b], message, raw: false };
        assert_eq!(uids.route(), Route::Uids(&[a, b]));
        assert_eq!(uids.for_name(b).route(), Route::Uids(&[b]));
        let groups =
            Order::SendToGroups { groups: smallvec![a, b], message, except: vec![client(1)], raw: true };
        let Order::SendToGroups { groups: part, except, raw, .. } = groups.for_name(a) else { panic!() };
        assert_eq!((&part[..], except, raw), (&[a][..], vec![client(1)], true));

        let send = |only, uids, groups| Order::Send {
            message,
            only,
            uids,
            groups,
            except: vec![client(2)],
            except_groups: vec![b],
            raw: false,
            kind: 1,
        };
        let some = send(Some(vec![client(1), client(2)]), None, None);
        let Route::Clients { only, except } = some.route() else { panic!() };
        assert_eq!((only, except), (&[client(1), client(2)][..], &[client(2)][..]));
        let Order::Send { only, except, except_groups, kind, .. } = some.for_clients(vec![client(1)]) else {
            panic!()
        };
        assert_eq!((only, except, except_groups, kind), (Some(vec![client(1)]), vec![], vec![b], 1));
        assert_eq!((some.repeated_bytes(), send(None, None, None).repeated_bytes()), (2, 2 + ID));
        assert_eq!(send(None, Some(vec![a]), None).for_name(b).route(), Route::Uids(&[b]));
        assert_eq!(send(None, None, Some(vec![a])).for_name(b).route(), Route::Groups(&[b]));
        assert_eq!(send(None, None, None).route(), Route::Everybody);
        assert_eq!(tracked(None, Some(vec![a, b]), None).for_name(b).route(), Route::Uids(&[b]));
        assert_eq!(tracked(None, None, Some(vec![a, b])).for_name(a).route(), Route::Groups(&[a]));
        assert_eq!(tracked(None, None, Some(vec![a])).repeated_bytes(), 1);
        assert_eq!(Order::Ungroup { group: a }.route(), Route::Groups(&[a]));
        assert_eq!(Order::Destroy { client: client(7) }.route(), Route::Client(client(7)));
    }

    #[test]
    fn the_content_of_a_call_reads_as_the_call() {
        let order = Order::CloseUids { uids: smallvec![Bytes::new(b"a")], last: Some(Bytes::new(b"bye")) };
        let content = order.encode_content(7).unwrap();
        let request = Request::decode(&content).unwrap();
        assert_eq!(request.seq, 7);
        let Call::Order(Order::CloseUids { uids, last }) = request.call else { panic!() };
        assert_eq!((&uids[..], last), (&[Bytes::new(b"a")][..], Some(Bytes::new(b"bye"))));
    }

    #[test]
    fn what_may_fail_is_awaited() {
        let (client, uid) = (client(1), Bytes::new(b"u"));
        assert!(
            Order::BindUid { client, uid }.is_awaited()
                && Order::JoinGroup { client, group: uid }.is_awaited()
        );
        assert!(
            !Order::UnbindUid { client }.is_awaited()
                && !Order::SetSession { client, session: uid }.is_awaited()
        );
    }
}
