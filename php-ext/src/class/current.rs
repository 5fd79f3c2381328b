//! The client whose event is being handled, by a worker. There is none anywhere else.

use super::method::methods;
use crate::args::{Anything, Flag, Text};
use crate::errors::Failure;

methods! {
    fn sendToCurrentClient(call, message: Text, raw: Flag = false) -> bool {
        let _ = (call, message, raw);
        no_event("sendToCurrentClient")
    }

    fn closeCurrentClient(call, message: Option<Text> = null) -> bool {
        let _ = (call, message);
        no_event("closeCurrentClient")
    }

    fn destoryCurrentClient(call) -> bool {
        let _ = call;
        no_event("destoryCurrentClient")
    }

    fn destroyCurrentClient(call) -> bool {
        let _ = call;
        no_event("destroyCurrentClient")
    }

    /// GatewayWorker's workers introduce themselves by it; nothing here has to know them.
    fn setBusinessWorker(call, worker: Anything) {
        let _ = (call, worker);
        Ok(())
    }
}

fn no_event<T>(method: &str) -> Result<T, Failure> {
    Err(Failure::Exception(format!(
        "Gateway::{method}() can be called only while an event of a client is handled; name the client in \
         another method, such as sendToClient()"
    )))
}
