//! The page's end in php/client/gateway.js does what the state machine in Rust does: traces of the latter, made over wires that are cut at
//! any moment, are replayed by tests/js/client_traces.mjs. A trace follows from its seed, which a failure names.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU32;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use gateway_tests::{Rng, root, skip};
use gateway_wire::ClientId;
use gateway_wire::client_protocol::{
    AskId, ClientEnd, GapReason, Header, InboxLoss, InboxPosition, Init, Opened, Received, ResumeOffer,
    ResumeSecret, SeenAfter, ServerEnd, Text, escape, inbox_message,
};
use serde_json::{Map, Value, json};
use tempfile::NamedTempFile;
use tokio::process::Command;

const TRACES: u64 = 400;

/// The most unseen messages that the server keeps, so that traces reach it.
const KEPT: u64 = 100;

/// The most attempts in a row that fail before they are open. gateway.js makes each fourth one without the subprotocol.
const REFUSED: u64 = 2;

/// What a server cannot mean.
const MALFORMED: [&str; 16] = [
    "gateway:seen",
    "gateway:seen -1",
    "gateway:seen 01",
    "gateway:seen 1 ",
    "gateway:ping 1",
    "gateway:pong ",
    "gateway:=ask ",
    "gateway:=ask 00000000000000ff",
    "gateway:=ask 00000000000000fF x",
    "gateway:=answer 0 x",
    "gateway:=inbox old 0000000000000abc 1 id x",
    "gateway:=inbox new 0000000000000abc 0 id x",
    "gateway:=inbox kept 0000000000000abc 1  x",
    "gateway:=lost 0000000000000abc",
    "gateway:=got 0000000000000abc 01",
    "gateway:=read abc 1",
];

/// The inbox of the client's uid.
const EPOCH: u64 = 0xabc;

/// Control that says nothing of counts.
const CONTROL: [&str; 5] = ["gateway:ping", "gateway:pong", "gateway:", "gateway:later 7", "gateway:seen64"];

/// What traces must have besides a gap of each reason.
const KINDS: [&str; 28] = [
    "connect",
    "refuse",
    "init",
    "message",
    "send",
    "a question",
    "answer",
    "an answer waits",
    "an answer comes after a gap",
    "an answer cannot be kept",
    "a message of the inbox",
    "a message of the inbox comes twice",
    "messages of the inbox were lost",
    "due",
    "cut",
    "abandon",
    "reload",
    "an init is lost",
    "something of the page is lost",
    "a message waits",
    "messages are sent again",
    "a message makes the page say seen",
    "gap without a reason",
    "an init with a malformed secret",
    "an init that confirms too much",
    "a count goes back",
    "a count is too large",
    "control is malformed",
];

/// A message from the server to the page, as it is on the wire.
#[derive(Clone)]
enum Frame {
    Text(String),
    Binary(usize),
}

/// One connection: what is under way in both directions. An init stands at the start of what goes to the page.
struct Wire {
    init: Option<Init>,
    to_page: VecDeque<Frame>,
    to_server: VecDeque<String>,
}

/// Both ends, and what the page's end has done.
struct World {
    rng: Rng,
    /// Milliseconds since the start.
    now: u64,
    /// Whether inits bring secrets.
    has_secrets: bool,
    /// The client that the server has, with the connection number in its id.
    server: Option<(u32, ServerEnd<Frame>)>,
    /// Why each client that was there before has ended, by its connection number less one.
    ended: Vec<GapReason>,
    /// The page's end, which keeps messages as they are on the wire.
    page: ClientEnd<String>,
    wire: Option<Wire>,
    /// The questions that the page has not answered: those that its client was asked, and those of the clients before.
    asked: Vec<AskId>,
    too_late: Vec<AskId>,
    /// The number of the last message that was sent to the inbox, and of the last one that came from there, or 0.
    delivered: u64,
    handled: u64,
    /// Whether the page knows that the server speaks `gateway.2`. Before that it takes no messages.
    is_known: bool,
    /// Number of attempts in a row that have failed before they were open.
    refused: u64,
    /// Number of messages that each side has sent.
    pushed: usize,
    said: usize,
    steps: Vec<Value>,
    /// How often each kind of step and outcome is there.
    kinds: BTreeMap<String, usize>,
}

fn client(number: u32) -> ClientId {
    ClientId::new(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1238), number)
}

/// A length about the bytes after which the page says what it has seen.
fn long(rng: &mut Rng) -> usize {
    let bytes = SeenAfter::PAGE.bytes;
    [bytes / 2 + 1, bytes - 1, bytes][rng.below(3)]
}

/// The secrets of the client with this connection number.
fn secrets(client: u32) -> impl Fn(NonZeroU32) -> ResumeSecret {
    move |number| {
        let mut random = [0; 16];
        random[..4].copy_from_slice(&number.get().to_be_bytes());
        ResumeSecret::new(self::client(client), random)
    }
}

/// A message of a page. Some look like control.
fn said(number: usize) -> String {
    match number % 6 {
        0 => format!("gateway:seen {number}"),
        1 => format!("gateway:= {number}"),
        2 => format!("音乐 {number}"),
        3 => format!(r#"{{"type":"said","number":{number}}}"#),
        _ => format!("message {number}"),
    }
}

/// The application's message in a text of the page, or `None` for an answer.
fn application(text: &str) -> Option<&str> {
    match Text::parse(text) {
        Ok(Text::Application(message)) => Some(message),
        _ => None,
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        Self {
            has_secrets: rng.below(8) > 0,
            rng,
            now: 0,
            server: None,
            ended: Vec::new(),
            page: ClientEnd::default(),
            wire: None,
            asked: Vec::new(),
            too_late: Vec::new(),
            delivered: 0,
            handled: 0,
            is_known: false,
            refused: 0,
            pushed: 0,
            said: 0,
            steps: Vec::new(),
            kinds: BTreeMap::new(),
        }
    }

    fn note(&mut self, kind: &str) {
        *self.kinds.entry(kind.to_owned()).or_default() += 1;
    }

    /// Writes down a step, with the state of the page's end after it.
    fn step(&mut self, kind: &str, fields: Value) {
        self.note(kind);
        let of_page = || self.page.unconfirmed().chain(self.page.waiting());
        let state = json!({
            "do": kind,
            "at": self.now,
            "taken": self.page.taken(),
            "confirmed": self.page.confirmed(),
            "unconfirmed": self.page.unconfirmed().count(),
            "waiting": self.page.waiting().count(),
            "weight": of_page().map(|text| 2 * text.encode_utf16().count()).sum::<usize>(),
            "offer": self.page.offer().map(|offer| offer.to_subprotocol()),
        });
        let objects = [state, fields].map(|object| object.as_object().cloned().unwrap_or_default());
        self.steps.push(Value::Object(objects.into_iter().flatten().collect::<Map<_, _>>()));
    }

    /// Ends the connection. `kind` says by whom.
    fn cut(&mut self, kind: &str) {
        let Some(wire) = self.wire.take() else { return };
        self.page.cut();
        if wire.init.is_some() {
            self.note("an init is lost");
        }
        if !wire.to_server.is_empty() {
            self.note("something of the page is lost");
        }
        self.step(kind, json!({}));
    }

    fn end(&mut self, reason: GapReason) {
        if self.server.take().is_some() {
            self.ended.push(reason);
            self.cut("cut");
        }
    }

    /// Sends one message of the application, or several at once.
    fn push(&mut self) {
        let count = if self.rng.below(30) == 0 { self.rng.below(80) } else { 1 };
        for _ in 0..count {
            let Some((number, server)) = &mut self.server else { return };
            self.pushed += 1;
            let pushed = self.pushed;
            let escaped = |text: String| Frame::Text(escape(&text).into_owned());
            let frame = match pushed % 15 {
                0 => escaped(format!("gateway:seen {pushed}")),
                1 => escaped(format!("gateway:= {pushed}")),
                2 => escaped(format!(r#"{{"type":"pushed","number":{pushed}}}"#)),
                3 => escaped(json!({"type": "init", "client_id": client(*number).to_string()}).to_string()),
                4 => escaped(r#"{"type":"init","client_id":"another"}"#.to_owned()),
                5 => escaped(String::new()),
                6 => escaped(format!("音乐 {pushed}")),
                // Its receiver does not know the header.
                7 => Frame::Text(format!("gateway:=later {pushed} x")),
                8 => Frame::Binary(pushed % 100),
                9 if self.rng.below(4) == 0 => Frame::Binary(long(&mut self.rng)),
                // A trace has the text itself, so there are few.
                10 if self.rng.below(32) == 0 => escaped("x".repeat(long(&mut self.rng))),
                11 => {
                    let question = match self.rng.below(4) {
                        0 => format!(r#"{{"type":"init","number":{pushed}}}"#),
                        1 => format!("gateway:= {pushed}"),
                        2 => String::new(),
                        _ => format!("{pushed}"),
                    };
                    let text = AskId(pushed as u64).question(question.as_bytes());
                    Frame::Text(String::from_utf8_lossy(&text).into_owned())
                }
                // The server never answers, and a page that is told so ignores it.
                12 if self.rng.below(4) == 0 => Frame::Text(AskId(pushed as u64).answer("nothing")),
                // The server may believe that a message has not come, and sends it again.
                13 => {
                    let is_double = self.rng.below(4) == 0 && self.delivered > 0;
                    let number = if is_double { self.delivered } else { pushed as u64 };
                    self.delivered = number;
                    let message = match number % 3 {
                        0 => format!(r#"{{"type":"delivered","number":{number}}}"#),
                        1 => String::new(),
                        _ => format!("gateway:= {number}"),
                    };
                    let at = InboxPosition { epoch: EPOCH, seq: number };
                    let text = inbox_message(!is_double, at, &format!("id-{number}"), message.as_bytes());
                    Frame::Text(String::from_utf8_lossy(&text).into_owned())
                }
                14 if self.rng.below(4) == 0 => {
                    Frame::Text(InboxLoss { epoch: EPOCH, count: pushed as u64 }.to_string())
                }
                _ => escaped(format!("message {pushed}")),
            };
            server.send(frame.clone(), 1, 8, |_| 8);
            if let Some(wire) = &mut self.wire {
                wire.to_page.push_back(frame);
            }
            if server.kept() > KEPT {
                self.end(GapReason::Overflow);
            }
        }
    }

    fn say(&mut self) {
        if !self.is_known {
            return;
        }
        self.said += 1;
        let text = said(self.said);
        let sent = escape(&text).into_owned();
        let mut says = Vec::new();
        if self.page.send(sent.clone()) {
            says.push(sent);
        } else {
            self.note("a message waits");
        }
        self.says(&says);
        self.step("send", json!({"text": text, "says": says}));
    }

    /// Answers one of the questions that have come, which is too late for those that another client was asked.
    fn answer(&mut self) {
        let is_too_late = !self.too_late.is_empty() && self.rng.below(2) == 0;
        let questions = if is_too_late { &mut self.too_late } else { &mut self.asked };
        if questions.is_empty() {
            return;
        }
        let id = questions.swap_remove(self.rng.below(questions.len()));
        self.said += 1;
        let text = said(self.said);
        let is_open = self.wire.as_ref().is_some_and(|wire| wire.init.is_none());
        let can_keep = is_open || self.page.offer().is_some();
        let is_taken = can_keep && !is_too_late;
        let mut says = Vec::new();
        if is_too_late {
            self.note("an answer comes after a gap");
        } else if !can_keep {
            self.note("an answer cannot be kept");
        } else if self.page.answer(id.answer(&text)) {
            says.push(id.answer(&text));
        } else {
            self.note("an answer waits");
        }
        self.says(&says);
        self.step("answer", json!({"id": id.to_string(), "text": text, "isTaken": is_taken, "says": says}));
    }

    fn says(&mut self, says: &[String]) {
        if let Some(wire) = &mut self.wire {
            wire.to_server.extend(says.iter().cloned());
        }
    }

    /// Has the page connect anew, even while it has a connection, in which the server still believes.
    fn connect(&mut self) -> anyhow::Result<()> {
        self.cut("abandon");
        let offer = self.page.offer();
        // The offer goes over the wire as text.
        let offer = match offer {
            Some(offer) => ResumeOffer::from_subprotocol(&offer.to_subprotocol()).transpose()?,
            None => None,
        };
        let resumed = match (&mut self.server, &offer) {
            (_, None) => Err(None),
            (Some((number, server)), Some(offer)) if offer.secret.client() == client(*number) => {
                server.resume(offer, secrets(*number), |_| 8).map_err(Some)
            }
            (_, Some(offer)) => Err(Some(self.ended[offer.secret.client().connection as usize - 1])),
        };
        if resumed.is_err() {
            if self.server.take().is_some() {
                self.ended.push(GapReason::Expired);
            }
            let secret = NonZeroU32::new(self.rng.draw() as u32).unwrap_or(NonZeroU32::MIN);
            self.server = Some((self.ended.len() as u32 + 1, ServerEnd::new(secret)));
        }
        let (number, server) = self.server.as_mut().context("there is a client")?;
        let secret = secrets(*number)(server.latest_secret());
        let init = Init {
            client_id: client(*number).to_string(),
            proof: String::new(),
            resume: self.has_secrets.then(|| secret.to_text()),
            seen: server.taken(),
            resumed: resumed.is_ok(),
            missed: server.missed(),
            reason: resumed.err().flatten(),
        };
        let to_page = server.unseen().1.map(|(frame, _)| frame.clone()).collect();
        self.wire = Some(Wire { init: Some(init), to_page, to_server: VecDeque::new() });
        (self.is_known, self.refused) = (true, 0);
        self.step("connect", json!({}));
        Ok(())
    }

    /// An attempt of the page fails before it is open.
    fn refuse(&mut self) {
        if self.is_known && self.refused < REFUSED {
            self.cut("abandon");
            self.refused += 1;
            self.step("refuse", json!({}));
        }
    }

    /// Another page of the tab goes on, from what the one before has left.
    fn reload(&mut self) -> anyhow::Result<()> {
        self.wire = None;
        self.page.cut();
        self.asked.clear();
        self.too_late.clear();
        self.refused = 0;
        if self.page.offer().is_none() {
            self.page = ClientEnd::default();
            self.is_known = false;
            self.handled = 0;
        }
        self.step("reload", json!({}));
        self.connect()
    }

    fn page_receives(&mut self) -> anyhow::Result<()> {
        let Some(wire) = &mut self.wire else { return Ok(()) };
        if let Some(init) = wire.init.take() {
            return self.page_opens(&init);
        }
        let Some(frame) = wire.to_page.pop_front() else { return Ok(()) };
        let now = Duration::from_millis(self.now);
        let mut acknowledgement = None;
        let (mut fields, reply) = match &frame {
            Frame::Text(text) => {
                let Received { message, header, reply } = self.page.receive(text, now)?;
                let mut fields = json!({"text": text, "message": message});
                match header {
                    Some(Header::Ask(id, question)) => {
                        fields["question"] = json!({"id": id.to_string(), "text": question});
                        self.asked.push(id);
                        self.note("a question");
                    }
                    Some(Header::Inbox(message)) => {
                        let is_double = message.at.seq <= self.handled;
                        self.handled = self.handled.max(message.at.seq);
                        fields["inbox"] = json!({
                            "isNew": message.is_new,
                            "epoch": format!("{EPOCH:016x}"),
                            "seq": message.at.seq,
                            "id": message.id,
                            "data": message.message,
                        });
                        fields["isDouble"] = json!(is_double);
                        acknowledgement = Some(message.at.got());
                        self.note(if is_double {
                            "a message of the inbox comes twice"
                        } else {
                            "a message of the inbox"
                        });
                    }
                    Some(Header::Lost(loss)) => {
                        fields["lost"] = json!(loss.count);
                        self.note("messages of the inbox were lost");
                    }
                    _ => {}
                }
                (fields, reply)
            }
            Frame::Binary(length) => {
                (json!({"binary": length, "message": length}), self.page.receive_binary(*length, now))
            }
        };
        let mut says: Vec<_> = reply.iter().map(ToString::to_string).collect();
        // The page of a trace handles messages at once.
        if let Some(got) = acknowledgement {
            self.page.send(got.clone());
            says.push(got);
        }
        self.says(&says);
        if reply.is_some() && fields["message"] != Value::Null {
            self.note("a message makes the page say seen");
        }
        fields["says"] = json!(says);
        self.step("message", fields);
        Ok(())
    }

    fn page_opens(&mut self, init: &Init) -> anyhow::Result<()> {
        let (opened, seen, again) = self.page.open(init)?;
        let says: Vec<_> = [seen.to_string()].into_iter().chain(again.iter().cloned()).collect();
        self.says(&says);
        let event = match opened {
            Opened::First => Value::Null,
            Opened::Recovered { missed } => {
                if !again.is_empty() {
                    self.note("messages are sent again");
                }
                json!({"type": "recovered", "missed": missed})
            }
            Opened::Gap { reason, unconfirmed } => {
                self.note(&format!("gap {}", reason.map_or("without a reason", GapReason::word)));
                self.too_late.append(&mut self.asked);
                // Another user may be here, for whom the page forgets what has come.
                if reason == Some(GapReason::Identity) {
                    self.handled = 0;
                }
                let unconfirmed: Vec<_> = unconfirmed.iter().filter_map(|text| application(text)).collect();
                json!({"type": "gap", "reason": reason, "unconfirmed": unconfirmed})
            }
        };
        let text = serde_json::to_string(&init)?;
        self.step("init", json!({"text": text, "says": says, "event": event}));
        Ok(())
    }

    fn server_receives(&mut self) -> anyhow::Result<()> {
        let (Some(wire), Some((_, server))) = (&mut self.wire, &mut self.server) else { return Ok(()) };
        let Some(text) = wire.to_server.pop_front() else { return Ok(()) };
        let received = server.receive(&text, Duration::from_millis(self.now), |_| 8)?;
        wire.to_page.extend(received.reply.map(|reply| Frame::Text(reply.to_string())));
        Ok(())
    }

    /// Lets time pass. The page says what is due in the millisecond in which it is.
    fn pass(&mut self, milliseconds: usize) {
        for _ in 0..milliseconds {
            self.now += 1;
            let now = Duration::from_millis(self.now);
            let is_open = self.wire.as_ref().is_some_and(|wire| wire.init.is_none());
            if is_open && let Some(due) = self.page.due(now) {
                let says = [due.to_string()];
                self.says(&says);
                self.step("due", json!({"says": says}));
            }
            if let (Some(wire), Some((_, server))) = (&mut self.wire, &mut self.server)
                && let Some(due) = server.due(now)
            {
                wire.to_page.push_back(Frame::Text(due.to_string()));
            }
        }
    }

    fn act(&mut self) -> anyhow::Result<()> {
        let time = if self.rng.below(20) == 0 { 6000 } else { 200 };
        let time = self.rng.below(time);
        self.pass(time);
        match self.rng.below(100) {
            0..20 => self.push(),
            20..32 => self.say(),
            32..36 => self.answer(),
            36..62 => self.page_receives()?,
            62..80 => self.server_receives()?,
            80..84 => self.cut("cut"),
            84..91 => self.connect()?,
            91..93 => self.refuse(),
            93 => self.reload()?,
            94..97 => {
                let control = CONTROL[self.rng.below(CONTROL.len())];
                if let Some(wire) = &mut self.wire {
                    wire.to_page.push_back(Frame::Text(control.to_owned()));
                }
            }
            97 => {
                let reason = GapReason::ALL[self.rng.below(GapReason::ALL.len())];
                self.end(reason);
            }
            // What is under way arrives, so that long runs of messages come too.
            _ => {
                for _ in 0..self.rng.below(150) {
                    self.page_receives()?;
                    self.server_receives()?;
                }
            }
        }
        Ok(())
    }

    /// Ends the trace with something that a server cannot mean.
    fn lie(&mut self) -> anyhow::Result<()> {
        let choice = self.rng.below(3);
        let confirmed = self.page.confirmed();
        let beyond = confirmed + self.page.unconfirmed().count() as u64 + 1;
        let Some(wire) = &mut self.wire else { return Ok(()) };
        let (kind, text) = if let Some(mut init) = wire.init.take() {
            let kind = match choice {
                0 => {
                    init.resume = Some("x".to_owned());
                    "an init with a malformed secret"
                }
                _ => {
                    (init.resumed, init.seen) = (true, beyond);
                    "an init that confirms too much"
                }
            };
            ensure!(self.page.open(&init).is_err(), "{init:?} is taken");
            (kind, serde_json::to_string(&init)?)
        } else {
            let (kind, text) = match choice {
                0 if confirmed > 0 => ("a count goes back", format!("gateway:seen {}", confirmed - 1)),
                1 => ("a count is too large", format!("gateway:seen {beyond}")),
                _ => ("control is malformed", MALFORMED[self.rng.below(MALFORMED.len())].to_owned()),
            };
            let taken = self.page.receive(&text, Duration::from_millis(self.now));
            ensure!(taken.is_err(), "{text} is taken");
            (kind, text)
        };
        self.note(kind);
        self.steps.push(json!({"do": "lie", "at": self.now, "text": text}));
        Ok(())
    }
}

/// Makes the trace of a seed, whose steps it counts in `kinds`.
fn trace(seed: u64, kinds: &mut BTreeMap<String, usize>) -> anyhow::Result<Value> {
    let mut world = World::new(seed);
    for _ in 0..world.rng.below(400) {
        world.act()?;
    }
    if world.rng.below(2) == 0 {
        world.lie()?;
    }
    for (kind, count) in world.kinds {
        *kinds.entry(kind).or_default() += count;
    }
    Ok(json!({"seed": seed, "steps": world.steps}))
}

#[tokio::test]
async fn the_client_in_javascript_does_what_that_in_rust_does() -> anyhow::Result<()> {
    let (mut kinds, mut file) = (BTreeMap::new(), NamedTempFile::new()?);
    for seed in 0..TRACES {
        writeln!(file, "{}", trace(seed, &mut kinds).with_context(|| format!("seed {seed}"))?)?;
    }
    file.flush()?;
    println!("{} bytes of traces: {kinds:?}", file.as_file().metadata()?.len());
    let gaps = GapReason::ALL.map(|reason| format!("gap {}", reason.word()));
    for kind in gaps.iter().map(String::as_str).chain(KINDS) {
        ensure!(kinds.get(kind).is_some_and(|count| *count >= 5), "there is too little of: {kind}");
    }

    let mut run = Command::new("node");
    run.arg(root().join("tests/js/client_traces.mjs")).env("TRACES", file.path()).kill_on_drop(true);
    let output = match run.output().await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip("the_client_in_javascript_does_what_that_in_rust_does", "node is missing");
            return Ok(());
        }
        output => output?,
    };
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    Ok(())
}
