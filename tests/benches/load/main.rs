//! Load on our server, on a plain send loop, and on other push servers where they are present, side by side in one run.
//!
//! `make bench`; see docs/performance.md, which it rewrites. `make bench ARGS=--quick` only tries it.

mod contender;
mod cores;
mod fleet;
mod frames;
mod handshake;
mod measure;
mod plain;
mod publisher;
mod session;

use std::time::Duration;

use contender::Contender;
use cores::Cores;
use session::{Part, Session};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    if std::env::args().any(|argument| argument == plain::ARGUMENT) {
        return plain::serve();
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    let cores = Cores::find()?;
    cores.stay_with_load()?;
    let session = Session {
        clients: 1000,
        own_topics: false,
        parts: vec![
            Part::Idle,
            Part::FanOut { size: 64, in_flight: 1 },
            Part::FanOut { size: 64, in_flight: 16 },
            Part::Ping,
            Part::Echo,
        ],
    };
    for contender in Contender::ALL {
        if let Some(reason) = contender.missing() {
            println!("SKIPPED {}: {reason}", contender.name());
            continue;
        }
        match session.run(contender, cores, Duration::from_millis(500)).await {
            Ok(all) => {
                for (_, f) in all {
                    println!("{:<16} {:>12.0} {:>8.2} {:.2} {:.2}", contender.name(), f.value, f.cpu, f.server_load, f.generator_load);
                }
            }
            Err(error) => println!("{} {error:#}", contender.name()),
        }
    }
    Ok(())
}
