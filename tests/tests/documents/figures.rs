//! Checks what the documents say of measurements and of tested versions against the tables that have them.

use std::collections::BTreeSet;

use anyhow::Context as _;
use gateway_tests::root;

fn page(name: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(name)).with_context(|| name.to_owned())
}

fn cells(row: &str) -> Vec<&str> {
    row.trim().trim_matches('|').split('|').map(str::trim).collect()
}

/// Gives the figure in a column of docs/performance.md, for the server in that row of the table with that title.
fn figure(page: &str, title: &str, server: &str, column: &str) -> anyhow::Result<f64> {
    let table = page.split(&format!("\n| {title} |")).nth(1).with_context(|| format!("no table {title}"))?;
    let mut rows = table.lines();
    let at = cells(rows.next().unwrap_or_default()).iter().position(|name| *name == column);
    let at = at.with_context(|| format!("{title} has no column {column}"))?;
    let row = rows.map(cells).find(|row| row.first() == Some(&server));
    let row = row.with_context(|| format!("{title} has no row {server}"))?;
    // The first column is the title itself.
    Ok(row.get(at + 1).context("a short row")?.replace(',', "").parse()?)
}

#[test]
fn the_comparison_claims_what_was_measured() -> anyhow::Result<()> {
    let claims = page("docs/comparison.md")?;
    let performance = page("docs/performance.md")?;
    let ours_to = |title: &str| figure(&performance, title, "uWebSockets", "ours ÷ this");

    assert!(claims.contains("takes less than a fifth of the memory that uWebSockets needs"));
    for title in ["Idle, 10,000 connections", "Idle, 10,000 connections with a uid each"] {
        assert!(ours_to(title)? < 0.2, "{title}");
    }
    assert!(claims.contains("broadcast is delivered as quickly or more quickly"));
    for clients in ["1,000", "10,000"] {
        for bytes in ["64", "1,024"] {
            for in_flight in ["1", "16"] {
                let title = format!("Fan-out to {clients}, {bytes} B, {in_flight} in flight");
                // Runs on such a machine differ by as much.
                assert!(ours_to(&title)? > 0.95, "{title}");
            }
        }
    }
    assert!(claims.contains("takes twice as many handshakes a second as this\n  server"));
    let handshakes = ours_to("Connect, shake hands, go")?;
    assert!((0.4..0.6).contains(&handshakes), "{handshakes}");
    Ok(())
}

/// The line at the top names the releases of PHP that the table further down has as tested.
#[test]
fn the_readme_names_the_php_that_was_tested() -> anyhow::Result<()> {
    for (readme, passed, mark) in
        [("README.md", "passed", "**Tested**"), ("README.zh-CN.md", "通过", "**已测试**")]
    {
        let page = page(readme)?;
        let table = page.split("\n| PHP | NTS | ZTS |").nth(1).context("no table of PHPs")?;
        let rows = table.lines().skip(2).take_while(|line| line.starts_with('|')).map(cells);
        let tested: BTreeSet<String> = rows
            .filter(|row| row[1..].iter().any(|cell| cell.ends_with(passed)))
            .map(|row| row[0].split('.').take(2).collect::<Vec<_>>().join("."))
            .collect();
        let line = page.lines().find(|line| line.starts_with(mark)).context("no line of what is tested")?;
        let named = line.split("PHP ").nth(1).and_then(|rest| rest.split(['(', '（']).next());
        let named: BTreeSet<String> = named
            .context("no PHP")?
            .split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .filter(|version| !version.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(named, tested, "{readme}: above, and in its table");
    }
    Ok(())
}
