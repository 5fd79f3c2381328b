//! What the table of settings is made of: its rows, and the macro that reads them.

use clap::Arg;

use super::defaults::{DefaultName, DefaultValue};
use super::kind::Kind;

/// What a setting belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The whole server.
    Global,
    /// Each listener: what the file says outside of `[[listener]]` is that of the websocket listener, and the default of the others.
    Listener,
}

/// When a value counts that is read again by SIGHUP. The texts stand in the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// While the server runs.
    Live(&'static str),
    /// After a restart alone.
    Restart(&'static str),
    /// Never by itself: it names a file whose content is the value of the setting of that name.
    Within(&'static str),
}

pub(super) const AT_ONCE: Effect = Effect::Live("at once");
pub(super) const AT_ONCE_FOR_ALL: Effect = Effect::Live("at once, for those who are connected too");
pub(super) const PINGS_ANEW: Effect = Effect::Live("at once; the count of unanswered pings begins anew");
pub(super) const NEW_CONNECTIONS: Effect = Effect::Live("for connections from now on");
pub(super) const NEW_CONNECTIONS_COUNTED: Effect =
    Effect::Live("for connections from now on; those that are here count, and stay");
pub(super) const NEW_CONNECTIONS_AND_ENDED: Effect =
    Effect::Live("for connections from now on, and for those that end");
pub(super) const RESTART: Effect = Effect::Restart("after a restart");
pub(super) const OTHER_FILES: Effect =
    Effect::Restart("other files after a restart; what is in the files at once");

/// A setting, as the documents and messages need it. Its types are those of the fields of that name.
#[derive(Clone, Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "tests make the documents"))]
pub(super) struct Row {
    /// The key in the file. The flag has dashes instead.
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    /// What it means: one sentence or a few.
    pub(super) text: String,
    pub(super) default: DefaultName,
    pub(super) variable: &'static str,
    pub(super) value_name: &'static str,
    pub(super) effect: Effect,
    /// The flag, with its help; `None` if no flag takes it.
    pub(super) flag: Option<Arg>,
}

impl Row {
    pub(super) fn new<K: Kind>(
        (name, variable, text): (&'static str, &'static str, String),
        scope: Scope,
        kind: &K,
        default: DefaultValue<K::Value>,
        effect: Effect,
    ) -> Self {
        let flag = Arg::new(name)
            .long(name.replace('_', "-"))
            .env(variable)
            .value_name(kind.value_name())
            .help(format!("{text} [default: {}]", default.name));
        Self {
            name,
            scope,
            text,
            default: default.name,
            variable,
            value_name: kind.value_name(),
            effect,
            flag: kind.flag(flag),
        }
    }
}

/// What a comment before a row says. Where it speaks of the settings that listeners have, they are all named.
pub(super) fn help(comment: &str, listener_settings: &[&str]) -> String {
    let names = match listener_settings {
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
        [] => String::new(),
    };
    comment.trim().replace("{LISTENER_SETTINGS}", &names)
}

/// The same of the Chinese text.
#[cfg(test)]
pub(super) fn help_in_chinese(text: &str, listener_settings: &[&str]) -> String {
    let names = match listener_settings {
        [first @ .., last] => format!("{} 和 {last}", first.join("、")),
        [] => String::new(),
    };
    text.replace("{LISTENER_SETTINGS}", &names)
}

/// Reads the rows of the table:
///
/// ```text
/// /// What it means.
/// #[chinese = "The same in Chinese."]
/// name: Kind<Type>(its range, or what --help calls the value) = default, "VARIABLE", when a new value counts;
/// ```
///
/// What no flag takes has no Chinese, as the row of the file that may hold it speaks of it. The rows stand in groups, `global` or `listener`, in the order of `--help` and of the reference. Each becomes
/// - a field of `RawConfig`: what one source says, if it says something;
/// - a field of `Settings`, or of `Listener` and `RawListener`: what counts;
/// - a [`Row`], of which flags, variables, messages and documents are made;
/// - a step of reading flags and variables, laying one source over another, checking, and comparing what is read again.
macro_rules! settings {
    ($(
        global { $(
            $(#[doc = $g_text:literal])+
            $(#[chinese = $g_chinese:literal])?
            $g:ident: $g_kind:ident $(<$g_of:ty>)? ($($g_arg:expr),*) = $g_default:expr, $g_variable:literal, $g_effect:expr;
        )* }
        $(listener { $(
            $(#[doc = $l_text:literal])+
            $(#[chinese = $l_chinese:literal])?
            $l:ident: $l_kind:ident $(<$l_of:ty>)? ($($l_arg:expr),*) = $l_default:expr, $l_variable:literal, $l_effect:expr;
        )* })?
    )*) => {
        /// What one source says: the file, or the flags with the environment. `None` is what it does not speak of.
        #[derive(Clone, Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct RawConfig {
            $(
                $($(#[doc = $g_text])+ pub(crate) $g: Option<<$g_kind $(<$g_of>)? as Kind>::Raw>,)*
                $($($(#[doc = $l_text])+ pub(crate) $l: Option<<$l_kind $(<$l_of>)? as Kind>::Raw>,)*)?
            )*
        }

        /// A `[[listener]]` of the file, or `PROTOCOL://ADDRESS` elsewhere. What it does not speak of is as for the websocket listener.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct RawListener {
            /// What its clients speak.
            pub(crate) protocol: Protocol,
            /// Where they connect.
            pub(crate) address: SocketAddr,
            $($($($(#[doc = $l_text])+ pub(crate) $l: Option<<$l_kind $(<$l_of>)? as Kind>::Raw>,)*)?)*
        }

        /// The settings that count: what the sources say, and the defaults.
        #[derive(Clone, Debug)]
        pub struct Settings {
            /// Where clients connect, the listener for browsers first.
            pub(crate) listeners: Vec<Listener>,
            $($(
                $(#[doc = $g_text])+
                #[doc = concat!("\n\nDefault: `", stringify!($g_default), "`")]
                pub(crate) $g: <$g_kind $(<$g_of>)? as Kind>::Value,
            )*)*
        }

        /// Where clients connect, with the settings that each listener has of its own.
        #[derive(Clone, Debug)]
        pub(crate) struct Listener {
            /// What its clients speak.
            pub(crate) protocol: Protocol,
            /// Where they connect.
            pub(crate) address: SocketAddr,
            $($($(
                $(#[doc = $l_text])+
                #[doc = concat!("\n\nDefault: `", stringify!($l_default), "`")]
                pub(crate) $l: <$l_kind $(<$l_of>)? as Kind>::Value,
            )*)?)*
        }

        /// The names of those settings that each listener has of its own, in their order.
        const LISTENER_SETTINGS: &[&str] = &[$($($(stringify!($l),)*)?)*];

        /// All rows, in their order.
        pub(super) fn table() -> Vec<Row> {
            vec![$(
                $(Row::new(
                    (stringify!($g), $g_variable, help(concat!($($g_text),+), LISTENER_SETTINGS)),
                    Scope::Global,
                    &$g_kind $(::<$g_of>)?::new($($g_arg),*),
                    $g_default,
                    $g_effect,
                ),)*
                $($(Row::new(
                    (stringify!($l), $l_variable, help(concat!($($l_text),+), LISTENER_SETTINGS)),
                    Scope::Listener,
                    &$l_kind $(::<$l_of>)?::new($($l_arg),*),
                    $l_default,
                    $l_effect,
                ),)*)?
            )*]
        }

        /// What the settings are in Chinese, for the reference alone, by their names.
        #[cfg(test)]
        pub(super) fn in_chinese() -> std::collections::BTreeMap<&'static str, String> {
            use super::row::help_in_chinese;
            [$(
                $($((stringify!($g), help_in_chinese($g_chinese, LISTENER_SETTINGS)),)?)*
                $($($((stringify!($l), help_in_chinese($l_chinese, LISTENER_SETTINGS)),)?)*)?
            )*].into()
        }

        impl RawConfig {
            /// Takes what flags say, and the variables of settings that have flags.
            pub(super) fn from_flags(flags: &mut ArgMatches) -> Self {
                Self {$(
                    $($g: <<$g_kind $(<$g_of>)? as Kind>::Raw as FromFlags>::take(flags, stringify!($g)),)*
                    $($($l: <<$l_kind $(<$l_of>)? as Kind>::Raw as FromFlags>::take(flags, stringify!($l)),)*)?
                )*}
            }

            /// Takes what the variables say of settings that no flag takes.
            pub(super) fn from_environment() -> anyhow::Result<Self> {
                Ok(Self {$(
                    $($g: <$g_kind $(<$g_of>)? as Kind>::from_environment($g_variable)?,)*
                    $($($l: <$l_kind $(<$l_of>)? as Kind>::from_environment($l_variable)?,)*)?
                )*})
            }

            /// Gives what `self` says, and what `below` says where `self` does not, with the names of the settings to which both give
            /// a value.
            pub(super) fn hiding(self, below: Self) -> (Self, Vec<&'static str>) {
                let mut hidden = Vec::new();
                $(
                    $(if self.$g.is_some() && below.$g.is_some() {
                        hidden.push(stringify!($g));
                    })*
                    $($(if self.$l.is_some() && below.$l.is_some() {
                        hidden.push(stringify!($l));
                    })*)?
                )*
                let both = Self {$(
                    $($g: self.$g.or(below.$g),)*
                    $($($l: self.$l.or(below.$l),)*)?
                )*};
                (both, hidden)
            }

            /// The listener for browsers, whose settings stand outside of any `[[listener]]`.
            pub(super) fn websocket_listener(&self, address: SocketAddr) -> RawListener {
                RawListener { protocol: Protocol::Websocket, address, $($($($l: self.$l.clone(),)*)?)* }
            }

            /// Checks what is said, each setting by itself, and fills in the defaults.
            pub(super) fn fill_in(self, listeners: Vec<Listener>, checks: &mut Checks) -> Settings {
                Settings {
                    listeners,
                    $($($g: match self.$g {
                        Some(raw) => $g_kind $(::<$g_of>)?::new($($g_arg),*).check(stringify!($g), raw, checks),
                        None => $g_default.value,
                    },)*)*
                }
            }
        }

        impl RawListener {
            /// A listener that says nothing of its settings.
            pub(super) fn new(protocol: Protocol, address: SocketAddr) -> Self {
                Self { protocol, address, $($($($l: None,)*)?)* }
            }

            /// Checks what is said, each setting by itself, and fills in what `websocket` has, or the defaults for that one itself.
            pub(super) fn fill_in(self, websocket: Option<&Listener>, checks: &mut Checks) -> Listener {
                Listener {
                    protocol: self.protocol,
                    address: self.address,
                    $($($($l: match (self.$l, websocket) {
                        (Some(raw), _) => $l_kind $(::<$l_of>)?::new($($l_arg),*).check(stringify!($l), raw, checks),
                        (None, Some(websocket)) => websocket.$l.clone(),
                        (None, None) => $l_default.value,
                    },)*)?)*
                }
            }
        }

        impl Settings {
            /// Gives these settings with those values of `new` that count at once, and notes what differs.
            pub(super) fn take_over(&self, new: &Self, listeners: Vec<Listener>, differences: &mut Differences) -> Self {
                Self {
                    listeners,
                    $($($g: differences.choose(stringify!($g), $g_effect, &self.$g, &new.$g),)*)*
                }
            }
        }

        impl Listener {
            /// Gives this listener with those values of `new` that count at once, and notes what differs.
            pub(super) fn take_over(&self, new: &Self, differences: &mut Differences) -> Self {
                Self {
                    protocol: self.protocol,
                    address: self.address,
                    $($($($l: differences.choose(stringify!($l), $l_effect, &self.$l, &new.$l),)*)?)*
                }
            }
        }
    };
}

pub(super) use settings;
