//! The `gateway-server` program: reads its settings, starts its logs, runs the library.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use gateway_server::admin::cli;
use gateway_server::system::{allocator, machine, memory_reserve};
use gateway_server::telemetry::logs;
use gateway_server::{command_line, config, doctor, server};

fn main() -> ExitCode {
    match start() {
        Ok(code) => {
            logs::flush();
            code
        }
        Err(error) => {
            logs::last_words(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Number of threads that may block in the system, which read files and look up the names of NATS servers.
const BLOCKING: usize = 4;

/// Number of tasks that run before the runtime looks which sockets are ready. Tokio's default of 61 takes milliseconds when many
/// peers send much, and an order that arrives meanwhile waits for it.
const TASKS_IN_A_ROW: u32 = 16;

/// Builds the runtime. All its threads are started at once and never end, as a machine that runs out of memory later cannot start
/// more.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    const EVER: Duration = Duration::from_secs(10 * 365 * 86_400);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(machine::threads())
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(EVER)
        .event_interval(TASKS_IN_A_ROW)
        .enable_all()
        .build()?;
    let all_there = Arc::new(Barrier::new(BLOCKING + 1));
    for _ in 0..BLOCKING {
        let all_there = Arc::clone(&all_there);
        runtime.spawn_blocking(move || {
            all_there.wait();
        });
    }
    all_there.wait();
    Ok(runtime)
}

/// The exit code for wrong settings, `EX_CONFIG` of sysexits.h. A supervisor should not start the server again before somebody
/// has changed the settings.
const WRONG_SETTINGS: u8 = 78;

fn start() -> anyhow::Result<ExitCode> {
    let done = match command_line::parse()? {
        command_line::Action::Check(file) => {
            config::check(&file)?;
            cli::print(&format!("{}: nothing is wrong\n", file.display()))
        }
        command_line::Action::Ask(asked, question, printed) => {
            let target = cli::Target { address: asked.address, token: asked.token };
            let as_json = printed == command_line::Printed::Json;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                match question {
                    command_line::Question::Health => cli::health(&target, as_json).await,
                    command_line::Question::Upgrade => cli::upgrade(&target, as_json).await,
                    command_line::Question::Status => cli::status(&target, as_json).await,
                    command_line::Question::InboxList { limit } => {
                        cli::inbox_list(&target, limit, as_json).await
                    }
                    command_line::Question::InboxShow { uid } => {
                        cli::inbox_show(&target, &uid, as_json).await
                    }
                    command_line::Question::InboxPurge { uid } => cli::inbox_purge(&target, &uid).await,
                    command_line::Question::Connections { uid, group, address, limit } => {
                        let wanted = cli::Wanted { uid, group, address, limit };
                        cli::connections(&target, &wanted, as_json).await
                    }
                }
            })
        }
        command_line::Action::Doctor(source, public_url, printed) => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let report = runtime.block_on(doctor::examine(&source, public_url.as_ref()));
            report.print(printed == command_line::Printed::Json)?;
            return Ok(if report.to_mend() == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        command_line::Action::CheckStore(file) => cli::check_store(&file),
        command_line::Action::CopyStore { file, to } => cli::copy_store(&file, &to),
        command_line::Action::Run(source) => {
            memory_reserve::fill();
            allocator::tune_allocator();
            let settings = match source.settings() {
                Ok(settings) => settings,
                Err(error) => {
                    logs::last_words(&format!("{error:#}"));
                    return Ok(ExitCode::from(WRONG_SETTINGS));
                }
            };
            let logs = server::start_logs(&settings)?;
            let server = server::run(settings, *source, logs);
            let runtime = runtime()?;
            let ended = catch_unwind(AssertUnwindSafe(|| runtime.block_on(server)));
            // A blocking task that still hangs, such as a read of a file, ends with the process.
            runtime.shutdown_background();
            ended.unwrap_or_else(|_| Err(anyhow::anyhow!("a fault in what holds the server together")))
        }
    };
    done.map(|()| ExitCode::SUCCESS)
}
