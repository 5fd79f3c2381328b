//! PHP processes that connect to the register port over TLS.

use std::process::{Output, Stdio};

use gateway_tests::{Client, Server, TestCertificate, php, run_script, soon};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

/// A script that sends and asks for more than fits into a TLS record, in both directions, and prints the outcome.
const MUCH: &str = r#"
    Gateway::$registerAddress = $argv[1];
    Gateway::$connectTimeout = 20;
    $id = $argv[2];
    for ($number = 0; $number < 300; $number++) {
        Gateway::sendToClient($id, str_repeat(chr(97 + $number % 26), $number * 50));
    }
    Gateway::sendToClient($id, str_repeat('z', 700000));
    $session = ['text' => str_repeat('s', 500000)];
    Gateway::setSession($id, $session);
    echo Gateway::getSession($id) === $session ? 'same' : 'other';
    for ($number = 0; $number < 200; $number++) {
        if (Gateway::isOnline($id) !== 1) {
            echo 'offline';
        }
    }
"#;

/// A worker that answers every message.
const WORKER: &str = r#"
    Gateway::$registerAddress = $argv[1];
    GatewayEvents::join('over TLS');
    echo "joined\n";
    while (($event = GatewayEvents::next()) !== false) {
        if ($event && is_string($event[4]) && str_starts_with($event[4], 'say ')) {
            Gateway::sendToClient($event[1], substr($event[4], 4));
        }
    }
"#;

fn flags(certificate: &TestCertificate) -> [String; 4] {
    let [_, path, _, key] = certificate.flags();
    ["--register-tls-certificate".to_owned(), path, "--register-tls-key".to_owned(), key]
}

async fn start(certificate: &TestCertificate, more: &[&str]) -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command.args(flags(certificate)).args(more);
    })
    .await
}

fn address(server: &Server) -> String {
    format!("tls://localhost:{}", server.register[0].port())
}

/// Runs a script with these settings, and gives what it prints.
async fn run(script: &str, settings: &[String], args: &[&str]) -> anyhow::Result<String> {
    let mut command = php()?;
    for setting in settings {
        command.args(["-d", setting]);
    }
    let command = command.args(["-r", script, "--"]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Output { status, stdout, stderr } = soon("php", command.spawn()?.wait_with_output()).await??;
    let complaints = String::from_utf8_lossy(&stderr);
    anyhow::ensure!(status.success() && complaints.is_empty(), "{status}, {complaints}");
    Ok(String::from_utf8(stdout)?)
}

/// Gives the error with which PHP fails to reach the gateway at this address.
async fn failure(address: &str, settings: &[String]) -> anyhow::Result<String> {
    let script = "Gateway::$registerAddress = $argv[1]; try { Gateway::isUidOnline(1); echo 'reached'; } \
                  catch (GatewayException $exception) { echo $exception->getMessage(); }";
    run(script, settings, &[address]).await
}

fn trusting(certificate: &TestCertificate) -> Vec<String> {
    vec![format!("gateway.tls_ca={}", certificate.certificate.display())]
}

#[tokio::test]
async fn php_pushes_and_asks_over_tls_and_beside_it_without() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let server = start(&certificate, &["--outbox-bytes", "10000000"]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    let id = tab.id.to_string();
    assert_eq!(run(MUCH, &trusting(&certificate), &[&address(&server), &id]).await?, "same");
    for (number, letter) in ('a'..='z').cycle().take(300).enumerate() {
        assert_eq!(tab.text().await?, letter.to_string().repeat(number * 50));
    }
    assert_eq!(tab.text().await?, "z".repeat(700_000));
    // A PHP process on the same machine needs no TLS.
    let register = server.register[0].to_string();
    run_script("bind_and_push.php", &[&register, "1"], &format!("{id} 7\n")).await.map(drop)
}

#[tokio::test]
async fn a_worker_handles_events_over_tls() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--events", "workers"]).await?;
    let settings = trusting(&certificate);
    let mut process = php()?
        .args(["-d", &settings[0], "-r", WORKER, "--", &address(&server)])
        .stdout(Stdio::piped())
        .spawn()?;
    let Some(stdout) = process.stdout.take() else { anyhow::bail!("no output") };
    let joined = soon("the worker", BufReader::new(stdout).lines().next_line()).await??;
    assert_eq!(joined.as_deref(), Some("joined"));
    // What the worker has said is on its way until then, and a client without any worker is asked to try again.
    server.logs("a worker joined").await?;
    let socket = Client::shake_hands(server.websocket, "/", &[]).await?;
    let mut client = Client { id: "7f00000104d600000001".parse()?, socket };
    for length in (0..100).chain([20_000, 100_000, 900_000]) {
        client.send(Message::text(format!("say {}", "x".repeat(length)))).await?;
        assert_eq!(client.text().await?.len(), length);
    }
    process.kill().await?;
    Ok(())
}

#[tokio::test]
async fn php_says_why_it_does_not_trust_a_gateway() -> anyhow::Result<()> {
    let (certificate, other) = (TestCertificate::new()?, TestCertificate::new()?);
    let server = start(&certificate, &[]).await?;
    let port = server.register[0].port();
    let said = failure(&address(&server), &trusting(&certificate)).await?;
    assert_eq!(said, "reached");
    let said = failure(&address(&server), &trusting(&other)).await?;
    assert!(said.contains("TLS failed: invalid peer certificate"), "{said}");
    assert!(said.contains("Check that gateway-server has TLS (register_tls_certificate)"), "{said}");
    // The certificate is for a name, not for an address.
    let said = failure(&format!("tls://127.0.0.1:{port}"), &trusting(&certificate)).await?;
    assert!(said.contains("TLS failed: invalid peer certificate: certificate not valid for name"), "{said}");
    let said = failure(&address(&server), &["gateway.tls_ca=/nowhere.pem".to_owned()]).await?;
    assert!(said.contains("TLS failed: /nowhere.pem (gateway.tls_ca): No such file"), "{said}");
    let said = failure(&address(&server), &["gateway.protocol=gatewayworker".to_owned()]).await?;
    assert!(said.contains("TLS failed: GatewayWorker's register has none (gateway.protocol)"), "{said}");

    let plain = Server::start(&["--handshake-timeout", "1"]).await?;
    let said = failure(&address(&plain), &trusting(&certificate)).await?;
    assert!(said.contains("TLS failed: ") || said.contains("Connection reset"), "{said}");
    Ok(())
}

#[tokio::test]
async fn clients_have_to_show_a_certificate_where_that_is_wanted() -> anyhow::Result<()> {
    let (certificate, own, other) =
        (TestCertificate::new()?, TestCertificate::new()?, TestCertificate::new()?);
    let authority = own.certificate.display().to_string();
    let server = start(&certificate, &["--register-tls-client-ca", &authority]).await?;
    let with = |shown: &TestCertificate| {
        let mut settings = trusting(&certificate);
        settings.push(format!("gateway.tls_certificate={}", shown.certificate.display()));
        settings.push(format!("gateway.tls_key={}", shown.key.display()));
        settings
    };
    assert_eq!(failure(&address(&server), &with(&own)).await?, "reached");
    let said = failure(&address(&server), &trusting(&certificate)).await?;
    assert!(said.starts_with("Can not connect to tls://localhost:"), "{said}");
    let said = failure(&address(&server), &with(&other)).await?;
    assert!(said.starts_with("Can not connect to tls://localhost:"), "{said}");
    Ok(())
}

#[tokio::test]
async fn a_new_certificate_is_for_new_connections() -> anyhow::Result<()> {
    let mut certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &[]).await?;
    assert_eq!(failure(&address(&server), &trusting(&certificate)).await?, "reached");
    certificate.renew()?;
    server.signal(Signal::SIGHUP)?;
    server.logs("new clients get the new certificate").await?;
    assert_eq!(failure(&address(&server), &trusting(&certificate)).await?, "reached");
    Ok(())
}

#[tokio::test]
async fn over_tls_there_is_the_bridge_alone() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = start(&certificate, &["--handshake-timeout", "2"]).await?;
    let mut stream = certificate.over(TcpStream::connect(server.register[0]).await?).await?;
    stream.write_all(b"{\"event\":\"ping\"}\n").await?;
    let _ = soon("the end", stream.read(&mut [0; 9])).await?;
    server.logs("over TLS only the extension's bridge is spoken here").await?;
    let mut garbage = TcpStream::connect(server.register[0]).await?;
    garbage.write_all(b"\x16\x03\x01\x00\x05hello").await?;
    server.logs("closed a connection on the register port").await?;
    let mut silent = TcpStream::connect(server.register[0]).await?;
    let _ = soon("the end", silent.read(&mut [0; 9])).await?;
    server.logs("no TLS within").await.map(drop)
}

#[tokio::test]
async fn settings_that_lack_each_other_are_refused() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let [certificate_flag, path, key_flag, key] = flags(&certificate);
    let authority = ["--register-tls-client-ca".to_owned(), path.clone()];
    let pair = [certificate_flag.clone(), path.clone(), key_flag.clone(), key.clone()];
    let broken = [&pair[..], &["--register-tls-client-ca".to_owned(), key.clone()]].concat();
    for (flags, complaint) in [
        (vec![certificate_flag, path], "register_tls_certificate: it is of no use without register_tls_key"),
        (vec![key_flag, key], "register_tls_key: it is of no use without register_tls_certificate"),
        (authority.to_vec(), "register_tls_client_ca: it is of no use without register_tls_certificate"),
        (broken, "register_tls_client_ca: "),
    ] {
        let mut command = tokio::process::Command::new(gateway_tests::server_binary()?);
        let output = soon("the end", command.args(flags).kill_on_drop(true).output()).await??;
        let said = String::from_utf8(output.stderr)?;
        assert!(!output.status.success() && said.contains(complaint), "{said}");
    }
    Ok(())
}
