//! Starting, stopping and configuring the server.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use gateway_tests::{Client, PhpPeer, Server, server_binary, soon};
use gateway_wire::bridge::{AnswerValue, Order};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream, UnixDatagram};

#[tokio::test]
async fn a_stop_tells_every_client_and_ends() -> anyhow::Result<()> {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut server = Server::start(&["--shards", "2"]).await?;
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let mut tabs = Vec::new();
        for _ in 0..20 {
            tabs.push(Client::connect(server.websocket).await?);
        }
        php.send_to_all("the last push").await?;
        php.acked().await?;
        server.signal(signal)?;
        for tab in &mut tabs {
            assert_eq!(tab.text().await?, "the last push");
            assert_eq!(tab.closed().await?.0, 1001);
            tab.gone().await?;
        }
        assert!(server.exit().await?.success());
        assert!(TcpStream::connect(server.websocket).await.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn the_log_in_json_has_fields_of_their_types() -> anyhow::Result<()> {
    let mut command = tokio::process::Command::new(server_binary()?);
    for port in ["--websocket", "--register", "--listener", "--operations"] {
        let address = if port == "--listener" { "text://127.0.0.1:0" } else { "127.0.0.1:0" };
        command.args([port, address]);
    }
    command.args(["--log-format", "json"]).env_remove("NOTIFY_SOCKET");
    let mut server = command.stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
    let mut log = BufReader::new(server.stderr.take().context("the log")?).lines();
    let mut line = async |text: &str| {
        soon(&format!("a line with {text:?}"), async {
            loop {
                let line = log.next_line().await?.context("the log ended")?;
                let line: serde_json::Value = serde_json::from_str(&line).context(line)?;
                if line["message"].as_str().is_some_and(|message| message.contains(text)) {
                    return anyhow::Ok(line);
                }
            }
        })
        .await?
    };
    let limit = line("limit of open files").await?;
    assert!(limit["limit"].is_u64() && limit["level"] == "INFO" && limit["timestamp"].is_string(), "{limit}");
    let ready = line("ready").await?;
    let address = |field: &str| ready[field].as_str().unwrap_or_default().parse::<std::net::SocketAddr>();
    assert!(address("register").is_ok() && address("operations").is_ok(), "{ready}");
    assert!(ready["listeners"].as_str().is_some_and(|all| all.starts_with("text://127.0.0.1:")), "{ready}");

    let mut stranger = TcpStream::connect(address("websocket")?).await?;
    stranger.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    // The server sends its refusal, waits until the client ends its side too, and only then logs the offence.
    stranger.shutdown().await?;
    let offence = line("refused a connection that is no websocket").await?;
    assert_eq!(offence["offence"], "not-websocket");
    assert_eq!(offence["peer"], stranger.local_addr()?.to_string());

    kill(Pid::from_raw(server.id().context("its pid")?.cast_signed()), Signal::SIGTERM)?;
    let closing = line("closing the clients").await?;
    assert!(closing["clients"].is_u64() && closing["seconds"].is_f64(), "{closing}");
    assert_eq!(line("since the start").await?["total"], 1);
    assert!(soon("the server's end", server.wait()).await??.success());
    Ok(())
}

/// The notifications are those of sd_notify(3), which systemd waits for.
#[tokio::test]
async fn a_supervisor_hears_when_it_serves_reads_settings_and_stops() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("notify");
    let supervisor = UnixDatagram::bind(&path)?;
    let hears = async || {
        let mut states = vec![0; 256];
        let length = soon("what the server says", supervisor.recv(&mut states)).await??;
        states.truncate(length);
        anyhow::Ok(String::from_utf8(states)?)
    };
    let mut server = Server::start_with(|command| {
        command.env("NOTIFY_SOCKET", &path);
    })
    .await?;
    assert_eq!(hears().await?.trim_end(), "READY=1");
    server.signal(Signal::SIGHUP)?;
    let reloading = hears().await?;
    let now = reloading.trim_end().strip_prefix("RELOADING=1\nMONOTONIC_USEC=").context(reloading.clone())?;
    assert!(now.parse::<u64>()? > 0);
    assert_eq!(hears().await?.trim_end(), "READY=1");
    server.signal(Signal::SIGTERM)?;
    assert_eq!(hears().await?.trim_end(), "STOPPING=1");
    assert!(server.exit().await?.success());
    Ok(())
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_cluster_that_cannot_be_joined() -> anyhow::Result<()> {
    // This stands for a NATS that accepts connections but never says a word.
    let nats = TcpListener::bind("127.0.0.1:0").await?;
    let server = tokio::process::Command::new(server_binary()?)
        .args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"])
        .args(["--cluster-nats", &nats.local_addr()?.to_string()])
        .env("GATEWAY_SECRET_KEY", "a secret of this cluster")
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let _joining = soon("the server at NATS", nats.accept()).await??;
    kill(Pid::from_raw(server.id().context("a process")?.cast_signed()), Signal::SIGTERM)?;
    let ended = soon("its end", server.wait_with_output()).await??;
    let log = String::from_utf8(ended.stderr)?;
    assert!(ended.status.success() && log.contains("stopping before it has served"), "{log}");
    Ok(())
}

#[tokio::test]
async fn a_stop_does_not_wait_for_clients_that_do_not_answer() -> anyhow::Result<()> {
    let mut server = Server::start(&["--stop-timeout", "0.3", "--close-timeout", "3600"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    // This client reads nothing, neither the flood of messages nor the close frame.
    let stalled = Client::connect(server.websocket).await?;
    let message = "x".repeat(900_000);
    for _ in 0..3 {
        php.send_to_all(&message).await?;
    }
    php.acked().await?;
    server.signal(Signal::SIGTERM)?;
    assert!(server.exit().await?.success());
    drop(stalled);
    Ok(())
}

#[tokio::test]
async fn a_close_that_is_not_answered_is_bounded() -> anyhow::Result<()> {
    let server = Server::start(&["--close-timeout", "0.2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let tab = Client::connect(server.websocket).await?;
    let open_files = server.open_files()?;
    php.order(Order::Close { client: tab.id, last: None }).await?;
    php.acked().await?;
    soon("the descriptor to be closed", async {
        while server.open_files()? >= open_files {
            tokio::task::yield_now().await;
        }
        anyhow::Ok(())
    })
    .await??;
    drop(tab);
    Ok(())
}

#[tokio::test]
async fn silent_clients_are_pinged_and_given_up() -> anyhow::Result<()> {
    let flags = ["--ping-interval", "0.2", "--ping-not-response-limit", "2", "--ping-data", "are you there"];
    let server = Server::start(&flags).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut silent = Client::connect(server.websocket).await?;
    let mut talking = Client::connect(server.websocket).await?;
    php.bind(talking.id, "talking").await?;
    assert_eq!(silent.text().await?, "are you there");
    assert_eq!(silent.text().await?, "are you there");
    // A client that answers stays, well past the time at which silence ends a connection.
    let keep_talking = async {
        for _ in 0..6 {
            assert_eq!(talking.text().await?, "are you there");
            talking.send("yes".into()).await?;
        }
        anyhow::Ok(())
    };
    let (gone, stayed) = tokio::join!(silent.gone(), keep_talking);
    gone?;
    stayed?;
    assert_eq!(php.clients_of("talking").await?, [talking.id]);
    Ok(())
}

#[tokio::test]
async fn websocket_pings_keep_browsers_that_say_nothing() -> anyhow::Result<()> {
    let server = Server::start(&["--ping-interval", "0.2", "--ping-not-response-limit", "1"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let mut browser = Client::connect(server.websocket).await?;
    let deaf = TcpStream::connect(server.websocket).await?;
    let mut deaf = Client::over(deaf).await?;
    php.bind(browser.id, "browser").await?;
    php.bind(deaf.id, "deaf").await?;
    // `browser` answers pings by reading; `deaf` reads nothing until it has been given up.
    let read_on = browser.text();
    let given_up = async {
        while !php.clients_of("deaf").await?.is_empty() {
            tokio::task::yield_now().await;
        }
        php.send_to_uid("browser", "still here").await
    };
    let (text, given_up) = tokio::join!(read_on, soon("the deaf client to be given up", given_up));
    given_up??;
    assert_eq!(text?, "still here");
    deaf.gone().await
}

/// Runs the program to its end, and gives whether it succeeded and everything it printed.
fn run(args: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<(bool, String)> {
    let output = Command::new(server_binary()?).args(args).envs(environment.iter().copied()).output()?;
    let text = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(text)?))
}

struct File(std::path::PathBuf);

impl File {
    fn new(name: &str, text: &str) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("gateway-test-{}-{name}", std::process::id()));
        std::fs::File::create(&path)?.write_all(text.as_bytes())?;
        Ok(Self(path))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn check_says_what_is_wrong_and_where() -> anyhow::Result<()> {
    let wrong = File::new("wrong.toml", "ping_interval = 20\nreigster = []\nshards = 2\n")?;
    let (ok, said) = run(&["check", wrong.path()], &[])?;
    assert!(!ok);
    assert!(said.contains("wrong.toml:2:1: there is no setting reigster; did you mean register?"), "{said}");

    let open = File::new("open.toml", "shards = 2\n\nregister = [\"0.0.0.0:1238\"]\n")?;
    let (ok, said) = run(&["check", open.path()], &[])?;
    assert!(!ok);
    assert!(
        said.contains("open.toml:3:1: register: 0.0.0.0:1238 can be reached from other machines"),
        "{said}"
    );

    let right = File::new("right.toml", "shards = 2\nlog = \"warn\"\n")?;
    let (ok, said) = run(&["check", right.path()], &[])?;
    assert!(ok && said.contains("nothing is wrong"), "{said}");

    let (ok, said) = run(&["check", "/nowhere/at/all.toml"], &[])?;
    assert!(!ok && said.contains("cannot read the configuration /nowhere/at/all.toml"), "{said}");
    Ok(())
}

#[test]
fn help_explains_every_setting() -> anyhow::Result<()> {
    let (ok, said) = run(&["--help"], &[])?;
    assert!(ok);
    for setting in
        ["websocket", "register", "register-unix", "shards", "ping-interval", "outbox-bytes", "stop-timeout"]
    {
        assert!(said.contains(&format!("--{setting} ")), "--{setting} is missing in {said}");
        assert!(
            said.contains(&format!("[env: GATEWAY_{}=", setting.to_uppercase().replace('-', "_"))),
            "{setting}"
        );
    }
    assert!(said.contains("GATEWAY_SECRET_KEY"), "how to give the secret is missing in {said}");
    Ok(())
}

#[tokio::test]
async fn flags_win_over_the_environment_and_that_over_the_file() -> anyhow::Result<()> {
    // The variable and the file set `websocket` to a port that is taken, so the start would fail by them; the variable's
    // max_message is above that of the file.
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let taken_address = taken.local_addr()?.to_string();
    let text = format!(
        "websocket = \"{taken_address}\"\nregister = [\"127.0.0.1:0\", \"127.0.0.1:0\"]\nmax_message = 200\n"
    );
    let file = File::new("layers.toml", &text)?;
    let mut server = Server::start_with(|command| {
        command.args(["--config", file.path(), "--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"]);
        command.env("GATEWAY_MAX_MESSAGE", "300").env("GATEWAY_WEBSOCKET", &taken_address);
    })
    .await?;
    assert_eq!(server.register.len(), 1);
    let mut tab = Client::connect(server.websocket).await?;
    tab.send("x".repeat(301).into()).await?;
    assert_eq!(tab.closed().await?.0, 1009);
    server.logs("over the limit of 300 bytes").await.map(drop)
}

#[test]
fn bad_settings_end_the_start_with_all_reasons() -> anyhow::Result<()> {
    let (ok, said) = run(&["--register", "0.0.0.0:0", "--max-message", "1"], &[])?;
    assert!(!ok);
    assert!(said.contains("set secret_key") && said.contains("max_message: 1 is not within"), "{said}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let (ok, said) = run(&["--websocket", &address, "--register", "127.0.0.1:0"], &[])?;
    assert!(!ok);
    assert!(said.contains(&format!("cannot listen on {address} (websocket)")), "{said}");

    let (ok, said) = run(&["--shards", "many"], &[])?;
    assert!(!ok && said.contains("invalid value 'many' for '--shards"), "{said}");
    Ok(())
}

#[test]
fn the_secret_comes_from_a_file_too() -> anyhow::Result<()> {
    let empty = File::new("empty.secret", "\n")?;
    let (ok, said) = run(&["--secret-key-file", empty.path(), "--register", "127.0.0.1:0"], &[])?;
    assert!(!ok && said.contains("secret_key_file: the first line of"), "{said}");
    let secret = File::new("secret", "s3cr3t\n")?;
    let (ok, said) = run(
        &["--secret-key-file", secret.path(), "--register", "127.0.0.1:0"],
        &[("GATEWAY_SECRET_KEY", "x")],
    )?;
    assert!(!ok && said.contains("secret_key is given too"), "{said}");
    Ok(())
}

#[test]
fn a_secret_in_a_variable_that_is_no_text_is_refused_and_not_printed() -> anyhow::Result<()> {
    let secret = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"s3cr3t\xff");
    for variable in ["GATEWAY_SECRET_KEY", "GATEWAY_TOKEN_KEY", "GATEWAY_OPERATIONS_TOKEN"] {
        let output = Command::new(server_binary()?)
            .args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0"])
            // If the server should start in spite of the secret, this wrong setting ends it at once.
            .args(["--cluster-name", "no word"])
            .env(variable, secret)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(&format!("{variable}: it is not UTF-8")), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
    }
    Ok(())
}

#[tokio::test]
async fn servers_share_a_port_if_all_say_so() -> anyhow::Result<()> {
    let one = Server::start(&["--reuse-port"]).await?;
    let port = one.websocket.to_string();
    let other = Server::start(&["--reuse-port", "--websocket", &port]).await?;
    let output =
        Command::new(server_binary()?).args(["--websocket", &port, "--register", "127.0.0.1:0"]).output()?;
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("is another gateway-server"));

    let mut tabs = Vec::new();
    for _ in 0..64 {
        tabs.push(Client::connect(one.websocket).await?);
    }
    let mut clients = Vec::new();
    for server in [one, other] {
        let mut php = PhpPeer::connect(server.register[0]).await?;
        let AnswerValue::Int(count) = php.count().await? else { anyhow::bail!("a count is an integer") };
        clients.push(count);
    }
    // If the kernel spreads connections fairly, all 64 fall to one server only once in 2⁶³ runs.
    assert!(clients.iter().all(|count| *count > 0), "{clients:?}");
    assert_eq!(clients.iter().sum::<i64>(), 64);
    Ok(())
}

#[tokio::test]
async fn memory_goes_back_once_a_crowd_has_gone() -> anyhow::Result<()> {
    const CLIENTS: usize = 1_500;
    let server = Server::start(&["--shards", "2"]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    // All sessions together are much more than the megabyte or two that glibc keeps at the end of each thread's heap, and
    // each is small enough to come from that heap.
    let session = format!(r#"a:1:{{s:1:"x";s:16000:"{}";}}"#, "x".repeat(16_000));
    let first = Client::connect(server.websocket).await?;
    let before = server.memory()?;
    let mut tabs = Vec::new();
    for _ in 0..CLIENTS {
        let tab = Client::connect(server.websocket).await?;
        let session = serde_bytes::Bytes::new(session.as_bytes());
        php.order(Order::SetSession { client: tab.id, session }).await?;
        tabs.push(tab);
    }
    php.acked().await?;
    let grown = server.memory()? - before;
    assert!(grown > (CLIENTS * session.len()) as u64, "{grown}");
    drop(tabs);
    let kept = async {
        while server.memory()? > before + grown / 4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        anyhow::Ok(())
    };
    // The server looks every ten seconds at how many clients it has, and gives memory back then.
    tokio::time::timeout(Duration::from_secs(60), kept).await??;
    drop(first);
    Ok(())
}

#[tokio::test]
async fn wrong_settings_end_it_with_a_code_of_their_own() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("gateway.toml");
    std::fs::write(&file, "max_message = 1")?;
    let missing = folder.path().join("no.toml");
    for (file, code, said) in [(&file, 78, "max_message: 1 is not within"), (&missing, 78, "no.toml")] {
        let mut command = tokio::process::Command::new(gateway_tests::server_binary()?);
        let output = command.arg("--config").arg(file).kill_on_drop(true).output();
        let output = soon("its end", output).await??;
        assert_eq!(output.status.code(), Some(code));
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(said), "{error}");
    }
    Ok(())
}
