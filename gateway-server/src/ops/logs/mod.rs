//! Structured logs on standard error.

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;

use super::config::{LogFormat, Settings};

/// Logs that have started.
pub struct Logs {
    set: Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>,
}

pub fn start(settings: &Settings) -> anyhow::Result<Logs> {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter(&settings.log)?)
        .with_writer(std::io::stderr)
        .with_target(false);
    Ok(match settings.log_format {
        LogFormat::Text => {
            let logs =
                logs.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).with_filter_reloading();
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

impl Logs {
    /// Changes what is logged.
    pub fn set_filter(&self, log: &str) -> anyhow::Result<()> {
        (self.set)(filter(log)?)
    }
}

fn filter(log: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::try_new(log).with_context(|| format!("log = {log:?}"))
}
