//! The Debian package and the units of packaging/systemd, on a Debian that runs systemd.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use gateway_tests::{
    Client, Machine, PhpPeer, TestCertificate, done, eventually, extension, fences, in_own_network,
    new_producer, root, server_binary, skip,
};

const SERVER: &str = "gateway-server.service";
const WORKERS: &str = "gateway-worker.service";
const SETTINGS: &str = "/etc/push-gateway/gateway.toml";
const WEBSOCKET: &str = "127.0.0.1:8282";
const REGISTER: &str = "127.0.0.1:1238";
const EVENTS: &str = "<?php class Events {
    public static function onConnect($client) {
        Gateway::sendToClient($client, json_encode(['type' => 'init', 'client_id' => $client]));
    }
    public static function onMessage($client, $message) { Gateway::sendToClient($client, getmypid() . \" had $message\"); }
}";

async fn connect() -> anyhow::Result<Client> {
    Client::connect(WEBSOCKET.parse()?).await
}

async fn property(machine: &Machine, unit: &str, name: &str) -> anyhow::Result<String> {
    machine.done("systemctl", &["show", "--value", "--property", name, unit]).await
}

/// Waits until the server serves, which it tells systemd.
async fn serves(machine: &Machine) -> anyhow::Result<()> {
    eventually(SERVER, "active".to_owned(), async || property(machine, SERVER, "ActiveState").await).await
}

async fn journal(machine: &Machine, unit: &str) -> anyhow::Result<String> {
    machine.done("journalctl", &["--unit", unit, "--output=cat", "--no-pager"]).await
}

async fn logs(machine: &Machine, unit: &str, text: &str) -> anyhow::Result<()> {
    eventually(text, true, async || Ok(journal(machine, unit).await?.contains(text))).await
}

async fn add_settings(machine: &Machine, text: &str) -> anyhow::Result<()> {
    let settings = machine.done("cat", &[SETTINGS]).await?;
    machine.write(SETTINGS, &format!("{settings}\n{text}\n")).await
}

#[test]
fn a_machine_with_the_package() -> anyhow::Result<()> {
    const TEST: &str = "a_machine_with_the_package";
    let debian = match Machine::debian()? {
        Ok(debian) => debian,
        Err(reason) => {
            skip(TEST, &reason);
            return Ok(());
        }
    };
    in_own_network(TEST, async || {
        let folder = tempfile::tempdir()?;
        let package =
            done(Command::new(root().join("scripts/deb")).arg(server_binary()?).arg(folder.path()))?;
        let lent = [
            (package.as_ref(), "/opt/push-gateway.deb"),
            (&*extension()?, "/opt/gateway.so"),
            (&*root().join("php"), "/opt/php"),
            (&*root().join("packaging/systemd"), "/opt/units"),
        ];
        let machine = match Machine::boot(&debian, &lent).await? {
            Ok(machine) => machine,
            Err(reason) => {
                skip(TEST, &reason);
                return Ok(());
            }
        };
        let seen = comes_serves_and_goes(&machine).await;
        if seen.is_err() {
            println!("{}", machine.done("journalctl", &["--no-pager", "--lines=100"]).await?);
        }
        let systemd = format!("/proc/{}", machine.systemd());
        drop(machine);
        eventually("what is left of the machine", false, async || Ok(Path::new(&systemd).exists())).await?;
        seen
    })
}

async fn comes_serves_and_goes(machine: &Machine) -> anyhow::Result<()> {
    machine.done("dpkg", &["--install", "/opt/push-gateway.deb"]).await?;
    serves(machine).await?;
    assert_eq!(property(machine, SERVER, "UnitFileState").await?, "enabled");
    may_do_little(machine).await?;
    may_change_priorities(machine).await?;
    reloads(machine).await?;
    comes_back(machine).await?;
    workers_serve_it(machine).await?;
    php_comes_by_a_unix_socket_and_with_a_secret(machine).await?;
    a_version_that_would_not_start_replaces_nothing(machine).await?;
    certbot_renews(machine).await?;

    let mut client = connect().await?;
    machine.done("dpkg", &["--remove", "push-gateway"]).await?;
    assert_eq!(client.closed().await?.0, 1001, "a stop says that it is one");
    assert_eq!(property(machine, SERVER, "LoadState").await?, "not-found");
    assert!(connect().await.is_err());
    Ok(())
}

async fn may_do_little(machine: &Machine) -> anyhow::Result<()> {
    let pid = property(machine, SERVER, "MainPID").await?;
    let status = machine.done("cat", &[format!("/proc/{pid}/status")]).await?;
    let status: HashMap<_, _> = status.lines().filter_map(|line| line.split_once(":\t")).collect();
    let user: u32 = status["Uid"].split('\t').next().context("a user")?.parse()?;
    assert!((61184..=65519).contains(&user), "a user that systemd has made up: {user}");
    assert_eq!(status["CapEff"], "0000000000000400", "ports below 1024, and nothing else");
    assert_eq!((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"));
    let log = journal(machine, SERVER).await?;
    // The package comes without a secret, of which the server warns.
    let complaints: Vec<_> = log
        .lines()
        .filter(|line| line.contains("WARN") || line.contains("ERROR"))
        .filter(|line| !line.contains("no secret_key is set"))
        .collect();
    assert_eq!(complaints, Vec::<&str>::new(), "{log}");
    Ok(())
}

/// The priorities that threads of the server ask for in an upgrade are permitted. The machine that this one is a part of may bound the
/// higher ones, so the limit is looked at and a lower one asked for.
async fn may_change_priorities(machine: &Machine) -> anyhow::Result<()> {
    const DROP_IN: &str = "/etc/systemd/system/gateway-server.service.d/priority.conf";
    // The kernel counts from 20 on, which is the lowest.
    assert_eq!(property(machine, SERVER, "LimitNICE").await?, "35");
    let set = async |text: &str| {
        machine.write(DROP_IN, text).await?;
        machine.done("systemctl", &["daemon-reload"]).await?;
        machine.done("systemctl", &["restart", SERVER]).await?;
        serves(machine).await
    };
    // What this starts is bound as the server is, and a service whose ExecStartPost fails is stopped again.
    set("[Service]\nExecStartPost=/bin/sh -euc 'renice -n 19 -p $$$$'\n").await?;
    set("").await
}

async fn reloads(machine: &Machine) -> anyhow::Result<()> {
    let mut client = connect().await?;
    add_settings(machine, "max_connections = 1000").await?;
    machine.done("systemctl", &["reload", SERVER]).await?;
    logs(machine, SERVER, "settings read, changed: max_connections").await?;
    add_settings(machine, "no_such_setting = 1").await?;
    let refused = machine.run("systemctl", &["reload", SERVER]).await?;
    assert!(!refused.status.success(), "{refused:?}");
    logs(machine, SERVER, "no_such_setting").await?;
    machine.done("sed", &["-i", "/no_such_setting/d", SETTINGS]).await?;
    let mut php = PhpPeer::connect(REGISTER).await?;
    php.send_to_all("still there").await?;
    assert_eq!(client.text().await?, "still there");
    Ok(())
}

async fn comes_back(machine: &Machine) -> anyhow::Result<()> {
    let mut client = connect().await?;
    let pid = property(machine, SERVER, "MainPID").await?;
    machine.done("sh", &["-euc", "kill -KILL $1", "sh", &pid]).await?;
    client.gone().await?;
    eventually("restarts", "1".to_owned(), async || property(machine, SERVER, "NRestarts").await).await?;
    serves(machine).await
}

async fn workers_serve_it(machine: &Machine) -> anyhow::Result<()> {
    // The links are like those that `composer require` makes.
    let script =
        "mkdir -p /srv/app/vendor/bin && ln -s /opt/php/worker/bin/gateway-worker /srv/app/vendor/bin/
        for folder in /etc/php/*/cli/conf.d; do echo extension=/opt/gateway.so > $folder/50-gateway.ini; done
        cp /opt/units/gateway-worker.service /etc/systemd/system/";
    machine.done("sh", &["-euc", script]).await?;
    machine.write("/srv/app/Events.php", EVENTS).await?;
    machine.done("systemctl", &["daemon-reload"]).await?;
    machine.done("systemctl", &["enable", "--now", WORKERS]).await?;
    let joined = async |wanted: usize| {
        eventually("workers that joined", wanted, async || {
            Ok(journal(machine, SERVER).await?.matches("a worker joined").count())
        })
        .await
    };
    joined(4).await?;
    let mut client = connect().await?;
    client.send("hello".into()).await?;
    let before = client.text().await?;
    assert!(before.ends_with("had hello"), "{before}");
    machine.done("systemctl", &["reload", WORKERS]).await?;
    joined(8).await?;
    logs(machine, WORKERS, "has reloaded").await?;
    client.send("hello".into()).await?;
    let after = client.text().await?;
    assert!(after.ends_with("had hello") && after != before, "{after}, as {before}");
    machine.done("systemctl", &["disable", "--now", WORKERS]).await?;
    assert_eq!(property(machine, WORKERS, "Result").await?, "success");
    Ok(())
}

/// Follows docs/operations.md, where it says what an administrator adds.
async fn php_comes_by_a_unix_socket_and_with_a_secret(machine: &Machine) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/operations.md"))?;
    let shown = |language: &str| {
        let found = fences(&page).into_iter().find(|fence| fence.language == language);
        found.map(|fence| fence.code).with_context(|| format!("docs/operations.md shows no {language}"))
    };
    for name in ["secret", "operations-token"] {
        let path = format!("/etc/push-gateway/{name}");
        machine.write(&path, &format!("the {name} that few know")).await?;
        machine.done("chmod", &["600", &path]).await?;
    }
    machine.write(&format!("/etc/systemd/system/{SERVER}.d/override.conf"), &shown("ini")?).await?;
    machine.done("systemctl", &["daemon-reload"]).await?;
    add_settings(machine, &shown("toml")?).await?;
    machine.done("systemctl", &["restart", SERVER]).await?;
    serves(machine).await?;
    assert!(PhpPeer::connect(REGISTER).await.is_err(), "without the secret");
    PhpPeer::connect_as(REGISTER, new_producer(), b"the secret that few know").await?;
    machine.done("systemctl", &["reload", SERVER]).await?;

    let mut client = connect().await?;
    let push = "Gateway::$registerAddress = 'unix:///run/push-gateway/register.sock';
        Gateway::$secretKey = 'the secret that few know';
        Gateway::sendToAll('by a unix socket');";
    let by = async |user: &str, group: &str| {
        machine
            .run("setpriv", &["--reuid", user, "--regid", group, "--clear-groups", "php", "-r", push])
            .await
    };
    let pushed = by("www-data", "www-data").await?;
    assert!(pushed.status.success(), "{pushed:?}");
    assert_eq!(client.text().await?, "by a unix socket");
    assert!(!by("nobody", "nogroup").await?.status.success(), "the socket is not for everybody");
    Ok(())
}

/// An upgrade first lets the new version check the settings, with the rights that the server will have: root may read more.
async fn a_version_that_would_not_start_replaces_nothing(machine: &Machine) -> anyhow::Result<()> {
    const TOKENS: &str = "/etc/push-gateway/token-key";
    let before = machine.done("cat", &[SETTINGS]).await?;
    let upgrade = async || {
        let done = machine.run("dpkg", &["--install", "/opt/push-gateway.deb"]).await?;
        assert!(done.status.success(), "{done:?}");
        anyhow::Ok(String::from_utf8(done.stderr)?)
    };
    let mut client = connect().await?;
    let pid = property(machine, SERVER, "MainPID").await?;
    machine.write(TOKENS, "only root may read this").await?;
    machine.done("chmod", &["600", TOKENS]).await?;
    add_settings(machine, &format!("token_key_file = \"{TOKENS}\"")).await?;
    machine.done("gateway-server", &["check", SETTINGS]).await?;
    let said = upgrade().await?;
    assert!(said.contains("would not start with these settings, so the old one goes on"), "{said}");
    logs(machine, SERVER, "the user that this runs as may not read it").await?;
    assert_eq!(property(machine, SERVER, "MainPID").await?, pid);
    assert_eq!(property(machine, SERVER, "ActiveState").await?, "active");
    let mut php = PhpPeer::connect_as(REGISTER, new_producer(), b"the secret that few know").await?;
    php.send_to_all("still there").await?;
    assert_eq!(client.text().await?, "still there");

    machine.write(SETTINGS, &before).await?;
    let said = upgrade().await?;
    assert!(!said.contains("would not start") && !said.contains("could not hand"), "{said}");
    serves(machine).await?;
    assert_ne!(property(machine, SERVER, "MainPID").await?, pid);
    assert_eq!(property(machine, SERVER, "ActiveState").await?, "active");
    let mut php = PhpPeer::connect_as(REGISTER, new_producer(), b"the secret that few know").await?;
    php.send_to_all("from the new version").await?;
    assert_eq!(client.text().await?, "from the new version");
    // The new process was started by the old one. For such a main process, systemd in a container with the older hierarchy of control
    // groups does not wait at a stop, so what follows gets a process of systemd's own.
    machine.done("systemctl", &["restart", SERVER]).await?;
    serves(machine).await?;
    Ok(())
}

/// Writes a certificate the way certbot does: readable for root alone, in numbered files to which links point.
async fn certbot_writes(machine: &Machine, certificate: &TestCertificate, number: u32) -> anyhow::Result<()> {
    let script = "umask 077; cd /etc/letsencrypt || { mkdir -p /etc/letsencrypt; cd /etc/letsencrypt; }
        chmod 755 .; mkdir -p archive/localhost live/localhost
        printf %s \"$2\" > archive/localhost/fullchain$1.pem; printf %s \"$3\" > archive/localhost/privkey$1.pem
        for name in fullchain privkey; do
            ln -sfn ../../archive/localhost/$name$1.pem live/localhost/$name.pem
        done";
    let read = |path: &Path| std::fs::read_to_string(path);
    let (chain, key) = (read(&certificate.certificate)?, read(&certificate.key)?);
    machine.done("sh", &["-euc", script, "sh", &number.to_string(), &chain, &key]).await.map(drop)
}

/// Follows docs/tls.md, where it is about certbot.
async fn certbot_renews(machine: &Machine) -> anyhow::Result<()> {
    const HOOK: &str = "/etc/letsencrypt/renewal-hooks/deploy/push-gateway";
    let renewed = async |lineage: &str| {
        let lineage = format!("RENEWED_LINEAGE=/etc/letsencrypt/live/{lineage}");
        machine.run("env", &[&*lineage, HOOK]).await
    };
    let page = std::fs::read_to_string(root().join("docs/tls.md"))?;
    let section = page.split("## certbot").nth(1).context("docs/tls.md says nothing of certbot")?;
    let shown = |language: &str| -> anyhow::Result<String> {
        let found = fences(section).into_iter().find(|fence| fence.language == language);
        Ok(found
            .with_context(|| format!("docs/tls.md shows no {language}"))?
            .code
            .replace("push.example.com", "localhost"))
    };
    let before = machine.done("cat", &[SETTINGS]).await?;
    let mut certificate = TestCertificate::new()?;
    certbot_writes(machine, &certificate, 1).await?;

    // The server cannot read what only root can read, and goes on with its old settings.
    let mut client = connect().await?;
    machine
        .write(
            SETTINGS,
            &format!(
                "{before}\n{}",
                shown("toml")?.replace("/etc/push-gateway/tls", "/etc/letsencrypt/live")
            ),
        )
        .await?;
    machine.done("gateway-server", &["check", SETTINGS]).await?;
    assert!(!machine.run("systemctl", &["reload", SERVER]).await?.status.success());
    logs(machine, SERVER, "docs/tls.md has a hook for certbot").await?;

    machine.write(SETTINGS, &before).await?;
    machine.done("sh", &["-euc", &shown("sh")?]).await?;
    machine.write(SETTINGS, &format!("{before}\n{}", shown("toml")?)).await?;
    machine.done("systemctl", &["reload", SERVER]).await?;
    machine.done("systemctl", &["restart", SERVER]).await?;
    serves(machine).await?;
    assert_eq!(client.closed().await?.0, 1001);
    let address = WEBSOCKET.parse()?;
    let mut old = certificate.connect(address).await?;
    for (path, mode) in [("", "750 root:push-gateway"), ("/localhost/privkey.pem", "640 root:push-gateway")] {
        let path = format!("/etc/push-gateway/tls{path}");
        assert_eq!(machine.done("stat", &["--format=%a %U:%G", &path]).await?, mode, "{path}");
    }

    certificate.renew()?;
    certbot_writes(machine, &certificate, 2).await?;
    let done = renewed("localhost").await?;
    assert!(done.status.success(), "{done:?}");
    eventually("the new certificate", true, async || Ok(certificate.connect(address).await.is_ok())).await?;
    let mut php = PhpPeer::connect_as(REGISTER, new_producer(), b"the secret that few know").await?;
    php.send_to_all("still there").await?;
    assert_eq!(old.text().await?, "still there");
    drop(old);

    // A key that does not fit its certificate replaces nothing, and neither does the certificate of another site.
    let other = TestCertificate::new()?;
    std::fs::copy(&other.key, &certificate.key)?;
    certbot_writes(machine, &certificate, 3).await?;
    let done = renewed("localhost").await?;
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(!done.status.success() && said.contains("not the key of the certificate"), "{said}");
    assert!(renewed("www.example.com").await?.status.success());
    machine.done("systemctl", &["restart", SERVER]).await?;
    serves(machine).await?;
    certificate.connect(address).await?;
    let left = machine.done("ls", &["--almost-all", "/etc/push-gateway/tls"]).await?;
    assert_eq!(left.lines().count(), 2, "a link and what it points to: {left}");

    machine.write(SETTINGS, &before).await?;
    machine.done("systemctl", &["restart", SERVER]).await?;
    serves(machine).await
}
