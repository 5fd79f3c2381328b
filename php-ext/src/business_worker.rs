//! A process of GatewayWorker's own `BusinessWorker` in which this class stands in place of `GatewayWorker\Lib\Gateway`, as
//! `gateway.aliases` allows. The worker introduces itself, and keeps the client of an event where its own class looks.

use std::cell::Cell;
use std::ptr;

use ext_php_rs::ffi::zend_lookup_class_ex;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::ClassEntry;
use gateway_wire::ClientId;

use crate::class_entries::GATEWAY_ENTRY;
use crate::errors::Failure;
use crate::properties::REGISTER_ADDRESS;
use crate::sys::WITHOUT_AUTOLOAD;

const WORKER: &[u8] = b"GatewayWorker\\BusinessWorker";
const CONTEXT: &str = "GatewayWorker\\Lib\\Context";

thread_local! {
    static IS_HERE: Cell<bool> = const { Cell::new(false) };
}

/// Called by `setBusinessWorker()`. The worker has the register's address in a property of its own, from which the class takes
/// it.
pub(crate) fn introduce(worker: &Zval) -> Result<(), Failure> {
    let Some(worker) = worker.object() else { return Ok(()) };
    if !names_of_classes(worker.ce).any(|name| name == WORKER) {
        return Ok(());
    }
    IS_HERE.set(true);
    let address = worker.get_property::<&Zval>(REGISTER_ADDRESS).map(Zval::shallow_clone);
    if let (Ok(address), Some(class)) = (address, GATEWAY_ENTRY.as_ref()) {
        let set = class.set_static_property(REGISTER_ADDRESS, address);
        set.map_err(|error| Failure::other(error.to_string()))?;
    }
    Ok(())
}

/// Runs at a request's end.
pub(crate) fn end_request() {
    IS_HERE.set(false);
}

/// The client whose event the worker is handling.
pub(crate) fn current() -> Option<ClientId> {
    if !IS_HERE.get() {
        return None;
    }
    let name = ZendStr::new(CONTEXT, false);
    // SAFETY: the string is live; a class that is found stays PHP's.
    let context = unsafe {
        zend_lookup_class_ex(ptr::from_ref(&*name).cast_mut(), ptr::null_mut(), WITHOUT_AUTOLOAD).as_ref()
    }?;
    let id = context.get_static_property::<&Zval>("client_id")?.dereference();
    ClientId::from_hex(id.zend_str()?.as_bytes()).ok()
}

/// The names of an object's class and of all classes that it extends.
fn names_of_classes(class: *mut ClassEntry) -> impl Iterator<Item = &'static [u8]> {
    // SAFETY: a class lives longer than the call that has an object of it.
    let first = unsafe { class.as_ref() };
    std::iter::successors(first, |class| {
        // SAFETY: a class that has objects is linked, and has its parent in this field, or null.
        unsafe { class.__bindgen_anon_1.parent.as_ref() }
    })
    .filter_map(|class| {
        // SAFETY: the name lives as long as its class.
        unsafe { class.name.as_ref() }.map(ZendStr::as_bytes)
    })
}
