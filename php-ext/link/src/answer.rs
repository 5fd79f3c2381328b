//! The answer to a query.

use std::fmt;

use gateway_wire::bridge::{AnswerValue, RawValue};

/// The answer's bytes as they arrived; the caller decodes what it needs of them and nothing more.
#[derive(Clone)]
pub struct QueryAnswer {
    bytes: Vec<u8>,
    /// The offset at which the value begins.
    start: usize,
}

impl QueryAnswer {
    pub(crate) fn new(bytes: Vec<u8>, start: usize) -> Self {
        Self { bytes, start }
    }

    /// Bytes of memory that the answer takes.
    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The value, which is decoded as it is read.
    pub fn value(&self) -> RawValue<'_> {
        RawValue::new(self.bytes.get(self.start..).unwrap_or_default())
    }
}

/// Encodes an answer that was put together from the answers of several gateways of GatewayWorker.
impl From<&AnswerValue> for QueryAnswer {
    fn from(value: &AnswerValue) -> Self {
        Self::new(value.to_bytes(), 0)
    }
}

impl PartialEq<AnswerValue> for QueryAnswer {
    fn eq(&self, other: &AnswerValue) -> bool {
        self.value().to_value().is_ok_and(|value| value == *other)
    }
}

impl fmt::Debug for QueryAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value().to_value() {
            Ok(value) => value.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}
