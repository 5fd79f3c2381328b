//! The table of questions, with its bounds.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::client_protocol::AskId;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use smallvec::SmallVec;
use tokio::sync::Notify;

use crate::system::ages::{ago, millis};

/// The largest number of clients that one question may go to.
pub(super) const MOST_ASKED: usize = 1000;
/// The largest number of questions, and of the clients that all of them have gone to, each of which takes some 100 bytes.
const MOST_QUESTIONS: usize = 100_000;
const MOST_CLIENTS: usize = 500_000;
/// The bytes of all answers to one question. A client whose answer goes beyond them has not answered.
pub(super) const ANSWER_BYTES: usize = 8 << 20;
/// The memory of the answers to all questions, in bytes, with the same effect.
pub(super) const ALL_ANSWER_BYTES: usize = 64 << 20;
/// The memory that an answer takes besides its bytes, about.
const ANSWER_COST: usize = 64;
/// How long answers are kept for who has asked. It is far longer than anybody waits.
pub(super) const KEPT: Duration = Duration::from_secs(120);

/// The answer of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The client may still answer.
    Awaited,
    Answered(Bytes),
    /// The client has gone, cannot answer, or has answered too much.
    Never,
}

/// Why a question is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    #[error("a question may go to {MOST_ASKED} clients at most, and this one concerns {0}")]
    TooMany(usize),
    #[error("very many questions have been asked in the last two minutes: ask again later")]
    Busy,
}

/// A question as another process goes on with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAsk {
    id: u64,
    /// How long ago it was asked, in milliseconds.
    age: u64,
    /// The clients that may still answer.
    awaited: Vec<u32>,
    /// The clients that will not answer.
    never: Vec<u32>,
    answered: Vec<(u32, ByteBuf)>,
}

#[derive(Default)]
pub(super) struct Table {
    asked: HashMap<AskId, Asked>,
    /// The questions that each client may still answer.
    awaited: HashMap<u32, SmallVec<[AskId; 1]>>,
    /// The number of clients of all questions.
    clients: usize,
    /// The memory of all answers, in bytes.
    bytes: usize,
    /// Whether somebody looks for questions that are to be forgotten.
    pub(super) is_swept: bool,
}

struct Asked {
    replies: HashMap<u32, Reply>,
    /// The number of clients that may still answer.
    awaited: usize,
    bytes: usize,
    since: Instant,
    /// Tells those who wait that nobody is to answer any more.
    complete: Arc<Notify>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.asked.len()
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn knows(&self, id: AskId) -> bool {
        self.asked.contains_key(&id)
    }

    /// What tells that a question is complete.
    pub(super) fn complete(&self, id: AskId) -> Option<Arc<Notify>> {
        Some(Arc::clone(&self.asked.get(&id)?.complete))
    }

    /// Begins a question that is about to go to `pages`, and that `others` cannot answer, or goes on with one that has begun.
    pub(super) fn begin(
        &mut self,
        id: AskId,
        pages: &[u32],
        others: &[u32],
        since: Instant,
    ) -> Result<(), NotAsked> {
        let new = pages.len() + others.len();
        let all = self.asked.get(&id).map_or(0, |asked| asked.replies.len()) + new;
        if all > MOST_ASKED {
            return Err(NotAsked::TooMany(all));
        }
        if self.clients + new > MOST_CLIENTS || !self.knows(id) && self.len() >= MOST_QUESTIONS {
            return Err(NotAsked::Busy);
        }
        let asked = self.asked.entry(id).or_insert_with(|| Asked {
            replies: HashMap::new(),
            awaited: 0,
            bytes: 0,
            since,
            complete: Arc::default(),
        });
        let before = asked.replies.len();
        for client in pages {
            asked.replies.entry(*client).or_insert_with(|| {
                asked.awaited += 1;
                self.awaited.entry(*client).or_default().push(id);
                Reply::Awaited
            });
        }
        for client in others {
            asked.replies.entry(*client).or_insert(Reply::Never);
        }
        self.clients += asked.replies.len() - before;
        Ok(())
    }

    /// What the clients of a question have answered so far, and whether nobody is to answer any more.
    pub(super) fn replies(&self, id: AskId) -> Option<(Vec<(u32, Reply)>, bool)> {
        let asked = self.asked.get(&id)?;
        let replies = asked.replies.iter().map(|(client, reply)| (*client, reply.clone()));
        Some((replies.collect(), asked.awaited == 0))
    }

    /// Takes an answer. One that nobody waits for, and any but the first of a client, is dropped.
    pub(super) fn answer(&mut self, client: u32, id: AskId, answer: &[u8]) {
        let Some(questions) = self.awaited.get_mut(&client) else { return };
        let Some(at) = questions.iter().position(|question| *question == id) else { return };
        questions.swap_remove(at);
        if questions.is_empty() {
            self.awaited.remove(&client);
        }
        let Some(asked) = self.asked.get_mut(&id) else { return };
        let room = ANSWER_BYTES.saturating_sub(asked.bytes).min(ALL_ANSWER_BYTES.saturating_sub(self.bytes));
        let cost = answer.len() + ANSWER_COST;
        if cost <= room {
            asked.bytes += cost;
            self.bytes += cost;
            asked.decide(client, Reply::Answered(Bytes::copy_from_slice(answer)));
        } else {
            asked.decide(client, Reply::Never);
        }
    }

    /// Notes that a client has gone.
    pub(super) fn leave(&mut self, client: u32) {
        for id in self.awaited.remove(&client).into_iter().flatten() {
            if let Some(asked) = self.asked.get_mut(&id) {
                asked.decide(client, Reply::Never);
            }
        }
    }

    /// Forgets questions that were asked long ago.
    pub(super) fn forget_old(&mut self, now: Instant) {
        let Self { asked, awaited, clients, bytes, .. } = self;
        asked.retain(|id, asked| {
            if now.saturating_duration_since(asked.since) < KEPT {
                return true;
            }
            *bytes -= asked.bytes;
            *clients -= asked.replies.len();
            for client in asked.awaited_clients() {
                if let Some(questions) = awaited.get_mut(&client) {
                    questions.retain(|question| *question != *id);
                    if questions.is_empty() {
                        awaited.remove(&client);
                    }
                }
            }
            false
        });
        if self.asked.is_empty() {
            (self.asked, self.awaited) = Default::default();
        }
    }

    /// Gives all questions for another process.
    pub(super) fn carry(&self, now: Instant) -> Vec<CarriedAsk> {
        self.asked.iter().map(|(id, asked)| asked.carry(*id, now)).collect()
    }

    /// Goes on with a question of another process. What is beyond the bounds of this one is forgotten.
    pub(super) fn take_over(&mut self, carried: CarriedAsk, now: Instant) {
        let CarriedAsk { id, age, mut awaited, never, answered } = carried;
        awaited.extend(answered.iter().map(|(client, _)| *client));
        let id = AskId(id);
        if self.begin(id, &awaited, &never, ago(now, Duration::from_millis(age))).is_ok() {
            answered.iter().for_each(|(client, answer)| self.answer(*client, id, answer));
        }
    }
}

impl Asked {
    /// Decides what a client that may still answer has answered.
    fn decide(&mut self, client: u32, decided: Reply) {
        if let Some(reply) = self.replies.get_mut(&client).filter(|reply| **reply == Reply::Awaited) {
            *reply = decided;
            self.awaited -= 1;
            if self.awaited == 0 {
                self.complete.notify_waiters();
            }
        }
    }

    fn awaited_clients(&self) -> impl Iterator<Item = u32> {
        self.replies.iter().filter(|(_, reply)| **reply == Reply::Awaited).map(|(client, _)| *client)
    }

    fn carry(&self, id: AskId, now: Instant) -> CarriedAsk {
        let age = millis(now.saturating_duration_since(self.since));
        let awaited = self.awaited_clients().collect();
        let mut carried = CarriedAsk { id: id.0, age, awaited, never: vec![], answered: vec![] };
        for (client, reply) in &self.replies {
            match reply {
                Reply::Awaited => {}
                Reply::Never => carried.never.push(*client),
                Reply::Answered(answer) => carried.answered.push((*client, ByteBuf::from(&answer[..]))),
            }
        }
        carried
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOBODY: &[u32] = &[];

    #[test]
    fn what_is_forgotten_leaves_nothing() {
        let (mut table, now) = (Table::default(), Instant::now());
        for id in 0..10 {
            table.begin(AskId(id), &[1, 2], &[3], now + Duration::from_secs(id)).unwrap();
        }
        table.answer(1, AskId(0), b"one");
        table.leave(2);
        table.forget_old(now + KEPT + Duration::from_secs(4));
        assert_eq!((table.len(), table.clients, table.bytes), (5, 15, 0));
        assert_eq!(table.awaited.len(), 1);
        assert_eq!(table.awaited[&1].len(), 5);
        table.forget_old(now + KEPT * 2);
        assert_eq!((table.len(), table.clients, table.awaited.capacity()), (0, 0, 0));
    }

    #[test]
    fn questions_and_their_clients_are_bounded() {
        let (mut table, now) = (Table::default(), Instant::now());
        let many: Vec<u32> = (0..MOST_ASKED as u32).collect();
        let full = (MOST_CLIENTS / MOST_ASKED) as u64;
        for id in 0..full {
            table.begin(AskId(id), &many, NOBODY, now).unwrap();
        }
        assert_eq!(table.begin(AskId(full), &[1], NOBODY, now), Err(NotAsked::Busy));
        assert_eq!(table.begin(AskId(0), &[5000], NOBODY, now), Err(NotAsked::TooMany(1001)));
        let mut table = Table::default();
        for id in 0..MOST_QUESTIONS as u64 {
            table.begin(AskId(id), &[], NOBODY, now).unwrap();
        }
        assert_eq!(table.begin(AskId(u64::MAX), &[], NOBODY, now), Err(NotAsked::Busy));
        table.begin(AskId(5), &[1], NOBODY, now).unwrap();
    }
}
