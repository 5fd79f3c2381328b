//! A Debian that has booted with systemd, in a container that uses this machine's network.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;

use crate::{ProcessGroup, done, root, soon};

/// The system calls that are allowed in addition to what a container may do anyway: the server uses io_uring, which a machine
/// of its own would allow.
const CALLS: &str = "--system-call-filter=io_uring_setup io_uring_enter io_uring_register";

/// A booted container. Whatever is written inside is gone when this is dropped.
pub struct Machine {
    _container: ProcessGroup,
    systemd: u32,
}

impl Machine {
    /// Gives the folder of the Debian to boot. It is fetched the first time, which fails in a test that has a network of its
    /// own. Gives the reason instead where this machine cannot boot one.
    pub fn debian() -> anyhow::Result<Result<PathBuf, String>> {
        if Command::new("systemd-nspawn").arg("--version").output().is_err() {
            return Ok(Err("systemd-nspawn is not installed (Debian package systemd-container)".to_owned()));
        }
        // The release is the same as this machine's, because programs that were built here run in the container.
        let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let suite =
            release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap_or_default();
        if !release.lines().any(|line| line == "ID=debian") {
            return Ok(Err("this machine is no Debian".to_owned()));
        }
        let packages = "systemd,systemd-sysv,dbus,php-cli";
        let made =
            Command::new(root().join("scripts/debian-root")).args(["systemd", suite, packages]).output()?;
        let said = String::from_utf8(made.stdout)?.trim().to_owned();
        match made.status.code() {
            Some(0) => Ok(Ok(said.into())),
            Some(77) => Ok(Err(said)),
            _ => anyhow::bail!("scripts/debian-root: {}", String::from_utf8_lossy(&made.stderr)),
        }
    }

    /// Boots it. Files and folders of this machine in `lent` appear in it read-only at other paths. Gives the reason instead
    /// where this machine cannot boot it.
    pub async fn boot(debian: &Path, lent: &[(&Path, &str)]) -> anyhow::Result<Result<Self, String>> {
        // The PID namespace around systemd-nspawn ends the container too when systemd-nspawn is killed; otherwise the
        // container would live on.
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "systemd-nspawn"])
            .args([
                "--boot",
                "--volatile=overlay",
                "--register=no",
                "--keep-unit",
                "--settings=no",
                "--resolv-conf=off",
            ])
            .args([CALLS, &format!("--machine=gateway-test-{}", std::process::id()), "--directory"])
            .arg(debian);
        for (here, there) in lent {
            command.arg(format!("--bind-ro={}:{there}", here.canonicalize()?.display()));
        }
        let container = match ProcessGroup::start_silent(command, "Multi-User System").await {
            Ok((container, _)) => container,
            Err(error) => return Ok(Err(format!("a container with systemd does not boot here: {error:#}"))),
        };
        let systemd = child_of(child_of(container.leader())?)?;
        let machine = Self { _container: container, systemd };
        // An extension loads only into the version of PHP that it was built for.
        let version = ["-n", "-r", "echo PHP_VERSION;"];
        let (theirs, ours) = (machine.done("php", &version).await?, done(Command::new("php").args(version))?);
        Ok(if theirs == ours { Ok(machine) } else { Err(format!("PHP is {ours} here, and {theirs} there")) })
    }

    /// The pid, on this machine, of the container's first process.
    pub fn systemd(&self) -> u32 {
        self.systemd
    }

    /// Runs a program in the container to its end.
    pub async fn run<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> anyhow::Result<Output> {
        let mut command = tokio::process::Command::new("nsenter");
        let namespaces = ["--mount", "--root", "--uts", "--ipc", "--pid"];
        command.args(["--target", &self.systemd.to_string()]).args(namespaces).arg("--");
        let run = command.arg(program).args(arguments).kill_on_drop(true).output();
        Ok(soon(program, run).await??)
    }

    /// Runs a program in the container that must succeed, and gives what it prints.
    pub async fn done<S: AsRef<OsStr>>(&self, program: &str, arguments: &[S]) -> anyhow::Result<String> {
        let output = self.run(program, arguments).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{program}: {complaint}");
        Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
    }

    pub async fn write(&self, path: &str, text: &str) -> anyhow::Result<()> {
        let script = r#"mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1""#;
        self.done("sh", &["-euc", script, "sh", path, text]).await.map(drop)
    }
}

fn child_of(parent: u32) -> anyhow::Result<u32> {
    let child = done(Command::new("pgrep").args(["--parent", &parent.to_string()]))?;
    child.parse().with_context(|| format!("the one child of {parent}: {child}"))
}
