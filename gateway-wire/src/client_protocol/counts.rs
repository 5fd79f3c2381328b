//! What both ends do with the messages of the other: they count them, and carry out control.

use std::time::Duration;

use super::control::{Control, Malformed, Text};
use super::received::ReceivedCount;
use super::sent::{SeenError, SentMessages};

/// The positions of one end in both directions. `M` is a message as it is kept to be sent again.
#[derive(Clone, Debug)]
pub(super) struct Counts<M> {
    pub(super) sent: SentMessages<M>,
    pub(super) received: ReceivedCount,
}

/// What is to be done with a text message of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The message for the application, or `None` when it is not for it.
    pub message: Option<&'a str>,
    /// The control message that is sent back.
    pub reply: Option<Control>,
}

/// Why a message of the other end is answered with a close frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It is control that cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It claims that more was seen than can have been.
    #[error(transparent)]
    Seen(#[from] SeenError),
}

impl<M> Default for Counts<M> {
    fn default() -> Self {
        Self { sent: SentMessages::default(), received: ReceivedCount::default() }
    }
}

impl<M> Counts<M> {
    /// Takes a text message.
    pub(super) fn receive<'a>(&mut self, text: &'a str, now: Duration) -> Result<Received<'a>, ControlError> {
        let (message, reply) = match Text::parse(text)? {
            Text::Application(message) => (Some(message), self.receive_binary(text.len(), now)),
            Text::UnknownHeader => (None, self.receive_binary(text.len(), now)),
            Text::Control(Control::Seen(count)) => {
                self.sent.seen(count)?;
                (None, None)
            }
            Text::Control(Control::Ping) => (None, Some(Control::Pong)),
            Text::Control(Control::Pong | Control::Unknown) => (None, None),
        };
        Ok(Received { message, reply })
    }

    /// Takes a binary message, which is always the application's. Gives the control message that is sent back.
    pub(super) fn receive_binary(&mut self, bytes: usize, now: Duration) -> Option<Control> {
        self.received.take(bytes, now).map(Control::Seen)
    }

    /// Gives the control message that is due because a message has waited for long.
    pub(super) fn due(&mut self, now: Duration) -> Option<Control> {
        self.received.due(now).map(Control::Seen)
    }
}
