//! The command line: the program's flags, its commands, and what each asks for.

#[cfg(test)]
mod manual;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::config::{RawConfig, Source, in_words};
use crate::net::PublicUrl;
use crate::system::Secret;

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
    settings: RawConfig,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Says what is wrong with a TOML file, and where
    Check { file: PathBuf },
    /// Tries what commonly is wrong with the machine, its network and the settings, and says what to do
    Doctor {
        /// The TOML file with settings [default: none]
        #[arg(long, env = "GATEWAY_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
        /// Where browsers connect, as wss://example.com/ws: a websocket is opened there, as a page does it
        #[arg(long, value_name = "URL")]
        public_url: Option<PublicUrl>,
        /// Prints JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        settings: Box<RawConfig>,
    },
    /// Shows how a server that runs is doing
    Status {
        #[command(flatten)]
        where_: Where,
    },
    /// Succeeds if a server that runs takes clients, for health checks
    Health {
        #[command(flatten)]
        where_: Where,
    },
    /// Has the binary that is installed now take over from a server that runs, without a disconnect
    Upgrade {
        #[command(flatten)]
        where_: Where,
    },
    /// Shows what waits for users who are not there, and forgets it; looks after the file of a store
    Inbox {
        #[command(subcommand)]
        what: InboxCommand,
    },
    /// Shows the clients of a server that runs
    Connections {
        /// Only those that are bound to this uid
        #[arg(long)]
        uid: Option<String>,
        /// Only those in this group
        #[arg(long)]
        group: Option<String>,
        /// Only those from this IP address
        #[arg(long, value_name = "IP")]
        address: Option<IpAddr>,
        /// How many to show at most
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
        #[command(flatten)]
        where_: Where,
    },
}

#[derive(Subcommand)]
enum InboxCommand {
    /// Shows the uids for which messages wait
    List {
        /// How many to show at most
        #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
        #[command(flatten)]
        where_: Where,
    },
    /// Shows what waits for a uid, by device
    Show {
        uid: String,
        #[command(flatten)]
        where_: Where,
    },
    /// Forgets everything of a uid: messages, devices and receipts
    Purge {
        uid: String,
        #[command(flatten)]
        where_: Where,
    },
    /// Reads the whole file of a store that no server has open, and says what is wrong with it
    Check { file: PathBuf },
    /// Copies a store that no server has open to a file that is not there yet
    Copy { file: PathBuf, to: PathBuf },
}

/// Which server to ask. It says where by the same settings as the server itself.
#[derive(Args)]
struct Where {
    /// The server's TOML file [default: none]
    #[arg(long, env = "GATEWAY_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's operations port [default: 127.0.0.1:1239]
    #[arg(long, env = "GATEWAY_OPERATIONS", value_name = "ADDRESS")]
    operations: Option<SocketAddr>,
    /// A file whose first line is its operations_token, which the variable GATEWAY_OPERATIONS_TOKEN may hold instead
    #[arg(long, env = "GATEWAY_OPERATIONS_TOKEN_FILE", value_name = "PATH")]
    operations_token_file: Option<PathBuf>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

/// What the command line asks for.
pub enum Action {
    Run(Box<Source>),
    Check(PathBuf),
    Ask(Asked, Question, Printed),
    /// Tries what may be wrong, and a websocket at the address.
    Doctor(Box<Source>, Option<PublicUrl>, Printed),
    /// Reads the whole file of a store.
    CheckStore(PathBuf),
    /// Copies the file of a store.
    CopyStore {
        file: PathBuf,
        to: PathBuf,
    },
}

/// Which server that runs is asked.
pub struct Asked {
    /// Its operations port.
    pub address: SocketAddr,
    /// Its `operations_token`, or an empty one.
    pub token: Secret,
}

/// What a server that runs is asked.
pub enum Question {
    Status,
    Health,
    /// Asks it to let the binary that is installed now take over.
    Upgrade,
    /// Lists uids for which messages wait, `limit` of them at most.
    InboxList {
        limit: usize,
    },
    /// Shows what waits for a uid.
    InboxShow {
        uid: String,
    },
    /// Has everything of a uid forgotten.
    InboxPurge {
        uid: String,
    },
    /// Lists the clients to which all given filters apply, `limit` of them at most.
    Connections {
        uid: Option<String>,
        group: Option<String>,
        address: Option<IpAddr>,
        limit: usize,
    },
}

/// Where the operations port is asked for when nothing says so.
const USUAL_OPERATIONS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1239);

/// The form in which an answer is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Printed {
    Table,
    Json,
}

/// Reads flags and environment. `--help` and misspelt flags end the process, as usual.
pub fn parse() -> anyhow::Result<Action> {
    let cli = Cli::try_parse().unwrap_or_else(|error| in_words(error).exit());
    match cli.command {
        None => {}
        Some(Command::Check { file }) => return Ok(Action::Check(file)),
        Some(Command::Doctor { config, public_url, json, settings }) => {
            let printed = if json { Printed::Json } else { Printed::Table };
            return Ok(Action::Doctor(Box::new(Source::new(*settings, config)?), public_url, printed));
        }
        Some(Command::Status { where_ }) => return where_.ask(Question::Status),
        Some(Command::Health { where_ }) => return where_.ask(Question::Health),
        Some(Command::Upgrade { where_ }) => return where_.ask(Question::Upgrade),
        Some(Command::Inbox { what }) => return what.action(),
        Some(Command::Connections { uid, group, address, limit, where_ }) => {
            return where_.ask(Question::Connections { uid, group, address, limit: limit as usize });
        }
    }
    Ok(Action::Run(Box::new(Source::new(cli.settings, cli.config)?)))
}

impl InboxCommand {
    fn action(self) -> anyhow::Result<Action> {
        match self {
            Self::List { limit, where_ } => where_.ask(Question::InboxList { limit: limit as usize }),
            Self::Show { uid, where_ } => where_.ask(Question::InboxShow { uid }),
            Self::Purge { uid, where_ } => where_.ask(Question::InboxPurge { uid }),
            Self::Check { file } => Ok(Action::CheckStore(file)),
            Self::Copy { file, to } => Ok(Action::CopyStore { file, to }),
        }
    }
}

impl Where {
    fn ask(self, question: Question) -> anyhow::Result<Action> {
        let printed = if self.json { Printed::Json } else { Printed::Table };
        let (address, token) =
            Source::of_operations(self.operations, self.operations_token_file, self.config)?.operations()?;
        let asked = Asked { address: address.unwrap_or(USUAL_OPERATIONS), token };
        Ok(Action::Ask(asked, question, printed))
    }
}
