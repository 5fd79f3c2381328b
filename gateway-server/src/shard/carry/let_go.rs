//! What the old process does with a shard once the new one has its clients.

use super::super::state::Shard;
use super::write::RelayEnds;
use crate::relay::RelayedClient;

impl Shard {
    /// Gives the TLS clients that have these ends of pairs, and forgets their sockets.
    pub(in crate::shard) fn take_relayed(&mut self, relay_ends: RelayEnds) -> Vec<RelayedClient> {
        let Self { clients, registry, .. } = self;
        let relayed = relay_ends.into_iter().filter_map(|(key, pair)| {
            let connection = clients.connections.get_mut(key)?;
            let mut tcp = connection.socket.take()?;
            let _ = registry.deregister(&mut tcp);
            connection.is_tls = false;
            let tls = connection.existing_extra_mut()?.rare_mut().tls.take()?;
            Some(RelayedClient { tcp, tls, pair })
        });
        relayed.collect()
    }

    /// Closes this process's descriptors of the sockets, as the peer of a socket is told of its end only when nobody has it any
    /// more, and gives the memory of the clients back. Nobody is told that the clients have gone.
    pub(in crate::shard) fn let_go(&mut self) {
        self.forget_packed();
        for (_, connection) in self.clients.let_go() {
            if let Some(mut socket) = connection.socket {
                // Closing alone would leave the socket in epoll, as the other process has it too.
                let _ = self.registry.deregister(&mut socket);
            }
        }
        self.clients.resume.let_go();
        self.read_on.clear();
        self.paused.clear();
        self.closing.clear();
        self.untold.clear();
    }
}
