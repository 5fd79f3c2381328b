//! What settings choose among. The variants have no comments of their own, as `--help` would show them.

use serde::Deserialize;

/// Who handles the events of clients: the server itself greets them and workers are told nothing; workers only, without one of which
/// nobody can connect; or workers, and the server as long as there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum EventHandlers {
    #[value(name = "builtin")]
    BuiltIn,
    Workers,
    Auto,
}

/// Which worker gets a new client, and keeps it: the one with the fewest clients; the same one for all clients of an address, for as long
/// as the same workers are there; or any, each as likely as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Routing {
    LeastClients,
    ClientAddress,
    Random,
}

/// What becomes of pushes to other nodes while there is no connection to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Outage {
    Buffer,
    Fail,
}
