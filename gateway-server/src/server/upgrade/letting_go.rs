//! The end of the shards of an old process, once the new one has their clients: thousands of descriptors are closed. The new process
//! reads all its clients at the same time, and on a machine with few processors it is to have them first.

use std::sync::mpsc::{self, SendError};
use std::thread::{self, JoinHandle};

use crate::hub::FrozenHub;
use crate::system::allocator::trim_heap;
use crate::system::priority::give_way;

/// Shards that are let go in a thread of their own.
pub(crate) struct LettingGo(Option<JoinHandle<()>>);

impl LettingGo {
    /// Begins to let the shards go. Without a thread for that it is done when this returns: shards that were dropped would thaw.
    pub(super) fn begin(frozen: FrozenHub) -> Self {
        // The new process takes more memory as soon as it serves.
        frozen.forget();
        trim_heap();
        let (give, taken) = mpsc::channel::<FrozenHub>();
        let let_go = move || {
            give_way();
            if let Ok(frozen) = taken.recv() {
                frozen.stay_frozen();
            }
        };
        let thread = thread::Builder::new().name("letting-go".to_owned()).spawn(let_go);
        if let Err(SendError(frozen)) = give.send(frozen) {
            frozen.stay_frozen();
        }
        Self(thread.ok())
    }

    /// Waits until it is done. A process that ended before would close the rest at once.
    pub(crate) async fn done(self) {
        // A panic was told of, and nothing depends on this any more.
        let _ = tokio::task::spawn_blocking(move || self.0.map(JoinHandle::join)).await;
    }
}
