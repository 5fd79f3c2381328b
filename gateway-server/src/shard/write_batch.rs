//! The frames that a shard sends in one turn. A turn is one pass of its poll loop. Each frame stands here once, however many
//! connections get it.

use bytes::Bytes;

use crate::protocol::{Encoded, Encoding, NonWebsocket};

/// The frames of one turn and, for each connection, the linked list of those that it gets. The memory is used again in every
/// turn, so a receiver costs eight bytes here and no allocation.
pub(super) struct WriteBatch {
    /// The frames. The first one has no bytes, for connections that get nothing of a message.
    frames: Vec<Bytes>,
    /// The elements of all linked lists.
    links: Vec<FrameLink>,
    /// The keys of the connections that get something.
    touched: Vec<usize>,
    /// The cost of writing everything, in bytes.
    cost: usize,
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

impl Default for WriteBatch {
    fn default() -> Self {
        Self { frames: vec![Bytes::new()], links: Vec::new(), touched: Vec::new(), cost: 0 }
    }
}

impl WriteBatch {
    /// Adds a message. Gives, for each form that clients may get it in, the frame of that form.
    pub(super) fn add(&mut self, message: Encoded) -> [FrameRef; Encoding::COUNT] {
        let websocket = self.add_frame(message.websocket);
        let deflated = message.deflated.map_or(websocket, |deflated| self.add_frame(deflated));
        let [text, frame, tcp] = match message.non_websocket {
            NonWebsocket::Missing => [FrameRef::NOTHING; 3],
            NonWebsocket::Raw => [websocket; 3],
            NonWebsocket::Framed(framed) => {
                [&framed.text, &framed.frame, &framed.tcp].map(|bytes| self.add_frame(bytes.clone()))
            }
        };
        [websocket, deflated, text, frame, tcp]
    }

    pub(super) fn add_frame(&mut self, frame: Bytes) -> FrameRef {
        self.frames.push(frame);
        FrameRef(self.frames.len() as u32 - 1)
    }

    /// Appends `frame` to the list of the connection with this key.
    pub(super) fn link(&mut self, key: usize, chain: &mut FrameList, frame: FrameRef) {
        let link = self.links.len() as u32;
        self.links.push(FrameLink { frame: frame.0, next: NONE });
        let bytes = self.frames[frame.0 as usize].len();
        self.cost += if bytes < LARGE { SMALL } else { bytes };
        if chain.is_empty() {
            chain.first = link;
            self.touched.push(key);
        } else {
            self.links[chain.last as usize].next = link;
        }
        chain.last = link;
    }

    /// Whether the batch is to be written before more is added.
    pub(super) fn is_full(&self) -> bool {
        self.cost >= FULL
    }

    /// The number of links for which there is memory.
    #[cfg(test)]
    pub(super) fn room(&self) -> usize {
        self.links.capacity()
    }

    pub(super) fn take_touched(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.touched)
    }

    pub(super) fn frames(&self, chain: FrameList) -> impl Iterator<Item = &Bytes> {
        let mut next = chain.first;
        std::iter::from_fn(move || {
            let link = self.links.get(next as usize)?;
            next = link.next;
            Some(&self.frames[link.frame as usize])
        })
    }

    /// The frame of a list that has exactly one.
    pub(super) fn only_frame(&self, chain: FrameList) -> Option<&Bytes> {
        let link = self.links.get(chain.first as usize).filter(|_| chain.first == chain.last)?;
        Some(&self.frames[link.frame as usize])
    }

    /// Empties the batch after everything was written or dropped.
    pub(super) fn end(&mut self, mut touched: Vec<usize>) {
        touched.clear();
        self.touched = touched;
        self.frames.truncate(1);
        self.links.clear();
        self.cost = 0;
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
        let touched = turn.take_touched();
        assert_eq!(touched, [1, 2, 3]);
        turn.end(touched);
        assert_eq!(turn.frames(one).count(), 0);
    }
}
