//! Messages for users who are not there.

use gateway_wire::bridge::delivery::MAX_MESSAGE;
use gateway_wire::bridge::{MAX_NAME, Order, Query};
use serde_bytes::Bytes;

use super::method::methods;
use super::random;
use crate::args::{DeliverOptions, Message, Name, NameKind, Names, Text};
use crate::links::{order, query};
use crate::values::{self, PhpArray};

methods! {
    /// Keeps the message for each of the uids, under one id.
    fn deliverToUid(call, uid: Names, message: Message, options: DeliverOptions = []) -> String {
        let uids = uid.asked();
        let message = message.wire();
        if message.len() > MAX_MESSAGE {
            let length = message.len();
            return Err(Failure::argument(format!(
                "the message was not delivered: it has {length} bytes, more than the {MAX_MESSAGE} that are kept for who is not there"
            )));
        }
        if std::str::from_utf8(message).is_err() {
            return Err(Failure::argument(
                "the message was not delivered: it is not UTF-8, as pages get it as text; encode it, as by base64_encode".to_owned(),
            ));
        }
        if let Some(long) = uids.iter().find(|uid| uid.len() > MAX_NAME) {
            let length = long.len();
            return Err(Failure::argument(format!(
                "the message was not delivered: the uid has {length} bytes, more than the {MAX_NAME} that one may have"
            )));
        }
        let DeliverOptions { ttl, id, replace, for_new_devices, kind } = options;
        let id = id.map_or_else(random::name_in_time, Ok)?;
        let replace = replace.as_ref().map(|key| Bytes::new(key.as_bytes()));
        for uid in uids {
            let id = Bytes::new(id.as_bytes());
            order(call.properties()?, Order::Deliver { uid, id, message, ttl, replace, for_new_devices, kind })?;
        }
        Ok(id)
    }

    fn receipt(call, id: Text) -> PhpArray {
        query(call.properties()?, Query::Receipt { id: id.wire() }, values::list_of_fields)
    }

    fn inboxOf(call, uid: Name) -> Zval {
        let Some(uid) = uid.asked() else { return Ok(Zval::null()) };
        query(call.properties()?, Query::InboxOf { uid }, values::optional_fields)
    }

    fn forget(call, uid: Name) {
        let Some(uid) = uid.filled(NameKind::Uid, "nothing was forgotten")? else { return Ok(()) };
        order(call.properties()?, Order::Forget { uid })
    }
}
