//! The examples, run by the commands that their README prints.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use gateway_tests::{
    Browser, ProcessGroup, Tab, done, extension, fences, on_default_ports, root, server_binary,
};
use tempfile::TempDir;

/// Makes programs that stand before cargo and PHP in the PATH. In place of what cargo would build and run, they run the
/// programs that were built with this test.
fn stand_ins() -> anyhow::Result<TempDir> {
    let folder = TempDir::with_prefix("gateway-test-examples-")?;
    let (server, push) = (server_binary()?, env!("CARGO_BIN_EXE_push"));
    let cargo = format!(
        "case \"$*\" in\n\
         'run --release -p gateway-server') exec '{}' ;;\n\
         'run --release -p gateway-examples -- '*) shift 5; exec '{push}' \"$@\" ;;\n\
         'build --release -p gateway-php') ;;\n\
         *) echo \"cargo $*?\"; exit 1 ;;\n\
         esac\n",
        server.display()
    );
    // The extension that was built with this test takes the place of the one in target/release.
    let php = format!(
        "for argument; do\n\
         shift\n\
         [ \"$argument\" != extension=target/release/libgateway.so ] || argument='extension={}'\n\
         set -- \"$@\" \"$argument\"\n\
         done\n\
         PATH=${{PATH#*:}} exec php \"$@\"\n",
        extension()?.display()
    );
    for (name, script) in [("cargo", cargo), ("php", php)] {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}"))?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755))?;
    }
    Ok(folder)
}

fn shell(programs: &Path, block: &str) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new("sh");
    command.args(["-e", "-c", block]).current_dir(root());
    command.env("PATH", format!("{}:{path}", programs.display())).env("XDG_RUNTIME_DIR", programs);
    command
}

async fn enter(tab: &Tab, form: &str, text: &str) -> anyhow::Result<()> {
    tab.write(&format!("#{form} input"), text).await?;
    tab.click(&format!("#{form} button")).await
}

#[test]
fn a_page_a_worker_and_a_rust_client_work_together_as_printed() -> anyhow::Result<()> {
    on_default_ports("a_page_a_worker_and_a_rust_client_work_together_as_printed", async || {
        let page = std::fs::read_to_string(root().join("examples/README.md"))?;
        let blocks: Vec<String> = fences(&page).into_iter().map(|fence| fence.code).collect();
        let [server, web, worker, to_all, to_one] = &blocks[..] else {
            anyhow::bail!("{} blocks", blocks.len())
        };
        let programs = stand_ins()?;
        let run = |block: &str| shell(programs.path(), block);

        let (_server, _) = ProcessGroup::start(run(server), " ready ").await?;
        let (_web, _) = ProcessGroup::start(run(web), " started").await?;
        let browser = Browser::start().await?;
        let address = "http://127.0.0.1:8080/examples/page.html";
        ensure!(page.contains(address));
        let ann = browser.open(address).await?;
        let bob = browser.open(address).await?;
        for tab in [&ann, &bob] {
            tab.shows("#state", &["open"]).await?;
        }
        done(&mut run(to_all))?;
        for tab in [&ann, &bob] {
            tab.shows("#lines li", &["Good morning"]).await?;
        }

        let (server_log, _worker) = (&_server, ProcessGroup::start(run(worker), "starts 1 worker").await?);
        server_log.says("a worker joined").await?;
        enter(&ann, "enter", "ann").await?;
        ann.shows("#lines li", &["Good morning", "ann: entered"]).await?;
        bob.shows("#lines li", &["Good morning", "ann: entered"]).await?;
        enter(&bob, "say", "unheard, as bob has not entered").await?;
        enter(&bob, "enter", "bob").await?;
        enter(&bob, "say", "hello").await?;
        let lines = ["Good morning", "ann: entered", "bob: entered", "bob: hello"];
        bob.shows("#lines li", &lines).await?;
        assert_eq!(done(&mut run(to_one))?, "the gateway has the message");
        ann.shows("#lines li", &[&lines[..], &["Good morning, ann"]].concat()).await?;
        bob.close().await?;
        ann.shows("#lines li:last-child", &["bob: left"]).await
    })
}

#[test]
fn the_rust_client_says_what_is_wrong() -> anyhow::Result<()> {
    for (arguments, why) in [
        (&["127.0.0.1:1238"][..], "usage: push REGISTER_ADDRESS MESSAGE [UID]"),
        (&["nowhere", "hi"], "nowhere"),
        (&["127.0.0.1:1", "hi"], "the message was not handed over"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_push")).args(arguments).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(!output.status.success() && said.contains(why), "{arguments:?}: {said}");
    }
    Ok(())
}
