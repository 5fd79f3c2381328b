//! Every command in the documents works. Commands that can run here are run; those that would install or build something must
//! name a target, a file or a flag that exists. A command that is not known here fails the test, so that a way to check it is
//! added below.

use std::path::{Path, PathBuf};
use std::process::Output;

use anyhow::{Context as _, bail, ensure};
use gateway_tests::{
    Client, PhpPeer, ProcessGroup, Server, fences, lay_out, php, php_of_the_machine, root, server_binary,
    soon,
};
use gateway_wire::bridge::Order;
use serde_bytes::Bytes;
use tempfile::TempDir;
use tokio::process::Command;

/// The client_id that the documents use as an example of a client that is online.
const CLIENT: &str = "7f00000104d6a3f1c2b4";

/// A line of a page, as a reader would paste it, and the output that the page shows for it.
struct Line {
    text: String,
    prints: Option<String>,
}

/// The surroundings in which the commands run: a server, a client, and a folder.
struct Sandbox {
    server: Server,
    client: Client,
    /// The folder in which the commands of a page run that has files of its own.
    folder: TempDir,
}

/// Gives the pages whose commands are checked here. The test of `examples/` runs the commands there.
fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let names = [
        "README.md",
        "README.zh-CN.md",
        "UPGRADE.md",
        "UPGRADE.zh-CN.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ];
    let mut pages: Vec<_> = names.iter().map(|name| root().join(name)).collect();
    let mut folders =
        ["docs", "docs/recipes", "php", "php-ext", "docker", "packaging"].map(PathBuf::from).to_vec();
    for package in std::fs::read_dir(root().join("php"))? {
        folders.push(package?.path());
    }
    for folder in folders.iter().map(|folder| root().join(folder)).filter(|folder| folder.is_dir()) {
        for entry in std::fs::read_dir(folder)? {
            pages.push(entry?.path());
        }
    }
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    Ok(pages)
}

/// The sections whose commands are run by `yii2/quick_start.rs`, in an application of Yii 2.
const RUN_ELSEWHERE: [&str; 4] =
    ["Live pages in ten minutes\n", "Install the package\n", "十分钟做出实时页面\n", "安装这个包\n"];

/// Gives the page without the sections whose commands another test runs.
fn without_what_runs_elsewhere(page: &str) -> String {
    let sections = page.split("\n## ");
    let kept: Vec<_> = sections
        .filter(|section| !RUN_ELSEWHERE.iter().any(|heading| section.starts_with(heading)))
        .collect();
    kept.join("\n## ")
}

/// Gives the command lines of a block. A line goes on after a backslash and within quotes; lines that begin with a brace are
/// output.
fn lines(code: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = String::new();
    for part in code.lines() {
        if open.is_empty() && part.starts_with('{') {
            if let Some(line) = lines.last_mut() {
                line.prints = Some(part.to_owned());
            }
            continue;
        }
        open.push_str(part.strip_suffix('\\').unwrap_or(part));
        open.push(' ');
        if !part.ends_with('\\') && open.matches('\'').count().is_multiple_of(2) {
            let text = open.split(" # ").next().unwrap_or_default().trim().to_owned();
            if !text.is_empty() && !text.starts_with('#') {
                lines.push(Line { text, prints: None });
            }
            open.clear();
        }
    }
    lines
}

/// Gives the commands within the text, such as `make test`. Only code that begins with one of these words is taken for a
/// command; other code is mostly names.
fn inline(page: &str) -> Vec<Line> {
    let prose = page.split("```").step_by(2);
    let spans = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    let known = ["make ", "scripts/", "gateway-server ", "php ", "REWRITE=1 "];
    spans
        .filter(|span| known.iter().any(|start| span.starts_with(start)) && !span.ends_with('/'))
        .map(|span| Line {
            // The reader has to fill this in, so a number takes its place.
            text: span.replace("PORT", "1234").replace("端口", "1234").replace('\n', " "),
            prints: None,
        })
        .collect()
}

/// Splits a simple command into its words, without quotes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

async fn output(command: &mut Command) -> anyhow::Result<Output> {
    Ok(soon("the command's end", command.kill_on_drop(true).output()).await??)
}

async fn succeeds(command: &mut Command) -> anyhow::Result<String> {
    let output = output(command).await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, complaint.trim());
    Ok(String::from_utf8(output.stdout)?)
}

fn exists(path: &Path) -> anyhow::Result<()> {
    ensure!(path.exists(), "there is no {}", path.display());
    Ok(())
}

impl Sandbox {
    async fn start() -> anyhow::Result<Self> {
        let server = Server::start(&["--operations", "127.0.0.1:0"]).await?;
        let client = Client::connect(server.websocket).await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        php.bind(client.id, "7").await?;
        php.order(Order::JoinGroup { client: client.id, group: Bytes::new(b"news") }).await?;
        php.acked().await?;
        Ok(Self { server, client, folder: TempDir::with_prefix("gateway-test-commands-")? })
    }

    /// Writes the files that the page shows, and those that it expects the reader to have.
    fn lay_out(&mut self, page: &str) -> anyhow::Result<()> {
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
    async fn check(&mut self, line: &Line, command: &str, folder: &mut PathBuf) -> anyhow::Result<()> {
        if let Some(rest) = command.strip_prefix("export ") {
            let name = rest.split('=').next().unwrap_or_default();
            let script = format!("set -e; export {rest}; test -n \"${name}\"");
            return succeeds(Command::new("bash").args(["-ec", &script])).await.map(drop);
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
                exists(folder)
            }
            // phpize makes the Makefile for this command; scripts/test-install runs all of these.
            "phpize" | "./configure" => exists(&folder.join("config.m4")),
            "make" if folder.join("config.m4").exists() => {
                ensure!(
                    arguments.iter().all(|target| ["test", "install"].contains(target)),
                    "phpize makes no such target"
                );
                Ok(())
            }
            "make" => succeeds(Command::new("make").arg("-n").args(&arguments).current_dir(&*folder))
                .await
                .map(drop),
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
                value("--test").map_or(Ok(()), test)
            }
            "gateway-server" | "target/release/gateway-server" => self.server_command(&arguments).await,
            "php" => self.php(&arguments).await,
            "curl" => self.curl(line, command).await,
            "install" => match arguments.iter().find(|word| !word.starts_with('-')) {
                Some(&"target/release/gateway-server") => Ok(()),
                source => exists(&root().join(source.context("install what?")?)),
            },
            "systemctl" => match arguments[..] {
                ["daemon-reload"] => Ok(()),
                [.., unit] => exists(&root().join(format!("packaging/systemd/{unit}.service"))),
                [] => bail!("systemctl what?"),
            },
            "pecl" => {
                let package = format!("target/pecl/gateway-{}.tgz", env!("CARGO_PKG_VERSION"));
                ensure!(arguments == ["install", &package], "`make pecl` writes {package}");
                Ok(())
            }
            "composer" if arguments.first() == Some(&"config") => {
                let path = arguments.last().and_then(|path| path.strip_prefix("/path/to/push-gateway/"));
                exists(&root().join(path.context("no folder of ours")?.trim_end_matches("/*")))
            }
            // `yii2/quick_start.rs` runs an application on it.
            "composer" if arguments == ["require", "workerman/gatewayclient"] => Ok(()),
            "composer" if arguments.first() == Some(&"require") => {
                let name =
                    arguments.last().and_then(|name| name.strip_prefix("push-gateway/")?.split(':').next());
                let name = format!("  \"name\": \"push-gateway/{}\",\n", name.context("not ours")?);
                let packages = std::fs::read_dir(root().join("php"))?.flatten();
                let mut files = packages.map(|package| package.path().join("composer.json"));
                let is_it = |file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(&name));
                ensure!(files.any(is_it), "no folder of php/ has that package");
                Ok(())
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
                    Ok(())
                })
            }
            "docker" => arguments
                .iter()
                .filter(|word| word.starts_with("docker/"))
                .try_for_each(|file| exists(&root().join(file))),
            // machine/systemd.rs runs both commands on a machine of its own.
            "groupadd" => {
                let unit = std::fs::read_to_string(root().join("packaging/systemd/gateway-server.service"))?;
                let group = arguments.last().context("which group?")?;
                ensure!(
                    unit.contains(&format!("SupplementaryGroups={group}\n")),
                    "the unit has no such group"
                );
                Ok(())
            }
            "/usr/lib/push-gateway/certbot-hook" => exists(&root().join("packaging/certbot/push-gateway")),
            script if script.starts_with("scripts/") || script.starts_with("php-ext/") => {
                exists(&root().join(script))
            }
            _ => bail!(
                "no test knows the command `{program}`: tests/tests/documents/commands.rs has to say how it is checked"
            ),
        }
    }

    /// Checks that the server accepts every flag and value; queries go to a server that runs.
    async fn server_command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let mut command = Command::new(server_binary()?);
        command.args(arguments).current_dir(self.folder.path());
        match arguments.first() {
            Some(&"check") => {}
            Some(&("status" | "connections")) => {
                let operations = self.server.operations.context("an operations port")?;
                command.env("GATEWAY_OPERATIONS", operations.to_string());
            }
            _ => _ = command.arg("--help"),
        }
        succeeds(&mut command).await.map(drop)
    }

    async fn php(&self, arguments: &[&str]) -> anyhow::Result<()> {
        // `browser/readme.rs` runs these commands with the extension.
        let loaded = ["-d", "extension=/path/to/push-gateway/target/release/libgateway.so"];
        match arguments.strip_prefix(&loaded).unwrap_or(arguments) {
            ["-S", _, rest @ ..] => {
                let mut command = std::process::Command::new("php");
                command.args(["-S", "127.0.0.1:0"]).current_dir(root());
                for word in rest {
                    let is_flag = word.starts_with('-');
                    command.arg(if is_flag { PathBuf::from(word) } else { self.find(word)? });
                }
                ProcessGroup::start(command, " started").await.map(drop)
            }
            [flag, ..] if flag.starts_with('-') => succeeds(php()?.args(arguments)).await.map(drop),
            [script, rest @ ..] if script.ends_with("/gateway-worker") => {
                let mut help = Command::from(php_of_the_machine()?);
                let help = succeeds(help.arg(self.find(script)?).arg("help")).await?;
                let named = rest.iter().map(|word| word.split('=').next().unwrap_or_default());
                let unknown: Vec<_> =
                    named.filter(|word| !word.ends_with(".php") && !help.contains(*word)).collect();
                ensure!(unknown.is_empty(), "`gateway-worker help` knows no {unknown:?}");
                Ok(())
            }
            // The recipes' own tests run these scripts.
            [script, ..] => succeeds(php()?.arg("-l").arg(self.find(script)?)).await.map(drop),
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_in_the_documents_works() -> anyhow::Result<()> {
    let mut sandbox = Sandbox::start().await?;
    let (mut known, mut wrong) = (0, Vec::new());
    for page in pages()? {
        let text = without_what_runs_elsewhere(&std::fs::read_to_string(&page)?);
        sandbox.lay_out(&text)?;
        let shell = fences(&text).into_iter().filter(|fence| ["sh", "bash"].contains(&&*fence.language));
        let blocks = shell.map(|fence| lines(&fence.code)).chain([inline(&text)]);
        for block in blocks {
            let mut folder = root();
            for line in block {
                for command in line.text.split(" && ") {
                    known += 1;
                    let command = command.trim().trim_end_matches('&').trim();
                    if let Err(error) = sandbox.check(&line, command, &mut folder).await {
                        wrong.push(format!("{}: {command}: {error:#}", page.display()));
                    }
                }
            }
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(known > 60, "only {known} were found");
    Ok(())
}

/// A command that does not exist and one that is not known are both reported.
#[tokio::test]
async fn a_command_that_does_not_work_is_told_of() -> anyhow::Result<()> {
    let mut sandbox = Sandbox::start().await?;
    let wrong = [
        ("make no-such-target", "No rule to make target"),
        ("gateway-server --no-such-flag", "--no-such-flag"),
        ("gateway-server check missing.toml", "missing.toml"),
        ("php php/worker/bin/gateway-worker start Events.php --no-such-flag", "--no-such-flag"),
        ("php -r 'exit(1);'", "exit status: 1"),
        ("install -D no/such/file /usr/local/bin/file", "there is no"),
        ("frobnicate everything", "no test knows the command `frobnicate`"),
        ("curl --json '{}' http://127.0.0.1:1239/api/noSuchOperation", "404"),
    ];
    for (command, complaint) in wrong {
        let line = Line { text: command.to_owned(), prints: Some("{}".to_owned()) };
        let error = sandbox.check(&line, command, &mut root()).await.err();
        let error = error.with_context(|| format!("{command} passes"))?.to_string();
        assert!(error.contains(complaint), "{command}: {error}");
    }
    Ok(())
}
