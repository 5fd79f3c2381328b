//! The options of a message that is kept for who is not there.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendHashTable, Zval};
use gateway_wire::bridge::delivery::{DEFAULT_TTL, LONGEST_TTL};
use gateway_wire::bridge::kind;
use gateway_wire::client_protocol::is_id;

use super::argument::Argument;
use crate::errors::{Failure, type_error};

/// The options as an array with keys. Reading them runs no code of the program.
pub(crate) struct DeliverOptions {
    /// How long the message waits, in seconds.
    pub(crate) ttl: u64,
    pub(crate) id: Option<String>,
    pub(crate) replace: Option<String>,
    pub(crate) for_new_devices: bool,
    pub(crate) kind: u8,
}

impl Default for DeliverOptions {
    fn default() -> Self {
        Self { ttl: DEFAULT_TTL, id: None, replace: None, for_new_devices: false, kind: kind::USUAL }
    }
}

impl Argument for DeliverOptions {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        value.array().map_or_else(|| Err(type_error(position, c"array", value)), Self::of)
    }

    fn when_omitted() -> Option<Self> {
        Some(Self::default())
    }
}

impl DeliverOptions {
    fn of(array: &ZendHashTable) -> Result<Self, Failure> {
        let (mut options, mut entries) = (Self::default(), array.iter());
        while let Some((key, value)) = entries.next_zval() {
            let value = value.dereference();
            let name = key.zend_str().map_or(&b""[..], |key| key.as_bytes());
            match name {
                b"ttl" => options.ttl = ttl(value)?,
                b"id" => options.id = id("id", value)?,
                b"replace" => options.replace = id("replace", value)?,
                b"new_device" => options.for_new_devices = for_new_devices(value)?,
                b"binary" => options.kind = kind_of(value)?,
                _ => {
                    let name = key.zend_str().map_or_else(
                        || key.long().unwrap_or_default().to_string(),
                        |key| String::from_utf8_lossy(key.as_bytes()).into_owned(),
                    );
                    return refuse(&format!(
                        "there is no option {name:?}: there are id, ttl, replace, new_device and binary"
                    ));
                }
            }
        }
        Ok(options)
    }
}

fn ttl(value: &Zval) -> Result<u64, Failure> {
    let seconds = value.long().and_then(|seconds| u64::try_from(seconds).ok());
    match seconds.filter(|seconds| (1..=LONGEST_TTL).contains(seconds)) {
        Some(seconds) => Ok(seconds),
        None => refuse(&format!("ttl must be an int from 1 to {LONGEST_TTL}, which are seconds")),
    }
}

fn id(option: &str, value: &Zval) -> Result<Option<String>, Failure> {
    if value.is_null() {
        return Ok(None);
    }
    let text = match value.long() {
        Some(number) => Some(number.to_string()),
        None => value.zend_str().and_then(|text| String::from_utf8(text.as_bytes().to_vec()).ok()),
    };
    match text.filter(|text| is_id(text)) {
        Some(text) => Ok(Some(text)),
        None => refuse(&format!("{option} must be 1 to 64 letters, digits, _ and -")),
    }
}

fn for_new_devices(value: &Zval) -> Result<bool, Failure> {
    match value.zend_str().map(|text| text.as_bytes()) {
        Some(b"all") => Ok(true),
        Some(b"unacknowledged") => Ok(false),
        _ => refuse("new_device must be 'all' or 'unacknowledged'"),
    }
}

fn kind_of(value: &Zval) -> Result<u8, Failure> {
    match (value.is_null(), value.bool()) {
        (true, _) => Ok(kind::USUAL),
        (false, Some(true)) => Ok(kind::BINARY),
        (false, Some(false)) => Ok(kind::TEXT),
        (false, None) => refuse("binary must be a bool or null"),
    }
}

fn refuse<T>(what: &str) -> Result<T, Failure> {
    Err(Failure::argument(format!("the message was not delivered: {what}")))
}
