//! A cluster whose nodes have an operations port.

use anyhow::Context as _;
use gateway_tests::{Nodes, Operator};

/// The nodes, and the file of the token by which they are operated.
pub(crate) struct OperatedNodes {
    pub(crate) all: Nodes,
    _token: tempfile::NamedTempFile,
}

impl std::ops::Deref for OperatedNodes {
    type Target = Nodes;

    fn deref(&self) -> &Nodes {
        &self.all
    }
}

impl OperatedNodes {
    /// Does what [`Nodes::start`] does.
    pub(crate) async fn start(test: &str, count: usize, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        let token = tempfile::NamedTempFile::new()?;
        std::fs::write(&token, "operators\n")?;
        let path = token.path().to_str().context("a path in UTF-8")?;
        let own = ["--operations", "127.0.0.1:0", "--operations-token-file", path, "--shards", "2"];
        let nodes = Nodes::start(test, count, &[&own, flags].concat()).await?;
        Ok(nodes.map(|nodes| Self { all: nodes, _token: token }))
    }

    pub(crate) fn operator(&self, node: usize) -> anyhow::Result<Operator> {
        Ok(Operator::of(&self.nodes[node].server)?.with_token("operators"))
    }

    /// Has a new process take over a node, and gives what `POST /upgrade` has answered.
    pub(crate) async fn upgrade(&mut self, node: usize) -> anyhow::Result<serde_json::Value> {
        let operator = self.operator(node)?;
        self.all.nodes[node].server.upgrade_by(&operator).await
    }

    pub(crate) async fn metric(&self, node: usize, name: &str) -> anyhow::Result<f64> {
        self.operator(node)?.metric(name).await
    }
}
