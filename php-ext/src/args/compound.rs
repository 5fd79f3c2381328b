//! Arrays, callables, and arguments of any type.

use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;
use serde_json::{Map, Value};

use super::argument::Argument;
use crate::errors::{Failure, type_error};
use crate::held::{hold, unless_thrown};
use crate::json;

/// An array as a JSON object; empty when omitted.
pub(crate) struct JsonObject(pub(crate) Map<String, Value>);

impl Argument for JsonObject {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        match value.array() {
            Some(array) => json::object(array).map(Self),
            None => Err(type_error(position, c"array", value)),
        }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(Map::new()))
    }
}

/// An array of any values; empty when omitted.
pub(crate) struct ArrayArgument(pub(crate) Zval);

impl Argument for ArrayArgument {
    const TYPE: DataType = DataType::Array;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_array() { Ok(Self(hold(value))) } else { Err(type_error(position, c"array", value)) }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(Zval::new_array()))
    }
}

pub(crate) struct Callable(pub(crate) Zval);

impl Argument for Callable {
    const TYPE: DataType = DataType::Callable;

    /// Finding out whether a value is callable may load a class, which is code of the program.
    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        let held = hold(value);
        let is_callable = unless_thrown(held.is_callable())?;
        if is_callable { Ok(Self(held)) } else { Err(type_error(position, c"callable", value)) }
    }
}

/// A value of any type.
pub(crate) struct Anything(pub(crate) Zval);

impl Argument for Anything {
    const TYPE: DataType = DataType::Mixed;

    fn read(value: &Zval, _: u32) -> Result<Self, Failure> {
        Ok(Self(hold(value)))
    }
}
