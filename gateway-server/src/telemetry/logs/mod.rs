//! Structured logs on standard error.
//!
//! Lines go through a queue to a thread of their own: a disk that is full, a pipe that nobody reads and one whose reader has gone
//! cost lines, which are counted and spoken of later, and hold up nobody.

mod format;
mod line;
mod queue;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

use crate::telemetry::words::plural;
pub use format::LogFormat;

use line::{Level, line};
use queue::Queue;

/// The one of this process.
static LOG: OnceLock<Log> = OnceLock::new();

/// How long an end of the process waits for its last lines to be taken.
const LAST_LINES: Duration = Duration::from_secs(1);

struct Log {
    queue: Queue,
    format: LogFormat,
}

/// Logs that have started.
pub struct Logs {
    set: Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>,
}

/// Starts the thread that writes, from which on panics are logged too. `log` is what is logged, as the setting of that name says it.
pub fn start(log: &str, format: LogFormat) -> anyhow::Result<Logs> {
    let filter = filter(log).with_context(|| format!("log = {log:?}"))?;
    let log = LOG.get_or_init(|| Log { queue: Queue::default(), format });
    // A descriptor of its own: the lock around the standard one would be held while a line is written. Where there is none,
    // there is nobody to tell.
    let destination: Box<dyn Write + Send> = match io::stderr().as_fd().try_clone_to_owned() {
        Ok(stderr) => Box::new(File::from(stderr)),
        Err(_) => Box::new(io::sink()),
    };
    let notice = move |lost: u64, reason: &str| {
        let lines = plural(lost, "line");
        let were = if lost == 1 { "was" } else { "were" };
        line(format, Level::Warn, &format!("{lost} {lines} of the log {were} lost: {reason}"))
    };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || log.queue.write_to(destination, notice))
        .context("the thread that writes the log")?;
    std::panic::set_hook(Box::new(log_panic));

    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Line(log)).with_target(false);
    Ok(match format {
        LogFormat::Text => {
            let logs = logs.with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Logs { set: Box::new(move |filter| Ok(handle.reload(filter)?)) }
        }
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true).with_filter_reloading();
            let handle = logs.reload_handle();
            logs.init();
            Logs { set: Box::new(move |filter| Ok(handle.reload(filter)?)) }
        }
    })
}

/// Lines that were lost since the start.
pub fn lost() -> u64 {
    LOG.get().map_or(0, |log| log.queue.lost())
}

/// Waits until what was logged has been taken, but not for long.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(LAST_LINES);
    }
}

/// What the program says when it ends with an error, whether or not its log has started.
pub fn last_words(message: &str) {
    match LOG.get() {
        Some(log) => {
            let text = match log.format {
                LogFormat::Text => format!("gateway-server: {message}\n"),
                LogFormat::Json => line(log.format, Level::Error, message),
            };
            log.queue.push(text.as_bytes());
            log.queue.flush(LAST_LINES);
        }
        // Where that cannot be written, the exit code has to do.
        None => drop(writeln!(io::stderr(), "gateway-server: {message}")),
    }
}

impl Logs {
    /// Changes what is logged.
    pub fn set_filter(&self, log: &str) -> anyhow::Result<()> {
        (self.set)(filter(log).with_context(|| format!("log = {log:?}"))?)
    }
}

/// Reads the setting `log`. What stands in it for a span's field is no pattern: to compile one of some hundred bytes may take
/// seconds.
pub(crate) fn filter(log: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::builder().with_regex(false).parse(log)
}

/// Not by way of `tracing`, within which the panic may have been. The name of the thread says whose it was.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let Some(log) = LOG.get() else { return };
    let thread = std::thread::current();
    let panic = panic.to_string().replace('\n', " ");
    let mut message =
        format!("a fault of ours in thread {}: {panic}", thread.name().unwrap_or("without a name"));
    let backtrace = std::backtrace::Backtrace::capture();
    if backtrace.status() == std::backtrace::BacktraceStatus::Captured {
        message.push_str(&format!("\n{backtrace}"));
    }
    log.queue.push(line(log.format, Level::Error, &message).as_bytes());
}

/// One line: `tracing` hands it over whole.
struct Line(&'static Log);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.queue.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
