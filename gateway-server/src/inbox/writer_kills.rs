//! Processes with a store that are killed in the middle of their writes: what was answered is there, and everything is there once.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use bytes::Bytes;

use super::bounds::{Bounds, DEFAULT_TTL};
use super::model::{Device, NewDevice, NewMessage, PageRequest};
use super::sqlite::SqliteStore;
use super::store::{Operation, Outcome, Store as _};
use super::writer::WriterSettings;
use super::writer_tests::start;

/// The environment variable by which the child learns the path of its store.
const PATH: &str = "INBOX_CHILD_STORE";
/// How many processes are killed.
const KILLS: u64 = 100;
/// How many orders are sent again that may have been applied, and how many are under way at once.
const AGAIN: u64 = 40;
const UID: &[u8] = b"anna";
const PRODUCER: [u8; 16] = [1; 16];

/// Gives bounds that hold all messages of the test.
fn bounds() -> Bounds {
    Bounds { messages: u64::MAX, bytes: u64::MAX, ..Bounds::default() }
}

/// Makes the order with a number. Its id is another each time, so that its number alone makes it the same order.
fn order(number: u64, process: u32) -> Operation {
    Operation::Deliver(NewMessage {
        uid: Bytes::from_static(UID),
        id: format!("m{number}-{process}").into(),
        payload: Bytes::from(number.to_string()),
        is_binary: false,
        ttl: DEFAULT_TTL,
        replace: None,
        new_device: NewDevice::All,
        producer: Some((PRODUCER, number)),
    })
}

/// The process that is killed: it sends orders, and says which were answered. It sends the last ones again first, as a PHP process
/// does that has lost its answers.
#[test]
#[ignore = "the test below starts it"]
fn child() {
    let path = std::env::var_os(PATH).unwrap();
    let mut store = SqliteStore::open(Path::new(&path), bounds()).unwrap();
    let applied = store.progress(&PRODUCER).unwrap().unwrap_or(0);
    let writer = start(Box::new(store), WriterSettings::default());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut under_way = std::collections::VecDeque::new();
        for number in applied.saturating_sub(AGAIN) + 1.. {
            under_way.push_back((number, writer.handle().apply(vec![order(number, std::process::id())])));
            if under_way.len() as u64 == AGAIN {
                let (number, answer) = under_way.pop_front().unwrap();
                let outcome = answer.await.unwrap();
                assert!(matches!(outcome[..], [Outcome::Stored { .. } | Outcome::Repeated]), "{outcome:?}");
                // A print of the test harness could be captured.
                writeln!(std::io::stdout(), "answered {number}").unwrap();
            }
        }
    });
}

#[test]
fn what_was_answered_outlives_any_kill_and_everything_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut answered = 0;
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "inbox::writer_kills::child", "--ignored", "--nocapture"])
            .env(PATH, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let numbers = lines.filter_map(|line| line.unwrap().rsplit_once("answered ")?.1.parse::<u64>().ok());
        // Each process is killed behind another number of answers.
        let mut numbers = numbers.into_iter();
        for number in numbers.by_ref().take((AGAIN + 1 + kill * 7 % 90) as usize) {
            answered = answered.max(number);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had said and nobody had read yet counts too.
        answered = numbers.fold(answered, u64::max);

        let mut store = SqliteStore::open(&path, bounds()).unwrap();
        let progress = store.progress(&PRODUCER).unwrap().unwrap_or(0);
        assert!(progress >= answered, "kill {kill}: {answered} was answered, {progress} is there");
        assert_eq!(store.totals().unwrap().messages, progress, "kill {kill}");
    }
    assert!(answered >= KILLS, "{answered}");
    let mut store = SqliteStore::open(&path, bounds()).unwrap();
    let (uid, device) = (Bytes::from_static(UID), Device::Shared);
    store.apply(1, &[Operation::Arrive { uid: uid.clone(), device: device.clone() }]).unwrap();
    let wanted = PageRequest { uid, device, after: 0, messages: usize::MAX, bytes: usize::MAX };
    let page = store.waiting(1, &wanted).unwrap();
    let found: Vec<String> =
        page.messages.iter().map(|message| String::from_utf8_lossy(&message.payload).into_owned()).collect();
    let expected: Vec<String> = (1..=found.len() as u64).map(|number| number.to_string()).collect();
    assert_eq!(found, expected);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}
