//! The form in which clients are written: batches.

use std::net::SocketAddr;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::super::connection::Phase;
use super::super::counts::Counts;
use super::super::resume::{CarriedReasons, CarriedResume};
use crate::versioned::{Form, Malformed};

const FORM: Form = Form::new("the batch of clients", 1);

/// Some of a shard's clients. All times are microseconds after the moment of the header, or before it where they are negative.
/// Buffers are named by their numbers: each is written before the first item that names it, in this batch or an earlier one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The moment, by the clock that all processes of the machine share.
    pub(super) header: i64,
    pub(super) items: Vec<Item>,
}

/// One thing of a batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Item {
    /// What concerns the shard as a whole. It comes first, and once.
    #[serde(rename = "s")]
    Shard(Box<CarriedShard>),
    /// A piece of the next buffer.
    #[serde(rename = "b")]
    Buffer { bytes: ByteBuf, is_last: bool },
    /// A connection. If it has a socket, that is the next one of the batch.
    #[serde(rename = "c")]
    Client(Box<CarriedClient>),
}

/// What concerns a shard as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedShard {
    pub(super) sizes: CarriedSizes,
    pub(super) counts: CarriedCounts,
    pub(super) reasons: CarriedReasons,
    /// For each listener, the time of the heartbeat's next step, and the number of steps of the round that are done.
    pub(super) rounds: Vec<(i64, u32)>,
}

/// How many there are of what a shard has tables of, so that none of these grows step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedSizes {
    pub(super) connections: u32,
    pub(super) uids: u32,
    pub(super) groups: u32,
}

/// What a shard has counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedCounts {
    came: u64,
    messages_in: u64,
    bytes_in: u64,
    messages_out: u64,
    bytes_out: u64,
}

/// A connection, and the client that it belongs to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CarriedClient {
    pub(super) connection_id: u32,
    /// Whether the client with this connection id is this one.
    pub(super) is_online: bool,
    pub(super) has_socket: bool,
    /// The number of the phase, as [`phase_number`] gives it.
    pub(super) phase: u8,
    /// When a connection that is being closed is dropped.
    pub(super) deadline: Option<i64>,
    pub(super) has_caught_up: bool,
    pub(super) has_returned: bool,
    /// The number of the encoding.
    pub(super) encoding: u8,
    pub(super) listener: u8,
    pub(super) quiet: u8,
    /// The client's address, unless its socket knows it.
    pub(super) address: Option<SocketAddr>,
    pub(super) uid: Option<ByteBuf>,
    pub(super) groups: Vec<ByteBuf>,
    /// The buffer of the session.
    pub(super) session: Option<u32>,
    pub(super) outbox: Option<CarriedOutbox>,
    pub(super) partial: Option<CarriedPartial>,
    pub(super) meter: Option<CarriedMeter>,
    pub(super) resume: Option<Box<CarriedResume>>,
    /// What the event sink knows of the client.
    pub(super) events: Option<ByteBuf>,
    /// The client's device in the inbox, as [`Device::as_row`] gives it. Servers without an inbox write records without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<(u8, String)>,
}

/// What waits for a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CarriedOutbox {
    /// The chunks in their order. A chunk that is one frame is written as the buffer of that and false, and one of small frames that are joined
    /// as the number of their bytes and true.
    pub(super) chunks: Vec<(u32, bool)>,
    /// The buffer of all that is joined, one chunk behind the other, if there is any.
    pub(super) joined: Option<u32>,
    /// The bytes of the first chunk that the socket has taken.
    pub(super) taken: u64,
    /// The position of the newest pong among the chunks.
    pub(super) pong: Option<u64>,
    /// When the socket last took something, from when on its bytes are counted, and how many it took.
    pub(super) pace: (i64, i64, f64),
    pub(super) is_given_up: bool,
}

/// What a client has sent that is not a whole message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedPartial {
    /// The buffer of the bytes that are not decoded.
    pub(super) bytes: u32,
    /// What else a websocket client may have, or `None` for a client of another protocol.
    pub(super) websocket: Option<CarriedFrames>,
}

/// What else a websocket client may have sent in part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedFrames {
    /// Fragments of a message: whether it is text, whether it is compressed, and the buffer of its bytes.
    pub(super) fragments: Option<(bool, bool, u32)>,
    pub(super) inflating: Option<CarriedInflating>,
    pub(super) is_behind: bool,
}

/// A compressed message that is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedInflating {
    pub(super) is_text: bool,
    /// The range of its bytes among those that are not decoded, if it came in one frame.
    pub(super) frame: Option<Range<u64>>,
    /// The buffer of its bytes, if it came in fragments.
    pub(super) fragments: Option<u32>,
}

/// By how much a client was ahead of its rates, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CarriedMeter {
    pub(super) at: i64,
    pub(super) messages: f32,
    pub(super) bytes: f32,
}

/// Writes a batch item by item. So each is gone once it is written, and the memory of one serves for all.
#[derive(Default)]
pub(super) struct BatchWriter {
    items: Vec<u8>,
    count: u32,
}

impl BatchWriter {
    pub(super) fn push(&mut self, item: &Item) {
        FORM.append(item, &mut self.items);
        self.count += 1;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Gives the bytes of a [`Batch`] of the items so far, and begins the next.
    pub(super) fn take_bytes(&mut self, header: i64) -> Vec<u8> {
        let mut bytes = FORM.begin();
        // The marks of lists in msgpack: one of two values, and in it the list of items.
        bytes.push(0x92);
        FORM.append(&header, &mut bytes);
        match self.count {
            count @ 0..16 => bytes.push(0x90 | count as u8),
            count @ 16..0x1_0000 => {
                bytes.push(0xdc);
                bytes.extend((count as u16).to_be_bytes());
            }
            count => {
                bytes.push(0xdd);
                bytes.extend(count.to_be_bytes());
            }
        }
        bytes.append(&mut self.items);
        self.count = 0;
        bytes
    }
}

impl Batch {
    #[cfg(test)]
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        FORM.read(bytes)
    }
}

impl CarriedCounts {
    pub(super) fn of(counts: &Counts) -> Self {
        let Counts { came, messages_in, bytes_in, messages_out, bytes_out } = *counts;
        Self { came, messages_in, bytes_in, messages_out, bytes_out }
    }

    /// Adds these to the counts of a shard.
    pub(super) fn add_to(&self, counts: &mut Counts) {
        for (count, carried) in [
            (&mut counts.came, self.came),
            (&mut counts.messages_in, self.messages_in),
            (&mut counts.bytes_in, self.bytes_in),
            (&mut counts.messages_out, self.messages_out),
            (&mut counts.bytes_out, self.bytes_out),
        ] {
            // Half of all numbers are left to count on.
            *count = count.saturating_add(carried).min(u64::MAX / 2);
        }
    }
}

/// All phases, in the order of their numbers.
const PHASES: [Phase; 6] =
    [Phase::Open, Phase::Closing, Phase::Discarding, Phase::Shut, Phase::Finishing, Phase::Parked];

pub(super) fn phase_number(phase: Phase) -> u8 {
    PHASES.iter().position(|one| *one == phase).map_or(u8::MAX, |number| number as u8)
}

pub(super) fn phase_of(number: u8) -> Option<Phase> {
    PHASES.get(usize::from(number)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("../golden/carried_clients_1.bin");

    fn bytes(text: &str) -> ByteBuf {
        ByteBuf::from(text.as_bytes())
    }

    /// A client with a socket and everything that such a client may have.
    fn connected() -> CarriedClient {
        CarriedClient {
            connection_id: 0x1234_5678,
            is_online: true,
            has_socket: true,
            phase: phase_number(Phase::Open),
            deadline: None,
            has_caught_up: false,
            has_returned: true,
            encoding: 1,
            listener: 0,
            quiet: 2,
            address: Some("[2001:db8::1]:443".parse().unwrap()),
            uid: Some(bytes("alice")),
            groups: vec![bytes("room 1"), bytes("room 2")],
            session: Some(2),
            outbox: Some(CarriedOutbox {
                chunks: vec![(0, false), (5, true), (7, true)],
                joined: Some(3),
                taken: 4,
                pong: Some(0),
                pace: (-5_000, -9_000_000, 70_000.5),
                is_given_up: false,
            }),
            partial: Some(CarriedPartial {
                bytes: 4,
                websocket: Some(CarriedFrames {
                    fragments: Some((true, false, 5)),
                    inflating: Some(CarriedInflating { is_text: true, frame: Some(1..2), fragments: None }),
                    is_behind: true,
                }),
            }),
            meter: Some(CarriedMeter { at: -7, messages: 1.5, bytes: 1000.25 }),
            resume: None,
            events: Some(bytes("known")),
            device: None,
        }
    }

    fn batch() -> Batch {
        let parked = CarriedClient {
            connection_id: 7,
            has_socket: false,
            phase: phase_number(Phase::Parked),
            encoding: 2,
            address: Some("192.0.2.1:80".parse().unwrap()),
            session: None,
            outbox: None,
            partial: None,
            meter: None,
            resume: Some(Box::new(CarriedResume::example())),
            events: None,
            ..connected()
        };
        let closing = CarriedClient {
            connection_id: 8,
            is_online: false,
            has_socket: true,
            phase: phase_number(Phase::Closing),
            deadline: Some(2_000_000),
            uid: None,
            groups: Vec::new(),
            resume: None,
            ..parked.clone()
        };
        let counts =
            CarriedCounts { came: 5, messages_in: 4, bytes_in: 300, messages_out: 200, bytes_out: 70_000 };
        let reasons = CarriedReasons::example();
        let sizes = CarriedSizes { connections: 3, uids: 1, groups: 2 };
        let shard = CarriedShard { sizes, counts, reasons, rounds: vec![(15_000_000, 31)] };
        let buffers =
            ["kept frame", "another", "a:1:{s:1:\"k\";i:7;}", "small frames", "in part", "fragment"];
        let buffers = buffers.map(|text| Item::Buffer { bytes: bytes(text), is_last: true });
        let clients = [connected(), parked, closing].map(|client| Item::Client(Box::new(client)));
        let items = [vec![Item::Shard(Box::new(shard))], buffers.into(), clients.into()].concat();
        Batch { header: 86_400_000_000, items }
    }

    #[test]
    fn batches_of_every_released_version_are_read() {
        assert_eq!(Batch::from_bytes(GOLDEN).unwrap(), batch());
        assert_eq!(batch().to_bytes(), GOLDEN);
    }

    #[test]
    fn a_batch_that_is_written_item_by_item_is_the_same() {
        let mut writer = BatchWriter::default();
        for (header, count) in [(1, 0), (-1, 1), (1 << 40, 15), (7, 16), (0, 70_000), (2, 300)] {
            assert!(writer.is_empty());
            let item = Item::Buffer { bytes: bytes("a piece"), is_last: true };
            let whole = Batch { header, items: vec![item; count] };
            whole.items.iter().for_each(|item| writer.push(item));
            assert!(writer.take_bytes(header) == whole.to_bytes(), "{count} items");
        }
        batch().items.iter().for_each(|item| writer.push(item));
        assert_eq!(writer.take_bytes(batch().header), GOLDEN);
    }

    #[test]
    fn the_device_of_a_client_is_read_where_it_is_written() {
        let client = CarriedClient { device: Some((2, "phone".to_owned())), ..connected() };
        let batch = Batch { header: 1, items: vec![Item::Client(Box::new(client))] };
        assert_eq!(Batch::from_bytes(&batch.to_bytes()).unwrap(), batch);
    }

    #[test]
    fn what_is_no_batch_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| Batch::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the batch of clients has no bytes");
        assert_eq!(
            error(&[2]),
            "the batch of clients is written in version 2, and this server reads version 1"
        );
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).starts_with("the batch of clients is not written as version 1"));
        }
    }

    #[test]
    fn phases_have_numbers_that_stay() {
        let phases = [0, 1, 2, 3, 4, 5].map(|number| phase_of(number).unwrap());
        assert_eq!(phases.map(phase_number), [0, 1, 2, 3, 4, 5]);
        assert_eq!((phase_number(Phase::Open), phase_number(Phase::Parked), phase_of(6)), (0, 5, None));
    }
}
