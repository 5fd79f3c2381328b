//! The relays that the serving process knows of: processes that it has taken clients over from, and that still carry some of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::report::RelayReport;

/// The most relays that the table holds, as their number comes from outside. Each upgrade adds one at most, and a relay ends when its
/// last client goes.
const MOST: usize = 1024;

/// The relays of the serving process, each by the number of its process.
#[derive(Debug, Default)]
pub struct Relays {
    relays: Mutex<BTreeMap<u32, (RelayReport, Instant)>>,
}

impl Relays {
    /// Notes what a relay has said of itself, in place of what it has said before. Gives whether the table has room for it.
    pub fn note(&self, report: RelayReport) -> bool {
        let mut relays = self.lock();
        let has_room = relays.len() < MOST || relays.contains_key(&report.pid);
        if has_room {
            relays.insert(report.pid, (report, Instant::now()));
        }
        has_room
    }

    /// Forgets a relay, whose process has gone.
    pub fn forget(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    /// Gives what each relay has last said of itself, and its age now.
    pub fn list(&self) -> Vec<(RelayReport, Duration)> {
        let relays = self.lock();
        relays.values().map(|(report, at)| (report.clone(), report.age() + at.elapsed())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u32, (RelayReport, Instant)>> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::RelayCounts;
    use super::*;

    #[test]
    fn a_relay_is_there_once_until_its_process_has_gone() {
        let relays = Relays::default();
        let counts = RelayCounts::default();
        for clients in 1..=2 {
            counts.came();
            assert!(relays.note(RelayReport { pid: 7, ..counts.report() }));
            let list = relays.list();
            assert_eq!((list.len(), list[0].0.pid, list[0].0.clients), (1, 7, clients));
            assert!(list[0].1 >= list[0].0.age());
        }
        relays.note(RelayReport { pid: 8, ..counts.report() });
        relays.forget(7);
        assert_eq!(relays.list().iter().map(|(report, _)| report.pid).collect::<Vec<_>>(), [8]);
    }

    #[test]
    fn the_table_is_bounded() {
        let relays = Relays::default();
        let report = RelayCounts::default().report();
        assert!((0..MOST as u32).all(|pid| relays.note(RelayReport { pid, ..report.clone() })));
        assert!(!relays.note(RelayReport { pid: u32::MAX, ..report.clone() }));
        assert!(relays.note(RelayReport { pid: 0, ..report }));
        assert_eq!(relays.list().len(), MOST);
    }
}
