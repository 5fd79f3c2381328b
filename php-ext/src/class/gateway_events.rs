//! Class `GatewayEvents`, on which the worker runner in PHP is built. Programs do not need it.

use std::ptr;

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::error::Result;
use ext_php_rs::flags::MethodFlags;
use gateway_wire::bridge::Query;

use super::method::{ShownArguments, methods};
use crate::args::{ArrayArgument, Callable, Patience, Text};
use crate::class_entries;
use crate::links::query;
use crate::properties::Properties;
use crate::serialize;
use crate::values::{self, PhpArray};
use crate::worker;

static ARGUMENTS: ShownArguments = ShownArguments::none();

pub(super) fn register() -> Result<()> {
    let mut class = ClassBuilder::new(class_entries::EVENTS).registration(|class, arg_info| {
        class_entries::EVENTS_ENTRY.set(class);
        ARGUMENTS.keep(arg_info);
    });
    for (_, method) in methods() {
        class = class.method(method, MethodFlags::Public | MethodFlags::Static);
    }
    class.register()
}

methods! {
    fn join(call, name: Text) {
        let _ = call;
        // The properties are those of class Gateway.
        worker::join(Properties::of(ptr::null_mut())?, name.wire(), false)
    }

    /// Does the same as `join`, and announces that this worker takes moves of clients between nodes.
    fn joinWithMoves(call, name: Text) {
        let _ = call;
        worker::join(Properties::of(ptr::null_mut())?, name.wire(), true)
    }

    /// Has this worker, which has joined, told of what has become of messages in the inbox.
    fn takeNotices(call) {
        let _ = call;
        worker::take_notices()
    }

    /// Gives `[kind, client_id, server, session, body]`, or `["notices", receipts, undelivered]`, null after a signal or so many milliseconds, or false when no more
    /// events will come.
    fn next(call, milliseconds: Patience = 0) -> Zval {
        let _ = call;
        worker::next(milliseconds.0)
    }

    fn leave(call) {
        let _ = call;
        worker::leave()
    }

    fn nodes(call) -> PhpArray {
        let _ = call;
        query(Properties::of(ptr::null_mut())?, Query::Nodes {}, values::strings)
    }

    /// Does what `unserialize()` does, with the classes of gateway.session_classes.
    fn readSession(call, bytes: Text) -> Zval {
        let _ = call;
        serialize::read(bytes.wire())
    }

    /// Does what `serialize()` does, with what `readSession` has kept of other classes.
    fn writeSession(call, session: ArrayArgument) -> Zval {
        let _ = call;
        Ok(values::string(serialize::write(&session.0)?.wire()))
    }

    fn onSession(call, told: Callable) {
        let _ = call;
        worker::set_session_callback(told.0);
        Ok(())
    }
}
