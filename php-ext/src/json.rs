//! PHP's values as JSON.

use ext_php_rs::types::{ArrayKey, ZendHashTable, Zval};
use serde_json::{Map, Number, Value};

use crate::errors::Failure;

/// Deeper than any session is meant to be; an array may hold itself.
const MAX_DEPTH: usize = 32;

/// An array as an object, whatever its keys.
pub(crate) fn object(array: &Zval) -> Result<Map<String, Value>, Failure> {
    array.array().map_or_else(|| Ok(Map::new()), |array| map(array, MAX_DEPTH))
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => refuse("text that is not UTF-8"),
    }
}

fn map(array: &ZendHashTable, depth: usize) -> Result<Map<String, Value>, Failure> {
    array
        .iter()
        .map(|(key, item)| {
            let key = match key {
                ArrayKey::Long(number) => number.to_string(),
                ArrayKey::String(key) => key,
                ArrayKey::Str(key) => key.to_owned(),
                ArrayKey::ZendString(key) => text(key.as_bytes())?,
            };
            Ok((key, value(item.dereference(), depth)?))
        })
        .collect()
}

fn value(item: &Zval, depth: usize) -> Result<Value, Failure> {
    let Some(depth) = depth.checked_sub(1) else { return refuse("arrays more than 32 deep") };
    if item.is_null() {
        Ok(Value::Null)
    } else if let Some(truth) = item.bool() {
        Ok(truth.into())
    } else if let Some(number) = item.long() {
        Ok(number.into())
    } else if let Some(number) = item.double() {
        match Number::from_f64(number) {
            Some(number) => Ok(number.into()),
            None => refuse("a number that is infinite or none"),
        }
    } else if let Some(string) = item.zend_str() {
        text(string.as_bytes()).map(Value::from)
    } else if let Some(array) = item.array() {
        if array.has_sequential_keys() {
            array
                .values()
                .map(|item| value(item.dereference(), depth))
                .collect::<Result<_, _>>()
                .map(Value::Array)
        } else {
            map(array, depth).map(Value::Object)
        }
    } else {
        refuse("anything but arrays, strings, numbers, bools and null")
    }
}

fn refuse<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::Exception(format!("no token was made: it cannot carry {what}")))
}
