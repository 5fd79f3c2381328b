//! `Gateway::later()`: a method whose answer the program takes when it is there.

use super::future::Future;
use super::held_call::HeldCall;
use super::method::methods;
use crate::args::{ArrayArgument, Text};

methods! {
    /// Calls a method of this class by its name. One that has no question is done at once.
    fn later(call, method: Text, arguments: ArrayArgument = []) -> Zval {
        let held = HeldCall::new(call.called_class(), method.wire(), arguments.0)?;
        Future::of_call(held)?.into_object()
    }
}
