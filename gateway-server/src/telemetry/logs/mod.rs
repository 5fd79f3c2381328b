//! Structured logs on standard error.
//!
//! Lines go through a queue to a thread of their own. A full disk, a pipe that nobody reads and a closed pipe lose lines, which
//! are counted and reported later, but delay no other thread.

mod format;
mod line;
mod queue;
mod recent;

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::os::fd::AsFd as _;
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::telemetry::words::plural;
pub use format::LogFormat;

use line::{Level, line};
use queue::Queue;
use recent::Recent;
pub use recent::{RecentLine, after as recent};

/// The log of this process, once it has started.
static LOG: OnceLock<Log> = OnceLock::new();

/// How long the end of the process waits until the last lines are written.
const LAST_LINES: Duration = Duration::from_secs(1);

struct Log {
    queue: Queue,
    format: LogFormat,
}

/// A handle by which the filter of the running log is changed.
pub struct Logs {
    set: Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>,
}

/// Starts the thread that writes the log, and has panics logged too. `log` is the setting of this name, which filters what is
/// logged.
pub fn start(log: &str, format: LogFormat) -> anyhow::Result<Logs> {
    let filter = filter(log).with_context(|| format!("log = {log:?}"))?;
    let log = LOG.get_or_init(|| Log { queue: Queue::default(), format });
    // The log has a descriptor of its own, as the lock around the standard one would be held while a line is written. If there is
    // no descriptor, the lines are thrown away.
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
            logs.finish().with(Recent).init();
            Logs { set: Box::new(move |filter| Ok(handle.reload(filter)?)) }
        }
        LogFormat::Json => {
            let logs = logs.json().flatten_event(true).with_filter_reloading();
            let handle = logs.reload_handle();
            logs.finish().with(Recent).init();
            Logs { set: Box::new(move |filter| Ok(handle.reload(filter)?)) }
        }
    })
}

/// The number of lines that were lost since the start.
pub fn lost() -> u64 {
    LOG.get().map_or(0, |log| log.queue.lost())
}

/// Waits until the lines that were logged are written, for [`LAST_LINES`] at most.
pub fn flush() {
    if let Some(log) = LOG.get() {
        log.queue.flush(LAST_LINES);
    }
}

/// Writes why the program ends, whether or not its log has started.
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
        // If this cannot be written, the exit code must do.
        None => drop(writeln!(io::stderr(), "gateway-server: {message}")),
    }
}

impl Logs {
    /// Changes what is logged.
    pub fn set_filter(&self, log: &str) -> anyhow::Result<()> {
        (self.set)(filter(log).with_context(|| format!("log = {log:?}"))?)
    }
}

/// Parses the setting `log`. The values of span fields in it are not patterns, as compiling one of a few hundred bytes may take
/// seconds.
pub(crate) fn filter(log: &str) -> anyhow::Result<EnvFilter> {
    // The parser takes a character for a byte, and panics where one has several. No name in this program has such characters.
    anyhow::ensure!(log.is_ascii(), "it has characters that are not ASCII");
    let filter = EnvFilter::builder().with_regex(false).parse(log)?;
    // What the client of NATS tells of each connection is told by this server where it matters.
    let is_named = log.contains("async_nats");
    Ok(if is_named { filter } else { filter.add_directive("async_nats=off".parse()?) })
}

/// Logs a panic, with the name of its thread. It does not use `tracing`, as the panic may have happened inside of that.
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
    recent::push(tracing::Level::ERROR, &message);
    log.queue.push(line(log.format, Level::Error, &message).as_bytes());
}

/// Receives the lines of `tracing`, which writes each of them in one call.
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
