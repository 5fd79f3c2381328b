//! docs/configuration.md, made of the settings themselves. The test fails when the page is out of date;
//! `REWRITE=1 cargo test -p gateway-server reference` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use super::row::{Effect, Row};
use super::table::table;

const BEGINNING: &str = "# Configuration

Every setting of `gateway-server`, as `gateway-server --help` has them. A setting stands in the TOML file (`--config FILE`), in the
environment, or on the command line; a flag wins over a variable, and a variable over the file. `gateway-server check FILE` says what
is wrong with a file, and where. What changes while the server runs, and how: [operations.md](operations.md#reload).

This page is made of the code: `REWRITE=1 cargo test -p gateway-server reference` writes it.

| in the file | flag | variable | default | what it is | changes by SIGHUP |
|---|---|---|---|---|---|
";

/// When a new value of a setting counts, in words.
fn effect(rows: &[Row], row: &Row) -> &'static str {
    match row.effect {
        Effect::Live(when) | Effect::Restart(when) => when,
        Effect::Within(name) => {
            rows.iter().find(|other| other.name == name).map_or("", |other| effect(rows, other))
        }
    }
}

/// What docs/operations.md says of a setting, if it names it.
fn effect_in_operations(page: &str, name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    let row = page.lines().find(|line| {
        line.starts_with("| `") && line.split('|').nth(1).is_some_and(|cell| cell.contains(&quoted))
    });
    Some(row?.split('|').nth(2)?.trim().to_owned())
}

fn page(rows: &[Row]) -> String {
    let mut page = BEGINNING.to_owned();
    // What no flag takes is spoken of by the row of the file that may hold it.
    for row in rows.iter().filter(|row| row.flag.is_some()) {
        let cell = |text: &str| text.replace('|', "\\\\|");
        let _ = writeln!(
            page,
            "| `{}` | `--{}` | `{}` | {} | {} | {} |",
            row.name,
            row.name.replace('_', "-"),
            row.variable,
            cell(&row.default),
            cell(&row.text),
            cell(effect(rows, row)),
        );
    }
    page
}

#[test]
fn the_reference_is_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let made = page(&table());
    let path = docs.join("configuration.md");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        there == made,
        "docs/configuration.md is out of date: REWRITE=1 cargo test -p gateway-server reference"
    );
}

#[test]
fn the_operators_page_says_when_settings_change() {
    let operations = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations.md");
    let operations = std::fs::read_to_string(operations).unwrap();
    let rows = table();
    let mut named = 0;
    for row in &rows {
        if let Some(said) = effect_in_operations(&operations, row.name) {
            assert_eq!(said, effect(&rows, row), "docs/operations.md is wrong about {}", row.name);
            named += 1;
        }
    }
    assert!(named > 50, "docs/operations.md names {named} settings");
}
