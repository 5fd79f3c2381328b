//! The composer package on a real Yii 2, whose path is in YII2_PATH.

use std::net::SocketAddr;

use anyhow::Context as _;
use gateway_tests::{
    GatewayContract, Greeted, Page, PhpPeer, Server, eventually, extension, root, skip, soon, store_folder,
};
use gateway_wire::token::{Claims, TokenKey};
use serde_json::{Value, json};
use tokio::process::Command;

/// Sends a request to the application, and gives the status and the text of its answer.
async fn request(register: SocketAddr, route: &str, user: &str, post: Value) -> anyhow::Result<String> {
    request_on(true, register, route, user, post).await
}

/// Does the same with the extension, or with workerman/gatewayclient instead.
async fn request_on(
    has_extension: bool,
    register: SocketAddr,
    route: &str,
    user: &str,
    post: Value,
) -> anyhow::Result<String> {
    let extension = format!("extension={}", extension()?.display());
    let output = soon("PHP", async {
        // PHP reads the machine's own configuration, because Yii needs the mbstring module that it loads.
        let mut php = Command::new("php");
        if has_extension {
            php.args(["-d", &extension]);
        }
        php.arg(root().join("tests/php/yii2/request.php"));
        php.args([route, user, &post.to_string()]).env("GATEWAY_REGISTER", register.to_string());
        php.kill_on_drop(true).output().await
    })
    .await??;
    anyhow::ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    Ok(String::from_utf8(output.stdout)?)
}

#[tokio::test]
async fn the_action_binds_only_the_page_that_posts() -> anyhow::Result<()> {
    if let Some(reason) = Page::Yii2.missing() {
        skip("the_action_binds_only_the_page_that_posts", reason);
        return Ok(());
    }
    let server = Server::start(&[]).await?;
    let register = server.register[0];
    let mut php = PhpPeer::connect(register).await?;
    let ann = Greeted::connect(server.websocket, "/", &[]).await?;
    let mallory = Greeted::connect(server.websocket, "/", &[]).await?;
    let of =
        |greeted: &Greeted| json!({"client_id": greeted.init["client_id"], "proof": greeted.init["proof"]});

    // Mallory knows Ann's client_id, and has a proof for his own.
    let mut stolen = of(&mallory);
    stolen["client_id"] = ann.init["client_id"].clone();
    let not_proved = "403 The proof of the init message is missing, or is not that of the client_id.";
    let no_client = "400 The client_id of the init message is missing or is none.";
    for (user, post, answer) in [
        ("mallory", stolen, not_proved),
        ("mallory", json!({"client_id": ann.init["client_id"]}), not_proved),
        ("mallory", json!({"client_id": ann.init["client_id"], "proof": [ann.init["proof"]]}), not_proved),
        ("mallory", json!({"client_id": "00000000000000000000", "proof": ""}), not_proved),
        ("mallory", json!({"client_id": [ann.init["client_id"]], "proof": ann.init["proof"]}), no_client),
        ("mallory", json!({"client_id": format!("{}\n", ann.client.id)}), no_client),
        ("mallory", json!({}), no_client),
        ("mallory", Value::Null, "405 The client_id is to be posted."),
        ("", of(&ann), "403 Nobody is logged in."),
    ] {
        assert_eq!(request(register, "page/bind", user, post).await?, answer);
    }
    for user in ["mallory", ""] {
        assert_eq!(php.clients_of(user).await?, []);
    }

    assert_eq!(request(register, "page/bind", "ann", of(&ann)).await?, r#"200 {"bound":true}"#);
    assert_eq!(php.clients_of("ann").await?, [ann.client.id]);
    // Old pages post no proof, which is accepted where the application allows it.
    let old = json!({"client_id": mallory.init["client_id"]});
    assert_eq!(request(register, "page/bind-unproved", "mallory", old).await?, r#"200 {"bound":true}"#);
    assert_eq!(php.clients_of("mallory").await?, [mallory.client.id]);

    drop(server);
    let answer = request(register, "page/bind", "ann", of(&ann)).await?;
    assert_eq!(answer, "503 The push gateway cannot be reached.");
    Ok(())
}

#[tokio::test]
async fn the_actions_work_without_the_extension() -> anyhow::Result<()> {
    let test = "the_actions_work_without_the_extension";
    if let Some(reason) = Page::Yii2.missing() {
        skip(test, reason);
        return Ok(());
    }
    if std::env::var_os("GATEWAYCLIENT_PATH").is_none_or(|path| path.is_empty()) {
        skip(test, "GATEWAYCLIENT_PATH names no workerman/gatewayclient");
        return Ok(());
    }
    let server = Server::start(&[]).await?;
    let register = server.register[0];
    let mut php = PhpPeer::connect(register).await?;
    let page = Greeted::connect(server.websocket, "/", &[]).await?;
    let post = || json!({"client_id": page.init["client_id"], "proof": page.init["proof"]});
    // GatewayClient cannot check proofs, and the answer says so.
    let answer = request_on(false, register, "page/bind", "ann", post()).await?;
    assert!(answer.starts_with("501 Only the extension gateway can check the proof"), "{answer}");
    assert_eq!(php.clients_of("ann").await?, []);
    let answer = request_on(false, register, "page/bind-unproved", "ann", post()).await?;
    assert_eq!(answer, r#"200 {"bound":true}"#);
    // GatewayClient does not wait until the server has bound the client.
    eventually("the bind", vec![page.client.id], async || php.clients_of("ann").await).await?;

    let answer = request_on(false, register, "page/token", "ann", json!({})).await?;
    let answer: Value = serde_json::from_str(answer.strip_prefix("200 ").unwrap_or_default())?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let claims = TokenKey::new(b"a key").verify(answer["token"].as_str().unwrap_or_default(), now)?;
    assert_eq!(claims.uid, "ann");
    Ok(())
}

/// Gives what the component prints on a gateway with one client, with or without the extension, and the messages that this
/// client got.
async fn component(has_extension: bool) -> anyhow::Result<(String, Vec<String>)> {
    let server = Server::start(&[]).await?;
    let mut page = Greeted::connect(server.websocket, "/", &[]).await?;
    let proof = page.init["proof"].as_str().unwrap_or_default().to_owned();
    let mut php = Command::new("php");
    if has_extension {
        php.arg("-d").arg(format!("extension={}", extension()?.display()));
    }
    php.arg(root().join("tests/php/yii2/component.php")).arg(page.client.id.to_string()).arg(proof);
    php.env("GATEWAY_REGISTER", server.register[0].to_string()).kill_on_drop(true);
    let output = soon("PHP", php.output()).await??;
    anyhow::ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let mut messages = Vec::new();
    while messages.last().is_none_or(|last| last != r#"{"type":"bye"}"#) {
        messages.push(page.client.text().await?.to_string());
    }
    assert_eq!(page.client.closed().await?.0, 1000);
    Ok((String::from_utf8(output.stdout)?, messages))
}

const SENT: [&str; 7] = [
    r#"{"text":"grüß","by":"sendToUid"}"#,
    "as it is",
    r#"{"n":1,"by":"sendToClient"}"#,
    r#"{"n":2,"by":"sendToGroup"}"#,
    r#"{"n":3,"by":"sendToAll"}"#,
    "with options",
    "end",
];

const SAID: &str = r#"address "": InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress: "" is no address such as 127.0.0.1:1238.
address "nowhere": InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress: "nowhere" is no address such as 127.0.0.1:1238.
address "127.0.0.1": InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress: "127.0.0.1" is no address such as 127.0.0.1:1238.
address "http:\/\/x:1": InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress: "http://x:1" is no address such as 127.0.0.1:1238.
address ["127.0.0.1:1",7]: InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress: 7 is no address such as 127.0.0.1:1238.
no addresses: InvalidConfigException: PushGateway\Yii2\Gateway::$registerAddress is empty.
timeout: InvalidConfigException: PushGateway\Yii2\Gateway::$connectTimeout must be more than 0 seconds.
backend: InvalidConfigException: PushGateway\Yii2\Gateway::$backend: there is no class Nowhere.
unknown: UnknownMethodException: Calling unknown method: PushGateway\Yii2\Gateway::sendTo()
elsewhere: true
down: [null,null,2,"sendToUid \"ann\" with a reason"]
asked: true
thrown: true
online: [1,true]
stranger: 0
sent: ["sendToUid \"ann\"","sendToUid [\"ann\",\"bob\"]","sendToClient \"CLIENT\"","sendToGroup \"news\"","sendToAll","sendToAll","sendToUid \"ann\"","sendToUid \"ann\"","sendToUid \"ann\"","sendToAll","sendToAll","sendToGroup \"news\"","sendToAll"]
token: InvalidCallException: Nobody is logged in, so a token needs a uid.
"#;

/// Splits the text into the part without tokens and the claims of its tokens, which are checked with the application's keys.
fn tokens(text: &str) -> anyhow::Result<(String, Vec<Claims>)> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    let (tokens, rest): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("TOKEN "));
    let keys =
        [TokenKey::new(b"a key"), TokenKey::derived(b"geheim, mit 24 Zeichen..")?, TokenKey::new(b"a key")];
    let claims = tokens.iter().zip(keys).map(|(token, key)| {
        let mut claims = key.verify(token.trim_start_matches("TOKEN "), now)?;
        anyhow::ensure!((now + 50..=now + 60).contains(&claims.expires));
        claims.expires = 0;
        claims.once = claims.once.map(|once| once.len().to_string());
        Ok(claims)
    });
    Ok((rest.join("\n"), claims.collect::<anyhow::Result<_>>()?))
}

#[tokio::test]
async fn the_component_works_with_the_extension_and_without() -> anyhow::Result<()> {
    let test = "the_component_works_with_the_extension_and_without";
    if let Some(reason) = Page::Yii2.missing() {
        skip(test, reason);
        return Ok(());
    }
    let expected = [
        Claims {
            uid: "ann".to_owned(),
            groups: vec!["news".to_owned(), "7".to_owned()],
            session: serde_json::from_str(r#"{"name":"Ann","n":[1,2]}"#)?,
            once: Some("32".to_owned()),
            ..Claims::default()
        },
        Claims { uid: "42".to_owned(), ..Claims::default() },
        Claims { uid: "ann".to_owned(), device: Some("Anns téléphone".to_owned()), ..Claims::default() },
    ];
    for has_extension in [true, false] {
        if !has_extension && std::env::var_os("GATEWAYCLIENT_PATH").is_none_or(|path| path.is_empty()) {
            skip(test, "GATEWAYCLIENT_PATH names no workerman/gatewayclient, so not without the extension");
            continue;
        }
        let (text, messages) = component(has_extension).await?;
        let kind = if has_extension { &["as text"][..] } else { &[] };
        assert_eq!(messages, [&SENT[..], kind, &[r#"{"type":"bye"}"#]].concat(), "{text}");
        let (text, claims) = tokens(&text)?;
        assert_eq!(claims, expected);
        let client =
            text.split("sendToClient \\\"").nth(1).and_then(|rest| rest.get(..20)).unwrap_or_default();
        let text = text.replace(client, "CLIENT");
        let (said, others) = text.split_at(text.find("token without key").unwrap_or_default());
        assert_eq!(said, SAID);
        let others: Vec<_> = others.lines().collect();
        let (no_key, short, proof, kind) = match has_extension {
            true => (
                "token without key: ArgumentException: a token has to be signed",
                "token of a short secret: ArgumentException: no token was made: the secret has 6 bytes",
                "proof: [true,false]",
                "kind: true",
            ),
            false => (
                "token without key: InvalidConfigException: A token has to be signed",
                "token of a short secret: InvalidConfigException: Whoever has a token could find out a secretKey of fewer than 16",
                "proof: NotSupportedException: Only the extension gateway can check the proof of a client_id. Install it, or use connect tokens instead.",
                "kind: NotSupportedException: Only the extension gateway and the HTTP API can choose text or binary for one message. Leave $binary out.",
            ),
        };
        assert!(others[0].starts_with(no_key), "{others:?}");
        assert!(others[1].starts_with(short), "{others:?}");
        let no_device = match has_extension {
            true => "ArgumentException: no token was made: dev must have 1 to 64 bytes",
            false => "InvalidArgumentException: The name of a device has 1 to 64 bytes.",
        };
        let [none, long] = ["no", "a long"].map(|which| format!("token of {which} device: {no_device}"));
        assert_eq!(others[2..6], [&none, &long, proof, kind]);
        let fake = r#"fake: [[["sendToUid","ann",{"type":"comment"}]],1,1,"token of x"]"#;
        assert_eq!(
            others[6..],
            [fake, "fake unknown: BadMethodCallException: The fake gateway knows no getNothing."]
        );
    }
    Ok(())
}

/// Gives what a request's debug panel keeps, and what it shows in that language.
async fn panel(debugger: &std::ffi::OsStr, language: &str) -> anyhow::Result<(Value, String)> {
    let server = Server::start(&[]).await?;
    let mut page = Greeted::connect(server.websocket, "/", &[]).await?;
    let proof = page.init["proof"].as_str().unwrap_or_default();
    let mut php = Command::new("php");
    php.arg("-d").arg(format!("extension={}", extension()?.display()));
    php.arg(root().join("tests/php/yii2/panel.php")).arg(page.client.id.to_string()).arg(proof);
    php.env("GATEWAY_REGISTER", server.register[0].to_string()).env("YII2_DEBUG_PATH", debugger);
    php.env("APP_LANGUAGE", language).kill_on_drop(true);
    let output = soon("PHP", php.output()).await??;
    anyhow::ensure!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    assert_eq!(page.client.text().await?, r#"{"type":"what was said"}"#);
    assert_eq!(page.client.text().await?, "end");
    let text = String::from_utf8(output.stdout)?;
    for secret in ["what was said", "what is in the session", "the key of tokens", proof] {
        assert!(!text.contains(secret), "{secret} is not to be kept: {text}");
    }
    let (kept, shown) = text.split_once('\n').unwrap_or_default();
    Ok((serde_json::from_str(kept)?, shown.to_owned()))
}

#[tokio::test]
async fn the_debugger_lists_the_calls_of_a_request() -> anyhow::Result<()> {
    let test = "the_debugger_lists_the_calls_of_a_request";
    let debugger = std::env::var_os("YII2_DEBUG_PATH").filter(|path| !path.is_empty());
    let (Some(debugger), None) = (debugger, Page::Yii2.missing()) else {
        skip(test, "YII2_PATH names no Yii 2, or YII2_DEBUG_PATH no yiisoft/yii2-debug");
        return Ok(());
    };
    let (kept, shown) = panel(&debugger, "en-US").await?;
    let calls = kept["calls"].as_array().map_or(&[][..], Vec::as_slice);
    let methods: Vec<_> = calls.iter().filter_map(|call| call["method"].as_str()).collect();
    assert_eq!(
        methods,
        ["bindUid", "sendToUid", "sendToAll", "isClientProof", "token", "joinGroup"],
        "the one after it was not made"
    );
    assert_eq!((&kept["count"], &kept["failures"]), (&json!(6), &json!(1)), "{kept}");
    assert_eq!((&calls[1]["to"], &calls[1]["bytes"]), (&json!("ann, <b>bob</b>"), &json!(24)));
    assert!(calls[5]["error"].is_string() && calls[..5].iter().all(|call| call["error"].is_null()), "{kept}");
    assert!(calls.iter().all(|call| call["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0)), "{kept}");
    assert!(shown.contains("6 calls of the gateway in") && shown.contains("everybody"), "{shown}");
    assert!(shown.contains("ann, &lt;b&gt;bob&lt;/b&gt;") && !shown.contains("<b>bob"), "{shown}");

    let (_, shown) = panel(&debugger, "zh-CN").await?;
    assert!(shown.contains("调用网关 6 次") && shown.contains("所有人"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn the_fake_keeps_deliveries_as_the_server_does() -> anyhow::Result<()> {
    if let Some(reason) = Page::Yii2.missing() {
        skip("the_fake_keeps_deliveries_as_the_server_does", reason);
        return Ok(());
    }
    let folder = store_folder()?;
    let server = Server::start_with(|command| {
        command.arg("--store").arg(folder.path().join("store"));
    })
    .await?;
    let mut php = Command::new("php");
    php.arg("-d").arg(format!("extension={}", extension()?.display()));
    php.arg(root().join("tests/php/yii2/inbox.php")).arg(server.websocket.to_string());
    php.env("GATEWAY_REGISTER", server.register[0].to_string()).kill_on_drop(true);
    let output = soon("PHP", php.output()).await??;
    let said = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    assert_eq!(said, ("42\n".to_owned(), String::new()));
    Ok(())
}

/// The component does what every other implementation of the interface does.
#[tokio::test]
async fn the_component_is_a_gateway_to_inject() -> anyhow::Result<()> {
    const TEST: &str = "the_component_is_a_gateway_to_inject";
    if let Some(reason) = Page::Yii2.missing() {
        skip(TEST, reason);
        return Ok(());
    }
    if let Some(missing) = GatewayContract::missing()? {
        skip(TEST, &missing);
        return Ok(());
    }
    let folder = store_folder()?;
    for over_http in [false, true] {
        let store = folder.path().join(over_http.to_string());
        let server = Server::start_with(|command| {
            command.args(["--operations", "127.0.0.1:0", "--store"]).arg(store);
        })
        .await?;
        let operations = format!("http://{}", server.operations.context("a port")?);
        let settings = if over_http {
            json!({"operationsUrl": operations, "tokenKey": "key"})
        } else {
            json!({"registerAddress": server.register[0].to_string(), "tokenKey": "key"})
        };
        let contract = GatewayContract::run(&format!("yii2:{settings}"), server.websocket).await?;
        assert_eq!(contract.class, r"PushGateway\Yii2\ComponentGateway");
        assert_eq!(contract.unsupported, Vec::<String>::new());
    }
    Ok(())
}

#[tokio::test]
async fn the_component_works_over_http_without_the_extension() -> anyhow::Result<()> {
    if let Some(reason) = Page::Yii2.missing() {
        skip("the_component_works_over_http_without_the_extension", reason);
        return Ok(());
    }
    let server = Server::start_with(|command| {
        command.args(["--operations", "127.0.0.1:0"]).env("GATEWAY_OPERATIONS_TOKEN", "token");
    })
    .await?;
    let mut page = Greeted::connect(server.websocket, "/", &[]).await?;
    let mut php = Command::new("php");
    php.arg(root().join("tests/php/yii2/http.php"));
    php.args(["client_id", "proof"].map(|key| page.init[key].as_str().unwrap_or_default()));
    php.env("GATEWAY_OPERATIONS", server.operations.context("a port")?.to_string()).kill_on_drop(true);
    let output = soon("PHP", php.output()).await??;
    let said = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    let expected = r#"extension: false
bindUid: null
joinGroup: null
isUidOnline: 1
getClientIdListByGroup: true
getAllUidList: true
isClientProof: [true,false]
setSession: null
getSession: {"a":1}
sendToClient: true
sendToUid: null
sendToUidCounted: {"taken":1,"waiting":0,"gone":0,"silent":[]}
token: 3
sendToCurrentClient: yii\base\NotSupportedException
stats: yii\base\UnknownMethodException
apply: null
a wrong address: yii\base\InvalidConfigException
a wrong token: PushGateway\Exception\CallFailed
a wrong token, logged: false
"#;
    assert_eq!(said, (expected.to_owned(), String::new()));
    for message in [r#"{"n":1}"#, "to a uid", "counted"] {
        assert_eq!(page.client.text().await?, message);
    }
    Ok(())
}

#[tokio::test]
async fn what_is_said_is_said_in_every_language() -> anyhow::Result<()> {
    let output = Command::new("php").arg(root().join("tests/php/yii2/messages.php")).output().await?;
    assert_eq!((String::from_utf8(output.stdout)?.as_str(), output.status.code()), ("", Some(0)));
    Ok(())
}
