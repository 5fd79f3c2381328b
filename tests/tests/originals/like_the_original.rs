//! All methods of the class give the same results, and every client gets the same messages, as on GatewayWorker.
//!
//! tests/php/scenario.expected holds what the original stack gave. Where its sources are present the test runs the original
//! again and compares; with RECORD=1 it writes the file. The original's client classes are also tried on our server.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::Context as _;
use gateway_tests::{Client, OriginalStack, Server, php, root, skip, soon};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

const CLIENTS: usize = 6;

/// Gives the results of the scenario's calls, followed by what each client received.
async fn transcript(mut php: Command, websocket: SocketAddr, register: SocketAddr) -> anyhow::Result<String> {
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        clients.push(Client::connect(websocket).await?);
    }
    php.arg(root().join("tests/php/scenario.php")).arg(register.to_string());
    php.args(clients.iter().map(|client| client.id.to_string())).stderr(Stdio::inherit());
    let output = soon("the scenario", php.output()).await??;
    anyhow::ensure!(output.status.success(), "the scenario: {}", output.status);

    let mut transcript = String::from_utf8(output.stdout)?;
    for (number, mut client) in clients.into_iter().enumerate() {
        loop {
            let received = match client.message().await {
                Ok(Message::Text(text)) => text.to_string(),
                // Only our server ends a connection with a close frame, so every end counts as the same.
                _ => "(closed)".to_owned(),
            };
            transcript.push_str(&format!("client {number} <- {received}\n"));
            if received == "end" || received == "(closed)" {
                break;
            }
        }
    }
    Ok(transcript)
}

/// The command that runs PHP for the original client. The original promises no order between calls, so each call gets some
/// time (SETTLE, in microseconds) to take effect.
fn original_php() -> Command {
    let mut php = Command::new("php");
    php.arg("-n").env("SETTLE", "3000");
    php
}

async fn original_transcript() -> anyhow::Result<String> {
    let stack = OriginalStack::start().await?;
    transcript(original_php(), stack.websocket, stack.register).await
}

fn recorded() -> anyhow::Result<String> {
    std::fs::read_to_string(root().join("tests/php/scenario.expected")).context("what was recorded")
}

#[tokio::test]
async fn the_extension_gives_what_the_original_gives() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let mut php = php()?;
    php.env_remove("GATEWAYCLIENT_PATH");
    let ours = transcript(php, server.websocket, server.register[0]).await?;
    assert_same(&ours, &recorded()?)
}

#[tokio::test]
async fn the_original_client_gives_the_same_on_our_server() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("the_original_client_gives_the_same_on_our_server", &reason);
        return Ok(());
    }
    for (secret, persistent) in [("", "0"), ("", "1"), ("geheim", "0"), ("geheim", "1")] {
        let server = Server::start_with(|command| {
            command.args(["--shards", "2"]).env("GATEWAY_SECRET_KEY", secret);
        })
        .await?;
        let mut php = original_php();
        php.env("SECRET_KEY", secret).env("PERSISTENT", persistent);
        let ours = transcript(php, server.websocket, server.register[0]).await?;
        assert_same(&ours, &recorded()?)
            .with_context(|| format!("secret {secret:?}, persistent {persistent}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn the_class_of_gatewayworker_itself_gives_the_same_on_our_server() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("the_class_of_gatewayworker_itself_gives_the_same_on_our_server", &reason);
        return Ok(());
    }
    // Only GatewayClient has these methods; the class of GatewayWorker's library does not.
    const MISSING: [&str; 3] = ["isUidsOnline", "batchGetClientIdByUid", "batchGetClientIdCountByGroup"];
    let is_there = |line: &&str| !MISSING.iter().any(|method| line.starts_with(&format!("[\"{method}\"")));
    let expected: String = recorded()?.lines().filter(is_there).map(|line| format!("{line}\n")).collect();
    for persistent in ["0", "1"] {
        let server = Server::start(&["--shards", "2"]).await?;
        let mut php = original_php();
        php.env("CLASS", r"GatewayWorker\Lib\Gateway").env("PERSISTENT", persistent);
        let ours = transcript(php, server.websocket, server.register[0]).await?;
        assert_same(&ours, &expected).with_context(|| format!("persistent {persistent}"))?;
    }
    Ok(())
}

#[tokio::test]
async fn a_file_of_the_original_client_is_what_runs_beside_the_extension() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("a_file_of_the_original_client_is_what_runs_beside_the_extension", &reason);
        return Ok(());
    }
    let server = Server::start(&["--shards", "2"]).await?;
    let file = Path::new(&std::env::var_os("GATEWAYCLIENT_PATH").context("set")?).join("Gateway.php");
    let autoload = root().join("tests/php/gatewayworker/autoload.php");
    // The class is loaded by `require`, as its manual shows, and by an autoloader like Composer's.
    for (first, class, settings) in [
        (&file, r"GatewayClient\Gateway", "1"),
        (&autoload, r"GatewayClient\Gateway", "1"),
        (&autoload, r"GatewayWorker\Lib\Gateway", "1"),
        (&autoload, r"GatewayWorker\Lib\Gateway", "eager"),
    ] {
        let code = format!(
            "require_once '{}'; {class}::$registerAddress = '{}'; echo json_encode({class}::getClientIdByUid('nobody')), ' by ',
             (new ReflectionClass({class}::class))->isInternal() ? 'ours' : 'theirs';",
            first.display(),
            server.register[0],
        );
        let mut php = php()?;
        php.arg("-d").arg(format!("gateway.aliases={settings}")).arg("-r").arg(code);
        let output = soon("PHP", php.output()).await??;
        let printed = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        assert_eq!(printed, "[] by theirs", "{class} from {}", first.display());
    }
    Ok(())
}

#[tokio::test]
async fn the_extension_gives_the_same_on_the_originals_gateway() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("the_extension_gives_the_same_on_the_originals_gateway", &reason);
        return Ok(());
    }
    let stack = OriginalStack::start().await?;
    let mut scenario = php()?;
    scenario.env_remove("GATEWAYCLIENT_PATH");
    let ours = transcript(scenario, stack.websocket, stack.register).await?;
    assert_same(&ours, &recorded()?)?;
    // Calls that the original gateways do not know end with an error, and nothing else is sent in their place.
    const OPTIONS: &str = "GatewayWorker's gateways cannot leave out groups";
    const TRACKED: &str = "GatewayWorker's gateways cannot say what has become of a message, or ask pages";
    const INBOX: &str =
        "GatewayWorker's gateways keep no messages for users who are not there; gateway-server can";
    for (call, why) in [
        ("closeUid('alice')", OPTIONS),
        ("sendToAll('x', exclude_group: 'red')", OPTIONS),
        ("sendToUid('alice', 'x', binary: true)", OPTIONS),
        ("sendToUidCounted('alice', 'x')", TRACKED),
        ("sendToGroupCounted('red', 'x')", TRACKED),
        ("ask('alice', 'x')", TRACKED),
        ("deliverToUid('alice', 'x')", INBOX),
        ("receipt('x')", INBOX),
        ("inboxOf('alice')", INBOX),
        ("forget('alice')", INBOX),
    ] {
        let code = format!(
            "Gateway::$registerAddress = '{}'; Gateway::{call}; Gateway::getAllClientIdCount();",
            stack.register
        );
        let output = soon("PHP", php()?.arg("-r").arg(code).output()).await??;
        let said = String::from_utf8(output.stderr)?;
        assert!(said.contains(why), "{call}: {said}");
    }
    Ok(())
}

/// A script that sends arrays to one client, and closes the other one with an array.
const ARRAYS: &str = r#"
use GatewayClient\Gateway;
[, Gateway::$registerAddress, $client, $other] = $argv;
$messages = [
    ['type' => 'comment', 'text' => "grüß \"/\"\n\u{2028}", 'by' => ['id' => 7, 'name' => null]],
    [1, -2, 2.5, 10.0, 1e25, 0.1 + 0.2, true, false, null, []],
    [7 => 'seven'],
    [],
    [[[]], ['0' => 'a', '1' => 'b'], ['1' => 'b', '0' => 'a']],
];
foreach ($messages as $message) {
    Gateway::sendToClient($client, $message);
    Gateway::sendToAll($message, [$client]);
    Gateway::sendToAll($message, null, $other);
}
Gateway::closeClient($other, ['type' => 'bye']);
"#;
const ARRAYS_SENT: usize = 15;

/// Gives what both clients got. It is sorted, because the original promises no order.
async fn arrays(
    mut php: Command,
    websocket: SocketAddr,
    register: SocketAddr,
) -> anyhow::Result<Vec<String>> {
    let (mut client, mut other) = (Client::connect(websocket).await?, Client::connect(websocket).await?);
    php.args([register.to_string(), client.id.to_string(), other.id.to_string()]);
    let output = soon("PHP", php.output()).await??;
    let said = String::from_utf8([output.stdout, output.stderr].concat())?;
    anyhow::ensure!(output.status.success() && said.is_empty(), "{said}");
    let mut got = Vec::new();
    for _ in 0..ARRAYS_SENT {
        got.push(client.text().await?.to_string());
    }
    got.sort();
    got.push(other.text().await?.to_string());
    Ok(got)
}

#[tokio::test]
async fn an_array_is_sent_as_the_json_that_the_original_makes_of_it() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let mut extension = php()?;
    extension.args(["-r", ARRAYS, "--"]);
    let ours = arrays(extension, server.websocket, server.register[0]).await?;
    assert_eq!(ours.last().map(String::as_str), Some(r#"{"type":"bye"}"#));
    assert!(ours.contains(&r#"{"7":"seven"}"#.to_owned()), "{ours:?}");
    if let Some(reason) = OriginalStack::missing() {
        let test = "an_array_is_sent_as_the_json_that_the_original_makes_of_it";
        skip(test, &reason);
        return Ok(());
    }
    let autoload = root().join("tests/php/gatewayworker/autoload.php");
    let original = || {
        let mut php = Command::new("php");
        php.args(["-n", "-r", &format!("require '{}';{ARRAYS}", autoload.display()), "--"]);
        php
    };
    assert_eq!(arrays(original(), server.websocket, server.register[0]).await?, ours);
    if !Path::new(&std::env::var_os("WORKERMAN_PATH").context("set")?).join("src").exists() {
        // The gateway of Workerman 4 does not make JSON of arrays, and throws instead.
        return Ok(());
    }
    let stack = OriginalStack::start().await?;
    let wanted = arrays(original(), stack.websocket, stack.register).await?;
    assert_eq!(wanted, ours);
    Ok(())
}

#[tokio::test]
async fn the_original_gives_what_was_recorded_of_it() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("the_original_gives_what_was_recorded_of_it", &reason);
        return Ok(());
    }
    let original = original_transcript().await?;
    let file = root().join("tests/php/scenario.expected");
    if std::env::var_os("RECORD").is_some() {
        return std::fs::write(file, original).context("recording");
    }
    assert_same(&original, &recorded()?)
}

fn assert_same(got: &str, expected: &str) -> anyhow::Result<()> {
    for (number, (got, expected)) in got.lines().zip(expected.lines()).enumerate() {
        anyhow::ensure!(got == expected, "line {}:\n     got {got}\nexpected {expected}", number + 1);
    }
    anyhow::ensure!(got.lines().count() == expected.lines().count(), "one of them ends early");
    Ok(())
}
