//! The PHP extension `gateway`: PHP's face of a [`gateway_link`].

mod args;
mod class;
mod errors;
mod held;
mod info;
mod ini;
mod json;
mod memory;
mod module;
mod process;
mod serialize;
mod settings;
mod skipped;
mod sys;
mod values;
mod worker;

use ext_php_rs::zend::ModuleEntry;

/// What PHP looks for when it loads the extension.
#[unsafe(no_mangle)]
pub extern "C" fn get_module() -> *mut ModuleEntry {
    module::entry()
}
