//! Questions to other nodes that wait for their answers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gateway_wire::bridge::Value;
use hashbrown::HashMap;
use tokio::sync::oneshot;

pub(super) type Answer = Result<Value, String>;

#[derive(Default)]
pub(super) struct PendingRequests {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Open>>,
}

struct Open {
    /// Those that have not answered.
    missing: Vec<u64>,
    answers: Vec<Answer>,
    /// Told when none is missing.
    done: Option<oneshot::Sender<()>>,
}

/// A question, forgotten when dropped.
pub(super) struct PendingRequest<'a> {
    asks: &'a PendingRequests,
    pub(super) id: u64,
    done: oneshot::Receiver<()>,
}

impl PendingRequests {
    pub(super) fn open(&self, of: Vec<u64>) -> PendingRequest<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed) + 1;
        let (sender, done) = oneshot::channel();
        self.all().insert(id, Open { missing: of, answers: Vec::new(), done: Some(sender) });
        PendingRequest { asks: self, id, done }
    }

    pub(super) fn answer(&self, id: u64, instance: u64, answer: Answer) {
        let mut all = self.all();
        // It may have been too late.
        let Some(open) = all.get_mut(&id) else { return };
        let Some(at) = open.missing.iter().position(|missing| *missing == instance) else { return };
        open.missing.swap_remove(at);
        open.answers.push(answer);
        open.look();
    }

    /// A node has left, with all its clients: there is nothing of it to wait for.
    pub(super) fn left(&self, instance: u64) {
        for open in self.all().values_mut() {
            open.missing.retain(|missing| *missing != instance);
            open.look();
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<u64, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn look(&mut self) {
        if self.missing.is_empty()
            && let Some(done) = self.done.take()
        {
            // Whoever asked may just have given up.
            let _ = done.send(());
        }
    }
}

impl PendingRequest<'_> {
    /// Until everybody has answered.
    pub(super) async fn done(&mut self) {
        // The sender is dropped only with the question.
        let _ = (&mut self.done).await;
    }

    /// What has been answered, and who has not answered.
    pub(super) fn close(self) -> (Vec<Answer>, Vec<u64>) {
        let open = self.asks.all().remove(&self.id);
        open.map_or_else(Default::default, |open| (open.answers, open.missing))
    }
}

impl Drop for PendingRequest<'_> {
    fn drop(&mut self) {
        self.asks.all().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_node_answers_once() {
        let asks = PendingRequests::default();
        let mut one = asks.open(vec![1, 2]);
        let two = asks.open(vec![1, 2]);
        let id = one.id;
        asks.answer(id, 1, Ok(Value::Int(1)));
        asks.answer(id, 1, Ok(Value::Int(5)));
        asks.answer(id, 3, Ok(Value::Int(7)));
        asks.answer(id, 2, Err("no".to_owned()));
        one.done().await;
        assert_eq!(one.close(), (vec![Ok(Value::Int(1)), Err("no".to_owned())], vec![]));
        asks.answer(id, 1, Ok(Value::Null));
        asks.answer(two.id, 2, Ok(Value::Null));
        assert_eq!(two.close().1, [1]);
        let mut three = asks.open(vec![1, 2]);
        asks.answer(three.id, 2, Ok(Value::Null));
        asks.left(1);
        three.done().await;
        assert_eq!(three.close(), (vec![Ok(Value::Null)], vec![]));
        drop(asks.open(vec![4]));
        assert!(asks.all().is_empty());
    }
}
