//! Pages that are away while the workers that handle their events are replaced.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use gateway_tests::{Operator, ResumingPage, Server, WorkerRunner, eventually};
use gateway_wire::client_protocol::Opened;
use nix::sys::signal::{Signal, kill};

/// A handler that notes what it hears, and when.
const NOTING: &str = r#"<?php
class Events {
    static function onConnect($id) {
        self::note($id, 'connect');
        Gateway::sendToClient($id, 'welcome');
    }
    static function onMessage($id, $message) {
        self::note($id, "message $message");
        Gateway::sendToClient($id, "heard $message");
    }
    static function onClose($id) {
        self::note($id, 'close');
    }
    private static function note($id, $what) {
        file_put_contents(getenv('DIARY'), sprintf("%s %.6f %s\n", $id, microtime(true), $what), FILE_APPEND);
    }
}"#;

/// The processes that handle events.
const WORKERS: usize = 2;
/// Not a multiple of the shards or the workers, so that all of them have clients, and not equally many.
const PAGES: usize = 15;

/// The server, and the folder of the program that its workers run.
struct Stage {
    server: Server,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set(flags: &[&str]) -> anyhow::Result<Self> {
        let own = ["--shards", "2", "--operations", "127.0.0.1:0", "--events", "workers"];
        let (server, folder) = (Server::start(&[&own, flags].concat()).await?, tempfile::tempdir()?);
        std::fs::write(folder.path().join("Events.php"), NOTING)?;
        Ok(Self { server, folder })
    }

    async fn workers(&mut self) -> anyhow::Result<WorkerRunner> {
        let events = self.folder.path().join("Events.php");
        let runner = WorkerRunner::start_with(events, self.server.register[0], WORKERS).await?;
        for _ in 0..WORKERS {
            self.server.logs("a worker joined").await?;
        }
        Ok(runner)
    }

    /// Pages whose `onConnect` has been handled.
    async fn pages(&self) -> anyhow::Result<Vec<ResumingPage>> {
        let mut pages = Vec::new();
        for _ in 0..PAGES {
            let mut page = ResumingPage::connected(self.server.websocket).await?;
            assert_eq!(page.text().await?, "welcome");
            pages.push(page);
        }
        Ok(pages)
    }

    /// Cuts the connections of all pages, and waits until the server has noticed it.
    async fn cut(&self, pages: &mut [ResumingPage]) -> anyhow::Result<()> {
        pages.iter_mut().try_for_each(ResumingPage::reset)?;
        let operator = Operator::of(&self.server)?;
        let parked = async || operator.metric("gateway_parked_clients").await;
        eventually("parked clients", pages.len() as f64, parked).await
    }

    async fn come_back(&self, page: &mut ResumingPage) -> anyhow::Result<()> {
        let before = page.id()?;
        page.connect(self.server.websocket).await?;
        anyhow::ensure!(matches!(page.outcome(), Opened::Recovered { .. }), "{:?}", page.outcome());
        assert_eq!(page.id()?, before);
        Ok(())
    }
}

/// Sends a message, and waits for the worker's answer.
async fn talk(page: &mut ResumingPage, message: &str) -> anyhow::Result<()> {
    page.send(message).await?;
    hears(page, message).await
}

async fn hears(page: &mut ResumingPage, message: &str) -> anyhow::Result<()> {
    assert_eq!(page.text().await?, format!("heard {message}"));
    Ok(())
}

/// What was noted of a page's client: when, in seconds since 1970, and what.
fn notes(runner: &WorkerRunner, page: &ResumingPage) -> anyhow::Result<Vec<(f64, String)>> {
    let of = format!("{} ", page.id()?);
    let diary = runner.diary()?;
    let lines = diary.iter().filter_map(|line| line.strip_prefix(&of));
    lines
        .map(|line| {
            let (time, what) = line.split_once(' ').context("a time")?;
            Ok((time.parse()?, what.to_owned()))
        })
        .collect()
}

/// What was noted of a page's client, without the times.
fn told(runner: &WorkerRunner, page: &ResumingPage) -> anyhow::Result<Vec<String>> {
    Ok(notes(runner, page)?.into_iter().map(|(_, what)| what).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    KillOne,
    KillAll,
    Reload,
}

#[tokio::test]
async fn pages_that_are_away_while_workers_are_replaced_are_told_of_once_and_in_order() -> anyhow::Result<()>
{
    let mut stage = Stage::set(&[]).await?;
    let runner = stage.workers().await?;
    let mut pages = stage.pages().await?;
    let mut expected = vec!["connect".to_owned()];
    let changes = [Change::KillOne, Change::Reload, Change::KillAll, Change::Reload, Change::KillOne];
    for (round, change) in changes.into_iter().enumerate() {
        let say = |what: &str| format!("{what} {round}");
        for page in &mut pages {
            talk(page, &say("before")).await?;
        }
        expected.push(format!("message {}", say("before")));
        // A process that is killed loses the message that it handles, so nothing is under way then.
        let is_under_way = change == Change::Reload;
        if is_under_way {
            // The message may reach the server or be lost with the connection, and comes again in the second case.
            for page in &mut pages {
                page.send(&say("cut")).await?;
            }
            expected.push(format!("message {}", say("cut")));
        }
        stage.cut(&mut pages).await?;
        let old = runner.serving().await?;
        match change {
            Change::KillOne => kill(old[0], Signal::SIGKILL)?,
            Change::KillAll => old.iter().try_for_each(|pid| kill(*pid, Signal::SIGKILL))?,
            Change::Reload => runner.signal(Signal::SIGUSR1)?,
        }
        let gone = if change == Change::KillOne { &old[..1] } else { &old[..] };
        let is_replaced = async || {
            let new = runner.serving().await?;
            Ok(new.len() == WORKERS && gone.iter().all(|pid| !new.contains(pid)))
        };
        // Some come back while the workers change, and the others afterwards.
        for (number, page) in pages.iter_mut().enumerate() {
            if number == PAGES / 2 {
                eventually("new workers", true, is_replaced).await?;
            }
            page.send(&say("away")).await?;
            stage.come_back(page).await?;
            if is_under_way {
                hears(page, &say("cut")).await?;
            }
            hears(page, &say("away")).await?;
        }
        expected.push(format!("message {}", say("away")));
    }
    for page in &mut pages {
        assert_eq!(told(&runner, page)?, expected);
        page.close(1000).await?;
    }
    expected.push("close".to_owned());
    for page in &pages {
        eventually("onClose", expected.clone(), async || told(&runner, page)).await?;
    }
    Ok(())
}

#[tokio::test]
async fn pages_that_stay_away_while_workers_are_replaced_are_closed_once_at_the_end_of_their_time()
-> anyhow::Result<()> {
    const PARKED: Duration = Duration::from_secs(3);
    let mut stage = Stage::set(&["--resume-seconds", &PARKED.as_secs().to_string()]).await?;
    let runner = stage.workers().await?;
    let mut pages = stage.pages().await?;
    for page in &mut pages {
        talk(page, "before").await?;
    }
    let cut_at = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    stage.cut(&mut pages).await?;
    for pid in runner.serving().await? {
        kill(pid, Signal::SIGKILL)?;
    }
    let expected = ["connect", "message before", "close"].map(str::to_owned);
    for page in &mut pages {
        eventually("onClose", expected.to_vec(), async || told(&runner, page)).await?;
        let (closed_at, _) = notes(&runner, page)?.pop().context("a close")?;
        let stayed = closed_at - cut_at;
        anyhow::ensure!(stayed >= PARKED.as_secs_f64(), "closed after {stayed} s");
    }
    // Who comes back afterwards is a new client.
    let page = &mut pages[0];
    let old = page.id()?;
    page.connect(stage.server.websocket).await?;
    assert_ne!(page.id()?, old);
    assert_eq!(page.text().await?, "welcome");
    assert_eq!(told(&runner, page)?, ["connect"]);
    Ok(())
}

#[tokio::test]
async fn workers_that_start_while_pages_are_away_hear_of_no_connect_and_of_each_close() -> anyhow::Result<()>
{
    let mut stage = Stage::set(&[]).await?;
    let first = stage.workers().await?;
    let mut pages = stage.pages().await?;
    for page in &mut pages {
        talk(page, "before").await?;
    }
    stage.cut(&mut pages).await?;
    for page in &pages {
        assert_eq!(told(&first, page)?, ["connect", "message before"]);
    }
    drop(first);
    for _ in 0..WORKERS {
        stage.server.logs("a worker has gone").await?;
    }
    // A page may be back before there is a worker again, which hears of it then.
    let (early, late) = pages.split_at_mut(PAGES / 2);
    for page in &mut *early {
        stage.come_back(page).await?;
        page.send("back").await?;
    }
    let second = stage.workers().await?;
    for page in early {
        hears(page, "back").await?;
    }
    for page in late {
        stage.come_back(page).await?;
        talk(page, "back").await?;
    }
    for page in &mut pages {
        page.close(1000).await?;
    }
    let expected = ["message back", "close"].map(str::to_owned);
    for page in &pages {
        eventually("all events", expected.to_vec(), async || told(&second, page)).await?;
    }
    Ok(())
}
