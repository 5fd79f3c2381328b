//! The version stands in several files, which all have the one of Cargo.toml.

use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_tests::{done, root};

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn read(file: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned())
}

#[test]
fn all_files_have_the_version_of_cargo_toml() -> anyhow::Result<()> {
    let first_heading = |text: &str| text.lines().find(|line| line.starts_with("## ")).map(str::to_owned);
    let has = |file: &str, found: Option<String>, wanted: &str| {
        let found = found.with_context(|| format!("{file} says no version"))?;
        ensure!(found.starts_with(wanted), "{file} says \"{found}\", which should begin with \"{wanted}\"");
        anyhow::Ok(())
    };
    has("scripts/version", Some(done(&mut Command::new(root().join("scripts/version")))?), VERSION)?;
    for (file, wanted) in [
        ("CHANGELOG.md", format!("## [{VERSION}] - ")),
        ("UPGRADE.md", format!("## To {VERSION}")),
        ("UPGRADE.zh-CN.md", format!("## 升级到 {VERSION}")),
    ] {
        has(file, first_heading(&read(file)?), &wanted)?;
    }
    let changelog = read("packaging/debian/changelog")?;
    has(
        "packaging/debian/changelog",
        changelog.lines().next().map(str::to_owned),
        &format!("push-gateway ({VERSION}) "),
    )?;
    let package: serde_json::Value = serde_json::from_str(&read("php/client/package.json")?)?;
    has("php/client/package.json", package["version"].as_str().map(str::to_owned), VERSION)?;
    let phpinfo = read("php-ext/tests/ini.phpt")?;
    let shown = phpinfo.lines().find(|line| line.starts_with("Version => ")).map(str::to_owned);
    has("php-ext/tests/ini.phpt", shown, &format!("Version => {VERSION}"))?;
    for entry in std::fs::read_dir(root().join("packaging/man"))? {
        let name = format!("packaging/man/{}", entry?.file_name().to_string_lossy());
        let page = read(&name)?;
        let said = page.split('"').find(|part| part.starts_with("gateway-server ")).map(str::to_owned);
        has(&name, said, &format!("gateway-server {VERSION}"))?;
    }
    Ok(())
}

/// GitHub takes at most 125,000 characters for the page of a release.
#[test]
fn a_release_says_what_is_in_it() -> anyhow::Result<()> {
    let notes = done(&mut Command::new(root().join("scripts/release/notes")))?;
    ensure!(notes.contains("### Added") && !notes.contains("\n## "), "{notes}");
    ensure!(notes.chars().count() < 125_000, "{} characters", notes.chars().count());
    Ok(())
}
