//! docs/configuration.md, made of the settings themselves. The test fails when the page is out of date;
//! `REWRITE=1 cargo test -p gateway-server reference` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Args as _, Command};

use super::settings::Layer;

const BEGINNING: &str = "# Configuration

Every setting of `gateway-server`, as `gateway-server --help` has them. A setting stands in the TOML file (`--config FILE`), in the
environment, or on the command line; a flag wins over a variable, and a variable over the file. `gateway-server check FILE` says what
is wrong with a file, and where. What changes while the server runs, and how: [operations.md](operations.md#reload).

This page is made of the code: `REWRITE=1 cargo test -p gateway-server reference` writes it.

| in the file | flag | variable | default | what it is | changes by SIGHUP |
|---|---|---|---|---|---|
";

/// A setting's name, and when it takes effect, as docs/operations.md says.
fn takes_effect(page: &str, name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    let row = page.lines().find(|line| {
        line.starts_with("| `") && line.split('|').nth(1).is_some_and(|cell| cell.contains(&quoted))
    });
    Some(row?.split('|').nth(2)?.trim().to_owned())
}

fn page(operations: &str) -> Result<String, String> {
    let mut page = BEGINNING.to_owned();
    for argument in Layer::augment_args(Command::new("gateway-server")).get_arguments() {
        let name = argument.get_id().to_string();
        let help =
            argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let (text, default) =
            help.rsplit_once(" [default: ").ok_or(format!("{name} does not say its default"))?;
        let flag = argument.get_long().filter(|_| !argument.is_hide_set()).map(|long| format!("`--{long}`"));
        let variable = argument.get_env().map(|variable| format!("`{}`", variable.to_string_lossy()));
        let effect = takes_effect(operations, &name)
            .ok_or(format!("docs/operations.md does not say when {name} takes effect"))?;
        let cell = |text: &str| text.replace('|', "\\\\|").replace('\n', " ");
        let _ = writeln!(
            page,
            "| `{name}` | {} | {} | {} | {} | {} |",
            flag.unwrap_or_default(),
            variable.unwrap_or_default(),
            cell(default.trim_end_matches(']')),
            cell(text),
            cell(&effect),
        );
    }
    Ok(page)
}

#[test]
fn the_reference_is_up_to_date() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let operations = std::fs::read_to_string(docs.join("operations.md")).unwrap();
    let made = page(&operations).unwrap();
    let place = docs.join("configuration.md");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&place, &made).unwrap();
    }
    let there = std::fs::read_to_string(place).unwrap_or_default();
    assert!(
        there == made,
        "docs/configuration.md is out of date: REWRITE=1 cargo test -p gateway-server reference"
    );
}
