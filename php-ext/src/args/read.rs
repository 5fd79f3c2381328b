//! Conversions by PHP's own rules, which several arguments share.

use std::ffi::CStr;
use std::ptr;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendStr, Zval};

use crate::errors::{Failure, type_error};
use crate::held::{HeldString, elements, hold, unless_thrown};
use crate::sys;

/// Converts a value that is no string to one. Objects give their own.
pub(super) fn string(value: &Zval) -> Result<HeldString, Failure> {
    let mut held = hold(value);
    // SAFETY: the value is live and owned here. A value that is no string gives a new string, or null after throwing.
    let converted = unsafe { sys::zval_try_get_string_func(&raw mut held).as_mut() };
    let Some(converted) = converted else { return Err(Failure::Pending) };
    // SAFETY: the string is handed over with a reference of its own.
    let string: ZBox<ZendStr> = unsafe { ZBox::from_raw(converted) };
    // This may be the object's last reference, and then its destructor runs here.
    drop(held);
    unless_thrown(string.into())
}

/// Reads what a string parameter of PHP takes.
pub(super) fn text(value: &Zval, position: u32, expected: &CStr) -> Result<HeldString, Failure> {
    if let Some(string) = HeldString::of(value) {
        return Ok(string);
    }
    let (mut held, mut string) = (hold(value), ptr::null_mut());
    // SAFETY: the value is live and owned here, and the result has a place of its own. A number becomes a string in its place.
    let converted = unsafe { sys::zend_parse_arg_str_slow(&raw mut held, &raw mut string, position) };
    match HeldString::of(&held).filter(|_| converted) {
        Some(string) => unless_thrown(string),
        None => Err(type_error(position, expected, value)),
    }
}

/// Reads the elements of an array. The array is held meanwhile, since reading an element may run code that changes the
/// variable.
pub(super) fn each<T>(list: &Zval, read: impl Fn(&Zval) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let held = hold(list);
    held.array().map_or_else(|| Ok(Vec::new()), |array| elements(array).map(read).collect())
}
