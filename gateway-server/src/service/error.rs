//! The reasons why an order or a query fails.

use gateway_wire::client_protocol::GapReason;

use crate::shard::Stopped;

/// The reason why an order was not carried out, or not on all nodes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// The order itself is wrong, and nothing was done.
    #[error("{0}")]
    Refused(String),
    /// Other nodes of the cluster have not carried out their part, or did not say that they have.
    #[error("{0}")]
    Remote(String),
}

/// The reason why a call was not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    #[error("the server has stopped serving clients")]
    Stopped,
    /// The call itself is wrong.
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

/// Why a client has not come from another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotFound {
    /// It cannot be resumed.
    Gap(GapReason),
    /// It cannot be found out at this moment.
    NotNow(String),
}

impl From<GapReason> for NotFound {
    fn from(reason: GapReason) -> Self {
        Self::Gap(reason)
    }
}

impl From<String> for NotFound {
    fn from(reason: String) -> Self {
        Self::NotNow(reason)
    }
}

impl From<Stopped> for NotFound {
    /// A shard that has ended has no clients any more.
    fn from(_: Stopped) -> Self {
        Self::Gap(GapReason::Restarted)
    }
}
