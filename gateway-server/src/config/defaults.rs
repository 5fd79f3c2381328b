//! Values of settings that nobody gives, and how the documents call them.

use std::fmt::Display;
use std::time::Duration;

use clap::ValueEnum;

use crate::system::machine;

/// A default value, and its name in `--help` and in the reference.
pub(super) struct DefaultValue<V> {
    pub(super) value: V,
    pub(super) text: String,
}

/// A value that is called as it is written.
pub(super) fn plain<V: Display>(value: V) -> DefaultValue<V> {
    DefaultValue { text: value.to_string(), value }
}

/// Several values, with commas between them.
pub(super) fn list<V: Display, const N: usize>(values: [V; N]) -> DefaultValue<Vec<V>> {
    let text = values.each_ref().map(ToString::to_string).join(",");
    DefaultValue { value: values.into(), text }
}

pub(super) fn seconds(seconds: u64) -> DefaultValue<Duration> {
    DefaultValue { value: Duration::from_secs(seconds), text: seconds.to_string() }
}

pub(super) fn text(text: &str) -> DefaultValue<String> {
    DefaultValue { value: text.to_owned(), text: text.to_owned() }
}

pub(super) fn choice<V: ValueEnum>(value: V) -> DefaultValue<V> {
    let text = value.to_possible_value().map(|name| name.get_name().to_owned()).unwrap_or_default();
    DefaultValue { value, text }
}

/// No value, or an empty one.
pub(super) fn none<V: Default>() -> DefaultValue<V> {
    none_is("none")
}

/// No value, or an empty one, which stands for something.
pub(super) fn none_is<V: Default>(what: &str) -> DefaultValue<V> {
    DefaultValue { value: V::default(), text: what.to_owned() }
}

/// So many bytes: one `divisor`th of the memory, but `most` at most.
pub(super) fn memory_share(divisor: u64, most: u64) -> DefaultValue<usize> {
    let text = format!("{} of the memory, but {most} at most", share(divisor));
    DefaultValue { value: machine::memory_share(divisor, most), text }
}

/// Gives the number of things of `each_kib` KiB for which a `divisor`th of the memory has room, but `most` at most.
pub(super) fn count_in_memory(divisor: u64, each_kib: u64, most: usize) -> DefaultValue<usize> {
    let share = share(divisor);
    let text = format!("{most}, but fewer where {share} of the memory is less than {each_kib} KiB for each");
    DefaultValue { value: machine::count_in_share(divisor, each_kib << 10, most), text }
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
