//! The reference of settings in English.

use super::columns::{effect, line, shown};
use crate::config::row::Row;

const BEGINNING: &str = "# Configuration

[中文](configuration.zh-CN.md)

Every setting of `gateway-server`, as `gateway-server --help` has them. A setting stands in the TOML file (`--config FILE`), in the
environment, or on the command line; a flag wins over a variable, and a variable over the file. `gateway-server check FILE` says what
is wrong with a file, and where. What changes while the server runs, and how: [operations.md](operations.md#reload).

This page is made of the code: `REWRITE=1 cargo test -p gateway-server reference` writes it.

| in the file | flag | variable | default | what it is | changes by SIGHUP |
|---|---|---|---|---|---|
";

pub(super) fn page(rows: &[Row]) -> String {
    let lines = shown(rows).map(|row| line(row, [&row.default.to_string(), &row.text, effect(rows, row)]));
    BEGINNING.to_owned() + &lines.collect::<String>()
}
