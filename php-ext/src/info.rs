//! The section of phpinfo().

use std::panic::{AssertUnwindSafe, catch_unwind};

use ext_php_rs::zend::ModuleEntry;
use ext_php_rs::{info_table_end, info_table_header, info_table_row, info_table_start};

use crate::{links, sys};

pub(crate) extern "C" fn show(module: *mut ModuleEntry) {
    // A panic must not reach PHP; after one, the section is just shorter.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        info_table_start!();
        info_table_header!("gateway support", "enabled");
        info_table_row!("Version", env!("CARGO_PKG_VERSION"));
        info_table_row!("Bridge version", gateway_wire::bridge::VERSION.to_string());
        for link in links::describe_links() {
            info_table_row!("Link", link.replace('\0', "\\0"));
        }
        info_table_end!();
    }));
    // SAFETY: PHP gives the module whose section this is.
    unsafe { sys::display_ini_entries(module) };
}
