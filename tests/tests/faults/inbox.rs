//! The disk of the store is full, cannot be written, or its file is gone: PHP hears that a message is not kept, and everything else goes
//! on.

use std::path::PathBuf;

use gateway_tests::{Client, PhpPeer, eventually, server_binary, skip, soon, store_folder};
use gateway_wire::bridge::{AnswerValue, Query, Reply};
use serde_bytes::Bytes;
use tokio::process::Command;

use super::Unheard;

/// Delivers a message, and gives why it is refused, if it is.
async fn deliver(php: &mut PhpPeer, id: &str, length: usize) -> anyhow::Result<Option<String>> {
    php.deliver("ann", id, &"x".repeat(length)).await?;
    loop {
        match php.reply().await? {
            Reply::Error { seq, message } if seq == php.seq => return Ok(Some(message)),
            Reply::Ack { seq } if seq == php.seq => return Ok(None),
            Reply::Ack { .. } => {}
            other => anyhow::bail!("{other:?}"),
        }
    }
}

async fn ready(server: &Unheard, expected: u16, why: &str) -> anyhow::Result<()> {
    eventually("what /readyz says", true, async || {
        let answer = server.operator.get("/readyz").await?;
        Ok(answer.status == expected && answer.body.contains(why))
    })
    .await
}

/// A server whose store is in a file system of its own, with the folder of that as it is seen from outside.
async fn on_own_disk(
    test: &str,
    size: &str,
) -> anyhow::Result<Option<(Unheard, PathBuf, tempfile::TempDir)>> {
    if !nix::unistd::geteuid().is_root() {
        skip(test, "no file system of its own without root");
        return Ok(None);
    }
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    let script = format!(r#"mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@""#);
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script, &place]).arg(server_binary()?);
    let server = Unheard::start_by(command, &["--store", &format!("{place}/inbox")]).await?;
    let inside = format!("/proc/{}/root{place}", server.process.id().unwrap_or_default());
    Ok(Some((server, inside.into(), folder)))
}

#[tokio::test]
async fn a_full_disk_refuses_messages_and_nothing_else() -> anyhow::Result<()> {
    let Some((server, inside, _folder)) =
        on_own_disk("a_full_disk_refuses_messages_and_nothing_else", "2m").await?
    else {
        return Ok(());
    };
    let mut php = PhpPeer::connect(server.register).await?;
    assert_eq!(deliver(&mut php, "m0", 100).await?, None);
    std::fs::write(inside.join("filler"), vec![0; 4 << 20]).unwrap_err();
    let mut kept = vec!["m0".to_owned()];
    let why = loop {
        let id = format!("m{}", kept.len());
        match deliver(&mut php, &id, 20_000).await? {
            None => kept.push(id),
            Some(why) => break why,
        }
        anyhow::ensure!(kept.len() < 1000, "the disk takes everything");
    };
    assert!(why.contains("has kept nothing of it") && why.contains("disk"), "{why}");
    ready(&server, 503, "the store fails").await?;
    server.serves().await?;
    // A page that comes now waits for the disk, and nobody waits for the page.
    let mut client = Client::connect(server.websocket).await?;
    php.bind(client.id, "ann").await?;
    php.send_to_uid("ann", "not kept").await?;
    assert_eq!(client.text().await?, "not kept");
    std::fs::remove_file(inside.join("filler"))?;
    ready(&server, 200, "ready").await?;
    assert_eq!(deliver(&mut php, "last", 4).await?, None);
    for id in &kept {
        assert_eq!(client.text().await?.len(), if id == "m0" { 100 } else { 20_000 }, "{id}");
    }
    assert_eq!(client.text().await?, "xxxx");
    Ok(())
}

#[tokio::test]
async fn a_server_whose_store_is_on_a_read_only_disk_does_not_start() -> anyhow::Result<()> {
    let test = "a_server_whose_store_is_on_a_read_only_disk_does_not_start";
    if !nix::unistd::geteuid().is_root() {
        skip(test, "no file system of its own without root");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let place = folder.path().display().to_string();
    let script = r#"mount -t tmpfs -o ro tmpfs "$0" && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, &place]).arg(server_binary()?);
    command.args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]);
    command.args(["--store", &format!("{place}/inbox")]).kill_on_drop(true);
    let refused = soon("its end", command.output()).await??;
    let log = String::from_utf8(refused.stderr)?;
    assert!(!refused.status.success() && log.contains("`store`:") && log.contains("Read-only"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_file_that_was_removed_takes_no_messages() -> anyhow::Result<()> {
    let folder = store_folder()?;
    let path = folder.path().join("inbox");
    let server =
        Unheard::start(std::process::Stdio::null(), &["--store", &path.display().to_string()]).await?;
    let mut php = PhpPeer::connect(server.register).await?;
    assert_eq!(deliver(&mut php, "m0", 100).await?, None);
    std::fs::rename(&path, folder.path().join("elsewhere"))?;
    let why = deliver(&mut php, "m1", 10).await?.unwrap_or_default();
    assert!(why.contains("the file of the store is gone"), "{why}");
    ready(&server, 503, "is gone").await?;
    server.serves().await?;
    std::fs::rename(folder.path().join("elsewhere"), &path)?;
    ready(&server, 200, "ready").await?;
    assert_eq!(deliver(&mut php, "m1", 10).await?, None);
    let inbox = php.ask(Query::InboxOf { uid: Bytes::new(b"ann") }).await?;
    assert!(matches!(inbox, AnswerValue::Map(_)), "{inbox:?}");
    Ok(())
}
