//! The command line.

use std::path::PathBuf;

use anyhow::bail;
use clap::{Parser, Subcommand};

use super::file;
use super::settings::{Layer, Secret, Settings};

/// Holds browsers' websocket connections and takes orders from PHP.
///
/// Settings come from a TOML file, from environment variables and from flags; a flag wins over a variable, and a variable
/// over the file. The file's keys are the flags' names with underscores, as in `ping_interval = 25`.
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
    Run(Box<Settings>),
    Check(PathBuf),
}

/// Reads flags, environment and file. `--help` and misspelt flags end the process, as usual.
pub fn parse() -> anyhow::Result<Action> {
    let cli = Cli::parse();
    if let Some(Command::Check { file }) = cli.command {
        return Ok(Action::Check(file));
    }
    let mut flags = cli.layer;
    flags.secret_key = Secret::from_environment("GATEWAY_SECRET_KEY");
    flags.token_key = Secret::from_environment("GATEWAY_TOKEN_KEY");
    let layer = match &cli.config {
        Some(path) => flags.over(file::read(path)?),
        None => flags,
    };
    match layer.settle() {
        Ok(settings) => Ok(Action::Run(Box::new(settings))),
        Err(invalid) => {
            bail!(invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}
