//! The classes of exceptions: one for each kind of failure, with a code of its own.

use ext_php_rs::builders::ClassBuilder;
use ext_php_rs::error::Result;
use ext_php_rs::zend::{ClassEntry, ce};
use gateway_link::ErrorKind;

use crate::class_entries::{self, EXCEPTION_ENTRY, RegisteredClass};

/// The classes that extend GatewayException, in the order of their codes, which begin with 1.
const NAMES: [&str; 5] = [
    "PushGateway\\UnreachableException",
    "PushGateway\\TimeoutException",
    "PushGateway\\RefusedException",
    "PushGateway\\ArgumentException",
    "PushGateway\\ProtocolException",
];

static ENTRIES: [RegisteredClass; 5] = [const { RegisteredClass::none() }; 5];

/// Gives the class for failures of this kind, and its code.
pub(crate) fn of_kind(kind: ErrorKind) -> (&'static ClassEntry, i32) {
    let code: i32 = match kind {
        ErrorKind::Other => 0,
        ErrorKind::Unreachable => 1,
        ErrorKind::Timeout => 2,
        ErrorKind::Refused => 3,
        ErrorKind::Argument => 4,
        ErrorKind::Protocol => 5,
    };
    let own = usize::try_from(code - 1).ok().and_then(|index| ENTRIES.get(index)?.as_ref());
    (own.unwrap_or_else(base), code)
}

fn base() -> &'static ClassEntry {
    EXCEPTION_ENTRY.as_ref().unwrap_or_else(ce::exception)
}

/// Runs at the module's start.
pub(crate) fn register() -> Result<()> {
    ClassBuilder::new(class_entries::EXCEPTION)
        .extends((ce::exception, "\\Exception"))
        .registration(|class, _| EXCEPTION_ENTRY.set(class))
        .register()?;
    // The function that notes a class can hold nothing, so that each name needs one of its own.
    let notes: [fn(&'static mut ClassEntry, ext_php_rs::args::ArgInfoTables); 5] = [
        |class, _| ENTRIES[0].set(class),
        |class, _| ENTRIES[1].set(class),
        |class, _| ENTRIES[2].set(class),
        |class, _| ENTRIES[3].set(class),
        |class, _| ENTRIES[4].set(class),
    ];
    for (name, note) in NAMES.into_iter().zip(notes) {
        ClassBuilder::new(name)
            .extends((base, "\\PushGateway\\GatewayException"))
            .registration(note)
            .register()?;
    }
    Ok(())
}
