//! Class Gateway: its properties, and its methods by theme.

mod bind;
mod current;
mod diagnostics;
mod future;
mod gateway_events;
mod held_call;
mod inbox;
mod later;
mod lists;
mod method;
mod proof;
mod query;
mod random;
mod send;
mod session;
mod token;
mod tracked;

use ext_php_rs::builders::{ClassBuilder, ClassProperty};
use ext_php_rs::error::Result;
use ext_php_rs::flags::{MethodFlags, PropertyFlags};
use ext_php_rs::types::{ZendStr, Zval};

use self::method::ShownArguments;
use crate::properties::{CONNECT_TIMEOUT, REGISTER_ADDRESS, SECRET_KEY, TOKEN_KEY};
use crate::{class_entries, ini, values};

/// Methods that a program's subclass may declare with other arguments: those that had fewer arguments in some version of
/// GatewayWorker's classes, such as `sendToUid($uid, $message)`, or have more here, and those that only this class has.
///
/// The engine lets a subclass change the arguments only of constructors, so these methods are flagged as constructors. This has
/// no other effect, since a class notes separately which method is its constructor; but `#[\Override]` does not work for them.
const OVERRIDDEN_AT_WILL: [&str; 25] = [
    "sendToAll",
    "sendToGroup",
    "closeUid",
    "sendToClient",
    "sendToCurrentClient",
    "sendToUid",
    "closeClient",
    "closeCurrentClient",
    "destroyClient",
    "destroyCurrentClient",
    "token",
    "isClientProof",
    "getClientProof",
    "getClientInfo",
    "sendToUidCounted",
    "sendToGroupCounted",
    "ask",
    "deliverToUid",
    "receipt",
    "inboxOf",
    "forget",
    "flush",
    "later",
    "lastError",
    "stats",
];

/// Methods at which the engine warns, as it does for its own, and of which reflection tells.
const DEPRECATED: [&str; 2] = ["getAllClientInfo", "getClientInfoByGroup"];

static ARGUMENTS: ShownArguments = ShownArguments::none();

pub(crate) fn register() -> Result<()> {
    let mut class = ClassBuilder::new(class_entries::GATEWAY).registration(|class, arg_info| {
        class_entries::GATEWAY_ENTRY.set(class);
        ARGUMENTS.keep(arg_info);
    });
    let methods = [
        send::methods(),
        bind::methods(),
        query::methods(),
        lists::methods(),
        session::methods(),
        token::methods(),
        tracked::methods(),
        inbox::methods(),
        later::methods(),
        proof::methods(),
        current::methods(),
        diagnostics::methods(),
    ];
    for (name, method) in methods.into_iter().flatten() {
        let mut flags = MethodFlags::Public | MethodFlags::Static;
        if OVERRIDDEN_AT_WILL.contains(&name) {
            flags |= MethodFlags::IsConstructor;
        }
        if DEPRECATED.contains(&name) {
            flags |= MethodFlags::Deprecated;
        }
        class = class.method(method, flags);
    }
    class = class
        .property(property(REGISTER_ADDRESS, interned(ini::register_address())))
        // Reflection shows these defaults; requests get the values of php.ini when they start.
        .property(property(SECRET_KEY, interned(b"")))
        .property(property(TOKEN_KEY, interned(b"")))
        .property(property(CONNECT_TIMEOUT, values::number(ini::connect_timeout())))
        .property(property("persistentConnection", values::boolean(true)))
        .property(property("addressesCacheDisable", values::boolean(false)));
    class.register()?;
    gateway_events::register()?;
    future::register()
}

fn property(name: &str, default: Zval) -> ClassProperty {
    ClassProperty {
        name: name.to_owned(),
        flags: PropertyFlags::Public | PropertyFlags::Static,
        default: Some(Box::new(|| Ok(default))),
        docs: &[],
        ty: None,
        nullable: false,
        readonly: false,
        default_stub: None,
    }
}

/// Makes a string that lives as long as the class, which outlives requests.
fn interned(text: &[u8]) -> Zval {
    let mut zval = Zval::new();
    zval.set_zend_string(ZendStr::new_interned(text, true));
    zval
}
