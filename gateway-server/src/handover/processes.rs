//! Hand-overs between real processes, which are killed, halted, asked to stop, or lie, at each step.
//!
//! The test program starts itself as the old server, and that starts it as the new one. Each of their clients is a connection to the
//! test, which sees who writes to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, getppid, kill_process, pidfd_open};

use super::channel::wait_for;
use super::protocol::NewOutcome;
use super::*;

/// The argument that gives a process of these tests its role, before the parts of a [`Role`].
const ROLE: &str = "role=";
const SHARDS: u32 = 2;
/// The clients of each shard. Two batches carry them.
const CLIENTS: usize = 6;
/// What stands for the state that is no client's, too long for one frame.
const STATE: usize = 9 << 20;

/// What a process of these tests plays.
#[derive(Clone)]
struct Role {
    name: String,
    /// Where the test listens.
    path: PathBuf,
    /// Who does what at which step.
    who: String,
    step: String,
    act: String,
}

impl Role {
    fn of_this_process() -> Option<Self> {
        let role = std::env::args().find_map(|argument| argument.strip_prefix(ROLE).map(str::to_owned))?;
        let [name, path, who, step, act] = role.split(',').collect::<Vec<_>>().try_into().unwrap();
        let [name, who, step, act] = [name, who, step, act].map(str::to_owned);
        Some(Self { name, path: path.into(), who, step, act })
    }

    fn arguments(&self, name: &str) -> Vec<std::ffi::OsString> {
        let Self { path, who, step, act, .. } = self;
        let role = format!("{ROLE}{name},{},{who},{step},{act}", path.display());
        let test = "handover::processes::a_process_plays_its_role";
        ["--ignored", "--exact", "--nocapture", test, &role].map(Into::into).to_vec()
    }

    fn binary(&self, name: &str) -> InstalledBinary {
        InstalledBinary::new(std::env::current_exe().unwrap(), self.arguments(name))
    }

    /// Does what this process is to do at a step. Gives an error when it is to fail.
    fn at(&self, step: &str, stop: impl FnOnce()) -> Result<(), String> {
        if (self.who.as_str(), self.step.as_str()) != (self.name.as_str(), step) {
            return Ok(());
        }
        match self.act.as_str() {
            "kill" => {
                kill_process(getpid(), Signal::KILL).unwrap();
                // A signal may take a moment.
                loop {
                    thread::park();
                }
            }
            "halt" => {
                let mut gate = self.connect();
                kill_process(getpid(), Signal::STOP).unwrap();
                let _ = gate.read_to_end(&mut Vec::new());
            }
            "kill the old" => {
                let old = getppid().unwrap();
                let handle = pidfd_open(old, PidfdFlags::empty()).unwrap();
                kill_process(old, Signal::KILL).unwrap();
                assert!(wait_for(handle.as_fd(), PollFlags::IN, Some(LONG)).unwrap());
            }
            "halt the old" => kill_process(getppid().unwrap(), Signal::STOP).unwrap(),
            "stop" => stop(),
            "fail" => return Err(format!("it was to fail at {step}")),
            other => panic!("{other}"),
        }
        Ok(())
    }

    fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).unwrap()
    }
}

#[test]
#[ignore = "the other tests run it, in processes of their own"]
fn a_process_plays_its_role() {
    let Some(role) = Role::of_this_process() else { return };
    match role.name.as_str() {
        "old" => old_server(&role),
        "new" => new_server(&role),
        "counter" => counts_descriptors(&role),
        other => panic!("{other}"),
    }
}

/// Says to each client who serves it, and serves it until it leaves.
fn serve(clients: &[OwnedFd], who: &str) {
    let mut clients: Vec<_> =
        clients.iter().map(|client| UnixStream::from(client.try_clone().unwrap())).collect();
    for client in &mut clients {
        // One that has left already does not hear it.
        let _ = client.write_all(format!("{who}\n").as_bytes());
    }
    for client in &mut clients {
        let _ = client.read_to_end(&mut Vec::new());
    }
}

struct OldServer {
    role: Role,
    clients: Vec<OwnedFd>,
    decision: Arc<Decision>,
    killer: Killer,
}

impl OldServer {
    fn at(&self, step: &str) -> Result<(), String> {
        self.role.at(step, || assert!(self.decision.keep(|| self.killer.kill())))
    }
}

impl Giver for OldServer {
    fn pass_listeners(&mut self, sender: &mut Sender<'_>) -> Result<(), String> {
        self.at("listeners")?;
        let listener = UnixListener::bind_addr(&unnamed()).unwrap();
        sender.listeners(offer().listeners, &[listener.as_fd()]).map_err(|error| error.to_string())
    }

    fn freeze(&mut self) -> Result<(), String> {
        self.at("freeze")
    }

    fn write_state(&mut self, sender: &mut Sender<'_>) -> Result<(), String> {
        for (shard, clients) in self.clients.chunks(CLIENTS).enumerate() {
            for batch in clients.chunks(CLIENTS / 2) {
                let sockets: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
                sender.clients(shard as u32, b"clients", &sockets).map_err(|error| error.to_string())?;
            }
            // The step comes once: a process that has halted at it and goes on may send more before the other end has closed the channel.
            if shard == 0 {
                self.at("clients")?;
            }
        }
        sender.state("rest", &[7; STATE], &[]).map_err(|error| error.to_string())?;
        self.at("state")
    }
}

/// An address that no path has.
fn unnamed() -> std::os::unix::net::SocketAddr {
    use std::os::linux::net::SocketAddrExt as _;
    let name = format!("handover-{}", std::process::id());
    std::os::unix::net::SocketAddr::from_abstract_name(name).unwrap()
}

fn offer() -> Offer {
    Offer {
        server: env!("CARGO_PKG_VERSION").to_owned(),
        state: STATE_VERSION,
        shards: SHARDS,
        node: "127.0.0.1:1238".to_owned(),
        cluster: None,
        listeners: vec![ListeningSocket { port: Port::RegisterUnix, address: "/run/register".to_owned() }],
        clients: u64::from(SHARDS) * CLIENTS as u64,
        tls_clients: 0,
        bytes: 0,
    }
}

fn old_server(role: &Role) {
    let clients: Vec<OwnedFd> = (0..SHARDS as usize * CLIENTS).map(|_| role.connect().into()).collect();
    let new = role.binary("new").start().unwrap();
    let decision = Arc::new(Decision::default());
    let killer = new.killer();
    let mut old = OldServer { role: role.clone(), clients, decision: Arc::clone(&decision), killer };
    old.at("start").unwrap();
    match give(new, offer(), &decision, &mut old) {
        Given::GoesOn { stops: true, .. } => serve(&old.clients, "old stops"),
        Given::GoesOn { why, .. } => serve(&old.clients, &format!("old: {why}")),
        Given::HasGiven { mut new, fault } => {
            assert_eq!(fault, None);
            // A handshake that was under way.
            let late = role.connect();
            pass_handshake(&mut new, b"handshake", &[late.as_fd()]).unwrap();
            report_relayed(&mut new, 3, b"more").unwrap();
        }
    }
}

struct NewServer {
    role: Role,
    clients: Vec<OwnedFd>,
    listeners: usize,
    state: usize,
    is_asked_to_stop: bool,
    /// A connection to the test that ends with this process.
    alive: UnixStream,
}

impl NewServer {
    fn at(&mut self, step: &str) -> Result<(), String> {
        let stop = &mut self.is_asked_to_stop;
        self.role.at(step, || *stop = true)
    }
}

impl Taker for NewServer {
    fn check(&mut self, found: &Offer) -> Result<(), String> {
        assert_eq!(*found, offer());
        self.at("check")
    }

    fn listeners(&mut self, listeners: Vec<ListeningSocket>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        assert_eq!(listeners, offer().listeners);
        self.listeners = sockets.len();
        self.at("listeners")
    }

    fn clients(&mut self, shard: u32, bytes: Vec<u8>, sockets: Vec<OwnedFd>) -> Result<(), String> {
        assert_eq!((shard as usize, bytes.as_slice()), (self.clients.len() / CLIENTS, &b"clients"[..]));
        self.clients.extend(sockets);
        self.at("clients")
    }

    fn state(&mut self, name: &str, bytes: Vec<u8>, _descriptors: Vec<OwnedFd>) -> Result<(), String> {
        assert!(name == "rest" && bytes == [7; STATE]);
        self.state += 1;
        self.at("state")
    }

    fn finish(&mut self) -> Result<(), String> {
        self.at("finish")?;
        self.alive.write_all(b"complete\n").unwrap();
        Ok(())
    }

    fn is_asked_to_stop(&self) -> bool {
        self.is_asked_to_stop
    }
}

fn new_server(role: &Role) {
    let inherited_sockets = sockets();
    assert_eq!(inherited_sockets, ["0"], "only the channel is inherited");
    for variable in ["WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        assert_eq!(std::env::var_os(variable), None);
    }
    assert_eq!(std::env::var("WATCHDOG_USEC").unwrap(), "1000000");
    let Inherited::Channel(mut channel) = inherited().unwrap() else { panic!("no channel") };
    assert_eq!(std::fs::read_link("/proc/self/fd/0").unwrap(), Path::new("/dev/null"));
    let mut alive = role.connect();
    alive.write_all(b"alive\n").unwrap();
    let mut new = NewServer {
        role: role.clone(),
        clients: Vec::new(),
        listeners: 0,
        state: 0,
        is_asked_to_stop: false,
        alive,
    };
    new.at("start").unwrap();
    match take(&mut channel, &mut new) {
        NewOutcome::TakesOver { is_orphan, stops } => {
            assert_eq!((new.clients.len(), new.listeners, new.state), (SHARDS as usize * CLIENTS, 1, 1));
            assert_eq!(stops, new.is_asked_to_stop);
            if !is_orphan {
                say_serving(&mut channel).unwrap();
                match hear_after_decision(&mut channel).unwrap() {
                    AfterDecision::Handshake(bytes, sockets) => {
                        assert_eq!(bytes, b"handshake");
                        new.clients.extend(sockets);
                    }
                    other @ AfterDecision::Relayed(..) => panic!("{other:?}"),
                }
                let relayed = hear_after_decision(&mut channel).unwrap();
                assert!(matches!(relayed, AfterDecision::Relayed(3, report) if report == b"more"));
                // The old server ends.
                hear_after_decision(&mut channel).unwrap_err();
            }
            serve(&new.clients, if is_orphan { "new, alone" } else { "new" });
        }
        NewOutcome::StartsAfresh => {
            new.clients.clear();
            serve(&[role.connect().into()], "fresh");
        }
        NewOutcome::Refuses(_) | NewOutcome::Ends(_) => {}
    }
}

/// The numbers of the descriptors of this process that are sockets.
fn sockets() -> Vec<String> {
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap();
    let mut found: Vec<_> = descriptors
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
        })
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

/// A test's side of a hand-over.
struct Course {
    old: Child,
    listener: UnixListener,
    path: PathBuf,
}

impl Drop for Course {
    fn drop(&mut self) {
        // It may have ended already. The new process ends when its connections do.
        let _ = self.old.kill();
        let _ = self.old.wait();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// How long a test waits for what has to come. A hang is noticed after 5 s.
const LONG: Duration = Duration::from_secs(30);

impl Course {
    fn start(name: &str, who: &str, step: &str, act: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("handover-{}-{number}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let [who, step, act] = [who, step, act].map(str::to_owned);
        let role = Role { name: String::new(), path: path.clone(), who, step, act };
        let old = Command::new(std::env::current_exe().unwrap())
            .args(role.arguments(name))
            .env("WATCHDOG_USEC", "1000000")
            .env("WATCHDOG_PID", "1")
            .env("LISTEN_PID", "1")
            .env("LISTEN_FDS", "1")
            .env("LISTEN_FDNAMES", "x")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        Self { old, listener, path }
    }

    fn accept(&self) -> BufReader<UnixStream> {
        // What does not come would hold the test for ever.
        let ready = wait_for(self.listener.as_fd(), PollFlags::IN, Some(LONG));
        assert!(ready.unwrap(), "nobody connects");
        let connection = self.listener.accept().unwrap().0;
        connection.set_read_timeout(Some(LONG)).unwrap();
        BufReader::new(connection)
    }

    /// Accepts the clients of the old server.
    fn clients(&self) -> Vec<BufReader<UnixStream>> {
        (0..SHARDS as usize * CLIENTS).map(|_| self.accept()).collect()
    }

    fn go_on(&self) {
        kill_process(Pid::from_child(&self.old), Signal::CONT).unwrap();
    }
}

fn line(connection: &mut BufReader<UnixStream>) -> String {
    let mut line = String::new();
    connection.read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// What all clients hear, which is the same.
fn heard_by_all(clients: &mut [BufReader<UnixStream>]) -> String {
    let mut lines: Vec<_> = clients.iter_mut().map(line).collect();
    lines.dedup();
    assert_eq!(lines.len(), 1, "{lines:?}");
    // The server lets go of the clients when all have left, and nobody else has written to them.
    for client in &*clients {
        client.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
    }
    for client in clients {
        assert_eq!(line(client), "");
    }
    lines.remove(0)
}

/// Runs a hand-over in which this happens, and gives what the clients hear.
fn course(who: &str, step: &str, act: &str) -> String {
    let course = Course::start("old", who, step, act);
    let mut clients = course.clients();
    let mut alive = course.accept();
    assert_eq!(line(&mut alive), "alive");
    heard_by_all(&mut clients)
}

/// Runs a hand-over that gives the clients to the new server, although this happens.
fn course_to_the_new(who: &str, step: &str, act: &str) {
    let course = Course::start("old", who, step, act);
    let mut clients = course.clients();
    let mut alive = course.accept();
    assert_eq!((line(&mut alive), line(&mut alive)), ("alive".to_owned(), "complete".to_owned()));
    if act == "halt the old" {
        course.go_on();
    }
    // That of the handshake which was under way.
    clients.push(course.accept());
    assert_eq!(heard_by_all(&mut clients), "new");
}

#[test]
fn a_hand_over_without_a_fault_gives_every_client_to_the_new_server() {
    course_to_the_new("nobody", "", "");
}

#[test]
fn a_new_server_that_is_asked_to_stop_when_it_is_complete_has_the_clients_first() {
    course_to_the_new("new", "finish", "stop");
}

#[test]
fn a_new_server_that_dies_or_refuses_leaves_the_clients_where_they_are() {
    thread::scope(|scope| {
        for step in ["start", "check", "listeners", "clients", "state", "finish"] {
            scope.spawn(move || {
                let killed = course("new", step, "kill");
                assert!(killed.ends_with("has ended: killed by signal 9"), "{step}: {killed}");
            });
        }
        for step in ["check", "listeners", "clients", "state", "finish"] {
            scope.spawn(move || {
                assert_eq!(
                    course("new", step, "fail"),
                    format!("old: the new server does not take over: it was to fail at {step}")
                );
            });
        }
        for step in ["check", "listeners", "clients", "state"] {
            scope.spawn(move || {
                let stopped = course("new", step, "stop");
                assert!(stopped.ends_with("has ended: exit status 0"), "{step}: {stopped}");
            });
        }
    });
}

#[test]
fn a_new_server_that_hangs_is_ended() {
    thread::scope(|scope| {
        for step in ["start", "clients", "finish"] {
            scope.spawn(move || {
                let begun = Instant::now();
                assert_eq!(course("new", step, "halt"), "old: the other server has done nothing for 5 s");
                assert!(begun.elapsed() >= PATIENCE);
            });
        }
    });
}

#[test]
fn an_old_server_that_fails_or_is_asked_to_stop_keeps_the_clients() {
    thread::scope(|scope| {
        for step in ["listeners", "freeze", "clients", "state"] {
            scope.spawn(move || {
                assert_eq!(course("old", step, "fail"), format!("old: it was to fail at {step}"));
            });
            scope.spawn(move || assert_eq!(course("old", step, "stop"), "old stops"));
        }
    });
}

#[test]
fn an_old_server_that_dies_too_early_is_followed_by_a_fresh_one() {
    thread::scope(|scope| {
        for step in ["start", "listeners", "freeze", "clients", "state"] {
            scope.spawn(move || {
                let course = Course::start("old", "old", step, "kill");
                let mut clients = course.clients();
                let mut alive = course.accept();
                assert_eq!(line(&mut alive), "alive");
                assert_eq!(heard_by_all(&mut clients), "", "{step}: the clients are lost, as in any crash");
                assert_eq!(line(&mut course.accept()), "fresh");
            });
        }
    });
}

#[test]
fn an_old_server_that_dies_when_all_has_come_is_followed_by_a_new_one_with_all_clients() {
    assert_eq!(course("new", "finish", "kill the old"), "new, alone");
}

#[test]
fn an_old_server_that_hangs_and_comes_back_goes_on() {
    let course = Course::start("old", "old", "clients", "halt");
    let mut clients = course.clients();
    let mut alive = course.accept();
    assert_eq!((line(&mut alive), line(&mut alive)), ("alive".to_owned(), String::new()), "it gives up");
    let gate = course.accept();
    course.go_on();
    drop(gate);
    assert!(heard_by_all(&mut clients).starts_with("old: "));
}

#[test]
fn an_old_server_that_hangs_before_the_decision_may_still_decide() {
    course_to_the_new("new", "finish", "halt the old");
}

/// Why a hand-over to this program does not come about.
fn why_not(program: &Path, arguments: &[&str]) -> String {
    struct Nobody;
    impl Giver for Nobody {
        fn pass_listeners(&mut self, _: &mut Sender<'_>) -> Result<(), String> {
            panic!("it is no server that takes over")
        }
        fn freeze(&mut self) -> Result<(), String> {
            panic!("it is no server that takes over")
        }
        fn write_state(&mut self, _: &mut Sender<'_>) -> Result<(), String> {
            panic!("it is no server that takes over")
        }
    }
    let arguments = arguments.iter().map(Into::into).collect();
    let new = match InstalledBinary::new(program.to_owned(), arguments).start() {
        Ok(new) => new,
        Err(error) => return error.to_string(),
    };
    match give(new, offer(), &Decision::default(), &mut Nobody) {
        Given::GoesOn { why, thaws: false, accepts: false, stops: false } => why,
        given => panic!("{given:?}"),
    }
}

/// Why a hand-over to a shell that does this does not come about.
fn why_not_to(script: &str) -> String {
    why_not(Path::new("/bin/sh"), &["-c", script])
}

#[test]
fn a_program_that_is_no_server_is_ended_and_the_error_says_what_it_did() {
    assert_eq!(why_not_to("exit 78"), "/bin/sh has ended: exit status 78");
    assert_eq!(why_not_to("kill -TERM $$"), "/bin/sh has ended: killed by signal 15");
    // It says a word and stays.
    assert_eq!(
        why_not_to("echo hello >&0; exec sleep 1000"),
        "the other server does not speak the language of hand-overs: frames of kind 104 are not known"
    );
    assert_eq!(
        why_not_to(r"printf '\001\000\000\000\000\002\002\220' >&0; exec sleep 1000"),
        "a message of the hand-over is written in version 2, and this server reads version 1"
    );
    assert_eq!(
        why_not_to(r"printf '\001\001\000\000\000\002\001\220' >&0; exec sleep 1000"),
        "a frame claims 1 descriptors and brings 0"
    );
    assert_eq!(
        why_not_to(r"printf '\300' >&0; exec sleep 1000"),
        "the new server decides, which is not its part"
    );
    // It closes the channel and stays.
    assert_eq!(why_not_to("exec sleep 1000 </dev/null"), "the other server has closed the channel");
}

#[test]
fn a_program_that_says_nothing_is_ended() {
    assert_eq!(why_not_to("exec sleep 1000"), "the other server has done nothing for 5 s");
}

/// Counts this process's descriptors, which nothing else in it changes, before and after hand-overs that fail.
fn counts_descriptors(role: &Role) {
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = count();
    for script in ["exit 1", "echo hello >&0; exec sleep 1000", "exec sleep 1000 </dev/null"] {
        why_not_to(script);
    }
    why_not(Path::new("/no/such/program"), &[]);
    why_not(Path::new("/etc/passwd"), &[]);
    let counted = format!("{before} {}\n", count());
    role.connect().write_all(counted.as_bytes()).unwrap();
}

#[test]
fn hand_overs_that_fail_leak_no_descriptors() {
    let course = Course::start("counter", "nobody", "", "");
    let counted = line(&mut course.accept());
    let (before, after) = counted.split_once(' ').unwrap();
    assert_eq!(before, after);
}
