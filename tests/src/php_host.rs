//! A program of our own that runs PHP in threads: tests/php/threads/host.c.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::{Server, done, root, send_signal};

/// A thread-safe PHP, and the extension that was built for it.
#[derive(Clone, Debug)]
pub struct ThreadedPhp {
    installed: PathBuf,
    extension: PathBuf,
}

impl ThreadedPhp {
    /// The PHP in the folder that ZTS_PHP names, as scripts/php-from-source makes it, and the extension that ZTS_GATEWAY_SO names; or
    /// why there is none.
    pub fn of_the_environment() -> Result<Self, String> {
        let path = |name: &str, what: &str| {
            let missing =
                || format!("{name} does not name {what}; `make test-threads` does all that is needed");
            std::env::var_os(name).map(PathBuf::from).filter(|path| path.exists()).ok_or_else(missing)
        };
        Ok(Self {
            installed: path("ZTS_PHP", "the folder of a thread-safe PHP")?,
            extension: path("ZTS_GATEWAY_SO", "the extension that was built for it")?,
        })
    }
}

/// The running program. It is killed when this is dropped.
pub struct PhpHost {
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
    process: Child,
    folder: TempDir,
}

impl PhpHost {
    /// Starts the program with scripts that push to `server`, and these further lines of php.ini.
    pub async fn start(php: &ThreadedPhp, server: &Server, settings: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let ini = folder.path().join("php.ini");
        let mut lines = vec![
            format!("extension={}", php.extension.display()),
            format!("gateway.register_address={}", server.register[0]),
            format!("error_log={}", folder.path().join("log").display()),
            "html_errors=0".to_owned(),
        ];
        lines.extend(settings.iter().map(|line| (*line).to_owned()));
        std::fs::write(&ini, lines.join("\n"))?;

        let program = folder.path().join("host");
        let php_config = php.installed.join("bin/php-config");
        let includes = done(std::process::Command::new(&php_config).arg("--includes"))?;
        let library = php.installed.join("lib");
        let mut compiler = std::process::Command::new("cc");
        compiler.args(["-O1", "-g", "-Wall", "-pthread"]).args(includes.split_whitespace());
        compiler.arg("-o").arg(&program).arg(root().join("tests/php/threads/host.c"));
        compiler
            .arg(format!("-L{}", library.display()))
            .arg(format!("-Wl,-rpath,{}", library.display()))
            .arg("-lphp");
        done(compiler.args(std::env::var("ZTS_CFLAGS").unwrap_or_default().split_whitespace()))?;

        let mut process = Command::new(&program)
            .arg(&ini)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the host of PHP's threads")?;
        let stdin = process.stdin.take().context("its input")?;
        let stdout = BufReader::new(process.stdout.take().context("its output")?).lines();
        let mut host = Self { stdin, stdout, process, folder };
        // The first answer says that PHP is there.
        host.run(1, "nothing.php", "").await?;
        Ok(host)
    }

    /// Runs a script of tests/php/threads in so many threads, which then end, and gives what they print.
    pub async fn run(&mut self, threads: usize, script: &str, argument: &str) -> anyhow::Result<Vec<String>> {
        self.script(&format!("run {threads}"), script, argument).await
    }

    /// Does the same, but the threads stay.
    pub async fn keep(
        &mut self,
        threads: usize,
        script: &str,
        argument: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.script(&format!("keep {threads}"), script, argument).await
    }

    /// Runs a script in so many threads that handles so many requests in each.
    pub async fn work(
        &mut self,
        threads: usize,
        requests: usize,
        script: &str,
        argument: &str,
    ) -> anyhow::Result<Vec<String>> {
        self.script(&format!("work {threads} {requests}"), script, argument).await
    }

    async fn script(&mut self, how: &str, script: &str, argument: &str) -> anyhow::Result<Vec<String>> {
        let path = root().join("tests/php/threads").join(script);
        self.command(&format!("{how} {} {argument}", path.display())).await
    }

    /// Gives a command and waits for its end; gives the lines that scripts have printed until then.
    pub async fn command(&mut self, command: &str) -> anyhow::Result<Vec<String>> {
        /// Longer than any run here takes under memory checkers.
        const PATIENCE: Duration = Duration::from_secs(180);
        self.stdin.write_all(format!("{command}\n").as_bytes()).await?;
        let mut printed = Vec::new();
        loop {
            let line =
                timeout(PATIENCE, self.stdout.next_line()).await.with_context(|| command.to_owned())??;
            let line = line.with_context(|| format!("the host of PHP's threads has ended at: {command}"))?;
            if line == "done" {
                return Ok(printed);
            }
            anyhow::ensure!(!line.contains("error: "), "{command}: {line}");
            printed.push(line);
        }
    }

    fn pid(&self) -> anyhow::Result<u32> {
        self.process.id().context("the host of PHP's threads has ended")
    }

    /// The number of threads of the process.
    pub fn threads(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/task", self.pid()?))?.count())
    }

    /// The number of descriptors that the process has open.
    pub fn descriptors(&self) -> anyhow::Result<usize> {
        Ok(std::fs::read_dir(format!("/proc/{}/fd", self.pid()?))?.count())
    }

    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(send_signal(Pid::from_raw(self.pid()?.try_into()?), signal)?)
    }

    /// What PHP has written to its log.
    pub fn log(&self) -> anyhow::Result<String> {
        read_log(self.folder.path())
    }

    /// Ends PHP and the program, which must succeed, and gives what PHP has written to its log.
    pub async fn end(mut self) -> anyhow::Result<String> {
        self.command("end").await?;
        drop(self.stdin);
        let status = self.process.wait().await?;
        anyhow::ensure!(status.success(), "the host of PHP's threads: {status}");
        read_log(self.folder.path())
    }
}

fn read_log(folder: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(folder.join("log")) {
        // PHP makes the file with its first line.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        read => Ok(read?),
    }
}
