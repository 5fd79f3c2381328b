//! Programs that run for long, as docs/long-running.md has them.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::{SinkExt as _, StreamExt as _};
use gateway_tests::{Client, Server, lay_out, php_of_the_machine, root, skip, soon};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn octane_flushes_at_the_end_of_each_request() -> anyhow::Result<()> {
    const TEST: &str = "octane_flushes_at_the_end_of_each_request";
    let Some(octane) = std::env::var_os("OCTANE_PATH") else {
        skip(TEST, "OCTANE_PATH does not name the sources of laravel/octane");
        return Ok(());
    };
    let laravel = std::env::var("LARAVEL_AUTOLOAD")
        .unwrap_or_else(|_| "/usr/share/php/Illuminate/autoload.php".to_owned());
    if !Path::new(&laravel).exists() {
        skip(TEST, "no Laravel: Debian has it as php-laravel-framework");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    lay_out(&std::fs::read_to_string(root().join("docs/long-running.md"))?, folder.path())?;
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, "anna").await?;
    let mut command = php_of_the_machine()?;
    // Debian's Laravel is older than PHP's latest deprecations.
    command.args(["-d", "error_reporting=22527"]);
    command.arg(root().join("tests/php/long_running/octane.php")).arg(server.register[0].to_string());
    command.args(["anna", &laravel]).arg(octane).arg(folder.path());
    let output = soon("PHP", tokio::task::spawn_blocking(move || command.output())).await???;
    let complaints = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success() && complaints.is_empty(), "{}: {complaints}", output.status);
    let acked: Vec<usize> = serde_json::from_slice(&output.stdout)?;
    assert!(acked.into_iter().eq((1..=50).map(|request| 3 * request)));
    for request in 1..=50 {
        for message in 0..3 {
            assert_eq!(client.text().await?, format!("request {request} message {message}"));
        }
    }
    Ok(())
}

/// Forwards connections until it is told that they are forgotten: then it swallows what comes over those that are open, as a firewall does
/// that has dropped them from its table. New ones are forwarded.
async fn forgetful(listener: TcpListener, to: std::net::SocketAddr, forgotten: watch::Receiver<u64>) {
    loop {
        let Ok((from, _)) = listener.accept().await else { return };
        let mut forgotten = forgotten.clone();
        forgotten.mark_unchanged();
        tokio::spawn(async move {
            let mut from = from;
            let mut to = TcpStream::connect(to).await?;
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                _ = forgotten.changed() => {
                    // Both ends stay open, and nobody hears the other any more.
                    let (mut from, _answers) = from.into_split();
                    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
                }
            }
            anyhow::Ok(())
        });
    }
}

/// Reads the next text, however long that takes; the server pings meanwhile.
async fn late_text(client: &mut Client) -> anyhow::Result<String> {
    loop {
        match client.socket.next().await.context("the connection was closed")?? {
            Message::Text(text) => return Ok(text.to_string()),
            // Its pong waits to be sent.
            _ => client.socket.flush().await?,
        }
    }
}

/// The time after which the extension gives up a gateway that owes a confirmation.
const SILENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_queue_worker_whose_connection_was_forgotten_delivers_the_next_job_once() -> anyhow::Result<()> {
    const TEST: &str = "a_queue_worker_whose_connection_was_forgotten_delivers_the_next_job_once";
    let (Ok(yii), Ok(queue)) = (std::env::var("YII2_PATH"), std::env::var("YII2_QUEUE_PATH")) else {
        skip(
            TEST,
            "YII2_PATH and YII2_QUEUE_PATH do not name the sources of yiisoft/yii2/framework and yiisoft/yii2-queue/src",
        );
        return Ok(());
    };
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, "anna").await?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (forget, forgotten) = watch::channel(0);
    let proxy = tokio::spawn(forgetful(listener, server.register[0], forgotten));
    let folder = tempfile::tempdir()?;
    let script = root().join("tests/php/long_running/queue.php");
    let command = || {
        let mut command = tokio::process::Command::from(php_of_the_machine()?);
        command.arg(&script).arg(folder.path()).arg(address.to_string()).kill_on_drop(true);
        command.env("YII2_PATH", &yii).env("YII2_QUEUE_PATH", &queue);
        anyhow::Ok(command)
    };
    let mut worker = command()?.arg("listen").spawn()?;
    let push = async |text: &str| {
        let pushed = soon("pushing a job", command()?.args(["push", text]).status()).await??;
        anyhow::ensure!(pushed.success(), "{pushed}");
        anyhow::Ok(())
    };
    push("first").await?;
    assert_eq!(client.text().await?, "first");
    forget.send_replace(1);
    push("second").await?;
    push("third").await?;
    assert_eq!(tokio::time::timeout(SILENCE * 2, late_text(&mut client)).await??, "second");
    assert_eq!(client.text().await?, "third");
    // Nothing came twice.
    push("last").await?;
    assert_eq!(client.text().await?, "last");
    worker.kill().await?;
    proxy.abort();
    Ok(())
}
