//! The extension's classes as the engine knows them, for the parts that look them up or give them other names.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::zend::ClassEntry;

pub(crate) const GATEWAY: &str = "PushGateway\\Gateway";
pub(crate) const EVENTS: &str = "PushGateway\\GatewayEvents";
pub(crate) const FUTURE: &str = "PushGateway\\GatewayFuture";
pub(crate) const EXCEPTION: &str = "PushGateway\\GatewayException";

pub(crate) static GATEWAY_ENTRY: RegisteredClass = RegisteredClass::none();
pub(crate) static EVENTS_ENTRY: RegisteredClass = RegisteredClass::none();
pub(crate) static EXCEPTION_ENTRY: RegisteredClass = RegisteredClass::none();

/// A class that the module's start registers. The engine keeps it as long as the process.
pub(crate) struct RegisteredClass(AtomicPtr<ClassEntry>);

impl RegisteredClass {
    pub(crate) const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    pub(crate) fn set(&self, class: *mut ClassEntry) {
        self.0.store(class, Ordering::Release);
    }

    /// The pointer is null before the class is registered.
    pub(crate) fn get(&self) -> *mut ClassEntry {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn as_ref(&self) -> Option<&'static ClassEntry> {
        // SAFETY: the pointer is null, or leads to a class that lives as long as the process.
        unsafe { self.get().as_ref() }
    }
}

/// The class that an alias names. Every name but two is one of class Gateway.
pub(crate) fn of_name(alias: &str) -> *mut ClassEntry {
    let entry = match alias.to_ascii_lowercase().as_str() {
        "gatewayexception" => &EXCEPTION_ENTRY,
        "gatewayevents" => &EVENTS_ENTRY,
        _ => &GATEWAY_ENTRY,
    };
    entry.get()
}

/// Whether a class is one of this extension.
pub(crate) fn is_own(class: *mut ClassEntry) -> bool {
    [&GATEWAY_ENTRY, &EVENTS_ENTRY, &EXCEPTION_ENTRY].into_iter().any(|own| own.get() == class)
}
