//! The panics of all threads and tasks, most of which something catches.

use std::sync::{Mutex, Once, PoisonError};

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes all panics from now on.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            before(panic);
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        }));
    });
}

/// Panics if anything else did.
pub(crate) fn assert_none() {
    let panics = std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner));
    assert!(panics.is_empty(), "{panics:?}");
}
