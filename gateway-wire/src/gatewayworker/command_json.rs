//! Readers for JSON as PHP's `json_encode()` writes arrays: one with the keys 0, 1, 2, … is a list, any other an object.

use std::fmt;
use std::marker::PhantomData;

use crate::bridge::MAX_ELEMENTS;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// The values of a PHP array, whatever its keys are; null is read as an empty one. It has at most [`MAX_ELEMENTS`].
pub(super) struct Values<T>(pub(super) Vec<T>);

/// A uid or group. A number is read as the string that it becomes as a key of a PHP array.
pub(super) struct Name(pub(super) String);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Values<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Array<T> {
            type Value = Values<T>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list, an object or null")
            }

            fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
                Ok(Values(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    push(&mut values, value)?;
                }
                Ok(Values(values))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::new();
                while let Some((_, value)) = object.next_entry::<IgnoredAny, T>()? {
                    push(&mut values, value)?;
                }
                Ok(Values(values))
            }
        }
        deserializer.deserialize_any(Array(PhantomData))
    }
}

fn push<T, E: Error>(values: &mut Vec<T>, value: T) -> Result<(), E> {
    if values.len() == MAX_ELEMENTS {
        return Err(E::custom(format_args!("more than {MAX_ELEMENTS} elements")));
    }
    values.push(value);
    Ok(())
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Scalar;
        impl Visitor<'_> for Scalar {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a string or a number")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Name, E> {
                Ok(Name(text.to_owned()))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Name, E> {
                Ok(Name(text))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Name, E> {
                Ok(Name(number.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Name, E> {
                Ok(Name(number.to_string()))
            }

            // PHP cuts a float to an integer when it becomes a key of an array.
            fn visit_f64<E: Error>(self, number: f64) -> Result<Name, E> {
                Ok(Name((number as i64).to_string()))
            }

            fn visit_bool<E: Error>(self, truth: bool) -> Result<Name, E> {
                Ok(Name(u8::from(truth).to_string()))
            }

            fn visit_unit<E: Error>(self) -> Result<Name, E> {
                Ok(Name(String::new()))
            }
        }
        deserializer.deserialize_any(Scalar)
    }
}

/// Reads a list of uids or groups, for `#[serde(deserialize_with)]`.
pub(super) fn names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(Values::<Name>::deserialize(deserializer)?.0.into_iter().map(|Name(name)| name).collect())
}

/// Reads a list of any values, for `#[serde(deserialize_with)]`.
pub(super) fn values<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    Ok(Values::deserialize(deserializer)?.0)
}

/// Reads a list of uids or groups, for `#[serde(deserialize_with)]` where an absent list differs from an empty one.
pub(super) fn some_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    names(deserializer).map(Some)
}

/// Reads a list of any values, for `#[serde(deserialize_with)]` where an absent list differs from an empty one.
pub(super) fn some_values<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    values(deserializer).map(Some)
}
