//! OpenSSL as a client of TLS, by its program `s_client`, which sends what it is given. A K or k at the beginning of that changes keys
//! instead, and an R asks for another handshake.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use futures_util::SinkExt as _;
use gateway_tests::{Server, TestCertificate, WorkerPeer, skip, soon};
use gateway_wire::gatewayworker::{Command as Order, EventCommand};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio_tungstenite::tungstenite::Message;

/// The length of messages in bytes, several records of any kind.
const LENGTH: usize = 60_000;
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n";

/// A running `s_client`.
struct OpenSsl {
    child: Child,
    /// What it has said and the test has not looked at.
    said: Vec<u8>,
}

impl OpenSsl {
    /// Connects, or gives `None` where OpenSSL is not installed.
    async fn connect(address: SocketAddr, flags: &[&str]) -> anyhow::Result<Option<Self>> {
        match Command::new("openssl").arg("version").output().await {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        // Both of its outputs are wanted in their order.
        let mut command = Command::new("sh");
        command.args(["-c", "exec openssl s_client \"$@\" 2>&1", "sh", "-connect", &address.to_string()]);
        command.args(flags).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        Ok(Some(Self { child: command.spawn()?, said: Vec::new() }))
    }

    async fn give(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let input = self.child.stdin.as_mut().context("its input")?;
        Ok(soon("its input", input.write_all(bytes)).await??)
    }

    /// Gives a message of so many letters m, in a frame whose mask changes nothing.
    async fn give_message(&mut self, length: u16) -> anyhow::Result<()> {
        let [high, low] = length.to_be_bytes();
        let header = [0x81, 0x80 | 126, high, low, 0, 0, 0, 0];
        self.give(&[&header[..], &vec![b'm'; usize::from(length)]].concat()).await
    }

    /// Waits until it says this, and gives what it has said before.
    async fn says(&mut self, what: &str) -> anyhow::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.said.windows(what.len()).position(|part| part == what.as_bytes()) {
                let rest = self.said.split_off(at + what.len());
                return Ok(std::mem::replace(&mut self.said, rest));
            }
            let output = self.child.stdout.as_mut().context("its output")?;
            let length = soon(what, output.read_buf(&mut self.said)).await??;
            ensure!(length > 0, "not {what}, but {:?}", String::from_utf8_lossy(&self.said));
        }
    }
}

/// Has OpenSSL converse with a worker, and change keys each time that it is given one of these letters.
async fn converse(flags: &[&str], letters: &[&str]) -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = Server::start(&certificate.flags().each_ref().map(String::as_str)).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    server.logs("a worker joined").await?;
    let Some(mut openssl) = OpenSsl::connect(server.websocket, flags).await? else {
        skip("OpenSSL as a client", "openssl is not installed");
        return Ok(());
    };
    openssl.says("Verify return code").await?;
    openssl.give(REQUEST).await?;
    openssl.says("101 Switching Protocols").await?;
    let connection = worker.told_of(EventCommand::Connect).await?.client.connection;
    for (number, letter) in letters.iter().enumerate() {
        if !letter.is_empty() {
            openssl.give(format!("{letter}\n").as_bytes()).await?;
            openssl.says("KEYUPDATE").await?;
        }
        openssl.give_message(LENGTH.try_into()?).await?;
        let (_, heard) = worker.message().await?;
        ensure!(heard == "m".repeat(LENGTH), "{} bytes", heard.len());
        let answer = format!("{}end {number}", "w".repeat(LENGTH));
        worker.order(Order::SendToOne { connection, message: answer.as_bytes(), raw: false }).await?;
        let said = openssl.says(&format!("end {number}")).await?;
        let came = said.iter().rev().skip(5).take_while(|byte| **byte == b'w').count();
        ensure!(came == LENGTH, "{came} bytes came");
    }
    openssl.give(b"Q\n").await?;
    worker.told_of(EventCommand::Close).await?;
    let status = soon("its end", openssl.child.wait()).await??;
    ensure!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn every_cipher_is_spoken() -> anyhow::Result<()> {
    for suite in ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"] {
        converse(&["-tls1_3", "-ciphersuites", suite], &["", "K", "k", "", "K"]).await.context(suite)?;
    }
    for suite in ["AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305"] {
        let suite = format!("ECDHE-ECDSA-{suite}");
        converse(&["-tls1_2", "-cipher", &suite], &["", ""]).await.with_context(|| suite.clone())?;
    }
    Ok(())
}

#[tokio::test]
async fn records_may_be_short_and_padded() -> anyhow::Result<()> {
    converse(&["-tls1_3", "-max_send_frag", "512", "-record_padding", "3000"], &["", "K", ""]).await?;
    converse(&["-tls1_2", "-max_send_frag", "512"], &["", ""]).await
}

#[tokio::test]
async fn another_handshake_is_refused() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let mut server = Server::start(&certificate.flags().each_ref().map(String::as_str)).await?;
    let mut worker = WorkerPeer::connect(server.register[0], "worker").await?;
    server.logs("a worker joined").await?;
    let stream = certificate.over(TcpStream::connect(server.websocket).await?).await?;
    let (mut honest, _) = tokio_tungstenite::client_async("ws://localhost/", stream).await?;
    worker.told_of(EventCommand::Connect).await?;
    let Some(mut openssl) = OpenSsl::connect(server.websocket, &["-tls1_2"]).await? else {
        skip("OpenSSL as a client", "openssl is not installed");
        return Ok(());
    };
    openssl.says("Verify return code").await?;
    openssl.give(REQUEST).await?;
    openssl.says("101 Switching Protocols").await?;
    worker.told_of(EventCommand::Connect).await?;
    openssl.give(b"R\n").await?;
    openssl.says("no renegotiation").await?;
    worker.told_of(EventCommand::Close).await?;
    soon("sending", honest.send(Message::text("still here"))).await??;
    ensure!(worker.message().await?.1 == "still here");
    Ok(())
}
