//! The images of docker/, built and run where there is a container engine. The first build compiles everything, which takes
//! minutes.
//!
//! `LIBRARIES=IMAGE`, which docker/php-fpm.Dockerfile explains, is for machines that do not reach packagist.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use futures_util::StreamExt as _;
use gateway_tests::{Client, done, eventually, free_port, root, skip};
use tokio_tungstenite::tungstenite::Message;

const BUILD: Duration = Duration::from_secs(1800);

fn docker(arguments: &[&str]) -> anyhow::Result<String> {
    done(Command::new("docker").args(arguments).current_dir(root()))
}

/// Compose version 2 is a part of docker, and version 1 is a program of its own.
fn compose() -> Option<Command> {
    if docker(&["compose", "version"]).is_ok() {
        let mut command = Command::new("docker");
        command.arg("compose");
        return Some(command);
    }
    Command::new("docker-compose").arg("version").output().ok()?;
    Some(Command::new("docker-compose"))
}

fn has_engine(test: &str) -> bool {
    let is_there = docker(&["info", "--format", "{{.ServerVersion}}"]).is_ok();
    if !is_there {
        skip(test, "no docker engine answers");
    }
    is_there
}

/// A container that is removed when this is dropped.
struct Container(String);

impl Drop for Container {
    fn drop(&mut self) {
        let _ = docker(&["rm", "--force", "--volumes", &self.0]);
    }
}

struct Stack {
    project: String,
    ports: [u16; 2],
}

impl Stack {
    fn compose(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let mut command = compose().context("compose")?;
        let [web, gateway] = self.ports.map(|port| format!("127.0.0.1:{port}"));
        command.args(["-f", "docker/compose.yaml", "-p", &self.project]).args(arguments);
        done(command.env("WEB_PORT", web).env("GATEWAY_PORT", gateway).current_dir(root()))
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let _ = self.compose(&["down", "--volumes", "--timeout", "5"]);
    }
}

/// Tags move, so that whoever wants the same image again has to be able to name what it is built on by digests.
#[test]
fn what_images_are_built_on_can_be_named_by_digests() -> anyhow::Result<()> {
    let mut named = 0;
    for file in ["server.Dockerfile", "php-fpm.Dockerfile"] {
        let text = std::fs::read_to_string(root().join("docker").join(file))?;
        let mut stages = Vec::new();
        for line in text.lines().filter(|line| line.starts_with("FROM ")) {
            let words: Vec<_> = line.split(' ').collect();
            let argument = words[1].strip_prefix("${").and_then(|name| name.strip_suffix('}'));
            let is_one = argument.is_some_and(|name| text.contains(&format!("\nARG {name}=")));
            assert!(is_one || stages.contains(&words[1]), "{file}: {line}");
            named += usize::from(is_one);
            stages.extend(words.get(3));
        }
    }
    assert!(named >= 6, "only {named} were found");
    let compose = std::fs::read_to_string(root().join("docker/compose.yaml"))?;
    for line in compose.lines().filter(|line| line.trim_start().starts_with("image:")) {
        assert!(line.contains(":-"), "{line}");
    }
    Ok(())
}

#[tokio::test]
async fn the_server_is_healthy_needs_no_root_and_stops() -> anyhow::Result<()> {
    if !has_engine("the_server_is_healthy_needs_no_root_and_stops") {
        return Ok(());
    }
    let image = "gateway-server-test";
    let begun = Instant::now();
    docker(&["build", "-q", "--network", "host", "-f", "docker/server.Dockerfile", "-t", image, "."])?;
    anyhow::ensure!(begun.elapsed() < BUILD, "the build took {:?}", begun.elapsed());
    is_healthy_and_stops(image, &[]).await?;
    is_healthy_and_stops(image, &["--read-only", "--cap-drop", "ALL"]).await
}

async fn is_healthy_and_stops(image: &str, options: &[&str]) -> anyhow::Result<()> {
    // The server runs with a secret, as users run it.
    let run = [
        "run",
        "-d",
        "-p",
        "127.0.0.1::8282",
        "-e",
        "GATEWAY_REGISTER=0.0.0.0:1238",
        "-e",
        "GATEWAY_SECRET_KEY=s",
    ];
    let container = Container(docker(&[&run[..], options, &[image]].concat())?);
    let inspect = |format: &str| docker(&["inspect", "--format", format, &container.0]);
    eventually("health", "healthy".to_owned(), async || inspect("{{.State.Health.Status}}")).await?;
    assert_eq!(docker(&["exec", &container.0, "id", "-un"])?, "gateway");
    let status = docker(&["exec", &container.0, "gateway-server", "status"])?;
    assert!(status.contains("clients by shard"), "{status}");
    let port = docker(&["port", &container.0, "8282"])?;
    let mut client = Client::connect(port.lines().next().context("a port")?.parse()?).await?;
    docker(&["stop", &container.0])?;
    assert_eq!(client.closed().await?.0, 1001);
    assert_eq!(inspect("{{.State.ExitCode}}")?, "0");
    Ok(())
}

#[tokio::test]
async fn the_whole_demo_starts_with_one_command() -> anyhow::Result<()> {
    let test = "the_whole_demo_starts_with_one_command";
    if !has_engine(test) {
        return Ok(());
    }
    if compose().is_none() {
        skip(test, "there is no docker compose");
        return Ok(());
    }
    let stack = Stack {
        project: format!("demo{}", std::process::id()),
        ports: [free_port()?.port(), free_port()?.port()],
    };
    stack.compose(&["up", "--build", "-d"])?;
    let [web, gateway] = stack.ports;
    let page = |path: &str| {
        done(Command::new("curl").args(["-sS", "--max-time", "5", &format!("http://127.0.0.1:{web}{path}")]))
    };
    eventually("the page", true, async || Ok(page("/").is_ok_and(|page| page.contains("Push gateway"))))
        .await?;
    assert!(page("/live")?.contains(r#""url":"\/ws""#), "the widget's page: {}", page("/live")?);
    let command = "docker compose -f docker/compose.yaml exec php php /srv/php/example/yii2/yii gateway/send";
    assert!(page("/live")?.contains(command), "{}", page("/live")?);
    let status = stack.compose(&["exec", "-T", "gateway", "gateway-server", "status"])?;
    assert!(status.contains("clients by shard"), "{status}");

    let path = Client::shake_hands(([127, 0, 0, 1], web).into(), "/ws", &[]).await?;
    let direct = Client::shake_hands(([127, 0, 0, 1], gateway).into(), "/", &[]).await?;
    let push = "Gateway::sendToAll('from PHP'); Gateway::getAllClientIdCount();";
    stack.compose(&["exec", "-T", "php", "php", "-r", push])?;
    for mut socket in [path, direct] {
        let mut texts = Vec::new();
        while texts.len() < 2 {
            if let Message::Text(text) = socket.next().await.context("the socket's end")?? {
                texts.push(text.to_string());
            }
        }
        assert!(texts[0].contains("\"init\"") && texts[1] == "from PHP", "{texts:?}");
    }
    Ok(())
}
