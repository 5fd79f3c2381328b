//! The contract of the composer package `gateway`, which PHP runs on one implementation of its interface with three clients.

use std::net::SocketAddr;

use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use crate::{Client, php_of_the_machine, root, soon};

/// What came of a run.
pub struct GatewayContract {
    /// The class that the DSN has named.
    pub class: String,
    /// A token for the uid ann.
    pub token: String,
    /// The methods that it does not have.
    pub unsupported: Vec<String>,
}

/// What the clients get before they are closed, a message with `*` only of those who can count or choose between text and binary.
const MESSAGES: [&[&str]; 3] = [
    &[
        r#"{"all":"é/"}"#,
        "to two",
        "but one",
        "to a",
        "to ann",
        r#"{"to":"two uids"}"#,
        "to news",
        "*counted",
    ],
    &[
        r#"{"all":"é/"}"#,
        r#"{"to":"two uids"}"#,
        "excluded",
        "to news",
        "to b of news",
        "*counted",
        "*counted too",
        r#"{"type":"bye"}"#,
    ],
    &[r#"{"all":"é/"}"#, "to two", "but one", "but a group", "*binary: binary", "bye"],
];

impl GatewayContract {
    /// Gives what the package requires and this machine does not have; the test is then reported as skipped.
    pub fn missing() -> anyhow::Result<Option<String>> {
        let folder = root().join("php");
        let output = std::process::Command::new("php")
            .arg("-n")
            .args([folder.join("autoload.php"), folder.join("gateway")])
            .output()?;
        let missing = String::from_utf8(output.stdout)?;
        Ok((!output.status.success()).then(|| format!("php/autoload.php finds no {}", missing.trim())))
    }

    /// Runs it by the extension, HTTP or GatewayClient, as the DSN says, or by Yii 2's component, whose settings stand as JSON behind `yii2:`. All
    /// methods must do what they promise.
    pub async fn run(dsn: &str, websocket: SocketAddr) -> anyhow::Result<Self> {
        let mut clients = Vec::new();
        for _ in 0..MESSAGES.len() {
            clients.push(Client::connect(websocket).await?);
        }
        let ids: Vec<_> = clients.iter().map(|client| client.id.to_string()).collect();
        let mut php = Command::from(php_of_the_machine()?);
        php.arg(root().join("tests/php/packages/contract.php")).arg(dsn).args(ids).kill_on_drop(true);
        let output = soon("PHP", php.output()).await??;
        let (printed, complaints) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        anyhow::ensure!(output.status.success() && complaints.is_empty(), "{dsn}: {printed} {complaints}");
        let (class, token, unsupported) = serde_json::from_str(&printed)?;
        let done = Self { class, token, unsupported };
        for (client, messages) in clients.iter_mut().zip(MESSAGES) {
            let all =
                messages.iter().filter(|message| done.unsupported.is_empty() || !message.starts_with('*'));
            for expected in all {
                let got = match client.message().await? {
                    Message::Binary(bytes) => format!("binary: {}", String::from_utf8_lossy(&bytes)),
                    message => message.into_text()?.to_string(),
                };
                anyhow::ensure!(
                    got == expected.trim_start_matches('*'),
                    "{dsn}: {got} in place of {expected}"
                );
            }
            client.gone().await?;
        }
        Ok(done)
    }
}
