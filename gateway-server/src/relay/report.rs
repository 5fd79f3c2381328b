//! The report of a relay: how many clients it has, how much it has carried, and its age.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::system::ages::millis;
use crate::versioned::{Form, Malformed};

const FORM: Form = Form::new("the report", 1);

/// The counts of a relay. Its thread changes them, and other threads read them.
#[derive(Debug)]
pub struct RelayCounts {
    since: Instant,
    clients: AtomicU64,
    from_clients: AtomicU64,
    to_clients: AtomicU64,
}

impl Default for RelayCounts {
    fn default() -> Self {
        let [clients, from_clients, to_clients] = Default::default();
        Self { since: Instant::now(), clients, from_clients, to_clients }
    }
}

impl RelayCounts {
    pub(super) fn came(&self) {
        self.clients.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn gone(&self) {
        self.clients.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_from_clients(&self, bytes: usize) {
        self.from_clients.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn count_to_clients(&self, bytes: usize) {
        self.to_clients.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The counts at this moment, as those of this process.
    pub fn report(&self) -> RelayReport {
        RelayReport {
            pid: std::process::id(),
            clients: self.clients.load(Ordering::Relaxed),
            from_clients: self.from_clients.load(Ordering::Relaxed),
            to_clients: self.to_clients.load(Ordering::Relaxed),
            age_millis: millis(self.since.elapsed()),
        }
    }
}

/// What a relay says of itself to the serving process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayReport {
    /// The number of the relay's process.
    pub pid: u32,
    /// The number of clients that the relay has.
    pub clients: u64,
    /// The number of decrypted bytes that clients have sent through the relay.
    pub from_clients: u64,
    /// The number of bytes, before encryption, that clients were sent through the relay.
    pub to_clients: u64,
    /// The time since the relay has begun.
    pub age_millis: u64,
}

impl RelayReport {
    /// The time since the relay has begun.
    pub fn age(&self) -> Duration {
        Duration::from_millis(self.age_millis)
    }

    /// Writes the report.
    pub fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    /// Reads a report that a relay of the same version has written.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        FORM.read(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("golden/relay_report_1.bin");

    fn report() -> RelayReport {
        RelayReport {
            pid: 4711,
            clients: 12_000,
            from_clients: 1 << 20,
            to_clients: 5 << 40,
            age_millis: 86_400_000,
        }
    }

    #[test]
    fn reports_of_every_released_version_are_read() {
        assert_eq!(report().to_bytes(), GOLDEN);
        assert_eq!(RelayReport::from_bytes(GOLDEN).unwrap(), report());
        assert_eq!(report().age(), Duration::from_secs(86_400));
    }

    #[test]
    fn what_is_no_report_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| RelayReport::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the report has no bytes");
        assert_eq!(error(&[2, 0x90]), "the report is written in version 2, and this server reads version 1");
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).starts_with("the report is not written as version 1"));
        }
    }

    #[test]
    fn a_report_says_what_was_counted() {
        let counts = RelayCounts::default();
        (0..3).for_each(|_| counts.came());
        counts.gone();
        counts.count_from_clients(10);
        counts.count_to_clients(7);
        let report = counts.report();
        assert_eq!((report.pid, report.clients), (std::process::id(), 2));
        assert_eq!((report.from_clients, report.to_clients), (10, 7));
    }
}
