//! The faults of settings, which are all reported at once.

use std::fmt;
use std::ops::RangeInclusive;

/// A setting with a value that it cannot have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Invalid {
    /// Which `[[listener]]`, counted from 0, the key belongs to, if to one.
    pub listener: Option<usize>,
    pub key: &'static str,
    pub reason: String,
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(listener) = self.listener {
            write!(f, "listener {}: ", listener + 1)?;
        }
        write!(f, "{}: {}", self.key, self.reason)
    }
}

/// Collects what is refused.
#[derive(Default)]
pub(crate) struct Checks {
    invalid: Vec<Invalid>,
    /// The number of the `[[listener]]` whose settings are checked now, if those of one are.
    pub(super) listener: Option<usize>,
}

impl Checks {
    pub(super) fn refuse(&mut self, key: &'static str, reason: impl Into<String>) {
        self.invalid.push(Invalid { listener: self.listener, key, reason: reason.into() });
    }

    pub(super) fn within<T: PartialOrd + fmt::Display>(
        &mut self,
        key: &'static str,
        value: T,
        range: &RangeInclusive<T>,
    ) {
        if !range.contains(&value) {
            self.refuse(key, format!("{value} is not within {} to {}", range.start(), range.end()));
        }
    }

    /// Gives what was checked, if nothing was refused.
    pub(super) fn done<T>(self, checked: T) -> Result<T, Vec<Invalid>> {
        if self.invalid.is_empty() { Ok(checked) } else { Err(self.invalid) }
    }
}
