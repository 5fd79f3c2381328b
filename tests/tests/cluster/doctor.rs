//! `gateway-server doctor`, which looks at the servers of NATS.

use gateway_tests::{Diagnosis, Nats, free_port};

/// What nobody guesses.
const STRONG: &str = "kS8vq2nP0fWm7xTeZa41";

async fn with_nats(address: &str, more: &[&str]) -> anyhow::Result<Diagnosis> {
    Diagnosis::with(|command| {
        command.env("GATEWAY_SECRET_KEY", STRONG);
        command.args(["--node", "127.0.0.1:1238", "--cluster-nats", address]).args(more);
    })
    .await
}

#[tokio::test]
async fn nats_is_reached_logged_in_to_and_has_what_is_needed() -> anyhow::Result<()> {
    let test = "nats_is_reached_logged_in_to_and_has_what_is_needed";
    let Some(nats) = Nats::start_with(test, &["--user", "node", "--pass", "right"]).await? else {
        return Ok(());
    };
    let address = |login: &str| format!("nats://{login}@{}", nats.address);
    let found = with_nats(&address("node:right"), &[]).await?;
    found.assert("ok", "nats", "is NATS 2.");
    let found = with_nats(&address("node:wrong"), &[]).await?;
    found.assert("mend", "nats", "Authorization Violation");
    assert!(!found.report.to_string().contains("wrong"), "{:#}", found.report);
    let found = with_nats(&address("node:right"), &["--store", "jetstream"]).await?;
    found.assert("mend", "nats", "without JetStream, and store is \"jetstream\"");
    let nobody = free_port()?;
    let found = with_nats(&format!("nats://{nobody}"), &[]).await?;
    found.assert("mend", "nats", "Connection refused");

    let Some(nats) = Nats::start_jetstream(test).await? else { return Ok(()) };
    let found = with_nats(&format!("nats://{}", nats.address), &["--store", "jetstream"]).await?;
    found.assert("ok", "nats", "with JetStream");
    Ok(())
}
