//! The clients of one server, in a thread with its own table of descriptors.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use gateway_tests::PATIENCE;
use gateway_wire::ClientId;
use mio::{Events, Poll, Token};
use nix::sched::{CloneFlags, unshare};
use tokio::sync::oneshot;
use tokio_rustls::rustls::ClientConfig;

use super::line::Dialled;
use super::member::{Member, Role};
use super::sequence::{Faults, Totals};

/// The number of handshakes that are under way at once, which fits into any listener's queue.
const OPENINGS: usize = 200;
const READ_BUFFER: usize = 64 << 10;
/// The bytes that a slow reader reads when it is told to go on.
const SIP: usize = 4 << 10;
/// How often it is looked what the clients are told.
const LOOK: Duration = Duration::from_millis(10);

/// How many clients there are, and of which kinds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) clients: usize,
    /// How many get numbered messages: at most a third.
    pub(crate) numbered: usize,
    /// About how many speak TLS.
    pub(crate) tls: usize,
}

/// The clients with numbered messages that get them by one order.
pub(super) const BLOCK: usize = 100;

impl Size {
    /// What the client with this number is for, and whether it speaks TLS. Of three that follow each other one is slow and one numbered,
    /// as long as there are such, and all or none speak TLS.
    pub(super) fn role(self, client: usize) -> (Role, bool) {
        let (three, thirds) = (client / 3, self.clients.div_ceil(3));
        let role = match client % 3 {
            0 => Role::Slow,
            1 if three < self.numbered => Role::Numbered { block: three / BLOCK },
            _ => Role::Idle,
        };
        let share = |three: usize| three * self.tls.div_ceil(3) / thirds;
        (role, share(three + 1) > share(three))
    }

    /// The clients with a role that fits, by their numbers, and whether they speak TLS.
    pub(super) fn of(self, fits: impl Fn(Role) -> bool) -> impl Iterator<Item = (usize, bool)> {
        (0..self.clients)
            .map(move |client| (client, self.role(client)))
            .filter(move |(_, (role, _))| fits(*role))
            .map(|(client, (_, is_tls))| (client, is_tls))
    }
}

/// What the clients are told.
#[derive(Default)]
struct Told {
    /// The number of the period, of each of which the gaps are noted.
    period: AtomicUsize,
    /// How often the slow ones were told to read something.
    sips: AtomicUsize,
    /// How many messages there were, once no more are sent.
    totals: OnceLock<Totals>,
    is_over: AtomicBool,
}

/// What the clients have seen in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) faults: Faults,
    /// For each period, the longest time of each client between two numbered messages. A gap belongs to the period in which it ends: the
    /// first is that of preparations and the second one without an upgrade. Then come in turn one with an upgrade, and one in which the
    /// next is prepared.
    gaps: Vec<Vec<Duration>>,
}

pub(crate) struct Crowd {
    told: Arc<Told>,
    thread: Option<JoinHandle<anyhow::Result<Seen>>>,
}

impl Crowd {
    /// Connects the clients, those that speak TLS to a listener of their own, and gives their ids.
    pub(crate) async fn gather(
        plain: SocketAddr,
        tls: Option<(ClientConfig, SocketAddr)>,
        size: Size,
    ) -> anyhow::Result<(Self, Vec<ClientId>)> {
        let told = Arc::<Told>::default();
        let (gathered, ids) = oneshot::channel();
        let thread = std::thread::Builder::new().name("clients".to_owned()).spawn({
            let told = Arc::clone(&told);
            move || {
                unshare(CloneFlags::CLONE_FILES)?;
                let (members, ids) = connect(plain, tls, size)?;
                let _ = gathered.send(ids);
                live(members, &told)
            }
        })?;
        let mut crowd = Self { told, thread: Some(thread) };
        match ids.await {
            Ok(ids) => Ok((crowd, ids)),
            Err(_) => Err(crowd.end().err().context("the thread of clients has ended")?),
        }
    }

    /// Begins the next period.
    pub(super) fn next_period(&self) {
        self.told.period.fetch_add(1, Ordering::Relaxed);
    }

    /// Has each slow client read something.
    pub(super) fn sip(&self) {
        self.told.sips.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the clients have had all of so many messages, or nothing more comes.
    pub(super) async fn leave(mut self, totals: Totals) -> anyhow::Result<Seen> {
        let _ = self.told.totals.set(totals);
        tokio::task::spawn_blocking(move || self.end()).await?
    }

    fn end(&mut self) -> anyhow::Result<Seen> {
        let thread = self.thread.take().context("the thread of clients")?;
        thread.join().ok().context("the thread of clients panicked")?
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.told.is_over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn connect(
    plain: SocketAddr,
    tls: Option<(ClientConfig, SocketAddr)>,
    size: Size,
) -> anyhow::Result<(Vec<Member>, Vec<ClientId>)> {
    let tls = tls.map(|(config, server)| (Arc::new(config), server));
    let (mut members, mut ids) = (Vec::with_capacity(size.clients), Vec::with_capacity(size.clients));
    while members.len() < size.clients {
        let next = members.len()..size.clients.min(members.len() + OPENINGS);
        let mut openings = Vec::new();
        for client in next {
            let (role, is_tls) = size.role(client);
            let tls = tls.as_ref().filter(|_| is_tls);
            let server = tls.map_or(plain, |(_, server)| *server);
            openings.push((role, Dialled::dial(server, tls.map(|(config, _)| config), role == Role::Slow)?));
        }
        for (role, opening) in openings {
            let (line, id) = opening.greeted()?;
            members.push(Member::new(role, line));
            ids.push(id);
        }
    }
    Ok((members, ids))
}

/// Reads as the clients do until the run is over. Slow ones read only when they are told.
fn live(mut members: Vec<Member>, told: &Told) -> anyhow::Result<Seen> {
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(4096));
    let mut buffer = vec![0; READ_BUFFER];
    for (key, member) in members.iter_mut().enumerate() {
        let Some(line) = member.line() else { continue };
        line.register(poll.registry(), Token(key))?;
    }
    let (mut seen, mut sips) = (Seen::default(), 0);
    // What came before a client was registered is not told by an event.
    let mut due: Vec<usize> = (0..members.len()).collect();
    while told.totals.get().is_none() && !told.is_over.load(Ordering::Relaxed) {
        let (now, period) = (Instant::now(), told.period.load(Ordering::Relaxed));
        for key in due.drain(..) {
            let Some(member) = members.get_mut(key).filter(|member| member.role != Role::Slow) else {
                continue;
            };
            seen.note(member.read(&mut buffer, now, period)?);
        }
        if told.sips.load(Ordering::Relaxed) > sips {
            sips += 1;
            for member in members.iter_mut().filter(|member| member.role == Role::Slow) {
                member.read_once(&mut buffer[..SIP], |_| {})?;
            }
        }
        poll.poll(&mut events, Some(LOOK))?;
        due.extend(events.iter().map(|event| event.token().0));
    }
    let Some(totals) = told.totals.get() else { return Ok(seen) };
    read_all(&mut members, &mut buffer, *totals)?;
    for member in &members {
        seen.note(member.longest());
        seen.faults += member.faults(*totals);
    }
    Ok(seen)
}

/// Reads until everybody has had everything, or nothing has come for a while.
fn read_all(members: &mut [Member], buffer: &mut [u8], totals: Totals) -> anyhow::Result<()> {
    for member in members.iter_mut().filter(|member| member.role == Role::Slow) {
        if let Some(line) = member.line() {
            line.widen()?;
        }
    }
    let mut waiting: Vec<&mut Member> = members.iter_mut().collect();
    let mut last = Instant::now();
    while !waiting.is_empty() && last.elapsed() < PATIENCE {
        for member in &mut waiting {
            while member.read_once(buffer, |_| {})? {
                last = Instant::now();
            }
        }
        waiting.retain(|member| !member.is_over(totals));
        std::thread::sleep(LOOK);
    }
    Ok(())
}

impl Seen {
    /// The longest gaps of the clients while there was no upgrade.
    pub(crate) fn quiet(&self) -> Vec<Duration> {
        self.gaps.get(1).cloned().unwrap_or_default()
    }

    /// For each upgrade, the longest gaps of the clients.
    pub(crate) fn during_upgrades(&self) -> impl Iterator<Item = &Vec<Duration>> {
        self.gaps.iter().skip(2).step_by(2)
    }

    fn note(&mut self, gap: Option<(usize, Duration)>) {
        let Some((period, gap)) = gap else { return };
        if period >= self.gaps.len() {
            self.gaps.resize(period + 1, Vec::new());
        }
        self.gaps[period].push(gap);
    }

    /// Adds what the clients of another server have seen.
    pub(super) fn add(&mut self, other: Self) {
        self.faults += other.faults;
        if other.gaps.len() > self.gaps.len() {
            self.gaps.resize(other.gaps.len(), Vec::new());
        }
        for (own, gaps) in self.gaps.iter_mut().zip(other.gaps) {
            own.extend(gaps);
        }
    }
}
