//! Runs the commands of a page, or checks what they name.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use gateway_tests::{
    Client, PhpPeer, ProcessGroup, Server, lay_out, php, php_of_the_machine, root, store_folder,
};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;
use tempfile::TempDir;
use tokio::process::Command;

use super::how::How::{self, NotRun, Run, RunBy};
use super::how::{BUILDS, FETCHES};
use super::lines::{Line, words};
use super::{mirrors, servers, succeeds};

/// The client_id that the documents use as an example of a client that is online.
const CLIENT: &str = "7f00000104d6a3f1c2b4";

/// The surroundings in which the commands run: a server, a client, and a folder.
pub(super) struct Sandbox {
    server: Server,
    client: Client,
    _store: TempDir,
    /// The folder in which the commands of a page run that has files of its own.
    folder: TempDir,
}

fn exists(path: &Path) -> anyhow::Result<()> {
    ensure!(path.exists(), "there is no {}", path.display());
    Ok(())
}

impl Sandbox {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let store = store_folder()?;
        let file = store.path().join("inbox").display().to_string();
        let server = Server::start(&["--operations", "127.0.0.1:0", "--store", &file]).await?;
        let client = Client::connect(server.websocket).await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        php.bind(client.id, "7").await?;
        php.order(Order::JoinGroup { client: client.id, group: Bytes::new(b"news") }).await?;
        php.acked().await?;
        Ok(Self { server, client, _store: store, folder: TempDir::with_prefix("gateway-test-commands-")? })
    }

    /// Writes the files that the page shows, and those that it expects the reader to have.
    pub(super) fn lay_out(&mut self, page: &str) -> anyhow::Result<()> {
        self.folder = TempDir::with_prefix("gateway-test-commands-")?;
        std::fs::write(self.path("FILE"), "ping_interval = 25\n")?;
        lay_out(page, self.folder.path())
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Finds a file in the page's own folder, or else in the project's.
    fn find(&self, file: &str) -> anyhow::Result<PathBuf> {
        let own = self.path(file);
        if own.exists() {
            return Ok(own);
        }
        let path = root().join(file);
        exists(&path)?;
        Ok(path)
    }

    /// Checks a command; `folder` is where the commands before it have changed to.
    pub(super) async fn check(
        &mut self,
        line: &Line,
        command: &str,
        folder: &mut PathBuf,
    ) -> anyhow::Result<How> {
        if let Some(rest) = command.strip_prefix("export ") {
            let name = rest.split('=').next().unwrap_or_default();
            let script = format!("set -e; export {rest}; test -n \"${name}\"");
            return succeeds(Command::new("bash").args(["-ec", &script])).await.map(|_| Run);
        }
        let words = words(command);
        let mut words = words.iter().map(String::as_str).peekable();
        while words.next_if(|word| *word == "sudo" || *word == "env" || word.contains('=')).is_some() {}
        let program = words.next().context("no command")?;
        let program = program.strip_prefix("/path/to/push-gateway/").unwrap_or(program);
        let arguments: Vec<_> = words.collect();
        match program {
            "cd" => {
                folder.push(arguments.first().context("cd to where?")?);
                exists(folder).map(|()| Run)
            }
            // phpize makes the Makefile for these commands.
            "phpize" | "./configure" => {
                exists(&folder.join("config.m4")).map(|()| RunBy("scripts/test-install"))
            }
            "make" if folder.join("config.m4").exists() => {
                ensure!(
                    arguments.iter().all(|target| ["test", "install"].contains(target)),
                    "phpize makes no such target"
                );
                Ok(RunBy("scripts/test-install"))
            }
            "make" => {
                succeeds(Command::new("make").arg("-n").args(&arguments).current_dir(&*folder)).await?;
                Ok(BUILDS)
            }
            "cargo" => {
                let value = |flag| arguments.iter().skip_while(|word| **word != flag).nth(1);
                let package = format!("name = \"{}\"\n", value("-p").context("of which package?")?);
                let folders =
                    ["gateway-wire", "gateway-server", "php-ext", "php-ext/link", "examples", "tests"];
                let files =
                    folders.map(|folder| std::fs::read_to_string(root().join(folder).join("Cargo.toml")));
                ensure!(
                    files.into_iter().flatten().any(|file| file.contains(&package)),
                    "there is no such package"
                );
                let test = |name| exists(&root().join(format!("tests/tests/{name}/main.rs")));
                value("--test").map_or(Ok(()), test).map(|()| BUILDS)
            }
            "gateway-server" | "target/release/gateway-server" => {
                servers::run(&arguments, &self.server, self.folder.path()).await
            }
            "php" => self.php(&arguments).await,
            "curl" if command.contains("https://rsproxy.cn/rustup-init.sh") => Ok(FETCHES),
            "curl" => self.curl(line, command).await.map(|()| Run),
            "install" => match arguments.iter().find(|word| !word.starts_with('-')) {
                Some(&"target/release/gateway-server") => Ok(RunBy("tests/tests/machine/systemd.rs")),
                source => exists(&root().join(source.context("install what?")?))
                    .map(|()| RunBy("tests/tests/machine/systemd.rs")),
            },
            "systemctl" => match arguments[..] {
                ["daemon-reload"] => Ok(RunBy("tests/tests/machine/systemd.rs")),
                [.., unit] => exists(&root().join(format!("packaging/systemd/{unit}.service")))
                    .map(|()| RunBy("tests/tests/machine/systemd.rs")),
                [] => bail!("systemctl what?"),
            },
            "pecl" => {
                let package = format!("target/pecl/gateway-{}.tgz", env!("CARGO_PKG_VERSION"));
                ensure!(arguments == ["install", &package], "`make pecl` writes {package}");
                Ok(RunBy("scripts/test-install"))
            }
            "sed" | "npm" | "pip" | "apt-get" => mirrors::run(program, command, self.folder.path()).await,
            "composer" if arguments.starts_with(&["config", "--global"]) => {
                mirrors::run(program, command, self.folder.path()).await
            }
            "composer" if arguments.first() == Some(&"config") => {
                let path = arguments.last().and_then(|path| path.strip_prefix("/path/to/push-gateway/"));
                exists(&root().join(path.context("no folder of ours")?.trim_end_matches("/*")))?;
                Ok(RunBy("tests/tests/yii2/quick_start.rs"))
            }
            "composer" if arguments == ["require", "workerman/gatewayclient"] => {
                Ok(RunBy("tests/tests/yii2/quick_start.rs"))
            }
            "composer" if arguments.first() == Some(&"require") => {
                let name =
                    arguments.last().and_then(|name| name.strip_prefix("push-gateway/")?.split(':').next());
                let name = format!("  \"name\": \"push-gateway/{}\",\n", name.context("not ours")?);
                let packages = std::fs::read_dir(root().join("php"))?.flatten();
                let mut files = packages.map(|package| package.path().join("composer.json"));
                let is_it = |file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&name));
                ensure!(files.any(is_it), "no folder of php/ has that package");
                Ok(RunBy("scripts/php-packages"))
            }
            "vendor/bin/gateway-worker" => {
                let script = [&["php/worker/bin/gateway-worker"], &*arguments].concat();
                self.php(&script).await
            }
            // The command must work in the root as well as in the folder of the packages, so both files must have the script.
            "composer" => {
                let script = format!("    \"{}\": ", arguments.first().context("which script?")?);
                ["composer.json", "php/composer.json"].iter().try_for_each(|file| {
                    let text = std::fs::read_to_string(root().join(file))?;
                    let scripts = text.split("\"scripts\": {").nth(1).and_then(|rest| rest.split('}').next());
                    ensure!(
                        scripts.is_some_and(|scripts| scripts.contains(&script)),
                        "{file} has no {script}"
                    );
                    anyhow::Ok(())
                })?;
                Ok(RunBy("scripts/test"))
            }
            "docker" => {
                let files = arguments.iter().filter(|word| word.starts_with("docker/"));
                files.clone().try_for_each(|file| exists(&root().join(file)))?;
                Ok(RunBy("tests/tests/machine/images.rs"))
            }
            "groupadd" => {
                let unit = std::fs::read_to_string(root().join("packaging/systemd/gateway-server.service"))?;
                let group = arguments.last().context("which group?")?;
                ensure!(
                    unit.contains(&format!("SupplementaryGroups={group}\n")),
                    "the unit has no such group"
                );
                Ok(RunBy("tests/tests/machine/systemd.rs"))
            }
            "/usr/lib/push-gateway/certbot-hook" => {
                exists(&root().join("packaging/certbot/push-gateway"))?;
                Ok(RunBy("tests/tests/machine/systemd.rs"))
            }
            script if script.starts_with("scripts/") || script.starts_with("php-ext/") => {
                exists(&root().join(script))?;
                Ok(NotRun("the page names a script, which `make test` or another target of make runs"))
            }
            _ => bail!(
                "no test knows the command `{program}`: tests/tests/documents/commands/sandbox.rs has to say how it is checked"
            ),
        }
    }

    async fn php(&self, arguments: &[&str]) -> anyhow::Result<How> {
        // tests/tests/browser/readme.rs runs these commands with the extension.
        let loaded = ["-d", "extension=/path/to/push-gateway/target/release/libgateway.so"];
        match arguments.strip_prefix(&loaded).unwrap_or(arguments) {
            ["-S", _, rest @ ..] => {
                let mut command = std::process::Command::new("php");
                command.args(["-S", "127.0.0.1:0"]).current_dir(root());
                for word in rest {
                    let is_flag = word.starts_with('-');
                    command.arg(if is_flag { PathBuf::from(word) } else { self.find(word)? });
                }
                ProcessGroup::start(command, " started").await.map(|_| Run)
            }
            [flag, ..] if flag.starts_with('-') => succeeds(php()?.args(arguments)).await.map(|_| Run),
            [script, rest @ ..] if script.ends_with("/gateway-worker") => {
                let mut help = Command::from(php_of_the_machine()?);
                let help = succeeds(help.arg(self.find(script)?).arg("help")).await?;
                let named = rest.iter().map(|word| word.split('=').next().unwrap_or_default());
                let unknown: Vec<_> =
                    named.filter(|word| !word.ends_with(".php") && !help.contains(*word)).collect();
                ensure!(unknown.is_empty(), "`gateway-worker help` knows no {unknown:?}");
                Ok(RunBy("tests/tests/php/worker_runner.rs"))
            }
            [script, ..] => succeeds(php()?.arg("-l").arg(self.find(script)?))
                .await
                .map(|_| RunBy("tests/tests/browser/recipes.rs")),
            [] => bail!("php what?"),
        }
    }

    /// Makes the request to the server that runs here, to which the documents' client is connected.
    async fn curl(&self, line: &Line, command: &str) -> anyhow::Result<()> {
        let id = self.client.id.to_string();
        let operations = self.server.operations.context("an operations port")?.to_string();
        let command = command.replace("127.0.0.1:1239", &operations).replace(CLIENT, &id);
        ensure!(command.contains(&operations), "it asks another port than 127.0.0.1:1239");
        let printed =
            succeeds(Command::new("bash").args(["-c", &format!("{command} --silent --show-error --fail")]))
                .await?;
        let said = line.prints.as_ref().context("the page does not say what it prints")?.replace(CLIENT, &id);
        ensure!(printed.trim() == said, "it prints {printed}, and the page says {said}");
        Ok(())
    }
}
