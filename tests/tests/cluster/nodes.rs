//! Several servers in a cluster behave like a single one.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use futures_util::SinkExt as _;
use gateway_tests::{
    BridgeWorker, BusinessWorkers, Client, Nats, Nodes, Operator, OriginalStack, PhpPeer, SECRET, Server,
    TestCertificate, WorkerRunner, eventually, new_producer, php, root, server_binary, skip, soon,
};
use gateway_wire::ClientId;
use gateway_wire::bridge::{AnswerValue, Order, Query, Reply, WorkerToServer};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message;

use super::operated_nodes::OperatedNodes;

fn text(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

fn string(text: &str) -> AnswerValue {
    AnswerValue::Str(text.as_bytes().to_vec())
}

fn id(client: ClientId) -> AnswerValue {
    AnswerValue::Str(client.to_bytes().to_vec())
}

fn sorted(value: AnswerValue) -> Vec<String> {
    match value {
        AnswerValue::List(list) => {
            let mut list: Vec<_> = list.iter().map(|value| format!("{value:?}")).collect();
            list.sort();
            list
        }
        AnswerValue::Map(map) => sorted(AnswerValue::List(
            map.into_iter().map(|(key, value)| AnswerValue::List(vec![key, as_sorted(value)])).collect(),
        )),
        other => vec![format!("{other:?}")],
    }
}

fn as_sorted(value: AnswerValue) -> AnswerValue {
    match value {
        AnswerValue::List(_) => {
            AnswerValue::List(sorted(value).into_iter().map(|one| string(&one)).collect())
        }
        other => other,
    }
}

#[tokio::test]
async fn many_names_and_long_lists_go_to_other_nodes_once() -> anyhow::Result<()> {
    const TEST: &str = "many_names_and_long_lists_go_to_other_nodes_once";
    let Some(nodes) = OperatedNodes::start(TEST, 2, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut clients = [nodes.client(0).await?, nodes.client(1).await?, nodes.client(1).await?];
    let ids = [0, 1, 2].map(|client| clients[client].id);
    for (client, uid) in ids.iter().zip(["zero", "one", "two"]) {
        php.bind(*client, uid).await?;
        for group in ["0", "1"] {
            php.order(Order::JoinGroup { client: *client, group: text(group) }).await?;
        }
    }
    php.acked().await?;
    let names: Vec<_> = (0..1000).map(|name| name.to_string()).collect();
    let uids: Vec<_> = ["zero", "one", "two"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let sent = async || nodes.metric(0, "gateway_cluster_sent_total").await;
    let before = sent().await?;
    let long = "x".repeat(2000);
    // An order with few names goes only to the nodes that have them; one with many names goes once to all nodes, whether what all of
    // them get is long or short.
    for (names, uids, strangers) in [(&names[..2], &uids[..3], 0), (&names, &uids, 200), (&names, &uids, 0)] {
        // The order leaves out the last client, and client ids that do not exist.
        let stranger = |number| ClientId::new(ids[1].node, ids[1].connection.wrapping_add(number));
        let except: Vec<_> =
            (1..=strangers).map(stranger).filter(|id| *id != ids[1]).chain([ids[2]]).collect();
        let message = if strangers == 0 { "short" } else { &long };
        let raw = false;
        let groups: Vec<_> = names.iter().map(|name| text(name)).collect();
        let uids: Vec<_> = uids.iter().map(|uid| text(uid)).collect();
        let send = |uids, groups| Order::Send {
            message: text(message),
            only: None,
            uids,
            groups,
            except: except.clone(),
            except_groups: vec![],
            raw,
            kind: 0,
        };
        php.order(Order::SendToGroups {
            groups: groups.iter().copied().collect(),
            except: except.clone(),
            message: text(message),
            raw,
        })
        .await?;
        php.order(send(None, Some(groups))).await?;
        php.order(send(Some(uids.clone()), None)).await?;
        php.order(Order::SendToUids { uids: uids.into_iter().collect(), message: text(message), raw })
            .await?;
        php.send_to_all("end").await?;
        php.acked().await?;
        // A member of two groups gets a message to both of them twice.
        for (client, times) in clients.iter_mut().zip([6, 6, 1]) {
            for time in 0..times {
                assert_eq!(client.text().await?, message, "{time}");
            }
            assert_eq!(client.text().await?, "end");
        }
    }
    // The bound has room for the frames that each node sends twice a second to say that it is there.
    let sent = sent().await? - before;
    assert!(sent < 200.0, "{sent} frames");
    php.order(Order::CloseUids { uids: uids.iter().map(|uid| text(uid)).collect(), last: Some(text(&long)) })
        .await?;
    for client in &mut clients {
        assert_eq!(client.text().await?, long);
        assert!(matches!(client.message().await?, Message::Close(_)));
    }
    Ok(())
}

#[tokio::test]
async fn every_audience_on_every_node() -> anyhow::Result<()> {
    let Some(nodes) =
        Nodes::start("every_audience_on_every_node", 3, &["--shards", "2", "--outbox-bytes", "8000000"])
            .await?
    else {
        return Ok(());
    };
    let mut php = nodes.php(0).await?;
    let mut clients = Vec::new();
    for node in 0..3 {
        clients.push(nodes.client(node).await?);
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    assert_eq!(ids.iter().map(|id| id.node).collect::<BTreeSet<_>>().len(), 3);
    let raw = false;
    for (client, uid) in ids.iter().zip(["zero", "one", "two"]) {
        php.bind(*client, uid).await?;
        php.order(Order::JoinGroup { client: *client, group: text("all") }).await?;
    }
    php.order(Order::JoinGroup { client: ids[1], group: text("red") }).await?;
    // Each of these orders has effect before the next one, which needs it, is carried out.
    php.send_to_uid("one", "a").await?;
    let groups = |group: &'static str, except: &[ClientId], message| Order::SendToGroups {
        groups: [text(group)].into(),
        except: except.to_vec(),
        message: text(message),
        raw,
    };
    php.order(groups("red", &[], "b")).await?;
    php.order(groups("all", &[ids[2]], "c")).await?;
    php.order(Order::SendToAll { message: text("d"), only: None, except: vec![ids[0], ids[1]], raw }).await?;
    php.order(Order::SendToAll {
        message: text("e"),
        only: Some(vec![ids[1], ids[2], ids[1]]),
        except: vec![ids[2]],
        raw,
    })
    .await?;
    php.order(Order::SendToClient { client: ids[2], message: text("f"), raw }).await?;
    let send =
        |only: Option<Vec<ClientId>>, uids: Option<Vec<_>>, groups: Option<Vec<_>>, message| Order::Send {
            message: text(message),
            only,
            uids,
            groups,
            except: vec![ids[0]],
            except_groups: vec![text("red")],
            raw,
            kind: 1,
        };
    php.order(send(Some(ids.clone()), None, None, "only")).await?;
    php.order(send(None, Some(vec![text("zero"), text("one"), text("two")]), None, "uids")).await?;
    php.order(send(None, None, Some(vec![text("all")]), "groups")).await?;
    php.order(send(None, None, None, "all")).await?;
    let uids = [text("zero"), text("two"), text("nobody")].into_iter().collect();
    php.order(Order::SendToUids { uids, message: text("g"), raw }).await?;
    php.order(Order::UnbindUid { client: ids[1] }).await?;
    php.send_to_uid("one", "lost").await?;
    php.order(Order::LeaveGroup { client: ids[1], group: text("red") }).await?;
    php.order(groups("red", &[], "lost")).await?;
    php.order(Order::Ungroup { group: text("all") }).await?;
    php.order(groups("all", &[], "lost")).await?;
    // A long message crosses the cluster in parts.
    let long = "long ".repeat(500_000);
    php.send_to_uid("two", &long).await?;
    php.send_to_all("end").await?;
    php.acked().await?;
    let expected = [
        vec!["c", "g"],
        vec!["a", "b", "c", "e"],
        vec!["d", "f", "only", "uids", "groups", "all", "g", &long],
    ];
    for (client, messages) in clients.iter_mut().zip(expected) {
        for message in messages.into_iter().chain(["end"]) {
            assert_eq!(client.text().await?, message);
        }
    }
    php.order(Order::Close { client: ids[1], last: Some(text("bye")) }).await?;
    php.order(Order::Destroy { client: ids[2] }).await?;
    assert_eq!(clients[1].text().await?, "bye");
    assert!(matches!(clients[1].message().await?, Message::Close(_)));
    clients[2].message().await.unwrap_err();
    // The orders come from another node than the client's.
    let mut php = nodes.php(1).await?;
    php.order(Order::CloseUids {
        uids: [text("zero"), text("nobody")].into_iter().collect(),
        last: Some(text("all bye")),
    })
    .await?;
    assert_eq!(clients[0].text().await?, "all bye");
    assert!(matches!(clients[0].message().await?, Message::Close(_)));
    Ok(())
}

#[tokio::test]
async fn every_question_is_answered_by_all() -> anyhow::Result<()> {
    let Some(nodes) = Nodes::start("every_question_is_answered_by_all", 3, &[]).await? else { return Ok(()) };
    let mut php = nodes.php(1).await?;
    let mut clients = Vec::new();
    for node in [0, 1, 2, 2] {
        clients.push(nodes.client(node).await?);
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    for (client, uid) in ids.iter().zip(["a", "b", "a"]) {
        php.bind(*client, uid).await?;
    }
    for (client, group) in [(0, "g"), (1, "g"), (2, "g"), (2, "h")] {
        php.order(Order::JoinGroup { client: ids[client], group: text(group) }).await?;
    }
    php.order(Order::SetSession { client: ids[0], session: text("a:1:{s:1:\"x\";i:1;}") }).await?;
    php.order(Order::UpdateSession { client: ids[0], changes: text("a:1:{s:1:\"y\";i:2;}") }).await?;
    let session = string("a:2:{s:1:\"x\";i:1;s:1:\"y\";i:2;}");

    let gone = ClientId::new(ids[0].node, ids[0].connection ^ 1);
    let nowhere = ClientId::new("10.1.2.3:4".parse()?, 5);
    let list = |ids: &[ClientId]| AnswerValue::List(ids.iter().copied().map(id).collect());
    let names = |names: &[&str]| AnswerValue::List(names.iter().copied().map(string).collect());
    let g = || Some(vec![text("g")]);
    let yes = AnswerValue::Bool(true);
    let no = || AnswerValue::Bool(false);
    for (query, expected) in [
        (Query::IsOnline { client: ids[2] }, yes.clone()),
        (Query::IsOnline { client: gone }, no()),
        (Query::IsOnline { client: nowhere }, no()),
        (Query::IsUidOnline { uid: text("a") }, yes.clone()),
        (Query::IsUidOnline { uid: text("z") }, no()),
        (Query::ClientsOfUid { uid: text("a") }, list(&[ids[0], ids[2]])),
        (Query::UidOfClient { client: ids[2] }, string("a")),
        (Query::UidOfClient { client: ids[3] }, AnswerValue::Null),
        (Query::UidOfClient { client: nowhere }, AnswerValue::Null),
        (Query::ClientCount {}, AnswerValue::Int(4)),
        (Query::Session { client: ids[0] }, session.clone()),
        (Query::Session { client: nowhere }, AnswerValue::Null),
        (Query::ClientInfo { client: gone }, AnswerValue::Null),
        (Query::ClientInfo { client: nowhere }, AnswerValue::Null),
        (
            Query::AreUidsOnline { uids: vec![text("a"), text("z"), text("b")] },
            AnswerValue::List(vec![yes.clone(), no(), yes.clone()]),
        ),
        (
            Query::ClientsOfUids { uids: vec![text("b"), text("z")] },
            AnswerValue::List(vec![list(&[ids[1]]), AnswerValue::List(vec![])]),
        ),
        (Query::Clients { groups: None }, list(&ids)),
        (Query::Clients { groups: g() }, list(&ids[..3])),
        (
            Query::ClientCountOfEach { groups: vec![text("g"), text("h")] },
            AnswerValue::List(vec![AnswerValue::Int(3), AnswerValue::Int(1)]),
        ),
        (
            Query::Sessions { groups: g() },
            AnswerValue::Map(vec![(id(ids[0]), session), (id(ids[1]), string("")), (id(ids[2]), string(""))]),
        ),
        (Query::Uids { groups: None }, names(&["a", "b"])),
        (Query::UidCount { groups: g() }, AnswerValue::Int(2)),
        (Query::Groups {}, names(&["g", "h"])),
        (
            Query::GroupClients {},
            AnswerValue::Map(vec![(string("g"), list(&ids[..3])), (string("h"), list(&[ids[2]]))]),
        ),
        (
            Query::GroupClientCounts {},
            AnswerValue::Map(vec![(string("g"), AnswerValue::Int(3)), (string("h"), AnswerValue::Int(1))]),
        ),
        (
            Query::GroupUids {},
            AnswerValue::Map(vec![(string("g"), names(&["a", "b"])), (string("h"), names(&["a"]))]),
        ),
        (
            Query::GroupUidCounts {},
            AnswerValue::Map(vec![(string("g"), AnswerValue::Int(2)), (string("h"), AnswerValue::Int(1))]),
        ),
    ] {
        let is_ordered = matches!(
            query,
            Query::AreUidsOnline { .. } | Query::ClientCountOfEach { .. } | Query::ClientsOfUids { .. }
        );
        let name = format!("{query:?}");
        let answer = php.ask(query).await.context(name.clone())?;
        if is_ordered {
            assert_eq!(answer, expected, "{name}");
        } else {
            assert_eq!(sorted(answer), sorted(expected), "{name}");
        }
    }
    // A client's own node knows it, and at which of its listeners.
    let AnswerValue::Map(info) = php.ask(Query::ClientInfo { client: ids[2] }).await? else {
        bail!("no map")
    };
    let field =
        |name: &str| info.iter().find(|(key, _)| *key == string(name)).map(|(_, value)| value.clone());
    let listener = format!("websocket://{}", nodes.nodes[2].server.websocket);
    assert_eq!(field("listener"), Some(string(&listener)));
    assert_eq!((field("state"), field("uid")), (Some(string("connected")), Some(string("a"))));
    // If the client's node refuses an order, the process that gave it by another node gets the error.
    let seq =
        php.order(Order::UpdateSession { client: ids[3], changes: text("a:1:{i:0;s:5:\"x\";}") }).await?;
    assert!(matches!(php.reply().await?, Reply::Error { seq: of, .. } if of == seq));
    Ok(())
}

#[tokio::test]
async fn a_question_does_not_wait_for_a_node_that_is_taken_for_gone() -> anyhow::Result<()> {
    const TEST: &str = "a_question_does_not_wait_for_a_node_that_is_taken_for_gone";
    let Some(mut nodes) = Nodes::start(TEST, 3, &["--cluster-timeout", "600"]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let _clients = [nodes.client(0).await?, nodes.client(1).await?, nodes.client(2).await?];
    eventually("three", AnswerValue::Int(3), async || php.count().await).await?;
    nodes.nodes[1].server.signal(Signal::SIGKILL)?;
    nodes.nodes[1].server.exit().await?;
    // The answer is that of the nodes which are left, as it is for whoever asks later.
    assert_eq!(php.count().await?, AnswerValue::Int(2));
    Ok(())
}

#[tokio::test]
async fn a_node_whose_clients_have_gone_spoils_no_answer_before_it_leaves() -> anyhow::Result<()> {
    const TEST: &str = "a_node_whose_clients_have_gone_spoils_no_answer_before_it_leaves";
    let Some(mut nodes) = Nodes::start(TEST, 2, &["--events", "workers"]).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let server = &mut nodes.nodes[1].server;
    let mut worker = BridgeWorker::connect_as(server.register[0], SECRET.as_bytes()).await?;
    worker.say(&WorkerToServer::Join { name: "slow", moves: false }).await?;
    server.logs("a worker joined").await?;
    let client = Client::shake_hands(server.websocket, "/", &[]).await?;
    eventually("one", AnswerValue::Int(1), async || php.count().await).await?;
    // The node has a last event for a worker that says nothing, and waits a while for that before it leaves.
    server.signal(Signal::SIGTERM)?;
    drop(client);
    let mut asked = 0;
    let mut exit = Box::pin(server.exit());
    loop {
        tokio::select! {
            biased;
            status = &mut exit => break assert!(status?.success()),
            count = php.count() => {
                let count = count?;
                assert!(matches!(count, AnswerValue::Int(0 | 1)), "{count:?}");
                asked += 1;
            }
        }
    }
    assert!(asked > 10, "{asked}");
    drop(exit);
    assert_eq!(nodes.php(0).await?.count().await?, AnswerValue::Int(0));
    Ok(())
}

#[tokio::test]
async fn nodes_come_leave_and_die() -> anyhow::Result<()> {
    let Some(mut nodes) = Nodes::start("nodes_come_leave_and_die", 2, &["--cluster-timeout", "1.5"]).await?
    else {
        return Ok(());
    };
    let mut php = nodes.php(0).await?;
    let _here = nodes.client(0).await?;
    let _there = nodes.client(1).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(2));

    // A node that hangs makes the call fail, because the answer would not be whole.
    nodes.nodes[1].server.signal(Signal::SIGSTOP)?;
    let node = nodes.nodes[1].server.register[0].to_string();
    let error = php.count().await.unwrap_err().to_string();
    assert!(error.contains(&format!("no answer from node {node}")), "{error}");
    nodes.nodes[1].server.signal(Signal::SIGCONT)?;
    eventually("both", true, async || Ok(php.count().await.is_ok_and(|count| count == AnswerValue::Int(2))))
        .await?;

    // Calls fail for a node that dies until the others take it for gone.
    nodes.nodes[1].server.signal(Signal::SIGKILL)?;
    nodes.nodes[1].server.exit().await?;
    php.count().await.unwrap_err();
    eventually("one", true, async || Ok(php.count().await.is_ok_and(|count| count == AnswerValue::Int(1))))
        .await?;

    // The node that takes its place has none of its clients.
    nodes.replace(1).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    let _there = nodes.client(1).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(2));

    // A node that stops says so, and calls succeed at once.
    nodes.nodes[1].server.signal(Signal::SIGTERM)?;
    nodes.nodes[1].server.exit().await?;
    nodes.nodes[0].server.logs("a node has left the cluster").await?;
    assert_eq!(php.count().await.context("after it left")?, AnswerValue::Int(1));
    Ok(())
}

#[tokio::test]
async fn operators_see_all_nodes() -> anyhow::Result<()> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, "operators\n")?;
    let path = file.path().to_str().context("a path in UTF-8")?;
    let flags = ["--operations", "127.0.0.1:0", "--operations-token-file", path];
    let Some(mut nodes) = Nodes::start("operators_see_all_nodes", 2, &flags).await? else { return Ok(()) };
    let [one, two] = [0, 1].map(|node| nodes.nodes[node].server.register[0].to_string());
    let operator = Operator::of(&nodes.nodes[0].server)?.with_token("operators");
    let _clients = [nodes.client(0).await?, nodes.client(1).await?, nodes.client(1).await?];
    let seen = async || {
        let status = operator.json("/status").await?;
        let nodes = status["cluster"]["nodes"].as_array().context("nodes")?.clone();
        let node =
            |node: &serde_json::Value| format!("{} {} {}", node["node"], node["state"], node["clients"]);
        Ok((status["cluster"]["clients"].clone(), nodes.iter().map(node).collect::<BTreeSet<_>>()))
    };
    let of =
        |other: &str| BTreeSet::from([format!("\"{one}\" \"self\" 1"), format!("\"{two}\" \"{other}\" 2")]);
    eventually("three clients", (json!(3), of("here")), seen).await?;
    let metrics = operator.get("/metrics").await?.body;
    for line in [
        "gateway_cluster_connected 1",
        "gateway_cluster_nodes 2",
        "gateway_cluster_clients 3",
        "gateway_cluster_missed_total 0",
    ] {
        assert!(metrics.lines().any(|one| one == line), "{line} in {metrics}");
    }
    let shown = Command::new(server_binary()?)
        .args(["status", "--operations", &operator.address.to_string(), "--operations-token-file", path])
        .output()
        .await?;
    let shown = String::from_utf8(shown.stdout)?;
    let is_shown =
        |node: &str, state: &str| shown.lines().any(|line| line.split_whitespace().take(2).eq([node, state]));
    assert!(is_shown(&one, "self") && is_shown(&two, "here"), "{shown}");

    nodes.nodes[1].server.signal(Signal::SIGKILL)?;
    eventually("one client", (json!(1), of("gone")), seen).await?;
    nodes.nats.kill().await?;
    eventually("an outage", true, async || {
        let status = operator.json("/status").await?;
        Ok(status["cluster"]["problem"].as_str().is_some_and(|problem| problem.contains("no connection")))
    })
    .await
}

#[tokio::test]
async fn the_register_names_all_nodes() -> anyhow::Result<()> {
    let Some(mut nodes) = Nodes::start("the_register_names_all_nodes", 1, &[]).await? else { return Ok(()) };
    let [one] = [nodes.nodes[0].server.register[0]];
    let mut register = BufReader::new(TcpStream::connect(one).await?);
    let line = format!("{{\"event\":\"worker_connect\",\"secret_key\":\"{SECRET}\"}}\n");
    register.write_all(line.as_bytes()).await?;
    let mut addresses = async || {
        let mut line = String::new();
        soon("addresses", register.read_line(&mut line)).await??;
        let addresses = serde_json::from_str::<serde_json::Value>(&line)?["addresses"].clone();
        Ok::<BTreeSet<String>, anyhow::Error>(serde_json::from_value(addresses)?)
    };
    assert_eq!(addresses().await?, BTreeSet::from([one.to_string()]));
    nodes.add().await?;
    let two = nodes.nodes[1].server.register[0];
    assert_eq!(addresses().await?, BTreeSet::from([one.to_string(), two.to_string()]));
    nodes.nodes[1].server.signal(Signal::SIGTERM)?;
    assert_eq!(addresses().await?, BTreeSet::from([one.to_string()]));
    Ok(())
}

#[tokio::test]
async fn workers_of_one_runner_serve_all_nodes() -> anyhow::Result<()> {
    let test = "workers_of_one_runner_serve_all_nodes";
    let Some(mut nodes) = Nodes::start(test, 2, &["--events", "workers"]).await? else { return Ok(()) };
    let registers: Vec<_> = nodes.nodes.iter().map(|node| node.server.register[0]).collect();
    let events = root().join("tests/php/cluster/Events.php");
    let _runner = WorkerRunner::start_for(events, &registers, 2, SECRET).await?;
    for node in &mut nodes.nodes {
        node.server.logs("a worker joined").await?;
    }
    let mut clients = [nodes.client(0).await?, nodes.client(1).await?];
    for (from, to) in [(0, 1), (1, 0)] {
        clients[to].socket.send(Message::text("join")).await?;
        assert_eq!(clients[to].text().await?, "joined");
        clients[from].socket.send(Message::text("say hello")).await?;
        assert_eq!(clients[to].text().await?, format!("{} of 2: hello", clients[from].id));
        clients[to].socket.send(Message::text("leave")).await?;
        assert_eq!(clients[to].text().await?, "left");
    }
    Ok(())
}

#[tokio::test]
async fn workers_go_where_the_nodes_are() -> anyhow::Result<()> {
    let test = "workers_go_where_the_nodes_are";
    let Some(mut nodes) = Nodes::start(test, 2, &["--events", "workers"]).await? else { return Ok(()) };
    let registers = |nodes: &Nodes| {
        let mut registers: Vec<_> =
            nodes.nodes.iter().map(|node| node.server.register[0].to_string()).collect();
        registers.sort_unstable();
        registers
    };
    let events = root().join("tests/php/cluster/Events.php");
    // The runner knows the address of only one node, and learns the others from that.
    let runner = WorkerRunner::start_for(events, &[nodes.nodes[0].server.register[0]], 4, SECRET).await?;
    // Gives how many workers serve at each register.
    let spread = async || {
        let mut spread = BTreeMap::new();
        for line in runner.status().await?.lines().filter(|line| line.contains(" serving ")) {
            let register = line.split_whitespace().last().context("a register")?.to_owned();
            *spread.entry(register).or_insert(0) += 1;
        }
        anyhow::Ok(spread)
    };
    let evenly = |registers: Vec<String>| registers.into_iter().map(|register| (register, 2)).collect();
    eventually("two workers at each", evenly(registers(&nodes)), spread).await?;

    nodes.add().await?;
    let all = registers(&nodes);
    let is_on_all = async || Ok(spread().await?.into_keys().collect::<Vec<_>>());
    eventually("a worker at each", all, is_on_all).await?;
    let mut clients = [nodes.client(0).await?, nodes.client(2).await?];
    clients[0].socket.send(Message::text("join")).await?;
    assert_eq!(clients[0].text().await?, "joined");
    clients[1].socket.send(Message::text("say hello")).await?;
    assert_eq!(clients[0].text().await?, format!("{} of 2: hello", clients[1].id));

    // The node whose address the runner was given stops.
    nodes.nodes.remove(0).server.signal(Signal::SIGTERM)?;
    eventually("two workers at each", evenly(registers(&nodes)), spread).await?;
    clients[1].socket.send(Message::text("join")).await?;
    assert_eq!(clients[1].text().await?, "joined");
    let mut late = nodes.client(0).await?;
    late.socket.send(Message::text("say bye")).await?;
    assert_eq!(clients[1].text().await?, format!("{} of 2: bye", late.id));
    Ok(())
}

#[tokio::test]
async fn php_is_told_who_has_not_answered() -> anyhow::Result<()> {
    let flags = ["--cluster-timeout", "1.5"];
    let Some(nodes) = Nodes::start("php_is_told_who_has_not_answered", 2, &flags).await? else {
        return Ok(());
    };
    let _client = nodes.client(1).await?;
    let [register, other] = [0, 1].map(|node| nodes.nodes[node].server.register[0].to_string());
    let count = async || {
        let script = "GatewayClient\\Gateway::$registerAddress = $argv[1]; GatewayClient\\Gateway::$secretKey = $argv[2];\
            try { echo Gateway::getAllClientIdCount(); }\
            catch (GatewayException $e) { echo $e->getMessage(), '|', Gateway::lastError(); }";
        let output = php()?.args(["-r", script, &register, SECRET]).output().await?;
        anyhow::ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    };
    assert_eq!(count().await?, "1");
    nodes.nodes[1].server.signal(Signal::SIGSTOP)?;
    let said = count().await?;
    let (thrown, last) = said.split_once('|').context(said.clone())?;
    let expected = format!("no answer from node {other} of the cluster within 1.5s (cluster_timeout)");
    assert!(thrown.contains(&expected) && last.contains(&expected), "{said}");
    nodes.nodes[1].server.signal(Signal::SIGCONT)?;
    eventually("an answer", "1".to_owned(), count).await
}

#[tokio::test]
async fn the_classes_of_gatewayworker_reach_all_nodes() -> anyhow::Result<()> {
    let test = "the_classes_of_gatewayworker_reach_all_nodes";
    if let Some(reason) = OriginalStack::missing() {
        skip(test, &reason);
        return Ok(());
    }
    let Some(mut nodes) = Nodes::start(test, 2, &["--events", "workers"]).await? else { return Ok(()) };
    let register = nodes.nodes[0].server.register[0];
    let events = root().join("tests/php/echo/Events.php");
    let _workers = BusinessWorkers::start_with(events, register, 1, SECRET).await?;
    for node in &mut nodes.nodes {
        node.server.logs("a worker joined").await?;
    }
    let mut clients = [nodes.client(0).await?, nodes.client(1).await?];
    for client in &mut clients {
        client.socket.send(Message::text("echo")).await?;
        assert_eq!(client.text().await?, "echo");
    }
    let [one, two] = [0, 1].map(|node| clients[node].id.to_string());
    let script = format!(
        "require '{}'; use GatewayClient\\Gateway;\
        Gateway::$registerAddress = '{register}'; Gateway::$secretKey = \"{SECRET}\";\
        Gateway::bindUid('{one}', 'ann'); Gateway::bindUid('{two}', 'ann');\
        echo Gateway::getAllClientIdCount(), ' ', count(Gateway::getClientIdByUid('ann'));\
        Gateway::sendToUid('ann', 'once');",
        root().join("tests/php/gatewayworker/autoload.php").display()
    );
    let output = Command::new("php").args(["-r", &script]).output().await?;
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2 2", "{output:?}");
    // Our own class sees both clients as well.
    let mut php = nodes.php(1).await?;
    assert_eq!(php.clients_of("ann").await?.len(), 2);
    php.send_to_uid("ann", "twice").await?;
    for client in &mut clients {
        assert_eq!([client.text().await?, client.text().await?], ["once", "twice"]);
    }
    Ok(())
}

#[tokio::test]
async fn an_address_is_one_nodes_alone() -> anyhow::Result<()> {
    let Some(nodes) = Nodes::start("an_address_is_one_nodes_alone", 1, &["--node", "10.0.0.1:1238"]).await?
    else {
        return Ok(());
    };
    let refused = Server::start_with(|command| {
        command
            .args(["--cluster-nats", &nodes.nats.url(), "--node", "10.0.0.1:1238"])
            .env("GATEWAY_SECRET_KEY", SECRET);
    });
    let error = refused.await.err().context("another node of that address")?.to_string();
    assert!(error.contains("ended before it was ready"), "{error}");
    let mut php = nodes.php(0).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(0));
    Ok(())
}

#[tokio::test]
async fn nats_asks_for_a_password_and_speaks_tls() -> anyhow::Result<()> {
    let certificate = TestCertificate::new()?;
    let (chain, key) = (certificate.certificate.display().to_string(), certificate.key.display().to_string());
    let flags = ["--user", "node", "--pass", "p@ss", "--tls", "--tlscert", &chain, "--tlskey", &key];
    let Some(nats) = Nats::start_with("nats_asks_for_a_password_and_speaks_tls", &flags).await? else {
        return Ok(());
    };
    let port = nats.address.port();
    let start = async |address: String, authorities: &str| {
        Server::start_with(|command| {
            command.args(["--cluster-nats", &address, "--cluster-tls-ca", authorities]);
            command.env("GATEWAY_SECRET_KEY", SECRET);
        })
        .await
    };
    let right = format!("tls://node:p%40ss@localhost:{port}");
    let one = start(right.clone(), &chain).await?;
    let two = start(format!("nats://node:p%40ss@localhost:{port}"), &chain).await?;
    let mut php = PhpPeer::connect_as(one.register[0], new_producer(), SECRET.as_bytes()).await?;
    let mut client = Client::connect(two.websocket).await?;
    php.bind(client.id, "ann").await?;
    php.send_to_uid("ann", "over TLS").await?;
    assert_eq!(client.text().await?, "over TLS");

    // A node that cannot log in to NATS serves alone, and says why.
    let other_certificate = TestCertificate::new()?;
    let other = other_certificate.certificate.display().to_string();
    let alone = async |address: String, authorities: &str, reason: &str| {
        let server = start(address, authorities).await?;
        let mut php = PhpPeer::connect_as(server.register[0], new_producer(), SECRET.as_bytes()).await?;
        let error = php.count().await.unwrap_err().to_string();
        anyhow::ensure!(error.contains(reason) && !error.contains("wrong"), "{error}");
        Ok(())
    };
    let refused = "Authorization Violation";
    tokio::try_join!(
        alone(format!("tls://node:wrong@localhost:{port}"), &chain, refused),
        alone(format!("tls://localhost:{port}"), &chain, refused),
        alone(right, &other, "certificate"),
    )?;
    Ok(())
}

#[tokio::test]
async fn strangers_are_not_heard() -> anyhow::Result<()> {
    let Some(mut nodes) = Nodes::start("strangers_are_not_heard", 1, &[]).await? else { return Ok(()) };
    let mut other = Server::start_with(|command| {
        command.args(["--cluster-nats", &nodes.nats.url()]).env("GATEWAY_SECRET_KEY", "another");
    })
    .await?;
    nodes.nodes[0].server.logs("was not sealed with this cluster's name and secret_key").await?;
    other.logs("was not sealed").await?;
    let mut client = nodes.client(0).await?;
    let mut stranger = PhpPeer::connect_as(other.register[0], new_producer(), b"another").await?;
    stranger.send_to_all("from a stranger").await?;
    stranger.acked().await?;
    let mut php = nodes.php(0).await?;
    assert_eq!(php.count().await?, AnswerValue::Int(1));
    php.send_to_all("from here").await?;
    assert_eq!(client.text().await?, "from here");
    Ok(())
}

#[tokio::test]
async fn without_nats_a_node_serves_its_own() -> anyhow::Result<()> {
    let Some(mut nodes) = Nodes::start("without_nats_a_node_serves_its_own", 2, &[]).await? else {
        return Ok(());
    };
    let mut php = nodes.php(0).await?;
    let mut clients: [Client; 2] = [nodes.client(0).await?, nodes.client(1).await?];
    for client in &clients {
        php.bind(client.id, "ann").await?;
    }
    php.acked().await?;
    nodes.nats.kill().await?;
    nodes.nodes[0].server.logs("no connection to NATS").await?;
    php.send_to_uid("ann", "1").await?;
    php.send_to_uid("ann", "2").await?;
    php.acked().await?;
    assert_eq!([clients[0].text().await?, clients[0].text().await?], ["1", "2"]);
    let error = php.count().await.unwrap_err().to_string();
    assert!(error.contains("no connection to NATS"), "{error}");
    // The orders that waited are sent when NATS is back.
    nodes.nats.restart().await?;
    assert_eq!([clients[1].text().await?, clients[1].text().await?], ["1", "2"]);
    php.send_to_uid("ann", "3").await?;
    assert_eq!([clients[0].text().await?, clients[1].text().await?], ["3", "3"]);
    eventually("both", true, async || Ok(php.count().await.is_ok_and(|count| count == AnswerValue::Int(2))))
        .await
}

#[tokio::test]
async fn an_outage_may_fail_at_once() -> anyhow::Result<()> {
    let flags = ["--cluster-outage", "fail"];
    let Some(mut nodes) = Nodes::start("an_outage_may_fail_at_once", 1, &flags).await? else { return Ok(()) };
    let mut php = nodes.php(0).await?;
    let mut client = nodes.client(0).await?;
    nodes.nats.kill().await?;
    nodes.nodes[0].server.logs("no connection to NATS").await?;
    let seq =
        php.order(Order::SendToAll { message: text("x"), only: None, except: vec![], raw: false }).await?;
    match php.reply().await? {
        Reply::Error { seq: of, message } if of == seq => {
            assert!(message.contains("only clients of this node"), "{message}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(client.text().await?, "x");
    Ok(())
}
