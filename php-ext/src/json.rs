//! Converts PHP's values to JSON. No code of the program runs here.

use ext_php_rs::types::{ZendHashTable, Zval};
use gateway_wire::token::MAX_TOKEN;
use serde_json::{Map, Number, Value};

use crate::errors::Failure;
use crate::held::elements;

/// Arrays may be nested so deep, which is more than sessions need; an array may hold itself.
const MAX_DEPTH: usize = 32;

/// Converts an array with any keys to an object.
pub(crate) fn object(array: &ZendHashTable) -> Result<Map<String, Value>, Failure> {
    map(array, MAX_DEPTH, &mut { MAX_TOKEN })
}

pub(crate) fn text(bytes: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => refuse("text that is not UTF-8"),
    }
}

fn map(array: &ZendHashTable, depth: usize, left: &mut usize) -> Result<Map<String, Value>, Failure> {
    let (mut map, mut entries) = (Map::new(), array.iter());
    while let Some((key, item)) = entries.next_zval() {
        let key = match key.zend_str() {
            Some(key) => text(key.as_bytes())?,
            None => key.long().unwrap_or_default().to_string(),
        };
        map.insert(key, value(item.dereference(), depth, left)?);
    }
    Ok(map)
}

/// `left` is how many values may still follow: each takes a byte of the token, and one array may be contained a million times.
fn value(item: &Zval, depth: usize, left: &mut usize) -> Result<Value, Failure> {
    let Some(depth) = depth.checked_sub(1) else { return refuse("arrays more than 32 deep") };
    *left = match left.checked_sub(1) {
        Some(left) => left,
        None => return refuse("more values than a token has bytes"),
    };
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
        if is_list(array) {
            elements(array).map(|item| value(item, depth, left)).collect::<Result<_, _>>().map(Value::Array)
        } else {
            map(array, depth, left).map(Value::Object)
        }
    } else {
        refuse("anything but arrays, strings, numbers, bools and null")
    }
}

/// Whether the keys are 0, 1, 2 and so on. It iterates as [`elements`] does, and for the same reason.
fn is_list(array: &ZendHashTable) -> bool {
    let (mut next, mut entries) = (0, array.iter());
    while let Some((key, _)) = entries.next_zval() {
        if key.long() != Some(next) {
            return false;
        }
        next += 1;
    }
    true
}

fn refuse<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::argument(format!("no token was made: it cannot carry {what}")))
}
