//! What the stream holds, which is asked for from time to time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::news;
use super::shared::Shared;
use super::stream;

/// How often the bytes of the stream are asked for while messages are stored.
const BUSY_PERIOD: Duration = Duration::from_secs(1);
/// How often they are asked for else, and whether the stream is still the same.
const IDLE_PERIOD: Duration = Duration::from_secs(5);
/// How often messages and uids are counted.
const COUNT_PERIOD: Duration = Duration::from_secs(30);

/// Keeps the figures of the store up to date, and has the news asked for anew when the stream is another.
pub(super) async fn watch(shared: Arc<Shared>, again: Arc<Notify>) {
    let (mut asked, mut counted) = (Instant::now(), None::<Instant>);
    loop {
        if counted.is_none_or(|counted| counted.elapsed() >= COUNT_PERIOD) {
            counted = Some(Instant::now());
            let names = &shared.names;
            let (uids, messages, notices) = (names.records(), names.news(), names.notices());
            if let (Ok(uids), Ok(messages), Ok(notices)) = tokio::join!(
                news::count(&shared, &uids),
                news::count(&shared, &messages),
                news::count(&shared, &notices)
            ) {
                shared.count(uids, messages, notices);
            }
        }
        tokio::time::sleep(BUSY_PERIOD).await;
        if !shared.was_changed() && asked.elapsed() < IDLE_PERIOD {
            continue;
        }
        asked = Instant::now();
        if let Ok(state) = stream::state(&shared.api).await {
            shared.take_bytes(&state);
            if state.seed != shared.seed() {
                again.notify_one();
            }
        }
    }
}
