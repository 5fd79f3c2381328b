//! A message of which PHP asks afterwards what has become of it.

use gateway_wire::ClientId;
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;

/// Whom the message goes to: a client, or else groups, or else uids.
#[derive(Clone, Copy, Default)]
pub struct TrackedSend<'a> {
    pub client: Option<ClientId>,
    pub uids: &'a [&'a str],
    pub groups: &'a [&'a str],
    pub except: &'a [ClientId],
    /// Whether it is a question that pages answer.
    pub asks: bool,
}

impl<'a> TrackedSend<'a> {
    /// The order by which PHP sends it, under a number that queries name.
    pub fn order(self, id: u64, message: &'a str) -> Order<'a> {
        let Self { client, uids, groups, except, asks } = self;
        let bytes = |text: &'a str| Bytes::new(text.as_bytes());
        let all = |names: &[&'a str]| names.iter().map(|name| bytes(name)).collect::<Vec<_>>();
        let to_groups = client.is_none() && !groups.is_empty();
        Order::SendTracked {
            id,
            message: bytes(message),
            client,
            uids: (client.is_none() && !to_groups).then(|| all(uids)),
            groups: to_groups.then(|| all(groups)),
            except: except.to_vec(),
            asks,
        }
    }
}
