//! The event sink of a shard that tells the questions of answers, and of clients that go.

use std::sync::Arc;

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::client_protocol::AskId;

use super::questions::Asks;
use crate::shard::event_sink::{Client, EventSink, Handshake, Welcome};

/// Tells the questions what they have to know of a shard's events, all of which go on to another sink.
pub(in crate::hub) struct AskingSink {
    sink: Box<dyn EventSink>,
    asks: Arc<Asks>,
}

impl AskingSink {
    pub(in crate::hub) fn around(sink: Box<dyn EventSink>, asks: &Arc<Asks>) -> Box<dyn EventSink> {
        Box::new(Self { sink, asks: Arc::clone(asks) })
    }
}

impl EventSink for AskingSink {
    fn connected(&mut self, client: &Client<'_>, handshake: Option<Box<Handshake>>) -> Welcome {
        self.sink.connected(client, handshake)
    }

    fn moved(&mut self, client: &Client<'_>, old: ClientId) -> Welcome {
        self.sink.moved(client, old)
    }

    fn message(&mut self, client: &Client<'_>, message: &[u8]) {
        self.sink.message(client, message);
    }

    fn answered(&mut self, client: &Client<'_>, id: AskId, answer: &str) {
        self.asks.answered(client.connection_id, id, answer.as_bytes());
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.asks.gone(client.connection_id);
        self.sink.closed(client);
    }

    fn moved_away(&mut self, client: &Client<'_>) {
        self.asks.gone(client.connection_id);
        self.sink.moved_away(client);
    }

    fn takes_more(&mut self, connection_id: u32) -> bool {
        self.sink.takes_more(connection_id)
    }

    fn export(&self, connection_id: u32) -> Option<Bytes> {
        self.sink.export(connection_id)
    }

    fn restore(&mut self, client: &Client<'_>, exported: &[u8]) {
        self.sink.restore(client, exported);
    }
}
