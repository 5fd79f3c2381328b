//! The register service: which peers are told the gateways' addresses, and when.

use gateway_tests::{Server, soon};
use gateway_wire::gatewayworker::RegisterLine;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

struct Peer(BufReader<TcpStream>);

impl Peer {
    async fn say(server: &Server, line: RegisterLine) -> anyhow::Result<Self> {
        let mut peer = Self(BufReader::new(TcpStream::connect(server.register[0]).await?));
        peer.write(line).await?;
        Ok(peer)
    }

    async fn write(&mut self, line: RegisterLine) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        line.encode(&mut bytes);
        Ok(self.0.write_all(&bytes).await?)
    }

    async fn addresses(&mut self) -> anyhow::Result<Vec<String>> {
        let mut line = Vec::new();
        soon("addresses", self.0.read_until(b'\n', &mut line)).await??;
        match RegisterLine::decode(&line)? {
            RegisterLine::BroadcastAddresses { addresses, .. } => Ok(addresses),
            other => anyhow::bail!("{other:?} instead of addresses"),
        }
    }
}

#[tokio::test]
async fn workers_are_told_of_every_change() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let own = server.register[0].to_string();
    let mut worker = Peer::say(&server, RegisterLine::WorkerConnect { secret_key: String::new() }).await?;
    assert_eq!(worker.addresses().await?, [own.as_str()]);
    worker.write(RegisterLine::Ping).await?;

    let address = "10.9.8.7:2900".to_owned();
    let connect = || RegisterLine::GatewayConnect { address: address.clone(), secret_key: String::new() };
    let gateway = Peer::say(&server, connect()).await?;
    assert_eq!(worker.addresses().await?, [own.as_str(), address.as_str()]);
    let mut late = Peer::say(&server, RegisterLine::WorkerConnect { secret_key: String::new() }).await?;
    assert_eq!(late.addresses().await?, [own.as_str(), address.as_str()]);

    drop(gateway);
    for worker in [&mut worker, &mut late] {
        assert_eq!(worker.addresses().await?, [own.as_str()]);
    }
    Ok(())
}

#[tokio::test]
async fn the_address_told_is_the_one_in_client_ids() -> anyhow::Result<()> {
    let server = Server::start(&["--node", "127.0.0.9:7777"]).await?;
    let client = gateway_tests::Client::connect(server.websocket).await?;
    let mut worker = Peer::say(&server, RegisterLine::WorkerConnect { secret_key: String::new() }).await?;
    assert_eq!(worker.addresses().await?, [client.id.node.to_string()]);
    Ok(())
}
