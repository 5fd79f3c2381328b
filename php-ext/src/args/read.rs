//! Conversions by PHP's own rules, which the arguments have in common.

use std::ffi::CStr;
use std::ptr;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendStr, Zval};

use crate::errors::{Failure, type_error};
use crate::held::{HeldString, elements, hold, unless_thrown};
use crate::sys;

/// What no string is, as one. Objects say theirs.
pub(super) fn string(value: &Zval) -> Result<HeldString, Failure> {
    let mut held = hold(value);
    // SAFETY: a live value that nobody else has; what is no string gives a new string, or null after throwing.
    let converted = unsafe { sys::zval_try_get_string_func(&raw mut held).as_mut() };
    let Some(converted) = converted else { return Err(Failure::Pending) };
    // SAFETY: the string is handed over with a reference of its own.
    let string: ZBox<ZendStr> = unsafe { ZBox::from_raw(converted) };
    // An object's last user may be this, and then its destructor runs here.
    drop(held);
    unless_thrown(string.into())
}

/// What a string parameter takes.
pub(super) fn text(value: &Zval, position: u32, expected: &CStr) -> Result<HeldString, Failure> {
    if let Some(string) = HeldString::of(value) {
        return Ok(string);
    }
    let (mut held, mut string) = (hold(value), ptr::null_mut());
    // SAFETY: a live value that nobody else has, and where the result goes. A number becomes a string in its place.
    let converted = unsafe { sys::zend_parse_arg_str_slow(&raw mut held, &raw mut string, position) };
    match HeldString::of(&held).filter(|_| converted) {
        Some(string) => unless_thrown(string),
        None => Err(type_error(position, expected, value)),
    }
}

/// Reads the elements of an array, which is held meanwhile: reading one may run code that changes the variable which the array came from.
pub(super) fn each<T>(list: &Zval, read: impl Fn(&Zval) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let held = hold(list);
    held.array().map_or_else(|| Ok(Vec::new()), |array| elements(array).map(read).collect())
}
