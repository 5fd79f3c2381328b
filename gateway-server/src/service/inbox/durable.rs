//! Orders that take effect on disk.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::bridge::{Order, PhpStr, Producer, kind};

use crate::inbox::model::{NewDevice, NewMessage};
use crate::inbox::request::Unavailable;
use crate::inbox::store::{Operation, Outcome, StoreError};
use crate::inbox::writer::WriterHandle;
use crate::protocol::websocket::MessageKind;
use crate::service::{Gateway, OrderError};

/// How long an order waits for room in the queue of the store.
const ROOM: Duration = Duration::from_secs(2);
/// How often it looks for that.
const LOOK: Duration = Duration::from_millis(2);
/// How long the store may take to write an order. After that nobody knows whether it is written.
const PATIENCE: Duration = Duration::from_secs(10);

/// The result of an order that takes effect on disk, once it is there.
pub type Kept = std::pin::Pin<Box<dyn Future<Output = Result<(), OrderError>> + Send>>;

impl Gateway {
    /// The store of messages for users who are not there, if there is one.
    pub fn inbox(&self) -> Option<&WriterHandle> {
        self.inbox.as_ref()
    }

    /// Hands an order to the store, and gives its result to come. Orders are carried out in the sequence in which they were handed over.
    /// With the process and the number that it gave the order, the order takes effect once however often it comes.
    pub async fn keep(&self, order: &Order<'_>, producer: Option<(Producer, u64)>) -> Kept {
        match self.operation(order, producer) {
            Err(refused) => Box::pin(std::future::ready(Err(refused))),
            Ok((inbox, operation)) => {
                if let Order::Deliver { uid, .. } = order {
                    // A client that was bound before gets the message as one that is new. Without shards there is nobody to wait for.
                    let _ = self.hub.wait_for_holders(uid).await;
                }
                room(inbox).await;
                let outcome = inbox.apply(vec![operation]);
                // Several orders are waited for one after the other, and all of them from now on.
                let deadline = tokio::time::Instant::now() + PATIENCE;
                Box::pin(async move {
                    match tokio::time::timeout_at(deadline, outcome).await {
                        Ok(Ok(outcomes)) => result(&outcomes),
                        Ok(Err(unavailable @ Unavailable::Store(StoreError::Unanswered(_)))) => {
                            Err(OrderError::Refused(format!(
                                "{unavailable}: deliver it again with the same id later"
                            )))
                        }
                        Ok(Err(unavailable)) => Err(OrderError::Refused(not_kept(&unavailable))),
                        Err(_) => Err(OrderError::Refused(unknown())),
                    }
                })
            }
        }
    }

    fn operation(
        &self,
        order: &Order<'_>,
        producer: Option<(Producer, u64)>,
    ) -> Result<(&WriterHandle, Operation), OrderError> {
        let inbox = self.inbox.as_ref().ok_or_else(|| OrderError::Refused(no_store()))?;
        let text = |text: PhpStr| String::from_utf8_lossy(text).into_owned().into_boxed_str();
        let operation = match order {
            Order::Deliver { uid, id, message, ttl, replace, for_new_devices, kind } => {
                let is_binary = match *kind {
                    kind::TEXT => false,
                    kind::BINARY => true,
                    _ => self.message_kind == MessageKind::Binary,
                };
                let message = NewMessage {
                    uid: Bytes::copy_from_slice(uid),
                    id: text(id),
                    payload: Bytes::copy_from_slice(message),
                    is_binary,
                    ttl: *ttl,
                    replace: replace.map(text),
                    new_device: if *for_new_devices { NewDevice::All } else { NewDevice::Unacknowledged },
                    producer: producer.map(|(producer, number)| (producer.0, number)),
                };
                message.check().map_err(|refusal| OrderError::Refused(refusal.to_string()))?;
                Operation::Deliver(message)
            }
            Order::Forget { uid } => Operation::Forget { uid: Bytes::copy_from_slice(uid) },
            _ => return Err(OrderError::Refused("the order has nothing to do with the inbox".to_owned())),
        };
        Ok((inbox, operation))
    }
}

/// Waits until the queue of the store has room, for a while. What comes faster than the disk takes it is slowed down by that.
async fn room(inbox: &WriterHandle) {
    let start = Instant::now();
    while !inbox.has_room() && start.elapsed() < ROOM {
        tokio::time::sleep(LOOK).await;
    }
}

fn result(outcomes: &[Outcome]) -> Result<(), OrderError> {
    match outcomes {
        [Outcome::Refused(refusal)] => Err(OrderError::Refused(refusal.to_string())),
        _ => Ok(()),
    }
}

/// Says that an order has not taken effect.
pub(super) fn not_kept(unavailable: &Unavailable) -> String {
    format!("the inbox has kept nothing of it: {unavailable}")
}

/// Says that there is no store.
pub(super) fn no_store() -> String {
    "this server keeps no messages for users who are not there: its setting `store` names no file".to_owned()
}

fn unknown() -> String {
    "the disk of the inbox does not answer, and whether the message is kept is not known: deliver it again with the same id later"
        .to_owned()
}
