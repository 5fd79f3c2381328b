//! Refuses wrong values whenever a setting is made: by php.ini, a pool of FPM, a directory or `ini_set()`.

use std::ffi::{c_int, c_void};

use ext_php_rs::error::php_error;
use ext_php_rs::ffi::{zend_ini_entry, zend_string};
use ext_php_rs::flags::ErrorType;
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::IniEntryDef;
use gateway_wire::excerpt;

use super::parse;

const SUCCESS: c_int = 0;
const FAILURE: c_int = -1;

/// `ZEND_INI_STAGE_STARTUP`
const STARTUP: c_int = 1 << 0;
/// `ZEND_INI_STAGE_SHUTDOWN` and `ZEND_INI_STAGE_DEACTIVATE`, at which PHP puts an earlier value back.
const ENDS: c_int = 1 << 1 | 1 << 3;

/// Has PHP ask before the setting gets a value.
pub(super) const fn checked(mut entry: IniEntryDef) -> IniEntryDef {
    entry.on_modify = Some(check);
    entry
}

/// The warning may run code of the program. PHP holds the new value over the call, and nothing else is used afterwards.
unsafe extern "C" fn check(
    entry: *mut zend_ini_entry,
    value: *mut zend_string,
    _: *mut c_void,
    _: *mut c_void,
    _: *mut c_void,
    stage: c_int,
) -> c_int {
    if stage & ENDS != 0 {
        return SUCCESS;
    }
    // SAFETY: PHP gives the entry, whose name is a live string, and the new value, which may be null in place of an empty string.
    let (name, value) = unsafe {
        let Some(name) = entry.as_ref().and_then(|entry| entry.name.as_ref()) else { return SUCCESS };
        (name.as_bytes(), value.as_ref().map_or(&b""[..], ZendStr::as_bytes))
    };
    let Err(expected) = parsed(name, value) else { return SUCCESS };
    let (level, outcome) = match stage {
        STARTUP => (ErrorType::CoreWarning, "the default is used"),
        _ => (ErrorType::Warning, "it stays as it was"),
    };
    let given = excerpt(value).to_string();
    let name = String::from_utf8_lossy(name);
    let complaint = format!("{name} is {given:?}, but must be {expected}; {outcome}");
    php_error(&level, &complaint.replace('\0', "\\0"));
    FAILURE
}

fn parsed(name: &[u8], value: &[u8]) -> Result<(), String> {
    match name {
        b"gateway.connect_timeout" => parse::connect_timeout(value).map(drop),
        b"gateway.flush_timeout" => parse::flush_timeout(value).map(drop),
        b"gateway.on_error" => parse::on_error(value).map(drop),
        b"gateway.buffer_bytes" => parse::buffer_bytes(value).map(drop),
        b"gateway.protocol" => parse::protocol(value).map(drop),
        b"gateway.aliases" => parse::aliases(value).map(drop),
        _ => Ok(()),
    }
}
