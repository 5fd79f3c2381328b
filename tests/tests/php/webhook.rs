//! The webhook of a real server, taken by the package's class in a real PHP server.

use std::net::SocketAddr;
use std::process::{Child, Stdio};
use std::time::SystemTime;

use gateway_tests::{
    PhpCalls, PhpPeer, ResumingPage, Server, eventually, free_port, php_of_the_machine, root, soon,
    store_folder,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A page that notes what it is told, and fails the first time.
const PAGE: &str = r#"<?php
require getenv('PACKAGE') . '/Webhook/Failure.php';
require getenv('PACKAGE') . '/Webhook/WebhookException.php';
require getenv('PACKAGE') . '/Webhook/Notices.php';
require getenv('PACKAGE') . '/Webhook/Webhook.php';
$webhook = new \PushGateway\Webhook\Webhook('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw');
try {
    $notices = $webhook->verify(file_get_contents('php://input'), getallheaders());
} catch (\PushGateway\Webhook\WebhookException $e) {
    file_put_contents(getenv('DIARY'), "{$e->failure->name}\n", FILE_APPEND);
    http_response_code(401);
    exit;
}
foreach ($notices->receipts as $receipt) {
    file_put_contents(getenv('DIARY'), "{$receipt['event']} {$receipt['uid']} {$receipt['id']} {$receipt['device']}\n", FILE_APPEND);
}
foreach ($notices->undelivered as $message) {
    file_put_contents(getenv('DIARY'), 'undelivered ' . bin2hex($message['uid']) . " {$message['id']}\n", FILE_APPEND);
}
http_response_code(file_exists(getenv('DIARY') . '.was-here') ? 204 : 500);
touch(getenv('DIARY') . '.was-here');
"#;

struct PhpServer(Child);

impl Drop for PhpServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn the_class_takes_what_the_server_sends() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let (page, diary, address) = (folder.path().join("page.php"), folder.path().join("diary"), free_port()?);
    std::fs::write(&page, PAGE)?;
    let _php = PhpServer(
        php_of_the_machine()?
            .args(["-n", "-S", &address.to_string()])
            .arg(&page)
            .env("DIARY", &diary)
            .env("PACKAGE", root().join("php/gateway/src"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?,
    );
    let server = Server::start_with(|command| {
        command.arg("--store").arg(folder.path().join("inbox")).args([
            "--receipts",
            "--undelivered-seconds",
            "0.5",
        ]);
        command.args(["--webhook-url", &format!("http://{address}/"), "--operations", "127.0.0.1:0"]);
        command.env("GATEWAY_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    })
    .await?;
    let mut calls = PhpCalls::start(server.register[0], "")?;
    let mut phone = ResumingPage::of_device(server.websocket, "phone").await?;
    calls.get(json!(["bindUid", phone.id()?.to_string(), "ann"])).await?;
    calls.get(json!(["deliverToUid", "ann", "hello", {"id": "m1"}])).await?;
    phone.handle().await?;
    let lines = async || {
        let text = std::fs::read_to_string(&diary).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    // The first answer was 500, so it comes again.
    eventually("the diary", vec!["received ann m1 phone".to_owned(); 2], lines).await?;
    // A uid that is no text.
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.deliver_to(b"\xff\x01", "m2", "hello").await?;
    let last = Some("undelivered ff01 m2".to_owned());
    eventually("the last line", last, async || Ok(lines().await?.pop())).await?;
    // Whoever does not know the secret tells nothing, and neither does who has recorded a request.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs();
    for (time, failure) in [(now, "WrongSignature"), (now - 400, "WrongTime")] {
        let answer = posted(address, time).await?;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert_eq!(lines().await?.pop().as_deref(), Some(failure));
    }
    Ok(())
}

/// Gives the answer to a request of this time with a signature that is made up.
async fn posted(address: SocketAddr, time: u64) -> anyhow::Result<String> {
    let lines = [
        "POST / HTTP/1.1".to_owned(),
        format!("host: {address}"),
        "webhook-id: msg_1".to_owned(),
        format!("webhook-timestamp: {time}"),
        "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
        "content-type: application/json".to_owned(),
        "content-length: 2".to_owned(),
        "connection: close".to_owned(),
        String::new(),
        "{}".to_owned(),
    ];
    let mut socket = soon("connecting", TcpStream::connect(address)).await??;
    socket.write_all(lines.join("\r\n").as_bytes()).await?;
    let mut answer = String::new();
    soon("an answer", socket.read_to_string(&mut answer)).await??;
    Ok(answer)
}
