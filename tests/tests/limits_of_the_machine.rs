//! What the machine does not give: the server goes on with what it has.

use gateway_tests::{Client, PhpPeer, Server, eventually, soon};
use gateway_wire::bridge::Value;
use rlimit::Resource;
use tokio::net::TcpStream;

#[tokio::test]
async fn without_descriptors_accepting_pauses() -> anyhow::Result<()> {
    const PLACES: i64 = 10;
    let mut server = Server::start(&["--ping-interval", "0"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let limit = server.open_files()? as u64 + PLACES as u64;
    rlimit::prlimit(server.pid()?.as_raw(), Resource::NOFILE, Some((limit, limit)), None)?;

    let mut clients = Vec::new();
    for _ in 0..PLACES {
        clients.push(Client::connect(server.websocket).await?);
    }
    // More than may come in: the kernel holds them, and the server says so.
    let waiting: Vec<_> = (0..PLACES).map(|_| tokio::spawn(Client::connect(server.websocket))).collect();
    server.logs("cannot accept connections for a moment").await?;
    // Give or take a descriptor that the server had open for a moment.
    let Value::Int(count) = php.count().await? else { anyhow::bail!("no count") };
    assert!((PLACES..2 * PLACES).contains(&count), "{count} clients are in");

    // Those who are in are served, and the server does not spin.
    let before = server.cpu_ticks()?;
    for round in 0..20 {
        php.send_to_all(&round.to_string()).await?;
        for client in &mut clients {
            assert_eq!(client.text().await?, round.to_string());
        }
        // The passing of time is the point.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let spent = server.cpu_ticks()? - before;
    assert!(spent < 50, "{spent} hundredths of a second of CPU in one");

    // Whoever leaves makes room.
    for client in clients {
        client.leave().await?;
    }
    for client in waiting {
        client.await??.leave().await?;
    }
    eventually("all have left", Value::Int(0), async || php.count().await).await?;
    drop(soon("connecting", TcpStream::connect(server.websocket)).await??);
    Ok(())
}
