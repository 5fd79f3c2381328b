//! Arguments as PHP passes them, read by PHP's own rules: a string parameter takes what any string parameter of PHP
//! takes, under strict_types too.
//!
//! Reading an argument may run code of the program, which may change every variable that the arguments came from. So an
//! argument holds what it is made of, and borrows nothing from PHP: see [`crate::held`].

mod argument;
mod clients;
mod compound;
mod deliver_options;
mod names;
mod read;
mod scalars;
mod strings;

pub(crate) use argument::Argument;
pub(crate) use clients::{Client, ClientOrCurrent, Except, Only};
pub(crate) use compound::{Anything, ArrayArgument, Callable, JsonObject};
pub(crate) use deliver_options::DeliverOptions;
pub(crate) use names::{ExceptGroups, GroupOrEverybody, Name, NameKind, NameList, Names};
pub(crate) use scalars::{Binary, Flag, Patience, Seconds, SendRaw, Timeout};
pub(crate) use strings::{Message, Text, UntrustedString};
