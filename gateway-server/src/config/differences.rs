//! What differs between two readings of the settings.

use super::row::Effect;

/// The names of the settings that differ between two readings of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Differences {
    /// The names of settings whose new values count at once.
    pub(super) live: Vec<String>,
    /// The names of settings that keep their old values until a restart.
    pub(super) fixed: Vec<String>,
    /// What stands before the names of a listener's settings.
    pub(super) prefix: String,
}

impl Differences {
    /// Gives the value that counts now, and notes the name if there is a new one.
    pub(super) fn choose<V: Clone + PartialEq>(&mut self, name: &str, effect: Effect, old: &V, new: &V) -> V {
        let (names, value) = match effect {
            Effect::Within(_) => return new.clone(),
            Effect::Live(_) => (&mut self.live, new),
            Effect::Restart(_) => (&mut self.fixed, old),
        };
        if old != new {
            names.push(format!("{}{name}", self.prefix));
        }
        value.clone()
    }
}
