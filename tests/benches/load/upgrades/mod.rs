//! Upgrades of servers with as many clients as they may have, while messages, broadcasts and PHP's calls go on: whether anybody
//! notices, how long deliveries pause, and how much memory both processes take.
//!
//! `make bench-upgrades` runs all courses, `make bench-upgrades ARGS=tls` the one with this name; with `ARGS=--quick` there are a tenth of
//! the clients and a quarter of the upgrades.

mod crowd;
mod dropped;
mod incoming;
mod line;
mod member;
mod memory;
mod memory_group;
mod php;
mod place;
mod sequence;

use std::time::Duration;

use anyhow::ensure;
use futures_util::future::{join_all, try_join_all};
use tokio::task::LocalSet;

use crate::cores::Cores;
use crate::results::{median, thousands};
use crowd::{PeriodGaps, Seen};
use dropped::dropped_packets;
use sequence::Faults;

pub(crate) use crowd::{Period, Size};
pub(crate) use memory::Memory;
pub(crate) use php::{Asked, Pace};
pub(crate) use place::{Place, Upgrade};

const UPGRADES: usize = 20;
/// The clients that get numbered messages, of all servers together.
const NUMBERED: usize = 1000;
/// The time between two numbered messages to each of them.
const NUMBER_EVERY: Duration = Duration::from_millis(10);
/// The time between two broadcasts, of all servers together.
const BROADCAST_EVERY: Duration = Duration::from_secs(1);
/// The limit of open files for which the numbers of clients are chosen.
const LIMIT: u64 = 20_000;
/// How often an upgrade is asked for that is refused.
const REFUSALS: usize = 3;

/// Servers and their clients.
#[derive(Clone, Copy, Debug)]
struct Course {
    name: &'static str,
    servers: usize,
    /// The clients of all servers together, and how many of them speak TLS.
    clients: usize,
    tls: usize,
    is_refused: bool,
}

const COURSES: [Course; 4] = [
    Course { name: "plain", servers: 1, clients: 18_000, tls: 0, is_refused: false },
    Course { name: "tls", servers: 1, clients: 12_000, tls: 4000, is_refused: false },
    Course { name: "many", servers: 6, clients: 100_000, tls: 0, is_refused: false },
    // Each of these has room in the server, but not in one that has a second descriptor for each that speaks TLS.
    Course { name: "refused", servers: 1, clients: 18_500, tls: 7400, is_refused: true },
];

/// Goes through the courses with these names, or through all.
pub(crate) async fn run(cores: Cores, names: &[String], is_quick: bool) -> anyhow::Result<()> {
    for name in names {
        ensure!(COURSES.iter().any(|course| course.name == name), "{name:?} is none of the courses");
    }
    let cores = cores.shared()?;
    cores.stay_with_load()?;
    for course in COURSES {
        if names.is_empty() || names.iter().any(|name| name == course.name) {
            let course = if is_quick { course.quick() } else { course };
            LocalSet::new().run_until(course.run(cores, is_quick)).await?;
        }
    }
    Ok(())
}

impl Course {
    fn quick(self) -> Self {
        Self { clients: self.clients / 10, tls: self.tls / 10, ..self }
    }

    async fn run(self, cores: Cores, is_quick: bool) -> anyhow::Result<()> {
        let upgrades = if is_quick { UPGRADES / 4 } else { UPGRADES };
        let limit = if is_quick { LIMIT / 10 + 50 } else { LIMIT };
        let size = Size {
            clients: self.clients / self.servers,
            numbered: NUMBERED.min(self.clients / 6).div_ceil(self.servers),
            tls: self.tls / self.servers,
        };
        println!(
            "\n{}: {} clients, of which {} speak TLS; servers: {}",
            self.name,
            thousands((size.clients * self.servers) as f64),
            thousands((size.tls * self.servers) as f64),
            self.servers
        );
        let broadcast = Some(BROADCAST_EVERY * self.servers as u32);
        let pace = Pace { number: NUMBER_EVERY, broadcast };
        let limit = self.is_refused.then_some(limit);
        let mut places = try_join_all((0..self.servers).map(|_| Place::open(size, cores, limit))).await?;
        try_join_all(places.iter_mut().map(|place| place.begin(pace))).await?;
        join_all(places.iter_mut().map(Place::settle)).await;
        let (mut done, mut sentence, dropped) = (Vec::new(), String::new(), dropped_packets());
        if self.is_refused {
            for _ in 0..REFUSALS {
                sentence = places[0].refused().await?;
                ensure!(sentence.contains("descriptors are needed"), "{sentence}");
            }
        } else {
            for number in 0..upgrades {
                for place in &mut places {
                    done.push(place.upgrade(number % 2 == 1).await?);
                    if number == 0 {
                        place.rest_with_relays().await;
                    }
                }
            }
        }
        println!(
            "{} packets were dropped by the kernel",
            thousands(dropped_packets().saturating_sub(dropped) as f64)
        );
        let (mut seen, mut asked) = (Seen::default(), Asked::default());
        for (of_one, asked_one) in try_join_all(places.into_iter().map(Place::close)).await? {
            seen.add(of_one);
            asked.questions += asked_one.questions;
            asked.reconnects += asked_one.reconnects;
            asked.longest = asked.longest.max(asked_one.longest);
        }
        if self.is_refused {
            println!("refused: {sentence}");
        } else {
            report(&done);
        }
        tell(&seen, asked);
        ensure!(seen.faults == Faults::default(), "{}: clients have noticed", self.name);
        Ok(())
    }
}

/// Prints what the upgrades were like.
fn report(done: &[Upgrade]) {
    let slowest = done.iter().map(|one| one.reported).max().unwrap_or_default();
    let whole = done.iter().map(|one| one.whole).max().unwrap_or_default();
    let (fewest, most) = (done.iter().map(|one| one.slow).min(), done.iter().map(|one| one.slow).max());
    let relayed: u64 = done.iter().map(|one| one.relayed).sum();
    println!(
        "{} upgrades, each with {} to {} clients that something waited for; {relayed} clients got a relay",
        done.len(),
        fewest.unwrap_or_default(),
        most.unwrap_or_default(),
    );
    println!(
        "an upgrade took {} ms at most, and reported a pause of {} ms at most",
        whole.as_millis(),
        slowest.as_millis()
    );
    let ratios: Vec<_> = done.iter().filter_map(|one| Some((one, one.peak?.ratios(one.before).0))).collect();
    let middle = median(ratios.iter().map(|(_, ratio)| *ratio).collect()).unwrap_or_default();
    if let Some((worst, ratio)) = ratios.iter().max_by(|one, other| one.1.total_cmp(&other.1)) {
        println!(
            "memory of all processes: {:.1} MB before, {:.1} MB at its peak and {:.1} MB after; the peak is {ratio:.2} of before at most, {middle:.2} in the middle",
            worst.before.user as f64 / 1e6,
            worst.peak.unwrap_or_default().user as f64 / 1e6,
            worst.after.user as f64 / 1e6,
        );
    }
    let worst = done.iter().filter_map(|one| Some((one, one.peak?.ratios(one.before).1?)));
    if let Some((worst, ratio)) = worst.max_by(|one, other| one.1.total_cmp(&other.1)) {
        println!(
            "the kernel's for their sockets included: {:.1} MB before, {:.1} MB at its peak and {:.1} MB after; the peak is {ratio:.2} of before",
            worst.before.whole.unwrap_or_default() as f64 / 1e6,
            worst.peak.and_then(|peak| peak.whole).unwrap_or_default() as f64 / 1e6,
            worst.after.whole.unwrap_or_default() as f64 / 1e6,
        );
    }
}

/// Prints what the clients and PHP have seen.
fn tell(seen: &Seen, asked: Asked) {
    let Faults { disconnects, lost, doubled, out_of_order } = seen.faults;
    for (what, period) in [("upgrade", Period::Upgrade), ("whose memory is watched", Period::WatchedUpgrade)]
    {
        let of_each = seen.during(period).map(|gaps| gaps.longest().as_millis().to_string());
        println!("longest gap in ms of each {what}: {}", of_each.collect::<Vec<_>>().join(" "));
    }
    println!("{disconnects} disconnects, {lost} lost, {doubled} doubled, {out_of_order} out of order");
    println!(
        "PHP: {} questions, all answered, after {} ms at most; {} reconnects",
        thousands(asked.questions as f64),
        asked.longest.as_millis(),
        asked.reconnects
    );
    let when = [
        ("without an upgrade", Period::Quiet),
        ("without one, with relays", Period::QuietWithRelays),
        ("with an upgrade", Period::Upgrade),
        ("with one whose memory is watched", Period::WatchedUpgrade),
    ];
    for (when, period) in when {
        let of = |gaps: fn(&PeriodGaps) -> &Vec<Duration>| {
            Gaps::of(seen.during(period).flat_map(gaps).copied().collect())
        };
        for (who, gaps) in [("plain", of(|gaps| &gaps.plain)), ("TLS", of(|gaps| &gaps.tls))] {
            if gaps.0.is_empty() {
                continue;
            }
            println!(
                "longest gap between a client's numbered messages {when}, {who}: p50 {:.0} ms, p99 {:.0} ms, longest {:.0} ms, of {}",
                gaps.at(0.5),
                gaps.at(0.99),
                gaps.at(1.0),
                thousands(gaps.0.len() as f64)
            );
        }
    }
}

/// Gaps, the shortest first.
pub(crate) struct Gaps(Vec<Duration>);

impl Gaps {
    pub(crate) fn of(mut gaps: Vec<Duration>) -> Self {
        gaps.sort_unstable();
        Self(gaps)
    }

    /// The milliseconds that this share of the gaps do not exceed.
    pub(crate) fn at(&self, share: f64) -> f64 {
        let at = (share * self.0.len().saturating_sub(1) as f64).round() as usize;
        self.0.get(at).copied().unwrap_or_default().as_secs_f64() * 1e3
    }
}
