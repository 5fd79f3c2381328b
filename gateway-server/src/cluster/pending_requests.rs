//! Requests to other nodes that have not been answered by all of them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_wire::bridge::AnswerValue;
use hashbrown::HashMap;
use tokio::sync::oneshot;

pub(super) type Answer = Result<AnswerValue, String>;

#[derive(Default)]
pub(super) struct PendingRequests {
    next_id: AtomicU64,
    by_id: Mutex<HashMap<u64, Answers>>,
}

/// The answers to one request so far.
struct Answers {
    /// The instances of the nodes that have not answered.
    missing: Vec<u64>,
    received: Vec<Answer>,
    /// The channel that gets a message once no answer is missing.
    done: Option<oneshot::Sender<()>>,
}

/// A request whose answers are collected. The answers are dropped with it.
pub(super) struct PendingRequest<'a> {
    all: &'a PendingRequests,
    pub(super) id: u64,
    done: oneshot::Receiver<()>,
}

impl PendingRequests {
    /// Registers a request to the nodes with these instances. The answers carry its id.
    pub(super) fn register(&self, instances: Vec<u64>) -> PendingRequest<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, done) = oneshot::channel();
        let answers = Answers { missing: instances, received: Vec::new(), done: Some(sender) };
        self.lock().insert(id, answers);
        PendingRequest { all: self, id, done }
    }

    /// The id of the latest request.
    pub(super) fn latest_id(&self) -> u64 {
        self.next_id.load(Ordering::Relaxed)
    }

    /// Goes on behind the ids of another process, so that no answer to it seems to be one to this process.
    pub(super) fn go_on_behind(&self, id: u64) {
        self.next_id.store(id, Ordering::Relaxed);
    }

    pub(super) fn answer(&self, id: u64, instance: u64, answer: Answer) {
        let mut by_id = self.lock();
        // An answer that comes too late belongs to no request any more.
        let Some(answers) = by_id.get_mut(&id) else { return };
        let Some(at) = answers.missing.iter().position(|missing| *missing == instance) else { return };
        answers.missing.swap_remove(at);
        answers.received.push(answer);
        answers.notify_if_complete();
    }

    /// Stops waiting for a node that has left the cluster with all its clients.
    pub(super) fn node_left(&self, instance: u64) {
        for answers in self.lock().values_mut() {
            answers.missing.retain(|missing| *missing != instance);
            answers.notify_if_complete();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Answers>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Answers {
    fn notify_if_complete(&mut self) {
        if self.missing.is_empty()
            && let Some(done) = self.done.take()
        {
            // The task that made the request may have given up just now.
            let _ = done.send(());
        }
    }
}

impl PendingRequest<'_> {
    /// Waits until all nodes have answered.
    pub(super) async fn complete(&mut self) {
        // The sender lives as long as the request's entry, so this cannot fail.
        let _ = (&mut self.done).await;
    }

    /// Gives the answers, and the instances of the nodes that have not answered.
    pub(super) fn finish(self) -> (Vec<Answer>, Vec<u64>) {
        let answers = self.all.lock().remove(&self.id);
        answers.map_or_else(Default::default, |answers| (answers.received, answers.missing))
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        self.all.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_node_answers_once() {
        let pending = PendingRequests::default();
        let mut one = pending.register(vec![1, 2]);
        let two = pending.register(vec![1, 2]);
        let id = one.id;
        pending.answer(id, 1, Ok(AnswerValue::Int(1)));
        pending.answer(id, 1, Ok(AnswerValue::Int(5)));
        pending.answer(id, 3, Ok(AnswerValue::Int(7)));
        pending.answer(id, 2, Err("no".to_owned()));
        one.complete().await;
        assert_eq!(one.finish(), (vec![Ok(AnswerValue::Int(1)), Err("no".to_owned())], vec![]));
        pending.answer(id, 1, Ok(AnswerValue::Null));
        pending.answer(two.id, 2, Ok(AnswerValue::Null));
        assert_eq!(two.finish().1, [1]);
        let mut three = pending.register(vec![1, 2]);
        pending.answer(three.id, 2, Ok(AnswerValue::Null));
        pending.node_left(1);
        three.complete().await;
        assert_eq!(three.finish(), (vec![Ok(AnswerValue::Null)], vec![]));
        drop(pending.register(vec![4]));
        assert!(pending.lock().is_empty());
    }
}
