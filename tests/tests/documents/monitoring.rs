//! The alerts in packaging/prometheus, as Prometheus' own promtool reads and tests them.

use std::path::PathBuf;
use std::process::Command;

use gateway_tests::{done, root, skip};

/// The program of the system, or the one that scripts/promtool has fetched.
fn promtool() -> Option<PathBuf> {
    let fetched = root().join("target/promtool/usr/bin/promtool");
    let programs = [PathBuf::from("promtool"), fetched];
    programs.into_iter().find(|program| Command::new(program).arg("--version").output().is_ok())
}

#[test]
fn alerts_are_raised_by_what_is_wrong_and_by_nothing_else() -> anyhow::Result<()> {
    let Some(promtool) = promtool() else {
        skip(
            "alerts_are_raised_by_what_is_wrong_and_by_nothing_else",
            "there is no promtool: scripts/promtool fetches it",
        );
        return Ok(());
    };
    let rules = root().join("packaging/prometheus/push-gateway.rules.yml");
    done(Command::new(&promtool).args(["check", "rules"]).arg(&rules))?;
    let tests = root().join("tests/prometheus/push-gateway.test.yml");
    done(Command::new(&promtool).args(["test", "rules"]).arg(&tests))?;
    // Each alert is one of those that the second test wants.
    let (rules, tests) = (std::fs::read_to_string(rules)?, std::fs::read_to_string(tests)?);
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "no test of {alert}");
    }
    Ok(())
}
