//! The reference of settings in Chinese. What a setting is, somebody writes by hand into the page; it stays there when the page is made
//! anew.
//!
//! A comment at the page's end holds checksums of each English text and of the Chinese one that was written for it. Where the English
//! one has changed since and the Chinese one has not, this may not be true any more.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::columns::{effect, line, name_and_text, shown};
use super::words;
use crate::config::row::Row;

pub(super) const FILE: &str = "configuration.zh-CN.md";

const BEGINNING: &str = "# 配置

[English](configuration.md)

`gateway-server` 的每一项设置，与 `gateway-server --help` 所列的相同。设置可以写在 TOML 文件（`--config FILE`）、环境变量或命令行中；
命令行参数优先于环境变量，环境变量优先于文件。`gateway-server check FILE` 指出文件哪里有错、错在什么。
服务器运行时哪些设置会改变、如何改变：[operations.md](operations.zh-CN.md#重新加载)。

本页由代码生成：`REWRITE=1 cargo test -p gateway-server reference` 写出它。只有“说明”一栏是人写的。

| 文件中 | 命令行参数 | 环境变量 | 默认值 | 说明 | SIGHUP 之后何时生效 |
|---|---|---|---|---|---|
";

/// The lines around the checksums: a comment, which the reader of the page does not see.
const CHECKSUMS: [&str; 2] = [
    "<!-- Checksums of each setting's English text and of the Chinese one that was written for it, for `cargo test -p gateway-server reference`.",
    "-->",
];

/// The page, and what somebody has to write or to look at.
pub(super) struct Made {
    pub(super) page: String,
    pub(super) problems: Vec<String>,
}

/// Makes the page with the texts of the one that is there. It is an error if that describes what is no setting.
pub(super) fn page(rows: &[Row], there: &str) -> Result<Made, String> {
    let texts: BTreeMap<_, _> = there.lines().filter_map(name_and_text).collect();
    let names: BTreeSet<_> = shown(rows).map(|row| row.name).collect();
    if let Some(name) = texts.keys().find(|name| !names.contains(*name)) {
        return Err(format!(
            "docs/{FILE} describes {name}, which is no setting: remove its row, or rename it if the setting has another name now"
        ));
    }
    let known = checksums(there);
    let (mut page, mut lines, mut problems) = (BEGINNING.to_owned(), String::new(), Vec::new());
    for row in shown(rows) {
        let mut or_problem = |words: Result<String, String>| {
            words.unwrap_or_else(|problem| {
                problems.push(format!("{}: {problem}", row.name));
                String::new()
            })
        };
        let (default, effect) =
            (or_problem(words::default(&row.default)), or_problem(words::effect(effect(rows, row))));
        let text = texts.get(row.name).filter(|text| !text.is_empty());
        page += &line(row, [&default, text.map_or("", String::as_str), &effect]);
        let Some(text) = text else {
            problems.push(format!(
                "{}: the cell for what it is, in docs/{FILE}, is to be filled in by hand",
                row.name
            ));
            continue;
        };
        let now = [checksum(&row.text), checksum(text)];
        let before = known.get(row.name).unwrap_or(&now);
        let is_suspect = before[0] != now[0] && before[1] == now[1];
        if is_suspect {
            problems.push(format!(
                "{}: its English text has changed, and not the Chinese one in docs/{FILE}. Change that too; or, if it says the same, \
                 remove the setting's line at the end of the page. Then REWRITE=1 cargo test -p gateway-server reference",
                row.name
            ));
        }
        let [english, chinese] = if is_suspect { before } else { &now };
        lines += &format!("{} {english} {chinese}\n", row.name);
    }
    let [begin, end] = CHECKSUMS;
    page += &format!("\n{begin}\n{lines}{end}\n");
    Ok(Made { page, problems })
}

/// Gives the checksums that the page has of each setting's English text and of the Chinese one.
fn checksums(page: &str) -> BTreeMap<&str, [String; 2]> {
    let lines = page.lines().skip_while(|line| *line != CHECKSUMS[0]);
    let checksums = lines.filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
        [name, english, chinese] => Some((name, [english, chinese].map(str::to_owned))),
        _ => None,
    });
    checksums.collect()
}

fn checksum(text: &str) -> String {
    Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::table::table;

    /// The page as it is when nothing is to be done, and its settings.
    fn good() -> (Vec<Row>, String) {
        let rows = table();
        let described: String = shown(&rows).map(|row| line(row, ["", "它是什么 a|b | c", ""])).collect();
        (rows.clone(), page(&rows, &described).unwrap().page)
    }

    fn problems(rows: &[Row], there: &str) -> Vec<String> {
        page(rows, there).unwrap().problems
    }

    #[test]
    fn texts_are_kept() {
        let (rows, there) = good();
        let made = page(&rows, &there).unwrap();
        assert_eq!((made.page, made.problems), (there, vec![]));
    }

    #[test]
    fn a_setting_without_a_text_is_named() {
        let (rows, there) = good();
        let row = there.lines().find(|line| line.starts_with("| `shards`")).unwrap();
        let made = page(&rows, &there.replace(row, "")).unwrap();
        assert!(made.problems.len() == 1 && made.problems[0].starts_with("shards: "), "{:?}", made.problems);
        // The row is made, so that somebody can fill it in, and it is no text until then.
        assert!(made.page.contains("| `shards` | `--shards` |"));
        assert_eq!(problems(&rows, &made.page), made.problems);
    }

    #[test]
    fn a_text_without_a_setting_is_named_and_not_lost() {
        let (rows, there) = good();
        let renamed = there.replace("| `shards`", "| `shreds`");
        let error = page(&rows, &renamed).err().unwrap();
        assert!(error.contains("describes shreds, which is no setting"), "{error}");
    }

    #[test]
    fn a_text_is_suspect_while_only_the_english_one_has_changed() {
        let (mut rows, there) = good();
        let shards = rows.iter_mut().find(|row| row.name == "shards").unwrap();
        shards.text.push_str(", and more");
        let made = page(&rows, &there).unwrap();
        assert!(made.problems.len() == 1 && made.problems[0].starts_with("shards: "), "{:?}", made.problems);
        // It stays so when the page is written anew.
        assert_eq!(problems(&rows, &made.page), made.problems);

        let row = made.page.lines().find(|line| line.starts_with("| `shards`")).unwrap();
        let translated = made.page.replace(row, &row.replace("它是什么", "它现在是什么"));
        let made_anew = page(&rows, &translated).unwrap();
        assert_eq!(made_anew.problems, Vec::<String>::new());
        assert_eq!(problems(&rows, &made_anew.page), Vec::<String>::new());

        let checksums = made.page.lines().find(|line| line.starts_with("shards ")).unwrap();
        assert_eq!(problems(&rows, &made.page.replace(checksums, "")), Vec::<String>::new());
    }
}
