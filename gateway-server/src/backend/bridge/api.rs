//! The same orders and queries for those who do not come over a bridge.

use gateway_wire::bridge::{Order, Query, Reply, Value, frame};
use serde::Serialize;

use super::Bridge;
use super::queries::Answers;
use crate::shard::Stopped;

/// What is not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    #[error("the server has stopped serving clients")]
    Stopped,
    /// It is the caller's fault.
    #[error("{0}")]
    Refused(String),
    #[error("the answer is too large")]
    TooLarge,
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
}

impl Answers for Framed {
    fn answer(&mut self, value: &impl Serialize) {
        self.is_too_large = Reply::encode_answer(0, value, &mut self.frame).is_err();
    }
}

impl Bridge {
    /// What it writes goes out at the latest with [`Bridge::settle`].
    pub async fn order(&self, order: &Order<'_>) -> Result<(), Failed> {
        self.obey(order).await?.map_err(Failed::Refused)
    }

    /// Writes what was ordered, at the end of a burst.
    pub fn settle(&self) {
        self.hub.settle();
    }

    /// Gives also how many bytes the answer has on the wire.
    pub async fn ask(&self, query: &Query<'_>) -> Result<(Value, usize), Failed> {
        let mut framed = Framed::default();
        self.answer(query, &mut framed).await?;
        if framed.is_too_large {
            return Err(Failed::TooLarge);
        }
        let content = framed.frame.get(frame::HEADER..).unwrap_or_default();
        match Reply::decode(content) {
            Ok(Reply::Answer { value, .. }) => Ok((value, content.len())),
            Ok(other) => Err(Failed::Refused(format!("{other:?} instead of an answer"))),
            Err(error) => Err(Failed::Refused(error.to_string())),
        }
    }
}
