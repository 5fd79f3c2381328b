//! Kinds of settings: what each takes from a source, how it checks it, and what the program gets of it.

use std::fmt::Display;
use std::marker::PhantomData;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::Arg;

use super::flag::{FromFlag, FromFlags};
use super::invalid::Checks;
use crate::net::NatsAddress;
use crate::system::Secret;

/// The kind of a setting, with the range and the words of the one that it is of.
pub(crate) trait Kind {
    /// What a source gives: a value of TOML, or the text of a flag or a variable.
    type Raw: FromFlags;
    /// What the program goes by.
    type Value: Clone + PartialEq;

    /// What stands for the value in `--help`. `BYTES` and `SECONDS` are its unit too.
    fn value_name(&self) -> &'static str;

    /// Refuses what it cannot be. What is given back counts only if nothing is refused.
    fn check(&self, key: &'static str, raw: Self::Raw, checks: &mut Checks) -> Self::Value;

    /// Completes the flag of a setting; `None` is for a setting that no flag takes.
    fn flag(&self, flag: Arg) -> Option<Arg> {
        Self::Raw::flag(flag)
    }

    /// Reads the variable of a setting that no flag takes; clap reads those of the others.
    fn from_environment(_variable: &str) -> anyhow::Result<Option<Self::Raw>> {
        Ok(None)
    }
}

/// Any value of a type.
pub(crate) struct One<T>(&'static str, PhantomData<T>);

impl<T> One<T> {
    pub(crate) fn new(value_name: &'static str) -> Self {
        Self(value_name, PhantomData)
    }
}

impl<T: FromFlags + Clone + PartialEq> Kind for One<T> {
    type Raw = T;
    type Value = T;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &'static str, raw: T, _: &mut Checks) -> T {
        raw
    }
}

/// Any value of a type, or none.
pub(crate) struct Maybe<T>(&'static str, PhantomData<T>);

impl<T> Maybe<T> {
    pub(crate) fn new(value_name: &'static str) -> Self {
        Self(value_name, PhantomData)
    }
}

impl<T: FromFlags + Clone + PartialEq> Kind for Maybe<T> {
    type Raw = T;
    type Value = Option<T>;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &'static str, raw: T, _: &mut Checks) -> Option<T> {
        Some(raw)
    }
}

/// Several values of a type.
pub(crate) struct List<T>(&'static str, PhantomData<T>);

impl<T> List<T> {
    pub(crate) fn new(value_name: &'static str) -> Self {
        Self(value_name, PhantomData)
    }
}

impl<T: FromFlag + Clone + PartialEq> Kind for List<T> {
    type Raw = Vec<T>;
    type Value = Vec<T>;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &'static str, raw: Vec<T>, _: &mut Checks) -> Vec<T> {
        raw
    }
}

/// A path, or none where it is empty: by that a listener says that it does without what the websocket listener has.
pub(crate) struct PathOrEmpty;

impl PathOrEmpty {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Kind for PathOrEmpty {
    type Raw = PathBuf;
    type Value = Option<PathBuf>;

    fn value_name(&self) -> &'static str {
        "PATH"
    }

    fn check(&self, _: &'static str, raw: PathBuf, _: &mut Checks) -> Option<PathBuf> {
        Some(raw).filter(|path| !path.as_os_str().is_empty())
    }
}

/// Several addresses that may have passwords in them, so that `--help` does not show what the variable holds.
pub(crate) struct Urls;

impl Urls {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Kind for Urls {
    type Raw = Vec<NatsAddress>;
    type Value = Vec<NatsAddress>;

    fn value_name(&self) -> &'static str {
        "URL"
    }

    fn check(&self, _: &'static str, raw: Vec<NatsAddress>, _: &mut Checks) -> Vec<NatsAddress> {
        raw
    }

    fn flag(&self, flag: Arg) -> Option<Arg> {
        Some(<Self as Kind>::Raw::flag(flag)?.hide_env_values(true))
    }
}

/// What stands in several tables of the file, with settings of its own.
pub(crate) trait HasEndpoint {
    /// What tells one from another, whatever its settings are.
    type Endpoint: Clone + PartialEq;

    fn endpoint(&self) -> Self::Endpoint;
}

/// Several things with settings of their own, of which only the places are the value of this setting.
pub(crate) struct Endpoints<T>(&'static str, PhantomData<T>);

impl<T> Endpoints<T> {
    pub(crate) fn new(value_name: &'static str) -> Self {
        Self(value_name, PhantomData)
    }
}

impl<T: FromFlag + HasEndpoint> Kind for Endpoints<T> {
    type Raw = Vec<T>;
    type Value = Vec<T::Endpoint>;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, _: &'static str, raw: Vec<T>, _: &mut Checks) -> Vec<T::Endpoint> {
        raw.iter().map(T::endpoint).collect()
    }
}

/// True or false. The flag alone, without a value, is true.
pub(crate) struct Switch;

impl Switch {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Kind for Switch {
    type Raw = bool;
    type Value = bool;

    fn value_name(&self) -> &'static str {
        "BOOL"
    }

    fn check(&self, _: &'static str, raw: bool, _: &mut Checks) -> bool {
        raw
    }

    fn flag(&self, flag: Arg) -> Option<Arg> {
        Some(bool::flag(flag)?.num_args(0..=1).default_missing_value("true"))
    }
}

/// A whole number in a range.
pub(crate) struct Number<T>(RangeInclusive<T>);

impl<T> Number<T> {
    pub(crate) fn new(range: RangeInclusive<T>) -> Self {
        Self(range)
    }
}

impl<T: FromFlags + PartialOrd + Display + Copy> Kind for Number<T> {
    type Raw = T;
    type Value = T;

    fn value_name(&self) -> &'static str {
        "NUMBER"
    }

    fn check(&self, key: &'static str, raw: T, checks: &mut Checks) -> T {
        checks.within(key, raw, &self.0);
        raw
    }
}

/// A number of bytes in a range.
pub(crate) struct Bytes(RangeInclusive<usize>);

impl Bytes {
    pub(crate) fn new(range: RangeInclusive<usize>) -> Self {
        Self(range)
    }
}

impl Kind for Bytes {
    type Raw = usize;
    type Value = usize;

    fn value_name(&self) -> &'static str {
        "BYTES"
    }

    fn check(&self, key: &'static str, raw: usize, checks: &mut Checks) -> usize {
        checks.within(key, raw, &self.0);
        raw
    }
}

/// A time in seconds and parts of them: so many at least, and a day at most.
pub(crate) struct Seconds(f64);

impl Seconds {
    pub(crate) fn new(least: f64) -> Self {
        Self(least)
    }
}

impl Kind for Seconds {
    type Raw = f64;
    type Value = Duration;

    fn value_name(&self) -> &'static str {
        "SECONDS"
    }

    fn check(&self, key: &'static str, raw: f64, checks: &mut Checks) -> Duration {
        const A_DAY: f64 = 86_400.0;
        if !(self.0..=A_DAY).contains(&raw) {
            checks.refuse(key, format!("{raw} seconds is not within {} to {A_DAY}", self.0));
            return Duration::ZERO;
        }
        Duration::from_secs_f64(raw)
    }
}

/// A duration with its unit, as `2ms`, of this many milliseconds at most. Zero needs no unit.
pub(crate) struct Milliseconds(u64);

impl Milliseconds {
    pub(crate) fn new(most: u64) -> Self {
        Self(most)
    }
}

impl Kind for Milliseconds {
    type Raw = String;
    type Value = Duration;

    fn value_name(&self) -> &'static str {
        "DURATION"
    }

    fn check(&self, key: &'static str, raw: String, checks: &mut Checks) -> Duration {
        let number = raw.strip_suffix("ms").or((raw == "0").then_some("0"));
        match number.map(str::parse) {
            Some(Ok(milliseconds)) if milliseconds <= self.0 => Duration::from_millis(milliseconds),
            _ => {
                checks.refuse(
                    key,
                    format!("{raw:?} is not whole milliseconds from 0ms to {}ms, as 2ms", self.0),
                );
                Duration::ZERO
            }
        }
    }
}

/// So many in a second, of what the value's name says; zero is no limit.
pub(crate) struct PerSecond(&'static str);

impl PerSecond {
    pub(crate) fn new(value_name: &'static str) -> Self {
        Self(value_name)
    }
}

impl Kind for PerSecond {
    type Raw = f64;
    type Value = f64;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, key: &'static str, raw: f64, checks: &mut Checks) -> f64 {
        if raw != 0.0 {
            checks.within(key, raw, &(0.01..=1e9));
        }
        raw
    }
}

/// Says what is wrong with a text, if something is.
type TextCheck = fn(&str) -> Result<(), String>;

/// A text that a check accepts.
pub(crate) struct Text(&'static str, TextCheck);

impl Text {
    pub(crate) fn new(value_name: &'static str, check: TextCheck) -> Self {
        Self(value_name, check)
    }
}

impl Kind for Text {
    type Raw = String;
    type Value = String;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, key: &'static str, raw: String, checks: &mut Checks) -> String {
        if let Err(reason) = (self.1)(&raw) {
            checks.refuse(key, reason);
        }
        raw
    }
}

/// Several texts, each of which a check accepts.
pub(crate) struct Texts(&'static str, TextCheck);

impl Texts {
    pub(crate) fn new(value_name: &'static str, check: TextCheck) -> Self {
        Self(value_name, check)
    }
}

impl Kind for Texts {
    type Raw = Vec<String>;
    type Value = Vec<String>;

    fn value_name(&self) -> &'static str {
        self.0
    }

    fn check(&self, key: &'static str, raw: Vec<String>, checks: &mut Checks) -> Vec<String> {
        for reason in raw.iter().filter_map(|text| (self.1)(text).err()) {
            checks.refuse(key, reason);
        }
        raw
    }
}

/// A text that is never printed. No flag takes it, as flags show in lists of processes.
pub(crate) struct Confidential;

impl Confidential {
    pub(crate) fn new() -> Self {
        Self
    }
}

impl Kind for Confidential {
    type Raw = Secret;
    type Value = Secret;

    fn value_name(&self) -> &'static str {
        "SECRET"
    }

    fn check(&self, _: &'static str, raw: Secret, _: &mut Checks) -> Secret {
        raw
    }

    fn from_environment(variable: &str) -> anyhow::Result<Option<Secret>> {
        Secret::from_environment(variable)
    }
}
