//! `class_alias()` for the classes of this extension. Before 8.3 PHP's own takes only classes of programs.

use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::ffi::{zend_hash_str_find_ptr_lc, zend_internal_function, zend_lookup_class_ex, zend_string};
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData, ExecutorGlobals};

use crate::sys::{self, WITHOUT_AUTOLOAD};
use crate::{aliases, class_entries};

const NAME: &str = "class_alias";

type Handler = unsafe extern "C" fn(*mut ExecuteData, *mut Zval);

/// PHP's function, and what it does by itself.
static FUNCTION: AtomicPtr<zend_internal_function> = AtomicPtr::new(ptr::null_mut());
static HANDLER: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Runs at a request's start, since PHP tells modules of its functions only then, and does its work once in a process.
pub(crate) fn start_request() {
    if !FUNCTION.load(Ordering::Acquire).is_null() {
        return;
    }
    let functions = ExecutorGlobals::get().function_table;
    if functions.is_null() {
        return;
    }
    // SAFETY: the engine's table of functions, and a name that is as long as told.
    let function = unsafe { zend_hash_str_find_ptr_lc(functions, NAME.as_ptr().cast(), NAME.len()) };
    let function: *mut zend_internal_function = function.cast();
    // SAFETY: null, where `disable_functions` names it, or a function of PHP, which lives as long as the process.
    if let Some(handler) = unsafe { function.as_mut() }.and_then(|function| function.handler.replace(alias)) {
        HANDLER.store(handler as *mut (), Ordering::Release);
        FUNCTION.store(function, Ordering::Release);
    }
}

/// Runs at the module's end.
pub(crate) fn end() {
    let function = FUNCTION.swap(ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: null, or PHP's function, which is there until all modules have ended.
    if let Some(function) = unsafe { function.as_mut() } {
        function.handler = php_own();
    }
}

fn php_own() -> Option<Handler> {
    let handler = HANDLER.load(Ordering::Acquire);
    // SAFETY: null, or the function's handler, which is of this type.
    (!handler.is_null()).then(|| unsafe { transmute::<*mut (), Handler>(handler) })
}

/// This frame holds nothing that must be dropped while code of the program runs: a fatal error of it jumps over this.
unsafe extern "C" fn alias(frame: *mut ExecuteData, result: *mut Zval) {
    // SAFETY: PHP's frame of the call, and where its result goes.
    let done = unsafe { frame.as_ref() }.and_then(name_own_class);
    match (done, php_own()) {
        // SAFETY: as above.
        (Some(done), _) => unsafe { (*result).set_bool(done) },
        // SAFETY: PHP's own arguments are handed on.
        (None, Some(handler)) => unsafe { handler(frame, result) },
        (None, None) => {}
    }
}

/// `None` when this is nothing for here: another class, or arguments that PHP has to complain of.
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
    // SAFETY: the name is as long as told, and the class lives as long as the process.
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

/// The class, if it is one of this extension. Asks the program's autoloaders only for a name that may lead here, so that
/// for others PHP's own function is the only one that asks.
fn own_class(name: &ZendStr, may_autoload: bool) -> Option<*mut ClassEntry> {
    let string: *mut zend_string = ptr::from_ref(name).cast_mut();
    // SAFETY: a live string; what is found stays PHP's.
    let find = |flags| unsafe { zend_lookup_class_ex(string, ptr::null_mut(), flags) };
    let mut class = find(WITHOUT_AUTOLOAD);
    let bytes = name.as_bytes();
    if class.is_null() && may_autoload && aliases::is_wanted(bytes.strip_prefix(b"\\").unwrap_or(bytes)) {
        class = find(0);
    }
    class_entries::is_own(class).then_some(class)
}
