//! The chat rooms of workerman-chat, whose files are used unmodified, on our server. Skipped where they are not present.

use std::collections::BTreeMap;

use gateway_tests::{ChatWorkers, Chatter, Server, WorkerRunner, on_default_ports, skip};

#[test]
fn chat_rooms_of_unmodified_workerman_chat() -> anyhow::Result<()> {
    let test = "chat_rooms_of_unmodified_workerman_chat";
    if let Some(variable) = ChatWorkers::missing() {
        skip(test, &format!("{variable} does not name its sources"));
        return Ok(());
    }
    on_default_ports(test, async || {
        let mut server =
            Server::start(&["--websocket", "127.0.0.1:8282", "--register", "127.0.0.1:1236"]).await?;
        let _workers = ChatWorkers::start().await?;
        for _ in 0..ChatWorkers::COUNT {
            server.logs("a worker joined").await?;
        }
        talk(&server).await
    })
}

/// Without Workerman: the same conversation as above.
#[tokio::test]
async fn chat_rooms_of_unmodified_workerman_chat_on_the_runner() -> anyhow::Result<()> {
    let Some(sources) = std::env::var_os("WORKERMAN_CHAT_PATH") else {
        let test = "chat_rooms_of_unmodified_workerman_chat_on_the_runner";
        skip(test, "WORKERMAN_CHAT_PATH does not name its sources");
        return Ok(());
    };
    let events = std::path::Path::new(&sources).join("Applications/Chat/Events.php");
    let mut server = Server::start(&["--shards", "2"]).await?;
    let _runner = WorkerRunner::start_with(events, server.register[0], ChatWorkers::COUNT).await?;
    for _ in 0..ChatWorkers::COUNT {
        server.logs("a worker joined").await?;
    }
    talk(&server).await
}

async fn talk(server: &Server) -> anyhow::Result<()> {
    let mut ann = Chatter::connect(server.websocket).await?;
    let alone = ann.login("Ann", 1).await?;
    let ann_id = alone["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names(&alone), ["Ann"]);

    let mut bob = Chatter::connect(server.websocket).await?;
    let both = bob.login("Bob", 1).await?;
    let bob_id = both["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names(&both), ["Ann", "Bob"]);
    let came = ann.next().await?;
    assert_eq!((&came["type"], &came["client_name"]), (&"login".into(), &"Bob".into()));

    let mut cy = Chatter::connect(server.websocket).await?;
    assert_eq!(names(&cy.login("Cy", 2).await?), ["Cy"]);

    ann.say("all", "", "hello <room>").await?;
    for one in [&mut ann, &mut bob] {
        let said = one.next().await?;
        assert_eq!(said["content"], "hello &lt;room&gt;");
        assert_eq!(
            (&said["from_client_id"], &said["from_client_name"]),
            (&ann_id.as_str().into(), &"Ann".into())
        );
    }
    // Nothing of it went to another room: this is the first that comes there.
    cy.say("all", "", "anybody?").await?;
    assert_eq!(cy.next().await?["content"], "anybody?");

    ann.say(&bob_id, "Bob", "psst").await?;
    assert_eq!(bob.next().await?["content"], "<b>对你说: </b>psst");
    assert_eq!(ann.next().await?["content"], "<b>你对Bob说: </b>psst");

    bob.leave().await?;
    let left = ann.next().await?;
    assert_eq!((&left["type"], &left["from_client_name"]), (&"logout".into(), &"Bob".into()));
    assert_eq!(left["from_client_id"], bob_id.as_str());
    Ok(())
}

/// Those in the room, sorted.
fn names(login: &serde_json::Value) -> Vec<String> {
    let list: BTreeMap<String, String> =
        serde_json::from_value(login["client_list"].clone()).unwrap_or_default();
    let mut names: Vec<_> = list.into_values().collect();
    names.sort();
    names
}
