//! Holds PHP's values while code of the program may run.
//!
//! `__toString()`, destructors and the handlers of warnings are code of the program, which may change or free whatever a
//! variable holds. A held value has one more reference, and the engine frees nothing that has a reference, and changes in place
//! only what has no second one.

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use ext_php_rs::zend::ExecutorGlobals;

use crate::errors::Failure;

/// Holds a value; if it is a reference, the value that it leads to.
pub(crate) fn hold(value: &Zval) -> Zval {
    value.dereference().shallow_clone()
}

/// Iterates over the elements of an array with any keys: the library's own iterators panic at a key that is not UTF-8.
pub(crate) fn elements(array: &ZendHashTable) -> impl Iterator<Item = &Zval> {
    let mut entries = array.iter();
    std::iter::from_fn(move || entries.next_zval().map(|(_, element)| element.dereference()))
}

/// A string of any bytes, which is held.
pub(crate) struct HeldString(Zval);

impl HeldString {
    /// `None` when the value is no string.
    pub(crate) fn of(value: &Zval) -> Option<Self> {
        let value = value.dereference();
        value.is_string().then(|| Self(value.shallow_clone()))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.zend_str().map_or(b"", ZendStr::as_bytes)
    }
}

impl From<ZBox<ZendStr>> for HeldString {
    fn from(string: ZBox<ZendStr>) -> Self {
        let mut value = Zval::new();
        value.set_zend_string(string);
        Self(value)
    }
}

/// Called after code of the program may have run: an exception that it has thrown ends the call.
pub(crate) fn unless_thrown<T>(value: T) -> Result<T, Failure> {
    if ExecutorGlobals::has_exception() { Err(Failure::Pending) } else { Ok(value) }
}
