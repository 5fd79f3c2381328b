//! Why an order or a query came to nothing.

use crate::shard::Stopped;

/// Why an order was not carried out, or not everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It is the caller's fault, and nothing was done.
    #[error("{0}")]
    Refused(String),
    /// Other nodes of the cluster have not done their part, or have not said so.
    #[error("{0}")]
    Remote(String),
}

/// Why a call was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    #[error("the server has stopped serving clients")]
    Stopped,
    /// It is the caller's fault.
    #[error("{0}")]
    Refused(String),
    /// Other nodes of the cluster did not do their part.
    #[error("{0}")]
    Remote(String),
    #[error("the answer is too large")]
    TooLarge,
}

impl From<OrderError> for ServiceError {
    fn from(error: OrderError) -> Self {
        match error {
            OrderError::Refused(message) => Self::Refused(message),
            OrderError::Remote(message) => Self::Remote(message),
        }
    }
}

impl From<Stopped> for ServiceError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}
