//! Answers as decoded values, for callers that do not forward the encoded answer.

use gateway_wire::bridge::{AnswerValue, Query, Reply, frame};
use serde::Serialize;

use super::queries::Answers;
use super::{Gateway, ServiceError};

/// An answer that is collected as an encoded frame.
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

impl Gateway {
    /// Answers a query, and gives the answer with its length in bytes on the wire.
    pub async fn query_value(&self, query: &Query<'_>) -> Result<(AnswerValue, usize), ServiceError> {
        let mut framed = Framed::default();
        self.query(query, &mut framed).await?;
        framed.value()
    }

    /// Answers like [`Gateway::query_value`], for this node alone.
    pub async fn query_value_here(&self, query: &Query<'_>) -> Result<(AnswerValue, usize), ServiceError> {
        let mut framed = Framed::default();
        self.query_here(query, &mut framed).await?;
        framed.value()
    }
}

impl Framed {
    fn value(self) -> Result<(AnswerValue, usize), ServiceError> {
        if let Some(message) = self.failed {
            return Err(ServiceError::Remote(message));
        }
        if self.is_too_large {
            return Err(ServiceError::TooLarge);
        }
        let content = self.frame.get(frame::HEADER..).unwrap_or_default();
        match Reply::decode(content) {
            Ok(Reply::Answer { value, .. }) => Ok((value, content.len())),
            Ok(other) => Err(ServiceError::Refused(format!("{other:?} instead of an answer"))),
            Err(error) => Err(ServiceError::Refused(error.to_string())),
        }
    }
}
