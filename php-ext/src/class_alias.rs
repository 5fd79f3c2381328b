//! Makes `class_alias()` take the classes of this extension, which PHP's own takes only from version 8.3 on.

use std::ptr;

use ext_php_rs::ffi::{zend_lookup_class_ex, zend_string};
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData};

use crate::replaced_function::ReplacedFunction;
use crate::sys::{self, WITHOUT_AUTOLOAD};
use crate::{aliases, class_entries};

pub(crate) static CLASS_ALIAS: ReplacedFunction = ReplacedFunction::new(c"class_alias", alias);

/// This frame holds nothing that must be dropped while code of the program runs: a fatal error in it jumps over this.
unsafe extern "C" fn alias(frame: *mut ExecuteData, result: *mut Zval) {
    // SAFETY: PHP passes the frame of the call and the place of its result.
    let done = unsafe { frame.as_ref() }.and_then(name_own_class);
    match done {
        // SAFETY: as above.
        Some(done) => unsafe { (*result).set_bool(done) },
        // SAFETY: PHP's own arguments are passed on.
        None => unsafe { CLASS_ALIAS.call_php_own(frame, result) },
    }
}

/// Gives `None` where PHP's own function is to do the work: for another class, or for wrong arguments.
fn name_own_class(frame: &ExecuteData) -> Option<bool> {
    // SAFETY: in a call's frame this field of the union is in use.
    let given = unsafe { frame.This.u2.num_args };
    if !(2..=3).contains(&given) {
        return None;
    }
    // SAFETY: the frame has as many arguments as it says.
    let argument = |index| unsafe { frame.zend_call_arg(index) }.map(|value| &*value);
    let (class, name) = (argument(0)?.dereference(), argument(1)?.dereference());
    let (class, name) = (class.zend_str()?, name.zend_str()?);
    let may_autoload = given == 2 || argument(2)?.dereference().coerce_to_bool();
    let class = own_class(class, may_autoload)?;
    let bytes = name.as_bytes();
    // SAFETY: the name has the given length, and the class lives as long as the process.
    if unsafe { sys::zend_register_class_alias_ex(bytes.as_ptr().cast(), bytes.len(), class, false) } == 0 {
        return Some(true);
    }
    // SAFETY: the format takes a C string, and PHP's strings are terminated.
    unsafe {
        sys::zend_error(
            sys::E_WARNING,
            c"Cannot declare class %s, because the name is already in use".as_ptr(),
            bytes.as_ptr(),
        );
    }
    Some(false)
}

/// Gives the class if it is one of this extension. The program's autoloaders run only for a name that may be an alias, so that
/// for other names PHP's own function alone runs them.
fn own_class(name: &ZendStr, may_autoload: bool) -> Option<*mut ClassEntry> {
    let string: *mut zend_string = ptr::from_ref(name).cast_mut();
    // SAFETY: the string is live; a class that is found stays PHP's.
    let find = |flags| unsafe { zend_lookup_class_ex(string, ptr::null_mut(), flags) };
    let mut class = find(WITHOUT_AUTOLOAD);
    let bytes = name.as_bytes();
    if class.is_null() && may_autoload && aliases::is_wanted(bytes.strip_prefix(b"\\").unwrap_or(bytes)) {
        class = find(0);
    }
    class_entries::is_own(class).then_some(class)
}
