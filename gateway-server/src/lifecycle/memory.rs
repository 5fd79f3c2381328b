//! Gives memory back to the system after many clients have gone, or when much of it lies free.

use std::time::Duration;

use tokio::task::spawn_blocking;

use crate::hub::Hub;
use crate::system::allocator::{Heap, heap, trim_heap};

/// How often the clients are counted.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// The smallest peak of clients after which memory is given back.
const MANY: usize = 1_000;
/// The smallest number of free bytes that are given back without such a peak.
const MUCH: usize = 16 << 20;

/// Watches until the shards have ended.
pub async fn watch(hub: &Hub) {
    // How many clients were left when a peak was found to be over. If fewer are left at the next look, there is more to give
    // back.
    let mut left = None;
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let (Ok(peak), Ok(online)) = (hub.peak().await, hub.count(None).await) else { return };
        let has_thinned = is_over(peak, online) || left.is_some_and(|left| online < left);
        left = has_thinned.then_some(online);
        if has_thinned && hub.shrink().await.is_err() {
            return;
        }
        // Giving back walks through all free memory, so it runs in a thread where nobody waits for it.
        let _ = spawn_blocking(move || {
            if has_thinned || is_much(heap()) {
                trim_heap();
            }
        })
        .await;
    }
}

/// Whether more than half of the clients of a large peak have gone.
fn is_over(peak: usize, online: usize) -> bool {
    peak >= MANY && online < peak / 2
}

/// Whether much memory lies free, as handshakes and messages leave it behind.
fn is_much(heap: Heap) -> bool {
    heap.free >= MUCH && heap.free >= heap.used / 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_crowd_has_gone() {
        assert!(is_over(5_000, 2_400) && is_over(1_000, 0));
        assert!(!is_over(5_000, 2_600) && !is_over(900, 0));
    }

    #[test]
    fn little_is_not_worth_the_work() {
        let heap = |used: usize, free: usize| Heap { used: used << 20, free: free << 20 };
        assert!(is_much(heap(0, 16)) && is_much(heap(100, 25)));
        assert!(!is_much(heap(0, 15)) && !is_much(heap(100, 24)));
    }
}
