//! The value that the gateway answers to a query, in PHP's terms and as msgpack.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::frame;

/// The value that the gateway answers to a query, as a tree in memory. It takes many times the memory of its bytes; a reader of
/// large answers uses a [`RawValue`](super::RawValue) instead.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerValue {
    /// PHP's null, msgpack's nil.
    Null,
    /// A bool.
    Bool(bool),
    /// An integer of 64 bits, as PHP has them. A larger unsigned one from the wire is a decode error.
    Int(i64),
    /// A PHP string: any bytes. msgpack's `str` and `bin` are both read as one, and it is written as `bin`.
    Str(Vec<u8>),
    /// A PHP array with the keys 0, 1, 2, …
    List(Vec<AnswerValue>),
    /// A PHP array with other keys: its keys and values in the order in which they came.
    Map(Vec<(AnswerValue, AnswerValue)>),
}

impl AnswerValue {
    /// Encodes the value as the msgpack that stands in an answer.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        frame::write_msgpack(&mut bytes, self);
        bytes
    }
}

impl Serialize for AnswerValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Str(value) => serializer.serialize_bytes(value),
            Self::List(values) => serializer.collect_seq(values),
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for AnswerValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = AnswerValue;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("null, a bool, an integer, a string, a list or a map")
    }

    fn visit_unit<E>(self) -> Result<AnswerValue, E> {
        Ok(AnswerValue::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<AnswerValue, E> {
        Ok(AnswerValue::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<AnswerValue, E> {
        Ok(AnswerValue::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<AnswerValue, E> {
        i64::try_from(value).map(AnswerValue::Int).map_err(|_| E::custom("the integer is too large for PHP"))
    }

    fn visit_str<E>(self, value: &str) -> Result<AnswerValue, E> {
        Ok(AnswerValue::Str(value.as_bytes().to_vec()))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<AnswerValue, E> {
        Ok(AnswerValue::Str(value.to_vec()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<AnswerValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = array.next_element()? {
            values.push(value);
        }
        Ok(AnswerValue::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnswerValue, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(AnswerValue::Map(entries))
    }
}
