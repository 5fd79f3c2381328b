//! What the gateway answers, as PHP values.

use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use gateway_wire::ClientId;
use gateway_wire::bridge::Value;

use crate::errors::Failure;

pub(crate) fn string(bytes: &[u8]) -> Zval {
    let mut zval = Zval::new();
    zval.set_zend_string(ZendStr::new(bytes, false));
    zval
}

/// An integer where it is one.
pub(crate) fn number(value: f64) -> Zval {
    let mut zval = Zval::new();
    #[allow(clippy::cast_possible_truncation)] // Taken only when nothing is lost.
    let whole = value as i64;
    #[allow(clippy::cast_precision_loss)]
    if whole as f64 == value {
        zval.set_long(whole);
    } else {
        zval.set_double(value);
    }
    zval
}

pub(crate) fn list(values: impl ExactSizeIterator<Item = Zval>) -> Result<Zval, Failure> {
    let mut table = ZendHashTable::with_capacity(u32::try_from(values.len()).unwrap_or(u32::MAX));
    for value in values {
        table.push(value).map_err(|error| Failure::Exception(error.to_string()))?;
    }
    let mut zval = Zval::new();
    zval.set_hashtable(table);
    Ok(zval)
}

/// 1 or 0, as GatewayWorker's class gives them.
pub(crate) fn flag(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::Bool(flag) => Ok(i64::from(*flag)),
        other => Err(unexpected("a bool", other)),
    }
}

pub(crate) fn count(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::Int(count) => Ok(*count),
        other => Err(unexpected("an integer", other)),
    }
}

pub(crate) fn optional_string(value: &Value) -> Result<Zval, Failure> {
    match value {
        Value::Null => Ok(Zval::null()),
        Value::Str(bytes) => Ok(string(bytes)),
        other => Err(unexpected("a string or null", other)),
    }
}

pub(crate) fn client_ids(value: &Value) -> Result<Zval, Failure> {
    let Value::List(ids) = value else { return Err(unexpected("a list", value)) };
    let ids = ids.iter().map(client_id).collect::<Result<Vec<_>, _>>()?;
    list(ids.iter().map(|id| string(&id.to_hex())))
}

fn client_id(value: &Value) -> Result<ClientId, Failure> {
    let Value::Str(bytes) = value else { return Err(unexpected("a client_id", value)) };
    let bytes = bytes.as_slice().try_into().map_err(|_| unexpected("a client_id", value))?;
    Ok(ClientId::from_bytes(bytes))
}

fn unexpected(expected: &str, given: &Value) -> Failure {
    let kind = match given {
        Value::Null => "null",
        Value::Bool(_) => "a bool",
        Value::Int(_) => "an integer",
        Value::Str(_) => "a string",
        Value::List(_) => "a list",
        Value::Map(_) => "a map",
    };
    Failure::Exception(format!(
        "the gateway answered with {kind} in place of {expected}: extension and server must be of one release"
    ))
}
