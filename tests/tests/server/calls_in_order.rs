//! GatewayClient opens a connection for each call: the calls of one process take effect in its order all the same.

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use gateway_tests::{Client, PhpPeer, Server, new_producer};
use gateway_wire::gatewayworker::Command;

const CALLS: usize = 3000;

/// Sends one call as a PHP process does: on a connection of its own, and without waiting for anything.
fn call(register: SocketAddr, secret: &str, number: usize) -> anyhow::Result<()> {
    let mut socket = TcpStream::connect(register)?;
    if !secret.is_empty() {
        let mut login = Vec::new();
        Command::ClientConnect { secret_key: secret.into() }.encode(&mut login)?;
        socket.write_all(&login)?;
    }
    let message = number.to_string();
    let order = Command::SendToUids { uids: vec!["ann".to_owned()], message: message.as_bytes(), raw: false };
    let mut bytes = Vec::new();
    order.encode(&mut bytes)?;
    // Every seventh call is written in two pieces, so that the next one could overtake it.
    let (start, rest) = bytes.split_at(if number.is_multiple_of(7) { 10 } else { bytes.len() });
    socket.write_all(start)?;
    Ok(socket.write_all(rest)?)
}

async fn in_order(secret: &'static str) -> anyhow::Result<()> {
    let server = Server::start_with(|command| {
        command.env("GATEWAY_SECRET_KEY", secret).args(["--shards", "2"]);
    })
    .await?;
    let register = server.register[0];
    let mut client = Client::connect(server.websocket).await?;
    let mut php = PhpPeer::connect_as(register, new_producer(), secret.as_bytes()).await?;
    php.bind(client.id, "ann").await?;
    php.count().await?;
    let calls =
        tokio::task::spawn_blocking(move || (0..CALLS).try_for_each(|number| call(register, secret, number)));
    for number in 0..CALLS {
        assert_eq!(client.text().await?, number.to_string());
    }
    calls.await?
}

#[tokio::test]
async fn calls_over_a_connection_each_do_not_overtake_each_other() -> anyhow::Result<()> {
    in_order("").await
}

#[tokio::test]
async fn neither_do_those_that_tell_the_secret_first() -> anyhow::Result<()> {
    in_order("s3cr3t").await
}
