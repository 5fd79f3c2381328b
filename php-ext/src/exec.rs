//! Delivers what was sent before `pcntl_exec()` puts another program in this one's place, and with it ends the I/O thread.

use std::panic::AssertUnwindSafe;

use ext_php_rs::types::Zval;
use ext_php_rs::zend::{CatchError, ExecuteData, ExecutorGlobals, bailout, try_catch};

use crate::links;
use crate::replaced_function::ReplacedFunction;

pub(crate) static PCNTL_EXEC: ReplacedFunction = ReplacedFunction::new(c"pcntl_exec", flush_and_exec);

/// This frame holds nothing that must be dropped while code of the program runs, in the handler of a warning.
unsafe extern "C" fn flush_and_exec(frame: *mut ExecuteData, result: *mut Zval) {
    let flush = || {
        if let Err(failure) = links::flush_before_the_end() {
            failure.raise();
        }
    };
    if let Err(CatchError::Bailout) = try_catch(AssertUnwindSafe(flush)) {
        // SAFETY: no Rust frame between here and PHP has something to drop.
        unsafe { bailout() };
    }
    if !ExecutorGlobals::has_exception() {
        // SAFETY: PHP's own arguments are passed on.
        unsafe { PCNTL_EXEC.call_php_own(frame, result) };
    }
}
