//! The composer package on a real Yii 2, whose path is in YII2_PATH.

use std::net::SocketAddr;

use gateway_tests::{Greeted, Page, PhpPeer, Server, extension, root, skip, soon};
use serde_json::{Value, json};
use tokio::process::Command;

/// What the application answers: status and text.
async fn request(register: SocketAddr, route: &str, user: &str, post: Value) -> anyhow::Result<String> {
    let extension = format!("extension={}", extension()?.display());
    let output = soon("PHP", async {
        // PHP's own configuration stays in force: Yii needs mbstring from there.
        let mut php = Command::new("php");
        php.args(["-d", &extension]).arg(root().join("tests/php/yii2/request.php"));
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

    // Mallory knows the other's client_id, and has a proof of his own.
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
    // Pages of old post no proof, where that is allowed.
    let old = json!({"client_id": mallory.init["client_id"]});
    assert_eq!(request(register, "page/bind-unproved", "mallory", old).await?, r#"200 {"bound":true}"#);
    assert_eq!(php.clients_of("mallory").await?, [mallory.client.id]);

    drop(server);
    let answer = request(register, "page/bind", "ann", of(&ann)).await?;
    assert_eq!(answer, "503 The push gateway cannot be reached.");
    Ok(())
}
