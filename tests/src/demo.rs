//! The example application (php/example) as its users run it, on the default ports: its two front ends, and the elements of
//! its page.

use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_wire::ClientId;
use serde_json::json;
use tempfile::TempDir;

use crate::process_group::ProcessGroup;
use crate::{Browser, PhpPeer, Server, Tab, eventually, extension, root};

const ADDRESS: &str = "127.0.0.1:8080";

/// The front ends of the example: plain PHP, and Yii 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Page {
    Plain,
    Yii2,
}

/// A user that php/example/shared/schema.sql creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub name: &'static str,
    pub uid: &'static str,
}

pub const ALICE: User = User { name: "alice", uid: "1" };
pub const BOB: User = User { name: "bob", uid: "2" };

pub struct Demo {
    pub server: Server,
    // PHP stands before its data and so is dropped first: it writes there no more when the data is removed.
    _php: ProcessGroup,
    _data: TempDir,
}

impl Page {
    /// Gives the reason why this page cannot be shown on this machine, if there is one.
    pub fn missing(self) -> Option<&'static str> {
        let yii2 = || {
            std::env::var_os("YII2_PATH").is_some_and(|path| !path.is_empty())
                || ["php/example/yii2", "php", "."]
                    .iter()
                    .any(|folder| root().join(folder).join("vendor/yiisoft/yii2/Yii.php").exists())
        };
        (self == Self::Yii2 && !yii2()).then_some("YII2_PATH names no Yii 2, and no vendor directory has it")
    }

    /// The command that starts PHP's web server for this page.
    fn command(self) -> anyhow::Result<Command> {
        let extension = extension()?;
        ensure!(extension.exists(), "{} is missing (`make test` builds it)", extension.display());
        let example = root().join("php/example");
        let mut command = Command::new("php");
        // PHP reads the machine's own configuration here, because the page needs the SQLite module that it loads.
        command.arg("-d").arg(format!("extension={}", extension.display())).args(["-S", ADDRESS]);
        match self {
            Self::Plain => command.arg(example.join("plain/index.php")),
            Self::Yii2 => {
                command.arg("-t").arg(example.join("yii2/web")).arg(example.join("yii2/web/index.php"))
            }
        };
        Ok(command)
    }
}

impl Demo {
    /// Starts the server and the page, which one PHP process serves.
    pub async fn start(page: Page) -> anyhow::Result<Self> {
        Self::start_with_workers(page, 1).await
    }

    /// Starts the server and the page, which `workers` PHP processes serve: each request goes to one that is idle.
    pub async fn start_with_workers(page: Page, workers: u8) -> anyhow::Result<Self> {
        let server = Self::start_server().await?;
        let data = TempDir::with_prefix("gateway-test-demo-")?;
        let mut command = page.command()?;
        command.env("DEMO_DATA", data.path());
        if workers > 1 {
            command.env("PHP_CLI_SERVER_WORKERS", workers.to_string());
        }
        let (php, _) = ProcessGroup::start(command, " started").await?;
        Ok(Self { server, _php: php, _data: data })
    }

    /// Starts the server on the default ports. They are named here because the test harness would otherwise choose free ones.
    pub async fn start_server() -> anyhow::Result<Server> {
        Server::start(&["--websocket", "0.0.0.0:8282", "--register", "127.0.0.1:1238,127.0.0.1:1236"]).await
    }

    /// Opens the page in a new tab.
    pub async fn visit(&self, browser: &Browser) -> anyhow::Result<Visit> {
        Ok(Visit { tab: browser.open(&format!("http://{ADDRESS}/")).await? })
    }

    /// Opens a new tab and logs `user` in.
    pub async fn log_in(&self, browser: &Browser, user: User) -> anyhow::Result<Visit> {
        let visit = self.visit(browser).await?;
        visit.log_in(user).await?;
        Ok(visit)
    }

    /// Connects another PHP process, by which a test asks what the server knows.
    pub async fn php(&self) -> anyhow::Result<PhpPeer> {
        PhpPeer::connect("127.0.0.1:1238").await
    }

    /// Waits until the tab's connection is bound to the user, both by the page's words and by the server's.
    pub async fn bound(&self, visit: &Visit, user: User) -> anyhow::Result<ClientId> {
        visit.comes_to("bound").await?;
        let client = visit.client_id().await?;
        let mut php = self.php().await?;
        eventually(&format!("{client} is bound to {}", user.name), true, async || {
            Ok(php.clients_of(user.uid).await?.contains(&client))
        })
        .await?;
        Ok(client)
    }

    /// Waits until `clients` are exactly the connections that the server has for `user`.
    pub async fn connections_are(&self, user: User, mut clients: Vec<ClientId>) -> anyhow::Result<()> {
        clients.sort();
        let mut php = self.php().await?;
        eventually(&format!("the connections of {}", user.name), clients, async || {
            let mut clients = php.clients_of(user.uid).await?;
            clients.sort();
            Ok(clients)
        })
        .await
    }

    /// Gives how many messages each tab has counted once everything that was sent before this call has arrived. To know that,
    /// it sends one more message to everybody, which comes last on each connection; the count leaves it out.
    pub async fn message_counts<const N: usize>(&self, visits: [&Visit; N]) -> anyhow::Result<[u64; N]> {
        let last = json!("that was all").to_string();
        for visit in visits {
            visit.await_last(&last).await?;
        }
        let mut php = self.php().await?;
        php.send_to_all(&last).await?;
        php.acked().await?;
        let mut counts = [0; N];
        for (visit, count) in visits.into_iter().zip(&mut counts) {
            *count = visit.count_before_last().await?;
        }
        Ok(counts)
    }
}

/// A tab that shows the page.
pub struct Visit {
    pub tab: Tab,
}

impl Visit {
    pub async fn log_in(&self, user: User) -> anyhow::Result<()> {
        self.tab.choose("#user", user.name).await?;
        self.tab.submit("#login").await?;
        ensure!(self.user().await?.as_deref() == Some(user.name), "{} is not logged in", user.name);
        Ok(())
    }

    pub async fn log_out(&self) -> anyhow::Result<()> {
        self.tab.submit("#logout").await?;
        ensure!(self.user().await?.is_none(), "still logged in");
        Ok(())
    }

    /// Writes a comment, which loads the page anew, and gives the message that the new page shows about it.
    pub async fn comment(&self, to: User, text: &str) -> anyhow::Result<String> {
        self.tab.choose("#receiver", to.name).await?;
        self.tab.write("#content", text).await?;
        self.tab.submit("#send").await?;
        Ok(self.tab.texts(".flash").await?.concat())
    }

    /// Gives the texts of the comments, newest first.
    pub async fn comments(&self) -> anyhow::Result<Vec<String>> {
        self.tab.texts("#comments li p").await
    }

    pub async fn user(&self) -> anyhow::Result<Option<String>> {
        Ok(self.tab.texts("#whoami").await?.pop())
    }

    /// Waits until the page shows this state of the connection.
    pub async fn comes_to(&self, state: &str) -> anyhow::Result<()> {
        eventually("the connection's state", state.to_owned(), async || {
            let seen = self.tab.attribute("#live", "data-state").await?.unwrap_or_default();
            let is_final = ["error", "closed"].contains(&seen.as_str());
            ensure!(
                !is_final || seen == state,
                "{} instead of {state}",
                self.tab.texts("#live").await?.concat()
            );
            Ok(seen)
        })
        .await
    }

    /// Gives the client id that the `init` message named.
    pub async fn client_id(&self) -> anyhow::Result<ClientId> {
        let id = self.tab.attribute("#live", "data-client-id").await?;
        Ok(id.context("no init message yet")?.parse()?)
    }

    pub async fn counts_to(&self, messages: u64) -> anyhow::Result<()> {
        eventually("the message count", messages, async || self.count().await).await
    }

    async fn count(&self) -> anyhow::Result<u64> {
        Ok(self.tab.texts("#message-count").await?.concat().parse()?)
    }

    async fn await_last(&self, last: &str) -> anyhow::Result<()> {
        let script = "const [last] = arguments;\
            const count = document.getElementById('message-count');\
            delete count.dataset.beforeLast;\
            ws.addEventListener('message', function forget(event) {\
                if (event.data === last) {\
                    ws.removeEventListener('message', forget);\
                    messageBox.addNum(-1);\
                    count.dataset.beforeLast = count.textContent;\
                }\
            });";
        self.tab.script(script, vec![last.into()]).await.map(drop)
    }

    async fn count_before_last(&self) -> anyhow::Result<u64> {
        let before = async || self.tab.attribute("#message-count", "data-before-last").await;
        eventually("the last message", true, async || Ok(before().await?.is_some())).await?;
        Ok(before().await?.context("the count")?.parse()?)
    }
}
