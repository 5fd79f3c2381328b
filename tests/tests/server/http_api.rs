//! The HTTP API: every operation is called once against real clients, then batches, and requests that are refused.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{Client, Operator, Server, skip, store_folder};
use serde_json::{Value, json};

struct Api {
    operator: Operator,
    /// The operations that a test has called so far.
    called: BTreeSet<String>,
}

impl Api {
    async fn call(&mut self, operation: &str, arguments: Value) -> anyhow::Result<Value> {
        self.called.insert(operation.to_owned());
        let answer = self.operator.post(&format!("/api/{operation}"), &arguments).await?;
        anyhow::ensure!(answer.status == 200, "{operation}: {answer:?}");
        Ok(answer.json()?["result"].take())
    }

    async fn done(&mut self, operation: &str, arguments: Value) -> anyhow::Result<()> {
        let result = self.call(operation, arguments).await?;
        anyhow::ensure!(result == Value::Null, "{operation}: {result}");
        Ok(())
    }

    async fn gives(&mut self, operation: &str, arguments: Value, expected: Value) -> anyhow::Result<()> {
        let result = sorted(self.call(operation, arguments).await?);
        anyhow::ensure!(result == sorted(expected.clone()), "{operation}: {result} instead of {expected}");
        Ok(())
    }

    /// Calls an operation that must be refused, and gives the answer's status and code.
    async fn refused(&self, operation: &str, body: &str) -> anyhow::Result<(u16, String)> {
        let answer = self.operator.ask("POST", &format!("/api/{operation}"), body).await?;
        let error = &answer.json()?["error"];
        anyhow::ensure!(error["message"].as_str().is_some_and(|message| message.len() > 10), "{error}");
        Ok((answer.status, error["code"].as_str().unwrap_or_default().to_owned()))
    }
}

/// Sorts lists, so that values can be compared: the API does not promise their order.
fn sorted(value: Value) -> Value {
    match value {
        Value::Array(mut list) => {
            list.sort_by_key(Value::to_string);
            list.into()
        }
        Value::Object(map) => {
            let map: std::collections::BTreeMap<_, _> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            map.into_iter().collect()
        }
        other => other,
    }
}

async fn start(flags: &[&str]) -> anyhow::Result<(Server, Api)> {
    let server = Server::start(&[&["--operations", "127.0.0.1:0"], flags].concat()).await?;
    let operator = Operator::of(&server)?;
    Ok((server, Api { operator, called: BTreeSet::new() }))
}

/// The names behind `/api/` in the description that the server gives of itself.
async fn described(operator: &Operator) -> anyhow::Result<BTreeSet<String>> {
    let description = operator.json("/openapi.json").await?;
    assert!(description["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths = description["paths"].as_object().into_iter().flatten();
    Ok(paths.filter_map(|(path, _)| Some(path.strip_prefix("/api/")?.to_owned())).collect())
}

/// Redocly's linter from npm, in the version for which its rules were chosen; `REDOCLY` names another program.
fn linter() -> Command {
    let mut command = match std::env::var_os("REDOCLY") {
        Some(program) => Command::new(program),
        None => {
            let mut npx = Command::new("timeout");
            npx.args(["90", "npx", "--yes", "@redocly/cli@2.77.0"]);
            npx
        }
    };
    command.env("REDOCLY_TELEMETRY", "off").env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true");
    command
}

#[tokio::test]
async fn the_description_keeps_the_recommended_rules() -> anyhow::Result<()> {
    let (_server, api) = start(&[]).await?;
    let description = api.operator.json("/openapi.json").await?;
    assert_eq!(description["servers"][0]["url"], "/", "relative to where the description comes from");
    if !linter().arg("--version").output().is_ok_and(|version| version.status.success()) {
        let why = "npx gives no @redocly/cli, and REDOCLY names no other program";
        skip("the_description_keeps_the_recommended_rules", why);
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, description.to_string())?;
    let linted = linter()
        .args(["lint", "--extends", "recommended", "--format", "json", "openapi.json"])
        .current_dir(folder.path())
        .output()?;
    let report: Value = serde_json::from_slice(&linted.stdout)
        .with_context(|| String::from_utf8_lossy(&linted.stderr).into_owned())?;
    assert_eq!(report["totals"], json!({"errors": 0, "warnings": 0, "ignored": 0}), "{report:#}");
    Ok(())
}

#[tokio::test]
async fn every_operation_does_what_it_says() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let store = folder.path().join("store");
    let (server, mut api) = start(&["--shards", "2", "--store", &store.display().to_string()]).await?;
    let mut one = Client::connect(server.websocket).await?;
    let mut two = Client::connect(server.websocket).await?;
    let three = Client::connect(server.websocket).await?;
    let [a, b, c] = [one.id, two.id, three.id].map(|id| id.to_string());

    api.done("bindUid", json!({"client_id": a, "uid": 7})).await?;
    api.done("bindUid", json!({"client_id": b, "uid": "bob"})).await?;
    api.done("joinGroup", json!({"client_id": a, "group": "g"})).await?;
    api.done("joinGroup", json!({"client_id": b, "group": "g"})).await?;
    api.done("joinGroup", json!({"client_id": b, "group": "h"})).await?;

    api.done("sendToAll", json!({"message": "all", "exclude_client_id": b})).await?;
    api.done("sendToAll", json!({"message": "these", "client_id_array": [a, b], "exclude_client_id": [a]}))
        .await?;
    api.done("sendToAll", json!({"message": "nobody", "client_id_array": []})).await?;
    api.done("sendToClient", json!({"client_id": a, "message": "client"})).await?;
    api.done("sendToUid", json!({"uid": ["7", "bob"], "message": "uid"})).await?;
    api.done("sendToGroup", json!({"group": "g", "message": "group", "exclude_client_id": a})).await?;
    api.done("sendToClient", json!({"client_id": a, "message": "\u{81}", "raw": false})).await?;
    let both = json!(["7", "bob"]);
    for (operation, arguments) in [
        ("sendToAll", json!({"message": "not h", "exclude_group": "h"})),
        (
            "sendToAll",
            json!({"message": "a of two", "client_id_array": [a, b, a], "exclude_group": ["h", "x"]}),
        ),
        ("sendToUid", json!({"uid": both, "message": "uid but b", "exclude_client_id": b})),
        ("sendToUid", json!({"uid": both, "message": "uid but h", "exclude_group": "h"})),
        ("sendToGroup", json!({"group": ["g", "h"], "message": "not h, once", "exclude_group": ["h"]})),
        ("sendToGroup", json!({"group": "g", "message": "everybody", "exclude_group": [], "binary": null})),
    ] {
        api.done(operation, arguments).await?;
    }
    for text in ["all", "client", "uid", "\u{81}"] {
        assert_eq!(one.text().await?, text);
    }
    for text in ["not h", "a of two", "uid but b", "uid but h", "not h, once", "everybody"] {
        assert_eq!(one.text().await?, text);
    }
    for text in ["these", "uid", "group", "everybody"] {
        assert_eq!(two.text().await?, text);
    }
    for binary in [true, false] {
        api.done("sendToAll", json!({"message": "k", "client_id_array": [a], "binary": binary})).await?;
        api.done("sendToClient", json!({"client_id": a, "message": "k", "binary": binary})).await?;
        api.done("sendToUid", json!({"uid": 7, "message": "k", "binary": binary})).await?;
        api.done(
            "sendToGroup",
            json!({"group": "g", "exclude_client_id": b, "message": "k", "binary": binary}),
        )
        .await?;
        for _ in 0..4 {
            let message = one.message().await?;
            assert_eq!((message.is_binary(), message.is_text()), (binary, !binary), "{message:?}");
        }
    }

    api.gives("isOnline", json!({"client_id": a}), json!(true)).await?;
    api.gives("isUidOnline", json!({"uid": 7}), json!(true)).await?;
    api.gives("isUidsOnline", json!({"uids": [7, "x"]}), json!({"7": true, "x": false})).await?;
    api.gives("getClientIdByUid", json!({"uid": "7"}), json!([a])).await?;
    api.gives("batchGetClientIdByUid", json!({"uids": ["bob", "x"]}), json!({"bob": [b], "x": []})).await?;
    api.gives("getUidByClientId", json!({"client_id": a}), json!("7")).await?;
    api.gives("getUidByClientId", json!({"client_id": c}), json!(null)).await?;
    api.gives("getAllClientIdCount", json!({}), json!(3)).await?;
    api.gives("getClientIdCountByGroup", json!({"group": "g"}), json!(2)).await?;
    api.gives("batchGetClientIdCountByGroup", json!({"groups": ["g", "h"]}), json!({"g": 2, "h": 1})).await?;
    api.gives("getAllClientIdList", json!({}), json!([a, b, c])).await?;
    api.gives("getClientIdListByGroup", json!({"group": ["g", "h"]}), json!([a, b])).await?;
    api.gives("getAllUidList", json!({}), json!(["7", "bob"])).await?;
    api.gives("getAllUidCount", json!({}), json!(2)).await?;
    api.gives("getUidListByGroup", json!({"group": "h"}), json!(["bob"])).await?;
    api.gives("getUidCountByGroup", json!({"group": "g"}), json!(2)).await?;
    api.gives("getAllGroupIdList", json!({}), json!(["g", "h"])).await?;
    api.gives("getAllGroupUidList", json!({}), json!({"g": ["7", "bob"], "h": ["bob"]})).await?;
    api.gives("getAllGroupUidCount", json!({}), json!({"g": 2, "h": 1})).await?;
    api.gives("getAllGroupClientIdList", json!({}), json!({"g": [a, b], "h": [b]})).await?;
    api.gives("getAllGroupClientIdCount", json!({}), json!({"g": 2, "h": 1})).await?;

    api.gives("getSession", json!({"client_id": a}), json!({})).await?;
    api.done("setSession", json!({"client_id": a, "session": {"name": "Ann", "list": [1, 2]}})).await?;
    api.done("updateSession", json!({"client_id": a, "session": {"is": true}})).await?;
    let session = json!({"name": "Ann", "list": [1, 2], "is": true});
    api.gives("getSession", json!({"client_id": a}), session.clone()).await?;
    api.gives("getAllClientSessions", json!({}), json!({&a: session, &b: {}, &c: {}})).await?;
    api.gives("getClientSessionsByGroup", json!({"group": "h"}), json!({&b: {}})).await?;
    let info = api.call("getClientInfo", json!({"client_id": b})).await?;
    let sorted_groups = sorted(info["groups"].clone());
    assert_eq!(
        (&info["state"], &info["uid"], sorted_groups),
        (&json!("connected"), &json!("bob"), json!(["g", "h"]))
    );
    assert!(info["since"].is_u64() && info["since"] == info["online_since"], "{info}");
    assert_eq!(
        (&info["kept_bytes"], &info["queued_bytes"], &info["parked_seconds"]),
        (&json!(0), &json!(0), &json!(null))
    );
    let proof = api.call("getClientProof", json!({"client_id": a})).await?;
    assert!(proof.as_str().is_some_and(|proof| proof.len() > 10), "{proof}");

    api.done("leaveGroup", json!({"client_id": b, "group": "g"})).await?;
    api.gives("getClientIdListByGroup", json!({"group": "g"}), json!([a])).await?;
    api.done("ungroup", json!({"group": "g"})).await?;
    api.gives("getAllGroupIdList", json!({}), json!(["h"])).await?;
    api.done("unbindUid", json!({"client_id": a})).await?;
    api.gives("isUidOnline", json!({"uid": 7}), json!(false)).await?;
    api.done("closeClient", json!({"client_id": a, "message": "bye"})).await?;
    assert_eq!(one.text().await?, "bye");
    assert_eq!(one.closed().await?.0, 1000);
    api.done("destroyClient", json!({"client_id": b})).await?;
    two.gone().await?;
    api.gives("isOnline", json!({"client_id": b}), json!(false)).await?;
    api.gives("getClientInfo", json!({"client_id": b}), json!(null)).await?;
    api.gives("getSession", json!({"client_id": b}), json!(null)).await?;
    let mut four = Client::connect(server.websocket).await?;
    let mut five = Client::connect(server.websocket).await?;
    for (client, uid) in [(four.id, "carl"), (five.id, "dora")] {
        api.done("bindUid", json!({"client_id": client.to_string(), "uid": uid})).await?;
    }
    api.done("closeUid", json!({"uid": ["carl", "nobody"], "message": "bye"})).await?;
    api.done("closeUid", json!({"uid": "dora"})).await?;
    assert_eq!(four.text().await?, "bye");
    assert_eq!((four.closed().await?.0, five.closed().await?.0), (1000, 1000));
    api.gives("getAllClientIdList", json!({}), json!([c])).await?;

    let kept = json!({"uid": "eli", "id": "m-1", "message": "later", "ttl": 60, "replace": "r", "new_device": "all"});
    api.done("deliverToUid", kept.clone()).await?;
    api.done("deliverToUid", kept).await?;
    let inbox = json!({"messages": 1, "bytes": 5, "devices": []});
    api.gives("inboxOf", json!({"uid": "eli"}), inbox).await?;
    api.gives("receipt", json!({"id": "unknown"}), json!([])).await?;
    api.done("forget", json!({"uid": "eli"})).await?;
    api.gives("inboxOf", json!({"uid": "eli"}), Value::Null).await?;

    let nobody = json!({"taken": 0, "waiting": 0, "gone": 0, "silent": []});
    api.gives("sendToUidCounted", json!({"uid": "nobody", "message": "x"}), nobody.clone()).await?;
    api.gives("sendToGroupCounted", json!({"group": ["none"], "message": "x"}), nobody).await?;
    api.gives("ask", json!({"client_id_or_uid": c, "message": "?", "timeout": 1}), json!({&c: null})).await?;

    let mut listed = described(&api.operator).await?;
    assert!(listed.remove("batch"));
    assert_eq!(listed, api.called);
    Ok(())
}

/// The rows of the table on the documents' page: each operation with the arguments that its row names.
fn on_the_page(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let names = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<BTreeSet<_>>();
    let rows = page.split("## Several at once").next().unwrap_or_default().lines();
    let rows = rows.filter_map(|line| line.strip_prefix("| `").map(|_| line.split('|').collect::<Vec<_>>()));
    rows.flat_map(|cells| names(cells[1]).into_iter().map(move |name| (name, names(cells[2])))).collect()
}

#[tokio::test]
async fn the_page_and_the_description_list_the_same_arguments() -> anyhow::Result<()> {
    let (_server, api) = start(&[]).await?;
    let description = api.operator.json("/openapi.json").await?;
    let mut described = BTreeMap::new();
    for operation in self::described(&api.operator).await?.into_iter().filter(|name| name != "batch") {
        let body = &description["paths"][format!("/api/{operation}")]["post"]["requestBody"]["content"];
        let properties = body["application/json"]["schema"]["properties"].as_object();
        let names = properties.into_iter().flatten().map(|(name, _)| name.clone()).collect();
        described.insert(operation, names);
    }
    let page = std::fs::read_to_string(gateway_tests::root().join("docs/http-api.md"))?;
    assert_eq!(on_the_page(&page), described);
    Ok(())
}

#[tokio::test]
async fn a_batch_is_done_in_order_and_each_part_has_its_result() -> anyhow::Result<()> {
    let (server, api) = start(&["--max-groups-per-client", "1"]).await?;
    let mut client = Client::connect(server.websocket).await?;
    let id = client.id.to_string();
    let batch = json!([
        {"operation": "joinGroup", "arguments": {"client_id": id, "group": "one"}},
        {"operation": "joinGroup", "arguments": {"client_id": id, "group": "two"}},
        {"operation": "sendToGroup", "arguments": {"group": "one", "message": "hi"}},
        {"operation": "sendToGruop", "arguments": {}},
        {"arguments": {}},
        7,
        {"operation": "sendToUid", "arguments": {"uid": {}, "message": "x"}},
        {"operation": "getAllClientIdCount"},
    ]);
    let answer = api.operator.post("/api/batch", &batch).await?;
    assert_eq!(answer.status, 200);
    let results = answer.json()?["results"].take();
    let codes: Vec<_> = results
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| one["error"]["code"].as_str().unwrap_or("done").to_owned())
        .collect();
    assert_eq!(
        codes,
        ["done", "refused", "done", "unknown_operation", "invalid", "invalid", "invalid", "done"]
    );
    assert!(
        results[1]["error"]["message"].as_str().is_some_and(|text| text.contains("max_groups_per_client"))
    );
    assert!(results[3]["error"]["message"].as_str().is_some_and(|text| text.contains("sendToGroup?")));
    assert_eq!(results[7]["result"], 1);
    assert_eq!(client.text().await?, "hi");

    let many: Vec<_> = (0..1001).map(|_| json!({"operation": "getAllClientIdCount"})).collect();
    let answer = api.operator.post("/api/batch", &many.clone().into()).await?;
    assert_eq!(answer.status, 400, "{answer:?}");
    let answer = api.operator.post("/api/batch", &many[1..].into()).await?;
    assert_eq!(answer.json()?["results"].as_array().map(Vec::len), Some(1000));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_explained() -> anyhow::Result<()> {
    let (server, api) = start(&[]).await?;
    let refused = async |operation, body: &str| api.refused(operation, body).await;
    let invalid = (400, "invalid".to_owned());
    for (operation, body) in [
        ("sendToAll", "no json"),
        ("sendToAll", "[]"),
        ("sendToAll", "{}"),
        ("sendToAll", ""),
        ("sendToAll", r#"{"message": 7}"#),
        ("sendToAll", r#"{"message": "x", "mesage": "y"}"#),
        ("sendToAll", r#"{"message": "x", "raw": 1}"#),
        ("sendToAll", r#"{"message": "x", "binary": "yes"}"#),
        ("sendToAll", r#"{"message": "x", "exclude_group": [{}]}"#),
        ("sendToUid", r#"{"uid": 7, "message": "x", "exclude_client_id": "xyz"}"#),
        ("closeUid", r#"{"message": "x"}"#),
        ("sendToUid", r#"{"uid": 1.5, "message": "x"}"#),
        ("closeClient", r#"{"client_id": "xyz"}"#),
        ("setSession", r#"{"client_id": "7f0000010000000000ff", "session": "x"}"#),
        ("batch", "{}"),
    ] {
        assert_eq!(refused(operation, body).await?, invalid, "{operation} {body}");
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(refused("batch", &deep).await?, invalid);
    assert_eq!(refused("nothing", "{}").await?, (404, "unknown_operation".to_owned()));
    let client = Client::connect(server.websocket).await?;
    let empty = format!(r#"{{"client_id": "{}", "uid": ""}}"#, client.id);
    assert_eq!(refused("bindUid", &empty).await?, (422, "refused".to_owned()));
    let long = format!(r#"{{"message": "{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(refused("sendToAll", &long).await?, (413, "too_large".to_owned()));
    assert_eq!(api.operator.get("/api/sendToAll").await?.status, 405);
    Ok(())
}

#[tokio::test]
async fn the_api_needs_the_token_and_no_page_gets_in_without_one() -> anyhow::Result<()> {
    let server = Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0"]).env("GATEWAY_OPERATIONS_TOKEN", "t0ken");
    })
    .await?;
    let stranger = Operator::of(&server)?;
    for (method, path) in [("POST", "/api/sendToAll"), ("POST", "/api/batch"), ("GET", "/openapi.json")] {
        assert_eq!(stranger.ask(method, path, "").await?.status, 401, "{path}");
    }
    let operator = stranger.with_token("t0ken");
    assert_eq!(operator.post("/api/getAllClientIdCount", &json!({})).await?.status, 200);

    let (_server, api) = start(&[]).await?;
    let request = "POST /api/sendToAll HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:8080\r\nContent-Length: 15\r\n\
                   Connection: close\r\n\r\n{\"message\":\"x\"}";
    assert_eq!(api.operator.say(request.as_bytes()).await?.status, 403);
    Ok(())
}

/// For these types a browser sends a request on behalf of any site's page without asking this port first (CORS), so without a
/// token the port must refuse them.
#[tokio::test]
async fn without_a_token_a_body_is_json_by_its_type() -> anyhow::Result<()> {
    let post = |token: &str, kind: &str| {
        format!(
            "POST /api/sendToAll HTTP/1.1\r\nHost: localhost\r\n{token}{kind}Content-Length: 15\r\nConnection: close\r\n\r\n\
             {{\"message\":\"x\"}}"
        )
    };
    let types = ["", "Content-Type: text/plain\r\n", "Content-Type: application/x-www-form-urlencoded\r\n"];
    let (server, api) = start(&[]).await?;
    let mut client = Client::connect(server.websocket).await?;
    for kind in types {
        let answer = api.operator.say(post("", kind).as_bytes()).await?;
        assert_eq!((answer.status, &answer.json()?["error"]["code"]), (415, &"not_json".into()), "{kind}");
    }
    let request = post("", "Content-Type: application/json; charset=utf-8\r\n").replace(":\"x\"", ":\"y\"");
    assert_eq!(api.operator.say(request.as_bytes()).await?.status, 200);
    assert_eq!(client.text().await?, "y");
    // A query without arguments needs no body.
    let question = "POST /api/getAllClientIdCount HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    assert_eq!(api.operator.say(question.as_bytes()).await?.status, 200);

    let server = Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0"]).env("GATEWAY_OPERATIONS_TOKEN", "t0ken");
    })
    .await?;
    for kind in types {
        let request = post("Authorization: Bearer t0ken\r\n", kind);
        assert_eq!(Operator::of(&server)?.say(request.as_bytes()).await?.status, 200, "{kind}");
    }
    Ok(())
}
