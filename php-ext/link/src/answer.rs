//! What a question was answered.

use std::fmt;

use gateway_wire::bridge::{AnswerValue, RawValue};

/// The bytes as they came, of which the caller makes what it needs and nothing more.
#[derive(Clone)]
pub struct QueryAnswer {
    bytes: Vec<u8>,
    /// Where the value begins.
    start: usize,
}

impl QueryAnswer {
    pub(crate) fn new(bytes: Vec<u8>, start: usize) -> Self {
        Self { bytes, start }
    }

    pub fn value(&self) -> RawValue<'_> {
        RawValue::new(self.bytes.get(self.start..).unwrap_or_default())
    }
}

/// The answers of several gateways of GatewayWorker, gathered.
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
