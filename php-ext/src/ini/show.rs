//! How phpinfo() shows settings: a switch is On or Off, and of a secret only whether it is set.

use std::ffi::c_int;

use ext_php_rs::ffi::{zend_ini_entry, zend_string};
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::{IniEntryDef, output_write};

use crate::alias_list;

/// `ZEND_INI_DISPLAY_ORIG`
const ORIGINAL: c_int = 1;

pub(super) const fn secret(mut entry: IniEntryDef) -> IniEntryDef {
    entry.displayer = Some(show_secret);
    entry
}

/// A setting that is a switch, or a list that says more.
pub(super) const fn switch(mut entry: IniEntryDef) -> IniEntryDef {
    entry.displayer = Some(show_switch);
    entry
}

unsafe extern "C" fn show_secret(entry: *mut zend_ini_entry, kind: c_int) {
    // SAFETY: PHP gives the entry that it displays.
    let is_set = !unsafe { value(entry, kind) }.is_empty();
    let _ = output_write(if is_set { b"set" } else { b"not set" });
}

unsafe extern "C" fn show_switch(entry: *mut zend_ini_entry, kind: c_int) {
    // SAFETY: PHP gives the entry that it displays.
    let value = unsafe { value(entry, kind) };
    let _ = output_write(match std::str::from_utf8(value).ok().and_then(alias_list::switch) {
        Some(false) => b"Off",
        Some(true) => b"On",
        None => value,
    });
}

/// The value, or the one before a program has changed it.
///
/// # Safety
///
/// The pointer is null, or leads to an entry that lives as long as the call.
unsafe fn value<'a>(entry: *mut zend_ini_entry, kind: c_int) -> &'a [u8] {
    // SAFETY: as the caller promises.
    let Some(entry) = (unsafe { entry.as_ref() }) else { return b"" };
    let original = kind == ORIGINAL && entry.modified != 0;
    let value: *mut zend_string = if original { entry.orig_value } else { entry.value };
    // SAFETY: the pointer is null, or leads to a live string of the entry.
    unsafe { value.as_ref() }.map_or(b"", ZendStr::as_bytes)
}
