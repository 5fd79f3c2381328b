//! The same orders and queries for those who do not come over a bridge.

use gateway_wire::bridge::{Order, Query, Reply, Value, frame};
use serde::Serialize;

use super::Bridge;
use super::queries::Answers;
use crate::shard::Stopped;

/// Why an order was not carried out, or not everywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// It is the caller's fault, and nothing was done.
    #[error("{0}")]
    Refused(String),
    /// Other nodes of the cluster have not done their part, or have not said so.
    #[error("{0}")]
    Elsewhere(String),
}

/// What is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    #[error("the server has stopped serving clients")]
    Stopped,
    /// It is the caller's fault.
    #[error("{0}")]
    Refused(String),
    /// Other nodes of the cluster did not do their part.
    #[error("{0}")]
    Elsewhere(String),
    #[error("the answer is too large")]
    TooLarge,
}

impl From<Undone> for Failed {
    fn from(undone: Undone) -> Self {
        match undone {
            Undone::Refused(message) => Self::Refused(message),
            Undone::Elsewhere(message) => Self::Elsewhere(message),
        }
    }
}

impl From<Stopped> for Failed {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

/// An answer on its way, as a frame.
#[derive(Default)]
struct Framed {
    frame: Vec<u8>,
    is_too_large: bool,
    failed: Option<String>,
}

impl Answers for Framed {
    fn answer(&mut self, value: &impl Serialize) {
        self.is_too_large = Reply::encode_answer(0, value, &mut self.frame).is_err();
    }

    fn fail(&mut self, message: String) {
        self.failed = Some(message);
    }
}

impl Bridge {
    /// What it writes goes out at the latest with [`Bridge::settle`].
    pub async fn order(&self, order: &Order<'_>) -> Result<(), Failed> {
        Ok(self.obey(order).await??)
    }

    /// Writes what was ordered, at the end of a burst.
    pub fn settle(&self) {
        self.hub.settle();
    }

    /// Gives also how many bytes the answer has on the wire.
    pub async fn ask(&self, query: &Query<'_>) -> Result<(Value, usize), Failed> {
        let mut framed = Framed::default();
        self.answer(query, &mut framed).await?;
        framed.value()
    }

    /// Answers like [`Bridge::ask`], for this node alone.
    pub(in crate::backend) async fn ask_here(&self, query: &Query<'_>) -> Result<(Value, usize), Failed> {
        let mut framed = Framed::default();
        self.answer_here(query, &mut framed).await?;
        framed.value()
    }
}

impl Framed {
    fn value(self) -> Result<(Value, usize), Failed> {
        if let Some(message) = self.failed {
            return Err(Failed::Elsewhere(message));
        }
        if self.is_too_large {
            return Err(Failed::TooLarge);
        }
        let content = self.frame.get(frame::HEADER..).unwrap_or_default();
        match Reply::decode(content) {
            Ok(Reply::Answer { value, .. }) => Ok((value, content.len())),
            Ok(other) => Err(Failed::Refused(format!("{other:?} instead of an answer"))),
            Err(error) => Err(Failed::Refused(error.to_string())),
        }
    }
}
