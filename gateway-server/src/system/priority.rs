//! Threads that get more of the processors than others, or less. The system keeps a priority for each thread.

use rustix::process::{Pid, getpriority_process, setpriority_process};
use rustix::thread::gettid;

/// The priorities that are asked for, the best first: a user's limit (`RLIMIT_NICE`) may permit less than another's, or none of them.
const HIGH: [i32; 3] = [-15, -10, -5];
/// The lowest priority, which gets little while others work.
const LOWEST: i32 = 19;

/// A thread for which everybody waits, and which therefore gets more of busy processors. Dropping this gives it what it had before.
///
/// A thread that it starts meanwhile gets the same, and keeps it.
pub struct Hurry {
    thread: Pid,
    before: i32,
}

impl Hurry {
    /// Lets the calling thread hurry, or gives `None` if the system does not permit that, as most do to users but root.
    pub fn begin() -> Option<Self> {
        let thread = gettid();
        let before = getpriority_process(Some(thread)).ok()?;
        HIGH.into_iter()
            .filter(|high| *high < before)
            .find(|high| setpriority_process(Some(thread), *high).is_ok())
            .map(|_| Self { thread, before })
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        // To ask for less is always permitted.
        let _ = setpriority_process(Some(self.thread), self.before);
    }
}

/// Lets the calling thread give way to all others from now on. Where the system does not permit that, the thread goes on as before.
pub fn give_way() {
    let _ = setpriority_process(Some(gettid()), LOWEST);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_this_thread() -> i32 {
        getpriority_process(Some(gettid())).unwrap()
    }

    #[test]
    fn a_thread_hurries_as_long_as_it_may() {
        let before = of_this_thread();
        let hurry = Hurry::begin();
        assert_eq!(hurry.is_some(), of_this_thread() < before);
        let started = std::thread::spawn(of_this_thread).join().unwrap();
        assert_eq!(started, of_this_thread());
        // It hurries already.
        assert!(hurry.is_none() || Hurry::begin().is_none_or(|more| more.before == of_this_thread()));
        drop(hurry);
        assert_eq!(of_this_thread(), before);
    }

    #[test]
    fn a_thread_gives_way_alone() {
        let before = of_this_thread();
        let other = std::thread::spawn(|| {
            give_way();
            of_this_thread()
        });
        assert_eq!((other.join().unwrap(), of_this_thread()), (LOWEST, before));
    }
}
