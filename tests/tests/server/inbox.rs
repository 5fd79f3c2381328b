//! Messages for users who are not there: they are on disk before PHP hears that they are kept, and each device gets them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway_tests::{
    Client, FromInbox, PhpPeer, ResumingPage, Server, eventually, field, list, new_producer, server_binary,
    soon, store_folder,
};
use gateway_wire::bridge::{AnswerValue, Order, Producer, Query, Reply, kind};
use gateway_wire::client_protocol::InboxPosition;
use gateway_wire::token::{Claims, TokenKey};
use nix::sys::signal::Signal;
use serde_bytes::Bytes;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::resume::metric;

fn bytes(text: &str) -> &Bytes {
    Bytes::new(text.as_bytes())
}

/// A folder for a store.
struct Store(TempDir);

impl Store {
    fn new() -> anyhow::Result<Self> {
        Ok(Self(store_folder()?))
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("inbox")
    }

    /// Starts a server with the store, and logs in as this PHP process.
    async fn start_as(&self, producer: Producer) -> anyhow::Result<(Server, PhpPeer)> {
        let path = self.path();
        let flags = ["--operations", "127.0.0.1:0", "--shards", "2", "--store", text(&path)];
        let server = Server::start(&flags).await?;
        let php = PhpPeer::connect_as(server.register[0], producer, b"").await?;
        Ok((server, php))
    }

    async fn start(&self) -> anyhow::Result<(Server, PhpPeer)> {
        self.start_as(new_producer()).await
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// Kills a server, and waits until it has let go of its store.
async fn kill(server: &mut Server) -> anyhow::Result<()> {
    server.signal(Signal::SIGKILL)?;
    server.exit().await.map(drop)
}

/// A page of a device that is bound to a uid.
async fn page(server: &Server, php: &mut PhpPeer, device: &str, uid: &str) -> anyhow::Result<ResumingPage> {
    let page = ResumingPage::of_device(server.websocket, device).await?;
    php.bind(page.id()?, uid).await?;
    Ok(page)
}

/// The number of messages that wait for each device of a uid, with its name.
async fn waiting(php: &mut PhpPeer, uid: &str) -> anyhow::Result<Vec<(String, i64)>> {
    let inbox = php.ask(Query::InboxOf { uid: bytes(uid) }).await?;
    Ok(list(field(&inbox, "devices"))
        .iter()
        .filter_map(|device| match (field(device, "device"), field(device, "waiting")) {
            (AnswerValue::Str(name), AnswerValue::Int(count)) => {
                Some((String::from_utf8_lossy(name).into_owned(), *count))
            }
            _ => None,
        })
        .collect())
}

async fn nothing_waits(php: &mut PhpPeer, uid: &str) -> anyhow::Result<()> {
    eventually("messages that wait", 0.0, async || {
        Ok(waiting(php, uid).await?.iter().map(|(_, count)| *count).sum::<i64>() as f64)
    })
    .await
}

#[tokio::test]
async fn what_was_kept_reaches_each_device_once_also_after_a_kill() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (mut server, mut php) = store.start().await?;
    // Nobody has ever been there.
    php.deliver("ann", "m1", "hello").await?;
    php.acked().await?;
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    assert!(matches!(phone.inbox().await?, FromInbox::Message { is_new: false, id, message, .. }
        if id == "m1" && message == "hello"));
    let mut laptop = page(&server, &mut php, "laptop", "ann").await?;
    assert_eq!(laptop.handle().await?, "hello");
    php.deliver("ann", "m2", "second").await?;
    php.acked().await?;
    for page in [&mut phone, &mut laptop] {
        assert!(
            matches!(page.inbox().await?, FromInbox::Message { is_new: true, message, .. } if message == "second")
        );
    }
    // An acknowledgement is on disk a moment later.
    eventually("what waits", vec![("laptop".to_owned(), 1), ("phone".to_owned(), 2)], async || {
        let mut waiting = waiting(&mut php, "ann").await?;
        waiting.sort();
        Ok(waiting)
    })
    .await?;
    kill(&mut server).await?;
    let (server, mut php) = store.start().await?;
    // The phone has acknowledged neither, the laptop the first.
    let mut phone = page(&server, &mut php, "phone", "ann").await?;
    assert_eq!((phone.handle().await?, phone.handle().await?), ("hello".into(), "second".into()));
    let mut laptop = page(&server, &mut php, "laptop", "ann").await?;
    assert_eq!(laptop.handle().await?, "second");
    nothing_waits(&mut php, "ann").await?;
    php.deliver("ann", "m3", "third").await?;
    assert_eq!((phone.handle().await?, laptop.handle().await?), ("third".into(), "third".into()));
    Ok(())
}

#[tokio::test]
async fn an_order_that_is_sent_again_takes_effect_once_even_after_a_kill() -> anyhow::Result<()> {
    let store = Store::new()?;
    let producer = new_producer();
    let (mut server, mut php) = store.start_as(producer).await?;
    php.deliver("ben", "m1", "once").await?;
    php.acked().await?;
    // The store forgets the id, so that only the number of the order tells.
    php.order(Order::Forget { uid: bytes("ben") }).await?;
    php.acked().await?;
    kill(&mut server).await?;
    let (server, mut php) = store.start_as(producer).await?;
    assert_eq!(php.applied, 0);
    php.deliver("ben", "m1", "once").await?;
    php.order(Order::Forget { uid: bytes("nobody") }).await?;
    php.deliver("ben", "m2", "next").await?;
    php.acked().await?;
    let mut page = page(&server, &mut php, "phone", "ben").await?;
    assert_eq!(page.handle().await?, "next");
    Ok(())
}

#[tokio::test]
async fn what_becomes_of_a_message_is_told() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    php.deliver("cat", "m1", "hi").await?;
    let receipt = async |php: &mut PhpPeer| php.ask(Query::Receipt { id: bytes("m1") }).await;
    let before = receipt(&mut php).await?;
    assert!(matches!(field(&list(&before)[0], "stored"), AnswerValue::Int(1..)), "{before:?}");
    assert_eq!(list(field(&list(&before)[0], "devices")), []);
    let mut page = page(&server, &mut php, "phone", "cat").await?;
    let FromInbox::Message { at, .. } = page.inbox().await? else { anyhow::bail!("no message") };
    for (said, what) in [(at.got(), "received"), (at.read(), "read")] {
        page.say_counted(said).await?;
        eventually(what, 1.0, async || {
            let receipt = receipt(&mut php).await?;
            let device = list(field(&list(&receipt)[0], "devices")).first();
            Ok(device.map_or(0.0, |device| f64::from(matches!(field(device, what), AnswerValue::Int(1..)))))
        })
        .await?;
    }
    assert_eq!(php.ask(Query::Receipt { id: bytes("unknown") }).await?, AnswerValue::List(vec![]));
    assert_eq!(php.ask(Query::InboxOf { uid: bytes("unknown") }).await?, AnswerValue::Null);
    Ok(())
}

#[tokio::test]
async fn plain_clients_get_what_waits_and_what_is_new() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    for number in 0..200 {
        php.deliver("dan", &format!("m{number}"), &format!("message {number}")).await?;
    }
    php.acked().await?;
    let mut client = Client::connect(server.websocket).await?;
    php.bind(client.id, "dan").await?;
    for number in 0..200 {
        assert_eq!(
            client.text().await.with_context(|| format!("message {number}"))?,
            format!("message {number}")
        );
    }
    php.deliver("dan", "new", "new").await?;
    assert_eq!(client.text().await.context("what is new")?, "new");
    nothing_waits(&mut php, "dan").await?;
    assert_eq!(waiting(&mut php, "dan").await?, [(String::new(), 0)]);
    // Another client gets only what is new.
    let mut other = Client::connect(server.websocket).await?;
    php.bind(other.id, "dan").await?;
    php.deliver("dan", "newer", "newer").await?;
    assert_eq!(client.text().await.context("at the first")?, "newer");
    assert_eq!(other.text().await.context("at the second")?, "newer");
    Ok(())
}

#[tokio::test]
async fn a_page_that_is_cut_gets_each_message_once() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    let mut page = page(&server, &mut php, "phone", "eve").await?;
    let mut handled = Vec::new();
    for round in 0..10 {
        for number in 0..20 {
            php.deliver("eve", &format!("m{round}-{number}"), &format!("{round}-{number}")).await?;
        }
        php.acked().await?;
        for _ in 0..7 {
            handled.push(page.handle().await?);
        }
        page.reset()?;
        page.come_back(server.websocket).await?;
    }
    while handled.len() < 200 {
        handled.push(page.handle().await?);
    }
    let expected: Vec<_> =
        (0..10).flat_map(|round| (0..20).map(move |number| format!("{round}-{number}"))).collect();
    assert_eq!(handled, expected);
    nothing_waits(&mut php, "eve").await
}

#[tokio::test]
async fn a_page_does_not_wait_for_another_that_has_lost_its_connection() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    php.deliver("fred", "m1", "waits").await?;
    php.acked().await?;
    let mut first = page(&server, &mut php, "phone", "fred").await?;
    assert!(matches!(first.inbox().await?, FromInbox::Message { id, .. } if id == "m1"));
    let mut second = page(&server, &mut php, "phone", "fred").await?;
    let start = std::time::Instant::now();
    first.reset()?;
    assert_eq!(second.handle().await?, "waits");
    // A page that does nothing is waited for ten seconds.
    assert!(start.elapsed() < std::time::Duration::from_secs(8), "{:?}", start.elapsed());
    nothing_waits(&mut php, "fred").await
}

#[tokio::test]
async fn pages_acknowledge_for_their_own_uid_alone() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    let mut victim = page(&server, &mut php, "phone", "vera").await?;
    php.deliver("vera", "m1", "first").await?;
    let FromInbox::Message { at, .. } = victim.inbox().await? else { anyhow::bail!("no message") };
    let mut stranger = page(&server, &mut php, "phone", "sam").await?;
    for said in [at.got(), at.read()] {
        stranger.say_counted(said).await?;
    }
    // The victim claims more than it was sent, which counts for what it was sent alone.
    victim.say_counted(InboxPosition { seq: at.seq + 10, ..at }.got()).await?;
    php.deliver("sam", "m2", "for sam").await?;
    assert_eq!(stranger.handle().await?, "for sam");
    nothing_waits(&mut php, "vera").await?;
    victim.close(1000).await?;
    php.deliver("vera", "m3", "second").await?;
    php.acked().await?;
    assert_eq!(waiting(&mut php, "vera").await?, [("phone".to_owned(), 1)]);
    let receipt = php.ask(Query::Receipt { id: bytes("m1") }).await?;
    assert_eq!(field(&list(field(&list(&receipt)[0], "devices"))[0], "read"), &AnswerValue::Null);
    let mut victim = page(&server, &mut php, "phone", "vera").await?;
    assert_eq!(victim.handle().await?, "second");
    Ok(())
}

#[tokio::test]
async fn made_up_devices_displace_none_that_a_token_has_named() -> anyhow::Result<()> {
    const KEY: &str = "a key for the tokens of pages";
    let store = Store::new()?;
    let server = Server::start_with(|command| {
        command.arg("--store").arg(store.path()).env("GATEWAY_TOKEN_KEY", KEY);
    })
    .await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    let claims = Claims { uid: "tom".to_owned(), expires: u64::MAX / 4, ..Claims::default() };
    let signed = Claims { device: Some("a phone, signed".to_owned()), ..claims.clone() };
    let [token, signed] =
        [claims, signed].map(|claims| TokenKey::new(KEY.as_bytes()).mint(&claims).unwrap_or_default());
    let connect = async |token: &str, device: &str| {
        let mut page = ResumingPage::default();
        let tcp = soon("connecting", TcpStream::connect(server.websocket)).await??;
        page.over(tcp, &format!("/?token={token}&device={device}"), &[]).await?;
        anyhow::Ok(page)
    };
    // The name in the token counts, whatever the page says.
    let mut phone = connect(&signed, "other").await?;
    php.deliver("tom", "m1", "hello").await?;
    assert_eq!(phone.handle().await?, "hello");
    for number in 0..30 {
        connect(&token, &format!("made-up-{number}")).await?.close(1000).await?;
    }
    eventually("devices", 10, async || Ok(waiting(&mut php, "tom").await?.len())).await?;
    let names: Vec<_> = waiting(&mut php, "tom").await?.into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"a phone, signed".to_owned()), "{names:?}");
    Ok(())
}

#[tokio::test]
async fn what_is_no_text_is_refused() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (_server, mut php) = store.start().await?;
    let (ttl, replace, for_new_devices) = (60, None, false);
    let (uid, id, message) = (bytes("gil"), bytes("m1"), Bytes::new(b"\xff\xfe"));
    for kind in [kind::USUAL, kind::BINARY] {
        php.order(Order::Deliver { uid, id, message, ttl, replace, for_new_devices, kind }).await?;
        let Reply::Error { seq, message } = php.reply().await? else { anyhow::bail!("no error") };
        assert!(seq == php.seq && message.contains("not UTF-8"), "{message}");
        php.acked().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_upgrade_hands_the_store_over() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (mut server, mut php) = store.start().await?;
    let mut page = page(&server, &mut php, "phone", "fay").await?;
    php.deliver("fay", "m1", "before").await?;
    php.acked().await?;
    assert_eq!(page.handle().await?, "before");
    php.deliver("fay", "m2", "unacknowledged").await?;
    assert!(matches!(page.inbox().await?, FromInbox::Message { is_new: true, id, .. } if id == "m2"));
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    // The new process does not know whether the page has this one, which says that it may have been sent before.
    assert!(matches!(page.inbox().await?, FromInbox::Message { is_new: false, id, .. } if id == "m2"));
    php.deliver("fay", "m3", "after").await?;
    assert_eq!(page.handle().await?, "after");
    nothing_waits(&mut php, "fay").await
}

/// The threads of the store that a server has.
fn threads(server: &Server) -> anyhow::Result<usize> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid()?))?;
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    Ok(names.filter(|name| name.trim() == "inbox").count())
}

/// The outbox of a plain client goes on with it, so what is in there is not sent again.
#[tokio::test]
async fn an_upgrade_sends_no_plain_client_anything_twice() -> anyhow::Result<()> {
    const MESSAGES: usize = 20;
    let store = Store::new()?;
    let (mut server, mut php) = store.start().await?;
    let mut client = Client::connect(server.websocket).await?;
    php.bind(client.id, "lea").await?;
    // The client reads nothing, and its kernel takes no more.
    let filler = "f".repeat(1 << 20);
    for _ in 0..12 {
        php.send_to_uid("lea", &filler).await?;
    }
    for number in 0..MESSAGES {
        php.deliver("lea", &format!("m{number}"), &format!("message {number}")).await?;
    }
    php.acked().await?;
    eventually("what waits", MESSAGES as i64, async || Ok(waiting(&mut php, "lea").await?[0].1)).await?;
    server.upgrade().await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.deliver("lea", "last", "last").await?;
    let mut got = Vec::new();
    while got.last().is_none_or(|text| text != "last") {
        let text = client.text().await?.to_string();
        if text != filler {
            got.push(text);
        }
    }
    let sent = (0..MESSAGES).map(|number| format!("message {number}")).chain(["last".to_owned()]);
    assert_eq!(got, sent.collect::<Vec<_>>());
    nothing_waits(&mut php, "lea").await
}

#[tokio::test]
async fn a_server_without_a_store_says_so() -> anyhow::Result<()> {
    let store = Store::new()?;
    let server = Server::start(&[]).await?;
    let mut php = PhpPeer::connect(server.register[0]).await?;
    php.deliver("gus", "m1", "lost?").await?;
    let Reply::Error { seq: 1, message } = php.reply().await? else { anyhow::bail!("no error") };
    assert!(message.contains("its setting `store` names no file"), "{message}");
    let error = php.ask(Query::InboxOf { uid: bytes("gus") }).await.unwrap_err().to_string();
    assert!(error.contains("`store`"), "{error}");
    // Who does not use it has neither its thread nor its file.
    let (with, _) = store.start().await?;
    // A thread names itself once it runs.
    eventually("threads", (0, 1), async || Ok((threads(&server)?, threads(&with)?))).await?;
    let open_files = |server: &Server| -> anyhow::Result<usize> {
        let links = std::fs::read_dir(format!("/proc/{}/fd", server.pid()?))?;
        let targets = links.filter_map(|link| std::fs::read_link(link.ok()?.path()).ok());
        Ok(targets.filter(|target| target.starts_with(store.0.path())).count())
    };
    assert!(open_files(&server)? == 0 && open_files(&with)? > 0);
    Ok(())
}

#[tokio::test]
async fn two_servers_do_not_share_a_store() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (mut server, _php) = store.start().await?;
    let mut command = tokio::process::Command::new(server_binary()?);
    command.args(["--websocket", "127.0.0.1:0", "--register", "127.0.0.1:0", "--store", text(&store.path())]);
    let refused = soon("the end of the other server", command.kill_on_drop(true).output()).await??;
    let log = String::from_utf8(refused.stderr)?;
    assert!(log.contains("`store`: another process has") && !refused.status.success(), "{log}");
    kill(&mut server).await?;
    store.start().await.map(drop)
}

/// What a command of the program prints, and whether it succeeds.
async fn command(arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let mut command = tokio::process::Command::new(server_binary()?);
    let output = soon("a command", command.args(arguments).kill_on_drop(true).output()).await??;
    let printed = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8(printed)?))
}

#[tokio::test]
async fn operators_see_what_waits_and_have_it_forgotten() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (server, mut php) = store.start().await?;
    for number in 0..3 {
        php.deliver("hal", &format!("m{number}"), "hello").await?;
    }
    php.deliver("ivy", "m1", "you").await?;
    php.acked().await?;
    let mut page = page(&server, &mut php, "phone", "hal").await?;
    assert_eq!(page.handle().await?, "hello");
    let operations = server.operations.map(|address| address.to_string()).unwrap_or_default();
    let ask =
        async |what: &[&str]| command(&[&["inbox"], what, &["--operations", &operations]].concat()).await;
    let (done, listed) = ask(&["list"]).await?;
    let lines: Vec<Vec<&str>> = listed.lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(done && lines.contains(&vec!["1", "3", "ivy"]) && listed.ends_with("2 uids\n"), "{listed}");
    let (_, first) = ask(&["list", "--limit", "1", "--json"]).await?;
    let first: serde_json::Value = serde_json::from_str(&first)?;
    assert_eq!((&first["uids"][0]["uid"], &first["has_more"]), (&"hal".into(), &true.into()));
    let (done, shown) = ask(&["show", "hal"]).await?;
    assert!(done && shown.contains("phone") && shown.contains("messages, "), "{shown}");
    assert_eq!(ask(&["show", "nobody"]).await?, (true, "nothing is kept of the uid nobody\n".to_owned()));
    assert_eq!(ask(&["purge", "hal"]).await?, (true, "everything of the uid hal is forgotten\n".to_owned()));
    // The page that is there is a device of a new inbox.
    let (_, shown) = ask(&["show", "hal"]).await?;
    assert!(shown.starts_with("0 messages, 0 bytes\n"), "{shown}");
    for (name, expected) in [("gateway_inbox_stored_total", 4.0), ("gateway_inbox_working", 1.0)] {
        assert_eq!(metric(&server, name).await?, expected, "{name}");
    }
    let (done, status) = command(&["status", "--operations", &operations]).await?;
    assert!(
        done && status.lines().any(|line| line.starts_with("inbox ") && line.contains(" waiting, of 2 uids")),
        "{status}"
    );
    let path = store.path();
    let (done, refused) = command(&["inbox", "check", text(&path)]).await?;
    assert!(!done && refused.contains("another process has"), "{refused}");
    Ok(())
}

#[tokio::test]
async fn a_backup_is_checked_and_restored() -> anyhow::Result<()> {
    let store = Store::new()?;
    let (mut server, mut php) = store.start().await?;
    php.deliver("jim", "m1", "backed up").await?;
    php.acked().await?;
    server.signal(Signal::SIGTERM)?;
    assert!(server.exit().await?.success());
    let (path, copy) = (store.path(), store.0.path().join("copy"));
    let (done, said) = command(&["inbox", "check", text(&path)]).await?;
    assert!(done && said.ends_with("nothing is wrong; 1 message wait, of 1 uid\n"), "{said}");
    assert!(command(&["inbox", "copy", text(&path), text(&copy)]).await?.0);
    let (done, said) = command(&["inbox", "copy", text(&path), text(&copy)]).await?;
    assert!(!done && said.contains("exists"), "{said}");
    for left in std::fs::read_dir(store.0.path())? {
        let left = left?.path();
        if left != copy {
            std::fs::remove_file(left)?;
        }
    }
    std::fs::rename(&copy, &path)?;
    let (server, mut php) = store.start().await?;
    let mut page = page(&server, &mut php, "phone", "jim").await?;
    assert_eq!(page.handle().await?, "backed up");
    let (done, said) = command(&["inbox", "check", "/no/such/file"]).await?;
    assert!(!done && said.contains("there is no /no/such/file"), "{said}");
    Ok(())
}

/// Waits for the reply to the newest order: why it failed, or nothing.
async fn outcome(php: &mut PhpPeer) -> anyhow::Result<Option<String>> {
    loop {
        match php.reply().await? {
            Reply::Error { seq, message } if seq == php.seq => return Ok(Some(message)),
            Reply::Ack { seq } if seq >= php.seq => return Ok(None),
            Reply::Ack { .. } | Reply::Error { .. } => {}
            other => anyhow::bail!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_again_over_the_next_connection_and_of_no_other_order() -> anyhow::Result<()> {
    let store = Store::new()?;
    let producer = new_producer();
    let (server, mut php) = store.start_as(producer).await?;
    let path = store.path();
    let away = store.0.path().join("away");
    std::fs::rename(&path, &away)?;
    php.deliver("kim", "m1", "refused").await?;
    assert!(outcome(&mut php).await?.is_some_and(|why| why.contains("is gone")));
    std::fs::rename(&away, &path)?;
    let mut kept = 0;
    while kept < 3 {
        php.deliver("kim", &format!("m{}", php.seq + 1), "kept").await?;
        kept += usize::from(outcome(&mut php).await?.is_none());
    }
    let last = php.seq;
    // PHP has heard of nothing when its connection is lost, so it sends all of it again.
    let mut php = PhpPeer::connect_as(server.register[0], producer, b"").await?;
    assert_eq!(php.applied, 0);
    let (mut refused, mut done) = (Vec::new(), 0);
    for seq in 1..=last {
        php.deliver("kim", &format!("m{seq}"), "again").await?;
        match outcome(&mut php).await? {
            Some(_) => refused.push(seq),
            None => done += 1,
        }
    }
    assert_eq!((refused.len() + done, done), (usize::try_from(last)?, 3), "{refused:?} of {last}");
    assert!(refused.starts_with(&[1]), "{refused:?}");
    let inbox = php.ask(Query::InboxOf { uid: bytes("kim") }).await?;
    assert_eq!(field(&inbox, "messages"), &AnswerValue::Int(3));
    Ok(())
}
