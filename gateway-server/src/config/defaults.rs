//! Values of settings that nobody gives, and how the documents call them.

use std::fmt::{self, Display};
use std::time::Duration;

use clap::ValueEnum;

use crate::system::machine;

/// A default value, and its name in `--help` and in the reference.
pub(super) struct DefaultValue<V> {
    pub(super) value: V,
    pub(super) name: DefaultName,
}

/// What a default is called.
#[derive(Clone, Debug)]
pub(super) enum DefaultName {
    /// The value itself, as it stands in a file.
    Value(String),
    /// Words for no value, or for an empty one that stands for something.
    Words(&'static str),
    /// So many bytes: one `divisor`th of the memory, but `most` at most.
    MemoryShare { divisor: u64, most: u64 },
    /// The number of things of `each_kib` KiB for which a `divisor`th of the memory has room, but `most` at most.
    CountInMemory { divisor: u64, each_kib: u64, most: usize },
}

/// A value that is called as it is written.
pub(super) fn plain<V: Display>(value: V) -> DefaultValue<V> {
    DefaultValue { name: DefaultName::Value(value.to_string()), value }
}

/// Several values, with commas between them.
pub(super) fn list<V: Display, const N: usize>(values: [V; N]) -> DefaultValue<Vec<V>> {
    let text = values.each_ref().map(ToString::to_string).join(",");
    DefaultValue { value: values.into(), name: DefaultName::Value(text) }
}

pub(super) fn seconds(seconds: u64) -> DefaultValue<Duration> {
    DefaultValue { value: Duration::from_secs(seconds), name: DefaultName::Value(seconds.to_string()) }
}

pub(super) fn text(text: &str) -> DefaultValue<String> {
    DefaultValue { value: text.to_owned(), name: DefaultName::Value(text.to_owned()) }
}

pub(super) fn choice<V: ValueEnum>(value: V) -> DefaultValue<V> {
    let text = value.to_possible_value().map(|name| name.get_name().to_owned()).unwrap_or_default();
    DefaultValue { value, name: DefaultName::Value(text) }
}

/// No value, or an empty one.
pub(super) fn none<V: Default>() -> DefaultValue<V> {
    none_is("none")
}

/// No value, or an empty one, which stands for something.
pub(super) fn none_is<V: Default>(what: &'static str) -> DefaultValue<V> {
    DefaultValue { value: V::default(), name: DefaultName::Words(what) }
}

/// So many bytes: one `divisor`th of the memory, but `most` at most.
pub(super) fn memory_share(divisor: u64, most: u64) -> DefaultValue<usize> {
    let name = DefaultName::MemoryShare { divisor, most };
    DefaultValue { value: machine::memory_share(divisor, most), name }
}

/// Gives the number of things of `each_kib` KiB for which a `divisor`th of the memory has room, but `most` at most.
pub(super) fn count_in_memory(divisor: u64, each_kib: u64, most: usize) -> DefaultValue<usize> {
    let name = DefaultName::CountInMemory { divisor, each_kib, most };
    DefaultValue { value: machine::count_in_share(divisor, each_kib << 10, most), name }
}

impl Display for DefaultName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(text) => out.write_str(text),
            Self::Words(text) => out.write_str(text),
            Self::MemoryShare { divisor, most } => {
                write!(out, "{} of the memory, but {most} at most", share(*divisor))
            }
            Self::CountInMemory { divisor, each_kib, most } => {
                let share = share(*divisor);
                write!(
                    out,
                    "{most}, but fewer where {share} of the memory is less than {each_kib} KiB for each"
                )
            }
        }
    }
}

/// The name of a part.
fn share(divisor: u64) -> String {
    match divisor {
        4 => "a quarter".to_owned(),
        8 => "an eighth".to_owned(),
        16 => "a sixteenth".to_owned(),
        2 | 3 => format!("1/{divisor}"),
        22 | 32 | 42 | 52 | 62 => format!("a {divisor}nd"),
        _ => format!("a {divisor}th"),
    }
}
