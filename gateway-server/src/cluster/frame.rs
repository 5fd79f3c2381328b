//! The frames that nodes send each other, without their authentication code.

use bytes::{Buf as _, BufMut as _, Bytes};
use serde::{Deserialize, Serialize};

/// Bytes of a header.
pub(super) const HEADER: usize = 1 + 1 + 8 + 4 + 8 + 8 + 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub(super) enum FrameKind {
    /// An order that is to be carried out. Orders are numbered, and kept for nodes that may miss them.
    Order = 1,
    /// An order whose sender waits for its outcome. It is numbered and kept, too.
    AskedOrder = 2,
    Query = 3,
    Answer = 4,
    /// A node introduces itself on a new connection, and wants to know which others are there.
    Hello = 5,
    /// A node says regularly that it is there.
    Heartbeat = 6,
    Leave = 7,
    /// A node asks another to send again what came after a number.
    Resume = 8,
    /// All that was asked for by a `Resume` has been sent again.
    Resumed = 9,
    /// Another node has the receiver's address already.
    Conflict = 10,
    /// A node introduces itself to one other and repeats the nonce of that, which shows that it lives and is no recording.
    Greeting = 11,
    /// A frame that follows right behind the sender's subscriptions through NATS, to show how far these have come.
    Probe = 12,
    /// A probe has arrived.
    Echo = 13,
    /// A node asks all others for a mark.
    AskMark = 14,
    /// An order of no effect, whose number is a mark. It is numbered and kept, too.
    Mark = 15,
    /// A question about clients that come back at another node.
    Move = 16,
}

impl FrameKind {
    /// True for kinds whose every frame gets a number of its own.
    pub(super) fn is_numbered(self) -> bool {
        matches!(self, Self::Order | Self::AskedOrder | Self::Mark)
    }

    fn from_byte(byte: u8) -> Option<Self> {
        use FrameKind::*;
        [
            Order, AskedOrder, Query, Answer, Hello, Heartbeat, Leave, Resume, Resumed, Conflict, Greeting,
            Probe, Echo, AskMark, Mark, Move,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) kind: FrameKind,
    /// The instance of the process that sends the frame.
    pub(super) instance: u64,
    /// Counts the connections of the sender to NATS.
    pub(super) epoch: u32,
    /// Counts all frames of the sender over all its connections. They arrive in this order, and each is taken once.
    pub(super) serial: u64,
    /// The number of this frame if it is numbered, else that of the last numbered one before it.
    pub(super) number: u64,
    /// The number of the resend request that the frame answers; 0 if it is sent for the first time.
    pub(super) again: u32,
    /// The next frame continues the body of this one.
    pub(super) has_more: bool,
    /// The body begins in this frame.
    pub(super) is_first: bool,
}

const MORE: u8 = 1;
const FIRST: u8 = 2;

impl Header {
    /// Whether the frame says who its sender is.
    pub(super) fn is_introduction(&self) -> bool {
        matches!(self.kind, FrameKind::Hello | FrameKind::Heartbeat | FrameKind::Greeting)
    }

    pub(super) fn append(&self, out: &mut Vec<u8>) {
        out.put_u8(self.kind as u8);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        out.put_u8(flag(self.has_more, MORE) | flag(self.is_first, FIRST));
        out.put_u64(self.instance);
        out.put_u32(self.epoch);
        out.put_u64(self.serial);
        out.put_u64(self.number);
        out.put_u32(self.again);
    }

    /// Splits the header from the front of a frame; `None` if there is no whole header of a known kind.
    pub(super) fn split_from(frame: &mut Bytes) -> Option<Self> {
        if frame.len() < HEADER {
            return None;
        }
        let kind = FrameKind::from_byte(frame.get_u8())?;
        let flags = frame.get_u8();
        Some(Self {
            kind,
            instance: frame.get_u64(),
            epoch: frame.get_u32(),
            serial: frame.get_u64(),
            number: frame.get_u64(),
            again: frame.get_u32(),
            has_more: flags & MORE != 0,
            is_first: flags & FIRST != 0,
        })
    }
}
