//! The last lines of the log, kept in memory of a fixed size for whoever asks at the operations port.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::telemetry::clock;

/// Lines that are kept.
const LINES: usize = 200;
/// Bytes of a line that are kept. Of a longer one the beginning is.
const LENGTH: usize = 400;

static KEPT: OnceLock<Mutex<Kept>> = OnceLock::new();

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecentLine {
    /// The number of the line, counted from 1 since the start.
    pub number: u64,
    /// The unix time.
    pub at: Duration,
    pub level: &'static str,
    /// The message, and its fields as in `peer=192.0.2.7:50412`.
    pub text: String,
}

/// A ring of lines.
struct Kept {
    lines: Box<[Line]>,
    /// The number of the newest line, counted from 1.
    newest: u64,
}

/// The memory of one line.
#[derive(Clone)]
struct Line {
    at: Duration,
    level: Level,
    text: Text,
}

/// A text of bounded length, to which writing allocates nothing.
#[derive(Clone)]
struct Text {
    bytes: [u8; LENGTH],
    length: usize,
}

impl Default for Text {
    fn default() -> Self {
        Self { bytes: [0; LENGTH], length: 0 }
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut end = text.len().min(LENGTH - self.length);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.bytes[self.length..self.length + end].copy_from_slice(&text.as_bytes()[..end]);
        self.length += end;
        // What follows a text that was cut would be taken for its end.
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

impl Kept {
    fn new() -> Self {
        let line = Line { at: Duration::ZERO, level: Level::INFO, text: Text::default() };
        Self { lines: vec![line; LINES].into_boxed_slice(), newest: 0 }
    }

    fn push(&mut self, at: Duration, level: Level, text: Text) {
        self.newest += 1;
        self.lines[(self.newest % LINES as u64) as usize] = Line { at, level, text };
    }

    /// The lines behind the one with this number, the oldest first.
    fn after(&self, number: u64) -> Vec<RecentLine> {
        let oldest = self.newest.saturating_sub(LINES as u64 - 1).max(1);
        let numbers = oldest.max(number.saturating_add(1))..=self.newest;
        let of_number = |number: u64| {
            let line = &self.lines[(number % LINES as u64) as usize];
            let text = String::from_utf8_lossy(&line.text.bytes[..line.text.length]).into_owned();
            RecentLine { number, at: line.at, level: line.level.as_str(), text }
        };
        numbers.map(of_number).collect()
    }
}

fn kept() -> MutexGuard<'static, Kept> {
    KEPT.get_or_init(|| Mutex::new(Kept::new())).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the kept lines behind the one with this number, the oldest first.
pub fn after(number: u64) -> Vec<RecentLine> {
    kept().after(number)
}

/// Keeps a line that did not come by `tracing`.
pub(super) fn push(level: Level, message: &str) {
    let mut text = Text::default();
    // A message that is too long is cut.
    let _ = text.write_str(message);
    kept().push(clock::since_epoch(), level, text);
}

/// Keeps each line of level info or above that the log writes.
pub(super) struct Recent;

impl<S: Subscriber> Layer<S> for Recent {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let level = *event.metadata().level();
        if level > Level::INFO {
            return;
        }
        let mut fields = Fields { text: Text::default(), is_full: false };
        event.record(&mut fields);
        kept().push(clock::since_epoch(), level, fields.text);
    }
}

/// Writes a message and its fields as one text.
struct Fields {
    text: Text,
    is_full: bool,
}

impl Fields {
    fn write(&mut self, field: &Field, value: fmt::Arguments<'_>) {
        if self.is_full {
            return;
        }
        let written = match field.name() {
            "message" => self.text.write_fmt(value),
            name if self.text.length == 0 => write!(self.text, "{name}={value}"),
            name => write!(self.text, " {name}={value}"),
        };
        self.is_full = written.is_err();
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.write(field, format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_and_long_ones_cut() {
        let mut kept = Kept::new();
        assert_eq!(kept.after(0), []);
        for number in 1..=LINES + 50 {
            let mut text = Text::default();
            write!(text, "line {number}").unwrap();
            kept.push(Duration::from_secs(number as u64), Level::WARN, text);
        }
        let lines = kept.after(0);
        assert_eq!(lines.len(), LINES);
        let last = RecentLine {
            number: 250,
            at: Duration::from_secs(250),
            level: "WARN",
            text: "line 250".to_owned(),
        };
        assert_eq!((lines[0].number, lines[0].text.as_str(), lines.last()), (51, "line 51", Some(&last)));
        assert_eq!(kept.after(249), [last]);
        assert_eq!(kept.after(250), []);
        assert_eq!(kept.after(u64::MAX), []);

        let mut text = Text::default();
        assert!(write!(text, "{}", "ü".repeat(LENGTH)).is_err());
        assert_eq!(String::from_utf8_lossy(&text.bytes[..text.length]), "ü".repeat(LENGTH / 2));
    }
}
