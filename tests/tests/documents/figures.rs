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
    assert!(claims.contains("takes a tenth more handshakes a second than this\n  server"));
    let handshakes = ours_to("Connect, shake hands, go")?;
    assert!((0.85..1.0).contains(&handshakes), "{handshakes}");
    Ok(())
}

#[test]
fn sizing_counts_with_what_was_measured() -> anyhow::Result<()> {
    let claims = page("docs/sizing.md")?;
    let performance = page("docs/performance.md")?;
    let of = |title: &str, server: &str, column: &str| figure(&performance, title, server, column);
    let of_ours = |title: &str, column: &str| of(title, "gateway-server", column);
    let memory = "less than 150 bytes of the server's memory, less than 400 with a uid, less than 100 more with `gateway.2`; and 3.4 kB";
    assert!(claims.contains(memory));
    assert!(of_ours("Idle, 10,000 connections", "bytes each")? < 150.0);
    for title in [
        "Idle, 10,000 connections with a uid each",
        "Idle, 100,000 connections with a uid each, over 6 servers",
    ] {
        assert!(of_ours(title, "bytes each")? < 400.0, "{title}");
    }
    let both = "Idle, 10,000 connections, with and without gateway.2";
    let resumable = of(both, "gateway-server, gateway.2", "bytes each")?;
    assert!(resumable - of_ours(both, "bytes each")? < 100.0);
    assert!(performance.contains("about 6.7 kB for both ends of an idle connection"));

    let costs = [
        ("6.5 seconds of a core", "Fan-out to 10,000, 64 B, 1 in flight", 6.0..7.0),
        (
            "three quarters of a second where 16 messages wait at once",
            "Fan-out to 10,000, 1,024 B, 16 in flight",
            0.4..0.8,
        ),
        ("30 µs of a core", "Connect, shake hands, go", 25.0..37.0),
        ("6.5 µs of a core", "Ping and pong, 1,000 clients", 6.0..7.0),
    ];
    for (claim, title, bounds) in costs {
        assert!(claims.contains(claim), "{claim}");
        let cost = of_ours(title, "CPU s per million")?;
        assert!(bounds.contains(&cost), "{title}: {cost}");
    }
    assert!(claims.contains("take up to 1.4 times what one has"));
    for clients in ["1,000", "5,000", "10,000", "18,000"] {
        assert!(of("clients", clients, "peak ÷ before")? < 1.4, "{clients}");
    }
    for (claim, row) in [
        ("38,000 a second", "| `deliverToUid`, and at the end all on disk | 38,000 |"),
        ("53,900 messages a second", "| `deliverToUid`, and at the end all on disk | 53,900 |"),
        ("590 if each", "| `deliverToUid` and `receipt`, each on disk before the next | 590 |"),
        ("3,440 where each", "| `deliverToUid` and `receipt`, each on disk before the next | 3,440 |"),
    ] {
        assert!(claims.contains(claim) && performance.contains(row), "{claim}");
    }
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
