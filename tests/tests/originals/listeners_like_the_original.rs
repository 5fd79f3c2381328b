//! Clients that do not speak websocket get the same bytes from a gateway of GatewayWorker and from our listeners. The tests
//! are skipped where its sources are not present.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{
    BusinessWorkers, OriginalGateway, OriginalStack, PlainClient, Server, eventually, root, skip, soon,
};
use tokio::process::Command;

/// The last message, after whose echo a client has got everything.
const LAST: &str = "the last one";

/// The bytes that a client of that protocol sends.
fn input(protocol: &str) -> Vec<u8> {
    let messages = ["hello", "", "中文", &"long ".repeat(10_000), LAST];
    let mut bytes = Vec::new();
    for message in messages {
        match protocol {
            "frame" => {
                bytes.extend_from_slice(&(4 + message.len() as u32).to_be_bytes());
                bytes.extend_from_slice(message.as_bytes());
            }
            // A line may end by a line feed alone or by a carriage return and a line feed.
            "text" if message == "hello" => bytes.extend_from_slice(b"hello\r\n"),
            "text" => bytes.extend_from_slice(format!("{message}\n").as_bytes()),
            _ => bytes.extend_from_slice(message.as_bytes()),
        }
    }
    bytes
}

/// Connects a client that sends its input, and gives it together with all bytes that it got. Its id is replaced, because that
/// is another one each time.
async fn talk(protocol: &str, address: SocketAddr) -> anyhow::Result<(PlainClient, String)> {
    let mut client = PlainClient::connect(address).await?;
    client.write(&input(protocol)).await?;
    let mut got = Vec::new();
    while !got.ends_with(LAST.as_bytes()) {
        got.extend(client.bytes(1).await.with_context(|| {
            format!(
                "{protocol} at {address} behind {:?}",
                String::from_utf8_lossy(&got[..got.len().min(200)])
            )
        })?);
    }
    if protocol == "text" {
        got.extend(client.bytes(1).await?);
    }
    let text = String::from_utf8_lossy(&got).into_owned();
    let id = text.split("\"client_id\":\"").nth(1).and_then(|rest| rest.get(..20)).unwrap_or_default();
    Ok((client, text.replace(id, "(id)")))
}

#[tokio::test]
async fn text_frame_and_tcp_are_the_same_bytes() -> anyhow::Result<()> {
    if let Some(reason) = OriginalStack::missing() {
        skip("text_frame_and_tcp_are_the_same_bytes", &reason);
        return Ok(());
    }
    for protocol in ["text", "frame", "tcp"] {
        let server = Server::start(&["--listener", &format!("{protocol}://127.0.0.1:0")]).await?;
        let register = server.register[0];
        let echo = root().join("tests/php/echo/Events.php");
        let _workers = BusinessWorkers::start_with(echo, register, 1, "").await?;
        let original = OriginalGateway::start(protocol, register).await?;
        // The worker greets the clients of a gateway once it knows that gateway.
        for address in [server.listeners[0], original.address] {
            let is_greeted = async || {
                let mut client = PlainClient::connect(address).await?;
                Ok(tokio::time::timeout(Duration::from_secs(1), client.bytes(20))
                    .await
                    .is_ok_and(|it| it.is_ok()))
            };
            eventually("a worker greets", true, is_greeted).await?;
        }
        let (mut here, ours) = talk(protocol, server.listeners[0]).await?;
        let (mut there, theirs) = talk(protocol, original.address).await?;
        assert!(ours == theirs, "{protocol}: {} and {} bytes", ours.len(), theirs.len());

        // A raw message goes out as it is, without the protocol's frame.
        let code = format!(
            "require '{}'; GatewayClient\\Gateway::$registerAddress = '{register}'; \
             GatewayClient\\Gateway::sendToAll('raw bytes', null, null, true);",
            root().join("tests/php/gatewayworker/autoload.php").display()
        );
        let mut php = Command::new("php");
        php.arg("-n").arg("-r").arg(code).stderr(Stdio::inherit());
        anyhow::ensure!(soon("PHP", php.status()).await??.success());
        for client in [&mut here, &mut there] {
            assert_eq!(client.bytes(9).await?, b"raw bytes", "{protocol}");
        }
    }
    Ok(())
}
