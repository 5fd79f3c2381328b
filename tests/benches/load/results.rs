//! All figures of a run, and their comparison.

use std::collections::BTreeMap;

use crate::contender::Contender;
use crate::latency::Latency;
use crate::measure::Figures;

#[derive(Default)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Unit {
    Rate,
    Bytes,
    /// Microseconds of processor time for a client in a second.
    IdleTime,
    /// The number of clients of which something is true.
    Clients,
}

/// The figures of one scenario.
pub(crate) struct Row {
    pub(crate) label: String,
    pub(crate) unit: Unit,
    /// The figures of each round; the rounds follow each other in the same order for all servers.
    rounds: BTreeMap<Contender, Vec<Figures>>,
}

impl Results {
    pub(crate) fn add(&mut self, label: &str, unit: Unit, contender: Contender, figures: Figures) {
        let at = self.rows.iter().position(|row| row.label == label).unwrap_or_else(|| {
            self.rows.push(Row { label: label.to_owned(), unit, rounds: BTreeMap::new() });
            self.rows.len() - 1
        });
        self.rows[at].rounds.entry(contender).or_default().push(figures);
    }
}

impl Row {
    pub(crate) fn contenders(&self) -> impl Iterator<Item = Contender> {
        self.rounds.keys().copied()
    }

    /// Gives the medians over the rounds.
    pub(crate) fn figures(&self, contender: Contender) -> Figures {
        let rounds = self.rounds.get(&contender).map_or(&[] as &[_], Vec::as_slice);
        let over = |of: fn(&Figures) -> f64| median(rounds.iter().map(of).collect()).unwrap_or_default();
        let latencies: Vec<Latency> = rounds.iter().filter_map(|figures| figures.latency).collect();
        let latency =
            |of: fn(&Latency) -> f64| median(latencies.iter().map(of).collect()).unwrap_or_default();
        Figures {
            value: over(|figures| figures.value),
            cpu: over(|figures| figures.cpu),
            server_load: over(|figures| figures.server_load),
            generator_load: over(|figures| figures.generator_load),
            others: over(|figures| figures.others),
            latency: (!latencies.is_empty()).then(|| Latency {
                p50: latency(|latency| latency.p50),
                p99: latency(|latency| latency.p99),
                p999: latency(|latency| latency.p999),
            }),
            pings: median(rounds.iter().filter_map(|figures| figures.pings).collect()),
            segments: median(rounds.iter().filter_map(|figures| figures.segments).collect()),
        }
    }

    /// Gives the median of the ratios of each round: what disturbed a round, disturbed both servers in it.
    pub(crate) fn ratio(&self, one: Contender, other: Contender, of: fn(&Figures) -> f64) -> Option<f64> {
        let (ones, others) = (self.rounds.get(&one)?, self.rounds.get(&other)?);
        let ratios = ones.iter().zip(others).map(|(one, other)| of(one) / of(other));
        median(ratios.filter(|ratio| ratio.is_finite()).collect())
    }
}

/// Gives the middle of the values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// Writes a number as `1,234`.
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
