//! The recipes of the documents, run as they stand there.

use std::path::Path;
use std::process::Command;

use gateway_tests::{
    Browser, Client, PhpPeer, ProcessGroup, Server, Tab, WorkerRunner, eventually, fences, file_of, lay_out,
    on_default_ports, php, php_of_the_machine, root, run_script, soon,
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

const KEY: &str = "known to the server and to PHP, and to nobody else";

/// A folder with the files that the page shows, and the browser client.
struct Recipe {
    folder: TempDir,
}

impl Recipe {
    fn of(page: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("gateway-test-recipe-")?;
        let text = std::fs::read_to_string(root().join("docs/recipes").join(page))?;
        lay_out(&text, folder.path())?;
        std::fs::copy(root().join("php/client/gateway.js"), folder.path().join("gateway.js"))?;
        Ok(Self { folder })
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.folder.path().join(file)
    }

    /// PHP as the recipe has it, with the machine's configuration, in the recipe's folder.
    fn php(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = php_of_the_machine()?;
        command
            .arg("-d")
            .arg(format!("session.save_path={}", self.folder.path().display()))
            .args(arguments)
            .env("GATEWAY_TOKEN_KEY", KEY)
            .current_dir(self.folder.path());
        Ok(command)
    }

    /// What PHP prints, and what it complains of.
    async fn run(&self, arguments: &[&str]) -> anyhow::Result<(String, String)> {
        let mut command = tokio::process::Command::from(self.php(arguments)?);
        let output = soon("php", command.kill_on_drop(true).output()).await??;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
    }

    async fn serve(&self, script: &[&str]) -> anyhow::Result<ProcessGroup> {
        let arguments = [&["-S", "127.0.0.1:8080"], script].concat();
        Ok(ProcessGroup::start(self.php(&arguments)?, " started").await?.0)
    }
}

async fn start_server() -> anyhow::Result<Server> {
    Server::start_with(|command| {
        command
            .args(["--websocket", "0.0.0.0:8282", "--register", "127.0.0.1:1238,127.0.0.1:1236"])
            .env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await
}

async fn start_workers(server: &mut Server, events: &Path, count: usize) -> anyhow::Result<WorkerRunner> {
    let workers = WorkerRunner::start_with(events.to_owned(), server.register[0], count).await?;
    for _ in 0..count {
        server.logs("a worker joined").await?;
    }
    Ok(workers)
}

async fn shows(tab: &Tab, selector: &str, wanted: &[&str]) -> anyhow::Result<()> {
    let wanted: Vec<_> = wanted.iter().map(|text| (*text).to_owned()).collect();
    eventually(selector, wanted, async || tab.texts(selector).await).await
}

#[test]
fn a_chat_with_rooms() -> anyhow::Result<()> {
    on_default_ports("a_chat_with_rooms", async || {
        let recipe = Recipe::of("chat.md")?;
        let mut server = start_server().await?;
        let _workers = start_workers(&mut server, &recipe.path("Events.php"), 2).await?;
        let _php = recipe.serve(&[]).await?;
        let browser = Browser::start().await?;
        let visit = async |name: &str, room: &str| {
            let tab = browser.open("http://127.0.0.1:8080/chat.html").await?;
            eventually("an open connection", true, async || {
                // A press before it is there does nothing, as the page has no connection to say it over.
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
        shows(&ann, "#lines li:last-child", &["Ann is here"]).await?;
        let cid = visit("Cid", "coffee").await?;
        let bob = visit("王伟", "tea").await?;
        shows(&ann, "#lines li:last-child", &["王伟 is here"]).await?;

        say(&bob, "<b>hello</b>").await?;
        shows(&ann, "#lines li:last-child", &["王伟: <b>hello</b>"]).await?;
        shows(&ann, "#lines b", &[]).await?;
        say(&cid, "anybody?").await?;
        shows(&cid, "#lines li:last-child", &["Cid: anybody?"]).await?;
        bob.close().await?;
        shows(&ann, "#lines li:last-child", &["王伟 has left"]).await?;
        assert!(!ann.texts("#lines li").await?.concat().contains("Cid"), "another room's");

        let nobody = visit("what a name!", "tea").await?;
        let why = "a room and a name are letters and digits, 32 at most";
        shows(&nobody, "#lines li:last-child", &[why]).await?;
        assert!(!ann.texts("#lines li").await?.concat().contains("what a name!"), "refused, and let in");
        Ok(())
    })
}

#[test]
fn notifications_are_pushed_and_kept() -> anyhow::Result<()> {
    on_default_ports("notifications_are_pushed_and_kept", async || {
        let recipe = Recipe::of("notifications.md")?;
        let mut server = start_server().await?;
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
            shows(tab, "#notifications li", &["Your parcel is on its way"]).await?;
        }

        // What one page has seen, the other forgets, and both after a reload.
        first.click("#notifications li").await?;
        for tab in [&first, &second] {
            shows(tab, "#notifications li", &[]).await?;
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
        let _server = start_server().await?;
        for tab in [&first, &second] {
            shows(tab, "#notifications li", &["It has come"]).await?;
        }

        let others = Browser::start().await?;
        shows(&log_in(&others, "8").await?, "#notifications li", &["not for 7"]).await
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
        let mut server = start_server().await?;
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
        shows(&ann, "body", &["7"]).await?;
        let bob = come("8").await?;
        shows(&ann, "body", &["7 8"]).await?;
        let bobs_second = come("8").await?;
        // The first page's end is told of to nobody. Whoever comes after it is heard of after it.
        drop(bob);
        let mut php = PhpPeer::connect("127.0.0.1:1238").await?;
        eventually("pages of 8", 1, async || Ok(php.clients_of("8").await?.len())).await?;
        let cid = come("9").await?;
        shows(&ann, "body", &["7 8 9"]).await?;
        drop(bobs_second);
        shows(&ann, "body", &["7 9"]).await?;
        drop(cid);
        shows(&ann, "body", &["7"]).await
    })
}

/// The frameworks are not here: what needs them is PHP without a flaw that PHP itself sees, and the rest is used.
async fn in_a_framework(page: &str, service: &str, class: &str) -> anyhow::Result<()> {
    let recipe = Recipe::of(page)?;
    let text = std::fs::read_to_string(root().join("docs/recipes").join(page))?;
    let mut checked = 0;
    for file in fences(&text).into_iter().filter(|fence| fence.language == "php") {
        let file = file
            .file
            .ok_or_else(|| anyhow::anyhow!("{page} does not say what file this is: {}", file.code))?;
        let output = soon("php -l", php()?.arg("-l").arg(recipe.path(&file)).output()).await??;
        assert!(output.status.success(), "{file}: {output:?}");
        checked += 1;
    }
    assert!(checked > 4, "{page} shows {checked} files");
    assert!(file_of(&text, service)?.contains("class Push"));

    let server = Server::start_with(|command| {
        command.env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let (register, service) = (server.register[0].to_string(), recipe.path(service).display().to_string());
    let run = async |what| run_script("recipe_push.php", &[&service, class, &register, KEY, what], "").await;
    let token = run("token").await?;
    let socket = Client::shake_hands(server.websocket, &format!("/?token={token}"), &[]).await?;
    let mut client = Client { id: "7f000001000000000000".parse()?, socket };
    assert!(client.text().await?.contains("init"));
    let said = run("push").await?;
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], r#"{"online":[true,false],"user":true,"group":true}"#);
    assert!(lines[1].contains("lost was not pushed: Can not connect to tcp://127.0.0.1:1"), "{said}");
    assert_eq!(lines[2], "false");
    assert_eq!(client.text().await?, r#"{"type":"comment","text":"hello"}"#);
    assert_eq!(client.text().await?, r#"{"type":"headline"}"#);
    Ok(())
}

#[tokio::test]
async fn thinkphp() -> anyhow::Result<()> {
    in_a_framework("thinkphp.md", "app/service/Push.php", r"app\service\Push").await
}

#[tokio::test]
async fn laravel() -> anyhow::Result<()> {
    in_a_framework("laravel.md", "app/Services/Push.php", r"App\Services\Push").await
}
