//! The figures of recorded.toml, which stand for the server as it is. Whoever changes what the server costs changes the file by
//! `REWRITE=1 make costs`, so that the change says what it costs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{done, root};

/// The share by which a figure may differ from what is recorded, in both directions.
const TOLERANCE: f64 = 0.02;
/// The same for the figures of a handshake, which depend on how many clients the server finds waiting, and so on what else the machine does.
const TOLERANCE_OF_HANDSHAKES: f64 = 0.08;
/// The absolute difference that is none: a figure of a few bytes or instructions is rounded to tenths.
const LEAST: f64 = 0.1;

/// Figures with such words are counted only where the kernel permits it.
const COUNTED_SOMETIMES: [&str; 1] = ["io_uring"];

fn is_counted_sometimes(name: &str) -> bool {
    COUNTED_SOMETIMES.iter().any(|word| name.contains(word))
}

/// What is counted, for one event or one client, and the figure.
pub(crate) type Figure = (&'static str, f64);

pub(crate) struct Recorded {
    table: toml::Table,
}

const HEAD: &str = "\
# What the server costs. `make costs` fails when a figure differs by more than 2 % (8 % for a handshake, as it counts how many wait at once), be it more or less, and `REWRITE=1 make costs` writes
# the file. valgrind counts, so that the figures do not depend on how fast a machine is or what else it does: instructions of the server's
# own code and its libraries in the profile `costs` of Cargo.toml, without libc's, which differ from machine to machine, and bytes of the
# heap as they were asked for. The server has one shard. Messages have 64 bytes, and a fan-out goes to 1,000 clients.
";

fn path() -> PathBuf {
    root().join("tests/tests/costs/recorded.toml")
}

/// The version of the compiler, without the date and the commit.
fn rustc() -> anyhow::Result<String> {
    let version = done(Command::new("rustc").arg("--version"))?;
    Ok(version.split(' ').nth(1).context("rustc --version")?.to_owned())
}

fn is_rewriting() -> bool {
    std::env::var_os("REWRITE").is_some()
}

impl Recorded {
    pub(crate) fn read() -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path()).unwrap_or_default();
        Ok(Self { table: text.parse().context("recorded.toml")? })
    }

    /// Gives the reason why the figures do not hold here, if there is one.
    pub(crate) fn is_for_elsewhere(&self) -> anyhow::Result<Option<String>> {
        if is_rewriting() {
            return Ok(None);
        }
        let here = [("rustc", rustc()?), ("machine", std::env::consts::ARCH.to_owned())];
        for (key, here) in here {
            let there = self.table.get(key).and_then(toml::Value::as_str).unwrap_or_default();
            if there != here {
                return Ok(Some(format!(
                    "recorded.toml has the figures of {key} {there}, and here is {here}"
                )));
            }
        }
        Ok(None)
    }

    /// Fails if a figure is not what is recorded, or writes them all.
    pub(crate) fn compare(&self, figures: Vec<Figure>) -> anyhow::Result<()> {
        let mut text = format!(
            "{HEAD}\nrustc = \"{}\"\nmachine = \"{}\"\n\n[figures]\n",
            rustc()?,
            std::env::consts::ARCH
        );
        for (name, value) in &figures {
            writeln!(text, "\"{name}\" = {value:.1}")?;
        }
        let nothing = toml::Table::new();
        let there = self.table.get("figures").and_then(toml::Value::as_table).unwrap_or(&nothing);
        // What cannot be counted here stays as it was counted elsewhere.
        for (name, value) in there.iter().filter(|(name, _)| is_counted_sometimes(name)) {
            if figures.iter().all(|(figure, _)| figure != name) {
                writeln!(text, "\"{name}\" = {:.1}", value.as_float().context("a figure of recorded.toml")?)?;
            }
        }
        if is_rewriting() {
            return Ok(std::fs::write(path(), text)?);
        }
        let mut wrong = Vec::new();
        for (name, value) in &figures {
            let recorded = there.get(*name).and_then(toml::Value::as_float);
            let is_same = recorded
                .is_some_and(|recorded| (value - recorded).abs() <= (recorded * tolerance(name)).max(LEAST));
            println!("{name}: {value:.1}, recorded {recorded:?}");
            if !is_same {
                wrong.push(format!("{name}: {value:.1}, and recorded is {recorded:?}"));
            }
        }
        // What could not be counted here is no figure of which nobody knows.
        for name in there.keys().filter(|name| !is_counted_sometimes(name)) {
            anyhow::ensure!(
                figures.iter().any(|(figure, _)| figure == name),
                "nobody counts {name:?} of recorded.toml"
            );
        }
        anyhow::ensure!(
            wrong.is_empty(),
            "costs have changed; if that is meant, `REWRITE=1 make costs` writes recorded.toml:\n{}",
            wrong.join("\n")
        );
        Ok(())
    }
}

fn tolerance(name: &str) -> f64 {
    if name.starts_with("a handshake") { TOLERANCE_OF_HANDSHAKES } else { TOLERANCE }
}
