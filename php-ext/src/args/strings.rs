//! Strings and messages.

use std::ffi::CStr;

use ext_php_rs::flags::DataType;
use ext_php_rs::types::{ZendStr, Zval};
use gateway_wire::bridge::PhpStr;
use gateway_wire::php_serialize;
use serde_bytes::Bytes;

use super::argument::Argument;
use super::read::{string, text};
use crate::errors::Failure;
use crate::held::{HeldString, hold, unless_thrown};
use crate::serialize;

/// A string of any bytes.
pub(crate) struct Text(HeldString);

impl Text {
    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.0.bytes())
    }
}

impl Argument for Text {
    const TYPE: DataType = DataType::String;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        text(value, position, c"string").map(Self)
    }
}

/// An optional string; null stands for none.
impl Argument for Option<Text> {
    const TYPE: DataType = DataType::String;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            return Ok(None);
        }
        text(value, position, c"?string").map(|string| Some(Text(string)))
    }

    fn when_omitted() -> Option<Self> {
        Some(None)
    }
}

/// The message of a send: a scalar as its string, under strict_types too, null as the word `null` and an array as the JSON that
/// GatewayWorker sends.
pub(crate) struct Message(HeldString);

impl Message {
    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(self.0.bytes())
    }
}

impl Argument for Message {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            return Ok(Self(ZendStr::new("null", false).into()));
        }
        message(value, position, c"string").map(Self)
    }
}

/// An optional message; null stands for none.
impl Argument for Option<Message> {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            Ok(None)
        } else {
            message(value, position, c"?string").map(|text| Some(Message(text)))
        }
    }

    fn when_omitted() -> Option<Self> {
        Some(None)
    }
}

fn message(value: &Zval, position: u32, expected: &CStr) -> Result<HeldString, Failure> {
    if let Some(string) = HeldString::of(value) {
        return Ok(string);
    }
    if value.is_long() || value.is_double() || value.is_bool() {
        string(value)
    } else if value.dereference().is_array() {
        array_as_json(value)
    } else {
        text(value, position, expected)
    }
}

/// Makes the JSON that a gateway of GatewayWorker makes of the array's `serialize()`.
fn array_as_json(value: &Zval) -> Result<HeldString, Failure> {
    let held = hold(value);
    let serialized = serialize::write(&held)?;
    // Objects in the array may have run code, and this array may hold their last reference.
    drop(held);
    let json = php_serialize::to_json(serialized.wire()).map_err(|why| {
        Failure::argument(format!("the message is an array of which no JSON is made: {why}; encode it"))
    })?;
    unless_thrown(ZendStr::new(&*json, false).into())
}

/// A string that comes from a page; a value of any other type counts as none.
pub(crate) struct UntrustedString(pub(crate) Option<HeldString>);

impl Argument for UntrustedString {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self(HeldString::of(value)))
    }
}
