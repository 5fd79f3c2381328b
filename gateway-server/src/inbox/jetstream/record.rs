//! What the stream keeps of a uid: its devices and how far each has come.

use serde::{Deserialize, Serialize};

use super::marks::Marks;
use crate::inbox::bounds::{DEVICE_LIFE, SEEN_STEP};
use crate::inbox::model::{Device, Millis};
use crate::inbox::store::Refusal;

/// The version of the form. A node reads its own alone, so that all nodes of a cluster have the same.
const VERSION: u8 = 1;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// The position of the last mark that the uid was forgotten; what is before it does not count.
    pub(super) forgotten: u64,
    /// The furthest position that any device has acknowledged.
    pub(super) acknowledged: u64,
    /// The devices, in the order in which they came.
    pub(super) devices: Vec<DeviceRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeviceRecord {
    pub(super) device: Device,
    pub(super) seen: Millis,
    pub(super) written: u64,
    pub(super) acknowledged: u64,
    /// Messages up to here are for the device only if they are for every new device.
    pub(super) floor: u64,
    pub(super) written_at: Marks,
    pub(super) received_at: Marks,
    pub(super) read_at: Marks,
}

/// The version, the position of the mark, the furthest acknowledgement, and the devices.
#[derive(Serialize, Deserialize)]
struct RecordForm(u8, u64, u64, Vec<DeviceForm>);

/// The sort and name of a device, when it was seen, how far it was written to and has acknowledged, its floor, and its marks.
#[derive(Serialize, Deserialize)]
struct DeviceForm(u8, String, Millis, u64, u64, u64, Marks, Marks, Marks);

impl Record {
    pub(super) fn encode(&self) -> Vec<u8> {
        let devices = self.devices.iter().map(|known| {
            let (sort, name) = known.device.as_row();
            DeviceForm(
                sort,
                name.to_owned(),
                known.seen,
                known.written,
                known.acknowledged,
                known.floor,
                known.written_at.clone(),
                known.received_at.clone(),
                known.read_at.clone(),
            )
        });
        let form = RecordForm(VERSION, self.forgotten, self.acknowledged, devices.collect());
        // Encoding plain values cannot fail.
        rmp_serde::to_vec(&form).unwrap_or_default()
    }

    pub(super) fn decode(body: &[u8]) -> Option<Self> {
        let RecordForm(version, forgotten, acknowledged, devices) = rmp_serde::from_slice(body).ok()?;
        let devices = devices.into_iter().map(|form| {
            let DeviceForm(sort, name, seen, written, acknowledged, floor, written_at, received_at, read_at) =
                form;
            let device = Device::from_row(sort, &name)?;
            Some(DeviceRecord {
                device,
                seen,
                written,
                acknowledged,
                floor,
                written_at,
                received_at,
                read_at,
            })
        });
        let devices = devices.collect::<Option<_>>()?;
        (version == VERSION).then_some(Self { forgotten, acknowledged, devices })
    }

    /// Takes the devices out that have not been here for long.
    pub(super) fn expire(&mut self, now: Millis) {
        self.devices.retain(|known| known.seen + DEVICE_LIFE > now);
    }

    pub(super) fn device(&self, device: &Device) -> Option<&DeviceRecord> {
        self.devices.iter().find(|known| known.device == *device)
    }

    pub(super) fn device_mut(&mut self, device: &Device) -> Option<&mut DeviceRecord> {
        self.devices.iter_mut().find(|known| known.device == *device)
    }

    /// Takes a device that has come for the first time, in place of another if there are as many as there may be.
    pub(super) fn add(&mut self, device: &Device, now: Millis, at_most: usize) -> Result<(), Refusal> {
        if self.devices.len() >= at_most {
            let oldest = |signed: bool| {
                let of_sort =
                    self.devices.iter().enumerate().filter(|(_, known)| known.device.is_signed() == signed);
                of_sort.min_by_key(|(at, known)| (known.seen, *at)).map(|(at, _)| at)
            };
            let evicted = oldest(false).or_else(|| oldest(true).filter(|_| device.is_signed()));
            self.devices.remove(evicted.ok_or(Refusal::TooManyDevices)?);
        }
        self.devices.push(DeviceRecord {
            device: device.clone(),
            seen: now,
            written: 0,
            acknowledged: 0,
            floor: self.acknowledged,
            written_at: Marks::default(),
            received_at: Marks::default(),
            read_at: Marks::default(),
        });
        Ok(())
    }

    /// Gives the position up to which all devices have all messages that are not for every new device; 0 without devices.
    pub(super) fn settled(&self) -> u64 {
        self.devices.iter().map(|known| known.acknowledged.max(known.floor)).min().unwrap_or(0)
    }

    /// Says whether a message may still go to a device.
    pub(super) fn is_waiting(&self, seq: u64, for_all: bool) -> bool {
        for_all || seq > self.settled()
    }
}

impl DeviceRecord {
    /// Notes that the device is here. Gives whether that is to be written.
    pub(super) fn be_seen(&mut self, now: Millis) -> bool {
        let is_news = now >= self.seen + SEEN_STEP;
        if is_news {
            self.seen = now;
        }
        is_news
    }

    /// Says whether a message waits for the device.
    pub(super) fn waits_for(&self, seq: u64, for_all: bool) -> bool {
        seq > self.acknowledged && (for_all || seq > self.floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nothing_else() {
        let mut record = Record { forgotten: 3, acknowledged: 7, devices: Vec::new() };
        for device in [Device::Shared, Device::Invented("a".into()), Device::Signed("b c".into())] {
            record.add(&device, 5, 10).unwrap();
        }
        let known = record.device_mut(&Device::Shared).unwrap();
        (known.written, known.acknowledged) = (9, 8);
        known.written_at.come(9, 6);
        known.received_at.come(8, 7);
        known.read_at.note(8, 8);
        let body = record.encode();
        assert_eq!(Record::decode(&body).as_ref(), Some(&record));
        for length in 0..body.len() {
            assert_eq!(Record::decode(&body[..length]), None);
        }
        let mut newer = body.clone();
        newer[1] = VERSION + 1;
        assert_eq!(Record::decode(&newer), None);
        record.expire(5 + DEVICE_LIFE);
        assert_eq!(record.devices, []);
    }

    #[test]
    fn a_record_of_the_longest_marks_is_bounded() {
        let mut record = Record::default();
        for number in 0..10 {
            let device = Device::Signed(format!("{number}{}", "x".repeat(63)).into());
            record.add(&device, u64::MAX >> 1, 10).unwrap();
            let known = record.device_mut(&device).unwrap();
            for seq in 0..1000 {
                let (seq, now) = ((1 << 40) + seq * 7, (1 << 41) + seq);
                known.written_at.come(seq, now);
                known.received_at.come(seq, now);
                known.read_at.note(seq, now);
            }
        }
        assert!(record.encode().len() < 24 << 10, "{}", record.encode().len());
    }
}
