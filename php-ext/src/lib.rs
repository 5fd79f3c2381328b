//! The PHP extension `gateway`, which gives a [`gateway_link`] to PHP.

mod alias_list;
mod aliases;
mod args;
mod business_worker;
mod class;
mod class_alias;
mod class_entries;
mod errors;
mod exceptions;
mod exec;
mod globals;
mod held;
mod info;
mod ini;
mod json;
mod links;
mod memory;
mod module;
mod properties;
mod replaced_function;
mod serialize;
mod signal_stream;
mod skipped;
mod split_call;
mod sys;
mod values;
mod worker;

use ext_php_rs::zend::ModuleEntry;

/// The symbol that PHP looks for when it loads the extension.
#[unsafe(no_mangle)]
pub extern "C" fn get_module() -> *mut ModuleEntry {
    module::entry()
}
