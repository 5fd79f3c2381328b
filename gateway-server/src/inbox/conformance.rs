//! What every store does: a table of operations with their outcomes, and random operations on both stores at once.

use std::path::Path;

use bytes::Bytes;

use super::bounds::{Bounds, DEFAULT_TTL, DEVICE_LIFE, MESSAGE_BYTES, PRODUCER_LIFE};
use super::memory_store::MemoryStore;
use super::model::{
    Device, Millis, NewDevice, NewMessage, PageRequest, Producer, Receipt, Totals, UidInbox, WaitingPage,
};
use super::notices::WantedNotices;
use super::numbers::Numbers;
use super::sqlite::SqliteStore;
use super::store::{Arrival, Operation, Outcome, Refusal, Store};

/// When the tests begin.
const BEGIN: Millis = 1_800_000_000_000;
pub(super) const UID: &[u8] = b"anna";

/// Bounds that a few messages reach.
pub(super) const SMALL: Bounds =
    Bounds { messages: 3, bytes: 100, devices: 3, store_bytes: 10 << 30, notices: 8 };

/// All notices, those of late messages after an hour.
pub(super) const ALL_NOTICES: WantedNotices =
    WantedNotices { receipts: true, undelivered_after: Some(3_600_000) };

pub(super) fn message(id: &str, payload: &str) -> NewMessage {
    NewMessage {
        uid: Bytes::from_static(UID),
        id: id.into(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
        is_binary: false,
        ttl: DEFAULT_TTL,
        replace: None,
        new_device: NewDevice::Unacknowledged,
        producer: None,
    }
}

pub(super) fn invented(name: &str) -> Device {
    Device::Invented(name.into())
}

pub(super) fn signed(name: &str) -> Device {
    Device::Signed(name.into())
}

/// A store under test with the time, which only the test moves.
pub(super) struct Bench {
    pub(super) store: Box<dyn Store>,
    pub(super) now: Millis,
}

impl Bench {
    pub(super) fn one(&mut self, operation: Operation) -> Outcome {
        let outcomes = self.store.apply(self.now, &[operation]).unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.into_iter().next().unwrap()
    }

    /// Stores a message, and gives its position and how many were dropped for it.
    pub(super) fn stored(&mut self, message: NewMessage) -> (u64, u64) {
        match self.one(Operation::Deliver(message)) {
            Outcome::Stored { seq, dropped, .. } => (seq, dropped),
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn known(&mut self, message: NewMessage) -> u64 {
        match self.one(Operation::Deliver(message)) {
            Outcome::Known { seq, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn arrive(&mut self, device: &Device) -> Arrival {
        let uid = Bytes::from_static(UID);
        match self.one(Operation::Arrive { uid, device: device.clone() }) {
            Outcome::Arrived(arrival) => arrival,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn inbox(&mut self) -> UidInbox {
        self.store.inbox_of(self.now, UID).unwrap().unwrap()
    }

    pub(super) fn written(&mut self, device: &Device, seq: u64) -> Outcome {
        let (uid, epoch) = (Bytes::from_static(UID), self.inbox().epoch);
        self.one(Operation::Written { uid, device: device.clone(), epoch, seq })
    }

    pub(super) fn acknowledge(&mut self, device: &Device, seq: u64) -> Outcome {
        let (uid, epoch) = (Bytes::from_static(UID), self.inbox().epoch);
        self.one(Operation::Acknowledge { uid, device: device.clone(), epoch, seq })
    }

    pub(super) fn read(&mut self, device: &Device, seq: u64) -> Outcome {
        let (uid, epoch) = (Bytes::from_static(UID), self.inbox().epoch);
        self.one(Operation::Read { uid, device: device.clone(), epoch, seq })
    }

    pub(super) fn page(&mut self, device: &Device, after: u64, messages: usize, bytes: usize) -> WaitingPage {
        let (uid, device) = (Bytes::from_static(UID), device.clone());
        self.store.waiting(self.now, &PageRequest { uid, device, after, messages, bytes }).unwrap()
    }

    /// Gives the ids of what waits for a device.
    pub(super) fn waiting(&mut self, device: &Device) -> Vec<String> {
        let page = self.page(device, 0, 1000, usize::MAX);
        assert!(!page.has_more);
        page.messages.into_iter().map(|message| message.id.into_string()).collect()
    }

    pub(super) fn receipt(&mut self, id: &str) -> Option<Receipt> {
        self.store.receipt(self.now, id, 10).unwrap().pop()
    }

    pub(super) fn expire(&mut self, at_most: usize) -> (usize, bool) {
        match self.one(Operation::Expire { at_most }) {
            Outcome::Expired { removed, has_more } => (removed, has_more),
            other => panic!("{other:?}"),
        }
    }
}

/// Runs a test on both stores, which keep no notices.
fn on_both(bounds: Bounds, test: impl Fn(&mut Bench)) {
    on_both_with(bounds, WantedNotices::default(), test);
}

/// Runs a test on both stores, which keep these notices.
pub(super) fn on_both_with(bounds: Bounds, wanted: WantedNotices, test: impl Fn(&mut Bench)) {
    let mut store = MemoryStore::new(bounds);
    store.want_notices(wanted);
    test(&mut Bench { store: Box::new(store), now: BEGIN });
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(&folder.path().join("store"), bounds).unwrap();
    store.want_notices(wanted).unwrap();
    test(&mut Bench { store: Box::new(store), now: BEGIN });
}

#[test]
fn a_message_waits_until_all_devices_have_it() {
    on_both(Bounds::default(), |bench| {
        let (phone, laptop) = (signed("phone"), invented("laptop"));
        assert!(bench.arrive(&phone).is_new && bench.arrive(&laptop).is_new);
        assert_eq!(bench.stored(message("a", "one")), (1, 0));
        assert_eq!(bench.stored(message("b", "two")), (2, 0));
        assert_eq!(bench.waiting(&phone), ["a", "b"]);
        // An acknowledgement never reaches beyond what was written.
        assert_eq!(bench.acknowledge(&phone, 2), Outcome::Acknowledged { seq: 0, news: false });
        bench.now += 1;
        assert_eq!(bench.written(&phone, 1), Outcome::Done);
        bench.now += 1;
        assert_eq!(bench.acknowledge(&phone, 2), Outcome::Acknowledged { seq: 1, news: true });
        assert_eq!(bench.acknowledge(&phone, 1), Outcome::Acknowledged { seq: 1, news: false });
        assert_eq!(
            (bench.waiting(&phone), bench.waiting(&laptop)),
            (vec!["b".into()], vec!["a".into(), "b".into()])
        );
        assert_eq!(bench.arrive(&phone).acknowledged, 1);
        bench.now += 1;
        assert_eq!(bench.written(&laptop, u64::MAX), Outcome::Done);
        assert_eq!(bench.acknowledge(&laptop, u64::MAX), Outcome::Acknowledged { seq: 2, news: true });
        assert_eq!((bench.inbox().messages, bench.inbox().bytes), (1, 3));
        bench.now += 1;
        assert_eq!((bench.read(&phone, 1), bench.read(&phone, 2)), (Outcome::Done, Outcome::Ignored));
        let receipt = bench.receipt("a").unwrap();
        assert_eq!((receipt.seq, receipt.stored_at, receipt.is_waiting), (1, BEGIN, false));
        let times: Vec<_> = receipt
            .devices
            .iter()
            .map(|device| (&device.device, device.written_at, device.received_at, device.read_at))
            .collect();
        assert_eq!(
            times,
            [
                (&phone, Some(BEGIN + 1), Some(BEGIN + 2), Some(BEGIN + 4)),
                (&laptop, Some(BEGIN + 3), Some(BEGIN + 3), None)
            ]
        );
        assert_eq!(bench.receipt("b").unwrap().devices.len(), 1);
        // All have it, and its id is known all the same, until its time ends.
        assert_eq!(bench.known(message("a", "again")), 1);
        bench.now = BEGIN + DEFAULT_TTL * 1000;
        assert_eq!((bench.receipt("a"), bench.waiting(&phone)), (None, vec![]));
        assert_eq!(bench.stored(message("a", "anew")), (3, 0));
        assert_eq!(bench.waiting(&phone), ["a"]);
    });
}

#[test]
fn new_devices_get_what_no_device_has_acknowledged_or_what_is_for_all() {
    on_both(Bounds::default(), |bench| {
        let phone = invented("phone");
        bench.arrive(&phone);
        bench.stored(NewMessage { new_device: NewDevice::All, ..message("all", "one") });
        bench.stored(message("had", "two"));
        bench.stored(message("left", "three"));
        bench.written(&phone, 2);
        bench.acknowledge(&phone, 2);
        assert_eq!(bench.inbox().messages, 2);
        bench.arrive(&Device::Shared);
        assert_eq!(bench.waiting(&Device::Shared), ["all", "left"]);
        bench.written(&Device::Shared, 3);
        assert_eq!(bench.receipt("had").unwrap().devices.len(), 1);
        assert_eq!(bench.receipt("all").unwrap().devices.len(), 2);
        assert_eq!(bench.waiting(&invented("stranger")), Vec::<String>::new());
    });
}

#[test]
fn orders_of_a_producer_are_applied_once() {
    on_both(Bounds::default(), |bench| {
        let by = |number, id| NewMessage { producer: Some(([7; 16], number)), ..message(id, "x") };
        assert_eq!(bench.store.progress(&[7; 16]).unwrap(), None);
        assert_eq!(bench.stored(by(5, "a")).0, 1);
        assert_eq!(bench.one(Operation::Deliver(by(5, "b"))), Outcome::Repeated);
        assert_eq!(bench.one(Operation::Deliver(by(4, "b"))), Outcome::Repeated);
        let long = Bytes::from(vec![0; MESSAGE_BYTES + 1]);
        let refused = NewMessage { payload: long, ..by(6, "c") };
        assert_eq!(bench.one(Operation::Deliver(refused)), Outcome::Refused(Refusal::TooLong));
        assert_eq!(bench.store.progress(&[7; 16]).unwrap(), Some(5));
        assert_eq!(bench.known(by(6, "a")), 1);
        assert_eq!(bench.store.progress(&[7; 16]).unwrap(), Some(6));
        bench.now += PRODUCER_LIFE;
        assert_eq!(bench.expire(10), (1, false));
        assert_eq!(bench.store.progress(&[7; 16]).unwrap(), None);
    });
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    on_both(Bounds::default(), |bench| {
        let good = || message("a", "x");
        let cases = [
            (NewMessage { uid: Bytes::new(), ..good() }, Refusal::BadUid),
            (NewMessage { payload: Bytes::from_static(b"a\xff"), ..good() }, Refusal::NotText),
            (NewMessage { uid: Bytes::from(vec![b'a'; 1025]), ..good() }, Refusal::BadUid),
            (message("", "x"), Refusal::BadId),
            (message("with space", "x"), Refusal::BadId),
            (message(&"a".repeat(65), "x"), Refusal::BadId),
            (NewMessage { replace: Some("".into()), ..good() }, Refusal::BadReplace),
            (NewMessage { ttl: 0, ..good() }, Refusal::BadTtl),
            (NewMessage { ttl: 30 * 86_400 + 1, ..good() }, Refusal::BadTtl),
            (NewMessage { payload: Bytes::from(vec![0; MESSAGE_BYTES + 1]), ..good() }, Refusal::TooLong),
        ];
        for (message, refusal) in cases {
            assert_eq!(bench.one(Operation::Deliver(message)), Outcome::Refused(refusal));
        }
        let uid = Bytes::from_static(UID);
        let arrive = Operation::Arrive { uid, device: invented("a b") };
        assert_eq!(bench.one(arrive), Outcome::Refused(Refusal::BadDevice));
        assert_eq!(bench.store.totals().unwrap(), Default::default());
        let longest = Bytes::from(vec![0; MESSAGE_BYTES]);
        assert_eq!(bench.stored(NewMessage { payload: longest, ttl: 30 * 86_400, ..good() }), (1, 0));
    });
}

#[test]
fn the_oldest_makes_room_and_each_device_that_lacked_it_counts_it() {
    on_both(SMALL, |bench| {
        let (fast, slow) = (invented("fast"), invented("slow"));
        for device in [&fast, &slow] {
            bench.arrive(device);
        }
        for id in ["a", "b", "c"] {
            bench.stored(message(id, "x"));
        }
        bench.written(&fast, 1);
        bench.acknowledge(&fast, 1);
        bench.now += 1;
        assert_eq!(bench.stored(message("d", "x")), (4, 1));
        assert_eq!((bench.arrive(&fast).lost, bench.arrive(&slow).lost), (0, 1));
        // A hundred bytes have room alone.
        assert_eq!(bench.stored(message("e", &"x".repeat(100))), (5, 3));
        assert_eq!((bench.arrive(&fast).lost, bench.arrive(&slow).lost), (3, 4));
        assert_eq!(bench.waiting(&slow), ["e"]);
        let uid = Bytes::from_static(UID);
        bench.one(Operation::LostTold { uid, device: slow.clone(), lost: 3 });
        assert_eq!(bench.arrive(&slow).lost, 1);
        bench.now += 1;
        bench.written(&slow, 5);
        // What was dropped before it was written is not said to have been.
        assert_eq!(bench.receipt("b").unwrap().devices, []);
        assert_eq!(bench.known(message("b", "x")), 2);
    });
}

#[test]
fn only_the_newest_message_with_a_key_is_kept() {
    on_both(Bounds::default(), |bench| {
        bench.arrive(&Device::Shared);
        let with = |id, key: &str| NewMessage { replace: Some(key.into()), ..message(id, "x") };
        bench.stored(with("a", "score"));
        bench.stored(with("b", "other"));
        assert_eq!(bench.stored(with("c", "score")), (3, 0));
        assert_eq!(bench.waiting(&Device::Shared), ["b", "c"]);
        assert_eq!(bench.arrive(&Device::Shared).lost, 0);
        assert_eq!((bench.inbox().messages, bench.inbox().bytes), (2, 2));
    });
}

#[test]
fn invented_devices_evict_only_unsigned_ones() {
    on_both(SMALL, |bench| {
        for (device, hours) in [(signed("s1"), 0), (invented("i1"), 2), (signed("s2"), 4)] {
            bench.now = BEGIN + hours * 3_600_000;
            bench.arrive(&device);
        }
        bench.arrive(&invented("i2"));
        let devices = |bench: &mut Bench| -> Vec<Device> {
            bench.inbox().devices.into_iter().map(|device| device.device).collect()
        };
        assert_eq!(devices(bench), [signed("s1"), signed("s2"), invented("i2")]);
        bench.arrive(&signed("s3"));
        assert_eq!(devices(bench), [signed("s1"), signed("s2"), signed("s3")]);
        let arrive = Operation::Arrive { uid: Bytes::from_static(UID), device: invented("i3") };
        assert_eq!(bench.one(arrive), Outcome::Refused(Refusal::TooManyDevices));
        bench.arrive(&signed("s4"));
        assert_eq!(devices(bench), [signed("s2"), signed("s3"), signed("s4")]);
    });
}

#[test]
fn what_is_forgotten_begins_anew_with_another_epoch() {
    on_both(Bounds::default(), |bench| {
        let before = bench.arrive(&Device::Shared);
        bench.stored(message("a", "x"));
        let forget = Operation::Forget { uid: Bytes::from_static(UID) };
        assert_eq!(bench.one(forget.clone()), Outcome::Done);
        assert_eq!(bench.one(forget), Outcome::Ignored);
        assert_eq!((bench.receipt("a"), bench.store.totals().unwrap()), (None, Default::default()));
        let after = bench.arrive(&Device::Shared);
        assert!(after.is_new && after.epoch != before.epoch);
        assert_eq!(bench.stored(message("a", "x")), (1, 0));
        bench.written(&Device::Shared, 1);
        let (uid, device) = (Bytes::from_static(UID), Device::Shared);
        let old = Operation::Acknowledge { uid, device, epoch: before.epoch, seq: 1 };
        assert_eq!(bench.one(old), Outcome::Ignored);
        assert_eq!(bench.waiting(&Device::Shared), ["a"]);
    });
}

#[test]
fn waiting_messages_come_in_bounded_pages() {
    on_both(Bounds::default(), |bench| {
        bench.arrive(&Device::Shared);
        for number in 1..=10 {
            bench.stored(message(&format!("m{number}"), "0123456789"));
        }
        let page = bench.page(&Device::Shared, 2, 4, 1000);
        let seqs: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
        assert_eq!((seqs, page.has_more), (vec![3, 4, 5, 6], true));
        assert_eq!(bench.page(&Device::Shared, 0, 100, 35).messages.len(), 3);
        assert_eq!(bench.page(&Device::Shared, 0, 100, 0).messages.len(), 1);
        let last = bench.page(&Device::Shared, 8, 2, 1000);
        assert_eq!((last.messages.len(), last.has_more), (2, false));
        assert_eq!(bench.page(&Device::Shared, u64::MAX, 2, 1000), WaitingPage::default());
    });
}

#[test]
fn what_has_had_its_time_goes_step_by_step() {
    on_both(Bounds::default(), |bench| {
        bench.arrive(&Device::Shared);
        for number in 1..=5 {
            bench.stored(NewMessage { ttl: 10, ..message(&format!("m{number}"), "x") });
        }
        assert_eq!(bench.expire(2), (0, false));
        bench.now += 10_000;
        assert_eq!((bench.expire(2), bench.expire(2), bench.expire(2)), ((2, true), (2, true), (1, false)));
        assert_eq!(bench.store.totals().unwrap().messages, 0);
        bench.now = BEGIN + DEVICE_LIFE;
        assert_eq!(bench.expire(2), (1, false));
        assert_eq!(bench.store.totals().unwrap().uids, 0);
    });
}

#[test]
fn a_full_store_refuses_and_says_so() {
    on_both(Bounds { store_bytes: 400_000, ..Bounds::default() }, |bench| {
        let mut stored = 0;
        for number in 0..20 {
            let payload = Bytes::from(vec![0; 60_000]);
            let long = NewMessage { payload, ..message(&format!("m{number}"), "") };
            match bench.one(Operation::Deliver(long)) {
                Outcome::Stored { .. } => stored += 1,
                outcome => assert_eq!(outcome, Outcome::Refused(Refusal::StoreFull)),
            }
        }
        assert!((2..=6).contains(&stored), "{stored}");
        bench.one(Operation::Forget { uid: Bytes::from_static(UID) });
        assert_eq!(bench.stored(message("after", "x")), (1, 0));
    });
}

const UIDS: [&[u8]; 3] = [b"anna", b"ben", &[0, 255]];

fn any_device(numbers: &mut Numbers) -> Device {
    match numbers.below(5) {
        0 => Device::Shared,
        1 | 2 => invented(&format!("d{}", numbers.below(3))),
        _ => signed(&format!("d{}", numbers.below(3))),
    }
}

/// Makes an operation; an epoch in it is 0, or 1 where it is to be another one than the uid's.
fn any_operation(numbers: &mut Numbers) -> Operation {
    let uid = Bytes::from_static(UIDS[numbers.below(3) as usize]);
    let device = any_device(numbers);
    let epoch = u64::from(numbers.below(20) == 0);
    let seq = numbers.below(30);
    match numbers.below(100) {
        0..40 => Operation::Deliver(NewMessage {
            uid,
            id: format!("m{}", numbers.below(60)).into(),
            payload: Bytes::from(vec![b'x'; numbers.below(60) as usize]),
            is_binary: numbers.below(2) == 0,
            ttl: numbers.below(100_000),
            replace: (numbers.below(4) == 0).then(|| format!("k{}", numbers.below(2)).into()),
            new_device: if numbers.below(3) == 0 { NewDevice::All } else { NewDevice::Unacknowledged },
            producer: (numbers.below(2) == 0).then(|| ([numbers.below(2) as u8; 16], numbers.below(400))),
        }),
        40..52 => Operation::Arrive { uid, device },
        52..68 => Operation::Written { uid, device, epoch, seq },
        68..84 => Operation::Acknowledge { uid, device, epoch, seq },
        84..90 => Operation::Read { uid, device, epoch, seq },
        90..92 => Operation::LostTold { uid, device, lost: numbers.below(3) },
        92..94 => Operation::TellUndelivered { at_most: numbers.below(6) as usize },
        94 => Operation::NoticesTold { up_to: numbers.below(1000) },
        95 => Operation::Forget { uid },
        _ => Operation::Expire { at_most: numbers.below(6) as usize },
    }
}

/// Gives an operation with the epoch that this store has for its uid.
fn with_epoch(store: &mut dyn Store, now: Millis, mut operation: Operation) -> Operation {
    if let Operation::Written { uid, epoch, .. }
    | Operation::Acknowledge { uid, epoch, .. }
    | Operation::Read { uid, epoch, .. } = &mut operation
    {
        let own = store.inbox_of(now, uid).unwrap().map_or(0, |inbox| inbox.epoch);
        *epoch = own.wrapping_add(*epoch);
    }
    operation
}

/// Gives an outcome without its epoch, which is random.
fn without_epoch(mut outcome: Outcome) -> Outcome {
    match &mut outcome {
        Outcome::Stored { epoch, .. } | Outcome::Known { epoch, .. } => *epoch = 0,
        Outcome::Arrived(arrival) => arrival.epoch = 0,
        _ => {}
    }
    outcome
}

/// Everything that a store can be asked, without epochs.
fn everything(store: &mut dyn Store, now: Millis) -> String {
    // What was given up is counted since the store was opened.
    let totals = Totals { lost_notices: 0, ..store.totals().unwrap() };
    let mut all = vec![format!("{totals:?} {}", store.has_undelivered(now).unwrap())];
    for (limit, bytes) in [(10, 100_000), (3, 300)] {
        all.push(format!("{:?}", store.notices(limit, bytes).unwrap()));
    }
    for (after, limit) in [(&b""[..], 10), (b"anna", 1)] {
        all.push(format!("{:?}", store.uids(after, limit).unwrap()));
    }
    for uid in UIDS {
        let inbox = store.inbox_of(now, uid).unwrap().map(|inbox| UidInbox { epoch: 0, ..inbox });
        for device in inbox.iter().flat_map(|inbox| &inbox.devices) {
            for (after, messages, bytes) in [(0, 100, 1000), (3, 2, 60)] {
                let (uid, device) = (Bytes::from_static(uid), device.device.clone());
                let page = PageRequest { uid, device, after, messages, bytes };
                all.push(format!("{:?}", store.waiting(now, &page).unwrap()));
            }
        }
        all.push(format!("{inbox:?}"));
    }
    for id in 0..60 {
        all.push(format!("{:?}", store.receipt(now, &format!("m{id}"), 2).unwrap()));
    }
    for producer in 0..2 {
        let producer: Producer = [producer; 16];
        all.push(format!("{:?}", store.progress(&producer).unwrap()));
    }
    all.join("\n")
}

fn compare(path: &Path, seed: u64, steps: usize) {
    let mut numbers = Numbers(seed);
    let mut memory = MemoryStore::new(SMALL);
    let wanted = if seed.is_multiple_of(2) { ALL_NOTICES } else { WantedNotices::default() };
    memory.want_notices(wanted);
    let open = || {
        let mut store = SqliteStore::open(path, SMALL).unwrap();
        store.want_notices(wanted).unwrap();
        store
    };
    let mut sqlite = open();
    let mut now = BEGIN;
    for step in 0..steps {
        now += [0, 1, 1000, 3_600_000, 40_000_000][numbers.below(5) as usize];
        if numbers.below(2000) == 0 {
            now += DEVICE_LIFE;
        }
        let batch: Vec<_> = (0..numbers.below(4)).map(|_| any_operation(&mut numbers)).collect();
        // An epoch is asked for before the batch, so that a uid that is forgotten in it has another one behind that.
        let [for_memory, for_sqlite] = [&mut memory as &mut dyn Store, &mut sqlite].map(|store| {
            let batch: Vec<_> = batch.iter().map(|one| with_epoch(store, now, one.clone())).collect();
            let outcomes = store.apply(now, &batch).unwrap();
            outcomes.into_iter().map(without_epoch).collect::<Vec<_>>()
        });
        assert_eq!(for_memory, for_sqlite, "seed {seed}, step {step}: {batch:?}");
        if numbers.below(40) == 0 {
            drop(sqlite);
            sqlite = open();
        }
        if numbers.below(5) == 0 {
            let found = [&mut memory as &mut dyn Store, &mut sqlite].map(|store| everything(store, now));
            assert_eq!(found[0], found[1], "seed {seed}, step {step}: {batch:?}");
        }
    }
    assert_eq!(sqlite.check().unwrap(), Vec::<String>::new());
}

#[test]
fn both_stores_do_the_same_whatever_they_are_told() {
    // The database's journal is the same on a file system in memory, where nothing waits for a disk.
    let shm = Path::new("/dev/shm");
    let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() }.unwrap();
    for seed in 0..10 {
        compare(&folder.path().join(format!("store-{seed}")), seed, 400);
    }
}
