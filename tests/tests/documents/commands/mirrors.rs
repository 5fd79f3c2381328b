//! The mirrors of docs/mirrors.md: the programs that are to use them take what the page says.

use std::path::Path;

use anyhow::{Context as _, ensure};
use gateway_tests::{fences, root};
use tempfile::TempDir;
use tokio::process::Command;

use super::how::FETCHES;
use super::how::How::{self, NotRun, Run};
use super::{output, succeeds};

/// Runs a command of the page, with settings in a folder of its own in place of the user's and the machine's.
pub(super) async fn run(program: &str, command: &str, folder: &Path) -> anyhow::Result<How> {
    if program == "apt-get" {
        ensure!(command.ends_with("apt-get update"), "it installs something");
        return Ok(FETCHES);
    }
    let sources = folder.join("debian.sources");
    std::fs::write(&sources, "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\n")?;
    let line = command
        .trim_start_matches("sudo ")
        .replace("/etc/apt/sources.list.d/debian.sources", &sources.display().to_string());
    let in_own_home = |line: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-ec", line]).current_dir(folder);
        for variable in ["HOME", "XDG_CONFIG_HOME", "COMPOSER_HOME"] {
            shell.env(variable, folder);
        }
        // Variables go before files.
        for variable in ["PIP_INDEX_URL", "PIP_CONFIG_FILE", "npm_config_registry", "NPM_CONFIG_REGISTRY"] {
            shell.env_remove(variable);
        }
        shell.env("COMPOSER_ALLOW_SUPERUSER", "1");
        shell
    };
    if in_own_home(&format!("command -v {program}")).output().await.is_ok_and(|found| !found.status.success())
    {
        return Ok(NotRun("the program is missing on this machine"));
    }
    succeeds(&mut in_own_home(&line)).await?;
    let (read, address) = match program {
        "sed" => (format!("cat '{}'", sources.display()), "http://mirrors.tuna.tsinghua.edu.cn/debian"),
        "npm" => ("npm config get registry".to_owned(), "https://registry.npmmirror.com"),
        "pip" => ("pip config get global.index-url".to_owned(), "https://pypi.tuna.tsinghua.edu.cn/simple"),
        _ => ("cat config.json".to_owned(), "https://mirrors.aliyun.com/composer/"),
    };
    let read = succeeds(&mut in_own_home(&read)).await?.replace("\\/", "/");
    ensure!(read.contains(address), "{program} has {read} in place of {address}");
    Ok(Run)
}

/// Cargo takes the mirror that the page shows in place of crates.io.
#[tokio::test]
async fn cargo_takes_the_mirror_of_the_page() -> anyhow::Result<()> {
    for page in ["docs/mirrors.md", "docs/mirrors.zh-CN.md"] {
        let page = std::fs::read_to_string(root().join(page))?;
        let config =
            fences(&page).into_iter().find(|fence| fence.language == "toml").context("no settings")?;
        let folder = TempDir::with_prefix("gateway-test-mirror-")?;
        std::fs::write(folder.path().join("config.toml"), config.code)?;
        std::fs::create_dir(folder.path().join("src"))?;
        std::fs::write(folder.path().join("src/lib.rs"), "")?;
        let package = "[package]\nname = \"any\"\nedition = \"2021\"\n[dependencies]\nanyhow = \"1\"\n";
        std::fs::write(folder.path().join("Cargo.toml"), package)?;
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["metadata", "--offline", "--format-version", "1"]).current_dir(folder.path());
        let output = output(cargo.env("CARGO_HOME", folder.path())).await?;
        // Offline, cargo says where it would have looked.
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            complaint.contains("`rsproxy-sparse` index (which is replacing registry `crates-io`)"),
            "{complaint}"
        );
    }
    Ok(())
}
