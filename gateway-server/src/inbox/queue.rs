//! The queue of the thread of a store, bounded in bytes, and the groups that are taken from it.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hashbrown::HashSet;

use super::pause::Pause;
use super::request::{Answer, Read, Request, Unavailable, uid_of};
use super::store::{Operation, Outcome};

/// The operations of one group at most, unless one request alone has more.
const ROWS: usize = 1000;

/// Requests that are done together: all operations in one transaction, then the reads.
#[derive(Default)]
pub(super) struct Group {
    pub(super) operations: Vec<Operation>,
    /// How many of the operations each request has brought, and where its answer goes.
    pub(super) answers: Vec<(usize, Answer<Vec<Outcome>>)>,
    pub(super) reads: Vec<Read>,
}

/// What the queue gave.
pub(super) enum Taken {
    Group(Group),
    /// No request has come in the time that was given, or before [`Queue::wake`].
    Nothing,
    /// The store is to be closed for a while.
    Pause(Pause),
    /// The queue is closed, and all that was in it is done.
    Closed,
}

/// The requests that wait for the thread.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    news: Condvar,
    /// The bytes of all requests at most.
    bound: usize,
}

#[derive(Default)]
struct Waiting {
    requests: VecDeque<Request>,
    bytes: usize,
    is_closed: bool,
    /// Something else than a request has come.
    is_called: bool,
}

impl Queue {
    pub(super) fn new(bound: usize) -> Self {
        Self { waiting: Mutex::default(), news: Condvar::new(), bound }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, request: Request) -> Result<(), Unavailable> {
        let cost = request.cost();
        let mut waiting = self.lock();
        if waiting.is_closed {
            return Err(Unavailable::Ended);
        }
        if waiting.bytes + cost > self.bound {
            return Err(Unavailable::QueueFull);
        }
        waiting.bytes += cost;
        waiting.requests.push_back(request);
        drop(waiting);
        self.news.notify_one();
        Ok(())
    }

    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Says whether no more than half of the bytes are taken, or the queue is closed.
    pub(super) fn has_room(&self) -> bool {
        let waiting = self.lock();
        waiting.is_closed || waiting.bytes <= self.bound / 2
    }

    /// Takes what waits, at most one group, and waits for so long for the first of it.
    pub(super) fn take(&self, patience: Duration) -> Taken {
        let waiting = self.lock();
        let is_idle =
            |waiting: &mut Waiting| waiting.requests.is_empty() && !waiting.is_closed && !waiting.is_called;
        let (mut waiting, _) =
            self.news.wait_timeout_while(waiting, patience, is_idle).unwrap_or_else(PoisonError::into_inner);
        waiting.is_called = false;
        match (waiting.requests.is_empty(), waiting.is_closed) {
            (true, true) => Taken::Closed,
            (true, false) => Taken::Nothing,
            (false, _) => waiting.pause().map_or_else(|| Taken::Group(waiting.group()), Taken::Pause),
        }
    }

    /// Ends the wait of the thread, for which something else than a request has come.
    pub(super) fn wake(&self) {
        self.lock().is_called = true;
        self.news.notify_one();
    }

    /// Waits for so long, and says whether the queue was closed.
    pub(super) fn closes_within(&self, time: Duration) -> bool {
        let is_open = |waiting: &mut Waiting| !waiting.is_closed;
        let waited = self.news.wait_timeout_while(self.lock(), time, is_open);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_closed
    }

    /// Takes no more requests; those that wait are still done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.news.notify_one();
    }

    /// Takes no more requests, and gives up those that wait.
    pub(super) fn abandon(&self) {
        let mut waiting = self.lock();
        waiting.is_closed = true;
        waiting.bytes = 0;
        let requests = std::mem::take(&mut waiting.requests);
        // The end of its sender tells the one who waits for an answer, and that one may push again at once.
        drop(waiting);
        drop(requests);
    }
}

impl Waiting {
    /// Takes the request for a pause, if it is the first.
    fn pause(&mut self) -> Option<Pause> {
        let Some(Request::Pause(_)) = self.requests.front() else { return None };
        let request = self.requests.pop_front()?;
        self.bytes = self.bytes.saturating_sub(request.cost());
        match request {
            Request::Pause(pause) => Some(pause),
            Request::Apply(..) | Request::Read(_) => None,
        }
    }

    /// Takes requests from the front as long as they may be done in one transaction with the reads behind it: a read must not
    /// see what a later request does to its uid.
    fn group(&mut self) -> Group {
        let mut group = Group::default();
        let mut read: HashSet<Bytes> = HashSet::new();
        while let Some(request) = self.requests.front().filter(|next| !matches!(next, Request::Pause(_))) {
            if let Request::Apply(operations, _) = request {
                let is_too_much =
                    !group.operations.is_empty() && group.operations.len() + operations.len() > ROWS;
                let is_read = operations.iter().any(|operation| match uid_of(operation) {
                    Some(uid) => read.contains(uid),
                    None => !read.is_empty(),
                });
                if is_too_much || is_read {
                    break;
                }
            }
            self.bytes = self.bytes.saturating_sub(request.cost());
            match self.requests.pop_front() {
                Some(Request::Apply(operations, answer)) => {
                    group.answers.push((operations.len(), answer));
                    group.operations.extend(operations);
                }
                Some(Request::Read(one)) => {
                    read.extend(one.uid().cloned());
                    group.reads.push(one);
                }
                Some(Request::Pause(_)) | None => {}
            }
            if group.reads.len() >= ROWS {
                break;
            }
        }
        group
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    fn forget(uid: &'static str) -> Request {
        Request::Apply(vec![Operation::Forget { uid: Bytes::from(uid) }], oneshot::channel().0)
    }

    fn inbox_of(uid: &'static str) -> Request {
        Request::Read(Read::InboxOf { uid: Bytes::from(uid), answer: oneshot::channel().0 })
    }

    fn take(queue: &Queue) -> (usize, usize) {
        match queue.take(Duration::ZERO) {
            Taken::Group(group) => (group.operations.len(), group.reads.len()),
            Taken::Nothing | Taken::Closed | Taken::Pause(_) => (0, 0),
        }
    }

    #[test]
    fn a_read_does_not_see_what_a_later_request_does_to_its_uid() {
        let queue = Queue::new(1 << 20);
        for request in [forget("a"), inbox_of("a"), forget("b"), inbox_of("b"), forget("a"), forget("c")] {
            queue.push(request).unwrap();
        }
        assert_eq!((take(&queue), take(&queue), take(&queue)), ((2, 2), (2, 0), (0, 0)));
    }

    #[test]
    fn groups_and_the_queue_are_bounded() {
        let queue = Queue::new(10 << 20);
        for _ in 0..1500 {
            queue.push(forget("a")).unwrap();
        }
        assert_eq!((take(&queue), take(&queue)), ((1000, 0), (500, 0)));
        assert_eq!(queue.lock().bytes, 0);
        let cost = forget("a").cost();
        let queue = Queue::new(2 * cost);
        queue.push(forget("a")).unwrap();
        queue.push(forget("a")).unwrap();
        assert_eq!(queue.push(forget("a")), Err(Unavailable::QueueFull));
        take(&queue);
        queue.push(forget("a")).unwrap();
        queue.close();
        assert_eq!(queue.push(forget("a")), Err(Unavailable::Ended));
        assert_eq!(take(&queue), (1, 0));
        assert!(matches!(queue.take(Duration::MAX), Taken::Closed));
    }
}
