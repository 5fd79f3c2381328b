//! The recipes of the documents, run as they are written there.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use gateway_tests::{
    Browser, Client, NO_NODE, PhpPeer, Recipe, Server, Tab, WorkerRunner, eventually, node_with_websocket,
    on_default_ports, root, skip, soon,
};
use nix::sys::signal::Signal;
use tokio::io::{AsyncBufReadExt as _, BufReader};

async fn start_workers(server: &mut Server, events: &Path, count: usize) -> anyhow::Result<WorkerRunner> {
    let workers = WorkerRunner::start_with(events.to_owned(), server.register[0], count).await?;
    for _ in 0..count {
        server.logs("a worker joined").await?;
    }
    Ok(workers)
}

#[test]
fn a_chat_with_rooms() -> anyhow::Result<()> {
    on_default_ports("a_chat_with_rooms", async || {
        let recipe = Recipe::of("chat.md")?;
        let mut server = Recipe::start_server().await?;
        let _workers = start_workers(&mut server, &recipe.path("Events.php"), 2).await?;
        let _php = recipe.serve(&[]).await?;
        let browser = Browser::start().await?;
        let visit = async |name: &str, room: &str| {
            let tab = browser.open("http://127.0.0.1:8080/chat.html").await?;
            eventually("an open connection", true, async || {
                // A press before the connection is open does nothing, so the fields are emptied and filled again until it
                // works.
                tab.script("document.querySelectorAll('input').forEach(each => each.value = '')", vec![])
                    .await?;
                tab.write("#name", name).await?;
                tab.write("#room", room).await?;
                tab.click("#join button").await?;
                Ok(!tab.texts("#lines li").await?.is_empty())
            })
            .await?;
            anyhow::Ok(tab)
        };
        let say = async |tab: &Tab, text: &str| {
            tab.write("#text", text).await?;
            tab.click("#say button").await
        };
        let ann = visit("Ann", "tea").await?;
        ann.shows("#lines li:last-child", &["Ann is here"]).await?;
        let cid = visit("Cid", "coffee").await?;
        let bob = visit("王伟", "tea").await?;
        ann.shows("#lines li:last-child", &["王伟 is here"]).await?;

        say(&bob, "<b>hello</b>").await?;
        ann.shows("#lines li:last-child", &["王伟: <b>hello</b>"]).await?;
        ann.shows("#lines b", &[]).await?;
        say(&cid, "anybody?").await?;
        cid.shows("#lines li:last-child", &["Cid: anybody?"]).await?;
        bob.close().await?;
        ann.shows("#lines li:last-child", &["王伟 has left"]).await?;
        assert!(!ann.texts("#lines li").await?.concat().contains("Cid"), "another room's");

        let nobody = visit("what a name!", "tea").await?;
        let why = "a room and a name are letters and digits, 32 at most";
        nobody.shows("#lines li:last-child", &[why]).await?;
        assert!(!ann.texts("#lines li").await?.concat().contains("what a name!"), "refused, and let in");
        Ok(())
    })
}

#[test]
fn notifications_are_pushed_and_kept() -> anyhow::Result<()> {
    on_default_ports("notifications_are_pushed_and_kept", async || {
        let recipe = Recipe::of("notifications.md")?;
        let mut server = Recipe::start_server().await?;
        let _php = recipe.serve(&["index.php"]).await?;
        let browser = Browser::start().await?;
        let log_in = async |browser: &Browser, user: &str| {
            let tab = browser.open("http://127.0.0.1:8080/").await?;
            tab.write("#user", user).await?;
            tab.submit("#login").await?;
            anyhow::Ok(tab)
        };
        let connections = async |wanted: usize| {
            let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
            eventually("pages of user 7", wanted, async || Ok(php.clients_of("7").await?.len())).await
        };
        let notify = async |user: &str, text: &str| recipe.run(&["notify.php", user, text]).await;

        let first = log_in(&browser, "7").await?;
        let second = browser.open("http://127.0.0.1:8080/").await?;
        connections(2).await?;
        assert_eq!(notify("8", "not for 7").await?, Default::default());
        assert_eq!(notify("7", "Your parcel is on its way").await?, Default::default());
        for tab in [&first, &second] {
            tab.shows("#notifications li", &["Your parcel is on its way"]).await?;
        }

        // A notification that one page has marked as seen disappears from the other page too, and stays away after a reload.
        first.click("#notifications li").await?;
        for tab in [&first, &second] {
            tab.shows("#notifications li", &[]).await?;
        }
        second.reload().await?;
        connections(2).await?;

        server.signal(Signal::SIGKILL)?;
        server.exit().await?;
        let (_, complaint) = notify("7", "It has come").await?;
        assert!(
            complaint.contains("notification 3 was saved, and not pushed: Can not connect"),
            "{complaint}"
        );
        let _server = Recipe::start_server().await?;
        for tab in [&first, &second] {
            tab.shows("#notifications li", &["It has come"]).await?;
        }

        let others = Browser::start().await?;
        log_in(&others, "8").await?.shows("#notifications li", &["not for 7"]).await
    })
}

const WATCH: &str = "<!DOCTYPE html><script type=module>
import {presence} from './presence.js';
const token = new URLSearchParams(location.search).get('token');
presence(`ws://${location.hostname}:8282`, async () => token, users => document.body.textContent = users.join(' '));
</script><body>";

#[test]
fn presence_is_seen_by_all() -> anyhow::Result<()> {
    on_default_ports("presence_is_seen_by_all", async || {
        let recipe = Recipe::of("presence.md")?;
        std::fs::write(recipe.path("watch.html"), WATCH)?;
        let mut server = Recipe::start_server().await?;
        let _workers = start_workers(&mut server, &recipe.path("Events.php"), 1).await?;
        let _php = recipe.serve(&[]).await?;
        let browser = Browser::start().await?;
        let token = async |user: &str| anyhow::Ok(recipe.run(&["token.php", user]).await?.0);
        let come = async |user: &str| {
            let path = format!("/?token={}", token(user).await?);
            Client::shake_hands("127.0.0.1:8282".parse()?, &path, &[]).await
        };

        let page = format!("http://127.0.0.1:8080/watch.html?token={}", token("7").await?);
        let ann = browser.open(&page).await?;
        ann.shows("body", &["7"]).await?;
        let bob = come("8").await?;
        ann.shows("body", &["7 8"]).await?;
        let bobs_second = come("8").await?;
        // User 8 still has another page, so nobody is told that the first one has gone. The next client comes only after
        // that, so that its news comes after it, too.
        drop(bob);
        let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
        eventually("pages of 8", 1, async || Ok(php.clients_of("8").await?.len())).await?;
        let cid = come("9").await?;
        ann.shows("body", &["7 8 9"]).await?;
        drop(bobs_second);
        ann.shows("body", &["7 9"]).await?;
        drop(cid);
        ann.shows("body", &["7"]).await
    })
}

#[test]
fn a_mini_program_shows_what_is_pushed() -> anyhow::Result<()> {
    const TEST: &str = "a_mini_program_shows_what_is_pushed";
    on_default_ports(TEST, async || {
        let recipe = Recipe::of("mini-programs.md")?;
        let _server = Recipe::start_server().await?;
        let _php = recipe.serve(&[]).await?;
        let Some(mut run) = node_with_websocket().await else {
            skip(TEST, NO_NODE);
            return Ok(());
        };
        run.arg(root().join("tests/js/miniprogram_recipe.mjs"));
        run.env("RECIPE", recipe.path("")).env("SITE", "127.0.0.1:8080").env("GATEWAY", "127.0.0.1:8282");
        let mut node = run.stdout(Stdio::piped()).spawn()?;
        let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
        eventually("the mini program", 1, async || Ok(php.clients_of("1007").await?.len())).await?;
        let push = async |text: &str| recipe.run(&["push.php", "1007", text]).await;
        push("早上好").await?;
        let mut said = BufReader::new(node.stdout.take().context("stdout")?).lines();
        let mut lines = Vec::new();
        while let Some(line) = soon("what Node.js says", said.next_line()).await?? {
            if line.contains("in the background") {
                push("在吗？").await?;
            }
            lines.push(line);
        }
        let status = soon("the end of Node.js", node.wait()).await??;
        ensure!(status.success(), "{}", lines.join("\n"));
        Ok(())
    })
}
