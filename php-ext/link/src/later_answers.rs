//! The answers of a link that the program takes later: those that it waits for, and those that have come.

use std::collections::HashMap;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use crate::answer::QueryAnswer;
use crate::error::{LinkError, Unreachable};
use crate::fork::CloseOnFork;

/// The most questions of a link that wait for their answer, or whose answer has not been taken.
pub const MAX_QUESTIONS: usize = 1024;
/// Bytes of answers that wait to be taken. One answer may exceed this when no other waits.
const MAX_UNTAKEN: usize = 32 << 20;

/// The questions of a link.
#[derive(Debug, Default)]
pub(crate) struct LaterAnswers {
    open: HashMap<u64, LaterAnswer>,
    /// Bytes of answers that wait to be taken.
    untaken: usize,
}

#[derive(Debug, Default)]
struct LaterAnswer {
    answer: Option<Result<QueryAnswer, LinkError>>,
    signal: Option<CloseOnFork<UnixStream>>,
}

impl LaterAnswer {
    /// Wakes whoever watches the signal. It can take a byte at any time, and a socket that nobody has any more needs none.
    fn tell(&self) {
        if let (Some(signal), Some(_)) = (&self.signal, &self.answer) {
            let _ = (&**signal).write(&[1]);
        }
    }

    fn bytes(&self) -> usize {
        self.answer.as_ref().and_then(|answer| answer.as_ref().ok()).map_or(0, QueryAnswer::length)
    }
}

impl LaterAnswers {
    pub(crate) fn has_room(&self) -> bool {
        self.open.len() < MAX_QUESTIONS
    }

    pub(crate) fn expect(&mut self, seq: u64) {
        self.open.insert(seq, LaterAnswer::default());
    }

    pub(crate) fn watch(&mut self, seq: u64, signal: CloseOnFork<UnixStream>) {
        if let Some(open) = self.open.get_mut(&seq) {
            open.signal = Some(signal);
            open.tell();
        }
    }

    pub(crate) fn is_answered(&self, seq: u64) -> bool {
        self.open.get(&seq).is_none_or(|open| open.answer.is_some())
    }

    pub(crate) fn take(&mut self, seq: u64) -> Option<Result<QueryAnswer, LinkError>> {
        self.open.get(&seq)?.answer.as_ref()?;
        self.forget(seq)
    }

    /// Gives the question up, and the answer if it has come.
    pub(crate) fn forget(&mut self, seq: u64) -> Option<Result<QueryAnswer, LinkError>> {
        let open = self.open.remove(&seq)?;
        self.untaken -= open.bytes();
        open.answer
    }

    /// Stores an answer if one is expected, and room for it is left.
    pub(crate) fn answer(&mut self, seq: u64, answer: Result<QueryAnswer, LinkError>) {
        let Some(open) = self.open.get_mut(&seq).filter(|open| open.answer.is_none()) else { return };
        let bytes = answer.as_ref().map_or(0, QueryAnswer::length);
        let fits = self.untaken == 0 || self.untaken.saturating_add(bytes) <= MAX_UNTAKEN;
        open.answer = Some(if fits {
            self.untaken += bytes;
            answer
        } else {
            Err(LinkError::AnswersUntaken { length: bytes, untaken: self.untaken, most: MAX_UNTAKEN })
        });
        open.tell();
    }

    /// The link is down: no question is answered soon.
    pub(crate) fn fail_all(&mut self, why: &Arc<Unreachable>) {
        let open: Vec<_> = self.open.keys().copied().collect();
        for seq in open {
            self.answer(seq, Err(LinkError::Unreachable(Arc::clone(why))));
        }
    }
}
