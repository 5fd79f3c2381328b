//! Settings: defaults, then the TOML file, then the environment, then flags.

mod check;
mod choices;
mod cli;
mod defaults;
mod diff;
mod file;
mod flag;
mod invalid;
mod kind;
#[cfg(test)]
mod manual;
mod raw;
#[cfg(test)]
mod reference;
mod resolve;
mod row;
mod secret;
mod table;
mod texts;
mod wanted;

pub(crate) use choices::{EventHandlers, MessageType, Outage, Routing};
pub use cli::{Action, Asked, Printed, Question, Source, parse};
pub(crate) use diff::Change;
pub use file::{FileProblem, check, problems};
pub use invalid::Invalid;
pub(crate) use table::Listener;
pub use table::Settings;
#[cfg(test)]
pub(crate) use table::{RawConfig, RawListener};
