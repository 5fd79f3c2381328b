//! The files of packaging/: systemd accepts the units, and the configurations of proxies let browsers through.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use gateway_tests::{
    Client, Operator, ProcessGroup, Server, TestCertificate, done, eventually, free_port, root,
    server_binary, skip,
};

/// The highest exposure level that `systemd-analyze security` may find, times ten.
const EXPOSURE: u32 = 20;

pub(crate) fn is_installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn systemd_understands_the_units() -> anyhow::Result<()> {
    if !is_installed("systemd-analyze") {
        skip("systemd_understands_the_units", "systemd-analyze is not installed (Debian package systemd)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    for name in ["gateway-server.service", "gateway-worker.service", "gateway-server-upgrade.service"] {
        let text = std::fs::read_to_string(root().join("packaging/systemd").join(name))?;
        // systemd-analyze checks whether the units' programs exist, so they are replaced by some that do.
        let text = text
            .replace("/usr/local/bin/gateway-server", &server_binary()?.display().to_string())
            .replace("/usr/bin/php", "/bin/true");
        let unit = folder.path().join(name);
        std::fs::write(&unit, text)?;
        let verified = Command::new("systemd-analyze").arg("verify").arg("--man=no").arg(&unit).output()?;
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        let of_ours: Vec<_> = said.lines().filter(|line| line.contains("gateway-")).collect();
        assert!(verified.status.success() && of_ours.is_empty(), "{said}");
    }
    let unit = folder.path().join("gateway-server.service");
    let text = std::fs::read_to_string(&unit)?;
    for line in [
        "WatchdogSec=10",
        "MemoryMax=75%",
        "TasksMax=4096",
        "StartLimitIntervalSec=0",
        "Restart=on-failure",
        "RestartPreventExitStatus=2 78",
    ] {
        assert!(text.lines().any(|one| one == line), "{line}");
    }
    let threshold = format!("--threshold={EXPOSURE}");
    let secure = Command::new("systemd-analyze")
        .args(["security", "--offline=true", &threshold])
        .arg(unit)
        .output()?;
    assert!(secure.status.success(), "{}", String::from_utf8_lossy(&secure.stdout));
    Ok(())
}

/// nginx with the packaged configuration, changed to these ports and to a folder for everything that it writes. It is one process.
pub(crate) fn nginx(
    folder: &Path,
    certificate: &TestCertificate,
    port: u16,
    server: SocketAddr,
) -> anyhow::Result<Command> {
    let gateway = std::fs::read_to_string(root().join("packaging/nginx/gateway.conf"))?
        .replace("listen 443 ssl", &format!("listen 127.0.0.1:{port} ssl"))
        .replace("    listen [::]:443 ssl;\n", "")
        .replace("127.0.0.1:8282", &server.to_string())
        .replace("/etc/ssl/push.example.com/fullchain.pem", &certificate.certificate.display().to_string())
        .replace("/etc/ssl/push.example.com/key.pem", &certificate.key.display().to_string());
    let scratch = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|of| format!("{of}_temp_path {}/{of};", folder.display()))
        .concat();
    let user = if nix::unistd::geteuid().is_root() { "user root;" } else { "" };
    let text = format!(
        "daemon off; master_process off; {user} pid {0}/pid; error_log stderr notice; events {{}}\n\
         http {{ access_log off; {scratch}\n{gateway} }}\n",
        folder.display()
    );
    let path = folder.join("nginx.conf");
    std::fs::write(&path, text)?;
    let mut command = Command::new("nginx");
    command.arg("-c").arg(path).args(["-e", "stderr"]);
    Ok(command)
}

#[tokio::test]
async fn nginx_lets_browsers_through_and_says_who_they_are() -> anyhow::Result<()> {
    if !is_installed("nginx") {
        skip(
            "nginx_lets_browsers_through_and_says_who_they_are",
            "nginx is not installed (Debian package nginx-light)",
        );
        return Ok(());
    }
    let server = Server::start(&["--operations", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"]).await?;
    let certificate = TestCertificate::new()?;
    let folder = tempfile::tempdir()?;
    let port = free_port()?.port();
    let (_nginx, _) = ProcessGroup::start(
        nginx(folder.path(), &certificate, port, server.websocket)?,
        "getrlimit(RLIMIT_NOFILE)",
    )
    .await?;
    is_known_behind(&server, &certificate, port).await
}

/// Caddy with the packaged site, at another address and with the test's certificate.
fn caddy(
    folder: &Path,
    certificate: &TestCertificate,
    port: u16,
    server: &Server,
) -> anyhow::Result<Command> {
    let site = std::fs::read_to_string(root().join("packaging/caddy/Caddyfile"))?;
    let tls = format!("tls {} {}", certificate.certificate.display(), certificate.key.display());
    let site = site
        .replace("push.example.com {", &format!("https://localhost:{port} {{\n\t{tls}"))
        .replace("127.0.0.1:8282", &server.websocket.to_string());
    let path = folder.join("Caddyfile");
    std::fs::write(&path, format!("{{\n\tadmin off\n\tauto_https off\n}}\n{site}"))?;
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(path).env("HOME", folder);
    Ok(command)
}

#[tokio::test]
async fn caddy_lets_browsers_through_and_says_who_they_are() -> anyhow::Result<()> {
    if !is_installed("caddy") {
        let test = "caddy_lets_browsers_through_and_says_who_they_are";
        skip(test, "caddy is not installed (Debian package caddy)");
        return Ok(());
    }
    let server = Server::start(&["--operations", "127.0.0.1:0", "--trusted-proxies", "127.0.0.1"]).await?;
    let (certificate, folder) = (TestCertificate::new()?, tempfile::tempdir()?);
    let port = free_port()?.port();
    let (_caddy, _) = ProcessGroup::start(
        caddy(folder.path(), &certificate, port, &server)?,
        "serving initial configuration",
    )
    .await?;
    is_known_behind(&server, &certificate, port).await
}

/// Checks that the server knows a client that comes through the proxy by the client's own address.
async fn is_known_behind(server: &Server, certificate: &TestCertificate, port: u16) -> anyhow::Result<()> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.bind("127.0.0.7:0".parse()?)?;
    let tcp = socket.connect(([127, 0, 0, 1], port).into()).await?;
    let client = Client::over(certificate.over(tcp).await?).await?;
    let operator = Operator::of(server)?;
    eventually("the client's own address", "127.0.0.7:0".to_owned(), async || {
        let found = operator.json("/connections?address=127.0.0.7").await?;
        Ok(found["connections"][0]["address"].as_str().unwrap_or_default().to_owned())
    })
    .await?;
    drop(client);
    Ok(())
}

#[tokio::test]
async fn the_debian_package_comes_serves_and_goes() -> anyhow::Result<()> {
    if !is_installed("dpkg-shlibdeps") || !nix::unistd::geteuid().is_root() {
        skip("the_debian_package_comes_serves_and_goes", "needs root on Debian (package dpkg-dev)");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let package =
        done(Command::new(root().join("scripts/deb")).arg(server_binary()?).arg(folder.path().join("made")))?;
    let machine = folder.path().join("machine");
    for part in ["info", "updates"] {
        std::fs::create_dir_all(machine.join("var/lib/dpkg").join(part))?;
    }
    std::fs::write(machine.join("var/lib/dpkg/status"), "")?;
    let dpkg = |arguments: &[&str]| {
        // The folder is no real machine: nothing that the package depends on is installed there, and its scripts run outside
        // of it.
        let options = ["--force-depends", "--force-script-chrootless", "--log=/dev/null"];
        done(Command::new("dpkg").arg(format!("--root={}", machine.display())).args(options).args(arguments))
    };
    dpkg(&["--install", &package])?;
    let binary = machine.join("usr/bin/gateway-server");
    let settings = machine.join("etc/push-gateway/gateway.toml");
    done(Command::new(&binary).arg("check").arg(&settings))?;
    let unit = std::fs::read_to_string(machine.join("lib/systemd/system/gateway-server.service"))?;
    assert!(
        unit.contains("ExecStart=/usr/bin/gateway-server --config /etc/push-gateway/gateway.toml"),
        "{unit}"
    );

    let unit = std::fs::read_to_string(machine.join("lib/systemd/system/gateway-server-upgrade.service"))?;
    assert!(
        unit.contains(" /usr/bin/gateway-server upgrade --config /etc/push-gateway/gateway.toml"),
        "{unit}"
    );

    let mut command = Command::new(&binary);
    command.arg("--config").arg(&settings);
    for port in ["--websocket", "--register", "--operations"] {
        command.args([port, "127.0.0.1:0"]);
    }
    for example in ["push-gateway.json", "push-gateway.rules.yml"] {
        let example = machine.join("usr/share/doc/push-gateway/examples").join(example);
        assert!(example.exists(), "{}", example.display());
    }
    let bill = std::fs::read_to_string(machine.join("usr/share/doc/push-gateway/sbom.cdx.json"))?;
    assert!(bill.contains("pkg:cargo/gateway-server@"), "{bill}");

    // Each manual page is there, compressed.
    let manual = machine.join("usr/share/man/man8");
    for page in ["gateway-server", "gateway-server-check", "gateway-server-status"] {
        let text = done(Command::new("gzip").arg("-cd").arg(manual.join(format!("{page}.8.gz"))))?;
        assert!(text.contains(".SH NAME") && text.contains(&page.replace('-', "\\-")), "{text}");
    }

    let (server, line) = ProcessGroup::start(command, "ready ").await?;
    let websocket = line.split_whitespace().find_map(|word| word.strip_prefix("websocket="));
    Client::connect(websocket.unwrap_or_default().parse()?).await?;
    drop(server);

    std::fs::write(&settings, "# changed by hand\n")?;
    dpkg(&["--remove", "push-gateway"])?;
    assert!(!binary.exists() && settings.exists(), "what was changed by hand stays until it is purged");
    dpkg(&["--purge", "push-gateway"])?;
    assert!(!settings.exists());
    Ok(())
}

/// A bill of materials names every crate that is linked in, once, and none that is only used to build or to test.
#[test]
fn what_is_handed_on_says_what_it_is_made_of() -> anyhow::Result<()> {
    let bill_of = |package: &str| done(Command::new(root().join("scripts/sbom")).arg(package));
    for (package, has, lacks) in
        [("gateway-server", "mio", "fantoccini"), ("gateway-php", "ext-php-rs", "bindgen")]
    {
        let text = bill_of(package)?;
        let bill: serde_json::Value = serde_json::from_str(&text)?;
        assert_eq!(bill["metadata"]["component"]["name"], package);
        let list = |value: &serde_json::Value| value.as_array().cloned().unwrap_or_default();
        let components = list(&bill["components"]);
        let mut references = vec![bill["metadata"]["component"]["bom-ref"].clone()];
        for component in &components {
            references.push(component["bom-ref"].clone());
            let licenses = component["licenses"][0]["expression"].as_str();
            assert!(licenses.is_some_and(|licenses| !licenses.contains('/')), "{component}");
            let hash = component["hashes"][0]["content"].as_str();
            let is_ours = component["name"].as_str().is_some_and(|name| name.starts_with("gateway-"));
            assert!(is_ours || hash.is_some_and(|hash| hash.len() == 64), "{component}");
        }
        let named = |name: &str| components.iter().filter(|component| component["name"] == name).count();
        assert_eq!((named(has), named("gateway-wire"), named(lacks)), (1, 1, 0), "{text}");
        // Everything that something depends on is also listed.
        let dependencies = list(&bill["dependencies"]);
        assert_eq!(dependencies.len(), references.len());
        for reference in dependencies.iter().flat_map(|one| list(&one["dependsOn"])) {
            assert!(references.contains(&reference), "{reference}");
        }
        assert_eq!(bill_of(package)?, text, "the same source gives the same bill");
        assert!(!text.contains(&*root().canonicalize()?.to_string_lossy()), "{text}");
    }
    Ok(())
}

/// With the flags of a release, no path of the building machine stands in the built program.
#[test]
fn what_is_handed_on_tells_nobody_where_it_was_built() -> anyhow::Result<()> {
    // The source must be in the checkout, while the target folder may be elsewhere (CARGO_TARGET_DIR).
    std::fs::create_dir_all(root().join("target"))?;
    let folder = tempfile::tempdir_in(root().join("target"))?;
    let folder = folder.path().canonicalize()?;
    let source = folder.join("source.rs");
    std::fs::write(&source, "fn main() { panic!() }")?;
    let build = |name: &str, flags: &str| {
        let file = folder.join(name);
        let flags = flags.split_whitespace();
        done(Command::new("rustc").args(flags).arg("-Cstrip=debuginfo").arg("-o").arg(&file).arg(&source))?;
        anyhow::Ok(file)
    };
    let look = |file: &Path| Command::new(root().join("scripts/build-paths")).arg(file).output();
    let flags = done(Command::new(root().join("scripts/release-flags")).env("RUSTFLAGS", "-Copt-level=1"))?;
    assert!(flags.starts_with("-Copt-level=1 "), "{flags}");
    let told = look(&build("plain", "")?)?;
    assert!(!told.status.success() && String::from_utf8_lossy(&told.stderr).contains("release-flags"));
    done(Command::new(root().join("scripts/build-paths")).arg(build("released", &flags)?))?;
    Ok(())
}

/// Runs `scripts/setup build` on a pretended machine, whose Rust is too old and whose apt has these packages in these
/// versions. Gives what apt is told to install, what the script complains of, whether it succeeds, and what it says beside.
fn set_up(user: &str, available: &[(&str, &str)]) -> anyhow::Result<(String, String, bool, String)> {
    let folder = tempfile::tempdir()?;
    let program = |name: &str, lines: &str| -> anyhow::Result<()> {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{lines}\n"))?;
        Ok(std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))?)
    };
    let installed = folder.path().join("installed");
    program("cargo", "echo 'cargo 0.66.0'")?;
    program("id", &format!("echo {user}"))?;
    let fetches = "[ $1 = update ] && exit
        echo 'Need to get 98.7 MB of archives.'
        for n in $(seq 25); do echo \"Get:$n http://deb.debian.org/debian bookworm/main amd64 lib$n amd64 1 [1 kB]\"; done
        for n in $(seq 25); do echo \"Setting up lib$n (1) ...\"; done";
    program("apt-get", &format!("{fetches}\necho \"$@\" >>{}", installed.display()))?;
    let cases: String = available
        .iter()
        .map(|(name, version)| format!("{name}) echo '  Candidate: {version}' ;;\n"))
        .collect();
    program("apt-cache", &format!("case $2 in\n{cases}*) echo '  Candidate: (none)' ;;\nesac"))?;
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH")?);
    let output = Command::new(root().join("scripts/setup"))
        .arg("build")
        .env("PATH", path)
        // Nothing has been built there.
        .env("CARGO_TARGET_DIR", folder.path())
        .env("CARGO_HOME", folder.path())
        .output()?;
    let [complaint, said] =
        [&output.stderr, &output.stdout].map(|text| String::from_utf8_lossy(text).into_owned());
    Ok((std::fs::read_to_string(installed).unwrap_or_default(), complaint, output.status.success(), said))
}

/// Minutes of silence would look as if something hung.
#[test]
fn setup_says_what_it_installs_and_how_far_it_is() -> anyhow::Result<()> {
    let web = [("cargo-web", "1.96.0+dfsg1-1~deb12u2"), ("rustc-web", "1.96.0+dfsg1-1~deb12u2")];
    let (_, complaint, is_done, said) = set_up("0", &web)?;
    assert!(is_done, "{complaint}");
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].contains("takes some minutes: cargo-web rustc-web"), "{said}");
    let progress = [
        "  Need to get 98.7 MB of archives.",
        "  10 packages are fetched",
        "  20 packages are fetched",
        "  10 packages are set up",
        "  20 packages are set up",
    ];
    assert_eq!(lines[1..6], progress, "{said}");
    let build = "The first build compiles everything, which takes about ";
    assert!(lines.get(6).is_some_and(|line| line.starts_with(build)), "{said}");
    // Who may not install is told at once.
    let (_, complaint, is_done, said) = set_up("1000", &web)?;
    assert!(!is_done && said.is_empty() && complaint.contains("sudo apt-get install"), "{complaint}{said}");
    Ok(())
}

#[test]
fn rust_is_installed_where_apt_has_one_that_is_new_enough() -> anyhow::Result<()> {
    let bookworm = [("cargo", "0.66.0+ds1-1"), ("rustc", "1.63.0+dfsg1-2")];
    let updates = [("cargo-web", "1.96.0+dfsg1-1~deb12u2"), ("rustc-web", "1.96.0+dfsg1-1~deb12u2")];
    let both = [bookworm, updates].concat();
    let (installed, said, is_done, _) = set_up("0", &both)?;
    assert!(is_done && installed.contains(" cargo-web rustc-web"), "{installed}{said}");
    let (installed, said, is_done, _) = set_up("1000", &both)?;
    assert!(!is_done && installed.is_empty(), "{installed}");
    assert!(said.contains("sudo apt-get install cargo-web rustc-web"), "{said}");
    // Without its updates, this release of Debian has no Rust that is new enough.
    let old = [("cargo-web", "1.85.0+dfsg3-1~deb12u3"), ("rustc-web", "1.85.0+dfsg3-1~deb12u3")];
    let (installed, said, is_done, _) = set_up("0", &[bookworm, old].concat())?;
    assert!(!is_done && installed.is_empty(), "{installed}");
    let rust = env!("CARGO_PKG_RUST_VERSION");
    let why = format!(
        "Rust {rust} or newer is missing, and apt has none: install it from https://rustup.rs, then run this again.\n"
    );
    assert_eq!(said, why);
    let (installed, said, is_done, _) = set_up("0", &[("cargo", "1.99.0-1"), ("rustc", "1.99.0-1")])?;
    assert!(is_done && installed.contains(" cargo rustc"), "{installed}{said}");
    Ok(())
}

/// If the package were built from fewer crates than the demo, cargo would build libraries again, because they would have
/// other features then.
#[test]
fn the_package_is_made_of_what_the_demo_has_built() -> anyhow::Result<()> {
    if !is_installed("make") {
        skip("the_package_is_made_of_what_the_demo_has_built", "make is not installed");
        return Ok(());
    }
    let builds = |target: &str| -> anyhow::Result<Vec<String>> {
        let steps = done(Command::new("make").args(["--dry-run", target]).current_dir(root()))?;
        Ok(steps.lines().filter(|step| step.contains(" build --")).map(str::to_owned).collect())
    };
    let demo = builds("demo")?;
    assert_eq!(demo.len(), 1, "{demo:?}");
    assert_eq!(builds("deb")?, demo);
    Ok(())
}

/// A check that was not made must count neither as passed nor as failed.
#[test]
fn a_check_that_is_skipped_has_not_passed() -> anyhow::Result<()> {
    let deny = |strict: &str| {
        Command::new(root().join("scripts/deny"))
            // This makes the script behave as on a machine that can fetch nothing.
            .env("DENY_WITHOUT_TOOL", "1")
            .env("DENY_STRICT", strict)
            .output()
    };
    let lenient = deny("")?;
    let said = String::from_utf8_lossy(&lenient.stdout);
    assert!(said.contains("sources ok, licenses ok\n"), "{said}");
    assert!(said.ends_with("test result: incomplete. 1 passed; 0 failed; 1 skipped\n"), "{said}");
    assert!(lenient.status.success() && !deny("1")?.status.success());

    let skipped = done(Command::new(root().join("scripts/one-test")).args(["--skip", "style", "no tool"]))?;
    let log = tempfile::NamedTempFile::new()?;
    // The log has a skipped test of cargo, a script's check that was left out, and a skipped script.
    let cargo = "SKIPPED a_test: no root\ntest result: ok. 8 passed; 0 failed; 0 ignored; 0 measured\n";
    std::fs::write(log.path(), format!("{cargo}{said}{skipped}\n"))?;
    assert_eq!(done(Command::new(root().join("scripts/count-results")).arg(log.path()))?, "8 0 3");
    Ok(())
}
