//! The interface of the composer package `gateway`: each of its implementations does the same with a real server.

use anyhow::Context as _;
use gateway_tests::{Client, GatewayContract, Greeted, Server, free_port, run_script, skip, store_folder};
use tokio::process::Command;

const SECRET: &str = "a secret of the register port";
const TOKEN_KEY: &str = "a-key-of-tokens-that-is-long-enough";
const OPERATIONS_TOKEN: &str = "t0ken/for+operations";

/// What GatewayClient cannot do.
const BEYOND_GATEWAY_CLIENT: [&str; 11] = [
    "$binary",
    "ask",
    "deliverToUid",
    "forget",
    "getClientInfo",
    "getClientProof",
    "inboxOf",
    "isClientProof",
    "receipt",
    "sendToGroupCounted",
    "sendToUidCounted",
];

fn prepared(command: &mut Command, store: &std::path::Path) {
    command.args(["--operations", "127.0.0.1:0", "--store"]).arg(store);
    command.arg("--register-unix").arg(store.with_extension("sock"));
    command.env("GATEWAY_SECRET_KEY", SECRET).env("GATEWAY_TOKEN_KEY", TOKEN_KEY);
    command.env("GATEWAY_OPERATIONS_TOKEN", OPERATIONS_TOKEN);
}

/// Runs the contract by a DSN that is made of the server's addresses, and uses the token that it has made; gives nothing when the test is
/// skipped.
async fn run(test: &str, dsn: impl FnOnce(&Server) -> String) -> anyhow::Result<Option<GatewayContract>> {
    if let Some(missing) = GatewayContract::missing()? {
        skip(test, &missing);
        return Ok(None);
    }
    let folder = store_folder()?;
    let server = Server::start_with(|command| prepared(command, &folder.path().join("inbox"))).await?;
    let contract = GatewayContract::run(&dsn(&server), server.websocket).await?;
    Greeted::connect(server.websocket, &format!("/?token={}", contract.token), &[]).await?;
    // It was for one connection.
    let again = Greeted::connect(server.websocket, &format!("/?token={}", contract.token), &[]).await;
    anyhow::ensure!(again.is_err(), "the token of {} is good for two connections", contract.class);
    Ok(Some(contract))
}

/// A text as it stands in a DSN.
fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

fn by_register(scheme: &str, server: &Server) -> String {
    format!("{scheme}://{}@{}?tokenKey={TOKEN_KEY}", escaped(SECRET), server.register[0])
}

#[tokio::test]
async fn by_the_extension_over_tcp() -> anyhow::Result<()> {
    let contract = run("by_the_extension_over_tcp", |server| by_register("gateway", server)).await?;
    let Some(contract) = contract else { return Ok(()) };
    assert_eq!(contract.class, r"PushGateway\ExtensionGateway");
    assert_eq!(contract.unsupported, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn by_the_extension_over_a_unix_socket() -> anyhow::Result<()> {
    let dsn = |server: &Server| {
        let place = server.unix.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        format!("extension://{}@{place}?tokenKey={TOKEN_KEY}", escaped(SECRET))
    };
    let contract = run("by_the_extension_over_a_unix_socket", dsn).await?;
    let Some(contract) = contract else { return Ok(()) };
    assert_eq!(contract.class, r"PushGateway\ExtensionGateway");
    assert_eq!(contract.unsupported, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn by_http() -> anyhow::Result<()> {
    let dsn = |server: &Server| {
        let operations = server.operations.map(|address| address.to_string()).unwrap_or_default();
        format!("http://{}@{operations}?tokenKey={TOKEN_KEY}", escaped(OPERATIONS_TOKEN))
    };
    let Some(contract) = run("by_http", dsn).await? else { return Ok(()) };
    assert_eq!(contract.class, r"PushGateway\HttpGateway");
    assert_eq!(contract.unsupported, Vec::<String>::new());
    Ok(())
}

/// The kinds of failures have the same numbers over HTTP as with the extension: 1 is unreachable, 3 refused and 4 a wrong argument.
#[tokio::test]
async fn a_failure_tells_its_kind() -> anyhow::Result<()> {
    if let Some(missing) = GatewayContract::missing()? {
        skip("a_failure_tells_its_kind", &missing);
        return Ok(());
    }
    let folder = store_folder()?;
    let server = Server::start_with(|command| prepared(command, &folder.path().join("inbox"))).await?;
    let client = Client::connect(server.websocket).await?;
    let (register, nobody) = (server.register[0], free_port()?);
    let operations = server.operations.context("a port")?;
    let extension = [
        format!("extension://{nobody}"),
        format!("extension://wrong@{register}"),
        format!("extension://{}@{register}", escaped(SECRET)),
    ];
    let http = [
        format!("http://{nobody}"),
        format!("http://wrong@{operations}"),
        format!("http://{}@{operations}", escaped(OPERATIONS_TOKEN)),
    ];
    let id = client.id.to_string();
    for dsns in [extension, http] {
        let arguments = [&[id.as_str()][..], &dsns.each_ref().map(String::as_str)[..]].concat();
        let kinds = run_script("packages/failures.php", &arguments, "").await?;
        assert_eq!(kinds, "1 3 true 4", "{dsns:?}");
    }
    Ok(())
}

/// Requests of one process while others take over: each message comes once and in order, and no call fails.
#[tokio::test]
async fn by_http_through_upgrades() -> anyhow::Result<()> {
    if let Some(missing) = GatewayContract::missing()? {
        skip("by_http_through_upgrades", &missing);
        return Ok(());
    }
    let mut server = Server::start(&["--operations", "127.0.0.1:0"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let (folder, id) = (tempfile::tempdir()?, client.id.to_string());
    let dsn = format!("http://{}", server.operations.context("a port")?);
    let stop = folder.path().join("stop");
    let place = stop.display().to_string();
    let sending =
        tokio::spawn(async move { run_script("packages/numbers.php", &[&dsn, &id, &place], "").await });
    let mut received = 0;
    for _ in 0..5 {
        let upgraded = server.upgrade().await?;
        anyhow::ensure!(upgraded["clients"] == 1, "{upgraded}");
        // Some come behind it.
        let wanted = received + 20;
        while received < wanted {
            received += 1;
            assert_eq!(client.text().await?, received.to_string());
        }
    }
    std::fs::write(&stop, "")?;
    let sent: usize = sending.await??.parse()?;
    while received < sent {
        received += 1;
        assert_eq!(client.text().await?, received.to_string());
    }
    Ok(())
}

#[tokio::test]
async fn by_gatewayclient() -> anyhow::Result<()> {
    if std::env::var_os("GATEWAYCLIENT_PATH").is_none_or(|path| path.is_empty()) {
        skip("by_gatewayclient", "GATEWAYCLIENT_PATH names no workerman/gatewayclient");
        return Ok(());
    }
    let contract = run("by_gatewayclient", |server| by_register("gatewayclient", server)).await?;
    let Some(contract) = contract else { return Ok(()) };
    assert_eq!(contract.class, r"PushGateway\GatewayClientGateway");
    assert_eq!(contract.unsupported, BEYOND_GATEWAY_CLIENT);
    Ok(())
}
