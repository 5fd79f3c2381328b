//! The client whose event is being handled, by a worker. There is none anywhere else.

use gateway_wire::ClientId;
use gateway_wire::bridge::Order;

use super::method::methods;
use crate::args::{Anything, Message, Raw};
use crate::errors::Failure;
use crate::process::order;
use crate::{business_worker, worker};

methods! {
    fn sendToCurrentClient(call, message: Message, raw: Raw = false) -> bool {
        let client = current("sendToCurrentClient")?;
        order(call.settings()?, Order::SendToClient { client, message: message.wire(), raw: raw.0 })?;
        Ok(true)
    }

    fn closeCurrentClient(call, message: Option<Message> = null) -> bool {
        let client = current("closeCurrentClient")?;
        order(call.settings()?, Order::Close { client, last: message.as_ref().map(Message::wire) })?;
        Ok(true)
    }

    fn destoryCurrentClient(call) -> bool {
        order(call.settings()?, Order::Destroy { client: current("destoryCurrentClient")? })?;
        Ok(true)
    }

    fn destroyCurrentClient(call) -> bool {
        order(call.settings()?, Order::Destroy { client: current("destroyCurrentClient")? })?;
        Ok(true)
    }

    /// GatewayWorker's workers introduce themselves by it.
    fn setBusinessWorker(call, worker: Anything) {
        let _ = call;
        business_worker::introduce(&worker.0)
    }
}

fn current(method: &str) -> Result<ClientId, Failure> {
    worker::current().ok_or_else(|| {
        Failure::Exception(format!(
            "Gateway::{method}() can be called only while an event of a client is handled; name the client in \
             another method, such as sendToClient()"
        ))
    })
}
