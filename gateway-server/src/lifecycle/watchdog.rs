//! A watchdog over the shards. A shard that hangs ends the process, as its clients would wait for ever; the other shards' clients
//! reconnect within moments.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::hub::Hub;
use crate::lifecycle::systemd;
use crate::system::exit;
use crate::system::processor_waits::ProcessorWaits;
use crate::telemetry::histogram::Histogram;

/// How often the shards are asked.
const EVERY: Duration = Duration::from_secs(1);
/// The time within which a shard has to answer, which it does even on a busy machine.
pub const ANSWER: Duration = Duration::from_millis(800);
/// The time without an answer or any work by which a shard hangs, and the process ends. Only whole rounds of [`EVERY`] count, and of these
/// not the part in which a thread of this process waited for a processor. A process that was stopped for a while asks nothing in that
/// time, so the time does not count either. These are five rounds where such waits take no more than a tenth of the time.
const PATIENCE: Duration = Duration::from_millis(4500);

/// How quickly all shards have answered, each time that they were asked.
pub static ANSWERS: Histogram = Histogram::new();

/// Watches until the task is dropped.
pub async fn watch(hub: Arc<Hub>) {
    let mut rounds = interval(EVERY);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut steps = hub.steps();
    let mut watches = vec![Watch::default(); steps.len()];
    let mut waits = None;
    loop {
        rounds.tick().await;
        let asked = Instant::now();
        let silent = hub.silent(ANSWER).await;
        ANSWERS.add(asked.elapsed());
        let before = std::mem::replace(&mut steps, hub.steps());
        let lived = |shard: usize| !silent.contains(&shard) || steps[shard] != before[shard];
        // What threads have waited is read only while it is asked for.
        let waits_before = waits.take();
        if !(0..watches.len()).all(lived) {
            waits = Some(ProcessorWaits::now());
        }
        let waited = waits.as_ref().zip(waits_before).map(|(now, before)| now.longest_since(&before));
        for (shard, watch) in watches.iter_mut().enumerate() {
            match watch.round(lived(shard), waited.unwrap_or_default()) {
                Verdict::Lives => {}
                Verdict::LivesAgain => info!(shard, "the shard answers again"),
                Verdict::Silent => error!(shard, "a shard does not answer"),
                Verdict::Starves => warn!(shard, "a shard waits for a processor"),
                Verdict::Hangs { missed } => {
                    exit::now(&format!("shard {shard} hangs, and has not answered {missed} times in a row"))
                }
            }
        }
        if watches.iter().all(|watch| watch.hangs <= EVERY) {
            systemd::alive();
        }
    }
}

/// What the watchdog knows of a shard that has neither answered nor done any work in the last rounds.
#[derive(Clone, Default)]
struct Watch {
    /// The number of these rounds.
    missed: u32,
    /// Their time, without that in which a thread waited for a processor.
    hangs: Duration,
}

/// What a round says of a shard.
#[derive(Debug, PartialEq)]
enum Verdict {
    Lives,
    /// It lives after it was said that it does not.
    LivesAgain,
    Silent,
    /// It is silent, and the machine gives this process too little processor time for more.
    Starves,
    Hangs {
        missed: u32,
    },
}

impl Watch {
    /// Adds a round in which the shard lived or did not, and a thread of this process waited for a processor for so long.
    fn round(&mut self, lived: bool, waited: Duration) -> Verdict {
        if lived {
            return if std::mem::take(self).missed > 1 { Verdict::LivesAgain } else { Verdict::Lives };
        }
        self.missed += 1;
        self.hangs += EVERY.saturating_sub(waited);
        match self.missed {
            missed if self.hangs >= PATIENCE => Verdict::Hangs { missed },
            // A busy machine may miss one.
            1 => Verdict::Lives,
            _ if waited > EVERY / 2 => Verdict::Starves,
            _ => Verdict::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_rounds_in_which_a_shard_could_have_worked_and_has_not_end_the_process() {
        let mut watch = Watch::default();
        assert_eq!(watch.round(false, Duration::ZERO), Verdict::Lives);
        assert_eq!(watch.round(false, Duration::ZERO), Verdict::Silent);
        assert_eq!(watch.round(true, Duration::ZERO), Verdict::LivesAgain);
        assert_eq!(watch.round(true, Duration::ZERO), Verdict::Lives);
        assert_eq!(watch.round(false, Duration::ZERO), Verdict::Lives);
        for _ in 0..3 {
            assert_eq!(watch.round(false, EVERY / 10), Verdict::Silent);
        }
        assert_eq!(watch.round(false, EVERY / 10), Verdict::Hangs { missed: 5 });
    }

    #[test]
    fn time_without_a_processor_does_not_count_and_what_is_left_of_a_round_does() {
        let mut watch = Watch::default();
        assert_eq!(watch.round(false, Duration::ZERO), Verdict::Lives);
        for _ in 0..1000 {
            assert_eq!(watch.round(false, EVERY), Verdict::Starves);
        }
        // A thread that loops on a machine with a tenth of the processors that it would take.
        for _ in 0..34 {
            assert_eq!(watch.round(false, EVERY * 9 / 10), Verdict::Starves);
        }
        assert_eq!(watch.round(false, EVERY * 9 / 10), Verdict::Hangs { missed: 1036 });
    }
}
