//! Whether a server of these settings runs already.

use serde_json::Value;

use super::finding::Finding;
use super::reach::{PATIENCE, reachable};
use super::register::{Login, LoginProblem};
use crate::admin::cli::{self, Target};
use crate::config::Settings;

/// The answer to whether a server runs, and how it was found.
pub(super) enum Running {
    /// Its operations port has answered with its status.
    Asked(Box<Value>),
    /// It was heard at the register port, and has no operations port that would tell more.
    Heard,
    No,
}

impl Running {
    /// The process id, where it is known.
    pub(super) fn pid(&self) -> Option<u64> {
        self.number("pid")
    }

    /// A number of its status.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self {
            Self::Asked(status) => status[name].as_u64(),
            Self::Heard | Self::No => None,
        }
    }

    pub(super) fn is_there(&self) -> bool {
        !matches!(self, Self::No)
    }
}

/// Asks at the operations port; without an answer there the logins at the register port tell.
pub(super) async fn look(settings: &Settings, logins: &[Login]) -> (Running, Vec<Finding>) {
    let mut findings = Vec::new();
    let is_heard = logins.iter().any(|login| {
        matches!(login.outcome, Ok(()) | Err(LoginProblem::Refused(_) | LoginProblem::Unproven))
    });
    if let Some(address) = settings.operations {
        let target = Target { address, token: settings.operations_token.clone() };
        match cli::status_of(&target).await {
            Ok(status) => {
                findings.push(is_same_version(&status));
                return (Running::Asked(Box::new(status)), findings);
            }
            // Nobody listens there, which is as it should be where nothing runs.
            Err(_) if !is_heard && !answers(address).await => {}
            Err(error) => findings.push(Finding::mend(
                "operations",
                format!("{error:#}"),
                "have the same operations and operations_token here as the server that runs, or restart it",
            )),
        }
    }
    if is_heard {
        let found = "a gateway-server answers at the register port";
        let advice = "with the setting operations it could be asked for its limits as well";
        findings.push(Finding::note("server", found, advice));
        return (Running::Heard, findings);
    }
    findings.push(Finding::ok("server", "none runs with these settings, so that its ports can be tried"));
    (Running::No, findings)
}

async fn answers(address: std::net::SocketAddr) -> bool {
    let attempt = tokio::net::TcpStream::connect(reachable(address));
    tokio::time::timeout(PATIENCE, attempt).await.is_ok_and(|socket| socket.is_ok())
}

fn is_same_version(status: &Value) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    let version = status["version"].as_str().unwrap_or("of no version");
    let found = format!("gateway-server {version} runs with pid {}", status["pid"]);
    if version == own {
        return Finding::ok("server", found);
    }
    let advice = format!("gateway-server upgrade has {own} take over without a disconnect");
    Finding::note("server", format!("{found}, and this program is {own}"), advice)
}
