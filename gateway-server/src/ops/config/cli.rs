//! The command line.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Parser, Subcommand};

use super::file;
use super::settings::{Invalid, Layer, Secret, Settings};

/// Holds browsers' websocket connections and takes orders from PHP.
///
/// Settings come from a TOML file, from environment variables and from flags; a flag wins over a variable, and a variable
/// over the file. The file's keys are the flags' names with underscores, as in `ping_interval = 25`. SIGHUP reads them again.
#[derive(Parser)]
#[command(name = "gateway-server", version, args_conflicts_with_subcommands = true)]
struct Cli {
    /// The TOML file with settings [default: none]
    #[arg(long, env = "GATEWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    layer: Layer,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is wrong with a TOML file, and where
    Check { file: PathBuf },
}

/// What the command line asks for.
pub enum Action {
    Run(Box<Source>),
    Check(PathBuf),
}

/// Where the settings come from.
#[derive(Clone, Debug)]
pub struct Source {
    /// Those of the environment included.
    flags: Layer,
    file: Option<PathBuf>,
}

/// Reads flags and environment. `--help` and misspelt flags end the process, as usual.
pub fn parse() -> anyhow::Result<Action> {
    let cli = Cli::parse();
    if let Some(Command::Check { file }) = cli.command {
        return Ok(Action::Check(file));
    }
    let mut flags = cli.layer;
    flags.secret_key = Secret::from_environment("GATEWAY_SECRET_KEY");
    flags.token_key = Secret::from_environment("GATEWAY_TOKEN_KEY");
    flags.operations_token = Secret::from_environment("GATEWAY_OPERATIONS_TOKEN");
    Ok(Action::Run(Box::new(Source { flags, file: cli.config })))
}

impl Source {
    /// Reads the file, if there is one, and the files that are named for secrets.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let layer = match &self.file {
            Some(path) => self.flags.clone().over(file::read(path)?),
            None => self.flags.clone(),
        };
        layer.settle().map_err(|invalid| self.explain(&invalid))
    }

    /// Says what is wrong, and where if it is in the file.
    pub fn explain(&self, invalid: &[Invalid]) -> anyhow::Error {
        match &self.file {
            Some(path) => file::explain(path, invalid),
            None => anyhow!(invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }
}
