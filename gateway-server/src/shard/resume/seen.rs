//! What a client of the subprotocol `gateway.2` says besides its application's messages, and what it is told of them.

use std::time::Instant;

use bytes::Bytes;
use gateway_wire::client_protocol::{AskId, Control, ControlError, Header, InboxPosition, may_be_control};

use super::super::clients::Clients;
use super::super::state::Shard;
use super::super::write_batch::WriteBatch;
use super::ResumeState;
use crate::protocol::websocket::{self, MessageKind};

/// The number of control pings of one read that are answered one by one. Further ones are answered together.
const PONGS_IN_A_ROW: usize = 64;

/// What one read of a client has brought so far.
#[derive(Default)]
pub(in crate::shard) struct Heard {
    /// Why the client is closed, if it has sent control that cannot be.
    pub(in crate::shard) error: Option<ControlError>,
    /// The control that answers the newest message, if any does.
    reply: Option<Control>,
    pings: usize,
}

/// A message of a client, as those get it whom it is for.
pub(in crate::shard) enum Message<'m> {
    Application(&'m [u8]),
    /// The answer to a question.
    Answer(AskId, &'m str),
    /// The page has handled all messages of its inbox up to here.
    Got(InboxPosition),
    /// The page's user has read a message of the inbox.
    Read(InboxPosition),
}

impl ResumeState {
    /// Takes a message of a client. Gives `None` if it is for the server alone.
    pub(in crate::shard) fn hear<'m>(
        &mut self,
        key: usize,
        kind: MessageKind,
        message: &'m [u8],
        heard: &mut Heard,
    ) -> Option<Message<'m>> {
        if heard.error.is_some() {
            return None;
        }
        let now = self.now();
        // The decoder has checked that text is UTF-8.
        let text =
            (kind == MessageKind::Text && may_be_control(message)).then(|| str::from_utf8(message).ok());
        let Some(text) = text.flatten() else {
            heard.reply =
                self.change(key, |record, _| record.take(message.len(), now)).flatten().or(heard.reply);
            return Some(Message::Application(message));
        };
        match self.receive(key, text, now) {
            Ok(received) => {
                let is_ping = received.reply == Some(Control::Pong);
                heard.pings += usize::from(is_ping);
                heard.reply = received.reply.or(heard.reply);
                let message = received.message.map(|text| Message::Application(text.as_bytes()));
                message.or(match received.header {
                    Some(Header::Answer(id, answer)) => Some(Message::Answer(id, answer)),
                    Some(Header::Got(at)) => Some(Message::Got(at)),
                    Some(Header::Read(at)) => Some(Message::Read(at)),
                    // Only a server says these.
                    Some(Header::Ask(..) | Header::Inbox(_) | Header::Lost(_)) | None => None,
                })
            }
            Err(error) => {
                heard.error = Some(error);
                None
            }
        }
    }
}

impl Heard {
    /// Takes the control message that is to be sent now. `is_last` says that nothing more was read.
    pub(in crate::shard) fn reply(&mut self, is_last: bool) -> Option<Control> {
        self.reply.take_if(|reply| is_last || *reply != Control::Pong || self.pings <= PONGS_IN_A_ROW)
    }
}

/// The frame of a control message.
pub(in crate::shard) fn control_frame(control: Control) -> Bytes {
    websocket::message(MessageKind::Text, control.to_string().as_bytes())
}

impl Clients {
    /// Adds a control message to what the client gets in this turn.
    pub(in crate::shard) fn tell(&mut self, key: usize, control: Control, turn: &mut WriteBatch) {
        let frame = turn.add_frame(control_frame(control));
        turn.link(key, &mut self.connections[key].pending, frame);
    }
}

impl Shard {
    /// Notes when the client has to be told of messages that it has sent, if it has sent any.
    pub(in crate::shard) fn note_untold(&mut self, key: usize) {
        let resume = &mut self.clients.resume;
        let Some(due) = resume.change(key, |record, _| record.note()).flatten() else { return };
        let connection_id = self.clients.connections[key].connection_id;
        self.untold.push_back((resume.start + due, key, connection_id));
    }

    /// Tells clients of messages that they have sent some time ago.
    pub(in crate::shard) fn tell_untold(&mut self, now: Instant) {
        while let Some((at, key, connection_id)) = self.untold.front().copied()
            && at <= now
        {
            self.untold.pop_front();
            // The key may belong to another client by now.
            let Some(connection) = self.clients.connections.get(key) else { continue };
            if connection.connection_id != connection_id {
                continue;
            }
            let elapsed = now.saturating_duration_since(self.clients.resume.start);
            let due = self.clients.resume.change(key, |record, _| record.due(elapsed)).flatten();
            // A parked client is told when it comes back.
            if let Some(control) = due
                && self.clients.connections[key].is_connected()
            {
                self.clients.tell(key, control, &mut self.turn);
            }
            self.note_untold(key);
        }
    }
}
