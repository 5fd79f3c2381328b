//! The `gateway-server` program: reads its settings, starts its logs, runs the library.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use gateway_server::operations::command;
use gateway_server::ops::{config, logs, memory};
use gateway_server::server;

fn main() -> ExitCode {
    match start() {
        Ok(()) => {
            logs::flush();
            ExitCode::SUCCESS
        }
        Err(error) => {
            logs::last_words(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start() -> anyhow::Result<()> {
    match config::parse()? {
        config::Action::Check(file) => {
            config::check(&file)?;
            command::print(&format!("{}: nothing is wrong\n", file.display()))
        }
        config::Action::Ask(target, question, printed) => {
            let as_json = printed == config::Printed::Json;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match question {
                    config::Question::Health => command::health(&target, as_json).await,
                    config::Question::Status => command::status(&target, as_json).await,
                    config::Question::Connections(wanted) => {
                        command::connections(&target, &wanted, as_json).await
                    }
                }
            })
        }
        config::Action::Run(source) => {
            memory::tune_allocator();
            let settings = source.settings()?;
            let logs = logs::start(&settings)?;
            let server = server::run(settings, *source, logs);
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(server)));
            // What still hangs there ends with the process.
            runtime.shutdown_background();
            ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a fault in what holds the server together")))
        }
    }
}
