//! How long the threads of this process have waited for a processor: on a machine with too few of them, or beyond the limit of a
//! container's processor time.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// The folder with a folder for each thread of this process.
const THREADS: &str = "/proc/self/task";

/// What the kernel had counted for each thread at one moment. A kernel that counts nothing gives no threads.
pub struct ProcessorWaits {
    at: Instant,
    threads: HashMap<u64, Thread>,
}

/// What the kernel has counted for one thread.
#[derive(Clone, Copy)]
struct Thread {
    /// The time that it has had a processor.
    ran: Duration,
    /// The time that it has waited for one, without the wait that is not over yet.
    waited: Duration,
    /// Whether it has a processor or waits for one.
    is_runnable: bool,
}

impl ProcessorWaits {
    /// Reads what the kernel has counted up to now.
    pub fn now() -> Self {
        let folders = fs::read_dir(THREADS).into_iter().flatten().flatten();
        let threads = folders.filter_map(|folder| {
            let id = folder.file_name().to_str()?.parse().ok()?;
            let read = |name| fs::read_to_string(folder.path().join(name)).ok();
            Some((id, Thread::of(&read("stat")?, &read("schedstat")?)?))
        });
        Self { at: Instant::now(), threads: threads.collect() }
    }

    /// The longest that one of the threads has waited for a processor since an earlier moment.
    pub fn longest_since(&self, before: &Self) -> Duration {
        let elapsed = self.at - before.at;
        let waits = self.threads.iter().filter_map(|(id, thread)| {
            let before = before.threads.get(id)?;
            // The kernel counts a wait when it is over.
            let waits_still = thread.is_runnable && before.is_runnable && thread.ran == before.ran;
            Some(if waits_still { elapsed } else { thread.waited.saturating_sub(before.waited) })
        });
        waits.max().unwrap_or_default()
    }
}

impl Thread {
    /// Reads a thread's `stat` and `schedstat` (proc(5)).
    fn of(stat: &str, schedstat: &str) -> Option<Self> {
        // The state stands behind the name, which stands in brackets and may hold any character.
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        let mut times = schedstat.split_whitespace().map(|nanoseconds| nanoseconds.parse().ok());
        let mut next = || Some(Duration::from_nanos(times.next()??));
        let thread = Self { ran: next()?, waited: next()?, is_runnable: state == 'R' };
        // Each thread that is seen has run, so this is a kernel that does not count.
        (!thread.ran.is_zero()).then_some(thread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(state: char, ran: u64, waited: u64) -> Option<Thread> {
        Thread::of(&format!("7 (a) name) {state} 1 7"), &format!("{ran} {waited} 3\n"))
    }

    /// The longest wait between two moments a second apart.
    fn wait(before: Option<Thread>, after: Option<Thread>) -> Duration {
        let at = Instant::now();
        let moment = |thread: Option<Thread>, at| ProcessorWaits {
            at,
            threads: thread.map(|thread| (7, thread)).into_iter().collect(),
        };
        moment(after, at + Duration::from_secs(1)).longest_since(&moment(before, at))
    }

    #[test]
    fn waits_that_are_over_and_those_that_are_not_count() {
        const MS: u64 = 1_000_000;
        // It sleeps, as one that waits for a lock does.
        assert_eq!(wait(thread('S', 5, 6), thread('S', 5, 6)), Duration::ZERO);
        // It runs all the time, as one in an endless loop does.
        assert_eq!(wait(thread('R', 5, 6), thread('R', 5 + 990 * MS, 6)), Duration::ZERO);
        assert_eq!(
            wait(thread('R', 5, 6), thread('R', 5 + 90 * MS, 6 + 910 * MS)),
            Duration::from_millis(910)
        );
        assert_eq!(wait(thread('S', 5, 6), thread('S', 5 + MS, 6 + 300 * MS)), Duration::from_millis(300));
        assert_eq!(wait(thread('R', 5, 6), thread('R', 5, 6)), Duration::from_secs(1));
        // When it became runnable is not known yet.
        assert_eq!(wait(thread('S', 5, 6), thread('R', 5, 6)), Duration::ZERO);
        // A thread that is new or has ended has waited for nothing that concerns the others.
        assert_eq!(wait(None, thread('R', 5, 900 * MS)), Duration::ZERO);
        assert_eq!(wait(thread('R', 5, 6), None), Duration::ZERO);
    }

    #[test]
    fn a_kernel_that_does_not_count_and_what_is_no_count_give_nothing() {
        assert!(thread('R', 0, 0).is_none());
        for (stat, schedstat) in
            [("", "1 2 3"), ("7 (x) R", ""), ("7 (x) R", "1"), ("7 (x) R", "a b"), ("7 (x", "1 2 3")]
        {
            assert!(Thread::of(stat, schedstat).is_none(), "{stat}, {schedstat}");
        }
    }

    #[test]
    fn threads_of_this_process_are_seen() {
        let before = ProcessorWaits::now();
        assert!(!before.threads.is_empty());
        assert!(ProcessorWaits::now().longest_since(&before) <= before.at.elapsed());
    }
}
