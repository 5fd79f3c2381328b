//! The frames that a shard sends in one turn. A turn is one pass of its poll loop, or several where one brings so many connections
//! something that they are written to in slices. Each frame stands here once, however many connections get it.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::due::Due;
use super::held_back::HeldBack;
use super::origin::Origin;
use crate::protocol::{Encoded, Encoding, NonWebsocket};

/// The frames of one turn and, for each connection, the linked list of those that it gets. The memory is used again in every
/// turn, so a receiver costs eight bytes here and no allocation.
pub(super) struct WriteBatch {
    /// The frames. The first one has no bytes, for connections that get nothing of a message.
    frames: Vec<TurnFrame>,
    /// The elements of all linked lists.
    links: Vec<FrameLink>,
    /// The keys of the connections that get something and are not due yet.
    touched: Vec<usize>,
    /// The connections that are written to next.
    due: Due,
    /// The connections that wait for more to come.
    held_back: HeldBack,
    /// The cost, in bytes, of writing what was added, since there is a rest that waits for later slices if there is one.
    cost: usize,
    /// The bytes of the frames that were added, since the same moment.
    added: usize,
    /// Whether a rest waits for later slices.
    has_rest: bool,
}

/// A frame of a turn.
pub(super) struct TurnFrame {
    pub(super) bytes: Bytes,
    pub(super) content: Content,
    /// The order that has brought the frame's messages.
    pub(super) origin: Origin,
    /// One more than the index of the frame among those that are kept for clients that may come back, once it is kept.
    pub(super) kept: Option<NonZeroU32>,
}

/// What is in a frame, for clients that count messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Nothing that counts: a ping, a pong, a close frame, a control message, an init, or messages that are sent again.
    Control,
    /// So many messages of the application.
    Messages(u32),
    /// Bytes of the application that nobody can count.
    Raw,
}

/// An element of a linked list: an index into `frames`, and one into `links` or [`NONE`].
#[derive(Clone, Copy)]
struct FrameLink {
    frame: u32,
    next: u32,
}

/// The linked list of one connection's frames of this turn, kept in its record.
#[derive(Clone, Copy)]
pub(super) struct FrameList {
    first: u32,
    last: u32,
}

/// The index of a frame of this turn.
#[derive(Clone, Copy)]
pub(super) struct FrameRef(u32);

impl FrameRef {
    /// The frame without bytes.
    pub(super) const NOTHING: Self = Self(0);
}

/// The end of a linked list.
const NONE: u32 = u32::MAX;

impl FrameList {
    pub(super) const EMPTY: Self = Self { first: NONE, last: NONE };

    pub(super) fn is_empty(self) -> bool {
        self.first == NONE
    }
}

/// The number of elements for which a turn keeps its memory for the next one.
const KEPT: usize = 64 << 10;
/// From this length on, in bytes, writing a frame costs by its bytes; the writing of a shorter one costs by the system call,
/// however many frames that writes.
pub(super) const LARGE: usize = 16 << 10;
/// The cost of writing a short frame, in bytes.
const SMALL: usize = 16;
/// The cost, in bytes, at which the batch is written before more is added, so that other work has its turn.
const FULL: usize = KEPT * SMALL;

impl TurnFrame {
    fn new(bytes: Bytes, content: Content, origin: Origin) -> Self {
        Self { bytes, content, origin, kept: None }
    }

    /// Notes that the frame is kept under this index, and gives it back.
    pub(super) fn keep_as(&mut self, index: u32) -> u32 {
        self.kept = NonZeroU32::new(index + 1);
        index
    }
}

impl Default for WriteBatch {
    fn default() -> Self {
        Self {
            frames: vec![TurnFrame::new(Bytes::new(), Content::Control, Origin::HERE)],
            links: Vec::new(),
            touched: Vec::new(),
            due: Due::default(),
            held_back: HeldBack::default(),
            cost: 0,
            added: 0,
            has_rest: false,
        }
    }
}

impl WriteBatch {
    /// Adds so many messages of one origin that were joined. Gives, for each form that clients may get them in, the frame of that form.
    pub(super) fn add(
        &mut self,
        message: Encoded,
        origin: Origin,
        messages: u32,
    ) -> [FrameRef; Encoding::COUNT] {
        let content = if message.is_raw() { Content::Raw } else { Content::Messages(messages) };
        let websocket = self.add_content(message.websocket, content, origin);
        let deflated =
            message.deflated.map_or(websocket, |deflated| self.add_content(deflated, content, origin));
        let [gateway2, gateway2_deflated] = match message.escaped {
            None => [websocket, deflated],
            Some(escaped) => {
                let plain = self.add_content(escaped.websocket, content, origin);
                [
                    plain,
                    escaped.deflated.map_or(plain, |deflated| self.add_content(deflated, content, origin)),
                ]
            }
        };
        let [text, frame, tcp] = match message.non_websocket {
            NonWebsocket::Missing => [FrameRef::NOTHING; 3],
            NonWebsocket::Raw => [websocket; 3],
            NonWebsocket::Framed(framed) => {
                [&framed.text, &framed.frame, &framed.tcp].map(|bytes| self.add_frame(bytes.clone()))
            }
        };
        [websocket, deflated, gateway2, gateway2_deflated, text, frame, tcp]
    }

    /// Adds a frame that clients do not count.
    pub(super) fn add_frame(&mut self, frame: Bytes) -> FrameRef {
        self.add_content(frame, Content::Control, Origin::HERE)
    }

    fn add_content(&mut self, bytes: Bytes, content: Content, origin: Origin) -> FrameRef {
        self.added += bytes.len();
        self.frames.push(TurnFrame::new(bytes, content, origin));
        FrameRef(self.frames.len() as u32 - 1)
    }

    /// Appends `frame` to the list of the connection with this key.
    pub(super) fn link(&mut self, key: usize, chain: &mut FrameList, frame: FrameRef) {
        let link = self.links.len() as u32;
        self.links.push(FrameLink { frame: frame.0, next: NONE });
        let bytes = self.frames[frame.0 as usize].bytes.len();
        self.cost += if bytes < LARGE { SMALL } else { bytes };
        if chain.is_empty() {
            chain.first = link;
            self.touched.push(key);
        } else {
            self.links[chain.last as usize].next = link;
        }
        chain.last = link;
    }

    /// Whether no connection gets anything now.
    pub(super) fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.due.is_empty()
    }

    /// Whether the batch is to be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.cost >= FULL || (self.has_rest || self.holds_back()) && self.added >= FULL
    }

    /// Whether connections wait for more to come.
    pub(super) fn holds_back(&self) -> bool {
        !self.held_back.is_empty()
    }

    pub(super) fn held_back(&self) -> &HeldBack {
        &self.held_back
    }

    pub(super) fn held_back_mut(&mut self) -> &mut HeldBack {
        &mut self.held_back
    }

    /// Makes those due that wait for more to come.
    pub(super) fn release(&mut self) {
        let keys = self.held_back.release();
        self.due.add(keys);
    }

    /// Whether connections wait for later slices of this turn.
    pub(super) fn has_rest(&self) -> bool {
        self.has_rest
    }

    /// Notes what is left when a slice is written. The frames stay here until the last connection has got its own, so what is added
    /// meanwhile is bounded.
    pub(super) fn leave_rest(&mut self) {
        let had_rest = self.has_rest;
        self.has_rest = !self.is_empty();
        if self.has_rest && !had_rest {
            (self.cost, self.added) = (0, 0);
        }
    }

    /// The number of frames that are held until the batch ends.
    #[cfg(test)]
    pub(super) fn frames_held(&self) -> usize {
        self.frames.len() - 1
    }

    /// The number of links for which there is memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.links.capacity()
    }

    /// Takes the keys of the connections that get something and are not due yet, sorted.
    pub(super) fn take_touched(&mut self) -> Vec<usize> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable();
        // A key stands here twice if its connection has got something anew, such as a new client whose key another one left in this
        // turn. Then io_uring would send that twice.
        touched.dedup();
        touched
    }

    /// The connections that are written to next.
    pub(super) fn due(&mut self) -> &mut Due {
        &mut self.due
    }

    pub(super) fn frames(&self, chain: FrameList) -> impl Iterator<Item = &Bytes> {
        let mut next = chain.first;
        std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.next;
            Some(&self.frames[link.frame as usize].bytes)
        })
    }

    /// Visits the frames of a list.
    pub(super) fn each_in(&mut self, chain: FrameList, mut visit: impl FnMut(&mut TurnFrame)) {
        let mut next = chain.first;
        while let Some(link) = self.links.get(next as usize) {
            next = link.next;
            visit(&mut self.frames[link.frame as usize]);
        }
    }

    /// Gives each frame of this turn that was kept to `visit`, by its index, once.
    pub(super) fn each_kept(&mut self, mut visit: impl FnMut(u32)) {
        let kept = self.frames.iter_mut().filter_map(|frame| frame.kept.take());
        kept.for_each(|kept| visit(kept.get() - 1));
    }

    /// Has the frames of the connection with this key written, which it has taken over from another.
    pub(super) fn touch(&mut self, key: usize) {
        self.touched.push(key);
    }

    /// The frame of a list that has exactly one.
    pub(super) fn only_frame(&self, chain: FrameList) -> Option<&Bytes> {
        let link = self.links.get(chain.first as usize).filter(|_| chain.first == chain.last)?;
        Some(&self.frames[link.frame as usize].bytes)
    }

    /// Empties the batch after everything was written or dropped.
    pub(super) fn end(&mut self) {
        self.touched = std::mem::take(&mut self.due).into_keys();
        self.touched.clear();
        self.frames.truncate(1);
        self.links.clear();
        (self.cost, self.added, self.has_rest) = (0, 0, false);
        self.touched.shrink_to(KEPT);
        self.frames.shrink_to(KEPT);
        self.links.shrink_to(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_keep_the_order_of_each_connection() {
        let mut turn = WriteBatch::default();
        let (mut one, mut two) = (FrameList::EMPTY, FrameList::EMPTY);
        let [a, b, c] = ["a", "b", "c"].map(|text| turn.add_frame(Bytes::from(text)));
        turn.link(1, &mut one, a);
        turn.link(2, &mut two, a);
        turn.link(2, &mut two, b);
        turn.link(1, &mut one, c);
        turn.link(1, &mut one, a);
        let mut three = FrameList::EMPTY;
        turn.link(3, &mut three, b);
        let text = |chain| turn.frames(chain).map(|frame| frame[0] as char).collect::<String>();
        assert_eq!(turn.only_frame(three).map(|frame| &frame[..]), Some(&b"b"[..]));
        assert_eq!((turn.only_frame(one), turn.only_frame(FrameList::EMPTY)), (None, None));
        assert_eq!(
            (text(one).as_str(), text(two).as_str(), text(FrameList::EMPTY).as_str()),
            ("aca", "ab", "")
        );
        assert_eq!(turn.take_touched(), [1, 2, 3]);
        turn.end();
        assert_eq!(turn.frames(one).count(), 0);
    }
}
