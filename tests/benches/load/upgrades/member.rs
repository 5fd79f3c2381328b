//! A client that looks at every message: whether each comes once and in order, and how long it waits for the next.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure};

use super::incoming::Incoming;
use super::line::Line;
use super::sequence::{Faults, Kind, Label, Sequence, Totals};
use crate::frames::TEXT;

/// What a client is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// It gets many numbered messages, those of this block.
    Numbered { block: usize },
    /// It reads so slowly that something waits for it in the server.
    Slow,
    /// It gets broadcasts alone.
    Idle,
}

/// What a read has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Came {
    /// Nothing was there, or the connection has ended.
    Nothing,
    /// The read has brought all that was there at that moment.
    All,
    /// The read has filled the buffer, or TLS does not tell, so more may be there.
    Some,
}

pub(super) struct Member {
    pub(super) role: Role,
    pub(super) is_tls: bool,
    /// Where it is connected, or `None` once the server has closed the connection.
    line: Option<Line>,
    incoming: Incoming,
    numbers: Sequence,
    broadcasts: Sequence,
    long: Sequence,
    /// When the last numbered message came.
    last: Option<Instant>,
    /// The longest time between two numbered messages, and the period that this is of.
    longest: (usize, Duration),
}

impl Member {
    pub(super) fn new(role: Role, line: Line) -> Self {
        Self {
            role,
            is_tls: line.is_tls(),
            line: Some(line),
            incoming: Incoming::default(),
            numbers: Sequence::default(),
            broadcasts: Sequence::default(),
            long: Sequence::default(),
            last: None,
            longest: (0, Duration::ZERO),
        }
    }

    pub(super) fn line(&mut self) -> Option<&mut Line> {
        self.line.as_mut()
    }

    /// Reads everything that is there at the time `now`. When another period has begun, gives the last one with its longest gap.
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        now: Instant,
        period: usize,
    ) -> anyhow::Result<Option<(usize, Duration)>> {
        let mut ended = None;
        while self.read_once(buffer, |member| ended = member.note(now, period).or(ended))? == Came::Some {}
        Ok(ended)
    }

    /// Reads as much as fits once, and calls `numbered` for each numbered message. The end of a connection behind the last message is for
    /// the next read to find.
    pub(super) fn read_once(
        &mut self,
        buffer: &mut [u8],
        mut numbered: impl FnMut(&mut Self),
    ) -> anyhow::Result<Came> {
        let Some(line) = &mut self.line else { return Ok(Came::Nothing) };
        let length = match line.read(buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Came::Nothing),
            Err(_) => {
                self.line = None;
                return Ok(Came::Nothing);
            }
        };
        let mut incoming = std::mem::take(&mut self.incoming);
        incoming.take(&buffer[..length], |opcode, start| {
            ensure!(opcode == TEXT, "a frame with the opcode {opcode} has come");
            if self.take(Label::read(start)?)? == Kind::Number {
                numbered(self);
            }
            Ok(())
        })?;
        self.incoming = incoming;
        // A second call would only say so, and takes the server's processors as well.
        Ok(if length < buffer.len() && !self.is_tls { Came::All } else { Came::Some })
    }

    fn take(&mut self, label: Label) -> anyhow::Result<Kind> {
        let Label { kind, block, number } = label;
        match (kind, self.role) {
            (Kind::Number, Role::Numbered { block: own }) if own == block => self.numbers.take(number)?,
            (Kind::Broadcast, _) => self.broadcasts.take(number)?,
            (Kind::Long, Role::Slow) => self.long.take(number)?,
            (_, role) => bail!("{label:?} has come to a client that is {role:?}"),
        }
        Ok(kind)
    }

    /// Notes that a numbered message has come. When another period has begun, gives the last one with its longest gap.
    fn note(&mut self, now: Instant, period: usize) -> Option<(usize, Duration)> {
        let gap = self.last.replace(now).map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        if self.longest.0 == period {
            self.longest.1 = self.longest.1.max(gap);
            return None;
        }
        Some(std::mem::replace(&mut self.longest, (period, gap)))
    }

    /// The longest gap of the period that has not ended.
    pub(super) fn longest(&self) -> Option<(usize, Duration)> {
        matches!(self.role, Role::Numbered { .. }).then_some(self.longest)
    }

    /// Whether nothing is to come any more.
    pub(super) fn is_over(&self, totals: Totals) -> bool {
        self.line.is_none() || self.sequences(totals).iter().all(|(sequence, total)| sequence.is_over(*total))
    }

    pub(super) fn faults(&self, totals: Totals) -> Faults {
        let mut faults = Faults { disconnects: usize::from(self.line.is_none()), ..Faults::default() };
        for (sequence, total) in self.sequences(totals) {
            faults.lost += sequence.lost(total);
            faults.doubled += sequence.doubled;
            faults.out_of_order += sequence.out_of_order;
        }
        faults
    }

    /// What the client gets, and how many there are of each.
    fn sequences(&self, totals: Totals) -> [(&Sequence, usize); 3] {
        let only = |is_for_it: bool, total: usize| if is_for_it { total } else { 0 };
        [
            (&self.numbers, only(matches!(self.role, Role::Numbered { .. }), totals.numbers)),
            (&self.broadcasts, totals.broadcasts),
            (&self.long, only(self.role == Role::Slow, totals.long)),
        ]
    }
}
