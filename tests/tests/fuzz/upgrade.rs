//! Anything that one process of an upgrade could send to the other: nothing panics, nobody takes over before everything has come, and
//! clients, workers and programs of PHP that nobody has written harm no other.

use std::io::Write as _;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crate::{panics, parts};
use gateway_server::handover::protocol::{NewOutcome, OldEnd, OldTask};
use gateway_server::handover::{
    Channel, Hello, ListeningSocket, MAX_DESCRIPTORS, Message, Offer, OfferedCluster, Port, STATE_VERSION,
    Taker, Totals, take,
};
use gateway_server::listener::{TokenVerifier, UsedTokens};
use gateway_server::php::{MalformedPhp, PhpAtRest};
use gateway_server::relay::{RelayReport, Relays};
use gateway_server::shard::{DetachedClient, MalformedBatch};
use gateway_server::versioned::Form;
use gateway_tests::{fuzz, root};

/// The byte that gives the clients away.
const DECISION: u8 = 0xc0;
/// Nobody waits in these tests: all is there, or the other end is closed.
const PATIENCE: Duration = Duration::from_secs(20);
/// Settings by which clients may come back.
const RESUME: &str = "resume_messages = 256";

/// The bytes of a file of the server's golden state.
fn golden(path: &str) -> anyhow::Result<Vec<u8>> {
    Ok(std::fs::read(root().join("gateway-server/src").join(path))?)
}

fn offer() -> Offer {
    Offer {
        server: "0.1.0".to_owned(),
        state: STATE_VERSION,
        shards: 2,
        node: "127.0.0.1:1238".to_owned(),
        cluster: Some(OfferedCluster { name: "gateway".to_owned(), is_connected: true }),
        listeners: Vec::new(),
        clients: 3,
        tls_clients: 1,
        bytes: 1000,
    }
}

/// A message of one frame, with what it carries.
fn frame(message: &Message, carried: &[u8]) -> Vec<u8> {
    let content = [&message.to_bytes(), carried].concat();
    let length = (content.len() as u32).to_be_bytes();
    [&[1, 0][..], &length, &content].concat()
}

/// Takes anything, and sees that all of it was there before it is said to be complete.
#[derive(Default)]
struct Counting {
    is_finished: bool,
}

impl Taker for Counting {
    fn check(&mut self, _: &Offer) -> Result<(), String> {
        Ok(())
    }

    fn listeners(&mut self, listeners: Vec<ListeningSocket>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        assert_eq!(listeners.len(), sockets.len());
        Ok(())
    }

    fn clients(&mut self, shard: u32, _: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        assert!(shard < 1 << 16, "shard {shard}");
        assert!(!self.is_finished && sockets.len() <= MAX_DESCRIPTORS);
        Ok(())
    }

    fn state(&mut self, _: &str, _: Vec<u8>, descriptors: Vec<OwnedFd>) -> Result<(), String> {
        assert!(!self.is_finished && descriptors.len() <= MAX_DESCRIPTORS);
        Ok(())
    }

    fn finish(&mut self) -> Result<(), String> {
        assert!(!self.is_finished);
        self.is_finished = true;
        Ok(())
    }

    fn is_asked_to_stop(&self) -> bool {
        false
    }
}

#[test]
fn hand_over() {
    let listener = ListeningSocket { port: Port::Register, address: "127.0.0.1:1238".to_owned() };
    let offered = frame(&Message::Offer(Offer { shards: 1 << 16, ..offer() }), b"");
    let listeners = frame(&Message::Listeners(Vec::new()), b"");
    let state = [
        frame(&Message::State("keys".to_owned()), b"state"),
        // A message of two frames, of which the first is not the last.
        [&[2, 0, 0, 0, 0, 0][..], &frame(&Message::Clients(1), b"clients")].concat(),
        frame(&Message::End(Totals { parcels: 2, descriptors: 0 }), b""),
        vec![DECISION],
    ]
    .concat();
    let corpus = [[&offered[..], &listeners, &state].concat(), [&offered[..], &state].concat()];
    let socket = std::fs::File::open("/dev/null").unwrap();
    fuzz("Hand-over", &corpus, |input, rng| {
        let (mut here, there) = UnixStream::pair().unwrap();
        // Listening sockets come anywhere, but mostly where they belong.
        let at = [offered.len().min(input.len()), rng.below(input.len() + 1)][rng.below(2)];
        let (before, behind) = input.split_at(at);
        here.write_all(before).unwrap();
        if rng.below(2) == 0 {
            let described = vec![listener.clone(); rng.below(3)];
            let sockets = vec![socket.as_fd(); rng.below(3)];
            let message = Message::Listeners(described).to_bytes();
            let mut channel = Channel::new(here.try_clone().unwrap().into(), PATIENCE);
            channel.send(&[&message], &sockets).unwrap();
        }
        here.write_all(behind).unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        let mut taker = Counting::default();
        let outcome = take(&mut Channel::new(there.into(), PATIENCE), &mut taker);
        if matches!(outcome, NewOutcome::TakesOver { .. }) {
            assert!(taker.is_finished, "{outcome:?}");
        }
    });
}

#[test]
fn messages_of_a_hand_over() {
    let hello = Hello { server: "0.1.0".to_owned(), pid: 7, reads: (1, 1) };
    let said = [Message::Hello(hello), Message::Ready, Message::Complete, Message::Serving];
    let said: Vec<_> = said.iter().map(Message::to_bytes).collect();
    let others = [Message::Offer(offer()), Message::Refused("no".to_owned()), Message::Relayed(3)];
    let corpus = [vec![said.concat()], said, others.iter().map(Message::to_bytes).collect()].concat();
    fuzz("Hand-over messages", &corpus, |input, _| {
        let mut old = OldEnd::new(7, offer());
        let mut left = input;
        while let Ok((message, length)) = Message::from_bytes(left) {
            assert!(length <= left.len());
            assert_eq!(Message::from_bytes(&message.to_bytes()).unwrap().0, message);
            left = &left[length..];
            while !matches!(old.task(), OldTask::Hear | OldTask::Over(_)) {
                let decides = old.task() == OldTask::Decide;
                old.done();
                assert_eq!(old.has_given(), decides);
            }
            let has_given = old.has_given();
            old.received(message);
            // What the other says takes nothing away, and gives nothing back.
            assert_eq!(old.has_given(), has_given);
        }
    });
}

#[test]
fn clients_of_another_process() -> anyhow::Result<()> {
    panics::watch();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let batch = golden("shard/golden/carried_clients_1.bin")?;
    // The same with what a worker knows of a client.
    let (known, assignment) = (&b"\xc4\x05known"[..], golden("events/golden/assignment_1.bin")?);
    let at = batch.windows(known.len()).position(|window| window == known);
    let (before, behind) = batch.split_at(at.ok_or_else(|| anyhow::anyhow!("no events"))?);
    let length = u8::try_from(assignment.len())?;
    let assigned = [before, &[0xc4, length], &assignment, &behind[known.len()..]].concat();
    fuzz("Carried clients", &[batch, assigned], |input, rng| {
        let router = parts::router();
        let hub = parts::hub(1, &parts::settings(RESUME), &router).unwrap();
        let frozen = runtime.block_on(hub.freeze()).unwrap();
        let restorer = frozen.restorer(0).unwrap();
        let mut peers = Vec::new();
        let mut sockets = |count: usize| -> Vec<OwnedFd> {
            let pairs = (0..count).map(|_| UnixStream::pair().unwrap());
            let (own, others): (Vec<_>, Vec<_>) = pairs.unzip();
            peers.extend(others);
            own.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
            own.into_iter().map(OwnedFd::from).collect()
        };
        let mut restored = restorer.restore(input, sockets(2));
        if let Err(MalformedBatch::Sockets { expected, .. }) = restored
            && expected < 50
        {
            restored = restorer.restore(input, sockets(expected));
        }
        let is_sound = restored.is_ok();
        drop((restorer, frozen));
        if is_sound {
            // They are served, and then asked for.
            peers.iter_mut().for_each(|peer| drop(peer.write_all(&[0x81, 0x80, 0, 0, 0, 0])));
            if rng.below(2) == 0 {
                peers.clear();
            }
            runtime.block_on(async {
                let clients = hub.clients(None).await.unwrap();
                // Nobody comes, and whose other end is gone may go in between.
                assert!(hub.count(None).await.unwrap() <= clients.len());
            });
        }
        runtime.block_on(hub.stop(Duration::ZERO, Duration::ZERO, false));
        hub.join_threads();
        panics::assert_none();
    });
    Ok(())
}

#[test]
fn php_of_another_process() -> anyhow::Result<()> {
    panics::watch();
    let hub = Arc::new(parts::hub(1, &parts::settings(RESUME), &parts::router())?);
    let settings = parts::register_port_settings();
    fuzz("Carried PHP", &[golden("php/carry/golden/php_1.bin")?], |input, rng| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut backend = parts::backend(&hub, parts::router());
            let mut read = PhpAtRest::read(input, Vec::new(), &backend);
            if let Err(MalformedPhp::Descriptors { needed, .. }) = read
                && needed < 50
            {
                let pairs = (0..needed).map(|_| UnixStream::pair().unwrap());
                let (own, mut peers): (Vec<_>, Vec<_>) = pairs.unzip();
                peers.iter_mut().for_each(|peer| peer.write_all(b"{\"event\":\"ping\"}\n\0\0").unwrap());
                if rng.below(2) == 0 {
                    peers.clear();
                }
                backend = parts::backend(&hub, parts::router());
                read = PhpAtRest::read(input, own.into_iter().map(OwnedFd::from).collect(), &backend);
            }
            if let Ok(php) = read {
                php.go_on(&backend, &settings);
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
        });
        drop(runtime);
        panics::assert_none();
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(hub.stop(Duration::ZERO, Duration::ZERO, false));
    hub.join_threads();
    Ok(())
}

#[test]
fn records_of_another_process() -> anyhow::Result<()> {
    panics::watch();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let hub = parts::hub(1, &parts::settings(RESUME), &parts::router())?;
    let frozen = runtime.block_on(hub.freeze())?;
    let corpus = [
        golden("server/upgrade/golden/used_tokens_1.bin")?,
        golden("relay/golden/relay_report_1.bin")?,
        golden("shard/golden/detached_client_1.bin")?,
        frozen.export_ids(),
    ];
    let part = Form::new("a part", 1).with_names();
    fuzz("Carried records", &corpus, |input, _| {
        if let Ok(used) = part.read::<UsedTokens>(input) {
            let verifier = TokenVerifier::open();
            verifier.take_over(used);
            assert!(part.read::<UsedTokens>(&part.write(&verifier.used())).is_ok());
        }
        if let Ok(report) = RelayReport::from_bytes(input) {
            assert_eq!(RelayReport::from_bytes(&report.to_bytes()).unwrap(), report);
            let relays = Relays::default();
            relays.note(report.clone());
            assert_eq!(relays.list().len(), 1);
            relays.forget(report.pid);
        }
        if let Ok(client) = DetachedClient::from_bytes(input) {
            client.known_as().for_each(drop);
            let again = DetachedClient::from_bytes(&client.to_bytes()).unwrap();
            assert_eq!(again.to_bytes(), client.to_bytes());
        }
        if frozen.resume_ids(input).is_ok() {
            assert!(frozen.resume_ids(&frozen.export_ids()).is_ok());
        }
        panics::assert_none();
    });
    drop(frozen);
    runtime.block_on(hub.stop(Duration::ZERO, Duration::ZERO, false));
    hub.join_threads();
    Ok(())
}
