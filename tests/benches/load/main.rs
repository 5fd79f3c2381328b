//! A comparison of loads on our server, on a plain send loop, and on other push servers where they are installed, side by
//! side in one run.
//!
//! `make bench` rewrites docs/performance.md, which says how to read the figures, and its Chinese twin. With `ARGS=--quick` it takes a minute and
//! writes nothing. Further words choose the scenarios whose names contain one of them, and nothing is written either. The
//! word `million` holds a million connections, or as many as a number behind it says, in ten gigabytes of memory; the word `upgrades`,
//! which is `make bench-upgrades`, upgrades servers over and over under load, and says whether anybody has noticed. The word `pause`
//! measures upgrades by the number of clients and nothing else, and writes that part of the page. With `--profile`, as scripts/bench-profile
//! has it, our server alone has each scenario once, for five seconds.

mod caddy;
mod chart;
mod churn;
mod contender;
mod cores;
mod endpoint;
mod fleet;
mod frames;
mod handshake;
mod latency;
mod measure;
mod million;
mod nginx;
mod pause;
mod pinged;
mod plain;
mod plan;
mod publisher;
mod pusher;
mod pusher_api;
mod quiet;
mod records;
mod recovery;
mod report;
mod results;
mod reverb;
mod ring;
mod run;
mod running;
mod seat;
mod session;
mod sockudo;
mod start;
mod tokens;
mod upgrades;
mod wave;

use contender::Contender;
use cores::Cores;
use plan::Plan;
use quiet::Patience;
use results::Results;
use run::Run;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // Cargo adds the argument --bench.
    let arguments: Vec<_> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.iter().any(|argument| argument == plain::ARGUMENT) {
        return plain::serve();
    }
    rlimit::increase_nofile_limit(u64::MAX)?;
    let cores = Cores::find()?;
    cores.stay_with_load()?;

    let is_quick = arguments.iter().any(|argument| argument == "--quick");
    let is_for_profiler = arguments.iter().any(|argument| argument == "--profile");
    let words: Vec<_> = arguments.into_iter().filter(|argument| !argument.starts_with("--")).collect();
    if let [word, rest @ ..] = words.as_slice()
        && word == "million"
    {
        let connections = rest.first().map_or(Ok(1_000_000), |number| number.parse())?;
        return million::run(cores, connections).await;
    }
    if let [word, rest @ ..] = words.as_slice()
        && word == "upgrades"
    {
        return upgrades::run(cores, rest, is_quick).await;
    }
    anyhow::ensure!(!is_for_profiler || !words.is_empty(), "--profile needs the names of scenarios");
    let mut plan = if is_for_profiler {
        Plan::for_profiler()
    } else if is_quick {
        Plan::quick()
    } else {
        Plan::full()
    };
    let runs: Vec<_> = plan.runs.into_iter().filter_map(|run| run.only(&words)).collect();
    let mut notes = Vec::new();
    let mut contenders = Vec::new();
    let others = |contender: &Contender| !is_for_profiler || *contender == Contender::Ours;
    for contender in Contender::ALL.into_iter().filter(|_| !runs.is_empty()).filter(others) {
        match contender.missing() {
            None => contenders.push(contender),
            Some(reason) => skip(&mut notes, contender.name(), &reason),
        }
    }

    let mut results = Results::default();
    for run in runs {
        measure(&run, &contenders, cores, &mut plan.patience, &mut results, &mut notes).await?;
    }
    report::print(&results);
    if !is_quick && words.is_empty() {
        report::write(&results, cores, &notes)?;
    }
    if words.is_empty() || words.iter().any(|word| word == pause::WORD) {
        let pauses = pause::measure(cores, is_quick, &mut plan.patience).await?;
        pause::print(&pauses);
        if !is_quick {
            report::write_table(pause::WORD, &pause::markdown(&pauses), cores)?;
        }
    }
    if words.is_empty() || words.iter().any(|word| word == wave::WORD) {
        let waves = wave::measure(cores, is_quick, &mut plan.patience).await?;
        wave::print(&waves);
        if !is_quick {
            report::write_table(wave::WORD, &wave::markdown(&waves), cores)?;
        }
    }
    Ok(())
}

/// Measures round after round; in each round every server has its turn.
async fn measure(
    run: &Run,
    contenders: &[Contender],
    cores: Cores,
    patience: &mut Patience,
    results: &mut Results,
    notes: &mut Vec<String>,
) -> anyhow::Result<()> {
    let mut contenders: Vec<_> = contenders.iter().copied().filter(|one| run.takes(*one)).collect();
    for round in 0..run.rounds {
        eprintln!("{}, round {} of {}", run.name(), round + 1, run.rounds);
        for (contender, found) in run.round(&contenders, cores, patience).await? {
            match found {
                Ok((label, unit, figures)) => results.add(&label, unit, contender, figures),
                Err(error) if contender.is_peer() => {
                    skip(notes, &format!("{}, {}", contender.name(), run.name()), &format!("{error:#}"));
                    contenders.retain(|one| *one != contender);
                }
                Err(error) => return Err(error.context(format!("{}: {}", contender.name(), run.name()))),
            }
        }
    }
    Ok(())
}

fn skip(notes: &mut Vec<String>, name: &str, reason: &str) {
    println!("SKIPPED {name}: {reason}");
    // The reason may name things of this machine, so the notes for the page leave it out.
    notes.push(format!("Not measured: {name}."));
}
