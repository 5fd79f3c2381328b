//! A watchdog over the shards. A shard that hangs ends the process, as its clients would wait for ever; the other shards' clients
//! reconnect within moments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info};

use crate::hub::Hub;
use crate::lifecycle::systemd;
use crate::system::exit;
use crate::telemetry::histogram::Histogram;

/// How often the shards are asked.
const EVERY: Duration = Duration::from_secs(1);
/// The time within which a shard has to answer, which it does even on a busy machine.
pub const ANSWER: Duration = Duration::from_millis(800);
/// How many times in a row a shard may neither answer nor do any work before the process ends. A process that was stopped for a
/// while asks nothing in that time, so the time does not count.
const PATIENCE: u32 = 5;

/// How quickly all shards have answered, each time that they were asked.
pub static ANSWERS: Histogram = Histogram::new();

/// Watches until the task is dropped.
pub async fn watch(hub: Arc<Hub>) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before = hub.steps();
    let mut missed = vec![0; before.len()];
    loop {
        rounds.tick().await;
        let asked = Instant::now();
        let silent = hub.silent(ANSWER).await;
        ANSWERS.add(asked.elapsed());
        let steps = hub.steps();
        for (shard, missed) in missed.iter_mut().enumerate() {
            if !silent.contains(&shard) || steps[shard] != before[shard] {
                if std::mem::take(missed) > 1 {
                    info!(shard, "the shard answers again");
                }
                continue;
            }
            *missed += 1;
            match *missed {
                1 => {}
                PATIENCE.. => {
                    exit::now(&format!("shard {shard} hangs, and has not answered {PATIENCE} times in a row"))
                }
                _ => error!(shard, "a shard does not answer"),
            }
        }
        before = steps;
        if missed.iter().all(|missed| *missed == 0) {
            systemd::alive();
        }
    }
}
