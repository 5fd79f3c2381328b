//! `POST /upgrade`: a process of the installed binary takes over from this one, with all clients. The answer comes when it has, or says
//! why it could not.

use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue};
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::Operations;
use super::answer::{Answer, Refusal, json};

/// Time for a whole upgrade. It gives up by itself where nothing goes on.
pub(super) const TIME: Duration = Duration::from_secs(60);

/// The number of requests that wait for the server; it takes one at a time.
const WAITING: usize = 1;

/// An upgrade that has been asked for.
pub struct UpgradeRequest {
    answer: oneshot::Sender<Result<Upgraded, String>>,
}

/// What has come of an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upgraded {
    /// The process that serves now.
    pub pid: u32,
    /// The number of clients that it has taken over.
    pub clients: usize,
    /// The number of those among them that speak TLS, for whom the old process stays.
    pub relayed: usize,
    /// For how long no client was served.
    pub pause: Duration,
}

/// The way of requests to the server.
pub(super) type UpgradeRequests = mpsc::Sender<UpgradeRequest>;

/// Makes the way of requests to the server, and the server's end of it.
pub(super) fn channel() -> (UpgradeRequests, mpsc::Receiver<UpgradeRequest>) {
    mpsc::channel(WAITING)
}

impl UpgradeRequest {
    /// Tells who has asked. That may have gone meanwhile.
    pub fn answer(self, result: Result<Upgraded, String>) {
        let _ = self.answer.send(result);
    }
}

/// Asks the server for an upgrade, and waits for its end.
pub(super) async fn respond(operations: &Operations) -> Result<Answer, Refusal> {
    let refusal = |message: String| Refusal::new(StatusCode::CONFLICT, "not_upgraded", message);
    let (answer, result) = oneshot::channel();
    let under_way = || refusal("an upgrade is under way already".to_owned());
    operations.upgrades.try_send(UpgradeRequest { answer }).map_err(|_| under_way())?;
    let stopping = |_| refusal("the server stops, so nothing is upgraded".to_owned());
    let Upgraded { pid, clients, relayed, pause } = result.await.map_err(stopping)?.map_err(refusal)?;
    let mut answer = json(
        StatusCode::OK,
        &json!({
            "pid": pid,
            "clients": clients,
            "relayed_clients": relayed,
            "pause_seconds": pause.as_secs_f64(),
        }),
    );
    // This process ends soon, so it takes no further request.
    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(answer)
}
