//! The page's end: what a client that speaks `gateway.2` keeps over its connections.

use std::collections::VecDeque;
use std::time::Duration;

use super::control::Control;
use super::counts::{ControlError, Counts, Received};
use super::init::{GapReason, Init};
use super::resume_secret::{ResumeOffer, ResumeSecret};
use super::untold::SeenAfter;

/// A page's side of the protocol. `M` is a message as it is kept to be sent again.
#[derive(Clone, Debug)]
pub struct ClientEnd<M> {
    /// The positions. They keep the messages of the page that went out, until the server says that it has taken them.
    counts: Counts<M>,
    /// The messages that have never gone out.
    waiting: VecDeque<Waiting<M>>,
    /// The secret of the last init, or `None` where the client cannot be resumed.
    secret: Option<ResumeSecret>,
    /// True from an init to the end of its connection.
    is_open: bool,
    /// True once an init has come.
    has_lived: bool,
}

/// A message of the page that has never gone out.
#[derive(Clone, Debug)]
struct Waiting<M> {
    message: M,
    /// Whether it answers a question, which only the client that was asked can do.
    is_answer: bool,
}

/// What an init means for the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened<M> {
    /// The client is new, and so is the page: it has missed nothing.
    First,
    /// The client is the one that was here before, and what it missed follows.
    Recovered {
        /// Number of the server's messages that follow.
        missed: u64,
    },
    /// The client is a new one, and its page may have missed messages.
    Gap {
        /// Why, if the page asked for the old client.
        reason: Option<GapReason>,
        /// The page's own messages that may or may not have reached the server. They are not sent again.
        unconfirmed: Vec<M>,
    },
}

/// The error for an init that a server cannot mean.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedInit {
    /// The secret is not written as one.
    #[error(transparent)]
    Secret(#[from] super::resume_secret::MalformedResume),
    /// The count of the page's messages cannot be true.
    #[error(transparent)]
    Seen(#[from] super::counts::SeenError),
    /// The server resumes a client that there has not been.
    #[error("an init resumes a client that has not been")]
    NothingToResume,
}

impl<M> Default for ClientEnd<M> {
    fn default() -> Self {
        Self {
            counts: Counts::default(),
            waiting: VecDeque::new(),
            secret: None,
            is_open: false,
            has_lived: false,
        }
    }
}

impl<M: Clone> ClientEnd<M> {
    /// The offer for the next connection, if the client can be resumed.
    pub fn offer(&self) -> Option<ResumeOffer> {
        Some(ResumeOffer { secret: self.secret?, seen: self.counts.taken() })
    }

    /// The number of the server's messages that were taken since the client's life began.
    pub fn taken(&self) -> u64 {
        self.counts.taken()
    }

    /// The number of the page's messages that the server has said that it has taken since the client's life began.
    pub fn confirmed(&self) -> u64 {
        self.counts.seen()
    }

    /// The page's messages that went out and that the server has not confirmed, the oldest first.
    pub fn unconfirmed(&self) -> impl Iterator<Item = &M> {
        self.counts.entries().map(|(message, _)| message)
    }

    /// The page's messages that have never gone out, the oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = &M> {
        self.waiting.iter().map(|waiting| &waiting.message)
    }

    /// Takes the init of a new connection. Gives what it means, the control message to send, and the messages to send after it: those
    /// that the server has not taken, and those that have never gone out. A new client does not answer what the old one was asked.
    pub fn open(&mut self, init: &Init) -> Result<(Opened<M>, Control, Vec<M>), MalformedInit> {
        let secret = init.resume.as_deref().map(str::parse).transpose()?;
        let opened = if init.resumed {
            if !self.has_lived {
                return Err(MalformedInit::NothingToResume);
            }
            self.counts.forget_seen(init.seen, |_| 0)?;
            Opened::Recovered { missed: init.missed }
        } else {
            let before = std::mem::take(&mut self.counts);
            self.waiting.retain(|waiting| !waiting.is_answer);
            let unconfirmed = before.entries().map(|(message, _)| message.clone()).collect();
            if self.has_lived { Opened::Gap { reason: init.reason, unconfirmed } } else { Opened::First }
        };
        (self.secret, self.is_open, self.has_lived) = (secret, true, true);
        let mut again: Vec<M> = self.counts.entries().map(|(message, _)| message.clone()).collect();
        for Waiting { message, .. } in std::mem::take(&mut self.waiting) {
            self.counts.push(message.clone(), 1, 0, |_| 0);
            again.push(message);
        }
        Ok((opened, self.counts.tell(), again))
    }

    /// Notes the end of the connection.
    pub fn cut(&mut self) {
        self.is_open = false;
    }

    /// Sends a message, or keeps it for the next connection. Gives whether it goes out now.
    pub fn send(&mut self, message: M) -> bool {
        self.keep(message, false)
    }

    /// Sends an answer to a question of the client that is current, or keeps it for the next connection of this client. Gives whether
    /// it goes out now.
    pub fn answer(&mut self, message: M) -> bool {
        self.keep(message, true)
    }

    fn keep(&mut self, message: M, is_answer: bool) -> bool {
        if self.is_open {
            self.counts.push(message, 1, 0, |_| 0);
        } else {
            self.waiting.push_back(Waiting { message, is_answer });
        }
        self.is_open
    }

    /// Takes a text message of the server behind the init.
    pub fn receive<'a>(&mut self, text: &'a str, now: Duration) -> Result<Received<'a>, ControlError> {
        self.counts.receive(text, now, SeenAfter::PAGE, |_| 0)
    }

    /// Takes a binary message of the server, which is always the application's. Gives the control message to send.
    pub fn receive_binary(&mut self, bytes: usize, now: Duration) -> Option<Control> {
        self.counts.take(bytes, now, SeenAfter::PAGE)
    }

    /// Gives the control message that is due because a message has waited for long. Call it from time to time.
    pub fn due(&mut self, now: Duration) -> Option<Control> {
        self.counts.due(now)
    }
}
