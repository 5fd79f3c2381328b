//! A cluster of real servers.

use std::net::SocketAddr;

use crate::{Client, Nats, PhpPeer, Server, Way, free_port, new_producer};

pub const SECRET: &str = "the cluster's secret";

pub struct Nodes {
    pub nats: Nats,
    pub nodes: Vec<Node>,
    flags: Vec<String>,
}

pub struct Node {
    pub server: Server,
    /// The proxy between this node and NATS.
    pub way: Way,
}

/// Flags of a server with its store in JetStream, which takes little of the disk's room: by itself it wants more than some machines have.
pub const IN_JETSTREAM: [&str; 4] = ["--store", "jetstream", "--store-bytes", "1000000000"];

impl Nodes {
    /// Starts NATS and `count` servers. Without NATS the test is reported as skipped, and this gives `None`.
    pub async fn start(test: &str, count: usize, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let Some(nats) = Nats::start(test).await? else { return Ok(None) };
        Self::over(nats, count, flags).await.map(Some)
    }

    /// Starts NATS with JetStream and `count` servers that keep the inbox there. Without a NATS that is new enough the test is reported
    /// as skipped, and this gives `None`.
    pub async fn start_with_inbox(test: &str, count: usize, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let Some(nats) = Nats::start_jetstream(test).await? else { return Ok(None) };
        Self::over(nats, count, &[&IN_JETSTREAM, flags].concat()).await.map(Some)
    }

    /// Starts `count` servers with this NATS.
    pub async fn over(nats: Nats, count: usize, flags: &[&str]) -> anyhow::Result<Self> {
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut nodes = Self { nats, nodes: Vec::new(), flags };
        for _ in 0..count {
            nodes.add().await?;
        }
        Ok(nodes)
    }

    pub async fn add(&mut self) -> anyhow::Result<()> {
        self.add_by(self.nats.address).await
    }

    /// Adds a node that reaches NATS by this address.
    pub async fn add_by(&mut self, nats: SocketAddr) -> anyhow::Result<()> {
        let way = Way::to(nats).await?;
        // Another process may take its place.
        let (websocket, register) = (free_port()?.to_string(), free_port()?.to_string());
        let server = self.server(&way, &["--websocket", &websocket, "--register", &register]).await?;
        self.nodes.push(Node { server, way });
        Ok(())
    }

    /// Starts another process in the place of a node, at the same addresses.
    pub async fn replace(&mut self, place: usize) -> anyhow::Result<()> {
        let Node { server, way } = &self.nodes[place];
        let (websocket, register) = (server.websocket.to_string(), server.register[0].to_string());
        let server = self.server(way, &["--websocket", &websocket, "--register", &register]).await?;
        self.nodes[place].server = server;
        Ok(())
    }

    async fn server(&self, way: &Way, flags: &[&str]) -> anyhow::Result<Server> {
        Server::start_with(|command| {
            command
                .args(["--cluster-nats", &format!("nats://{}", way.address)])
                .env("GATEWAY_SECRET_KEY", SECRET)
                .args(&self.flags)
                .args(flags);
        })
        .await
    }

    pub async fn php(&self, node: usize) -> anyhow::Result<PhpPeer> {
        PhpPeer::connect_as(self.nodes[node].server.register[0], new_producer(), SECRET.as_bytes()).await
    }

    pub async fn client(&self, node: usize) -> anyhow::Result<Client> {
        Client::connect(self.nodes[node].server.websocket).await
    }
}
