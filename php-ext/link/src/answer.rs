//! What a question was answered.

use std::fmt;

use gateway_wire::bridge::{Raw, Value};

/// The bytes as they came, of which the caller makes what it needs and nothing more.
#[derive(Clone)]
pub struct Answer {
    bytes: Vec<u8>,
    /// Where the value begins.
    start: usize,
}

impl Answer {
    pub(crate) fn new(bytes: Vec<u8>, start: usize) -> Self {
        Self { bytes, start }
    }

    pub fn value(&self) -> Raw<'_> {
        Raw::new(self.bytes.get(self.start..).unwrap_or_default())
    }
}

/// The answers of several gateways of GatewayWorker, gathered.
impl From<&Value> for Answer {
    fn from(value: &Value) -> Self {
        Self::new(value.to_bytes(), 0)
    }
}

impl PartialEq<Value> for Answer {
    fn eq(&self, other: &Value) -> bool {
        self.value().to_value().is_ok_and(|value| value == *other)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value().to_value() {
            Ok(value) => value.fmt(f),
            Err(error) => error.fmt(f),
        }
    }
}
