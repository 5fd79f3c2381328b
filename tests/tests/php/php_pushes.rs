//! Pushes from real PHP processes to many clients.

use std::collections::HashMap;

use gateway_tests::{Client, PhpCalls, Server, eventually, run_script, soon};
use gateway_wire::bridge::{PREFACE, Reply};
use nix::sys::signal::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A thousand tabs of five hundred users: each message comes once, and in order, to each tab of its user.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_message_reaches_every_tab_of_its_user_once_and_in_order() -> anyhow::Result<()> {
    const TABS: usize = 1000;
    const USERS: usize = 500;
    const MESSAGES: usize = 40;

    let server = Server::start(&["--shards", "2"]).await?;
    let mut tabs = Vec::new();
    let mut bindings = String::new();
    for number in 0..TABS {
        let tab = Client::connect(server.websocket).await?;
        // The first 500 tabs give everybody one; the other tabs are spread unevenly, so that some users have several.
        let uid = 1 + if number < USERS { number } else { number * number / 3 % USERS };
        bindings.push_str(&format!("{} {uid}\n", tab.id));
        tabs.push((tab, uid.to_string()));
    }
    let users = tabs.iter().map(|(_, uid)| uid).collect::<std::collections::HashSet<_>>().len();

    let readers: Vec<_> = tabs
        .into_iter()
        .map(|(mut tab, uid)| {
            tokio::spawn(async move {
                let mut received = Vec::new();
                loop {
                    let text = tab.text().await?;
                    if text == "end" {
                        // The tab stays open, because PHP counts the clients that are online after its last push.
                        return anyhow::Ok((tab, uid, received));
                    }
                    let message: HashMap<String, serde_json::Value> = serde_json::from_str(&text)?;
                    assert_eq!(message["uid"], uid.as_str());
                    received.push(message["number"].as_u64());
                }
            })
        })
        .collect();

    let register = server.register[0].to_string();
    let said = run_script("bind_and_push.php", &[&register, &MESSAGES.to_string()], &bindings).await?;
    assert_eq!(said.trim(), format!(r#"{{"online":{TABS},"uids":{users}}}"#));

    let expected: Vec<_> = (0..MESSAGES as u64).map(Some).collect();
    for reader in readers {
        let (_tab, uid, received) = reader.await??;
        assert_eq!(received, expected, "at a tab of user {uid}");
    }
    Ok(())
}

/// UPGRADE.md promises this for a server and an extension with different bridge versions. The tests of bad input cover the
/// server's half.
#[tokio::test]
async fn php_says_which_versions_differ_when_a_server_of_another_release_takes_over() -> anyhow::Result<()> {
    const REFUSAL: &str = "bridge version 2 is not spoken here, only version 3";
    let mut server = Server::start(&[]).await?;
    let register = server.register[0];
    let mut php = PhpCalls::start(register, "")?;
    assert_eq!(php.get(json!(["getAllClientIdCount"])).await?, 0);
    server.signal(Signal::SIGKILL)?;
    server.exit().await?;

    let listener = TcpListener::bind(register).await?;
    let newer = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await?;
            let mut preface = [0; PREFACE.len()];
            let mut refusal = Vec::new();
            Reply::Error { seq: 0, message: REFUSAL.to_owned() }.encode(&mut refusal)?;
            if soon("a preface", socket.read_exact(&mut preface)).await?.is_ok() {
                let _ = socket.write_all(&refusal).await;
            }
        }
        #[expect(unreachable_code, reason = "names the type of the errors")]
        anyhow::Ok(())
    });
    // The first send may be accepted, as long as the process has not noticed the connection's end.
    let sent = php.call(json!(["sendToAll", "kept until the versions agree"])).await?.result;
    let asked = php.call(json!(["getAllClientIdCount"])).await?.result;
    let expected = format!("what answers there is no gateway of this version: {REFUSAL}");
    for refused in [sent.err().unwrap_or_else(|| expected.clone()), asked.unwrap_err()] {
        assert!(refused.contains(&expected), "{refused}");
    }
    newer.abort();
    let _ = newer.await;

    let _again = Server::start(&["--register", &register.to_string()]).await?;
    eventually("an answer of a server of the same version", true, async || {
        Ok(php.call(json!(["getAllClientIdCount"])).await?.result == Ok(json!(0)))
    })
    .await
}
