//! What a shard keeps about clients that count messages, as another process takes it over.

use std::num::NonZeroU32;
use std::time::Instant;

use bytes::Bytes;
use gateway_wire::client_protocol::{ExportedEnd, GapReason, ResumeSecret, ServerEnd};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::super::carry::clock::Clock;
use super::ResumeState;
use super::arrive::MOST_SECRETS;
use super::kept::cost;
use crate::net::RateLimitKey;

/// What is kept about one client. Frames are named by the numbers of their buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shard) struct CarriedResume {
    end: ExportedEnd<u32>,
    /// Whether the client is still bound to the uid of its token.
    is_bound: bool,
    /// The uid of its token, if it is bound to another now.
    subject: Option<ByteBuf>,
    /// The secrets of other nodes, with the number of the first.
    foreign: Option<(NonZeroU32, Vec<String>)>,
    parked: Option<CarriedParking>,
    /// Whether PHP has closed the client while it was parked.
    is_closed: bool,
    /// Whether another node was given the client, and has not said yet that it has it.
    is_departed: bool,
}

/// Since when and until when a client is parked, in microseconds of the carrying clock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CarriedParking {
    since: i64,
    until: i64,
    /// The number of the parking, in their order.
    number: u64,
    /// Whether the client is counted among those of its address.
    has_address: bool,
}

/// What is kept about clients that have gone, and the counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::shard) struct CarriedReasons {
    /// The moment from which the times in the records are counted, in microseconds of the carrying clock.
    start: i64,
    parked: u64,
    resumed: u64,
    gaps: Vec<(GapReason, u64)>,
    /// Why clients cannot come back, by their connection ids, the oldest first.
    reasons: Vec<(u32, GapReason)>,
}

impl CarriedResume {
    pub(in crate::shard) fn is_parked(&self) -> bool {
        self.parked.is_some()
    }

    pub(in crate::shard) fn is_departed(&self) -> bool {
        self.is_departed
    }
}

#[cfg(test)]
impl CarriedResume {
    /// A client with everything that can be kept about one.
    pub(in crate::shard) fn example() -> Self {
        use std::time::Duration;

        use gateway_wire::client_protocol::{ExportedCounts, ExportedOpen};

        let number = |number| NonZeroU32::new(number).unwrap();
        let untold = (2, 300, Duration::from_millis(1500));
        let open =
            ExportedOpen { seen: 96, untold, is_noted: true, gap: None, entries: vec![(0, 3), (1, 1)] };
        let counts = ExportedCounts { sent: 100, taken: 7, open: Some(open) };
        Self {
            end: ExportedEnd { counts, proven: Some(number(5)), latest: number(6) },
            is_bound: false,
            subject: Some(ByteBuf::from(&b"alice's id"[..])),
            foreign: Some((
                number(4),
                vec!["7f00000104d600000007abababababababababababababababab".to_owned()],
            )),
            parked: Some(CarriedParking {
                since: -1_000_000,
                until: 59_000_000,
                number: 3,
                has_address: true,
            }),
            is_closed: false,
            is_departed: false,
        }
    }
}

#[cfg(test)]
impl CarriedReasons {
    pub(in crate::shard) fn example() -> Self {
        Self {
            start: -3_600_000_000,
            parked: 8,
            resumed: 7,
            gaps: vec![(GapReason::Expired, 1)],
            reasons: vec![(77, GapReason::Overflow), (78, GapReason::Closed)],
        }
    }
}

impl CarriedResume {
    /// The bytes that this takes in a batch, at most.
    pub(in crate::shard) fn weight(&self) -> usize {
        let entries = self.end.counts.open.as_ref().map_or(0, |open| 12 * open.entries.len());
        let secrets = self.foreign.iter().flat_map(|(_, secrets)| secrets).map(|secret| secret.len() + 8);
        let subject = self.subject.as_ref().map_or(0, |subject| subject.len());
        256 + entries + secrets.sum::<usize>() + subject
    }
}

impl ResumeState {
    /// Gives what is kept about a client; `number` gives the number of a frame's buffer.
    pub(in crate::shard) fn export(
        &self,
        key: usize,
        connection_id: u32,
        clock: Clock,
        mut number: impl FnMut(&Bytes) -> u32,
    ) -> Option<CarriedResume> {
        let record = self.records.get(key)?;
        // Every entry of a record is kept.
        let end = record.export(|frame| self.kept.frame(*frame).map_or(u32::MAX, &mut number));
        let named = |by_id: &HashMap<u32, u32>| by_id.get(&connection_id) == Some(&(key as u32));
        let foreign = self
            .foreign
            .get(&key)
            .map(|(first, secrets)| (*first, secrets.iter().map(|secret| secret.to_text()).collect()));
        let parked = self.parked.get(key).map(|parked| CarriedParking {
            since: clock.time(parked.since),
            until: clock.time(parked.until),
            number: parked.number,
            has_address: parked.address.is_some(),
        });
        Some(CarriedResume {
            end,
            is_bound: self.subjects.is_bound(key),
            subject: self.subjects.of(key).map(ByteBuf::from),
            foreign,
            parked,
            is_closed: named(&self.closed),
            is_departed: named(&self.departed),
        })
    }

    /// Takes over what another process has kept about a client that came from this address. `kept` names the frames that are kept
    /// already, by the numbers of their buffers, which `buffer` gives. Gives an error that says what is wrong.
    pub(in crate::shard) fn import(
        &mut self,
        (key, connection_id): (usize, u32),
        carried: CarriedResume,
        clock: Clock,
        address: Option<RateLimitKey>,
        indexes: &mut HashMap<u32, u32>,
        buffer: impl Fn(u32) -> Option<Bytes>,
    ) -> Result<(), &'static str> {
        let CarriedResume { end, is_bound, subject, foreign, parked, is_closed, is_departed } = carried;
        let kept = &mut self.kept;
        let record = ServerEnd::imported(end, |number| {
            let bytes = buffer(number)?;
            let index = match indexes.get(&number) {
                Some(index) => {
                    kept.hold(*index);
                    *index
                }
                None => {
                    let index = kept.insert(bytes.clone());
                    indexes.insert(number, index);
                    index
                }
            };
            Some((index, cost(&bytes)))
        });
        let record = record.ok_or("the positions of a client")?;
        self.kept.change(0, record.memory());
        self.records.insert(key, record);
        if is_bound {
            self.subjects.insert(key);
        }
        if let Some(subject) = subject {
            self.subjects.keep(key, Some(&subject.into_vec().into()));
        }
        if let Some((first, secrets)) = foreign {
            let secrets: Result<Vec<ResumeSecret>, _> = secrets.iter().map(|secret| secret.parse()).collect();
            let secrets = secrets.ok().filter(|secrets| secrets.len() <= MOST_SECRETS as usize);
            self.foreign.insert(key, (first, secrets.ok_or("the secrets of a client")?));
        }
        if let Some(CarriedParking { since, until, number, has_address }) = parked {
            let times = (clock.instant(since), clock.instant(until));
            self.parked.restore(key, times, number, address.filter(|_| has_address));
        }
        if is_closed {
            self.closed.insert(connection_id, key as u32);
        }
        if is_departed {
            self.departed.insert(connection_id, key as u32);
        }
        Ok(())
    }

    pub(in crate::shard) fn export_reasons(&self, clock: Clock) -> CarriedReasons {
        CarriedReasons {
            start: clock.time(self.start),
            parked: self.counts.parked,
            resumed: self.counts.resumed,
            gaps: self.counts.gaps().filter(|(_, count)| *count > 0).collect(),
            reasons: self.tombstones.iter().collect(),
        }
    }

    /// Takes over what another process has kept about clients that have gone. The records that come behind count their times from
    /// the moment from which those of that process are counted.
    pub(in crate::shard) fn import_reasons(&mut self, carried: CarriedReasons, clock: Clock) {
        let CarriedReasons { start, parked, resumed, gaps, reasons } = carried;
        // A moment that has not come yet is none from which any process counts.
        self.start = clock.instant(start).min(Instant::now());
        self.counts.parked = self.counts.parked.saturating_add(parked);
        self.counts.resumed = self.counts.resumed.saturating_add(resumed);
        gaps.into_iter().for_each(|(reason, count)| self.counts.add_gaps(reason, count));
        reasons.into_iter().for_each(|(connection_id, reason)| self.bury(connection_id, reason));
    }

    /// Forgets everything that is kept: another process has it.
    pub(in crate::shard) fn let_go(&mut self) {
        (self.records, self.kept) = Default::default();
    }
}
