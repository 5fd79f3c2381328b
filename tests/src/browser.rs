//! Headless Chromium, driven as a person would drive it: it opens pages, clicks and types.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use fantoccini::error::CmdError;
use fantoccini::wd::{TimeoutConfiguration, WebDriverCompatibleCommand, WindowHandle};
use fantoccini::{ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::process_group::ProcessGroup;
use crate::{PATIENCE, eventually, soon};

/// The names under which Chromium may be installed; Debian's comes first.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

const FLAGS: [&str; 11] = [
    "--headless",
    "--remote-debugging-port=0",
    "--no-sandbox",                // because root cannot have the sandbox
    "--ignore-certificate-errors", // because the certificates of tests are their own
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
];

/// A running Chromium with a profile of its own: its tabs share cookies with each other and with no other browser.
pub struct Browser {
    session: fantoccini::Client,
    // These are dropped in this order: both processes have ended, and write to the profile no more, when it is removed.
    _driver: ProcessGroup,
    _chromium: ProcessGroup,
    _profile: TempDir,
}

impl Browser {
    /// Starts Chromium and its driver. Chromium is not started by the driver, which would put it into a process group of its
    /// own that the test could not end.
    pub async fn start() -> anyhow::Result<Self> {
        let profile = TempDir::with_prefix("gateway-test-browser-")?;
        let (chromium, line) =
            ProcessGroup::start(chromium(profile.path())?, "DevTools listening on ").await?;
        let debugger = line.split('/').nth(2).with_context(|| format!("an address in {line}"))?;

        let (driver, line) = start_driver().await?;
        let port = line.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');

        let options = json!({ "goog:chromeOptions": { "debuggerAddress": debugger } });
        let mut builder = ClientBuilder::new(HttpConnector::new());
        builder.capabilities(serde_json::from_value(options)?);
        let url = format!("http://127.0.0.1:{port}");
        let session = soon("a browser session", builder.connect(&url)).await??;
        let bounds = TimeoutConfiguration::new(Some(PATIENCE), Some(PATIENCE), None);
        soon("setting timeouts", session.update_timeouts(bounds)).await??;
        Ok(Self { session, _driver: driver, _chromium: chromium, _profile: profile })
    }

    /// Opens `url` in a new tab.
    pub async fn open(&self, url: &str) -> anyhow::Result<Tab> {
        let window = soon("a new tab", self.session.new_window(true)).await??;
        let tab = Tab { session: self.session.clone(), window: window.handle };
        tab.driven(tab.session.goto(url)).await?;
        Ok(tab)
    }
}

/// Starts chromedriver, in several attempts: with port 0 it takes a free port of IPv6 and then wants the same port of IPv4,
/// which another program may have.
async fn start_driver() -> anyhow::Result<(ProcessGroup, String)> {
    const ATTEMPTS: usize = 5;
    let start = || {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0");
        ProcessGroup::start(command, "started successfully on port ")
    };
    for _ in 1..ATTEMPTS {
        if let Ok(started) = start().await {
            return Ok(started);
        }
    }
    start().await
}

/// A tab of a [`Browser`]. Do not use two tabs of one browser at the same time: its session has one current tab.
pub struct Tab {
    session: fantoccini::Client,
    window: WindowHandle,
}

impl Tab {
    /// Runs a script that gets `arguments`, and gives what it returns.
    pub async fn script(&self, script: &str, arguments: Vec<Value>) -> anyhow::Result<Value> {
        self.driven(self.session.execute(script, arguments)).await
    }

    /// Runs a command of the browser's own protocol for developers, which can set what a page sees of its device.
    pub async fn developer_command(&self, name: &'static str, parameters: Value) -> anyhow::Result<()> {
        self.driven(async { self.session.issue_cmd(DeveloperCommand { name, parameters }).await.map(drop) })
            .await
    }

    /// Gives a picture of what the window shows, as PNG.
    pub async fn screenshot(&self) -> anyhow::Result<Vec<u8>> {
        self.driven(self.session.screenshot()).await
    }

    /// Gives the texts of all elements that match.
    pub async fn texts(&self, selector: &str) -> anyhow::Result<Vec<String>> {
        let script = "return Array.from(document.querySelectorAll(arguments[0]), (each) => each.textContent)";
        Ok(serde_json::from_value(self.script(script, vec![selector.into()]).await?)?)
    }

    /// Waits until these are the texts of all elements that match.
    pub async fn shows(&self, selector: &str, wanted: &[&str]) -> anyhow::Result<()> {
        let wanted: Vec<_> = wanted.iter().map(|text| (*text).to_owned()).collect();
        eventually(selector, wanted, async || self.texts(selector).await).await
    }

    /// Gives an attribute of the first element that matches; `None` if there is no such element or attribute.
    pub async fn attribute(&self, selector: &str, name: &str) -> anyhow::Result<Option<String>> {
        let script = "return document.querySelector(arguments[0])?.getAttribute(arguments[1])";
        Ok(serde_json::from_value(self.script(script, vec![selector.into(), name.into()]).await?)?)
    }

    /// Opens another page in this tab.
    pub async fn go(&self, url: &str) -> anyhow::Result<()> {
        self.driven(self.session.goto(url)).await
    }

    pub async fn choose(&self, selector: &str, label: &str) -> anyhow::Result<()> {
        self.driven(async { self.session.find(Locator::Css(selector)).await?.select_by_label(label).await })
            .await
    }

    pub async fn write(&self, selector: &str, text: &str) -> anyhow::Result<()> {
        self.driven(async { self.session.find(Locator::Css(selector)).await?.send_keys(text).await }).await
    }

    pub async fn click(&self, selector: &str) -> anyhow::Result<()> {
        self.driven(async { self.session.find(Locator::Css(selector)).await?.click().await }).await
    }

    /// Clicks an element that sends a form, and waits for the page that the form leads to.
    pub async fn submit(&self, selector: &str) -> anyhow::Result<()> {
        let click = async { self.session.find(Locator::Css(selector)).await?.click().await };
        self.leave_page(click).await
    }

    pub async fn reload(&self) -> anyhow::Result<()> {
        self.leave_page(self.session.refresh()).await
    }

    /// Goes back to the page before, and waits for it. The driver would not always notice that a script goes back.
    pub async fn back(&self) -> anyhow::Result<()> {
        self.driven(self.session.back()).await
    }

    pub async fn close(self) -> anyhow::Result<()> {
        self.driven(self.session.close_window()).await
    }

    /// Does `act` and waits until another page is there. The driver may answer before that, so the present page is marked
    /// first, and the mark disappears together with it.
    async fn leave_page(&self, act: impl Future<Output = Result<(), CmdError>>) -> anyhow::Result<()> {
        self.script("document.documentElement.dataset.left = 'yes'", vec![]).await?;
        self.driven(act).await?;
        eventually("the next page", json!(true), async || {
            let loaded = "const left = 'left' in document.documentElement.dataset;\
                return document.readyState === 'complete' && !left";
            self.script(loaded, vec![]).await
        })
        .await
    }

    async fn driven<T>(&self, command: impl Future<Output = Result<T, CmdError>>) -> anyhow::Result<T> {
        let command = async {
            self.session.switch_to_window(self.window.clone()).await?;
            command.await
        };
        Ok(soon("the browser's answer", command).await??)
    }
}

/// A command of the Chrome DevTools protocol, which chromedriver hands on.
#[derive(Debug)]
struct DeveloperCommand {
    name: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DeveloperCommand {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
        let body = json!({ "cmd": self.name, "params": self.parameters });
        (http::Method::POST, Some(body.to_string()))
    }
}

/// The command that starts Chromium so that everything it writes goes into `directory`.
fn chromium(directory: &Path) -> anyhow::Result<Command> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).is_file());
    let name = NAMES.into_iter().find(installed).context("Chromium is missing (`make test` installs it)")?;
    let mut command = Command::new(name);
    command
        .args(FLAGS)
        .arg(format!("--user-data-dir={}", directory.join("profile").display()))
        .arg("about:blank");
    command.env("HOME", directory).env("TMPDIR", directory);
    Ok(command)
}
