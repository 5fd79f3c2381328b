//! Settings: defaults, then the TOML file, then the environment, then flags.

mod check;
mod choices;
mod defaults;
mod derived;
mod diff;
mod differences;
mod file;
mod flag;
mod invalid;
mod kind;
mod raw;
#[cfg(test)]
mod reference;
mod resolve;
mod row;
mod secret;
mod source;
mod table;
#[cfg(test)]
mod table_tests;
mod texts;
mod wanted;

pub use choices::{EventHandlers, Outage, Routing};
pub(crate) use diff::Change;
pub use file::{FileProblem, check, problems};
pub use invalid::Invalid;
pub use source::Source;
#[cfg(test)]
pub(crate) use table::RawListener;
pub use table::Settings;
pub(crate) use table::{Listener, RawConfig};
pub(crate) use wanted::of_flag as in_words;
