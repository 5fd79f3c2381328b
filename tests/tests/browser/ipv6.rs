//! Browsers and PHP that come over IPv6.

use std::net::{Ipv6Addr, SocketAddr};

use gateway_tests::{Client, PhpPeer, Server, WorkerPeer, new_producer, run_script, skip};
use gateway_wire::gatewayworker::EventCommand;

/// Gives whether this machine has IPv6; if not, the test is reported as skipped.
fn has_ipv6(test: &str) -> bool {
    let found = std::net::TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        skip(test, "this machine has no IPv6");
    }
    found
}

#[tokio::test]
async fn browsers_and_php_come_over_ipv6() -> anyhow::Result<()> {
    if !has_ipv6("browsers_and_php_come_over_ipv6") {
        return Ok(());
    }
    let server = Server::start(&["--websocket", "[::1]:0", "--register", "[::1]:0"]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    // A client id has room for an IPv4 address only, so it holds loopback and the register port's number.
    assert_eq!(SocketAddr::V4(tab.id.node), format!("127.0.0.1:{}", server.register[0].port()).parse()?);
    let register = server.register[0].to_string();
    assert!(register.starts_with("[::1]:"), "{register}");
    let said = run_script("bind_and_push.php", &[&register, "2"], &format!("{} 7\n", tab.id)).await?;
    assert_eq!(said.trim(), r#"{"online":1,"uids":1}"#);
    for number in 0..2 {
        let pushed: serde_json::Value = serde_json::from_str(&tab.text().await?)?;
        assert_eq!(pushed["number"], number);
    }
    Ok(())
}

#[tokio::test]
async fn one_listener_takes_both_and_knows_them_apart() -> anyhow::Result<()> {
    if !has_ipv6("one_listener_takes_both_and_knows_them_apart") {
        return Ok(());
    }
    let flags = ["--websocket", "[::]:0", "--max-connections-per-address", "1"];
    let mut server = Server::start(&flags).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "w:0").await?;
    server.logs("a worker joined").await?;
    let port = server.websocket.port();
    let mut sockets = Vec::new();
    for address in ["127.0.0.1", "::1"] {
        let at = SocketAddr::new(address.parse()?, port);
        sockets.push(Client::shake_hands(at, "/", &[]).await?);
        let mut told = worker.told().await?;
        while told.kind != EventCommand::WebsocketConnect {
            told = worker.told().await?;
        }
        let remote = format!("\"REMOTE_ADDR\";s:{}:\"{address}\"", address.len());
        let body = String::from_utf8_lossy(&told.body);
        assert!(body.contains(&remote), "{body}");
        assert!(Client::shake_hands(at, "/", &[]).await.is_err(), "a second one from {address}");
        let line = server.logs("refused a connection over the limit").await?;
        let peer = if address.contains(':') { format!("[{address}]:") } else { format!("{address}:") };
        assert!(line.contains(&format!("peer=\"{peer}")), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn ids_name_the_node_where_the_register_port_is_of_ipv6() -> anyhow::Result<()> {
    if !has_ipv6("ids_name_the_node_where_the_register_port_is_of_ipv6") {
        return Ok(());
    }
    let start = async |node: &[&str]| {
        Server::start_with(|command| {
            command.args(["--register", "[::]:0"]).args(node).env("GATEWAY_SECRET_KEY", "s");
        })
        .await
    };
    let server = start(&["--node", "192.0.2.1:7"]).await?;
    assert_eq!(Client::connect(server.websocket).await?.id.node, "192.0.2.1:7".parse()?);
    let server = start(&[]).await?;
    let port = server.register[0].port();
    assert_eq!(Client::connect(server.websocket).await?.id.node, format!("127.0.0.1:{port}").parse()?);
    // The same port accepts IPv4, too.
    PhpPeer::connect_as(("127.0.0.1", port), new_producer(), b"s").await?;
    Ok(())
}
