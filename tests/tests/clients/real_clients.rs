//! Websocket clients that are in wide use, each in a small program of tests/clients: the program sends every message back
//! until "bye", pings, and closes once it has the pong. Clients that are not installed are skipped; `scripts/setup test`
//! installs what Debian and npm have, except Go, which is large.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_tests::{Server, WorkerPeer, root, skip, soon};
use gateway_wire::gatewayworker::{Command as Order, EventCommand};
use tokio::process::Command;

/// The lengths in bytes of the messages that come in a row.
const LENGTHS: [usize; 4] = [10, 65_000, 300_000, 900_000];
/// The longest that a compiler may take on a busy machine.
const PATIENCE_WITH_COMPILERS: Duration = Duration::from_secs(300);

/// The command that runs a program, and the command that has to succeed before it: a look for what the program needs, or its
/// build.
struct Program {
    prepare: Command,
    run: Command,
    /// True if the test waits for the program's "ready" before it sends anything.
    is_waited_for: bool,
}

impl Program {
    fn new(prepare: Command, run: Command) -> Self {
        Self { prepare, run, is_waited_for: false }
    }
}

fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root().join("tests/clients")).kill_on_drop(true);
    command.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
    command
}

/// A program in Node.js. Its packages are those that `scripts/npm-clients` has fetched, or else Debian's, which Node.js finds
/// by itself.
fn node(package: &str, file: &str) -> Program {
    let node = |args: &[&str]| {
        let mut command = command("node", args);
        command.env("NODE_PATH", root().join("target/clients/node_modules"));
        command
    };
    Program::new(node(&["-e", &format!("require('{package}')")]), node(&[file]))
}

fn python(module: &str, file: &str) -> Program {
    // Debian's packages belong to Debian's own Python.
    let python = if Path::new("/usr/bin/python3").exists() { "/usr/bin/python3" } else { "python3" };
    Program::new(command(python, &["-c", &format!("import {module}")]), command(python, &["-u", file]))
}

fn go(file: &str, folder: &Path) -> Program {
    let built = folder.join("client").display().to_string();
    Program::new(command("go", &["build", "-o", &built, file]), command(&built, &[]))
}

async fn try_it(test: &str, program: impl Fn(&Path) -> Program) -> anyhow::Result<()> {
    for (kind, flags) in [("text", ["--message-type", "text"]), ("binary", ["--message-type", "binary"])] {
        let folder = tempfile::tempdir()?;
        let Program { mut prepare, mut run, is_waited_for } = program(folder.path());
        let prepared = tokio::time::timeout(PATIENCE_WITH_COMPILERS, prepare.output()).await?;
        match prepared {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let reason = String::from_utf8_lossy(&output.stderr);
                // Node.js prints more after the line with the error.
                let error = reason.lines().find(|line| line.starts_with("Error: "));
                let said = error.or_else(|| reason.trim().lines().last());
                skip(test, said.unwrap_or("what it needs is missing"));
                return Ok(());
            }
            Err(error) => {
                skip(test, &format!("{:?}: {error}", prepare.as_std().get_program()));
                return Ok(());
            }
        }
        converse(&mut run, is_waited_for, folder.path(), &flags)
            .await
            .with_context(|| format!("{test}, {kind}"))?;
    }
    Ok(())
}

async fn converse(
    run: &mut Command,
    is_waited_for: bool,
    folder: &Path,
    flags: &[&str],
) -> anyhow::Result<()> {
    let flags =
        [flags, &["--shards", "2", "--ping-interval", "1", "--ping-not-response-limit", "60"]].concat();
    let mut server = Server::start(&flags).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    server.logs("a worker joined").await?;
    let url = format!("ws://{}/", server.websocket);
    let client = run.arg(url).arg(folder).stdout(Stdio::piped()).spawn()?;
    let connection = worker.told_of(EventCommand::Connect).await?.client.connection;
    if is_waited_for {
        ensure!(worker.message().await?.1 == "ready");
    }
    let messages = LENGTHS.map(|length| "m".repeat(length));
    for message in &messages {
        worker.order(Order::SendToOne { connection, message: message.as_bytes(), raw: false }).await?;
    }
    for message in &messages {
        let (_, back) = worker.message().await?;
        ensure!(back == *message, "{} bytes came back instead of {}", back.len(), message.len());
    }
    worker.order(Order::SendToOne { connection, message: b"bye", raw: false }).await?;
    worker.told_of(EventCommand::Close).await?;
    let output = soon("the client's end", client.wait_with_output()).await??;
    ensure!(output.status.success(), "the client: {}", output.status);
    let said = String::from_utf8(output.stdout)?;
    // The client of Workerman prints more lines.
    ensure!(said.lines().any(|line| line == "closed 1000"), "the client says {said:?}");
    Ok(())
}

macro_rules! clients {
    ($($test:ident: $program:expr;)*) => {$(
        #[tokio::test]
        async fn $test() -> anyhow::Result<()> {
            try_it(stringify!($test), $program).await
        }
    )*};
}

clients! {
    ws: |_| node("ws", "ws_client.js");
    faye_websocket: |_| node("faye-websocket", "faye_client.js");
    websocket_of_npm: |_| node("websocket", "websocket_client.js");
    websockets: |_| python("websockets", "websockets_client.py");
    websocket_client: |_| python("websocket", "websocket_client.py");
    aiohttp: |_| python("aiohttp", "aiohttp_client.py");
    trio_websocket: |_| python("trio_websocket", "trio_websocket_client.py");
    ws4py: |_| Program { is_waited_for: true, ..python("ws4py", "ws4py_client.py") };
    qwebsocket: |_| python("PyQt5.QtWebSockets", "qt_client.py");
    protocol_websocket: |_| Program::new(command("perl", &["-MProtocol::WebSocket", "-e", "1"]), command("perl", &["protocol_websocket_client.pl"]));
    libwebsockets: |folder| {
        let built = folder.join("client").display().to_string();
        Program::new(command("cc", &["-o", &built, "lws_client.c", "-lwebsockets"]), command(&built, &[]))
    };
    gorilla: |folder| go("gorilla_client.go", folder);
    nhooyr: |folder| go("nhooyr_client.go", folder);
    async_tcp_connection: |_| Program::new(command("php", &["-r", "getenv('WORKERMAN_PATH') || exit(fwrite(STDERR, 'WORKERMAN_PATH is not set'));"]), command("php", &["workerman_client.php"]));
}
