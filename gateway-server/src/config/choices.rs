//! What settings choose among.

use serde::Deserialize;

/// Who handles the events of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EventHandlers {
    #[value(name = "builtin")]
    BuiltIn,
    Workers,
    Auto,
}

/// Which worker gets a new client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Routing {
    LeastClients,
    ClientAddress,
    Random,
}

/// What becomes of pushes to other nodes while there is no connection to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Outage {
    Buffer,
    Fail,
}
