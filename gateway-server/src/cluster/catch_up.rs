//! How a node finds out that it has all orders up to a moment, by marks.

use std::time::Instant;

use bytes::Bytes;
use gateway_wire::bridge::AnswerValue;

use super::Cluster;
use super::frame::{FrameKind, Header};
use super::marks::Marks;
use super::queue::QueueError;
use super::subject::SubjectTarget;

/// How often the marks are asked for until this node has caught up with another.
const ROUNDS: usize = 3;

impl Cluster {
    /// Gives the number of an order of each process, this one included, that was published after this call.
    pub async fn marks(&self) -> Result<Marks, String> {
        let mut latest = match self.marks.after_now().await {
            Ok(marks) => return Ok(marks),
            Err(latest) => latest,
        };
        if !self.is_up() {
            return Err(self.why_down());
        }
        self.known(None).await?;
        let begun = Instant::now();
        let instances = self.membership().instances();
        // A question alone would not say how far the orders of this process have come: to a node that has lost its connection they are
        // sent again behind it.
        let own = self.push_mark(self.instance, [0; 8]).map_err(|refused| refused.to_string())?;
        let mut marks = vec![(self.instance, own)];
        for answer in self.ask_all_for_marks(instances).await? {
            let AnswerValue::List(pair) = answer else { continue };
            if let [AnswerValue::Int(instance), AnswerValue::Int(number)] = pair[..] {
                marks.push((instance as u64, number as u64));
            }
        }
        *latest = Some((begun, marks.clone()));
        Ok(marks)
    }

    async fn ask_all_for_marks(&self, instances: Vec<u64>) -> Result<Vec<AnswerValue>, String> {
        if instances.is_empty() {
            return Ok(Vec::new());
        }
        self.ask_for(instances, SubjectTarget::All, FrameKind::AskMark, &[]).await
    }

    /// Answers a question for a mark.
    pub(super) fn mark(&self, header: &Header, id: [u8; 8]) {
        // If there is no room for the mark, the asking node reports that none came.
        let _ = self.push_mark(header.instance, id);
    }

    /// Publishes a mark for the process that has asked for it by this id, and gives its number.
    fn push_mark(&self, asker: u64, id: [u8; 8]) -> Result<u64, QueueError> {
        let body = [asker.to_be_bytes(), id].concat();
        self.push(SubjectTarget::All, FrameKind::Mark, Bytes::from(body))
    }

    /// Takes in a mark, which may be for another node.
    pub(super) fn marked(&self, header: &Header, body: &[u8]) {
        let Some((asker, id)) = body.split_first_chunk() else { return };
        if let Some(id) = id.first_chunk().filter(|_| u64::from_be_bytes(*asker) == self.instance) {
            let number = AnswerValue::Int(header.number as i64);
            let answer = AnswerValue::List(vec![AnswerValue::Int(header.instance as i64), number]);
            self.pending.answer(u64::from_be_bytes(*id), header.instance, Ok(answer));
        }
    }

    /// Waits until this node has received all orders up to these numbers.
    pub async fn catch_up(&self, wanted: &[(u64, u64)]) -> Result<(), String> {
        for round in 0..=ROUNDS {
            let Some(behind) = self.behind(wanted) else { return Ok(()) };
            if round == ROUNDS {
                return Err(format!("the orders of node {behind} have not come here"));
            }
            // Afterwards this node has every order that was published before.
            self.marks().await?;
        }
        Ok(())
    }

    /// Names a process of which this node lacks orders.
    fn behind(&self, wanted: &[(u64, u64)]) -> Option<String> {
        let membership = self.membership();
        let acked = membership.acked();
        let has = |(instance, number): &(u64, u64)| {
            *instance == self.instance
                // Nothing comes behind its farewell.
                || membership.has_left(*instance)
                || acked.iter().any(|(other, acked)| other == instance && acked >= number)
        };
        let behind = wanted.iter().find(|one| !has(one))?;
        Some(membership.node_of(behind.0).map_or_else(|| "unknown".to_owned(), |node| node.to_string()))
    }

    /// Whether these are all other processes of the cluster.
    pub fn are_all_others(&self, instances: impl Iterator<Item = u64>) -> bool {
        let (mut known, mut given) = (self.membership().instances(), instances.collect::<Vec<_>>());
        known.sort_unstable();
        given.sort_unstable();
        known == given
    }
}
