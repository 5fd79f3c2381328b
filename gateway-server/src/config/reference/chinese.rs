//! The reference of settings in Chinese.

use std::collections::BTreeMap;

use super::columns::{effect, line, shown};
use super::words;
use crate::config::row::Row;
use crate::config::table::{in_chinese, table};

pub(super) const FILE: &str = "configuration.zh-CN.md";

const BEGINNING: &str = "# 配置

[English](configuration.md)

`gateway-server` 的每一项设置，与 `gateway-server --help` 所列的相同。设置可以写在 TOML 文件（`--config FILE`）、环境变量或命令行中；
命令行参数优先于环境变量，环境变量优先于文件。`gateway-server check FILE` 指出文件哪里有错、错在什么。
服务器运行时哪些设置会改变、如何改变：[operations.md](operations.zh-CN.md#重新加载)。

本页由代码生成：`REWRITE=1 cargo test -p gateway-server reference` 写出它。

| 文件中 | 命令行参数 | 环境变量 | 默认值 | 说明 | SIGHUP 之后何时生效 |
|---|---|---|---|---|---|
";

/// Makes the page of the settings, and of what each of them is in Chinese. It is an error if words are missing, all of which it names.
pub(super) fn page(rows: &[Row], texts: &BTreeMap<&str, String>) -> Result<String, Vec<String>> {
    let (mut page, mut problems) = (BEGINNING.to_owned(), Vec::new());
    for row in shown(rows) {
        let mut or_problem = |words: Result<String, String>| {
            words.unwrap_or_else(|problem| {
                problems.push(format!("{}: {problem}", row.name));
                String::new()
            })
        };
        let default = or_problem(words::default(&row.default));
        let effect = or_problem(words::effect(effect(rows, row)));
        let missing = || "its row in gateway-server/src/config/table.rs has no #[chinese = \"…\"]".to_owned();
        let text = or_problem(texts.get(row.name).cloned().ok_or_else(missing));
        page += &line(row, [&default, &text, &effect]);
    }
    if problems.is_empty() { Ok(page) } else { Err(problems) }
}

#[test]
fn a_setting_without_chinese_is_named() {
    let (rows, mut texts) = (table(), in_chinese());
    assert!(page(&rows, &texts).is_ok());
    texts.remove("shards");
    let problems = page(&rows, &texts).unwrap_err();
    assert!(problems.len() == 1 && problems[0].starts_with("shards: its row"), "{problems:?}");
}
