//! Calls PHP's `serialize()` and `unserialize()`.

use std::borrow::Cow;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use ext_php_rs::zend::ExecutorGlobals;
use gateway_wire::bridge::PhpStr;
use gateway_wire::excerpt;
use gateway_wire::php_serialize::{self, Kept};
use serde_bytes::Bytes;

use crate::errors::{Failure, warn};
use crate::ini::{self, AllowedClasses};
use crate::sys::{self, SmartStr};
use crate::values;

/// The text of `serialize()`, in which the placeholders that [`read`] makes of objects are objects again.
pub(crate) enum Serialized {
    AsWritten(Option<ZBox<ZendStr>>),
    Restored(Vec<u8>),
}

impl Serialized {
    pub(crate) fn wire(&self) -> PhpStr<'_> {
        Bytes::new(match self {
            Self::AsWritten(string) => string.as_ref().map_or(b"", |string| string.as_bytes()),
            Self::Restored(bytes) => bytes,
        })
    }
}

/// Serializes a value. Objects in it may run code of the program, which may throw.
pub(crate) fn write(value: &Zval) -> Result<Serialized, Failure> {
    let mut buffer = SmartStr { string: ptr::null_mut(), allocated: 0 };
    // SAFETY: the value is live and only read, and the buffer and the table belong to this call alone.
    unsafe {
        let mut data = sys::php_var_serialize_init();
        sys::php_var_serialize(&raw mut buffer, ptr::from_ref(value).cast_mut(), &raw mut data);
        sys::php_var_serialize_destroy(data);
    }
    // SAFETY: the pointer is null, or leads to the string that was made, which is owned here. PHP ends such strings with a zero
    // only on request, and no code here reads past the length.
    let string = unsafe { buffer.string.cast::<ZendStr>().as_mut().map(|string| ZBox::from_raw(string)) };
    if ExecutorGlobals::has_exception() {
        return Err(Failure::Pending);
    }
    let restored = match php_serialize::restore(string.as_ref().map_or(b"", |string| string.as_bytes())) {
        Cow::Owned(restored) => Some(restored),
        Cow::Borrowed(_) => None,
    };
    Ok(restored.map_or(Serialized::AsWritten(string), Serialized::Restored))
}

/// Unserializes bytes with the classes of gateway.session_classes. Bytes from the network make no other objects, as a program
/// that answers in the gateway's place could run code by them. Empty bytes are an empty array.
pub(crate) fn read(bytes: &[u8]) -> Result<Zval, Failure> {
    if bytes.is_empty() {
        return Ok(Zval::new_array());
    }
    let classes = ini::session_classes();
    let kept = match classes {
        AllowedClasses::All => Kept { bytes: Cow::Borrowed(bytes), refused: None },
        AllowedClasses::Named(_) => php_serialize::keep(bytes, |class| classes.has(class)),
    };
    // The options are made before the warning, since an error handler may set gateway.session_classes, whose text is borrowed
    // here.
    let mut options = options(classes)?;
    if let Some(class) = kept.refused {
        warn_of(class)?;
    }
    let bytes = &*kept.bytes;
    let mut value = Zval::new();
    // SAFETY: the bytes have the given length, the options are only read, and the result has a place of its own.
    unsafe {
        sys::php_unserialize_with_options(
            &raw mut value,
            bytes.as_ptr().cast(),
            bytes.len(),
            options.as_mut().map_or(ptr::null_mut(), |options| &raw mut **options),
            c"Gateway::getSession".as_ptr(),
        );
    }
    if ExecutorGlobals::has_exception() { Err(Failure::Pending) } else { Ok(value) }
}

/// The options for PHP's `unserialize()`; `None` allows every class.
fn options(classes: AllowedClasses) -> Result<Option<ZBox<ZendHashTable>>, Failure> {
    let allowed = match classes {
        AllowedClasses::All => return Ok(None),
        AllowedClasses::Named(b"") => {
            let mut none = Zval::new();
            none.set_bool(false);
            none
        }
        AllowedClasses::Named(_) => {
            let names: Vec<_> = classes.names().map(values::string).collect();
            values::list(names.into_iter())?.0
        }
    };
    let mut options = ZendHashTable::new();
    let inserted = options.insert("allowed_classes", allowed);
    inserted.map_err(|error| Failure::other(error.to_string()))?;
    Ok(Some(options))
}

/// Warns once, so that a log does not fill with the same line.
fn warn_of(class: &[u8]) -> Result<(), Failure> {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if WARNED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    warn(&format!(
        "a session holds an object of class {}, which gateway.session_classes does not allow: it is kept as it is, but cannot \
         be used here",
        excerpt(class)
    ))
}
