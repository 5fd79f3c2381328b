//! Settings: defaults, then the TOML file, then the environment, then flags.

mod cli;
mod file;
mod listener;
mod live;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod reference;
mod settings;
mod wanted;

pub use cli::{Action, Printed, Question, Source, parse};
pub use file::{CertificateError, check, problems};
pub use listener::{Listener, ListenerLayer};
pub use live::Change;
pub use settings::{EventHandlers, Invalid, Layer, MessageType, Routing, Settings};
