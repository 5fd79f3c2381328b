//! `serialize()` and `unserialize()`.

use std::ptr;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::ExecutorGlobals;
use gateway_wire::bridge::Str;
use serde_bytes::Bytes;

use crate::errors::Failure;
use crate::sys::{self, SmartStr};

/// What `serialize()` gives.
pub(crate) struct Serialized(Option<ZBox<ZendStr>>);

impl Serialized {
    pub(crate) fn wire(&self) -> Str<'_> {
        Bytes::new(self.0.as_ref().map_or(b"", |string| string.as_bytes()))
    }
}

/// Objects in the value may run code of the program, which may throw.
pub(crate) fn write(value: &Zval) -> Result<Serialized, Failure> {
    let mut buffer = SmartStr { string: ptr::null_mut(), allocated: 0 };
    // SAFETY: a live value that is only read, and a buffer and a table that belong to this call alone.
    unsafe {
        let mut data = sys::php_var_serialize_init();
        sys::php_var_serialize(&raw mut buffer, ptr::from_ref(value).cast_mut(), &raw mut data);
        sys::php_var_serialize_destroy(data);
    }
    // SAFETY: null, or the string that was made, which is ours now. PHP ends such strings with a zero only on request,
    // and here nobody reads past the length.
    let string = unsafe { buffer.string.cast::<ZendStr>().as_mut().map(|string| ZBox::from_raw(string)) };
    if ExecutorGlobals::has_exception() { Err(Failure::Pending) } else { Ok(Serialized(string)) }
}

/// As `unserialize()`: classes are made, as programs that keep objects in sessions expect. No bytes are an empty array.
pub(crate) fn read(bytes: &[u8]) -> Result<Zval, Failure> {
    if bytes.is_empty() {
        return Ok(Zval::new_array());
    }
    let mut value = Zval::new();
    // SAFETY: bytes as long as told, no options, and a place for the result.
    unsafe {
        sys::php_unserialize_with_options(
            &raw mut value,
            bytes.as_ptr().cast(),
            bytes.len(),
            ptr::null_mut(),
            c"Gateway::getSession".as_ptr(),
        );
    }
    if ExecutorGlobals::has_exception() { Err(Failure::Pending) } else { Ok(value) }
}
