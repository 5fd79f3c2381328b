//! The chat rooms of workerman-chat, whose files are used unmodified, on our server. The tests are skipped where its sources
//! are not present.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gateway_tests::{ChatWorkers, Chatter, OriginalStack, Server, WorkerRunner, on_default_ports, skip};

#[test]
fn chat_rooms_of_unmodified_workerman_chat() -> anyhow::Result<()> {
    let test = "chat_rooms_of_unmodified_workerman_chat";
    if let Some(reason) = ChatWorkers::missing() {
        skip(test, &reason);
        return Ok(());
    }
    on_default_ports(test, async || {
        let mut server =
            Server::start(&["--websocket", "127.0.0.1:8282", "--register", "127.0.0.1:1236"]).await?;
        let _workers = ChatWorkers::start().await?;
        for _ in 0..ChatWorkers::COUNT {
            server.logs("a worker joined").await?;
        }
        talk(server.websocket).await.map(drop)
    })
}

/// The same conversation as above without Workerman. On the original stack everybody hears the same.
#[tokio::test]
async fn chat_rooms_of_unmodified_workerman_chat_on_the_runner() -> anyhow::Result<()> {
    let test = "chat_rooms_of_unmodified_workerman_chat_on_the_runner";
    let Some(sources) = std::env::var_os("WORKERMAN_CHAT_PATH") else {
        skip(test, "WORKERMAN_CHAT_PATH does not name its sources");
        return Ok(());
    };
    let events = std::path::Path::new(&sources).join("Applications/Chat/Events.php");
    let mut server = Server::start(&["--shards", "2"]).await?;
    let runner = WorkerRunner::start_with(events.clone(), server.register[0], ChatWorkers::COUNT).await?;
    for _ in 0..ChatWorkers::COUNT {
        server.logs("a worker joined").await?;
    }
    let heard = talk(server.websocket).await?;
    drop((runner, server));
    if let Some(reason) = OriginalStack::missing() {
        skip(test, &reason);
        return Ok(());
    }
    let serves = async |websocket| match Chatter::connect(websocket).await {
        Ok(mut chatter) => chatter.login("Nobody", 99).await.is_ok(),
        Err(_) => false,
    };
    let stack = OriginalStack::start_until(events, ChatWorkers::COUNT, serves).await?;
    assert_eq!(talk(stack.websocket).await?, heard);
    Ok(())
}

/// Gives what everybody heard, in order, without times and with names instead of ids.
async fn talk(websocket: SocketAddr) -> anyhow::Result<Vec<String>> {
    let mut heard = Vec::new();
    let mut ann = Chatter::connect(websocket).await?;
    let alone = ann.login("Ann", 1).await?;
    let ann_id = alone["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names(&alone), ["Ann"]);
    heard.push(alone);
    // Ann's name is kept only once her login has been handled to its end, after the answer, as on the original. The message
    // waits for that: another process that handles Bob's login earlier would list her without a name.
    ann.say("all", "", "alone").await?;
    heard.push(ann.next().await?);

    let mut bob = Chatter::connect(websocket).await?;
    let both = bob.login("Bob", 1).await?;
    let bob_id = both["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names(&both), ["Ann", "Bob"]);
    heard.push(both);
    let came = ann.next().await?;
    assert_eq!((&came["type"], &came["client_name"]), (&"login".into(), &"Bob".into()));
    heard.push(came);

    let mut cy = Chatter::connect(websocket).await?;
    let other = cy.login("Cy", 2).await?;
    let cy_id = other["client_id"].as_str().unwrap_or_default().to_owned();
    assert_eq!(names(&other), ["Cy"]);
    heard.push(other);

    ann.say("all", "", "hello <room>").await?;
    for one in [&mut ann, &mut bob] {
        let said = one.next().await?;
        assert_eq!(said["content"], "hello &lt;room&gt;");
        assert_eq!(
            (&said["from_client_id"], &said["from_client_name"]),
            (&ann_id.as_str().into(), &"Ann".into())
        );
        heard.push(said);
    }
    // The first message that comes in the other room is its own, so none of the conversation went there.
    cy.say("all", "", "anybody?").await?;
    let said = cy.next().await?;
    assert_eq!(said["content"], "anybody?");
    heard.push(said);

    ann.say(&bob_id, "Bob", "psst").await?;
    let (to_bob, to_ann) = (bob.next().await?, ann.next().await?);
    assert_eq!(to_bob["content"], "<b>对你说: </b>psst");
    assert_eq!(to_ann["content"], "<b>你对Bob说: </b>psst");
    heard.extend([to_bob, to_ann]);

    bob.leave().await?;
    let left = ann.next().await?;
    assert_eq!((&left["type"], &left["from_client_name"]), (&"logout".into(), &"Bob".into()));
    assert_eq!(left["from_client_id"], bob_id.as_str());
    heard.push(left);

    let timeless = heard.into_iter().map(|mut told| {
        let names = names(&told);
        if let Some(told) = told.as_object_mut() {
            told.remove("time");
            // The list's keys are ids, whose order is another one each time.
            if let Some(list) = told.get_mut("client_list") {
                *list = names.into();
            }
        }
        told.to_string().replace(&ann_id, "<ann>").replace(&bob_id, "<bob>").replace(&cy_id, "<cy>")
    });
    Ok(timeless.collect())
}

/// Gives the names of the clients in the room, sorted.
fn names(login: &serde_json::Value) -> Vec<String> {
    let list: BTreeMap<String, String> =
        serde_json::from_value(login["client_list"].clone()).unwrap_or_default();
    let mut names: Vec<_> = list.into_values().collect();
    names.sort();
    names
}
