//! The columns of the table of settings, which are the same in every language.

use crate::config::row::{Effect, Row};

/// Gives the settings of the table. What no flag takes is spoken of by the row of the file that may hold it.
pub(super) fn shown(rows: &[Row]) -> impl Iterator<Item = &Row> {
    rows.iter().filter(|row| row.flag.is_some())
}

/// Gives a line of the table: what the code gives, and in the page's language the default, what the setting is, and when it changes.
pub(super) fn line(row: &Row, [default, text, effect]: [&str; 3]) -> String {
    let cell = |text: &str| text.replace('|', "\\|");
    format!(
        "| `{}` | `--{}` | `{}` | {} | {} | {} |\n",
        row.name,
        row.name.replace('_', "-"),
        row.variable,
        cell(default),
        cell(text),
        cell(effect),
    )
}

/// When a new value of a setting counts, in words.
pub(super) fn effect(rows: &[Row], row: &Row) -> &'static str {
    match row.effect {
        Effect::Live(when) | Effect::Restart(when) => when,
        Effect::Within(name) => {
            rows.iter().find(|other| other.name == name).map_or("", |other| effect(rows, other))
        }
    }
}
