//! A recipe of the documents, laid out as a reader who follows it would have it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{ProcessGroup, Server, lay_out, php_of_the_machine, root, soon};

/// A folder with the files that the recipe's page shows.
pub struct Recipe {
    folder: TempDir,
    pub page: String,
}

impl Recipe {
    /// The key that the server and PHP share for signing connect tokens.
    pub const KEY: &str = "known to the server and to PHP, and to nobody else";

    /// Lays the recipe of `page` out in a folder of its own, with the browser client beside it.
    pub fn of(page: &str) -> anyhow::Result<Self> {
        Self::over(None, page, "gateway.js")
    }

    /// Lays the recipe of `page` out over a copy of `application`, where the browser client is the file `client`.
    pub fn over(application: Option<&Path>, page: &str, client: &str) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("gateway-test-recipe-")?;
        if let Some(application) = application {
            let copied =
                Command::new("cp").arg("-r").arg(application.join(".")).arg(folder.path()).status()?;
            anyhow::ensure!(copied.success(), "cp -r {}", application.display());
        }
        let page = std::fs::read_to_string(root().join("docs/recipes").join(page))?;
        lay_out(&page, folder.path())?;
        let recipe = Self { folder, page };
        recipe.write(client, &std::fs::read_to_string(root().join("php/client/gateway.js"))?)?;
        Ok(recipe)
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a file beside those of the recipe.
    pub fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        let path = self.path(file);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        Ok(std::fs::write(path, text)?)
    }

    /// Starts a server with the ports and the key that the recipes assume.
    pub async fn start_server() -> anyhow::Result<Server> {
        Server::start_with(|command| {
            command
                .args(["--websocket", "0.0.0.0:8282", "--register", "127.0.0.1:1238,127.0.0.1:1236"])
                .env("GATEWAY_TOKEN_KEY", Self::KEY);
        })
        .await
    }

    /// Runs PHP, and gives what it writes to stdout and to stderr.
    pub async fn run(&self, arguments: &[&str]) -> anyhow::Result<(String, String)> {
        let mut command = tokio::process::Command::from(self.php(arguments)?);
        let output = soon("php", command.kill_on_drop(true).output()).await??;
        anyhow::ensure!(output.status.success(), "{arguments:?}: {output:?}");
        Ok((String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?))
    }

    /// Serves the recipe at <http://127.0.0.1:8080/>. Without opcache, PHP notices files that a test changes later.
    pub async fn serve(&self, script: &[&str]) -> anyhow::Result<ProcessGroup> {
        let arguments = [&["-d", "opcache.enable=0", "-S", "127.0.0.1:8080"], script].concat();
        Ok(ProcessGroup::start(self.php(&arguments)?, " started").await?.0)
    }

    /// The command that runs PHP with the machine's configuration in the recipe's folder.
    fn php(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = php_of_the_machine()?;
        command
            .arg("-d")
            .arg(format!("session.save_path={}", self.folder.path().display()))
            .args(arguments)
            .env("GATEWAY_TOKEN_KEY", Self::KEY)
            .current_dir(self.folder.path());
        Ok(command)
    }
}
