//! The engine's symbols that ext-php-rs does not bind. Every supported PHP must have them: if one is missing, the extension
//! does not load.

use std::ffi::{c_char, c_int};

use ext_php_rs::ffi::zend_string;
use ext_php_rs::types::{ZendHashTable, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData, ModuleEntry};

pub(crate) const E_WARNING: c_int = 2;
/// `ZEND_FETCH_CLASS_NO_AUTOLOAD`
pub(crate) const WITHOUT_AUTOLOAD: u32 = 0x80;

/// An autoloader gets the name as the program writes it and the name in lower case.
pub(crate) type Autoload = unsafe extern "C" fn(*mut zend_string, *mut zend_string) -> *mut ClassEntry;

unsafe extern "C" {
    /// Called by the VM after an interrupt; pcntl runs its signal handlers there.
    pub(crate) static zend_interrupt_function: Option<unsafe extern "C" fn(*mut ExecuteData)>;
    pub(crate) fn zend_register_class_alias_ex(
        name: *const c_char,
        length: usize,
        class: *mut ClassEntry,
        persistent: bool,
    ) -> c_int;
    /// Called for an unknown class; modules that provide autoloading set it.
    pub(crate) static mut zend_autoload: Option<Autoload>;
    pub(crate) fn zend_clear_exception();
    pub(crate) fn zend_error(kind: c_int, format: *const c_char, ...);
    /// Takes a socket and a name, and more where PHP is built to be debugged: see [`crate::signal_stream`].
    pub(crate) fn _php_stream_sock_open_from_socket();
    pub(crate) fn sapi_get_request_time() -> f64;
    pub(crate) fn php_log_err_with_severity(message: *const c_char, severity: c_int);
    pub(crate) fn virtual_cwd_activate() -> c_int;
    pub(crate) fn virtual_cwd_deactivate() -> c_int;
    pub(crate) fn zend_memory_usage(from_system: bool) -> usize;
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
    pub(crate) fn zend_parse_arg_long_slow(argument: *mut Zval, value: *mut i64, position: u32) -> bool;
    pub(crate) fn zend_parse_arg_double_slow(argument: *mut Zval, value: *mut f64, position: u32) -> bool;
    pub(crate) fn zend_parse_arg_bool_slow(argument: *mut Zval, value: *mut bool, position: u32) -> bool;
    pub(crate) fn zval_try_get_string_func(value: *mut Zval) -> *mut zend_string;
    pub(crate) fn zend_argument_type_error(position: u32, format: *const c_char, ...);
    pub(crate) fn zend_zval_type_name(value: *const Zval) -> *const c_char;
    pub(crate) fn php_var_serialize_init() -> *mut SerializeData;
    pub(crate) fn php_var_serialize(buffer: *mut SmartStr, value: *mut Zval, data: *mut *mut SerializeData);
    pub(crate) fn php_var_serialize_destroy(data: *mut SerializeData);
    pub(crate) fn php_unserialize_with_options(
        result: *mut Zval,
        buffer: *const c_char,
        length: usize,
        options: *mut ZendHashTable,
        function_name: *const c_char,
    );
}

/// A type of PHP's that is only passed on.
#[repr(C)]
pub(crate) struct SerializeData {
    _opaque: [u8; 0],
}

/// A string that grows; the pointer is null while it is empty.
#[repr(C)]
pub(crate) struct SmartStr {
    pub(crate) string: *mut zend_string,
    pub(crate) allocated: usize,
}
