//! The widget of the composer package on a page of a real Yii 2, in a real browser; commands of its console push to the page.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use gateway_tests::{
    ALICE, Browser, Client, OutageProxy, Page, PhpCalls, PhpPeer, ProcessGroup, ResumingPage, Server, Tab,
    done, eventually, extension, root, skip, soon, store_folder,
};
use gateway_wire::bridge::Order;
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const KEY: &str = "a key for tokens";

/// A gateway, and the example application that uses it.
pub(super) struct Stage {
    pub(super) server: Server,
    /// Stands between pages and the gateway.
    pub(super) proxy: OutageProxy,
    pub(super) site: String,
    has_key: bool,
    _php: ProcessGroup,
    data: TempDir,
}

impl Stage {
    /// Starts both. With a key the page comes with a connect token; without one it is bound after it has connected.
    pub(super) async fn set(has_key: bool) -> anyhow::Result<Self> {
        let server = start_server(has_key, &[]).await?;
        let proxy = OutageProxy::start(server.websocket).await?;
        let data = TempDir::with_prefix("gateway-test-widget-")?;
        let web = root().join("php/example/yii2/web");
        let mut command = php(&server, has_key, data.path())?;
        command.args(["-S", "127.0.0.1:0", "-t"]).arg(&web).arg(web.join("index.php"));
        command.env("GATEWAY_URL", format!("ws://{}/", proxy.address));
        let (php, line) = ProcessGroup::start(command, " started").await?;
        let site = line.split(['(', ')']).nth(1).unwrap_or_default().to_owned();
        Ok(Self { server, proxy, site, has_key, _php: php, data })
    }

    /// Opens the page of the widget, as alice.
    pub(super) async fn page(&self, browser: &Browser) -> anyhow::Result<Tab> {
        let tab = browser.open(&self.site).await?;
        tab.choose("#user", ALICE.name).await?;
        tab.submit("#login").await?;
        let page = browser.open(&format!("{}/live", self.site)).await?;
        state_is(&page, "open", "connected").await?;
        Ok(page)
    }

    /// Runs `yii gateway/…`, and gives what it prints and its exit code.
    async fn yii(&self, arguments: &[&str]) -> anyhow::Result<(String, Option<i32>)> {
        self.yii_at(&self.server, arguments).await
    }

    /// Does the same at another gateway than that of the page.
    async fn yii_at(&self, server: &Server, arguments: &[&str]) -> anyhow::Result<(String, Option<i32>)> {
        let mut command = php(server, self.has_key, self.data.path())?;
        // Nobody answers what it asks.
        command.arg(root().join("php/example/yii2/yii")).args(arguments).stdin(Stdio::null());
        let Output { status, stdout, stderr } =
            soon("yii", async { tokio::process::Command::from(command).kill_on_drop(true).output().await })
                .await??;
        Ok((String::from_utf8_lossy(&[stdout, stderr].concat()).trim_end().to_owned(), status.code()))
    }

    /// Sends a comment to alice, as soon as she has a connection.
    pub(super) async fn push(&self, text: &str) -> anyhow::Result<()> {
        let message = json!({"type": "comment", "text": text}).to_string();
        eventually("a push to alice", "Sent to 1 client.".to_owned(), async || {
            Ok(self.yii(&["gateway/send", &message, "--uid=1", "--json"]).await?.0)
        })
        .await
    }

    async fn restart(&mut self) -> anyhow::Result<()> {
        self.server.signal(Signal::SIGKILL)?;
        self.server.exit().await?;
        let ports = [self.server.websocket.to_string(), self.server.register[0].to_string()];
        self.server =
            start_server(self.has_key, &["--websocket", &ports[0], "--register", &ports[1]]).await?;
        Ok(())
    }
}

async fn start_server(has_key: bool, flags: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags);
        if has_key {
            command.args(["--require-token", "true"]).env("GATEWAY_TOKEN_KEY", KEY);
        }
    })
    .await
}

/// PHP reads the machine's own configuration, because the application needs the SQLite and mbstring modules that it loads.
fn php(server: &Server, has_key: bool, data: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new("php");
    command.arg("-d").arg(format!("extension={}", extension()?.display()));
    command.env("DEMO_DATA", data).env("GATEWAY_REGISTER", server.register[0].to_string());
    command.env("GATEWAY_TOKEN_KEY", if has_key { KEY } else { "" });
    Ok(command)
}

pub(super) async fn state_is(tab: &Tab, state: &str, words: &str) -> anyhow::Result<()> {
    eventually("the connection's state", (Some(state.to_owned()), vec![words.to_owned()]), async || {
        Ok((tab.attribute(".gateway-state", "data-state").await?, tab.texts(".gateway-state").await?))
    })
    .await
}

async fn pushes_from_the_console_reach_the_page(has_key: bool) -> anyhow::Result<()> {
    let mut stage = Stage::set(has_key).await?;
    let browser = Browser::start().await?;
    let page = stage.page(&browser).await?;
    stage.push("<b>grüß</b>").await?;
    page.shows("#pushed li", &["comment: <b>grüß</b>"]).await?;

    // The command that the page shows works as it is, in any folder and without this test's environment.
    let printed = page.texts("p code").await?.concat();
    let elsewhere = TempDir::new()?;
    let mut shell = Command::new("env");
    shell.args(["-i", "PATH=/usr/bin:/bin", "sh", "-c", &printed]).current_dir(elsewhere.path());
    assert_eq!(done(&mut shell)?, "Sent to 1 client.", "{printed}");
    page.shows("#pushed li", &["comment: <b>grüß</b>", "hello: Good morning"]).await?;

    stage.restart().await?;
    stage.push("again").await?;
    page.shows("#pushed li", &["comment: <b>grüß</b>", "hello: Good morning", "comment: again"]).await?;
    state_is(&page, "open", "connected, messages may be missing: the gateway was restarted").await?;
    assert_eq!(page.attribute(".gateway-state", "data-gap").await?.as_deref(), Some("restarted"));

    stage.server.signal(Signal::SIGKILL)?;
    state_is(&page, "waiting", "away, coming back").await?;
    page.script("gateway.close()", vec![]).await?;
    state_is(&page, "closed", "disconnected").await
}

#[tokio::test]
async fn a_page_with_tokens_is_pushed_to_before_and_after_a_restart() -> anyhow::Result<()> {
    on_yii2("a_page_with_tokens_is_pushed_to_before_and_after_a_restart", async || {
        pushes_from_the_console_reach_the_page(true).await
    })
    .await
}

#[tokio::test]
async fn a_page_that_binds_is_pushed_to_before_and_after_a_restart() -> anyhow::Result<()> {
    on_yii2("a_page_that_binds_is_pushed_to_before_and_after_a_restart", async || {
        pushes_from_the_console_reach_the_page(false).await
    })
    .await
}

#[tokio::test]
async fn the_console_says_what_went_wrong() -> anyhow::Result<()> {
    on_yii2("the_console_says_what_went_wrong", async || {
        let mut stage = Stage::set(false).await?;
        let whom = "To whom? Give one of --uid=…, --group=…, --client=… and --all.";
        for (arguments, said, code) in [
            (&["hi"][..], whom, 64),
            (&["hi", "--uid="], whom, 64),
            (&["hi", "--uid=1", "--all"], whom, 64),
            (&["--all", "hi"], "The message comes first: yii gateway/send MESSAGE --uid=…", 64),
            (&["hi", "--client=1"], "1 is no client_id.", 64),
            (&["no", "--all", "--json"], "That is no JSON: Syntax error.", 64),
            (&["hi", "--all", "--exclude=ann"], "ann is no client_id.", 64),
            (&["hi", "--all", "--binary", "--text"], "Give one of --binary and --text.", 64),
            (&["hi", "--all", "--exclude-group=muted"], "Sent to nobody, since no client is online.", 0),
            (&["hi", "--all"], "Sent to nobody, since no client is online.", 0),
            (&["hi", "--group=news"], "Sent to nobody, since no client is online.", 0),
            (&["hi", "--client=7f000001000100000001"], "Sent to nobody, since no client is online.", 0),
        ] {
            let answer = stage.yii(&[&["gateway/send"], arguments].concat()).await?;
            assert_eq!(answer, (said.to_owned(), Some(code)), "{arguments:?}");
        }
        let (said, code) = stage.yii(&["gateway/status"]).await?;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains(&stage.server.register[0].to_string()), "{said}");
        for command in ["gateway/inbox", "gateway/inbox-receipt", "gateway/forget"] {
            let (said, code) = stage.yii(&[command, "7"]).await?;
            assert_eq!(code, Some(69), "{said}");
            assert!(
                said.starts_with("The push gateway refuses the call. ") && said.contains("`store`"),
                "{said}"
            );
        }
        let guarded = Server::start_with(|command| {
            command.env("GATEWAY_SECRET_KEY", "a secret of its own");
        })
        .await?;
        for command in [&["gateway/status"][..], &["gateway/send", "hi", "--all"], &["gateway/inbox", "7"]] {
            let (said, code) = stage.yii_at(&guarded, command).await?;
            assert_eq!(code, Some(69), "{said}");
            assert!(
                said.starts_with("The push gateway does not take the secret. Can not connect to tcp://"),
                "{said}"
            );
        }

        stage.server.signal(Signal::SIGKILL)?;
        stage.server.exit().await?;
        for command in [&["gateway/status"][..], &["gateway/send", "hi", "--all"]] {
            let (said, code) = stage.yii(command).await?;
            assert_eq!(code, Some(69), "{said}");
            assert!(
                said.starts_with("The push gateway cannot be reached. Can not connect to tcp://"),
                "{said}"
            );
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_console_leaves_out_whom_it_is_told_to_and_chooses_the_kind_of_message() -> anyhow::Result<()> {
    on_yii2("the_console_leaves_out_whom_it_is_told_to_and_chooses_the_kind_of_message", async || {
        let stage = Stage::set(false).await?;
        let mut page = Client::connect(stage.server.websocket).await?;
        let mut phone = Client::connect(stage.server.websocket).await?;
        let mut guest = Client::connect(stage.server.websocket).await?;
        let mut php = PhpPeer::connect(stage.server.register[0]).await?;
        for client in [page.id, phone.id] {
            php.bind(client, "7").await?;
        }
        php.order(Order::JoinGroup { client: phone.id, group: Bytes::new(b"muted") }).await?;
        php.acked().await?;

        let not_the_page = format!("--exclude={}", page.id);
        let to_the_page = format!("--client={}", page.id);
        for (arguments, clients) in [
            (&["1", "--uid=7", &not_the_page][..], "1 client"),
            (&["2", "--all", "--exclude-group=muted", "--binary"], "2 clients"),
            (&["3", "--all", "--exclude-uid=7", "--text"], "1 client"),
            (&["4", &to_the_page, "--binary"], "1 client"),
            (&["5", "--all"], "3 clients"),
        ] {
            let answer = stage.yii(&[&["gateway/send"], arguments].concat()).await?;
            assert_eq!(answer, (format!("Sent to {clients}."), Some(0)), "{arguments:?}");
        }
        let (text, binary) =
            (Message::text::<&str>, |message: &'static str| Message::binary(message.as_bytes()));
        for (client, expected) in [
            (&mut page, vec![binary("2"), binary("4"), text("5")]),
            (&mut phone, vec![text("1"), text("5")]),
            (&mut guest, vec![binary("2"), text("3"), text("5")]),
        ] {
            for message in expected {
                assert_eq!(client.message().await?, message, "{}", client.id);
            }
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_console_shows_what_waits_and_forgets_it() -> anyhow::Result<()> {
    on_yii2("the_console_shows_what_waits_and_forgets_it", async || {
        let mut stage = Stage::set(false).await?;
        let folder = store_folder()?;
        let store = folder.path().join("store").display().to_string();
        stage.server = start_server(false, &["--store", &store]).await?;
        let mut php = PhpCalls::start(stage.server.register[0], "")?;
        php.get(json!(["deliverToUid", [7, "bob"], "hello", {"id": "order-5"}])).await?;
        let mut phone = ResumingPage::default();
        let tcp = soon("connecting", TcpStream::connect(stage.server.websocket)).await??;
        phone.over(tcp, "/?device=phone", &[]).await?;
        php.get(json!(["bindUid", phone.id()?.to_string(), "bob"])).await?;
        assert_eq!(phone.handle().await?, "hello");

        let waits = "1 message waits, 5 bytes.\nNo device has come yet.".to_owned();
        assert_eq!(stage.yii(&["gateway/inbox", "7"]).await?, (waits, Some(0)));
        eventually("what bob's phone has", true, async || {
            let (said, _) = stage.yii(&["gateway/inbox", "bob"]).await?;
            Ok(said.starts_with("No message waits, 0 bytes.\n") && said.contains("phone"))
        })
        .await?;
        let (said, code) = stage.yii(&["gateway/inbox-receipt", "order-5"]).await?;
        assert_eq!(code, Some(0), "{said}");
        assert!(said.starts_with("Uid 7: kept at ") && said.contains("Uid bob: kept at "), "{said}");

        for (arguments, last) in [
            (&["gateway/forget", "7"][..], "Nothing was forgotten."),
            (&["gateway/forget", "7", "--interactive=0"], "Uid 7 is forgotten."),
            (&["gateway/forget", "7"], "The inbox knows nothing of uid 7."),
        ] {
            let (said, code) = stage.yii(arguments).await?;
            assert!(said.ends_with(last) && code == Some(0), "{arguments:?}: {said}");
        }
        Ok(())
    })
    .await
}

#[tokio::test]
async fn workers_of_the_console_have_the_application() -> anyhow::Result<()> {
    on_yii2("workers_of_the_console_have_the_application", async || {
        let mut stage = Stage::set(false).await?;
        let pid_file = format!("--pid-file={}", stage.data.path().join("pid").display());
        let mut command = php(&stage.server, false, stage.data.path())?;
        command.arg(root().join("php/example/yii2/yii")).arg("gateway/worker");
        command.arg(root().join("tests/php/yii2/Events.php")).args(["--count=2", &pid_file]);
        let (workers, _) = ProcessGroup::start(command, "starts 2 workers").await?;
        for _ in 0..2 {
            stage.server.logs("a worker joined").await?;
        }
        let mut clients =
            [Client::connect(stage.server.websocket).await?, Client::connect(stage.server.websocket).await?];
        let mut pids = Vec::new();
        for client in &mut clients {
            client.send(Message::text("grüß")).await?;
            let answer: Value = serde_json::from_str(&client.text().await?)?;
            assert_eq!(
                (&answer["heard"], &answer["by"]),
                (&json!("grüß"), &json!("push-gateway-demo-console"))
            );
            pids.extend(answer["worker"].as_u64());
        }
        assert_ne!(pids[0], pids[1], "each has a worker of its own");
        // Yii's log is written at once, not only after a thousand messages.
        let log = stage.data.path().join("runtime/logs/app.log");
        eventually("what was logged", 2, async || {
            Ok(std::fs::read_to_string(&log).unwrap_or_default().matches("heard grüß").count())
        })
        .await?;
        let (said, code) = stage.yii(&["gateway/worker-status", &pid_file]).await?;
        assert!(code == Some(0) && pids.iter().all(|pid| said.contains(&pid.to_string())), "{said}");
        let (said, code) = stage.yii(&["gateway/worker-stop", &pid_file]).await?;
        assert_eq!(code, Some(0), "{said}");
        drop(workers);
        Ok(())
    })
    .await
}

/// The command passes the runner's limits on.
#[tokio::test]
async fn workers_of_the_console_have_the_limits_of_the_runner() -> anyhow::Result<()> {
    on_yii2("workers_of_the_console_have_the_limits_of_the_runner", async || {
        let mut stage = Stage::set(false).await?;
        let handler = root().join("tests/php/yii2/Events.php").display().to_string();
        for (option, wrong) in [
            ("--handler-timeout=never", "--handler-timeout must be a number"),
            ("--max-memory=much", "--max-memory must be a size"),
            ("--max-events=0", "--max-events must be a number"),
        ] {
            let (said, code) = stage.yii(&["gateway/worker", &handler, option]).await?;
            assert!(code == Some(2) && said.contains(wrong), "{option}: {code:?} {said}");
        }
        let pid_file = format!("--pid-file={}", stage.data.path().join("pid").display());
        let mut command = php(&stage.server, false, stage.data.path())?;
        command.arg(root().join("php/example/yii2/yii")).args(["gateway/worker", &handler, &pid_file]);
        command.args(["--max-events=2", "--max-memory=64M", "--handler-timeout=60"]);
        let (workers, _) = ProcessGroup::start(command, "starts 1 worker").await?;
        stage.server.logs("a worker joined").await?;
        let (mut clients, mut pids) = (Vec::new(), Vec::new());
        for text in ["one", "two"] {
            let mut client = Client::connect(stage.server.websocket).await?;
            client.send(Message::text(text)).await?;
            let answer: Value = serde_json::from_str(&client.text().await?)?;
            assert_eq!((&answer["heard"], &answer["memory_limit"]), (&json!(text), &json!(64 << 20)));
            pids.extend(answer["worker"].as_u64());
            clients.push(client);
            // After the client's connection and its message, the next process takes over.
            stage.server.logs("a worker joined").await?;
        }
        assert_ne!(pids[0], pids[1], "each process handles two events");
        drop(workers);
        Ok(())
    })
    .await
}

pub(super) async fn on_yii2(
    test: &str,
    scenario: impl AsyncFnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    match Page::Yii2.missing() {
        Some(reason) => {
            skip(test, reason);
            Ok(())
        }
        None => scenario().await,
    }
}
