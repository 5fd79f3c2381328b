//! docs/configuration.md and its Chinese twin, made of the settings themselves. The tests fail when a page is out of date;
//! `REWRITE=1 cargo test -p gateway-server reference` writes both anew.

mod chinese;
mod columns;
mod english;
mod words;

use std::path::{Path, PathBuf};

use super::table::{in_chinese, table};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

/// Checks that the file is what is made of the settings, or writes it if that is asked for.
fn assert_up_to_date(file: &str, made: &str) {
    let path = docs().join(file);
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(there == made, "docs/{file} is out of date: REWRITE=1 cargo test -p gateway-server reference");
}

#[test]
fn the_reference_is_up_to_date() {
    assert_up_to_date("configuration.md", &english::page(&table()));
}

#[test]
fn the_chinese_reference_is_up_to_date() {
    let made = chinese::page(&table(), &in_chinese());
    assert_up_to_date(chinese::FILE, &made.unwrap_or_else(|problems| panic!("{}", problems.join("\n"))));
}

/// What the operators' page says of a setting, if it names it.
fn effect_in_operations(page: &str, name: &str) -> Option<String> {
    let quoted = format!("`{name}`");
    let row = page.lines().find(|line| {
        line.starts_with("| `") && line.split('|').nth(1).is_some_and(|cell| cell.contains(&quoted))
    });
    Some(row?.split('|').nth(2)?.trim().to_owned())
}

/// Checks what an operators' page says of when settings change. `words` gives the page's words for what the code says in English.
fn assert_operators_page(file: &str, words: impl Fn(&'static str) -> String) {
    let page = std::fs::read_to_string(docs().join(file)).unwrap();
    let rows = table();
    let mut named = 0;
    for row in &rows {
        if let Some(said) = effect_in_operations(&page, row.name) {
            assert_eq!(said, words(columns::effect(&rows, row)), "docs/{file} is wrong about {}", row.name);
            named += 1;
        }
    }
    assert!(named > 50, "docs/{file} names {named} settings");
}

#[test]
fn the_operators_pages_say_when_settings_change() {
    assert_operators_page("operations.md", str::to_owned);
    assert_operators_page("operations.zh-CN.md", |effect| words::effect(effect).unwrap());
}
