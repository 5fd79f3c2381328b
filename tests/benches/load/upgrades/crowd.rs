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
use super::member::{Came, Member, Role};
use super::sequence::{Faults, Totals};

/// The number of handshakes that are under way at once, which fits into any listener's queue.
const OPENINGS: usize = 200;
const READ_BUFFER: usize = 64 << 10;
/// The bytes that a slow reader reads when it is told to go on.
const SIP: usize = 4 << 10;
/// The slow readers that do so before others have their turn: to read a whole record of TLS from so small a socket takes a millisecond.
const SIPS_IN_A_TURN: usize = 16;
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
    /// The number of the period, for each of which the gaps are noted.
    period: AtomicUsize,
    /// How often the slow ones were told to read something.
    sips: AtomicUsize,
    /// How many messages there were, once no more are sent.
    totals: OnceLock<Totals>,
    is_over: AtomicBool,
}

/// What happens in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Period {
    /// Something is prepared, whose gaps nobody wants to know.
    Preparation,
    /// There is no upgrade, and all clients that speak TLS do so with the server itself or not at all.
    Quiet,
    /// There is no upgrade, and relays carry TLS.
    QuietWithRelays,
    /// The server is upgraded.
    Upgrade,
    /// The server is upgraded, and its memory is looked at all the time, which takes time of its processes.
    WatchedUpgrade,
}

/// What the clients have seen in the end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) faults: Faults,
    /// The gaps of each period.
    gaps: Vec<PeriodGaps>,
    /// What happened in each.
    periods: Vec<Period>,
}

/// The longest time of each client between two numbered messages in one period, in which that time ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct PeriodGaps {
    pub(crate) plain: Vec<Duration>,
    pub(crate) tls: Vec<Duration>,
}

pub(crate) struct Crowd {
    told: Arc<Told>,
    periods: Vec<Period>,
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
        let mut crowd = Self { told, periods: vec![Period::Preparation], thread: Some(thread) };
        match ids.await {
            Ok(ids) => Ok((crowd, ids)),
            Err(_) => Err(crowd.end().err().context("the thread of clients has ended")?),
        }
    }

    /// Begins the next period.
    pub(super) fn begin(&mut self, period: Period) {
        self.periods.push(period);
        self.told.period.fetch_add(1, Ordering::Relaxed);
    }

    /// Has each slow client read something.
    pub(super) fn sip(&self) {
        self.told.sips.fetch_add(1, Ordering::Relaxed);
    }

    /// Waits until the clients have had all of so many messages, or nothing more comes.
    pub(super) async fn leave(mut self, totals: Totals) -> anyhow::Result<Seen> {
        let _ = self.told.totals.set(totals);
        let periods = std::mem::take(&mut self.periods);
        Ok(Seen { periods, ..tokio::task::spawn_blocking(move || self.end()).await?? })
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
    let (mut seen, mut sips, mut thirsty) = (Seen::default(), 0, Vec::new());
    // What came before a client was registered is not told by an event.
    let mut due: Vec<usize> = (0..members.len()).collect();
    while told.totals.get().is_none() && !told.is_over.load(Ordering::Relaxed) {
        let (now, period) = (Instant::now(), told.period.load(Ordering::Relaxed));
        for key in due.drain(..) {
            let Some(member) = members.get_mut(key).filter(|member| member.role != Role::Slow) else {
                continue;
            };
            let ended = member.read(&mut buffer, now, period)?;
            seen.note(member, ended);
        }
        if told.sips.load(Ordering::Relaxed) > sips {
            sips += 1;
            thirsty.extend((0..members.len()).filter(|key| members[*key].role == Role::Slow));
        }
        let others_wait = thirsty.len().saturating_sub(SIPS_IN_A_TURN);
        for key in thirsty.drain(others_wait..) {
            members[key].read_once(&mut buffer[..SIP], |_| {})?;
        }
        poll.poll(&mut events, Some(if thirsty.is_empty() { LOOK } else { Duration::ZERO }))?;
        due.extend(events.iter().map(|event| event.token().0));
    }
    let Some(totals) = told.totals.get() else { return Ok(seen) };
    read_all(&mut members, &mut buffer, *totals)?;
    for member in &members {
        seen.note(member, member.longest());
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
            while member.read_once(buffer, |_| {})? != Came::Nothing {
                last = Instant::now();
            }
        }
        waiting.retain(|member| !member.is_over(totals));
        std::thread::sleep(LOOK);
    }
    Ok(())
}

impl Seen {
    /// The gaps of each period in which this happened.
    pub(crate) fn during(&self, period: Period) -> impl Iterator<Item = &PeriodGaps> {
        self.gaps.iter().zip(&self.periods).filter(move |(_, of)| **of == period).map(|(gaps, _)| gaps)
    }

    fn note(&mut self, member: &Member, gap: Option<(usize, Duration)>) {
        let Some((period, gap)) = gap else { return };
        if period >= self.gaps.len() {
            self.gaps.resize(period + 1, PeriodGaps::default());
        }
        let gaps = &mut self.gaps[period];
        if member.is_tls { &mut gaps.tls } else { &mut gaps.plain }.push(gap);
    }

    /// Adds what the clients of another server have seen, for which the same periods were begun.
    pub(super) fn add(&mut self, other: Self) {
        self.faults += other.faults;
        self.periods = other.periods;
        if other.gaps.len() > self.gaps.len() {
            self.gaps.resize(other.gaps.len(), PeriodGaps::default());
        }
        for (own, gaps) in self.gaps.iter_mut().zip(other.gaps) {
            own.plain.extend(gaps.plain);
            own.tls.extend(gaps.tls);
        }
    }
}

impl PeriodGaps {
    /// The longest of all.
    pub(crate) fn longest(&self) -> Duration {
        self.plain.iter().chain(&self.tls).max().copied().unwrap_or_default()
    }
}
