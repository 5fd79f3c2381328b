//! The tutorial's application in real browsers: PHP serves the page, Chromium shows it, and nothing in it is edited.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use gateway_tests::{
    ALICE, BOB, Browser, Demo, Page, done, eventually, extension, on_default_ports, root, server_binary, skip,
};
use gateway_wire::bridge::{AnswerValue, Query};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Makes a test of the plain page and a test of the Yii2 page out of every scenario.
macro_rules! on_both_pages {
    ($($scenario:ident)*) => {
        mod plain {
            $(#[test] fn $scenario() -> anyhow::Result<()> {
                super::run(concat!("plain::", stringify!($scenario)), super::Page::Plain, super::$scenario)
            })*
        }
        mod yii2 {
            $(#[test] fn $scenario() -> anyhow::Result<()> {
                super::run(concat!("yii2::", stringify!($scenario)), super::Page::Yii2, super::$scenario)
            })*
        }
    };
}

on_both_pages! {
    a_comment_reaches_all_tabs_of_its_receiver_and_no_other
    many_php_processes_serve_the_page
    a_closed_tab_is_forgotten
    a_reload_binds_again
    guests_are_bound_to_nobody
    a_comment_is_saved_while_the_server_is_down
}

fn run(
    test: &str,
    page: Page,
    scenario: impl AsyncFnOnce(Page) -> anyhow::Result<()> + Send,
) -> anyhow::Result<()> {
    if let Some(reason) = page.missing() {
        skip(test, reason);
        return Ok(());
    }
    on_default_ports(test, async || scenario(page).await)
}

const SENT: &str = "saved, and the live notification was sent";

async fn a_comment_reaches_all_tabs_of_its_receiver_and_no_other(page: Page) -> anyhow::Result<()> {
    two_users_with_two_tabs_each(Demo::start(page).await?).await
}

async fn many_php_processes_serve_the_page(page: Page) -> anyhow::Result<()> {
    two_users_with_two_tabs_each(Demo::start_with_workers(page, 4).await?).await
}

async fn two_users_with_two_tabs_each(demo: Demo) -> anyhow::Result<()> {
    let (alices, bobs) = tokio::try_join!(Browser::start(), Browser::start())?;
    let alice = [demo.log_in(&alices, ALICE).await?, demo.visit(&alices).await?];
    let bob = [demo.log_in(&bobs, BOB).await?, demo.visit(&bobs).await?];
    for (tabs, user) in [(&alice, ALICE), (&bob, BOB)] {
        for tab in tabs {
            demo.bound(tab, user).await?;
        }
    }

    // Writing a comment loads the page anew, so that tab counts from zero.
    assert_eq!(bob[1].comment(ALICE, "good morning").await?, SENT);
    demo.bound(&bob[1], BOB).await?;
    for tab in &alice {
        tab.counts_to(1).await?;
    }
    assert_eq!(demo.message_counts([&alice[0], &alice[1], &bob[0], &bob[1]]).await?, [1, 1, 0, 0]);

    assert_eq!(alice[1].comment(BOB, "and to you").await?, SENT);
    demo.bound(&alice[1], ALICE).await?;
    for tab in &bob {
        tab.counts_to(1).await?;
    }
    assert_eq!(demo.message_counts([&alice[0], &alice[1], &bob[0], &bob[1]]).await?, [1, 0, 1, 1]);
    assert_eq!(alice[1].comments().await?, ["and to you", "good morning"]);
    Ok(())
}

async fn a_closed_tab_is_forgotten(page: Page) -> anyhow::Result<()> {
    let demo = Demo::start(page).await?;
    let (alices, bobs) = tokio::try_join!(Browser::start(), Browser::start())?;
    let (stays, closes) = (demo.log_in(&alices, ALICE).await?, demo.visit(&alices).await?);
    let bob = demo.log_in(&bobs, BOB).await?;
    let (staying, closing) = (demo.bound(&stays, ALICE).await?, demo.bound(&closes, ALICE).await?);
    demo.connections_are(ALICE, vec![staying, closing]).await?;

    closes.tab.close().await?;
    demo.connections_are(ALICE, vec![staying]).await?;

    assert_eq!(bob.comment(ALICE, "still there?").await?, SENT);
    stays.counts_to(1).await?;
    assert_eq!(demo.message_counts([&stays, &bob]).await?, [1, 0]);
    Ok(())
}

async fn a_reload_binds_again(page: Page) -> anyhow::Result<()> {
    let demo = Demo::start(page).await?;
    let (alices, bobs) = tokio::try_join!(Browser::start(), Browser::start())?;
    let (alice, bob) = (demo.log_in(&alices, ALICE).await?, demo.log_in(&bobs, BOB).await?);
    let old = demo.bound(&alice, ALICE).await?;

    alice.tab.reload().await?;
    let new = demo.bound(&alice, ALICE).await?;
    assert_ne!(new, old);
    demo.connections_are(ALICE, vec![new]).await?;

    assert_eq!(bob.comment(ALICE, "welcome back").await?, SENT);
    alice.counts_to(1).await?;
    assert_eq!(demo.message_counts([&alice]).await?, [1]);
    Ok(())
}

async fn guests_are_bound_to_nobody(page: Page) -> anyhow::Result<()> {
    let demo = Demo::start(page).await?;
    let (alices, others) = tokio::try_join!(Browser::start(), Browser::start())?;
    let (alice, leaves) = (demo.log_in(&alices, ALICE).await?, demo.visit(&alices).await?);
    demo.bound(&alice, ALICE).await?;
    demo.bound(&leaves, ALICE).await?;
    let guest = demo.visit(&others).await?;
    guest.comes_to("guest").await?;
    let uid = Query::UidOfClient { client: guest.client_id().await? };
    assert_eq!(demo.php().await?.ask(uid).await?, AnswerValue::Null);

    assert_eq!(leaves.comment(ALICE, "a note to myself").await?, SENT);
    demo.bound(&leaves, ALICE).await?;
    alice.counts_to(1).await?;
    assert_eq!(demo.message_counts([&alice, &guest]).await?, [1, 0]);

    // A user who logs out is a guest again; the other tab of the same browser has to be reloaded to notice it.
    leaves.log_out().await?;
    leaves.comes_to("guest").await?;
    alice.tab.reload().await?;
    alice.comes_to("guest").await?;
    demo.connections_are(ALICE, vec![]).await?;

    guest.log_in(BOB).await?;
    demo.bound(&guest, BOB).await?;
    assert_eq!(guest.comment(ALICE, "gone already?").await?, SENT);
    demo.bound(&guest, BOB).await?;
    assert_eq!(demo.message_counts([&alice, &leaves, &guest]).await?, [0, 0, 0]);
    Ok(())
}

async fn a_comment_is_saved_while_the_server_is_down(page: Page) -> anyhow::Result<()> {
    let mut demo = Demo::start(page).await?;
    let (alices, bobs) = tokio::try_join!(Browser::start(), Browser::start())?;
    let (alice, bob) = (demo.log_in(&alices, ALICE).await?, demo.log_in(&bobs, BOB).await?);
    demo.bound(&alice, ALICE).await?;
    demo.bound(&bob, BOB).await?;

    demo.server.signal(Signal::SIGKILL)?;
    demo.server.exit().await?;
    alice.comes_to("closed").await?;
    let said = bob.comment(ALICE, "can you hear me?").await?;
    assert!(said.starts_with("saved, but the live notification was not delivered: "), "{said}");
    assert_eq!(bob.tab.attribute(".flash", "class").await?.as_deref(), Some("flash warning"));
    assert_eq!(bob.comments().await?, ["can you hear me?"]);

    demo.server = Demo::start_server().await?;
    for (visit, user) in [(&alice, ALICE), (&bob, BOB)] {
        // PHP looks for the server again after a second or two; until then it says at once that there is none.
        eventually("a page that is bound again", true, async || {
            visit.tab.reload().await?;
            Ok(visit.comes_to("bound").await.is_ok())
        })
        .await?;
        demo.bound(visit, user).await?;
    }
    assert_eq!(bob.comment(ALICE, "and now?").await?, SENT);
    alice.counts_to(1).await?;
    assert_eq!(demo.message_counts([&alice]).await?, [1]);
    Ok(())
}

/// A run of `scripts/demo`, which stops everything that it has started when it is told to end.
struct Script(Child);

impl Script {
    /// Starts the script; `target`, an absolute path, holds what is built.
    fn start(target: &Path, address: Option<&str>) -> anyhow::Result<Self> {
        let release = target.join("release");
        if !release.exists() {
            std::fs::create_dir_all(&release)?;
            std::os::unix::fs::symlink(server_binary()?.canonicalize()?, release.join("gateway-server"))?;
            std::os::unix::fs::symlink(extension()?.canonicalize()?, release.join("libgateway.so"))?;
        }
        let mut command = Command::new(root().join("scripts/demo"));
        command.env("CARGO_TARGET_DIR", target).env("DEMO_DATA", target).env_remove("YII2_PATH");
        match address {
            Some(address) => command.env("DEMO_ADDRESS", address),
            None => command.env_remove("DEMO_ADDRESS"),
        };
        Ok(Self(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?))
    }

    /// Gives the page's address, as soon as the script says it; `None` if the script ends before that.
    fn page(&mut self) -> Option<String> {
        let lines = BufReader::new(self.0.stdout.as_mut()?).lines().map_while(Result::ok);
        lines.filter_map(|line| Some(line.trim().strip_prefix("The page:")?.trim().to_owned())).next()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

#[test]
fn the_demo_takes_the_next_port_if_its_own_is_taken() -> anyhow::Result<()> {
    on_default_ports("the_demo_takes_the_next_port_if_its_own_is_taken", async || {
        let target = tempfile::tempdir()?;
        let taken = TcpListener::bind("127.0.0.1:8080")?;

        let mut script = Script::start(target.path(), None)?;
        let page = script.page().unwrap_or_default();
        assert!(page.starts_with("http://127.0.0.1:80") && !page.ends_with(":8080"), "{page}");
        let shown = done(Command::new("curl").args(["-sS", "--max-time", "30", &page]))?;
        assert!(shown.contains("Push gateway"), "{shown}");
        drop(script);

        // If the user has named the address, the script does not choose another one but fails.
        let mut script = Script::start(target.path(), Some(&taken.local_addr()?.to_string()))?;
        assert_eq!(script.page(), None);
        assert_eq!(script.0.wait()?.code(), Some(1));
        let mut said = String::new();
        script.0.stderr.take().expect("it is piped").read_to_string(&mut said)?;
        let why = "The page cannot listen on 127.0.0.1:8080: give another address in DEMO_ADDRESS";
        assert!(said.contains(why), "{said}");
        Ok(())
    })
}

#[test]
fn the_demo_says_who_has_the_ports_of_the_gateway() -> anyhow::Result<()> {
    on_default_ports("the_demo_says_who_has_the_ports_of_the_gateway", async || {
        let target = tempfile::tempdir()?;
        let _taken = TcpListener::bind("0.0.0.0:8282")?;
        let mut script = Script::start(target.path(), None)?;
        assert_eq!(script.page(), None);
        assert_eq!(script.0.wait()?.code(), Some(1));
        let mut said = String::new();
        script.0.stderr.take().expect("it is piped").read_to_string(&mut said)?;
        let who = "0.0.0.0:8282 (websocket) is taken by ";
        assert!(said.contains("The gateway did not start") && said.contains(who), "{said}");
        assert!(said.contains(&format!("(pid {})", std::process::id())), "{said}");
        Ok(())
    })
}
