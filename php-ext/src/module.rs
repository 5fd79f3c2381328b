//! The module's start and end, and those of its threads and requests.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ext_php_rs::builders::{ModuleBuilder, ModuleStartup};
use ext_php_rs::error::php_error;
use ext_php_rs::flags::ErrorType;
use ext_php_rs::internal::startup_guard;
use ext_php_rs::zend::{
    CatchError, ModuleAllocations, ModuleEntry, ModuleGlobal, StaticModuleEntry, bailout, try_catch,
};

use crate::class_alias::CLASS_ALIAS;
use crate::errors::Failure;
use crate::exec::PCNTL_EXEC;
use crate::globals::{GLOBALS, Globals};
use crate::{aliases, class, errors, exceptions, info, ini, links, properties, split_call, sys, worker};

pub(crate) fn entry() -> *mut ModuleEntry {
    static MODULE: StaticModuleEntry = StaticModuleEntry::new();
    MODULE.get_or_init(|| {
        let built = ModuleBuilder::new("gateway", env!("CARGO_PKG_VERSION"))
            .startup_function(start)
            .shutdown_function(end)
            .request_startup_function(start_request)
            .request_shutdown_function(end_request)
            .post_deactivate_function(after_request)
            .info_function(info::show)
            .globals(&GLOBALS)
            .try_into();
        let (entry, _, allocations): (ModuleEntry, ModuleStartup, ModuleAllocations) = match built {
            Ok(built) => built,
            Err(error) => unreachable!("a module without functions can be built: {error}"),
        };
        (entry, allocations)
    })
}

unsafe extern "C" fn start(_kind: i32, module_number: i32) -> i32 {
    startup_guard(|| {
        ini::register(module_number);
        links::start_module();
        if let Some(complaint) = ini::complaint() {
            php_error(&ErrorType::CoreWarning, complaint);
        }
        properties::intern_names();
        exceptions::register()?;
        class::register()?;
        aliases::start();
        Ok(())
    })
}

unsafe extern "C" fn end(_kind: i32, module_number: i32) -> i32 {
    // A panic must not reach PHP, which ends anyway.
    let _ = catch_unwind(links::end_module);
    aliases::end();
    CLASS_ALIAS.end();
    PCNTL_EXEC.end();
    // SAFETY: the entries were registered under this number.
    unsafe { sys::zend_unregister_ini_entries(module_number) };
    0
}

impl ModuleGlobal for Globals {
    fn gshutdown(&mut self) {
        // A panic must not reach PHP, and what is left then ends with the process.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            links::end(self);
            worker::end(self);
        }));
    }
}

unsafe extern "C" fn start_request(_kind: i32, _module_number: i32) -> i32 {
    CLASS_ALIAS.start_request();
    PCNTL_EXEC.start_request();
    errors::forget_last();
    worker::start_request();
    split_call::start_request();
    shielded(properties::set_defaults);
    0
}

unsafe extern "C" fn end_request(_kind: i32, _module_number: i32) -> i32 {
    shielded(|| {
        worker::end_request();
        links::end_request()
    });
    properties::forget_pointers();
    0
}

/// Runs after all request shutdowns: that of another module, for instance of a session handler in PHP, may have used the class
/// again.
unsafe extern "C" fn after_request() -> i32 {
    let _ = catch_unwind(properties::forget_pointers);
    0
}

/// Runs code that may raise PHP errors. A panic ends here, and a fatal error goes on to PHP.
fn shielded(body: impl FnOnce() -> Result<(), Failure>) {
    let run = || {
        if let Err(failure) = body() {
            failure.raise();
        }
    };
    if let Err(CatchError::Bailout) = try_catch(AssertUnwindSafe(run)) {
        // SAFETY: no Rust frame between here and PHP has something to drop.
        unsafe { bailout() };
    }
}
