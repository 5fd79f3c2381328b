//! The queue of lines for the log. A thread that logs never waits and never fails: lines for which there is no room are lost and
//! counted.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The memory of the lines that may wait, in bytes.
const ROOM: usize = 1 << 20;
/// The memory that a line takes beside its text, in bytes.
const COST_OF_A_LINE: usize = 64;
/// How often the log tries to report lost lines while nothing else is logged.
const SAY_AGAIN: Duration = Duration::from_secs(1);
/// The wait before another attempt when the destination takes nothing at the moment.
const NOT_NOW: Duration = Duration::from_millis(10);
const TOO_QUICK: &str = "they came quicker than they could be written";

/// The queue between the threads that log and the one that writes.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer, as there are lines to write.
    filled: Condvar,
    /// Wakes flushes, as all lines are written or lost.
    emptied: Condvar,
    /// The number of lines that were lost since the start.
    lost: AtomicU64,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Box<[u8]>>,
    /// The part of [`ROOM`] that is taken by `lines` and by the lines that are being written.
    taken: usize,
    /// The number of lines that found no room since the writer last took some.
    lost: u64,
    is_writer_asleep: bool,
    is_writing: bool,
}

impl Queue {
    pub(super) fn push(&self, text: &[u8]) {
        let mut line = Vec::new();
        let has_memory = line.try_reserve_exact(text.len()).is_ok();
        let cost = text.len() + COST_OF_A_LINE;
        let mut state = self.state();
        if !has_memory || state.taken + cost > ROOM {
            state.lost += 1;
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        line.extend_from_slice(text);
        state.taken += cost;
        state.lines.push_back(line.into_boxed_slice());
        if std::mem::take(&mut state.is_writer_asleep) {
            self.filled.notify_one();
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until all lines are written or lost, for `bound` at most.
    pub(super) fn flush(&self, bound: Duration) {
        let until = Instant::now() + bound;
        let mut state = self.state();
        while !state.lines.is_empty() || state.is_writing || state.lost > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            self.filled.notify_one();
            let waited = self.emptied.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner);
            state = waited.0;
        }
    }

    /// Writes lines for ever. `notice` makes the line that reports how many were lost, and why.
    pub(super) fn write_to(&self, mut destination: impl Write, notice: impl Fn(u64, &str) -> String) {
        let mut writing = Writing::default();
        loop {
            let (lines, without_room) = self.take(writing.lost > 0);
            for line in &lines {
                if let Err(error) = writing.write(&mut destination, line) {
                    self.lost.fetch_add(1, Ordering::Relaxed);
                    writing.lose(1, &error.to_string());
                }
            }
            if without_room > 0 {
                writing.lose(without_room, TOO_QUICK);
            }
            if writing.lost > 0 {
                let text = notice(writing.lost, &writing.reason);
                if writing.write(&mut destination, text.as_bytes()).is_ok() {
                    writing.lost = 0;
                }
            }
            self.wrote();
        }
    }

    /// Waits for lines and takes them all, together with the number of those that found no room behind them. With `is_impatient`
    /// it returns after [`SAY_AGAIN`] even without lines.
    fn take(&self, is_impatient: bool) -> (VecDeque<Box<[u8]>>, u64) {
        let mut state = self.state();
        while state.lines.is_empty() && state.lost == 0 {
            state.is_writer_asleep = true;
            if is_impatient {
                let waited =
                    self.filled.wait_timeout(state, SAY_AGAIN).unwrap_or_else(PoisonError::into_inner);
                state = waited.0;
                break;
            }
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.is_writer_asleep = false;
        state.is_writing = true;
        (std::mem::take(&mut state.lines), std::mem::take(&mut state.lost))
    }

    fn wrote(&self) {
        let mut state = self.state();
        state.is_writing = false;
        state.taken = state.lines.iter().map(|line| line.len() + COST_OF_A_LINE).sum();
        self.emptied.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state of the writer.
#[derive(Default)]
struct Writing {
    /// The number of lost lines that are not reported in the log yet.
    lost: u64,
    reason: String,
    /// Whether a line was written in part and the rest was refused.
    is_within_line: bool,
}

impl Writing {
    fn lose(&mut self, lines: u64, reason: &str) {
        self.lost += lines;
        reason.clone_into(&mut self.reason);
    }

    fn write(&mut self, destination: &mut impl Write, line: &[u8]) -> io::Result<()> {
        if self.is_within_line {
            write_part(destination, b"\n").map_err(|(_, error)| error)?;
            self.is_within_line = false;
        }
        write_part(destination, line).map_err(|(written, error)| {
            self.is_within_line = written > 0;
            error
        })
    }
}

/// Writes all bytes. An error comes with the number of those that were written before.
fn write_part(destination: &mut impl Write, mut bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let length = bytes.len();
    while !bytes.is_empty() {
        match destination.write(bytes) {
            Ok(0) => return Err((length - bytes.len(), ErrorKind::WriteZero.into())),
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process has made the destination non-blocking for all that write there.
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(NOT_NOW),
            Err(error) => return Err((length - bytes.len(), error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A destination that treats each write as the test says, and hands over what it took.
    struct Recorder {
        results: Receiver<io::Result<usize>>,
        written: Sender<Vec<u8>>,
    }

    impl Write for Recorder {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // The channel is closed once the test has ended.
            let Ok(result) = self.results.recv() else {
                loop {
                    std::thread::park()
                }
            };
            let length = result?.min(bytes.len());
            self.written.send(bytes[..length].to_vec()).map_err(io::Error::other)?;
            Ok(length)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start() -> (Arc<Queue>, Sender<io::Result<usize>>, Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::default());
        let ((tell, results), (written, read)) = (channel(), channel());
        let theirs = Arc::clone(&queue);
        std::thread::spawn(move || {
            theirs.write_to(Recorder { results, written }, |lost, reason| format!("{lost} lost: {reason}\n"));
        });
        (queue, tell, read)
    }

    fn next(read: &Receiver<Vec<u8>>) -> String {
        String::from_utf8(read.recv_timeout(Duration::from_secs(30)).unwrap()).unwrap()
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_said_once_it_does() {
        let (queue, tell, read) = start();
        let full = || Err(io::Error::from_raw_os_error(libc::ENOSPC));
        queue.push(b"one\n");
        tell.send(Ok(100)).unwrap();
        assert_eq!(next(&read), "one\n");
        queue.push(b"two\n");
        // The destination takes a part of the line, then nothing more, and not the notice either.
        [Ok(2), full(), full()].into_iter().for_each(|result| tell.send(result).unwrap());
        assert_eq!(next(&read), "tw");
        (0..3).for_each(|_| tell.send(Ok(100)).unwrap());
        assert_eq!(next(&read), "\n");
        assert!(next(&read).starts_with("1 lost: No space left on device"));
        queue.push(b"three\n");
        assert_eq!(next(&read), "three\n");
        queue.flush(Duration::from_secs(30));
        assert_eq!(queue.lost(), 1);
    }

    #[test]
    fn whoever_logs_never_waits_for_a_reader_that_does_not_read() {
        let (queue, tell, read) = start();
        let line = [b"x".repeat(1000), b"\n".to_vec()].concat();
        let lines = 3 * ROOM / line.len();
        (0..lines).for_each(|_| queue.push(&line));
        // A flush ends after its bound even if nothing was written.
        queue.flush(Duration::from_millis(1));
        assert!(queue.lost() > lines as u64 / 2, "{}", queue.lost());
        assert!(queue.state().taken <= ROOM);
        (0..2 * lines).for_each(|_| tell.send(Ok(usize::MAX)).unwrap());
        let (mut kept, mut said) = (0, 0);
        while said < queue.lost() {
            match next(&read).split_once(" lost: they came quicker than they could be written") {
                Some((number, _)) => said += number.parse::<u64>().unwrap(),
                None => kept += 1,
            }
        }
        assert_eq!((said, kept + said), (queue.lost(), lines as u64));
        queue.flush(Duration::from_secs(30));
        assert_eq!(queue.state().taken, 0);
    }
}
