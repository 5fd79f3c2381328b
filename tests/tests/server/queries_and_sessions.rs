//! The queries that PHP can ask the server, and the sessions that it keeps there for clients.

use std::collections::BTreeMap;

use gateway_tests::{Client, PhpPeer, Server};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query, Reply};
use serde_bytes::Bytes;

fn text(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

fn string(text: &str) -> AnswerValue {
    AnswerValue::Str(text.as_bytes().to_vec())
}

fn id(client: &Client) -> AnswerValue {
    AnswerValue::Str(client.id.to_bytes().to_vec())
}

/// Sorts lists and maps, so that values can be compared: the server gives them in no certain order.
fn sorted(value: AnswerValue) -> AnswerValue {
    let order = |value: &AnswerValue| format!("{value:?}");
    match value {
        AnswerValue::List(mut values) => {
            values = values.into_iter().map(sorted).collect();
            values.sort_by_key(order);
            AnswerValue::List(values)
        }
        AnswerValue::Map(entries) => {
            let entries: BTreeMap<_, _> =
                entries.into_iter().map(|(key, value)| (order(&key), (key, sorted(value)))).collect();
            AnswerValue::Map(entries.into_values().collect())
        }
        other => other,
    }
}

fn list<const N: usize>(values: [AnswerValue; N]) -> AnswerValue {
    sorted(AnswerValue::List(values.into()))
}

fn map<const N: usize>(entries: [(AnswerValue, AnswerValue); N]) -> AnswerValue {
    sorted(AnswerValue::Map(entries.into()))
}

#[tokio::test]
async fn every_query_gathers_over_all_shards() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "3"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(Client::connect(server.websocket).await?);
    }
    let [a, b, c, d, e] = tabs.as_slice() else { unreachable!() };
    // alice has a and b, bob has c; red has a, b and c, blue has c and d; e belongs to nobody and to no group.
    for (tab, uid) in [(a, "alice"), (b, "alice"), (c, "bob")] {
        php.bind(tab.id, uid).await?;
    }
    for (tab, group) in [(a, "red"), (b, "red"), (c, "red"), (c, "blue"), (d, "blue")] {
        php.order(Order::JoinGroup { client: tab.id, group: text(group) }).await?;
    }
    let red = || Some(vec![text("red")]);
    let both = || Some(vec![text("red"), text("blue"), text("none")]);
    let [alice, bob, red_name, blue_name] = ["alice", "bob", "red", "blue"].map(string);

    for (query, expected) in [
        (Query::ClientCount {}, AnswerValue::Int(5)),
        (Query::IsUidOnline { uid: text("bob") }, AnswerValue::Bool(true)),
        (Query::ClientsOfUid { uid: text("alice") }, list([id(a), id(b)])),
        (Query::Clients { groups: None }, list([id(a), id(b), id(c), id(d), id(e)])),
        (Query::Clients { groups: red() }, list([id(a), id(b), id(c)])),
        (Query::Clients { groups: both() }, list([id(a), id(b), id(c), id(d)])),
        (Query::Clients { groups: Some(vec![]) }, list([])),
        (Query::Uids { groups: None }, list([alice.clone(), bob.clone()])),
        (Query::Uids { groups: red() }, list([alice.clone(), bob.clone()])),
        (Query::Uids { groups: Some(vec![text("blue")]) }, list([bob.clone()])),
        (Query::UidCount { groups: None }, AnswerValue::Int(2)),
        (Query::UidCount { groups: both() }, AnswerValue::Int(2)),
        (Query::Groups {}, list([red_name.clone(), blue_name.clone()])),
        (
            Query::GroupClients {},
            map([(red_name.clone(), list([id(a), id(b), id(c)])), (blue_name.clone(), list([id(c), id(d)]))]),
        ),
        (
            Query::GroupClientCounts {},
            map([(red_name.clone(), AnswerValue::Int(3)), (blue_name.clone(), AnswerValue::Int(2))]),
        ),
        (
            Query::GroupUids {},
            map([(red_name.clone(), list([alice, bob.clone()])), (blue_name.clone(), list([bob]))]),
        ),
        (Query::GroupUidCounts {}, map([(red_name, AnswerValue::Int(2)), (blue_name, AnswerValue::Int(1))])),
    ] {
        let asked = format!("{query:?}");
        assert_eq!(sorted(php.ask(query).await?), expected, "{asked}");
    }

    // These queries answer in the order of the uids that were asked about.
    let uids = || vec![text("bob"), text("nobody"), text("alice")];
    let online = [true, false, true].map(AnswerValue::Bool);
    assert_eq!(php.ask(Query::AreUidsOnline { uids: uids() }).await?, AnswerValue::List(online.into()));
    let AnswerValue::List(clients) = php.ask(Query::ClientsOfUids { uids: uids() }).await? else {
        panic!("no list")
    };
    let expected = [list([id(c)]), list([]), list([id(a), id(b)])];
    assert_eq!(clients.into_iter().map(sorted).collect::<Vec<_>>(), expected);
    let groups = vec![text("blue"), text("none"), text("red")];
    let counts = [2, 0, 3].map(AnswerValue::Int);
    assert_eq!(php.ask(Query::ClientCountOfEach { groups }).await?, AnswerValue::List(counts.into()));

    php.order(Order::Ungroup { group: text("red") }).await?;
    assert_eq!(php.ask(Query::Groups {}).await?, list([string("blue")]));
    assert_eq!(php.ask(Query::Clients { groups: both() }).await.map(sorted)?, list([id(c), id(d)]));
    Ok(())
}

#[tokio::test]
async fn sessions_are_set_merged_and_forgotten() -> anyhow::Result<()> {
    let server = Server::start(&["--shards", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let one = Client::connect(server.websocket).await?;
    let two = Client::connect(server.websocket).await?;
    php.order(Order::JoinGroup { client: two.id, group: text("g") }).await?;
    assert_eq!(php.ask(Query::Session { client: one.id }).await?, string(""));

    let session = r#"a:2:{s:1:"n";i:1;s:1:"m";a:1:{s:1:"x";i:1;}}"#;
    php.order(Order::SetSession { client: one.id, session: text(session) }).await?;
    let changes = r#"a:1:{s:1:"m";a:1:{s:1:"y";i:2;}}"#;
    php.order(Order::UpdateSession { client: one.id, changes: text(changes) }).await?;
    php.order(Order::UpdateSession { client: two.id, changes: text(changes) }).await?;
    let merged = r#"a:2:{s:1:"n";i:1;s:1:"m";a:2:{s:1:"x";i:1;s:1:"y";i:2;}}"#;
    assert_eq!(php.ask(Query::Session { client: one.id }).await?, string(merged));
    assert_eq!(
        sorted(php.ask(Query::Sessions { groups: None }).await?),
        map([(id(&one), string(merged)), (id(&two), string(changes))])
    );
    assert_eq!(
        php.ask(Query::Sessions { groups: Some(vec![text("g")]) }).await?,
        map([(id(&two), string(changes))])
    );

    php.order(Order::SetSession { client: one.id, session: text("") }).await?;
    assert_eq!(php.ask(Query::Session { client: one.id }).await?, string(""));
    let gone: ClientId = two.id;
    two.leave().await?;
    assert_eq!(php.ask(Query::Session { client: gone }).await?, AnswerValue::Null);
    // The server keeps no session of a client that has gone, and no change waits for its return.
    php.order(Order::UpdateSession { client: gone, changes: text(changes) }).await?;
    assert_eq!(php.ask(Query::Sessions { groups: None }).await?, map([(id(&one), string(""))]));
    Ok(())
}

#[tokio::test]
async fn a_session_that_is_no_array_or_too_large_is_refused_and_the_old_one_stays() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let tab = Client::connect(server.websocket).await?;
    let client = tab.id;
    let half = |key: &str| format!(r#"a:1:{{s:1:"{key}";s:600000:"{}";}}"#, "x".repeat(600_000));
    php.order(Order::SetSession { client, session: text(&half("a")) }).await?;
    php.acked().await?;
    let too_large = format!("a:1:{{i:0;s:1100000:\"{}\";}}", "x".repeat(1_100_000));
    for (order, expected) in [
        (Order::SetSession { client, session: text("i:1;") }, "it is not an array"),
        (Order::SetSession { client, session: text("a:1:{") }, "it ends too early"),
        (Order::UpdateSession { client, changes: text("") }, "it ends too early"),
        (Order::SetSession { client, session: text(&too_large) }, "more than the 1048576 allowed"),
        (
            Order::UpdateSession { client, changes: text(&half("b")) },
            "the session would be too long: its bytes are more than the 1048576 allowed",
        ),
    ] {
        let seq = php.order(order).await?;
        match php.reply().await? {
            Reply::Error { seq: of, message } if of == seq => {
                assert!(message.contains(expected), "{message}")
            }
            other => panic!("{other:?} instead of an error with {expected:?}"),
        }
        php.acked().await?;
    }
    assert_eq!(php.ask(Query::Session { client }).await?, string(&half("a")));
    Ok(())
}

#[tokio::test]
async fn a_destroyed_client_is_dropped_at_once() -> anyhow::Result<()> {
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut tab = Client::connect(server.websocket).await?;
    php.order(Order::Destroy { client: tab.id }).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(0));
    assert!(tab.message().await.is_err(), "a destroyed client gets no close frame");
    Ok(())
}

#[tokio::test]
async fn changes_of_a_large_session_that_come_at_once_are_all_kept() -> anyhow::Result<()> {
    const PROCESSES: usize = 4;
    const CHANGES: usize = 25;
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let client = Client::connect(server.websocket).await?;
    let numbers: String = (0..2_000).map(|key| format!("i:{key};s:10:\"0123456789\";")).collect();
    let session = format!("a:2000:{{{numbers}}}");
    php.order(Order::SetSession { client: client.id, session: text(&session) }).await?;
    php.acked().await?;
    let processes = (0..PROCESSES).map(async |process| {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        for change in 0..CHANGES {
            let key = 10_000 + process * CHANGES + change;
            let changes = format!("a:1:{{i:{key};i:{process};}}");
            php.order(Order::UpdateSession { client: client.id, changes: text(&changes) }).await?;
        }
        // A query sees the effect of all orders that the same process sent before it.
        let AnswerValue::Str(session) = php.ask(Query::Session { client: client.id }).await? else {
            anyhow::bail!("no session")
        };
        let last = format!("i:{};i:{process};", 10_000 + process * CHANGES + CHANGES - 1);
        anyhow::ensure!(String::from_utf8(session)?.contains(&last), "{last} is not there yet");
        anyhow::Ok(())
    });
    futures_util::future::try_join_all(processes).await?;
    let AnswerValue::Str(session) = php.ask(Query::Session { client: client.id }).await? else {
        anyhow::bail!("no session")
    };
    let session = String::from_utf8(session)?;
    assert!(session.starts_with(&format!("a:{}:{{{numbers}", 2_000 + PROCESSES * CHANGES)));
    for key in 0..PROCESSES * CHANGES {
        let entry = format!("i:{};i:{};", 10_000 + key, key / CHANGES);
        assert!(session.contains(&entry), "{entry} is lost");
    }
    Ok(())
}
