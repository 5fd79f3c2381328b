//! How much is done for one connection from PHP before others have their turn.

use crate::net::Turns;

/// What a connection has had done for it since others had their turn, in bytes that were read of it and that it was answered.
pub(super) struct Share {
    used: usize,
}

/// Many small calls, and less than a millisecond.
const LARGEST: usize = 64 << 10;
/// The queue of those who have used up their share.
static TURNS: Turns = Turns::new(1);

impl Default for Share {
    /// Little at first, as many may come at once.
    fn default() -> Self {
        Self { used: LARGEST / 4 * 3 }
    }
}

impl Share {
    pub(super) fn charge(&mut self, bytes: usize) {
        self.used = self.used.saturating_add(bytes);
    }

    /// Whether others are to have their turn.
    pub(super) fn is_used_up(&self) -> bool {
        self.used >= LARGEST
    }

    /// Lets others have their turn if the share is used up.
    pub(super) async fn give_way(&mut self) {
        if self.is_used_up() {
            self.used = 0;
            TURNS.next().await;
        }
    }
}
