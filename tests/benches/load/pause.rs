//! Upgrades of a server by the number of its clients: how long deliveries pause, and how much memory both processes take.

use std::fmt::Write as _;
use std::time::Duration;

use tokio::task::LocalSet;

use crate::cores::Cores;
use crate::quiet::Patience;
use crate::results::{median, thousands};
use crate::seat::most_connections;
use crate::upgrades::{Memory, Pace, Period, Place, Size, Upgrade};

/// The word that chooses these measurements alone.
pub(crate) const WORD: &str = "pause";
const SIZES: [usize; 4] = [1000, 5000, 10_000, 18_000];
/// The pages that get numbered messages: few, so that they are no load, and often, so that a gap is seen to the millisecond.
const NUMBERED: usize = 20;
/// There are no broadcasts: one to all takes as long as an upgrade.
const PACE: Pace = Pace { number: Duration::from_millis(1), broadcast: None };
const COLUMNS: [&str; 8] = [
    "clients",
    "something waits for",
    "longest gap ms",
    "reported pause ms",
    "MB before",
    "MB at the peak",
    "peak ÷ before",
    "with the kernel's",
];

/// The figures of one number of clients, each the median over the rounds.
pub(crate) struct Pause {
    clients: usize,
    slow: f64,
    /// The longest time in milliseconds in which a page got no message, and the pause that the server reports.
    gap: f64,
    reported: f64,
    /// The bytes of memory of the server before, and of both processes at their peak.
    before: f64,
    peak: f64,
    ratio: f64,
    /// The peak divided by what there was before, with the kernel's memory for sockets in both.
    whole_ratio: Option<f64>,
}

/// Measures all numbers of clients that this machine's limit of open files permits.
pub(crate) async fn measure(
    cores: Cores,
    is_quick: bool,
    patience: &mut Patience,
) -> anyhow::Result<Vec<Pause>> {
    let (sizes, rounds) = if is_quick { (&SIZES[..2], 2) } else { (&SIZES[..], 5) };
    let most = most_connections()?;
    let mut all = Vec::new();
    for clients in sizes.iter().copied().filter(|clients| *clients <= most) {
        eprintln!("upgrades with {} clients", thousands(clients as f64));
        all.push(LocalSet::new().run_until(with_clients(clients, rounds, cores, patience)).await?);
    }
    Ok(all)
}

async fn with_clients(
    clients: usize,
    rounds: usize,
    cores: Cores,
    patience: &mut Patience,
) -> anyhow::Result<Pause> {
    patience.wait()?;
    let size = Size { clients, numbered: NUMBERED, tls: 0 };
    let mut place = Place::open(size, cores, None).await?;
    place.begin(PACE).await?;
    place.settle().await;
    let (mut timed, mut watched) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        // Whoever looks at the memory takes time of the processes, so each is measured in an upgrade of its own.
        timed.push(place.upgrade(false).await?);
        watched.push(place.upgrade(true).await?);
    }
    let (seen, _) = place.close().await?;
    anyhow::ensure!(seen.faults == Default::default(), "clients have noticed an upgrade: {:?}", seen.faults);
    let gaps = seen.during(Period::Upgrade);
    let over = |values: Vec<f64>| median(values).unwrap_or_default();
    let peak = |one: &Upgrade| -> Memory { one.peak.unwrap_or_default() };
    let ratios: Vec<_> = watched.iter().map(|one| peak(one).ratios(one.before)).collect();
    Ok(Pause {
        clients,
        slow: over(timed.iter().map(|one| one.slow as f64).collect()),
        gap: over(gaps.map(|gaps| gaps.longest().as_secs_f64() * 1e3).collect()),
        reported: over(timed.iter().map(|one| one.reported.as_secs_f64() * 1e3).collect()),
        before: over(watched.iter().map(|one| one.before.user as f64).collect()),
        peak: over(watched.iter().map(|one| peak(one).user as f64).collect()),
        ratio: over(ratios.iter().map(|(user, _)| *user).collect()),
        whole_ratio: median(ratios.iter().filter_map(|(_, whole)| *whole).collect()),
    })
}

impl Pause {
    fn cells(&self) -> [String; COLUMNS.len()] {
        [
            thousands(self.clients as f64),
            thousands(self.slow),
            format!("{:.0}", self.gap),
            format!("{:.0}", self.reported),
            format!("{:.1}", self.before / 1e6),
            format!("{:.1}", self.peak / 1e6),
            format!("{:.2}", self.ratio),
            self.whole_ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.2}")),
        ]
    }
}

pub(crate) fn print(pauses: &[Pause]) {
    println!("\nupgrades by the number of clients");
    for line in [COLUMNS.map(str::to_owned)].into_iter().chain(pauses.iter().map(Pause::cells)) {
        for (cell, column) in line.iter().zip(COLUMNS) {
            print!("{cell:>0$}", column.chars().count() + 3);
        }
        println!();
    }
}

/// The table for the page.
pub(crate) fn markdown(pauses: &[Pause]) -> String {
    let mut out = format!("| {} |\n|{}\n", COLUMNS.join(" | "), " ---: |".repeat(COLUMNS.len()));
    for pause in pauses {
        // Writing into a string cannot fail.
        let _ = writeln!(out, "| {} |", pause.cells().join(" | "));
    }
    out
}
