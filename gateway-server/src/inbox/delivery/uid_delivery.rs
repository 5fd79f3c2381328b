//! The connections of one uid and its devices.

use smallvec::SmallVec;

use crate::inbox::model::{Device, Millis};

use super::bound::{Bound, Stage};

/// After this time without an acknowledgement of the reader, in milliseconds, a connection that follows reads in its place.
const PATIENCE: Millis = 10_000;

#[derive(Default)]
pub(super) struct UidDelivery {
    /// The epoch of the inbox, once the store has told it.
    pub(super) epoch: Option<u64>,
    /// The last position that the store has told of.
    pub(super) tail: u64,
    /// The connections, in the order of their numbers.
    connections: SmallVec<[Bound; 1]>,
    devices: SmallVec<[DeviceDelivery; 1]>,
}

/// How far a device has come.
struct DeviceDelivery {
    device: Device,
    acknowledged: u64,
    /// The part of that which the store is told of.
    confirmed: u64,
    written: u64,
    reader: u32,
    /// The store is about to note that the device was told of what it has lost.
    is_told: bool,
}

impl UidDelivery {
    pub(super) fn connection(&mut self, connection: u32) -> Option<&mut Bound> {
        let at = self.position(connection).ok()?;
        self.connections.get_mut(at)
    }

    fn position(&self, connection: u32) -> Result<usize, usize> {
        self.connections.binary_search_by_key(&connection, |bound| bound.connection)
    }

    pub(super) fn add(&mut self, bound: Bound) {
        match self.position(bound.connection) {
            Ok(at) => self.connections[at] = bound,
            Err(at) => self.connections.insert(at, bound),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.connections.is_empty()
    }

    /// The connections that have been sent everything that there is.
    pub(super) fn live(&mut self) -> impl Iterator<Item = &mut Bound> {
        self.connections.iter_mut().filter(|bound| bound.stage == Stage::Live)
    }

    /// Notes that the store has messages up to a position. Gives the connections that have to read what was not told of them.
    pub(super) fn know_of(&mut self, tail: u64) -> Vec<u32> {
        if tail <= self.tail {
            return Vec::new();
        }
        self.tail = tail;
        let behind = self.live().filter(|bound| bound.sent < tail).map(|bound| {
            bound.stage = Stage::Reading { kept_until: Some(bound.sent) };
            bound.connection
        });
        behind.collect()
    }

    fn device(&mut self, device: &Device) -> Option<&mut DeviceDelivery> {
        self.devices.iter_mut().find(|known| known.device == *device)
    }

    /// Begins anew with all connections, and gives them.
    pub(super) fn restart(&mut self) -> impl Iterator<Item = u32> {
        (self.epoch, self.tail) = (None, 0);
        self.devices.clear();
        self.connections.iter_mut().for_each(Bound::restart);
        self.connections.iter().map(|bound| bound.connection)
    }

    /// Notes that the store knows the device of a connection, which has acknowledged up to this position.
    pub(super) fn arrived(&mut self, connection: u32, acknowledged: u64) {
        let arriving = self.connection(connection).filter(|bound| bound.stage == Stage::Arriving);
        let Some(device) = arriving.map(|bound| bound.device.clone()) else { return };
        if self.device(&device).is_some() {
            let target = self.target(&device);
            self.connection(connection).into_iter().for_each(|bound| bound.follow(target));
        } else {
            let reader = connection;
            let (confirmed, written, is_told) = (acknowledged, 0, false);
            self.devices.push(DeviceDelivery { device, acknowledged, confirmed, written, reader, is_told });
            self.read_from_cursor(connection);
        }
    }

    /// Gives the position behind which a connection of the device may begin that comes now: where its reader stands, once that has been
    /// sent all that waits.
    fn target(&mut self, device: &Device) -> Option<u64> {
        let reader = self.device(device)?.reader;
        self.connection(reader).filter(|reader| reader.stage == Stage::Live).map(|reader| reader.sent)
    }

    /// Tells the connections that follow behind which position they may begin, and begins with those that may. Gives these.
    pub(super) fn follow(&mut self, device: &Device) -> Vec<u32> {
        let (target, tail) = (self.target(device), self.tail);
        let Some(acknowledged) = self.device(device).map(|known| known.acknowledged) else {
            return Vec::new();
        };
        let mut begun = Vec::new();
        for bound in self.connections.iter_mut().filter(|bound| bound.device == *device) {
            let Stage::Following { target: own } = &mut bound.stage else { continue };
            *own = own.or(target);
            match *own {
                Some(own) if own <= acknowledged => {
                    let stage =
                        if own == tail { Stage::Live } else { Stage::Reading { kept_until: Some(own) } };
                    bound.begin(own, stage);
                    begun.push(bound.connection);
                }
                _ => {}
            }
        }
        begun
    }

    /// Notes that the connection was sent everything up to here. Gives the position if that is news of its device.
    pub(super) fn written(&mut self, device: &Device, seq: u64) -> Option<u64> {
        let known = self.device(device).filter(|known| known.written < seq)?;
        known.written = seq;
        Some(seq)
    }

    /// Takes the acknowledgement of a connection. Gives whether it is news of the device.
    pub(super) fn acknowledged(&mut self, device: &Device, seq: u64) -> bool {
        let Some(known) = self.device(device).filter(|known| known.acknowledged < seq) else { return false };
        known.acknowledged = seq;
        true
    }

    /// Gives the position up to which the store is to be told now that the device has acknowledged. What a connection needs that is joining
    /// is kept for it until it was sent that.
    pub(super) fn confirmable(&mut self, device: &Device) -> Option<u64> {
        let of_device = self.connections.iter_mut().filter(|bound| bound.device == *device);
        let needed = of_device.filter_map(Bound::joins_behind).min();
        let known = self.device(device)?;
        let up_to = needed.map_or(known.acknowledged, |needed| known.acknowledged.min(needed));
        if up_to <= known.confirmed {
            return None;
        }
        known.confirmed = up_to;
        Some(up_to)
    }

    /// Says whether this connection tells its device of what was lost, and that it does so now.
    pub(super) fn tells(&mut self, connection: u32, device: &Device) -> bool {
        let known = self.device(device).filter(|known| known.reader == connection && !known.is_told);
        known.map(|known| known.is_told = true).is_some()
    }

    /// Notes that the store knows what the device was told of.
    pub(super) fn told(&mut self, device: &Device) {
        if let Some(known) = self.device(device) {
            known.is_told = false;
        }
    }

    /// Removes a connection. Gives the one that reads in its place, if that has to begin.
    pub(super) fn remove(&mut self, connection: u32) -> Option<(Device, Option<u32>)> {
        let at = self.position(connection).ok()?;
        let device = self.connections.remove(at).device;
        let is_reader = self.device(&device).is_some_and(|known| known.reader == connection);
        let successor = if is_reader { self.succeed(&device) } else { None };
        Some((device, successor))
    }

    /// Finds another reader for a device. Gives it if it has to begin.
    fn succeed(&mut self, device: &Device) -> Option<u32> {
        let has_come = |bound: &&mut Bound| bound.device == *device && bound.stage != Stage::Arriving;
        let others = self.connections.iter_mut().filter(has_come);
        // A connection that has begun was sent everything that the device has not acknowledged.
        let Some(next) = others.max_by_key(|bound| bound.has_begun()) else {
            self.devices.retain(|known| known.device != *device);
            return None;
        };
        let (next, has_begun) = (next.connection, next.has_begun());
        self.device(device)?.reader = next;
        (!has_begun).then(|| self.read_from_cursor(next)).flatten()
    }

    /// Has a connection read what its device has not acknowledged.
    fn read_from_cursor(&mut self, connection: u32) -> Option<u32> {
        let device = self.connection(connection)?.device.clone();
        let known = self.device(&device)?;
        known.reader = connection;
        let acknowledged = known.acknowledged;
        self.connection(connection)?.begin(acknowledged, Stage::Reading { kept_until: None });
        Some(connection)
    }

    /// Has a connection that follows read in place of a reader that does not go on.
    pub(super) fn replace_stalled(&mut self, connection: u32, now: Millis) -> Option<u32> {
        let device = self.connection(connection)?.device.clone();
        let reader = self.device(&device)?.reader;
        let since = now.checked_sub(PATIENCE)?;
        let is_stalled = self.connection(reader).is_none_or(|reader| reader.is_stalled(since));
        is_stalled.then(|| self.read_from_cursor(connection)).flatten()
    }
}
