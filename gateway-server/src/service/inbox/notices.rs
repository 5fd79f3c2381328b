//! Tells PHP what has become of messages in the inbox: by a webhook, or else by workers.

use std::sync::Arc;
use std::time::Duration;

use gateway_wire::Backoff;
use tracing::{info, warn};

use crate::inbox::notices::{BATCH, BATCH_BYTES, Notice, NoticeDesk};
use crate::inbox::store::Operation;
use crate::inbox::writer::WriterHandle;
use crate::webhook::Webhook;

/// The notices that a worker is told together at most: all of them come again when it is killed meanwhile.
const OF_WORKER: usize = 50;
/// The pauses before a webhook that has failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The pause before a store that does not answer is asked again.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How often the store is asked although it has told of nothing.
const LOOK: Duration = Duration::from_secs(1);

/// Who is told.
pub enum Told {
    Webhook(Box<Webhook>),
    Workers(Arc<NoticeDesk>),
}

/// Takes notices from the store and tells them, one batch after the other, each until somebody has it.
pub struct NoticeTeller {
    inbox: WriterHandle,
    told: Told,
    backoff: Backoff,
    /// The number up to which notices are told.
    done: u64,
    /// The last number of a batch that was sent in vain. It is sent again as it was, under the same id.
    again: Option<u64>,
}

impl NoticeTeller {
    pub fn new(inbox: WriterHandle, told: Told) -> Self {
        let backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        Self { inbox, told, backoff, done: 0, again: None }
    }

    /// Does so for ever.
    pub async fn run(mut self) {
        loop {
            let most = match &self.told {
                Told::Webhook(_) => BATCH,
                Told::Workers(desk) => {
                    // A batch that the server process before this one has given out may be handled meanwhile.
                    self.done = self.done.max(desk.wanted().await);
                    OF_WORKER
                }
            };
            match self.inbox.notices(most, BATCH_BYTES).await {
                Ok(notices) if notices.is_empty() => {
                    // Other nodes of a cluster may have noted something, of which this one hears nothing.
                    let _ = tokio::time::timeout(LOOK, self.inbox.notices_come()).await;
                }
                Ok(notices) => self.tell(notices).await,
                // Who watches the store is told of that.
                Err(_) => tokio::time::sleep(STORE_PAUSE).await,
            }
        }
    }

    async fn tell(&mut self, mut notices: Vec<Notice>) {
        // What is told and could not be removed is not told again.
        notices.retain(|notice| notice.number > self.done);
        if let Some(last) =
            self.again.filter(|last| notices.first().is_some_and(|first| first.number <= *last))
        {
            notices.retain(|notice| notice.number <= last);
        }
        if let Some(last) = notices.last().map(|last| last.number)
            && let Err(pause) = self.hand_over(notices).await
        {
            self.again = Some(last);
            tokio::time::sleep(pause).await;
            return;
        }
        let up_to = self.done;
        if self.inbox.apply(vec![Operation::NoticesTold { up_to }]).await.is_err() {
            tokio::time::sleep(STORE_PAUSE).await;
        }
    }

    /// Tells a batch. An error is the pause before it is told again.
    async fn hand_over(&mut self, notices: Vec<Notice>) -> Result<(), Duration> {
        let (count, last) = (notices.len(), notices.last().map_or(0, |last| last.number));
        match &mut self.told {
            Told::Workers(desk) => {
                self.done = self.done.max(desk.offer(notices).await);
                if self.done < last { Err(Duration::ZERO) } else { Ok(()) }
            }
            Told::Webhook(webhook) => match webhook.tell(&notices).await {
                Ok(()) => {
                    if !self.backoff.is_fresh() {
                        info!("the webhook has taken what it is told again");
                    }
                    self.backoff.reset();
                    self.inbox.count_webhook(true);
                    self.done = last;
                    Ok(())
                }
                Err(reason) => {
                    if self.backoff.is_fresh() {
                        warn!(%reason, notices = count, "the webhook does not take what it is told, and is told again until it does");
                    }
                    self.inbox.count_webhook(false);
                    Err(self.backoff.next_pause(getrandom::u32().ok()))
                }
            },
        }
    }
}
