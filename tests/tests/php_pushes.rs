//! Real PHP, real sockets, many clients.

use std::collections::HashMap;

use gateway_tests::{Client, Server, run_script};

/// A thousand tabs of five hundred users: each message once, in order, at each of its receiver's tabs.
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
        // Everybody has a tab; of the others some have none, some several.
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
                        // The tab stays open: PHP counts who is online after its last push.
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
