//! Methods for the client whose event a worker is handling. Anywhere else there is no such client.

use gateway_wire::ClientId;
use gateway_wire::bridge::Order;

use super::method::methods;
use super::send;
use crate::args::{Anything, Binary, Message, SendRaw};
use crate::errors::Failure;
use crate::links::order;
use crate::{business_worker, worker};

methods! {
    fn sendToCurrentClient(call, message: Message, raw: SendRaw = false, binary: Binary = null) -> bool {
        send::one(call, current("sendToCurrentClient")?, &message, &raw, &binary)
    }

    fn closeCurrentClient(call, message: Option<Message> = null) -> bool {
        let client = current("closeCurrentClient")?;
        order(call.properties()?, Order::Close { client, last: message.as_ref().map(Message::wire) })?;
        Ok(true)
    }

    fn destoryCurrentClient(call) -> bool {
        order(call.properties()?, Order::Destroy { client: current("destoryCurrentClient")? })?;
        Ok(true)
    }

    fn destroyCurrentClient(call) -> bool {
        order(call.properties()?, Order::Destroy { client: current("destroyCurrentClient")? })?;
        Ok(true)
    }

    /// Called by GatewayWorker's workers to introduce themselves.
    fn setBusinessWorker(call, worker: Anything) {
        let _ = call;
        business_worker::introduce(&worker.0)
    }
}

fn current(method: &str) -> Result<ClientId, Failure> {
    worker::current().ok_or_else(|| {
        Failure::other(format!(
            "Gateway::{method}() can be called only while an event of a client is handled; name the client in \
             another method, such as sendToClient()"
        ))
    })
}
