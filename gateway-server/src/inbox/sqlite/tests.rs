//! The database as a file: who may open it, copies of it, and disks that fail.

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rusqlite::Connection;

use crate::inbox::bounds::{Bounds, DEFAULT_TTL};
use crate::inbox::model::{Device, NewDevice, NewMessage, PageRequest};
use crate::inbox::notices::WantedNotices;
use crate::inbox::store::{Operation, Outcome, Store, StoreError};

use super::schema::{APPLICATION_ID, MIGRATIONS};
use super::{OpenError, SqliteStore};

const UID: &[u8] = b"anna";

fn open(path: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open(path, Bounds::default())
}

fn deliver(id: &str, bytes: usize) -> Operation {
    Operation::Deliver(NewMessage {
        uid: Bytes::from_static(UID),
        id: id.into(),
        payload: Bytes::from(vec![0; bytes]),
        is_binary: true,
        ttl: DEFAULT_TTL,
        replace: None,
        new_device: NewDevice::All,
        producer: None,
    })
}

/// Gives the epoch and the number of messages of the uid.
fn state(store: &mut SqliteStore) -> (u64, u64) {
    let inbox = store.inbox_of(1, UID).unwrap().unwrap();
    (inbox.epoch, inbox.messages)
}

/// Gives why a store cannot be opened.
fn refusal(path: &Path) -> String {
    match open(path) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

#[test]
fn one_process_alone_has_a_store_and_others_find_it_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = open(&path).unwrap();
    store.apply(1, &[deliver("a", 1)]).unwrap();
    let before = state(&mut store);
    let refused = refusal(&path);
    assert!(refused.contains("`store`") && refused.contains(&path.display().to_string()), "{refused}");
    assert!(matches!(open(&path), Err(OpenError::InUse(_))));
    drop(store);
    let mut store = open(&path).unwrap();
    assert_eq!(state(&mut store), before);
    assert_eq!(store.totals().unwrap().messages, 1);
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn files_of_others_and_of_newer_servers_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("foreign");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (a)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), before);
    let text = folder.path().join("text");
    fs::write(&text, "This is a letter and no database. ".repeat(100)).unwrap();
    assert!(matches!(open(&text), Err(OpenError::Foreign(_))));
    let newer = folder.path().join("newer");
    drop(open(&newer).unwrap());
    Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(refusal(&newer).contains("version 99"), "{}", refusal(&newer));
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for no_file in [pipe.as_path(), folder.path()] {
        assert!(matches!(open(no_file), Err(OpenError::Foreign(_))));
    }
    let missing = folder.path().join("no/such/folder");
    assert!(matches!(open(&missing), Err(OpenError::Failed { .. })));
}

#[test]
fn a_store_that_was_copied_back_has_another_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy, plain] = ["store", "copy", "plain"].map(|name| folder.path().join(name));
    let mut store = open(&path).unwrap();
    store.apply(1, &[deliver("a", 10)]).unwrap();
    store.copy_to(&copy).unwrap();
    // A copy never overwrites what is there.
    assert!(store.copy_to(&copy).is_err());
    store.apply(1, &[deliver("b", 10)]).unwrap();
    let (epoch, messages) = state(&mut store);
    assert_eq!(messages, 2);
    drop(store);
    fs::copy(&path, &plain).unwrap();

    fs::copy(&copy, &path).unwrap();
    let mut store = open(&path).unwrap();
    let (restored, messages) = state(&mut store);
    assert_eq!(messages, 1);
    assert_ne!(restored, epoch);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    drop(store);

    // The same holds for a plain copy of the closed file that is put back after the store has gone on.
    fs::copy(&plain, &path).unwrap();
    let mut store = open(&path).unwrap();
    let (again, messages) = state(&mut store);
    assert_eq!(messages, 2);
    assert!(again != epoch && again != restored);
    drop(store);
    let mut store = open(&path).unwrap();
    assert_eq!(state(&mut store).0, again);
}

/// Copies a file while another process, as it were, has it open: to open it here would drop the locks.
fn plain_copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_plain_copy_that_is_put_back_after_a_kill_has_another_epoch_and_a_kill_alone_has_not() {
    let folder = tempfile::tempdir().unwrap();
    let [path, copy] = ["store", "copy"].map(|name| folder.path().join(name));
    let beside = |path: &Path, end: &str| PathBuf::from(format!("{}{end}", path.display()));
    let mut store = open(&path).unwrap();
    store.apply(1, &[deliver("a", 10)]).unwrap();
    let (epoch, _) = state(&mut store);
    for end in ["", "-wal"] {
        plain_copy(&beside(&path, end), &beside(&copy, end));
    }
    store.apply(1, &[deliver("b", 10)]).unwrap();
    // A process that is killed closes nothing.
    let killed = folder.path().join("killed");
    for end in ["", "-wal", "-epoch"] {
        plain_copy(&beside(&path, end), &beside(&killed, end));
    }
    let mut store = open(&killed).unwrap();
    assert_eq!(state(&mut store), (epoch, 2));
    drop(store);

    // The copy is put in the place of what was killed, whose marker is still there.
    for end in ["", "-wal"] {
        plain_copy(&beside(&copy, end), &beside(&killed, end));
    }
    plain_copy(&beside(&path, "-epoch"), &beside(&killed, "-epoch"));
    let mut store = open(&killed).unwrap();
    let (restored, messages) = state(&mut store);
    assert_eq!(messages, 1);
    assert_ne!(restored, epoch);
}

#[test]
fn a_store_of_an_earlier_version_is_brought_to_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let earlier = Connection::open(&path).unwrap();
    earlier.execute_batch(MIGRATIONS[0]).unwrap();
    earlier.pragma_update(None, "application_id", APPLICATION_ID).unwrap();
    earlier.pragma_update(None, "user_version", 1).unwrap();
    earlier.execute_batch("INSERT INTO about VALUES (1, 7, 9)").unwrap();
    fs::write(folder.path().join("store-epoch"), "0000000000000009\n").unwrap();
    let rows = "INSERT INTO uids VALUES (1, CAST('anna' AS BLOB), 7, 2, 0, 0, 1, 5);
        INSERT INTO messages VALUES (1, 1, 'old', 1, 9000000000000, 0, 0, NULL, NULL, CAST('hello' AS BLOB));";
    earlier.execute_batch(rows).unwrap();
    drop(earlier);
    let mut store = open(&path).unwrap();
    store.want_notices(WantedNotices { receipts: true, undelivered_after: Some(1) }).unwrap();
    assert_eq!(state(&mut store).1, 1);
    assert_eq!(store.epoch(), 7);
    let ended = Operation::TellUndelivered { at_most: 10 };
    let outcomes = store.apply(1, &[deliver("new", 1), ended.clone()]).unwrap();
    assert!(matches!(outcomes[0], Outcome::Stored { seq: 2, .. }), "{outcomes:?}");
    // What was stored before there was a watch is not watched.
    store.apply(5, &[ended]).unwrap();
    let ids: Vec<_> = store.notices(10, usize::MAX).unwrap().into_iter().map(|notice| notice.id).collect();
    assert_eq!(ids, ["new".into()]);
    drop(store);
    // A server that wants none gives them up.
    let mut store = open(&path).unwrap();
    assert_eq!(store.totals().unwrap().notices, 1);
    store.want_notices(WantedNotices::default()).unwrap();
    assert_eq!((store.totals().unwrap().notices, store.notices(10, usize::MAX).unwrap()), (0, Vec::new()));
}

#[test]
fn a_full_disk_refuses_the_whole_batch_and_the_store_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("store")).unwrap();
    store.apply(1, &[deliver("a", 10)]).unwrap();
    let pages: u32 = store.connection().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let limit = |store: &SqliteStore, pages: u32| {
        store.connection().pragma_update_and_check(None, "max_page_count", pages, |_| Ok(())).unwrap();
    };
    limit(&store, pages + 2);
    let batch = [deliver("b", 10), deliver("c", 60_000)];
    assert!(matches!(store.apply(1, &batch), Err(StoreError::DiskFull(_))));
    assert_eq!((state(&mut store).1, store.totals().unwrap().messages), (1, 1));
    limit(&store, pages + 1000);
    let outcomes = store.apply(1, &batch).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Stored { dropped: 0, .. })));
    assert_eq!(state(&mut store).1, 3);
}

#[test]
fn a_store_that_cannot_be_written_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(&folder.path().join("store")).unwrap();
    store.apply(1, &[deliver("a", 10)]).unwrap();
    store.connection().pragma_update(None, "query_only", true).unwrap();
    assert!(matches!(store.apply(1, &[deliver("b", 10)]), Err(StoreError::ReadOnly(_))));
    store.connection().pragma_update(None, "query_only", false).unwrap();
    assert!(store.apply(1, &[deliver("b", 10)]).is_ok());
}

#[test]
fn damage_is_found_and_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = open(&path).unwrap();
    let batch: Vec<_> = (0..200).map(|number| deliver(&format!("m{number}"), 3000)).collect();
    store.apply(1, &batch).unwrap();
    store.apply(1, &[Operation::Arrive { uid: Bytes::from_static(UID), device: Device::Shared }]).unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    drop(store);
    let mut bytes = fs::read(&path).unwrap();
    // The pages behind the schema are overwritten, each but for its last bytes.
    for page in bytes.chunks_mut(4096).skip(20) {
        page[..4000].fill(0xa5);
    }
    fs::write(&path, bytes).unwrap();
    // Where so much is damaged, one of the steps finds it; none panics.
    match open(&path) {
        Err(OpenError::Failed { .. }) => {}
        Err(error) => panic!("{error}"),
        Ok(mut store) => {
            assert!(store.check().is_err() || !store.check().unwrap().is_empty());
            let (uid, device) = (Bytes::from_static(UID), Device::Shared);
            let wanted = PageRequest { uid, device, after: 0, messages: 1000, bytes: usize::MAX };
            let read = store.waiting(1, &wanted);
            assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}");
        }
    }
}
