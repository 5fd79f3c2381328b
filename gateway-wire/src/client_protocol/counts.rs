//! What both ends count in both directions, and what they do with each other's control messages.

use std::time::Duration;

use super::control::{Control, Header, Malformed, Text};
use super::exported::{ExportedCounts, ExportedOpen, MOST_MESSAGES};
use super::init::GapReason;
use super::unseen::Unseen;
use super::untold::{SEEN_AFTER_TIME, SeenAfter, Untold};

/// The positions of one end in both directions. `M` is an entry as it is kept to be sent again.
#[derive(Clone, Debug)]
pub(super) struct Counts<M> {
    /// The number of messages that were sent.
    sent: u64,
    /// The number of messages that were taken.
    taken: u64,
    /// Everything else, or `None` while each end knows that the other has taken all.
    open: Option<Box<OpenCounts<M>>>,
}

/// The part of the counts that an idle end does without.
#[derive(Clone, Debug)]
struct OpenCounts<M> {
    unseen: Unseen<M>,
    untold: Untold,
    /// Somebody has noted when to call [`Counts::due`].
    is_noted: bool,
    /// Why nothing is kept to be sent again, if nothing is.
    gap: Option<GapReason>,
}

/// What is to be done with a text message of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// The message for the application, or `None` when it is not for it.
    pub message: Option<&'a str>,
    /// The message with a header, if it is one. It is for the application too, but not as a message like others.
    pub header: Option<Header<'a>>,
    /// The control message that is sent back.
    pub reply: Option<Control>,
}

/// The error for a message of the other end that is answered with a close frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It is control that cannot be understood.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It claims that more was seen than can have been.
    #[error(transparent)]
    Seen(#[from] SeenError),
}

/// The error for a count of seen messages that cannot be true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeenError {
    /// The other end claims to have seen more than was sent.
    #[error("{claimed} messages cannot have been seen, as {sent} were sent")]
    BeyondSent {
        /// The number that it claims.
        claimed: u64,
        /// The number that was sent.
        sent: u64,
    },
    /// The other end has said before that it has seen more.
    #[error("{claimed} messages were seen, and before it were {before}")]
    Backwards {
        /// The number that it claims.
        claimed: u64,
        /// The number that it claimed before.
        before: u64,
    },
}

impl<M> Default for Counts<M> {
    fn default() -> Self {
        Self { sent: 0, taken: 0, open: None }
    }
}

impl<M> Counts<M> {
    /// The counts of an end that has sent, taken and been told of so many messages, and keeps nothing. `seen` may be more than was
    /// sent, as the messages that are added next may have been seen in part.
    pub(super) fn restored(sent: u64, taken: u64, seen: u64) -> Self {
        let mut counts = Self { sent, taken, open: None };
        if seen != sent {
            open(&mut counts.open, seen);
        }
        counts
    }

    /// Gives these counts for another process; `entry` is given each entry and gives what stands for it there.
    pub(super) fn export<E>(&self, mut entry: impl FnMut(&M) -> E) -> ExportedCounts<E> {
        let open = self.open.as_ref().map(|open| ExportedOpen {
            seen: open.unseen.seen(),
            untold: open.untold.export(),
            is_noted: open.is_noted,
            gap: open.gap,
            entries: open.unseen.entries().map(|(kept, messages)| (entry(kept), *messages)).collect(),
        });
        ExportedCounts { sent: self.sent, taken: self.taken, open }
    }

    /// Takes over the counts of another process; `entry` gives an entry and its weight for each that was exported. Nobody has noted
    /// when to call [`Counts::due`]. Gives `None` where the numbers contradict each other.
    pub(super) fn imported<E>(
        exported: ExportedCounts<E>,
        mut entry: impl FnMut(E) -> Option<(M, usize)>,
    ) -> Option<Self> {
        let ExportedCounts { sent, taken, open } = exported;
        if sent > MOST_MESSAGES || taken > MOST_MESSAGES {
            return None;
        }
        let Some(ExportedOpen { seen, untold, gap, entries, .. }) = open else {
            return Some(Self { sent, taken, open: None });
        };
        let messages = entries.iter().map(|(_, messages)| u64::from(*messages)).sum::<u64>();
        if messages > sent || seen > sent || gap.is_some() && messages > 0 {
            return None;
        }
        let mut unseen = Unseen::none(seen);
        for (exported, messages) in entries {
            let (kept, weight) = entry(exported)?;
            unseen.push(kept, messages, weight);
        }
        let untold = Untold::imported(untold, SeenAfter::SERVER);
        let open = OpenCounts { unseen, untold, is_noted: false, gap };
        Some(Self { sent, taken, open: Some(Box::new(open)) })
    }

    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken
    }

    /// The number of messages that the other end has said that it has seen.
    pub(super) fn seen(&self) -> u64 {
        self.open.as_ref().map_or(self.sent, |open| open.unseen.seen())
    }

    /// The number of messages before the first one that is kept.
    pub(super) fn first(&self) -> u64 {
        self.open.as_ref().map_or(self.sent, |open| open.unseen.first(self.sent))
    }

    /// The number of messages that are kept.
    pub(super) fn kept(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.unseen.messages())
    }

    /// The number of entries that are kept.
    pub(super) fn entries_len(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.unseen.entries().len())
    }

    /// What everything that is kept weighs, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.unseen.weight())
    }

    /// The memory that these counts take beside themselves and what they keep, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.open.as_ref().map_or(0, |open| size_of::<OpenCounts<M>>() + open.unseen.memory())
    }

    pub(super) fn gap(&self) -> Option<GapReason> {
        self.open.as_ref().and_then(|open| open.gap)
    }

    /// The entries that are kept, each with the number of its messages.
    pub(super) fn entries(&self) -> impl Iterator<Item = &(M, u32)> {
        self.open.iter().flat_map(|open| open.unseen.entries())
    }

    /// Counts messages that are sent now, and keeps them. After a gap they are not kept, but given to `release` at once.
    pub(super) fn push(&mut self, entry: M, messages: u32, weight: usize, release: impl FnOnce(M) -> usize) {
        let open = open(&mut self.open, self.sent);
        self.sent += u64::from(messages);
        match open.gap {
            None => open.unseen.push(entry, messages, weight),
            Some(_) => {
                release(entry);
            }
        }
    }

    /// Forgets the entry that was sent first of those that are kept.
    pub(super) fn forget_oldest(&mut self, release: impl FnMut(M) -> usize) {
        if let Some(open) = &mut self.open {
            open.unseen.forget_oldest(release);
        }
    }

    /// Forgets everything that is kept, and keeps nothing from now on.
    pub(super) fn end(&mut self, reason: GapReason, mut release: impl FnMut(M) -> usize) {
        let open = open(&mut self.open, self.sent);
        open.gap.get_or_insert(reason);
        while !open.unseen.is_empty() {
            open.unseen.forget_oldest(&mut release);
        }
    }

    /// Forgets the messages that the other end has seen.
    pub(super) fn forget_seen(
        &mut self,
        count: u64,
        release: impl FnMut(M) -> usize,
    ) -> Result<(), SeenError> {
        let (before, sent) = (self.seen(), self.sent);
        if count < before {
            return Err(SeenError::Backwards { claimed: count, before });
        }
        if count > sent {
            return Err(SeenError::BeyondSent { claimed: count, sent });
        }
        if let Some(open) = &mut self.open {
            open.unseen.forget_seen(count, sent, release);
        }
        self.slim();
        Ok(())
    }

    /// Takes a text message.
    pub(super) fn receive<'a>(
        &mut self,
        text: &'a str,
        now: Duration,
        after: SeenAfter,
        release: impl FnMut(M) -> usize,
    ) -> Result<Received<'a>, ControlError> {
        let mut header = None;
        let (message, reply) = match Text::parse(text)? {
            Text::Application(message) => (Some(message), self.take(text.len(), now, after)),
            Text::WithHeader(read) => {
                header = Some(read);
                (None, self.take(text.len(), now, after))
            }
            Text::UnknownHeader => (None, self.take(text.len(), now, after)),
            Text::Control(Control::Seen(count)) => {
                self.forget_seen(count, release)?;
                (None, None)
            }
            Text::Control(Control::Ping) => (None, Some(Control::Pong)),
            Text::Control(Control::Pong | Control::Unknown) => (None, None),
        };
        Ok(Received { message, header, reply })
    }

    /// Takes a message of the application. Gives the control message that is sent back.
    pub(super) fn take(&mut self, bytes: usize, now: Duration, after: SeenAfter) -> Option<Control> {
        self.taken += 1;
        let is_due = open(&mut self.open, self.sent).untold.take(bytes, now, after);
        is_due.then(|| self.tell())
    }

    /// Gives the time at which [`Counts::due`] wants to be called, if nobody has noted it yet.
    pub(super) fn note(&mut self) -> Option<Duration> {
        let open = self.open.as_mut().filter(|open| !open.untold.is_empty() && !open.is_noted)?;
        open.is_noted = true;
        Some(open.untold.since() + SEEN_AFTER_TIME)
    }

    /// Gives the control message that is due because a message has waited for long.
    pub(super) fn due(&mut self, now: Duration) -> Option<Control> {
        let open = self.open.as_mut()?;
        open.is_noted = false;
        let is_due = open.untold.is_due(now);
        let due = is_due.then(|| self.tell());
        self.slim();
        due
    }

    /// Tells the other end how many messages were taken.
    pub(super) fn tell(&mut self) -> Control {
        if let Some(open) = &mut self.open {
            open.untold = Untold::default();
        }
        self.slim();
        Control::Seen(self.taken)
    }

    /// Frees what an idle end does without.
    fn slim(&mut self) {
        let sent = self.sent;
        self.open.take_if(|open| {
            open.unseen.seen() == sent && open.untold.is_empty() && !open.is_noted && open.gap.is_none()
        });
    }
}

/// Gives the open counts, which begin with all of the `sent` messages seen.
fn open<M>(open: &mut Option<Box<OpenCounts<M>>>, sent: u64) -> &mut OpenCounts<M> {
    open.get_or_insert_with(|| {
        let (unseen, untold) = (Unseen::none(sent), Untold::default());
        Box::new(OpenCounts { unseen, untold, is_noted: false, gap: None })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_end_keeps_nothing_and_lies_change_nothing() {
        let mut counts = Counts::default();
        for entry in ["a", "b", "c"] {
            counts.push(entry, 1, 10, |_| 0);
        }
        counts.forget_seen(2, |_| 10).unwrap();
        for lie in [1, 4, u64::MAX] {
            assert!(counts.forget_seen(lie, |_| panic!("nothing is released")).is_err());
        }
        assert_eq!(counts.entries().collect::<Vec<_>>(), [&("c", 1)]);
        assert_eq!((counts.sent(), counts.seen(), counts.first(), counts.weight()), (3, 2, 2, 10));
        assert_eq!(counts.take(1, Duration::ZERO, SeenAfter::PAGE), None);
        assert_eq!((counts.note(), counts.note()), (Some(SEEN_AFTER_TIME), None));
        counts.forget_seen(3, |_| 10).unwrap();
        assert!(counts.memory() > 0, "a message is untold");
        assert_eq!(counts.due(SEEN_AFTER_TIME), Some(Control::Seen(1)));
        assert_eq!((counts.memory(), counts.seen(), counts.kept()), (0, 3, 0));
        assert!(size_of::<Counts<u32>>() <= 24);
    }

    #[test]
    fn nothing_is_kept_after_a_gap() {
        let mut counts = Counts::default();
        let mut released = 0;
        let mut release = |_| {
            released += 1;
            1
        };
        counts.push('a', 3, 1, &mut release);
        counts.end(GapReason::Raw, &mut release);
        counts.end(GapReason::Overflow, &mut release);
        counts.push('b', 2, 1, &mut release);
        assert_eq!((counts.sent(), counts.kept(), counts.weight(), counts.first()), (5, 0, 0, 5));
        counts.forget_seen(5, release).unwrap();
        assert_eq!((released, counts.gap()), (2, Some(GapReason::Raw)));
    }
}
