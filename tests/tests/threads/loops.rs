//! One script that handles many requests, as FrankenPHP's workers do. The program that runs it here does what FrankenPHP does
//! between two requests, but is not FrankenPHP.

use anyhow::Context as _;
use gateway_tests::{Client, PhpHost, Server};
use serde_json::Value;

use crate::{UID, received, threaded_php};

#[tokio::test]
async fn a_worker_keeps_its_link_over_requests_and_forgets_the_last_error() -> anyhow::Result<()> {
    const THREADS: usize = 4;
    const REQUESTS: usize = 50;
    let test = "a_worker_keeps_its_link_over_requests_and_forgets_the_last_error";
    let Some(php) = threaded_php(test) else { return Ok(()) };
    let server = Server::start(&[]).await?;
    let mut client = Client::bound(&server, UID).await?;
    let mut host = PhpHost::start(&php, &server, &[]).await?;
    let printed = host.work(THREADS, REQUESTS, "worker.php", UID).await?;
    assert_eq!(printed.len(), THREADS * REQUESTS);
    for line in printed {
        let said: Value = serde_json::from_str(&line).with_context(|| line.clone())?;
        let request = said["request"].as_u64().context("request")?;
        assert_eq!(said["before"], Value::Null, "{line}");
        assert_eq!(said["has_failed"], request.is_multiple_of(2), "{line}");
        assert_eq!(said["flushed"], true, "{line}");
        assert_eq!(said["acked"], request + 1, "{line}");
    }
    let senders = received(&mut client, THREADS * REQUESTS).await?;
    assert!(senders.values().all(|numbers| numbers.iter().copied().eq(0..REQUESTS as u64)), "{senders:?}");
    assert_eq!(host.end().await?, "");
    Ok(())
}
