//! The failures of a task, as far as they make a difference for what follows.

use crate::handover::channel::ChannelError;

/// Why a task has failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Failure {
    /// The other end is gone, as when its process has died.
    #[error("{0}")]
    Gone(String),
    /// The other end does nothing.
    #[error("{0}")]
    Silent(String),
    /// Anything else, here or in what the other end has sent.
    #[error("{0}")]
    Other(String),
}

impl From<&ChannelError> for Failure {
    fn from(error: &ChannelError) -> Self {
        let text = error.to_string();
        match error {
            error if error.is_end() => Self::Gone(text),
            ChannelError::Silent(_) => Self::Silent(text),
            _ => Self::Other(text),
        }
    }
}
