//! A function of PHP whose work begins with code of this extension.

use std::ffi::CStr;
use std::mem::transmute;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, PoisonError};

use ext_php_rs::ffi::{zend_hash_str_find_ptr_lc, zend_internal_function};
use ext_php_rs::types::Zval;
use ext_php_rs::zend::{ExecuteData, ExecutorGlobals};

pub(crate) type Handler = unsafe extern "C" fn(*mut ExecuteData, *mut Zval);

pub(crate) struct ReplacedFunction {
    name: &'static CStr,
    handler: Handler,
    function: AtomicPtr<zend_internal_function>,
    /// The handler that PHP gave the function.
    php_own: AtomicPtr<()>,
    /// Held while the handler is replaced: the first requests of two threads may start at the same time.
    replacing: Mutex<()>,
}

impl ReplacedFunction {
    pub(crate) const fn new(name: &'static CStr, handler: Handler) -> Self {
        Self {
            name,
            handler,
            function: AtomicPtr::new(ptr::null_mut()),
            php_own: AtomicPtr::new(ptr::null_mut()),
            replacing: Mutex::new(()),
        }
    }

    /// Runs at a request's start, since all modules have registered their functions only then; it does its work once in a process.
    /// A function that is not there stays so.
    pub(crate) fn start_request(&self) {
        if !self.function.load(Ordering::Acquire).is_null() {
            return;
        }
        let _replacing = self.replacing.lock().unwrap_or_else(PoisonError::into_inner);
        let functions = ExecutorGlobals::get().function_table;
        if functions.is_null() || !self.function.load(Ordering::Acquire).is_null() {
            return;
        }
        // SAFETY: the table is the engine's table of functions, and the name has the given length.
        let function =
            unsafe { zend_hash_str_find_ptr_lc(functions, self.name.as_ptr(), self.name.count_bytes()) };
        let function: *mut zend_internal_function = function.cast();
        // SAFETY: the pointer is null, where there is no such function or `disable_functions` names it, or leads to a function of
        // PHP, which lives as long as the process.
        let own = unsafe { function.as_mut() }.and_then(|function| function.handler.replace(self.handler));
        if let Some(own) = own {
            self.php_own.store(own as *mut (), Ordering::Release);
            self.function.store(function, Ordering::Release);
        }
    }

    /// Runs at the module's end.
    pub(crate) fn end(&self) {
        let function = self.function.swap(ptr::null_mut(), Ordering::AcqRel);
        // SAFETY: the pointer is null, or leads to PHP's function, which exists until all modules have ended.
        if let Some(function) = unsafe { function.as_mut() } {
            function.handler = self.php_own();
        }
    }

    /// Does what PHP's function does.
    ///
    /// # Safety
    ///
    /// The arguments are those with which PHP has called the handler.
    pub(crate) unsafe fn call_php_own(&self, frame: *mut ExecuteData, result: *mut Zval) {
        if let Some(own) = self.php_own() {
            // SAFETY: as the caller promises.
            unsafe { own(frame, result) };
        }
    }

    fn php_own(&self) -> Option<Handler> {
        let own = self.php_own.load(Ordering::Acquire);
        // SAFETY: the pointer is null, or the function's handler, which is of this type.
        (!own.is_null()).then(|| unsafe { transmute::<*mut (), Handler>(own) })
    }
}
