//! The engine's symbols that ext-php-rs does not bind. Every supported PHP must have them: one missing, and the
//! extension does not load.

use std::ffi::{c_char, c_int};

use ext_php_rs::ffi::zend_string;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::{ClassEntry, ModuleEntry};

unsafe extern "C" {
    pub(crate) fn zend_register_class_alias_ex(
        name: *const c_char,
        length: usize,
        class: *mut ClassEntry,
        persistent: bool,
    ) -> c_int;
    pub(crate) fn zend_unregister_ini_entries(module_number: c_int);
    pub(crate) fn zend_ini_string_ex(
        name: *const c_char,
        length: usize,
        original: c_int,
        exists: *mut bool,
    ) -> *mut c_char;
    pub(crate) fn display_ini_entries(module: *mut ModuleEntry);
    pub(crate) fn zend_read_static_property_ex(
        scope: *mut ClassEntry,
        name: *mut zend_string,
        silent: bool,
    ) -> *mut Zval;
    pub(crate) fn zend_parse_arg_str_slow(
        argument: *mut Zval,
        string: *mut *mut zend_string,
        position: u32,
    ) -> bool;
    pub(crate) fn zend_parse_arg_bool_slow(argument: *mut Zval, value: *mut bool, position: u32) -> bool;
    pub(crate) fn zval_try_get_string_func(value: *mut Zval) -> *mut zend_string;
    pub(crate) fn zend_argument_type_error(position: u32, format: *const c_char, ...);
    pub(crate) fn zend_zval_type_name(value: *const Zval) -> *const c_char;
}
