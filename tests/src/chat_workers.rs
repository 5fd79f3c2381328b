//! The worker processes of workerman-chat in their original form: its files, and the libraries that Composer would install
//! for them, are copied into a temporary folder.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::artifacts::unset_sources;
use crate::process_group::ProcessGroup;
use crate::root;

const SOURCES: [&str; 4] =
    ["WORKERMAN_CHAT_PATH", "GATEWAYWORKER_PATH", "WORKERMAN_PATH", "WORKERMAN_COROUTINE_PATH"];

/// The processes are stopped when this is dropped.
pub struct ChatWorkers {
    _processes: ProcessGroup,
    _folder: tempfile::TempDir,
}

impl ChatWorkers {
    /// The number of workers that the start file of workerman-chat asks for.
    pub const COUNT: usize = 4;

    /// Gives the reason why it cannot be started, where the paths of its sources are not set.
    pub fn missing() -> Option<String> {
        unset_sources(&SOURCES)
    }

    /// Starts the workers. They look for the register at 127.0.0.1:1236, which is written in their code.
    pub async fn start() -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let vendor = folder.path().join("vendor");
        std::fs::create_dir(&vendor)?;
        copy("WORKERMAN_CHAT_PATH", "Applications", &folder.path().join("Applications"))?;
        let mut autoload = String::from("<?php\n");
        for variable in &SOURCES[1..] {
            copy(variable, "", &vendor.join(variable))?;
            autoload += &format!("putenv('{variable}=' . __DIR__ . '/{variable}');\n");
        }
        autoload += &format!(
            "require '{}';\n\
             spl_autoload_register(static function (string $class): void {{\n\
             \x20   $file = __DIR__ . \"/../Applications/Chat/$class.php\";\n\
             \x20   if (is_file($file)) {{ require $file; }}\n\
             }});\n",
            root().join("tests/php/gatewayworker/autoload.php").display()
        );
        std::fs::write(vendor.join("autoload.php"), autoload)?;
        let mut command = Command::new("php");
        command.arg(folder.path().join("Applications/Chat/start_businessworker.php")).arg("start");
        let (processes, _) = ProcessGroup::start(command, "Start success").await?;
        Ok(Self { _processes: processes, _folder: folder })
    }
}

/// Copies a folder below the one that the environment variable names.
fn copy(variable: &str, folder: &str, to: &Path) -> anyhow::Result<()> {
    let from = std::env::var_os(variable).context(variable.to_owned())?;
    let copied = Command::new("cp").arg("-R").arg(Path::new(&from).join(folder)).arg(to).status()?;
    anyhow::ensure!(copied.success(), "{variable} could not be copied");
    Ok(())
}
