//! Numbered messages as they come to a client, and what is wrong with them.

use std::ops::AddAssign;

use anyhow::{Context as _, ensure};

/// The byte with which a long message is filled up.
pub(super) const FILLING: u8 = b'x';

/// The kinds of messages. Each is numbered by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// To the clients that get many messages.
    Number,
    /// To all clients.
    Broadcast,
    /// To the clients that read slowly.
    Long,
}

/// What a message says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) kind: Kind,
    /// The clients that it is for, where there are several messages of a kind and a number.
    pub(super) block: usize,
    pub(super) number: usize,
}

impl Label {
    /// The text of a message of `length` bytes, or of as many as the label takes.
    pub(super) fn text(self, length: usize) -> String {
        let letter = match self.kind {
            Kind::Number => 'n',
            Kind::Broadcast => 'b',
            Kind::Long => 'l',
        };
        let mut text = format!("{letter} {} {} ", self.block, self.number);
        let filling = length.saturating_sub(text.len());
        text.extend(std::iter::repeat_n(char::from(FILLING), filling));
        text
    }

    /// Reads the first bytes of a message.
    pub(super) fn read(start: &[u8]) -> anyhow::Result<Self> {
        let text = String::from_utf8_lossy(start);
        let read = || {
            let mut words = text.split(' ');
            let kind = match words.next()? {
                "n" => Kind::Number,
                "b" => Kind::Broadcast,
                "l" => Kind::Long,
                _ => return None,
            };
            Some(Self { kind, block: words.next()?.parse().ok()?, number: words.next()?.parse().ok()? })
        };
        read().with_context(|| format!("{text:?} is none of the messages"))
    }
}

/// How many messages there were of each kind in the end.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) numbers: usize,
    pub(super) broadcasts: usize,
    pub(super) long: usize,
}

/// What was wrong with the messages of some clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Faults {
    pub(crate) disconnects: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) out_of_order: usize,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.disconnects += other.disconnects;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }
}

/// The numbers of one kind that a client has had.
#[derive(Clone, Debug, Default)]
pub(super) struct Sequence {
    next: usize,
    /// The numbers before `next` that have not come.
    missing: Vec<usize>,
    pub(super) doubled: usize,
    pub(super) out_of_order: usize,
}

impl Sequence {
    /// The most that a number may be ahead: nothing that is sent here is as far.
    const FARTHEST: usize = 1 << 20;

    pub(super) fn take(&mut self, number: usize) -> anyhow::Result<()> {
        if number >= self.next {
            ensure!(number - self.next < Self::FARTHEST, "{number} comes instead of {}", self.next);
            self.missing.extend(self.next..number);
            self.next = number + 1;
        } else if let Some(at) = self.missing.iter().position(|one| *one == number) {
            self.missing.swap_remove(at);
            self.out_of_order += 1;
        } else {
            self.doubled += 1;
        }
        Ok(())
    }

    /// Whether nothing is to come any more, if there were so many messages.
    pub(super) fn is_over(&self, total: usize) -> bool {
        self.next >= total
    }

    /// How many of so many messages have not come.
    pub(super) fn lost(&self, total: usize) -> usize {
        self.missing.len() + total.saturating_sub(self.next)
    }
}
