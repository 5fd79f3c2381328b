//! The store against a real nats-server, which each test starts for itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::runtime::Runtime;

use super::{JetStreamSettings, JetStreamStore, LateStore, OpenError};
use crate::config::Settings;
use crate::inbox::bounds::{Bounds, DEFAULT_TTL, DEVICE_LIFE, MESSAGE_BYTES};
use crate::inbox::conformance::{UID, invented, message, signed};
use crate::inbox::delivery::{Content, Post, Sending};
use crate::inbox::model::{Device, Millis, NewDevice, NewMessage, PageRequest, UidInbox, WaitingPage};
use crate::inbox::notices::Fact;
use crate::inbox::store::{Arrival, News, Operation, Outcome, Refusal, Store as _, StoreError};
use crate::inbox::worker::Opener;
use crate::inbox::writer::{Writer, WriterHandle, WriterSettings};
use crate::system::Secret;
use crate::system::ages::millis;
use crate::telemetry::clock;

/// How long a test waits for something.
const PATIENCE: Duration = Duration::from_secs(30);
/// What `scripts/newer-nats` makes.
const NEWER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/newer-nats/usr/sbin/nats-server");

/// Gives a nats-server that is new enough: that of the variable NATS_SERVER, the one that `scripts/newer-nats` has fetched, or the
/// system's.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("NATS_SERVER").map(PathBuf::from);
    let found = named.into_iter().chain([NEWER.into(), "/usr/sbin/nats-server".into(), "nats-server".into()]);
    let mut found = found.filter(|program| {
        let Ok(output) = Command::new(program).arg("--version").output() else { return false };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut numbers =
            text.rsplit('v').next().unwrap_or_default().trim().split('.').map(str::parse::<u64>);
        let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
        (next(), next()) >= (2, 10)
    });
    found.next()
}

/// A nats-server with JetStream.
struct Nats {
    child: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nats {
    /// Starts one. `None` if there is none that is new enough, which is said.
    fn start() -> Option<Self> {
        let Some(program) = program() else {
            println!("SKIPPED: no nats-server 2.10 or newer: scripts/newer-nats fetches one");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let (child, port) = Self::run(&program, folder.path(), None, &["-js"]);
        Some(Self { child, folder, port })
    }

    fn run(program: &Path, folder: &Path, port: Option<u16>, flags: &[&str]) -> (Child, u16) {
        let mut command = Command::new(program);
        command.args(["-a", "127.0.0.1", "-p", &port.map_or("-1".to_owned(), |port| port.to_string())]);
        command.args(flags).arg("-sd").arg(folder.join("store")).arg("--ports_file_dir").arg(folder);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let file = folder.join(format!("nats-server_{}.ports", child.id()));
        let begin = Instant::now();
        let port = loop {
            let text = fs::read_to_string(&file).unwrap_or_default();
            let ports: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(url) = ports["nats"][0].as_str() {
                break url.rsplit(':').next().unwrap().parse().unwrap();
            }
            assert!(begin.elapsed() < PATIENCE, "nats-server does not start");
            std::thread::yield_now();
        };
        (child, port)
    }

    /// Kills the server, and starts it again with what it has on disk.
    fn restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let program = program().unwrap();
        self.child = Self::run(&program, self.folder.path(), Some(self.port), &["-js"]).0;
    }

    fn settings(&self) -> JetStreamSettings {
        let server = Settings {
            cluster_nats: vec![format!("nats://127.0.0.1:{}", self.port).parse().unwrap()],
            cluster_name: "test".to_owned(),
            secret_key: Secret::new("secret"),
            ..Settings::default()
        };
        JetStreamSettings { server: server.into(), client: "test".to_owned() }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A node's store with the time, which only the test moves.
struct Bench {
    store: JetStreamStore,
    now: Millis,
    woken: Receiver<()>,
    runtime: Arc<Runtime>,
}

/// Bounds that ask NATS for little room: it wants the room to be there, which a machine may not have for the default.
fn within_room(bounds: Bounds) -> Bounds {
    Bounds { store_bytes: bounds.store_bytes.min(1 << 30), ..bounds }
}

fn runtime() -> Arc<Runtime> {
    Arc::new(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap())
}

/// When notices of late messages come, if a test wants them.
const HOUR: Millis = 3_600_000;

impl Bench {
    fn new(nats: &Nats, bounds: Bounds) -> Self {
        Self::of_node(&nats.settings(), bounds)
    }

    /// A node of this name that wants all notices.
    fn noting(nats: &Nats, name: &str) -> Self {
        let server = Arc::unwrap_or_clone(nats.settings().server);
        let undelivered_seconds = Duration::from_millis(HOUR);
        let server = Settings { receipts: true, undelivered_seconds, ..server };
        let settings = JetStreamSettings { server: server.into(), client: name.to_owned() };
        Self::of_node(&settings, Bounds::default())
    }

    fn of_node(settings: &JetStreamSettings, bounds: Bounds) -> Self {
        let runtime = runtime();
        let (sender, woken) = channel();
        let wake = Box::new(move || {
            let _ = sender.send(());
        });
        let bounds = within_room(bounds);
        let mut store = JetStreamStore::open(settings, bounds, runtime.handle(), wake).unwrap();
        assert_eq!(store.news(), [News::Everything]);
        Self { store, now: millis(clock::since_epoch()), woken, runtime }
    }

    fn one(&mut self, operation: Operation) -> Outcome {
        let outcomes = self.store.apply(self.now, &[operation]).unwrap();
        assert_eq!(outcomes.len(), 1);
        outcomes.into_iter().next().unwrap()
    }

    fn stored(&mut self, message: NewMessage) -> u64 {
        match self.one(Operation::Deliver(message)) {
            Outcome::Stored { seq, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    fn known(&mut self, message: NewMessage) -> u64 {
        match self.one(Operation::Deliver(message)) {
            Outcome::Known { seq, .. } => seq,
            other => panic!("{other:?}"),
        }
    }

    fn arrive(&mut self, device: &Device) -> Arrival {
        match self.one(Operation::Arrive { uid: Bytes::from_static(UID), device: device.clone() }) {
            Outcome::Arrived(arrival) => arrival,
            other => panic!("{other:?}"),
        }
    }

    fn inbox(&mut self) -> UidInbox {
        self.store.inbox_of(self.now, UID).unwrap().unwrap()
    }

    fn written(&mut self, device: &Device, seq: u64) -> Outcome {
        let (uid, epoch) = (Bytes::from_static(UID), self.inbox().epoch);
        self.one(Operation::Written { uid, device: device.clone(), epoch, seq })
    }

    fn acknowledge(&mut self, device: &Device, seq: u64) -> Outcome {
        let (uid, epoch) = (Bytes::from_static(UID), self.inbox().epoch);
        self.one(Operation::Acknowledge { uid, device: device.clone(), epoch, seq })
    }

    fn page(&mut self, device: &Device, after: u64, messages: usize, bytes: usize) -> WaitingPage {
        let (uid, device) = (Bytes::from_static(UID), device.clone());
        self.store.waiting(self.now, &PageRequest { uid, device, after, messages, bytes }).unwrap()
    }

    /// Gives what PHP is told, each as its id and what has become of it, and has the store forget it.
    fn told(&mut self) -> Vec<String> {
        let notices = self.store.notices(1000, usize::MAX).unwrap();
        if let Some(last) = notices.last() {
            assert_eq!(self.one(Operation::NoticesTold { up_to: last.number }), Outcome::Done);
        }
        let shown = notices.iter().map(|notice| match &notice.fact {
            Fact::Received { device, .. } => format!("{} received {}", notice.id, device.as_row().1),
            Fact::Read { device, .. } => format!("{} read {}", notice.id, device.as_row().1),
            Fact::Undelivered { stored_at } => format!("{} undelivered {stored_at}", notice.id),
        });
        shown.collect()
    }

    fn late(&mut self) -> usize {
        match self.one(Operation::TellUndelivered { at_most: 100 }) {
            Outcome::Expired { removed, .. } => removed,
            other => panic!("{other:?}"),
        }
    }

    fn waiting(&mut self, device: &Device) -> Vec<String> {
        let page = self.page(device, 0, 1000, usize::MAX);
        assert!(!page.has_more);
        page.messages.into_iter().map(|message| message.id.into_string()).collect()
    }

    /// Waits for so many news.
    fn news(&mut self, count: usize) -> Vec<News> {
        let mut news = Vec::new();
        let begin = Instant::now();
        while news.len() < count {
            let _ = self.woken.recv_timeout(PATIENCE.saturating_sub(begin.elapsed()));
            news.extend(self.store.news());
            assert!(begin.elapsed() < PATIENCE, "{news:?}");
        }
        news
    }
}

fn ids(news: &[News]) -> Vec<(&str, u64)> {
    let stored = news.iter().map(|one| match one {
        News::Stored { message, seq } => (&*message.id, *seq),
        other => panic!("{other:?}"),
    });
    stored.collect()
}

#[test]
fn a_message_waits_until_all_devices_have_it() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    let begin = bench.now;
    let (phone, laptop) = (signed("phone"), invented("laptop"));
    assert!(bench.arrive(&phone).is_new && bench.arrive(&laptop).is_new);
    let (a, b) = (bench.stored(message("a", "one")), bench.stored(message("b", "two")));
    assert!(a < b);
    assert_eq!(bench.waiting(&phone), ["a", "b"]);
    // An acknowledgement never reaches beyond what was written.
    assert_eq!(bench.acknowledge(&phone, b), Outcome::Acknowledged { seq: 0, news: false });
    bench.now += 1;
    assert_eq!(bench.written(&phone, a), Outcome::Done);
    bench.now += 1;
    assert_eq!(bench.acknowledge(&phone, b), Outcome::Acknowledged { seq: a, news: true });
    assert_eq!(bench.acknowledge(&phone, a), Outcome::Acknowledged { seq: a, news: false });
    assert_eq!(
        (bench.waiting(&phone), bench.waiting(&laptop)),
        (vec!["b".into()], vec!["a".into(), "b".into()])
    );
    let arrival = bench.arrive(&phone);
    assert_eq!((arrival.acknowledged, arrival.tail, arrival.is_new), (a, b, false));
    bench.now += 1;
    assert_eq!(bench.written(&laptop, b), Outcome::Done);
    assert_eq!(bench.acknowledge(&laptop, u64::MAX), Outcome::Acknowledged { seq: b, news: true });
    assert_eq!((bench.inbox().messages, bench.inbox().bytes), (1, 3));
    bench.now += 1;
    let (uid, epoch) = (Bytes::from_static(UID), bench.inbox().epoch);
    let read = |seq| Operation::Read { uid: uid.clone(), device: phone.clone(), epoch, seq };
    assert_eq!((bench.one(read(a)), bench.one(read(b))), (Outcome::Done, Outcome::Ignored));
    let receipt = bench.store.receipt(bench.now, "a", 10).unwrap().pop().unwrap();
    assert_eq!((&*receipt.uid, receipt.seq, receipt.stored_at, receipt.is_waiting), (UID, a, begin, false));
    let times = receipt.devices.iter().map(|one| (&one.device, one.written_at, one.received_at, one.read_at));
    assert_eq!(
        times.collect::<Vec<_>>(),
        [
            (&phone, Some(begin + 1), Some(begin + 2), Some(begin + 4)),
            (&laptop, Some(begin + 3), Some(begin + 3), None)
        ]
    );
    assert_eq!(bench.store.receipt(bench.now, "b", 10).unwrap()[0].devices.len(), 1);
    // All have it, and its id is known all the same, until its time ends.
    assert_eq!(bench.known(message("a", "again")), a);
    bench.now = begin + DEFAULT_TTL * 1000;
    assert_eq!((bench.store.receipt(bench.now, "a", 10).unwrap(), bench.waiting(&phone)), (vec![], vec![]));
    let anew = bench.stored(message("a", "anew"));
    assert!(anew > b);
    assert_eq!((bench.waiting(&phone), bench.known(message("a", "anew"))), (vec!["a".into()], anew));
}

#[test]
fn new_devices_get_what_no_device_has_acknowledged_or_what_is_for_all() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    let phone = invented("phone");
    bench.arrive(&phone);
    bench.stored(NewMessage { new_device: NewDevice::All, ..message("all", "one") });
    let had = bench.stored(message("had", "two"));
    bench.stored(message("left", "three"));
    bench.written(&phone, had);
    bench.acknowledge(&phone, had);
    assert_eq!(bench.inbox().messages, 1);
    bench.arrive(&Device::Shared);
    assert_eq!(bench.waiting(&Device::Shared), ["all", "left"]);
    assert_eq!(bench.waiting(&invented("stranger")), Vec::<String>::new());
}

#[test]
fn what_is_out_of_bounds_is_refused() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    let long = NewMessage { payload: Bytes::from(vec![0; MESSAGE_BYTES + 1]), ..message("a", "") };
    assert_eq!(bench.one(Operation::Deliver(long)), Outcome::Refused(Refusal::TooLong));
    let arrive = Operation::Arrive { uid: Bytes::from_static(UID), device: invented("a b") };
    assert_eq!(bench.one(arrive), Outcome::Refused(Refusal::BadDevice));
    let longest = NewMessage {
        payload: Bytes::from(vec![0; MESSAGE_BYTES]),
        uid: Bytes::from(vec![7; 1024]),
        ttl: 30 * 86_400,
        ..message(&"a".repeat(64), "")
    };
    bench.stored(longest);
    let small = Bounds { devices: 3, ..Bounds::default() };
    let bench = &mut Bench::new(&nats, small);
    for (device, hours) in [(signed("s1"), 0), (invented("i1"), 2), (signed("s2"), 4)] {
        bench.now += hours * 3_600_000;
        bench.arrive(&device);
    }
    bench.arrive(&invented("i2"));
    bench.arrive(&signed("s3"));
    let devices = bench.inbox().devices.into_iter().map(|device| device.device).collect::<Vec<_>>();
    assert_eq!(devices, [signed("s1"), signed("s2"), signed("s3")]);
    let arrive = Operation::Arrive { uid: Bytes::from_static(UID), device: invented("i3") };
    assert_eq!(bench.one(arrive), Outcome::Refused(Refusal::TooManyDevices));
}

#[test]
fn the_oldest_makes_room_and_a_full_store_refuses_until_something_is_forgotten() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds { messages: 3, store_bytes: 400_000, ..Bounds::default() });
    bench.arrive(&Device::Shared);
    for id in ["a", "b", "c", "d"] {
        bench.stored(message(id, "x"));
    }
    assert_eq!(bench.waiting(&Device::Shared), ["b", "c", "d"]);
    // What was dropped is known by its id all the same.
    bench.known(message("a", "x"));
    let mut stored = 0;
    for number in 0..20 {
        let payload = Bytes::from(vec![b'x'; 60_000]);
        let uid = Bytes::from(format!("u{number}"));
        match bench.one(Operation::Deliver(NewMessage { uid, payload, ..message("m", "") })) {
            Outcome::Stored { .. } => stored += 1,
            outcome => assert_eq!(outcome, Outcome::Refused(Refusal::StoreFull)),
        }
    }
    assert!((4..=6).contains(&stored), "{stored}");
    // Devices still come and acknowledge.
    assert!(bench.arrive(&invented("late")).is_new);
    assert_eq!(bench.one(Operation::Forget { uid: Bytes::from_static(b"u0") }), Outcome::Done);
    bench.stored(message("after", "x"));
}

#[test]
fn only_the_newest_message_with_a_key_is_kept() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    bench.arrive(&Device::Shared);
    let with = |id, key: &str| NewMessage { replace: Some(key.into()), ..message(id, "x") };
    bench.stored(with("a", "score"));
    bench.stored(with("b", "other"));
    bench.stored(with("c", "score"));
    assert_eq!(bench.waiting(&Device::Shared), ["b", "c"]);
    assert_eq!((bench.inbox().messages, bench.inbox().bytes), (2, 2));
    // However many others lie between, what is replaced is removed.
    let first = bench.stored(with("d", "far"));
    for number in 0..40 {
        bench.stored(message(&format!("m{number}"), "x"));
    }
    bench.stored(with("e", "far"));
    bench.stored(with("f", "far"));
    let api = bench.store.shared.api.clone();
    assert!(bench.runtime.block_on(api.at(first)).unwrap().is_none());
    let waiting = bench.waiting(&Device::Shared);
    assert_eq!((waiting.len(), &*waiting[0], &*waiting[1], &*waiting[42]), (43, "b", "c", "f"));
}

#[test]
fn what_is_forgotten_begins_anew_with_another_epoch() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    let before = bench.arrive(&Device::Shared);
    bench.stored(message("a", "x"));
    let forget = Operation::Forget { uid: Bytes::from_static(UID) };
    assert_eq!(bench.one(forget.clone()), Outcome::Done);
    assert_eq!(bench.one(forget.clone()), Outcome::Ignored);
    assert_eq!(bench.store.receipt(bench.now, "a", 10).unwrap(), []);
    assert_eq!(bench.store.inbox_of(bench.now, UID).unwrap(), None);
    let after = bench.arrive(&Device::Shared);
    assert!(after.is_new && after.epoch != before.epoch);
    let seq = bench.stored(message("a", "x"));
    bench.written(&Device::Shared, seq);
    let (uid, device) = (Bytes::from_static(UID), Device::Shared);
    let old = Operation::Acknowledge { uid, device, epoch: before.epoch, seq };
    assert_eq!(bench.one(old), Outcome::Ignored);
    assert_eq!(bench.page(&Device::Shared, 0, 9, 900).epoch, Some(after.epoch));
    assert_eq!(bench.waiting(&Device::Shared), ["a"]);
    // A uid that no device has come to is forgotten as well.
    let other = Bytes::from_static(b"ben");
    bench.stored(NewMessage { uid: other.clone(), ..message("b", "x") });
    assert_eq!(bench.one(Operation::Forget { uid: other.clone() }), Outcome::Done);
    assert_eq!(bench.store.inbox_of(bench.now, &other).unwrap(), None);
    let news = bench.news(5);
    let forgotten: Vec<_> = news.iter().filter(|one| matches!(one, News::Forgotten { .. })).collect();
    assert!(
        matches!(forgotten[..], [News::Forgotten { uid, epoch, .. }, News::Forgotten { uid: second, .. }]
            if **uid == *UID && *epoch == after.epoch && *second == other)
    );
}

#[test]
fn waiting_messages_come_in_bounded_pages() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    bench.arrive(&Device::Shared);
    let seqs: Vec<_> =
        (1..=10).map(|number| bench.stored(message(&format!("m{number}"), "0123456789"))).collect();
    let page = bench.page(&Device::Shared, seqs[1], 4, 1000);
    let found: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
    assert_eq!((&found[..], page.has_more), (&seqs[2..6], true));
    assert_eq!(bench.page(&Device::Shared, 0, 100, 35).messages.len(), 3);
    assert_eq!(bench.page(&Device::Shared, 0, 100, 0).messages.len(), 1);
    let last = bench.page(&Device::Shared, seqs[7], 2, 1000);
    assert_eq!((last.messages.len(), last.has_more), (2, false));
    assert_eq!(bench.page(&Device::Shared, u64::MAX, 2, 1000).messages, []);
}

#[test]
fn what_has_had_its_time_does_not_wait_and_devices_that_are_long_gone_are_forgotten() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    bench.arrive(&Device::Shared);
    bench.stored(NewMessage { ttl: 10, ..message("short", "x") });
    bench.stored(message("long", "x"));
    assert_eq!(bench.waiting(&Device::Shared), ["short", "long"]);
    bench.now += 10_000;
    assert_eq!(bench.waiting(&Device::Shared), ["long"]);
    assert_eq!(bench.one(Operation::Expire { at_most: 5 }), Outcome::Expired { removed: 0, has_more: false });
    bench.now += DEVICE_LIFE;
    assert_eq!(bench.store.inbox_of(bench.now, UID).unwrap(), None);
    assert!(bench.arrive(&Device::Shared).is_new);
}

#[test]
fn php_is_told_once_what_devices_have_received_and_read() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::noting(&nats, "node");
    let [phone, tablet] = ["phone", "tablet"].map(invented);
    bench.arrive(&phone);
    bench.arrive(&tablet);
    let positions = ["a", "b", "c"].map(|id| bench.stored(message(id, "")));
    bench.written(&phone, positions[1]);
    bench.acknowledge(&phone, positions[2]);
    bench.acknowledge(&phone, positions[1]);
    assert_eq!(bench.told(), ["a received phone", "b received phone"]);
    assert_eq!(bench.told(), Vec::<String>::new());
    let uid = Bytes::from_static(UID);
    let epoch = bench.inbox().epoch;
    for seq in [positions[0], positions[0], positions[2]] {
        bench.one(Operation::Read { uid: uid.clone(), device: phone.clone(), epoch, seq });
    }
    bench.written(&tablet, positions[2]);
    bench.acknowledge(&tablet, positions[0]);
    assert_eq!(bench.told(), ["a read phone", "a received tablet"]);
    // What PHP has not been told of a uid goes with it.
    bench.acknowledge(&tablet, positions[1]);
    bench.one(Operation::Forget { uid });
    assert_eq!(bench.told(), Vec::<String>::new());
}

#[test]
fn php_is_told_once_of_messages_that_nobody_has_acknowledged_in_time() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::noting(&nats, "node");
    let phone = invented("phone");
    bench.arrive(&phone);
    let stored = bench.now;
    let [first, second] = ["first", "second"].map(|id| bench.stored(message(id, "")));
    let mut replaced = message("replaced", "");
    replaced.replace = Some("key".into());
    bench.stored(replaced.clone());
    replaced.id = "newest".into();
    bench.stored(replaced);
    bench.written(&phone, second);
    bench.acknowledge(&phone, first);
    assert_eq!(bench.told(), ["first received phone"]);
    bench.now += HOUR - 1;
    assert!(!bench.store.has_undelivered(bench.now).unwrap());
    assert_eq!(bench.late(), 0);
    bench.now += 1;
    assert!(bench.store.has_undelivered(bench.now).unwrap());
    assert_eq!(bench.late(), 4);
    assert_eq!(
        bench.told(),
        [format!("second undelivered {stored}"), format!("newest undelivered {stored}")]
    );
    assert!(!bench.store.has_undelivered(bench.now).unwrap());
    assert_eq!((bench.late(), bench.told()), (0, Vec::new()));
    // A message that is forgotten is asked for no more.
    bench.stored(message("forgotten", ""));
    bench.one(Operation::Forget { uid: Bytes::from_static(UID) });
    bench.now += HOUR;
    assert_eq!((bench.late(), bench.told()), (0, Vec::new()));
}

#[test]
fn one_node_tells_at_a_time_and_another_once_that_one_is_gone() {
    let Some(nats) = Nats::start() else { return };
    let first = &mut Bench::noting(&nats, "first");
    let second = &mut Bench::noting(&nats, "second");
    let phone = invented("phone");
    first.arrive(&phone);
    let seq = first.stored(message("a", ""));
    first.written(&phone, seq);
    assert_eq!(second.told(), Vec::<String>::new());
    // The acknowledgement comes at the other node.
    second.acknowledge(&phone, seq);
    assert_eq!((second.told(), first.told()), (vec!["a received phone".to_owned()], Vec::new()));
    let seq = first.stored(message("b", ""));
    first.written(&phone, seq);
    first.acknowledge(&phone, seq);
    assert_eq!(first.told(), Vec::<String>::new());
    // The second node tells no more, and the first finds out by its own clock.
    let begin = Instant::now();
    let told = loop {
        let told = first.told();
        if !told.is_empty() || begin.elapsed() > PATIENCE {
            break told;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(told, ["b received phone"]);
    assert!(begin.elapsed() > Duration::from_secs(5), "{:?}", begin.elapsed());
    // A process that follows a node has its lease at once.
    let follower = &mut Bench::noting(&nats, "first");
    let seq = follower.stored(message("c", ""));
    follower.written(&phone, seq);
    follower.acknowledge(&phone, seq);
    assert_eq!(follower.told(), ["c received phone"]);
}

#[test]
fn all_messages_are_found_whatever_is_missing_between_them() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    bench.arrive(&Device::Shared);
    let names: Vec<_> = (0..80).map(|number| format!("m{number}")).collect();
    let seqs: Vec<_> = names.iter().map(|name| bench.stored(message(name, "x"))).collect();
    assert_eq!(bench.waiting(&Device::Shared), names);
    let api = bench.store.shared.api.clone();
    let remove = |seq: u64| {
        let body = serde_json::json!({"seq": seq, "no_erase": true});
        bench.runtime.block_on(api.call("STREAM.MSG.DELETE", "", &body)).unwrap();
    };
    // So many are gone that those before them are named by nothing that is left, and some that are named alone.
    (20..45).chain([50, 62, 79]).for_each(|at: usize| remove(seqs[at]));
    let left = |at: &usize| *at < 20 || (45..79).contains(at) && ![50, 62].contains(at);
    let mut expected: Vec<_> = (0..80).filter(left).map(|at| names[at].clone()).collect();
    assert_eq!(bench.waiting(&Device::Shared), expected);
    // Behind one that was removed, another one is stored.
    bench.stored(message("next", "x"));
    expected.push("next".to_owned());
    assert_eq!(bench.waiting(&Device::Shared), expected);
    // What a stranger writes there hides nothing.
    let subject = bench.store.shared.names.uid(UID).messages();
    bench.runtime.block_on(api.client().request(subject, Bytes::from_static(b"junk"))).unwrap();
    assert_eq!(bench.waiting(&Device::Shared), expected);
    bench.stored(message("last", "x"));
    expected.push("last".to_owned());
    assert_eq!(bench.waiting(&Device::Shared), expected);
}

#[test]
fn nothing_is_left_out_while_all_nodes_store_messages_of_one_uid() {
    let Some(nats) = Nats::start() else { return };
    let mut nodes: Vec<_> = (0..3).map(|_| Bench::new(&nats, Bounds::default())).collect();
    let stored: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter_mut()
            .enumerate()
            .map(|(node, bench)| {
                scope.spawn(move || {
                    let stored =
                        (0..40).map(|number| bench.stored(message(&format!("n{node}-{number}"), "x")));
                    stored.collect::<Vec<_>>()
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    nodes[0].arrive(&Device::Shared);
    let page = nodes[0].page(&Device::Shared, 0, 1000, usize::MAX);
    let found: Vec<_> = page.messages.iter().map(|message| message.seq).collect();
    let mut expected = stored;
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn a_newer_server_removes_what_has_had_its_time() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    if !bench.store.shared.settings.has_ttl {
        println!(
            "SKIPPED: nats-server {} does not: scripts/newer-nats sid fetches a newer one",
            bench.store.version()
        );
        return;
    }
    let seq = bench.stored(NewMessage { ttl: 1, ..message("short", "x") });
    let begin = Instant::now();
    let is_there = |bench: &Bench| bench.runtime.block_on(bench.store.shared.api.at(seq)).unwrap().is_some();
    assert!(is_there(bench));
    while is_there(bench) {
        assert!(begin.elapsed() < PATIENCE);
    }
}

#[test]
fn uids_are_listed_page_by_page() {
    let Some(nats) = Nats::start() else { return };
    let bench = &mut Bench::new(&nats, Bounds::default());
    let mut expected: Vec<_> = (0..20).map(|number| format!("user {number}")).collect();
    for uid in &expected {
        bench.stored(NewMessage { uid: uid.clone().into(), ..message("a", "abc") });
        bench.stored(NewMessage { uid: uid.clone().into(), replace: Some("k".into()), ..message("b", "x") });
    }
    let (mut found, mut after) = (Vec::new(), Bytes::new());
    loop {
        let page = bench.store.uids(&after, 7).unwrap();
        assert!(page.len() <= 7 && page.iter().all(|one| (one.messages, one.bytes) == (2, 4)));
        found.extend(page.iter().map(|one| String::from_utf8(one.uid.to_vec()).unwrap()));
        match page.last() {
            Some(last) if page.len() == 7 => after = last.uid.clone(),
            _ => break,
        }
    }
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn nodes_hear_what_others_store_in_one_order_and_do_not_undo_what_they_write() {
    let Some(nats) = Nats::start() else { return };
    let mut nodes: Vec<_> = (0..3).map(|_| Bench::new(&nats, Bounds::default())).collect();
    let (phone, laptop) = (signed("phone"), signed("laptop"));
    nodes[0].arrive(&phone);
    nodes[1].arrive(&laptop);
    let stored: Vec<_> = (0..30)
        .map(|number| {
            let id = format!("m{number}");
            let seq = nodes[number % 3].stored(message(&id, "x"));
            (id, seq)
        })
        .collect();
    let expected: Vec<_> = stored.iter().map(|(id, seq)| (id.as_str(), *seq)).collect();
    for node in &mut nodes {
        let news = node.news(30);
        assert_eq!(ids(&news), expected);
    }
    // Both records stay, whoever has written last.
    let (last, epoch) = (stored[29].1, nodes[0].inbox().epoch);
    std::thread::scope(|scope| {
        let [first, second, _] = &mut nodes[..] else { unreachable!() };
        for (node, device) in [(first, &phone), (second, &laptop)] {
            let stored = &stored;
            scope.spawn(move || {
                let (uid, now) = (Bytes::from_static(UID), node.now);
                for (_, seq) in stored {
                    let (uid, device, seq) = (uid.clone(), device.clone(), *seq);
                    let written = Operation::Written { uid: uid.clone(), device: device.clone(), epoch, seq };
                    let acknowledged = Operation::Acknowledge { uid, device, epoch, seq };
                    let outcomes = node.store.apply(now, &[written, acknowledged]).unwrap();
                    assert_eq!(outcomes, [Outcome::Done, Outcome::Acknowledged { seq, news: true }]);
                }
            });
        }
    });
    let devices = nodes[2].inbox().devices;
    assert!(devices.iter().all(|known| known.acknowledged == last && known.waiting == 0), "{devices:?}");
    let now = nodes[2].now;
    assert_eq!(nodes[2].store.receipt(now, "m7", 10).unwrap()[0].devices.len(), 2);
}

#[test]
fn a_server_that_was_killed_has_everything_again_and_news_go_on_behind_what_was_told() {
    let Some(mut nats) = Nats::start() else { return };
    let mut one = Bench::new(&nats, Bounds::default());
    let mut other = Bench::new(&nats, Bounds::default());
    one.arrive(&Device::Shared);
    let epoch = one.inbox().epoch;
    let first = one.stored(message("a", "x"));
    assert_eq!(ids(&other.news(1)), [("a", first)]);
    nats.restart();
    let begin = Instant::now();
    let second = loop {
        match one.store.apply(one.now, &[Operation::Deliver(message("b", "x"))]) {
            Ok(outcomes) => match outcomes[..] {
                [Outcome::Stored { seq, .. } | Outcome::Known { seq, .. }] => break seq,
                _ => panic!("{outcomes:?}"),
            },
            Err(error) => assert!(begin.elapsed() < PATIENCE, "{error}"),
        }
    };
    assert_eq!(ids(&other.news(1)), [("b", second)]);
    assert_eq!((one.waiting(&Device::Shared), one.inbox().epoch), (vec!["a".into(), "b".into()], epoch));
}

/// A post that passes on the positions of messages that connections are sent.
struct Heard(Sender<u64>);

impl Post for Heard {
    fn send(&mut self, sendings: Vec<Sending>) {
        for sending in sendings {
            match sending.content {
                Content::Message { seq, .. } => self.0.send(seq).unwrap(),
                Content::Lost { .. } => panic!("{sending:?}"),
            }
        }
    }

    fn taken(&mut self, connections: Vec<u32>) -> Vec<u32> {
        connections
    }
}

#[test]
fn a_connection_gets_in_order_what_all_nodes_store_also_over_a_pause() {
    let Some(nats) = Nats::start() else { return };
    let mut other = Bench::new(&nats, Bounds::default());
    let (runtime, settings) = (runtime(), nats.settings());
    let handle = WriterHandle::new(WriterSettings::default());
    let (open_handle, handle_runtime) = (handle.clone(), runtime.handle().clone());
    let open = move || -> Result<JetStreamStore, String> {
        let wake = Box::new(open_handle.waker());
        let opened = JetStreamStore::open(&settings, within_room(Bounds::default()), &handle_runtime, wake);
        opened.map_err(|error| error.to_string())
    };
    let open: Opener = Box::new(move || Ok(Box::new(LateStore::new(Some(open()?), Box::new(open.clone())))));
    let (sender, heard) = channel();
    let writer = Writer::start(handle, None, open, Box::new(Heard(sender))).unwrap();
    let mut expected = vec![other.stored(message("a", "x"))];
    writer.handle().notes().bound(7, true, UID, Device::Shared, true);
    let next = || heard.recv_timeout(PATIENCE).unwrap();
    let mut found = vec![next()];
    for number in 0..20 {
        let id = format!("m{number}");
        expected.push(other.stored(message(&id, "x")));
        let own = writer.handle().apply(vec![Operation::Deliver(message(&format!("own{number}"), "x"))]);
        match runtime.block_on(own).unwrap()[..] {
            [Outcome::Stored { seq, .. }] => expected.push(seq),
            ref other => panic!("{other:?}"),
        }
    }
    found.extend((0..40).map(|_| next()));
    assert_eq!(found, expected);
    let epoch = other.inbox().epoch;
    writer.handle().notes().got(7, epoch, *expected.last().unwrap());
    // Another process was to have the store, and has not taken it.
    let at_rest = runtime.block_on(writer.handle().rest()).unwrap();
    let meanwhile = other.stored(message("meanwhile", "x"));
    drop(at_rest);
    assert_eq!(next(), meanwhile);
    assert!(writer.stop());
}

#[test]
fn a_stream_that_was_removed_is_made_anew_and_all_are_told() {
    let Some(nats) = Nats::start() else { return };
    let mut nodes: Vec<_> = (0..2).map(|_| Bench::new(&nats, Bounds::default())).collect();
    let before = nodes[0].arrive(&Device::Shared).epoch;
    nodes[0].stored(message("a", "x"));
    for node in &mut nodes {
        node.news(1);
    }
    let api = nodes[0].store.shared.api.clone();
    nodes[0].runtime.block_on(api.call("STREAM.DELETE", "", &serde_json::json!({}))).unwrap();
    for node in &mut nodes {
        assert_eq!(node.news(1), [News::Everything]);
    }
    let after = nodes[1].arrive(&Device::Shared);
    assert!(after.is_new && after.epoch != before);
    let seq = nodes[1].stored(message("a", "x"));
    assert_eq!(ids(&nodes[0].news(1)), [("a", seq)]);
    assert_eq!(nodes[0].arrive(&Device::Shared).epoch, after.epoch);
}

/// Whether all threads of a process are stopped.
fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.map_while(Result::ok).all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state stands behind the name, which is in parentheses.
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    })
}

#[test]
fn a_server_that_hangs_is_an_error_and_one_without_jetstream_is_unsuitable() {
    let Some(nats) = Nats::start() else { return };
    let mut bench = Bench::new(&nats, Bounds::default());
    bench.stored(message("a", "x"));
    let signal = |name: &str| {
        assert!(Command::new("kill").args([name, &nats.child.id().to_string()]).status().unwrap().success());
    };
    signal("-STOP");
    // Its threads stop one after the other.
    while !is_stopped(nats.child.id()) {
        std::thread::yield_now();
    }
    let begin = Instant::now();
    let failed = bench.store.apply(bench.now, &[Operation::Deliver(message("b", "x"))]);
    assert!(matches!(failed, Err(StoreError::Unanswered(_))), "{failed:?}");
    assert!(begin.elapsed() < Duration::from_secs(9));
    signal("-CONT");
    while bench.store.probe().is_err() {
        assert!(begin.elapsed() < PATIENCE);
    }
    // What nobody waited for any more may have been stored all the same; the same id is the same message.
    bench.one(Operation::Deliver(message("b", "x")));
    bench.arrive(&Device::Shared);
    assert_eq!(bench.waiting(&Device::Shared), ["a", "b"]);

    let folder = tempfile::tempdir().unwrap();
    let (child, port) = Nats::run(&program().unwrap(), folder.path(), None, &[]);
    let plain = Nats { child, folder, port };
    let open = |nats: &Nats| {
        JetStreamStore::open(
            &nats.settings(),
            within_room(Bounds::default()),
            bench.runtime.handle(),
            Box::new(|| ()),
        )
    };
    let refused = open(&plain).err().unwrap();
    assert!(
        matches!(&refused, OpenError::Unsuitable(reason) if reason.contains("JetStream is off")),
        "{refused}"
    );
    drop(plain);
    let mut gone = nats;
    gone.child.kill().unwrap();
    gone.child.wait().unwrap();
    assert!(matches!(open(&gone), Err(OpenError::Unreachable(_))));
}
