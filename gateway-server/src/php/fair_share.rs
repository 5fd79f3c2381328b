//! The bound on the work for one connection from PHP before other connections have their turn.

use crate::net::Turns;

/// The work that was done for a connection since other connections had their turn, in bytes that it sent and that it was
/// answered.
pub(super) struct Share {
    used: usize,
}

/// Bytes of a full share. It is enough for many small calls, and they take less than a millisecond.
const LARGEST: usize = 64 << 10;
/// The queue of connections that have used up their share. One of them goes on at a time.
static TURNS: Turns = Turns::new(1);

impl Default for Share {
    /// A new connection starts with a quarter of a share, as many may come at once.
    fn default() -> Self {
        Self { used: LARGEST / 4 * 3 }
    }
}

impl Share {
    pub(super) fn charge(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    /// True when other connections should have their turn.
    pub(super) fn is_used_up(&self) -> bool {
        self.used >= LARGEST
    }

    /// Waits for the connection's next turn if its share is used up, and starts a new share then.
    pub(super) async fn give_way(&mut self) {
        if self.is_used_up() {
            self.used = 0;
            TURNS.next().await;
        }
    }
}
