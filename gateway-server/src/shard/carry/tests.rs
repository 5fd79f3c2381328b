//! Clients of every kind, carried into another shard over real sockets and used there on both ways.

use std::collections::HashMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{Init, ResumeOffer};

use super::super::audience::{Audience, Except};
use super::super::change::Change;
use super::super::command::Command;
use super::super::connection::Phase;
use super::super::testing::{TestShard, arrived, new_connection, settings, settings_with, stalled};
use super::super::{Client, EventSink, Handshake, Origin, ShardSettings, Welcome};
use crate::protocol::websocket::{self, MessageKind, deflated_message};
use crate::protocol::{self, Encoded, Encoding, WantedEncodings, close};

/// What clients have sent and which have gone, over all shards in turn; a message that says `closed` stands for the latter.
#[derive(Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Messages>>);

/// Messages, each with the connection id of its client.
type Messages = Vec<(u32, Vec<u8>)>;

impl Heard {
    pub(super) fn sink(&self) -> Box<dyn EventSink> {
        Box::new(Recorder { heard: self.clone(), known: HashMap::new() })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    pub(super) fn take(&self) -> Vec<(u32, String)> {
        let all = std::mem::take(&mut *self.0.lock().unwrap());
        all.into_iter().map(|(id, message)| (id, String::from_utf8_lossy(&message).into_owned())).collect()
    }
}

/// A sink that knows of each client how many messages it has sent, and puts the number before them.
struct Recorder {
    heard: Heard,
    known: HashMap<u32, u8>,
}

impl EventSink for Recorder {
    fn connected(&mut self, client: &Client<'_>, _: Option<Box<Handshake>>) -> Welcome {
        self.known.insert(client.connection_id, 0);
        Welcome::BuiltIn
    }

    fn moved(&mut self, _: &Client<'_>, _: ClientId) -> Welcome {
        Welcome::BuiltIn
    }

    fn message(&mut self, client: &Client<'_>, message: &[u8]) {
        let count = self.known.get_mut(&client.connection_id).unwrap();
        *count += 1;
        let message = [format!("{count} ").as_bytes(), message].concat();
        self.heard.0.lock().unwrap().push((client.connection_id, message));
    }

    fn closed(&mut self, client: &Client<'_>) {
        self.known.remove(&client.connection_id);
        self.heard.0.lock().unwrap().push((client.connection_id, b"closed".to_vec()));
    }

    fn moved_away(&mut self, _: &Client<'_>) {}

    fn takes_more(&mut self, _: u32) -> bool {
        true
    }

    fn export(&self, connection_id: u32) -> Option<Bytes> {
        self.known.get(&connection_id).map(|count| Bytes::from(vec![*count]))
    }

    fn restore(&mut self, client: &Client<'_>, exported: &[u8]) {
        self.known.insert(client.connection_id, exported.first().copied().unwrap_or_default());
    }
}

/// A frame as a client sends it, masked with zeros.
pub(super) fn masked(frame: &[u8]) -> Vec<u8> {
    let header = match frame[1] {
        126 => 4,
        127 => 10,
        _ => 2,
    };
    let mut masked = frame.to_vec();
    masked[1] |= 0x80;
    masked.splice(header..header, [0; 4]);
    masked
}

pub(super) fn text(message: &str) -> Vec<u8> {
    masked(&websocket::message(MessageKind::Text, message.as_bytes()))
}

pub(super) fn to_all(message: &str) -> Command {
    let wanted = WantedEncodings { deflated: true, non_websocket: true };
    let frame = Encoded::new(MessageKind::Text, message.as_bytes(), wanted);
    Command::Deliver { to: Audience::All { except: Except::default() }, origin: Origin::HERE, frame }
}

/// Runs turns until a condition holds.
pub(super) fn until(shard: &mut TestShard, what: &str, mut is_so: impl FnMut(&mut TestShard) -> bool) {
    let start = Instant::now();
    while !is_so(shard) {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        shard.turn();
    }
}

/// Runs turns until a client has got so many bytes.
pub(super) fn got(shard: &mut TestShard, client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    until(shard, "bytes", |_| {
        all.extend(arrived(client));
        all.len() >= length
    });
    all
}

/// Runs turns until something was heard.
fn hears(shard: &mut TestShard, heard: &Heard) -> Vec<(u32, String)> {
    until(shard, "a message", |_| !heard.is_empty());
    heard.take()
}

#[test]
fn clients_of_every_encoding_go_on_both_ways_with_what_is_known_of_them() {
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let encodings = [Encoding::Websocket, Encoding::Deflated, Encoding::Text, Encoding::Frame, Encoding::Tcp];
    let mut clients: Vec<_> =
        (1..).zip(encodings).map(|(id, encoding)| (id, encoding, shard.client(id, encoding))).collect();
    for (id, encoding, client) in &mut clients {
        let key = shard.shard.clients.key(*id).unwrap();
        let uid = shard.shard.clients.uids.claim(format!("uid {id}").as_bytes());
        shard.shard.obey_alone(Command::Change { connection_id: *id, change: Change::Bind { uid } });
        for group in ["all", "some"] {
            let (back, _) = tokio::sync::oneshot::channel();
            let group = shard.shard.clients.groups.claim(group.as_bytes());
            shard
                .shard
                .obey_alone(Command::Change { connection_id: *id, change: Change::Join { group, back } });
        }
        let serialized = Bytes::from(format!("session {id}"));
        let change = Change::SetSession { serialized };
        shard.shard.obey_alone(Command::Change { connection_id: *id, change });
        shard.shard.clients.connections[key].quiet = *id as u8;
        let address = format!("192.0.2.{id}:7").parse().unwrap();
        shard.shard.clients.connections[key].extra_mut().rare_mut().address = Some(address);
        client.write_all(&sent(*encoding, "before")).unwrap();
        assert_eq!(hears(&mut shard, &heard), [(*id, "1 before".to_owned())]);
        shard.shard.clients.connections[key].quiet = *id as u8;
    }
    let counts = shard.shard.clients.counts;
    // Nobody reads what comes now before the new shard does.
    for (id, encoding, client) in &mut clients {
        client.write_all(&sent(*encoding, &format!("between {id}"))).unwrap();
    }
    let mut shard = shard.carried(settings(), heard.sink());
    assert!(heard.take().is_empty());
    assert_eq!(shard.shard.clients.counts, counts);
    assert_eq!(shard.shard.clients.online_by_listener, [5]);
    for (id, ..) in &clients {
        let key = shard.shard.clients.key(*id).unwrap();
        let connection = &shard.shard.clients.connections[key];
        assert_eq!(u32::from(connection.quiet), *id);
        assert_eq!(connection.peer(), Some(format!("192.0.2.{id}:7").parse().unwrap()));
        assert_eq!(shard.shard.clients.uid_of(*id).unwrap(), format!("uid {id}"));
        assert_eq!(shard.shard.clients.session_of(*id).unwrap(), format!("session {id}"));
        let keys = |name: &[u8]| shard.shard.clients.groups.holders(name).filter(|one| *one == key).count();
        assert_eq!((keys(b"all"), keys(b"some")), (1, 1));
    }
    let mut all = Vec::new();
    until(&mut shard, "what came between", |_| {
        all.extend(heard.take());
        all.len() == 5
    });
    all.sort();
    assert_eq!(all, [1, 2, 3, 4, 5].map(|id| (id, format!("2 between {id}"))));
    shard.shard.obey_alone(to_all("after"));
    shard.shard.write_turn();
    for (id, encoding, client) in &mut clients {
        let expected = protocol::message(*encoding, MessageKind::Text, b"after");
        assert_eq!(got(&mut shard, client, expected.len()), expected);
        client.write_all(&sent(*encoding, "after")).unwrap();
        assert_eq!(hears(&mut shard, &heard), [(*id, "3 after".to_owned())]);
    }
    // A client that goes is heard of once, and its names go with it.
    clients.clear();
    until(&mut shard, "the end", |shard| shard.shard.clients.connections.is_empty());
    assert_eq!(heard.take().len(), 5);
    assert_eq!(shard.shard.clients.uids.names().count() + shard.shard.clients.groups.names().count(), 0);
}

/// A message as a client of this encoding sends it.
fn sent(encoding: Encoding, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Deflated => masked(&deflated_or_plain(message)),
        encoding if encoding.is_websocket() => text(message),
        encoding => protocol::message(encoding, MessageKind::Text, message.as_bytes()).to_vec(),
    }
}

fn deflated_or_plain(message: &str) -> Bytes {
    deflated_message(MessageKind::Text, message.as_bytes())
        .unwrap_or_else(|| websocket::message(MessageKind::Text, message.as_bytes()))
}

#[test]
fn what_waits_goes_on_at_the_byte_and_stands_once_in_memory() {
    let mut shard = TestShard::new(settings());
    let mut clients: Vec<_> = (1..=3).map(|id| stalled(&mut shard, id)).collect();
    let shared = "shared ".repeat(20_000);
    for message in [&shared, "small", "smaller"] {
        shard.shard.obey_alone(to_all(message));
        shard.shard.write_turn();
    }
    // A pong waits, and a newer one takes its place in the new shard.
    clients[0].write_all(&masked(&[0x89, 3, b'o', b'l', b'd'])).unwrap();
    let key = shard.shard.clients.key(1).unwrap();
    let before = shard.shard.clients.connections[key].waiting_bytes();
    until(&mut shard, "a pong", |shard| shard.shard.clients.connections[key].waiting_bytes() > before);
    let held = shard.shard.clients.held.bytes();
    let (batches, _) = shard.written();
    let written: usize = batches.iter().map(|(bytes, _)| bytes.len()).sum();
    assert!(written < held + 1_000, "{written} bytes for {held}");
    let mut new = TestShard::new(settings());
    new.restore(batches).unwrap();
    shard.shard.let_go();
    let restored = new.shard.clients.held.bytes();
    assert!(restored.abs_diff(held) < 2_000, "{restored} instead of {held}");
    let before = new.shard.clients.counts.bytes_in;
    let ping = masked(&[0x89, 3, b'n', b'e', b'w']);
    clients[0].write_all(&ping).unwrap();
    let length = ping.len() as u64;
    until(&mut new, "the newer ping", |new| new.shard.clients.counts.bytes_in == before + length);
    new.shard.obey_alone(to_all("last"));
    for client in &mut clients {
        let mut all = Vec::new();
        let end = websocket::message(MessageKind::Text, b"last");
        until(&mut new, "all", |_| {
            all.extend(arrived(client));
            all.ends_with(&end)
        });
        // The client was filled with bytes that mean nothing; everything behind them is whole.
        let rest = &all[all.iter().position(|byte| *byte != b'x').unwrap()..];
        let pong: &[u8] =
            if rest.windows(5).any(|bytes| bytes == b"\x8a\x03new") { b"\x8a\x03new" } else { b"" };
        let whole = [shared.as_str(), "small", "smaller"]
            .map(|message| websocket::message(MessageKind::Text, message.as_bytes()));
        assert_eq!(rest, [&whole.concat()[..], pong, &end].concat());
    }
    assert_eq!(new.shard.clients.held.bytes(), 0);
    assert!(new.shard.clients.slow.is_empty());
}

#[test]
fn input_goes_on_wherever_it_was_cut() {
    let long = "a long message of äöü ".repeat(40);
    let fragments = |message: &str| {
        let (first, rest) = message.as_bytes().split_at(message.len() / 3 + 1);
        let mut frames = masked(&websocket::message(MessageKind::Text, first));
        frames[0] &= 0x7f;
        let mut last = masked(&websocket::message(MessageKind::Text, rest));
        last[0] &= 0xf0;
        frames.extend(last);
        frames
    };
    let kinds: [(Encoding, Vec<u8>); 6] = [
        (Encoding::Websocket, text(&long)),
        (Encoding::Websocket, fragments(&long)),
        (Encoding::Deflated, sent(Encoding::Deflated, &long)),
        (Encoding::Text, sent(Encoding::Text, &long)),
        (Encoding::Frame, sent(Encoding::Frame, &long)),
        (Encoding::Gateway2, text(&long)),
    ];
    for (encoding, bytes) in kinds {
        for cut in [1, 2, 5, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let heard = Heard::default();
            let mut shard = TestShard::telling(settings(), heard.sink());
            let mut client = shard.client(1, encoding);
            client.write_all(&bytes[..cut]).unwrap();
            until(&mut shard, "input", |shard| shard.shard.clients.counts.bytes_in == cut as u64);
            let partial = shard.shard.clients.partial;
            let mut shard = shard.carried(settings(), heard.sink());
            assert!(shard.shard.clients.partial > 0 && partial > 0);
            client.write_all(&bytes[cut..]).unwrap();
            client.write_all(&sent(encoding, "next")).unwrap();
            let mut all = Vec::new();
            until(&mut shard, "both", |_| {
                all.extend(heard.take());
                all.len() == 2
            });
            assert_eq!(all, [(1, format!("1 {long}")), (1, "2 next".to_owned())], "{encoding:?} {cut}");
            assert_eq!(shard.shard.clients.partial, 0);
        }
    }
}

#[test]
fn a_message_that_is_inflated_in_part_begins_again_and_counts_once() {
    let limited = settings_with(|settings| settings.listeners[0].bytes_per_second = 300_000.0);
    let heard = Heard::default();
    let mut shard = TestShard::telling(limited.clone(), heard.sink());
    let mut clients: Vec<_> = (1..=2).map(|id| shard.client(id, Encoding::Deflated)).collect();
    let message = "z".repeat(1 << 20);
    for client in &mut clients {
        client.write_all(&sent(Encoding::Deflated, &message)).unwrap();
    }
    until(&mut shard, "a message inflated in part", |shard| shard.shard.inflating.is_some());
    let ahead = |shard: &TestShard| {
        let meters = [0, 1].map(|key| shard.shard.meters.export(key).map_or(0.0, |meter| meter.2));
        meters.iter().sum::<f32>()
    };
    let before = ahead(&shard);
    let mut shard = shard.carried(limited, heard.sink());
    assert!(ahead(&shard) < before);
    let mut all = Vec::new();
    until(&mut shard, "both messages", |_| {
        all.extend(heard.take());
        all.len() == 2
    });
    all.sort();
    assert_eq!(all, [1, 2].map(|id| (id, format!("1 {message}"))));
    assert!((1_900_000.0..2_200_000.0).contains(&ahead(&shard)), "{}", ahead(&shard));
}

#[test]
fn closes_that_are_under_way_go_on() {
    let soon = settings_with(|settings| settings.close_timeout = Duration::from_millis(300));
    let mut shard = TestShard::new(soon.clone());
    let mut clients: Vec<_> = (1..=3).map(|id| shard.client(id, Encoding::Websocket)).collect();
    for (id, phase) in [(1, Phase::Closing), (2, Phase::Discarding), (3, Phase::Closing)] {
        let key = shard.shard.clients.key(id).unwrap();
        shard.shard.close(key, close::TRY_AGAIN, phase);
    }
    shard.turn();
    let closed = Instant::now();
    let mut shard = shard.carried(soon, Box::new(super::super::event_sink::BuiltInSink));
    assert_eq!((shard.shard.clients.online().len(), shard.shard.clients.connections.len()), (0, 3));
    let frame = websocket::close(close::TRY_AGAIN);
    // The first answers, and its connection ends at once.
    assert_eq!(got(&mut shard, &mut clients[0], frame.len()), frame);
    clients[0].write_all(&masked(&frame)).unwrap();
    until(&mut shard, "the answer", |shard| shard.shard.clients.connections.len() == 2);
    assert!(closed.elapsed() < Duration::from_millis(300));
    // The others end when their time is over, which is no longer than it was.
    until(&mut shard, "the deadlines", |shard| shard.shard.clients.connections.is_empty());
    assert!((250..3000).contains(&(closed.elapsed().as_millis() as u64)), "{:?}", closed.elapsed());
}

/// A client of the subprotocol `gateway.2`, and its init.
pub(super) fn resumable(shard: &mut TestShard, id: u32) -> (TcpStream, Init) {
    let (new_connection, mut client) = new_connection(Encoding::Gateway2);
    shard.shard.obey_alone(Command::Adopt { connection_id: id, new_connection, identity: None });
    let init = init_of(shard, &mut client);
    (client, init)
}

fn init_of(shard: &mut TestShard, client: &mut TcpStream) -> Init {
    let frame = got(shard, client, 2);
    let start = frame.iter().position(|byte| *byte == b'{').unwrap();
    let end = frame.iter().position(|byte| *byte == b'}').unwrap();
    serde_json::from_slice(&frame[start..=end]).unwrap()
}

pub(super) fn come_back(shard: &mut TestShard, id: u32, init: &Init, seen: u64) -> (TcpStream, String) {
    let offer = Box::new(ResumeOffer { secret: init.resume.as_ref().unwrap().parse().unwrap(), seen });
    let (new_connection, mut client) = new_connection(Encoding::Gateway2);
    shard.shard.obey_alone(Command::ComeBack { connection_id: id, offer, new_connection });
    shard.turn();
    let all = got(shard, &mut client, 2);
    (client, String::from_utf8_lossy(&all).into_owned())
}

#[test]
fn whoever_counts_messages_comes_back_to_the_new_process_and_has_missed_nothing() {
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let mut with: Vec<_> = (1..=5).map(|id| resumable(&mut shard, id)).collect();
    shard.shard.obey_alone(to_all("one"));
    shard.turn();
    with[0].0.write_all(&text("gateway:seen 1")).unwrap();
    with[0].0.write_all(&text("hello")).unwrap();
    assert_eq!(hears(&mut shard, &heard), [(1, "1 hello".to_owned())]);
    // The second is parked, the third is closed while it is parked, and the fourth is destroyed.
    for id in [2, 3] {
        let key = shard.shard.clients.key(id).unwrap();
        shard.shard.lose(key, false);
    }
    shard.shard.obey_alone(to_all("two"));
    shard.turn();
    shard.shard.obey_alone(Command::Close { connection_id: 3, last: None });
    shard.shard.obey_alone(Command::Destroy { connection_id: 4 });
    assert_eq!(heard.take(), [(3, "closed".to_owned()), (4, "closed".to_owned())]);
    let (kept, parked) = (shard.shard.clients.resume.kept.bytes(), shard.shard.clients.resume.parked.len());
    let (deadline, counts) =
        (shard.shard.clients.resume.parked.deadline(), shard.shard.clients.resume.counts);

    let mut shard = shard.carried(settings(), heard.sink());
    let resume = &shard.shard.clients.resume;
    assert_eq!((resume.kept.bytes(), resume.parked.len(), resume.counts), (kept, parked, counts));
    let moved = resume.parked.deadline().unwrap().saturating_duration_since(deadline.unwrap());
    assert!(moved < Duration::from_secs(1), "{moved:?} later");
    shard.shard.obey_alone(to_all("three"));
    shard.turn();
    // The first has seen one message, and comes back from a connection that is still there.
    let (mut client, all) = come_back(&mut shard, 1, &with[0].1, 1);
    assert!(all.contains(r#""resumed":true,"missed":2"#) && all.contains(r#""seen":1"#), "{all}");
    assert!(!all.contains("one") && all.contains("two") && all.contains("three"), "{all}");
    client.write_all(&text("again")).unwrap();
    assert_eq!(hears(&mut shard, &heard), [(1, "2 again".to_owned())]);
    let (_second, all) = come_back(&mut shard, 2, &with[1].1, 0);
    assert!(all.contains(r#""missed":3"#) && all.contains("one") && all.contains("three"), "{all}");
    let (_third, all) = come_back(&mut shard, 3, &with[2].1, 1);
    assert!(all.contains("two") && !all.contains("three"), "{all}");
    let offer = ResumeOffer { secret: with[3].1.resume.as_ref().unwrap().parse().unwrap(), seen: 0 };
    assert!(shard.shard.clients.find(4, &offer).unwrap_err().is_some());
    // The fifth goes on as it was, in a third process.
    let mut shard = shard.carried(settings(), heard.sink());
    let rest = String::from_utf8_lossy(&got(&mut shard, &mut with[4].0, 15)).into_owned();
    assert!(rest.contains("one") && rest.contains("two") && rest.contains("three"), "{rest}");
    with[4].0.write_all(&text("gateway:seen 3")).unwrap();
    with[4].0.write_all(&text("last")).unwrap();
    assert_eq!(hears(&mut shard, &heard), [(5, "1 last".to_owned())]);
    // The page of a message is told of it at its time.
    assert_eq!(
        shard.shard.untold.len(),
        shard.shard.untold.iter().map(|one| one.1).collect::<std::collections::HashSet<_>>().len()
    );
    let now = Instant::now() + Duration::from_secs(6);
    shard.shard.tell_untold(now);
    shard.turn();
    let told = String::from_utf8_lossy(&got(&mut shard, &mut with[4].0, 2)).into_owned();
    assert!(told.contains("gateway:seen 1"), "{told}");
}

#[test]
fn a_shard_that_was_written_and_thaws_goes_on_as_if_nothing_had_been() {
    let heard = Heard::default();
    let mut shard = TestShard::telling(settings(), heard.sink());
    let mut client = shard.client(1, Encoding::Websocket);
    let whole = text("cut in two");
    client.write_all(&whole[..5]).unwrap();
    until(&mut shard, "input", |shard| shard.shard.clients.counts.bytes_in == 5);
    let (batches, _) = shard.written();
    // The other process has taken the clients over, and dies.
    let mut other = TestShard::telling(settings(), Heard::default().sink());
    other.restore(batches).unwrap();
    drop(other);
    shard.shard.thaw();
    client.write_all(&whole[5..]).unwrap();
    assert_eq!(hears(&mut shard, &heard), [(1, "1 cut in two".to_owned())]);
    shard.shard.obey_alone(to_all("hi"));
    shard.turn();
    assert_eq!(got(&mut shard, &mut client, 4), b"\x81\x02hi");
}

pub(super) fn many(settings: &ShardSettings) -> (TestShard, Vec<TcpStream>) {
    let mut shard = TestShard::new(settings.clone());
    let mut clients = vec![stalled(&mut shard, 1), stalled(&mut shard, 2)];
    for (id, encoding) in
        (3..).zip([Encoding::Websocket, Encoding::Text, Encoding::Frame, Encoding::Deflated])
    {
        let mut client = shard.client(id, encoding);
        let before = shard.shard.clients.counts.bytes_in;
        client.write_all(&sent(encoding, "partial")[..5]).unwrap();
        until(&mut shard, "input", |shard| shard.shard.clients.counts.bytes_in == before + 5);
        clients.push(client);
    }
    clients.extend((7..=9).map(|id| resumable(&mut shard, id).0));
    shard.shard.obey_alone(to_all("kept"));
    shard.turn();
    let key = shard.shard.clients.key(9).unwrap();
    shard.shard.lose(key, false);
    (shard, clients)
}

#[test]
fn bytes_that_nobody_has_written_are_errors_or_clients_that_do_no_harm() {
    let settings = settings_with(|settings| settings.io_uring = false);
    let (mut shard, _clients) = many(&settings);
    let (batches, _) = shard.written();
    let whole = |sockets: &[std::os::fd::OwnedFd]| {
        sockets.iter().map(|socket| socket.try_clone().unwrap()).collect::<Vec<_>>()
    };
    let restore = |bytes: &[u8], sockets| {
        let mut new = TestShard::new(settings.clone());
        let result = new.restore(vec![(bytes.to_vec(), sockets)]);
        if result.is_ok() {
            (0..3).for_each(|_| new.turn());
        }
        assert_eq!(new.shard.panic_budget.spent(), 0);
        result.map_err(|error| error.to_string())
    };
    assert_eq!(batches.len(), 1, "more batches than the test looks at");
    let (bytes, sockets) = &batches[0];
    restore(bytes, whole(sockets)).unwrap();
    assert!(restore(bytes, Vec::new()).unwrap_err().contains("came with 0 sockets"));
    assert_eq!(restore(&[], Vec::new()).unwrap_err(), "the batch of clients has no bytes");
    assert!(
        restore(&[9, 1], Vec::new()).unwrap_err().contains("in version 9, and this server reads version 1")
    );
    let step = (bytes.len() / 200).max(1);
    for length in (1..bytes.len()).step_by(step) {
        assert!(restore(&bytes[..length], whole(sockets)).is_err(), "{length} bytes");
    }
    // Most of the bytes are a buffer's; the others come behind it or before.
    let mut seed = 7_u64;
    let mut random = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for round in 0..600 {
        let mut mutated = bytes.clone();
        for _ in 0..=random(3) {
            let near =
                [random(1000.min(bytes.len())), bytes.len() - 1 - random(1000.min(bytes.len()))][round % 2];
            mutated[near] = random(256) as u8;
        }
        let _ = restore(&mutated, whole(sockets));
    }
}

#[test]
fn a_thousand_clients_move_in_moments() {
    // A process may not have descriptors for both ends of all; some of the clients are parked, and others share a peer.
    const PARKED: u32 = 200;
    let mut shard = TestShard::new(settings());
    let peers: Vec<_> = (0..50).map(|_| new_connection(Encoding::Websocket)).collect();
    for id in 1..=1_000 {
        let (mut new_connection, _client) = if id <= PARKED {
            new_connection(Encoding::Gateway2)
        } else {
            let socket = peers[id as usize % peers.len()].0.socket.try_clone().unwrap();
            let (mut new_connection, client) = new_connection(Encoding::Websocket);
            new_connection.socket = socket;
            (new_connection, client)
        };
        new_connection.address = Some(format!("192.0.2.1:{id}").parse().unwrap());
        shard.shard.obey_alone(Command::Adopt { connection_id: id, new_connection, identity: None });
        if id <= PARKED {
            let key = shard.shard.clients.key(id).unwrap();
            shard.shard.write_turn();
            shard.shard.lose(key, false);
        }
        for group in ["all", if id % 2 == 0 { "even" } else { "odd" }] {
            let (back, _) = tokio::sync::oneshot::channel();
            let group = shard.shard.clients.groups.claim(group.as_bytes());
            shard
                .shard
                .obey_alone(Command::Change { connection_id: id, change: Change::Join { group, back } });
        }
    }
    shard.shard.obey_alone(to_all("for all who are away"));
    let start = Instant::now();
    let (batches, _) = shard.written();
    let written = start.elapsed();
    assert!(batches.iter().all(|(bytes, sockets)| bytes.len() <= 256 << 10 && sockets.len() <= 250));
    let (count, bytes) = (batches.len(), batches.iter().map(|(bytes, _)| bytes.len()).sum::<usize>());
    let mut new = TestShard::new(settings());
    let start = Instant::now();
    new.restore(batches).unwrap();
    let restored = start.elapsed();
    println!(
        "1000 clients: {count} batches, {bytes} bytes, written in {written:?}, restored in {restored:?}"
    );
    shard.shard.let_go();
    assert_eq!((new.shard.clients.online().len(), new.shard.clients.groups.count(b"odd")), (1_000, 500));
    assert_eq!(new.shard.clients.resume.parked.len(), PARKED as usize);
    assert_eq!(new.shard.clients.connections.capacity(), 1_000, "the tables have their size at once");
    let start = Instant::now();
    while new.is_busy() {
        new.turn();
    }
    println!("read once in {:?}", start.elapsed());
    assert_eq!(new.shard.clients.online().len(), 1_000);
}
