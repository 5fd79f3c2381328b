//! The webhook: an application hears over signed requests what becomes of messages, whatever happens in between.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gateway_tests::{
    FromInbox, PhpPeer, ResumingPage, SILENCE, Server, TestCertificate, WebhookReceiver, WebhookRequest,
    eventually, server_binary, soon, store_folder,
};
use nix::sys::signal::Signal;
use ring::hmac;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::resume::metric;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Starts a server that tells a webhook at this address.
async fn start(store: &Path, url: &str, more: &[&str]) -> anyhow::Result<(Server, PhpPeer)> {
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store.join("inbox")).args(["--webhook-url", url]);
        command.args(["--operations", "127.0.0.1:0"]).args(more).env("GATEWAY_WEBHOOK_SECRET", SECRET);
    })
    .await?;
    let php = PhpPeer::connect(server.register[0]).await?;
    Ok((server, php))
}

fn url(receiver: &WebhookReceiver) -> String {
    format!("http://{}/hook?a=b", receiver.address)
}

async fn page(server: &Server, php: &mut PhpPeer, device: &str, uid: &str) -> anyhow::Result<ResumingPage> {
    let page = ResumingPage::of_device(server.websocket, device).await?;
    php.bind(page.id()?, uid).await?;
    Ok(page)
}

/// Handles the next message of a page, and gives its id.
async fn handled(page: &mut ResumingPage) -> anyhow::Result<String> {
    match page.inbox().await? {
        FromInbox::Message { at, id, .. } => page.say_counted(at.got()).await.map(|()| id),
        lost => anyhow::bail!("{lost:?}"),
    }
}

/// Checks the signature of a request, and gives its body.
fn checked(request: &WebhookRequest) -> anyhow::Result<Value> {
    let header = |name: &str| request.headers.get(name).context(name.to_owned());
    let (id, time) = (header("webhook-id")?, header("webhook-timestamp")?);
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(&SECRET["whsec_".len()..])?);
    let signed = [format!("{id}.{time}.").as_bytes(), &request.body].concat();
    let signature = header("webhook-signature")?.strip_prefix("v1,").context("no v1")?.to_owned();
    hmac::verify(&key, &signed, &STANDARD.decode(signature)?)
        .map_err(|_| anyhow::anyhow!("a wrong signature"))?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    anyhow::ensure!(now.abs_diff(time.parse()?) < 60, "{time} at {now}");
    anyhow::ensure!(header("content-type")? == "application/json");
    Ok(serde_json::from_slice(&request.body)?)
}

/// The ids of undelivered messages, and of receipts with what each says.
fn told(body: &Value) -> (Vec<String>, Vec<String>) {
    let all = |name: &str| body["data"][name].as_array().cloned().unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let undelivered = all("undelivered").iter().map(|one| word(&one["id"])).collect();
    let receipt = |one: &Value| ["id", "event", "uid", "device"].map(|key| word(&one[key])).join(" ");
    (undelivered, all("receipts").iter().map(receipt).collect())
}

#[tokio::test]
async fn an_application_hears_what_is_received_read_and_left_lying() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let mut receiver = WebhookReceiver::start().await?;
    let flags = ["--receipts", "--undelivered-seconds", "1"];
    let (server, mut php) = start(folder.path(), &url(&receiver), &flags).await?;
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    php.deliver("ann", "m1", "hello").await?;
    assert_eq!(phone.handle().await?, "hello");
    let request = receiver.request().await?;
    assert_eq!(request.line, "POST /hook?a=b HTTP/1.1");
    assert_eq!(request.headers["host"], receiver.address.to_string());
    let body = checked(&request)?;
    assert_eq!(
        (&body["type"], told(&body).1),
        (&json!("inbox.notices"), vec!["m1 received ann phone".to_owned()])
    );
    let receipt = &body["data"]["receipts"][0];
    assert!(
        receipt["at"].as_u64() > Some(1_700_000_000_000) && receipt["signed"] == json!(false),
        "{receipt}"
    );
    // Nobody is there for this one.
    php.deliver("ben", "m2", "anybody?").await?;
    let body = checked(&receiver.request().await?)?;
    assert_eq!(told(&body), (vec!["m2".to_owned()], vec![]));
    assert_eq!(body["data"]["undelivered"][0]["uid"], "ben");
    assert_eq!(receiver.connections(), 1, "the connection is kept");
    eventually("notices that wait", 0.0, async || metric(&server, "gateway_inbox_notices").await).await?;
    assert_eq!(metric(&server, "gateway_inbox_webhook_requests_total").await?, 2.0);
    Ok(())
}

#[tokio::test]
async fn what_the_webhook_does_not_take_comes_again_as_it_was_until_it_does() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let mut receiver = WebhookReceiver::start().await?;
    receiver.answer(500);
    let (mut server, mut php) = start(folder.path(), &url(&receiver), &["--receipts"]).await?;
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    php.deliver("ann", "m1", "one").await?;
    phone.handle().await?;
    let first = receiver.request().await?;
    assert!(server.logs("the webhook does not take").await?.contains("500"));
    // What comes meanwhile waits for the next request.
    php.deliver("ann", "m2", "two").await?;
    phone.handle().await?;
    // An answer that leads elsewhere is not followed.
    receiver.answer(302);
    let second = receiver.request().await?;
    receiver.answer(204);
    let third = receiver.request().await?;
    for again in [&second, &third] {
        assert_eq!(again.headers["webhook-id"], first.headers["webhook-id"]);
        assert_eq!(told(&checked(again)?).1, ["m1 received ann phone"]);
    }
    server.logs("the webhook has taken").await?;
    assert_eq!(told(&checked(&receiver.request().await?)?).1, ["m2 received ann phone"]);
    Ok(())
}

#[tokio::test]
async fn nothing_is_lost_while_the_server_is_killed_and_upgraded() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let mut receiver = WebhookReceiver::start().await?;
    let url = url(&receiver);
    receiver.answer(SILENCE);
    let (mut server, mut php) = start(folder.path(), &url, &["--receipts"]).await?;
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    for number in 0..50 {
        php.deliver("ann", &format!("m{number}"), "x").await?;
        phone.handle().await?;
    }
    receiver.request().await?;
    // Nobody knows whether the application has that one.
    server.signal(Signal::SIGKILL)?;
    server.exit().await?;
    receiver.answer(503);
    let (mut server, mut php) = start(folder.path(), &url, &["--receipts"]).await?;
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    receiver.request().await?;
    server.upgrade().await?;
    receiver.answer(200);
    let mut php = PhpPeer::connect(server.register[0]).await?;
    for number in 50..100 {
        let id = format!("m{number}");
        php.deliver("ann", &id, "x").await?;
        // What was not acknowledged before the kill comes first.
        while handled(&mut phone).await? != id {}
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    while seen.len() < 100 {
        let request = receiver.request().await?;
        for receipt in told(&checked(&request)?).1 {
            *seen.entry(receipt).or_default() += 1;
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_webhook_over_tls_is_told_only_if_an_authority_vouches_for_it() -> anyhow::Result<()> {
    let (folder, certificate) = (store_folder()?, TestCertificate::new()?);
    let mut receiver = WebhookReceiver::start_tls(certificate.acceptor()?).await?;
    let url = format!("https://localhost:{}/", receiver.address.port());
    let (mut server, mut php) = start(folder.path(), &url, &["--undelivered-seconds", "0.1"]).await?;
    php.deliver("ann", "m1", "hello").await?;
    assert!(server.logs("the webhook does not take").await?.contains("certificate"));
    assert!(receiver.request_at_once().is_none());
    server.signal(Signal::SIGTERM)?;
    server.exit().await?;
    let authority = certificate.certificate.display().to_string();
    let flags = ["--undelivered-seconds", "0.1", "--webhook-tls-ca", &authority];
    let _started = start(folder.path(), &url, &flags).await?;
    assert_eq!(told(&checked(&receiver.request().await?)?).0, ["m1"]);
    Ok(())
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_webhook_that_hangs() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let mut receiver = WebhookReceiver::start().await?;
    receiver.answer(SILENCE);
    let (mut server, mut php) =
        start(folder.path(), &url(&receiver), &["--undelivered-seconds", "0.1"]).await?;
    php.deliver("ann", "m1", "hello").await?;
    receiver.request().await?;
    server.signal(Signal::SIGTERM)?;
    tokio::time::timeout(Duration::from_secs(8), server.exit()).await.context("the server waits")??;
    Ok(())
}

#[tokio::test]
async fn settings_that_would_tell_nobody_are_refused() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let path = folder.path().join("inbox").display().to_string();
    let store = ["--store", &path];
    for (flags, secret, why) in [
        (&["--receipts"][..], "", "receipts: it is of no use without store"),
        (&["--undelivered-seconds", "5"], "", "undelivered_seconds: it is of no use without store"),
        (&[&store[..], &["--receipts", "--events", "builtin"]].concat(), "", "nobody would be told"),
        (
            &[&store[..], &["--webhook-url", "http://127.0.0.1:1"]].concat(),
            SECRET,
            "receipts or undelivered_seconds",
        ),
        (
            &[&store[..], &["--receipts", "--webhook-url", "http://127.0.0.1:1"]].concat(),
            "",
            "webhook_secret_file",
        ),
        (
            &[&store[..], &["--receipts", "--webhook-url", "http://127.0.0.1:1"]].concat(),
            "short",
            "/dev/urandom",
        ),
        (&[&store[..], &["--receipts", "--webhook-url", "127.0.0.1:1"]].concat(), SECRET, "http://"),
        (&["--webhook-tls-ca", "/nowhere"], "", "webhook_tls_ca: it is of no use without webhook_url"),
    ] {
        let mut command = Command::new(server_binary()?);
        if !secret.is_empty() {
            command.env("GATEWAY_WEBHOOK_SECRET", secret);
        }
        let ports = ["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"];
        let output = soon("the refusal", command.args(ports).args(flags).output()).await??;
        assert!(!output.status.success());
        let said = String::from_utf8(output.stderr)?;
        assert!(said.contains(why), "{said} for {flags:?}");
    }
    Ok(())
}
