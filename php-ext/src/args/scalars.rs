//! Bools and numbers.

use std::time::Duration;

use ext_php_rs::flags::DataType;
use ext_php_rs::types::Zval;
use gateway_wire::bridge as wire;

use super::argument::Argument;
use crate::errors::{Failure, type_error};
use crate::held::{hold, unless_thrown};
use crate::sys;

/// Whether the bytes are sent as they are. Any scalar that PHP takes for true is true, under strict_types too.
pub(crate) struct SendRaw(pub(crate) bool);

impl Argument for SendRaw {
    const TYPE: DataType = DataType::Bool;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() || value.is_bool() || value.is_long() || value.is_double() || value.is_string() {
            // PHP 8.5 warns of NAN.
            return unless_thrown(Self(value.coerce_to_bool()));
        }
        Err(type_error(position, c"bool", value))
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(false))
    }
}

/// A bool; false when omitted.
pub(crate) struct Flag(pub(crate) bool);

impl Argument for Flag {
    const TYPE: DataType = DataType::Bool;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if let Some(flag) = value.bool() {
            return Ok(Self(flag));
        }
        let (mut held, mut flag) = (hold(value), false);
        // SAFETY: the value is live and owned here, and the result has a place of its own.
        let converted = unsafe { sys::zend_parse_arg_bool_slow(&raw mut held, &raw mut flag, position) };
        if converted { unless_thrown(Self(flag)) } else { Err(type_error(position, c"bool", value)) }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(false))
    }
}

/// Whether websocket clients get the message as binary; null leaves that to the server's setting.
pub(crate) struct Binary(Option<bool>);

impl Argument for Binary {
    const TYPE: DataType = DataType::Bool;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            Ok(Self(None))
        } else {
            SendRaw::read(value, position).map(|binary| Self(Some(binary.0)))
        }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(None))
    }
}

impl Binary {
    pub(crate) fn kind(&self) -> u8 {
        match self.0 {
            None => wire::kind::USUAL,
            Some(false) => wire::kind::TEXT,
            Some(true) => wire::kind::BINARY,
        }
    }
}

/// A number of seconds; an hour when omitted.
pub(crate) struct Seconds(pub(crate) i64);

impl Argument for Seconds {
    const TYPE: DataType = DataType::Long;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if let Some(seconds) = value.long() {
            return Ok(Self(seconds));
        }
        let (mut held, mut seconds) = (hold(value), 0);
        // SAFETY: the value is live and owned here, and the result has a place of its own.
        let converted = unsafe { sys::zend_parse_arg_long_slow(&raw mut held, &raw mut seconds, position) };
        if converted { unless_thrown(Self(seconds)) } else { Err(type_error(position, c"int", value)) }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(3600))
    }
}

/// A number of seconds, whole or not; null leaves it to the method.
pub(crate) struct Timeout(pub(crate) Option<f64>);

impl Timeout {
    /// Fails for a number that is no time.
    pub(crate) fn duration(&self) -> Result<Option<Duration>, Failure> {
        let duration = |seconds| {
            Duration::try_from_secs_f64(seconds).map_err(|_| {
                Failure::argument("the time to wait must be 0 seconds or more, and finite".to_owned())
            })
        };
        self.0.map(duration).transpose()
    }
}

impl Argument for Timeout {
    const TYPE: DataType = DataType::Double;
    const NULLABLE: bool = true;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        if value.is_null() {
            return Ok(Self(None));
        }
        if let Some(seconds) = value.double() {
            return Ok(Self(Some(seconds)));
        }
        let (mut held, mut seconds) = (hold(value), 0.0);
        // SAFETY: the value is live and owned here, and the result has a place of its own.
        let converted = unsafe { sys::zend_parse_arg_double_slow(&raw mut held, &raw mut seconds, position) };
        if converted {
            unless_thrown(Self(Some(seconds)))
        } else {
            Err(type_error(position, c"?float", value))
        }
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(None))
    }
}

/// How long to wait, in milliseconds: zero, as when omitted, means without end, and a negative number not at all.
pub(crate) struct Patience(pub(crate) Option<Duration>);

impl Argument for Patience {
    const TYPE: DataType = DataType::Long;

    fn read(value: &Zval, position: u32) -> Result<Self, Failure> {
        let Seconds(milliseconds) = Seconds::read(value, position)?;
        Ok(Self((milliseconds != 0).then(|| Duration::from_millis(milliseconds.try_into().unwrap_or(0)))))
    }

    fn when_omitted() -> Option<Self> {
        Some(Self(None))
    }
}
