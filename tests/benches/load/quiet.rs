//! A watch over other work of the machine, which would spoil the figures.

use std::time::{Duration, Instant};

use anyhow::Context as _;

/// The share of one core that other processes may take.
pub(crate) const TOLERATED: f64 = 0.15;
const LOOK: Duration = Duration::from_millis(250);

/// The time that a whole run may still lose to other processes, by waiting for them and by measuring again what they
/// disturbed.
pub(crate) struct Patience(pub(crate) Duration);

/// The time that all cores together have worked, or were kept from working.
pub(crate) fn busy() -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().next().context("/proc/stat")?;
    let fields = line.split_whitespace().skip(1).map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = fields[..] else {
        anyhow::bail!("{line:?} is no line of /proc/stat");
    };
    // The kernel counts these times in hundredths of a second.
    Ok(Duration::from_millis(10 * (user + nice + system + irq + softirq + steal)))
}

/// The time that this thread has worked.
pub(crate) fn own() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(text.split_whitespace().next().context("schedstat")?.parse()?))
}

impl Patience {
    pub(crate) fn has_ended(&self) -> bool {
        self.0.is_zero()
    }

    pub(crate) fn lose(&mut self, time: Duration) {
        self.0 = self.0.saturating_sub(time);
    }

    /// Waits until other processes are done, or the patience is over.
    pub(crate) fn wait(&mut self) -> anyhow::Result<()> {
        while !self.has_ended() {
            let (before, since) = (busy()?, Instant::now());
            std::thread::sleep(LOOK);
            if (busy()? - before).div_duration_f64(since.elapsed()) < TOLERATED {
                break;
            }
            self.lose(since.elapsed());
        }
        Ok(())
    }
}
