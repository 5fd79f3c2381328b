//! How flags and their variables are read as values.

use std::net::{SocketAddr, SocketAddrV4};
use std::path::PathBuf;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches};

use super::choices::{EventHandlers, Outage, Routing};
use crate::net::{NatsAddress, Network, WebhookAddress};
use crate::protocol::websocket::MessageKind;
use crate::system::Secret;
use crate::telemetry::logs::LogFormat;

/// A type of which a flag gives one value.
pub(crate) trait FromFlag: Clone + Send + Sync + 'static {
    fn parser() -> ValueParser;
}

/// What a flag gives in all.
pub(crate) trait FromFlags: Sized {
    /// Says how the flag is read; `None` if no flag takes such a value.
    fn flag(flag: Arg) -> Option<Arg>;

    /// Takes what the flag of this name, or its variable, has given.
    fn take(flags: &mut ArgMatches, name: &str) -> Option<Self>;
}

/// Lets flags give values of these types, as clap reads each of them.
macro_rules! from_flag {
    ($($type:ty),* $(,)?) => {
        $(
            impl $crate::config::flag::FromFlag for $type {
                fn parser() -> clap::builder::ValueParser {
                    clap::builder::ValueParser::from(clap::value_parser!($type))
                }
            }

            impl $crate::config::flag::FromFlags for $type {
                fn flag(flag: clap::Arg) -> Option<clap::Arg> {
                    let parser = <Self as $crate::config::flag::FromFlag>::parser();
                    Some(flag.value_parser(parser).action(clap::ArgAction::Set))
                }

                fn take(flags: &mut clap::ArgMatches, name: &str) -> Option<Self> {
                    flags.remove_one(name)
                }
            }
        )*
    };
}

pub(crate) use from_flag;

from_flag! {
    bool, u8, u16, usize, f64, String, PathBuf, SocketAddr, SocketAddrV4, NatsAddress, Network, WebhookAddress, EventHandlers, LogFormat,
    MessageKind, Outage, Routing,
}

/// A flag of several values is repeated, or has commas between them, as its variable has.
impl<T: FromFlag> FromFlags for Vec<T> {
    fn flag(flag: Arg) -> Option<Arg> {
        Some(flag.value_parser(T::parser()).action(ArgAction::Append).value_delimiter(','))
    }

    fn take(flags: &mut ArgMatches, name: &str) -> Option<Self> {
        flags.remove_many(name).map(Iterator::collect)
    }
}

/// Flags show in lists of processes.
impl FromFlags for Secret {
    fn flag(_: Arg) -> Option<Arg> {
        None
    }

    fn take(_: &mut ArgMatches, _: &str) -> Option<Self> {
        None
    }
}
