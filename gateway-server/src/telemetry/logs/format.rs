//! The format of the log.

use serde::Deserialize;

/// The format of each line: plain text, or a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}
