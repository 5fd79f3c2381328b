//! Headless Firefox, driven over Marionette, its own protocol: JSON arrays over TCP, each behind its length and a colon.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::process_group::ProcessGroup;
use crate::soon;

/// The names under which Firefox may be installed; Debian's comes first.
const NAMES: [&str; 2] = ["firefox-esr", "firefox"];
/// The longest response in bytes that is accepted: a longer one would be a mistake, and must not take all memory.
const MAX_RESPONSE: usize = 16 << 20;

/// A browser with one tab and a profile of its own.
pub struct Firefox {
    connection: BufReader<TcpStream>,
    commands: u64,
    // These are dropped in this order: Firefox has ended, and writes to the profile no more, when it is removed.
    _firefox: ProcessGroup,
    _profile: TempDir,
}

impl Firefox {
    /// Starts Firefox; gives `None` if none is installed.
    pub async fn start() -> anyhow::Result<Option<Self>> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let is_installed =
            |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
        let Some(name) = NAMES.into_iter().find(is_installed) else { return Ok(None) };
        let profile = TempDir::with_prefix("gateway-test-firefox-")?;
        let (firefox, line) =
            ProcessGroup::start(firefox(name, profile.path())?, "Listening on port ").await?;
        let port = line.rsplit(' ').next().unwrap_or_default().trim();
        let port: u16 = port.parse().with_context(|| format!("a port in {line:?}"))?;
        let connection = BufReader::new(TcpStream::connect(("127.0.0.1", port)).await?);
        let mut browser = Self { connection, commands: 0, _firefox: firefox, _profile: profile };
        let greeting = soon("Firefox's greeting", browser.read()).await??;
        ensure!(greeting["marionetteProtocol"] == 3, "{greeting}");
        // The certificates of tests are their own.
        browser.command("WebDriver:NewSession", json!({ "acceptInsecureCerts": true })).await?;
        Ok(Some(browser))
    }

    /// Opens a page, and waits until it is there.
    pub async fn open(&mut self, url: &str) -> anyhow::Result<()> {
        self.command("WebDriver:Navigate", json!({ "url": url })).await.map(drop)
    }

    /// Runs a script that gets `arguments` as a part of the page, and gives what it returns.
    pub async fn script(&mut self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        let body = json!({ "script": script, "args": arguments, "sandbox": null });
        Ok(self.command("WebDriver:ExecuteScript", body).await?["value"].take())
    }

    async fn command(&mut self, name: &str, body: Value) -> anyhow::Result<Value> {
        self.commands += 1;
        let message = json!([0, self.commands, name, body]).to_string();
        let answer = async {
            let message = format!("{}:{message}", message.len());
            self.connection.get_mut().write_all(message.as_bytes()).await?;
            self.read().await
        };
        let mut answer = soon(name, answer).await??;
        ensure!(answer[0] == 1 && answer[1] == self.commands, "{answer} to {name}");
        ensure!(answer[2].is_null(), "{name}: {}", answer[2]);
        Ok(answer[3].take())
    }

    async fn read(&mut self) -> anyhow::Result<Value> {
        let mut length = Vec::new();
        (&mut self.connection).take(20).read_until(b':', &mut length).await?;
        let length = str::from_utf8(&length)?;
        let length = length.strip_suffix(':').with_context(|| format!("a length in {length:?}"))?.parse()?;
        ensure!(length <= MAX_RESPONSE, "a response of {length} bytes");
        let mut message = vec![0; length];
        self.connection.read_exact(&mut message).await?;
        Ok(serde_json::from_slice(&message)?)
    }
}

/// The command that starts Firefox so that everything it writes goes into `directory`.
fn firefox(name: &str, directory: &Path) -> anyhow::Result<Command> {
    let profile = directory.join("profile");
    std::fs::create_dir(&profile)?;
    // With port 0 Marionette takes a free port. The other settings keep Firefox from fetching anything from the network.
    let preferences = "user_pref('marionette.port', 0);\n\
        user_pref('app.update.disabledForTesting', true);\n\
        user_pref('browser.startup.homepage_override.mstone', 'ignore');\n\
        user_pref('datareporting.policy.dataSubmissionEnabled', false);\n\
        user_pref('network.captive-portal-service.enabled', false);\n\
        user_pref('network.connectivity-service.enabled', false);\n";
    std::fs::write(profile.join("user.js"), preferences)?;
    let mut command = Command::new(name);
    command
        .args(["--headless", "--marionette", "--no-remote", "--profile"])
        .arg(profile)
        .arg("about:blank")
        .env("HOME", directory)
        .env("TMPDIR", directory)
        .env("MOZ_CRASHREPORTER_DISABLE", "1");
    Ok(command)
}
