//! Brings to the clients of this node what the inbox has for them.

use std::sync::Arc;

use gateway_wire::client_protocol::{InboxLoss, InboxPosition, inbox_message};
use tokio::runtime::Handle;

use crate::hub::Hub;
use crate::inbox::delivery::{Content, Post, Sending};
use crate::protocol::Encoded;
use crate::protocol::websocket::MessageKind;
use crate::shard::{Name, Stopped};

/// Sends through the hub, in the thread of the store.
pub struct HubPost {
    hub: Arc<Hub>,
    runtime: Handle,
}

impl HubPost {
    /// Makes the post. It is made within the runtime, in which the hub waits where it has to.
    pub fn new(hub: Arc<Hub>) -> Self {
        Self { hub, runtime: Handle::current() }
    }

    async fn send_one(&self, sending: Sending) -> Result<(), Stopped> {
        let wanted = self.hub.wanted();
        let frame = match sending.content {
            Content::Message { is_new, epoch, seq, id, payload, .. } if sending.is_for_pages => {
                let text = inbox_message(is_new, InboxPosition { epoch, seq }, &id, &payload);
                Encoded::with_header(&text, wanted)
            }
            Content::Message { payload, is_binary, .. } => {
                let kind = if is_binary { MessageKind::Binary } else { MessageKind::Text };
                Encoded::new(kind, &payload, wanted)
            }
            Content::Lost { epoch, count } => {
                Encoded::with_header(InboxLoss { epoch, count }.to_string().as_bytes(), wanted)
            }
        };
        self.hub.send_to_bound(frame, &Name::from_slice(&sending.uid), &sending.connections).await
    }
}

impl Post for HubPost {
    fn send(&mut self, sendings: Vec<Sending>) {
        self.runtime.block_on(async {
            for sending in sendings {
                // A shard that has ended has no clients any more; those that come back get what waits for them.
                let _ = self.send_one(sending).await;
            }
        });
        self.hub.flush();
    }

    fn taken(&mut self, connections: Vec<u32>) -> Vec<u32> {
        self.runtime.block_on(self.hub.written(&connections)).unwrap_or_default()
    }
}
