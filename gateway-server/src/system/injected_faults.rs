//! Faults that tests inject by a client's message. They exist in debug builds only, and only with the environment variable
//! `GATEWAY_TEST_FAULTS`.
//!
//! The message `panic at PLACE` or `hang at PLACE` arms a place in the code, which fails when it is next passed.

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{LazyLock, Mutex, PoisonError};
    use std::time::Duration;

    static IS_ON: LazyLock<bool> = LazyLock::new(|| std::env::var_os("GATEWAY_TEST_FAULTS").is_some());
    static NEXT: Mutex<Option<(Fault, String)>> = Mutex::new(None);

    #[derive(Clone, Copy)]
    enum Fault {
        Panic,
        Hang,
    }

    pub fn arm(message: &[u8]) {
        if !*IS_ON {
            return;
        }
        let Ok(message) = std::str::from_utf8(message) else { return };
        let fault = match message.split_once(" at ") {
            Some(("panic", place)) => (Fault::Panic, place.to_owned()),
            Some(("hang", place)) => (Fault::Hang, place.to_owned()),
            _ => return,
        };
        *NEXT.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }

    pub fn strike(place: &str) {
        if !*IS_ON {
            return;
        }
        let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
        let fault = next.take_if(|(_, armed)| armed == place);
        drop(next);
        match fault {
            Some((Fault::Panic, _)) => panic!("a test wanted it at {place}"),
            Some((Fault::Hang, _)) => std::thread::sleep(Duration::from_secs(3600)),
            None => {}
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, strike};

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn arm(_: &[u8]) {}

#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn strike(_: &str) {}
