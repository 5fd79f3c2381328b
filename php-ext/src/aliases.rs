//! The other names of the classes, under which GatewayWorker's users and older code know them.
//!
//! They give way to classes of the program: an alias is declared when the program asks for the name, and no file and no
//! autoloader has declared a class of it. PHP looks for an unknown class by the variable `zend_autoload`, which leads to the
//! list of `spl_autoload_register()`. The function here takes its place and asks that list first, whatever is added to the list
//! later.

use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::error::php_error;
use ext_php_rs::ffi::{zend_lookup_class_ex, zend_string};
use ext_php_rs::flags::ErrorType;
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::{ClassEntry, ExecutorGlobals, ce};

use crate::alias_list::{AliasList, GLOBAL_EXCEPTION};
use crate::{class_entries, ini, sys};

/// The list is made at the module's start and freed at its end; no request runs then.
static WANTED: AtomicPtr<AliasList> = AtomicPtr::new(ptr::null_mut());

/// The function that stood in `zend_autoload` before.
static PREVIOUS_AUTOLOAD: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Runs at the module's start, once the classes are there.
pub(crate) fn start() {
    let wanted = Box::new(ini::aliases());
    forget_wanted();
    WANTED.store(Box::into_raw(wanted), Ordering::Release);
    let Some(wanted) = wanted_names() else { return };
    for name in &wanted.early {
        if declare(name, true).is_null() {
            php_error(
                &ErrorType::CoreWarning,
                &format!("gateway.aliases: the name {name} is in use already, and was left as it is"),
            );
        }
    }
    if wanted.names.is_empty() {
        return;
    }
    // SAFETY: only modules change this variable of the engine, one after the other while they start.
    unsafe {
        PREVIOUS_AUTOLOAD
            .store(sys::zend_autoload.map_or(ptr::null_mut(), |before| before as *mut ()), Ordering::Release);
        sys::zend_autoload = Some(autoload);
    }
}

/// Runs at the module's end.
pub(crate) fn end() {
    // SAFETY: as at the start. A value that another module has set since is left as it is.
    unsafe {
        if sys::zend_autoload.is_some_and(|now| now as *mut () == autoload as sys::Autoload as *mut ()) {
            sys::zend_autoload = before();
        }
    }
    forget_wanted();
}

/// The aliases that the program may ask for.
fn wanted_names() -> Option<&'static AliasList> {
    // SAFETY: the pointer is null, or leads to the list, which lives until the module ends; no caller keeps it so long.
    unsafe { WANTED.load(Ordering::Acquire).as_ref() }
}

fn forget_wanted() {
    let old = WANTED.swap(ptr::null_mut(), Ordering::AcqRel);
    if !old.is_null() {
        // SAFETY: the pointer came from a box at the module's start, and nobody else has it any more.
        drop(unsafe { Box::from_raw(old) });
    }
}

fn before() -> Option<sys::Autoload> {
    let before = PREVIOUS_AUTOLOAD.load(Ordering::Acquire);
    // SAFETY: the pointer is null, or was taken from the variable, which holds a function of this type.
    (!before.is_null()).then(|| unsafe { transmute::<*mut (), sys::Autoload>(before) })
}

/// This frame holds nothing that must be dropped while the program's autoloaders run: a fatal error in one jumps over it.
unsafe extern "C" fn autoload(name: *mut zend_string, lower_case: *mut zend_string) -> *mut ClassEntry {
    if let Some(before) = before() {
        // SAFETY: PHP's own arguments are passed on.
        let found = unsafe { before(name, lower_case) };
        if !found.is_null() || ExecutorGlobals::has_exception() {
            return found;
        }
    }
    // SAFETY: the pointer is null, or leads to a string that lives as long as the call.
    let Some(asked) = (unsafe { name.as_ref() }) else { return ptr::null_mut() };
    let asked = asked.as_bytes();
    let Some(wanted) = wanted_names() else { return ptr::null_mut() };
    let is_asked = |name: &&String| name.as_bytes().eq_ignore_ascii_case(asked);
    wanted.names.iter().find(is_asked).map_or(ptr::null_mut(), |name| declare(name, false))
}

/// Gives null when a class of that name exists already. PHP forgets a name that is not persistent at the request's end.
fn declare(name: &str, persistent: bool) -> *mut ClassEntry {
    let class = class_entries::of_name(name);
    // SAFETY: the name has the given length, and the class was registered when the module started.
    let done =
        unsafe { sys::zend_register_class_alias_ex(name.as_ptr().cast(), name.len(), class, persistent) };
    if done == 0 { class } else { ptr::null_mut() }
}

/// Whether an alias of this name is declared when the program asks for it and has no class of that name.
pub(crate) fn is_wanted(name: &[u8]) -> bool {
    wanted_names()
        .is_some_and(|wanted| wanted.names.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name)))
}

/// Declares the global name before an exception is thrown: `catch` and `instanceof` look a class up by its name without
/// autoloading.
pub(crate) fn name_exception() {
    if !is_wanted(GLOBAL_EXCEPTION.as_bytes()) || ExecutorGlobals::get().current_execute_data.is_null() {
        return;
    }
    let name = ZendStr::new(GLOBAL_EXCEPTION, false);
    // SAFETY: the string is live; a class that is found stays PHP's.
    unsafe { zend_lookup_class_ex(ptr::from_ref(&*name).cast_mut(), ptr::null_mut(), 0) };
    let pending = ExecutorGlobals::get().exception;
    // SAFETY: the pointer is null, or leads to the pending exception. An `exit` is no Throwable, and has to go on.
    if unsafe { pending.as_ref() }.is_some_and(|pending| pending.instance_of(ce::throwable())) {
        // An autoloader has thrown, though no class was asked for by the program; the exception that is about to be thrown says more.
        // SAFETY: the function takes no arguments.
        unsafe { sys::zend_clear_exception() };
    }
}
