//! The end of clients whose TLS an earlier process carries, when that has lasted for long enough.

use super::connection::{Connection, Phase};
use super::state::Shard;
use crate::net::relay_of;
use crate::protocol::close;

impl Shard {
    /// Closes some of the clients whose TLS is carried by the process with this number, `most` at most. Those that may come back are
    /// parked.
    pub(super) fn close_relayed(&mut self, relay: u32, most: usize) {
        let is_relayed = |connection: &Connection| {
            // The address of every relayed client is noted, so others cost no call of the system.
            connection.phase == Phase::Open
                && connection.has_own_address()
                && connection.socket.as_ref().and_then(relay_of) == Some(relay)
        };
        let clients = self.clients.connections.iter().filter(|(_, connection)| is_relayed(connection));
        let keys: Vec<usize> = clients.map(|(key, _)| key).take(most).collect();
        for key in keys {
            self.close(key, close::COME_BACK, Phase::Closing);
        }
    }
}
