//! Changes of a uid's record: devices that come, and how far each has come.

use super::api::Publish;
use super::names::UidNames;
use super::record::Record;
use super::shared::{Loaded, Shared};
use crate::inbox::model::{Device, Millis};
use crate::inbox::store::{Arrival, Operation, Outcome, StoreError, check_device};

/// How often a record is changed anew because another node has changed it meanwhile.
const TRIES: usize = 20;

impl Shared {
    /// Does operations on the record of one uid, all in one write.
    pub(super) async fn change(
        &self,
        now: Millis,
        uid: &UidNames,
        operations: &[&Operation],
    ) -> Result<Vec<Outcome>, StoreError> {
        let has_arrival = operations.iter().any(|operation| matches!(operation, Operation::Arrive { .. }));
        for _ in 0..TRIES {
            // The tail is read before the epoch, so that a mark up to there has made the epoch.
            let last = match has_arrival {
                true => self.api.last(&uid.messages()).await?.map_or(0, |last| last.seq),
                false => 0,
            };
            let Loaded { mut record, revision, is_kept, epoch } = self.load(uid, now).await?;
            let tail = last.max(record.forgotten);
            let before = record.clone();
            let outcomes = operations.iter().map(|operation| {
                let place = Place { now, epoch, tail, devices: self.settings.bounds.devices };
                place.apply(&mut record, operation)
            });
            let outcomes: Vec<_> = outcomes.collect();
            if record == before && (is_kept || record.devices.is_empty()) {
                return Ok(outcomes);
            }
            self.tell_of(now, uid, (&before, &record), (operations, &outcomes)).await?;
            let subject = uid.record();
            let published = self.api.publish(Publish {
                subject: &subject,
                body: self.names.seal(&subject, &record.encode()),
                replaces: true,
                id: None,
                behind: Some(revision),
                ttl: None,
            });
            match published.await {
                Ok(_) => return Ok(outcomes),
                Err(error) if error.is_wrong_sequence() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(StoreError::Io("other nodes change the record of a uid all the time".to_owned()))
    }
}

/// What decides on the outcome besides the record.
struct Place {
    now: Millis,
    epoch: u64,
    /// The position of the newest message.
    tail: u64,
    /// The number of devices at most.
    devices: usize,
}

impl Place {
    fn apply(&self, record: &mut Record, operation: &Operation) -> Outcome {
        match operation {
            Operation::Arrive { uid, device } => self.arrive(record, uid, device),
            Operation::Written { device, epoch, seq, .. } => {
                let Some(known) = record.device_mut(device).filter(|_| *epoch == self.epoch) else {
                    return Outcome::Ignored;
                };
                if *seq > known.written {
                    known.written = *seq;
                    known.written_at.come(*seq, self.now);
                }
                Outcome::Done
            }
            Operation::Acknowledge { device, epoch, seq, .. } => {
                self.acknowledge(record, device, *epoch, *seq)
            }
            Operation::Read { device, epoch, seq, .. } => {
                let known =
                    record.device_mut(device).filter(|known| *epoch == self.epoch && *seq <= known.written);
                let Some(known) = known else { return Outcome::Ignored };
                known.read_at.note(*seq, self.now);
                Outcome::Done
            }
            // Nothing is counted as lost here.
            Operation::LostTold { device, .. } => match record.device(device) {
                Some(_) => Outcome::Done,
                None => Outcome::Ignored,
            },
            Operation::Deliver(_)
            | Operation::Forget { .. }
            | Operation::TellUndelivered { .. }
            | Operation::NoticesTold { .. }
            | Operation::Expire { .. } => Outcome::Ignored,
        }
    }

    fn arrive(&self, record: &mut Record, uid: &[u8], device: &Device) -> Outcome {
        if let Err(refusal) = check_device(uid, device) {
            return Outcome::Refused(refusal);
        }
        let (epoch, tail) = (self.epoch, self.tail);
        if let Some(known) = record.device_mut(device) {
            known.be_seen(self.now);
            let acknowledged = known.acknowledged;
            return Outcome::Arrived(Arrival { epoch, acknowledged, lost: 0, tail, is_new: false });
        }
        match record.add(device, self.now, self.devices) {
            Ok(()) => Outcome::Arrived(Arrival { epoch, acknowledged: 0, lost: 0, tail, is_new: true }),
            Err(refusal) => Outcome::Refused(refusal),
        }
    }

    fn acknowledge(&self, record: &mut Record, device: &Device, epoch: u64, seq: u64) -> Outcome {
        let Some(known) = record.device_mut(device).filter(|_| epoch == self.epoch) else {
            return Outcome::Ignored;
        };
        let seq = seq.min(known.written);
        if seq <= known.acknowledged {
            return Outcome::Acknowledged { seq: known.acknowledged, news: false };
        }
        known.acknowledged = seq;
        known.be_seen(self.now);
        known.received_at.come(seq, self.now);
        record.acknowledged = record.acknowledged.max(seq);
        Outcome::Acknowledged { seq, news: true }
    }
}
