//! A run of one scenario: what it is, which servers take part, and its rounds, in each of which every server has its turn.

use std::time::{Duration, Instant};

use crate::churn::{Beginning, churn};
use crate::contender::{Contender, Mode};
use crate::cores::Cores;
use crate::measure::Figures;
use crate::quiet::{self, Patience};
use crate::recovery::Recovery;
use crate::results::{Unit, thousands};
use crate::seat::{Seat, most_connections};
use crate::session::{Part, Session};

pub(crate) struct Run {
    pub(crate) kind: Kind,
    pub(crate) rounds: usize,
    /// The length of one turn of each part.
    pub(crate) time: Duration,
}

/// The name of a scenario, its unit and its figures.
pub(crate) type Found = (String, Unit, Figures);

/// The clients that a process of Workerman can hold without PHP's extension `event`, and the most that servers written in PHP have on one
/// topic, for the sake of the time that the whole run takes.
const SELECT: usize = 1000;

/// The number of turns that each server has in each part of a round.
const TURNS: u32 = 4;

pub(crate) enum Kind {
    Session(Session),
    Churn(Beginning),
    /// Connections that are cut while messages go on.
    Recovery(Recovery),
    /// Idle connections, more than one process may open.
    Crowd {
        connections: usize,
        bound: bool,
    },
}

impl Run {
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Session(session) => {
                let own = if session.own_topics { " with a topic each" } else { "" };
                let shared = if session.shared_cores { ", all cores for all" } else { "" };
                let tls = if session.mode == Mode::Tls { ", TLS" } else { "" };
                format!("{} clients{own}{tls}{shared}{}", thousands(session.clients as f64), session.beside())
            }
            Kind::Churn(beginning) => beginning.label().to_owned(),
            Kind::Recovery(recovery) => recovery.label(),
            Kind::Crowd { connections, bound } => {
                let own = if *bound { " with a uid each" } else { "" };
                format!("{} idle connections{own}", thousands(*connections as f64))
            }
        }
    }

    /// Keeps the parts whose names contain one of these words, or all of them if the scenario's name does or there are no
    /// words; gives `None` if nothing is left. A word behind `=` is a whole name.
    pub(crate) fn only(mut self, words: &[String]) -> Option<Self> {
        let is_called = |name: &str| {
            let calls = |word: &String| match word.strip_prefix('=') {
                Some(whole) => name == whole,
                None => name.contains(word.as_str()),
            };
            words.is_empty() || words.iter().any(calls)
        };
        if is_called(&self.name()) {
            return Some(self);
        }
        let Kind::Session(session) = &mut self.kind else { return None };
        let mut parts = std::mem::take(&mut session.parts);
        parts.retain(|part| is_called(&session.label(*part)));
        session.parts = parts;
        (!session.parts.is_empty()).then_some(self)
    }

    pub(crate) fn takes(&self, contender: Contender) -> bool {
        match &self.kind {
            Kind::Session(Session { beside: Some(other), .. }) => {
                contender == Contender::Ours || contender == *other
            }
            Kind::Recovery(_) => {
                matches!(contender, Contender::Ours | Contender::Gateway2 | Contender::SocketIo)
            }
            Kind::Session(Session { mode: Mode::Tls, .. })
            | Kind::Churn(Beginning::Tls | Beginning::Resumed) => contender.speaks_tls(),
            Kind::Churn(Beginning::Token) => contender == Contender::Ours,
            Kind::Session(Session { mode: Mode::Pinging, .. }) => contender.pings(),
            _ if contender.is_proxied() => false,
            _ if matches!(contender, Contender::Gateway2 | Contender::Store | Contender::Coalesce) => false,
            Kind::Session(Session { clients, own_topics, .. }) if contender.is_original() => {
                !own_topics && *clients <= SELECT
            }
            Kind::Session(Session { clients, own_topics: false, .. }) if contender == Contender::Reverb => {
                *clients <= SELECT
            }
            Kind::Churn(_) => {
                !contender.is_original() && !matches!(contender, Contender::SocketIo | Contender::Ring)
            }
            Kind::Crowd { bound: true, .. } => contender == Contender::Ours,
            Kind::Crowd { .. } => matches!(contender, Contender::Ours | Contender::UWebSockets),
            _ => true,
        }
    }

    /// Measures one round, in which each server has its turn.
    pub(crate) async fn round(
        &self,
        contenders: &[Contender],
        cores: Cores,
        patience: &mut Patience,
    ) -> anyhow::Result<Vec<(Contender, anyhow::Result<Found>)>> {
        let mut all = Vec::new();
        match &self.kind {
            Kind::Session(session) => {
                patience.wait()?;
                let cores = if session.shared_cores { cores.shared()? } else { cores };
                // Clients that are not looked after answer no pings, so that those of one server have to be there at a time.
                let at_once = if session.mode == Mode::Pinging { 1 } else { contenders.len().max(1) };
                for contenders in contenders.chunks(at_once) {
                    all.extend(side_by_side(session, contenders, cores, self.time, patience).await);
                }
            }
            Kind::Churn(beginning) => {
                for contender in contenders {
                    patience.wait()?;
                    all.push((*contender, self.churn(*beginning, *contender, cores).await));
                }
            }
            Kind::Recovery(recovery) => {
                for contender in contenders {
                    all.push((*contender, recovered(*recovery, *contender, cores).await));
                }
            }
            Kind::Crowd { connections, bound } => {
                for contender in contenders {
                    all.push((*contender, crowd(*contender, cores, *connections, *bound).await));
                }
            }
        }
        Ok(all)
    }

    async fn churn(&self, beginning: Beginning, contender: Contender, cores: Cores) -> anyhow::Result<Found> {
        let mode = match beginning {
            Beginning::Plain => Mode::Plain,
            Beginning::Tls | Beginning::Resumed => Mode::Tls,
            Beginning::Token => Mode::Tokens,
        };
        let server = contender.start(cores, mode).await?;
        let figures = churn(&server, beginning, cores.are_apart, self.time)?;
        Ok((beginning.label().to_owned(), Unit::Rate, figures))
    }
}

async fn recovered(recovery: Recovery, contender: Contender, cores: Cores) -> anyhow::Result<Found> {
    let server = contender.start(cores, Mode::Recovering).await?;
    let figures = recovery.run(&server).await?;
    Ok((recovery.label(), Unit::Clients, figures))
}

/// Starts and connects all servers first, then measures each part in short turns, so that a drift of the machine concerns all
/// servers alike.
async fn side_by_side(
    session: &Session,
    contenders: &[Contender],
    cores: Cores,
    time: Duration,
    patience: &mut Patience,
) -> Vec<(Contender, anyhow::Result<Found>)> {
    let label = |part| session.label(part);
    let (mut all, mut seats) = (Vec::new(), Vec::new());
    for contender in contenders {
        let seat = contender
            .start(cores, session.mode)
            .await
            .and_then(|server| Seat::take(session, server, cores.are_apart));
        match seat {
            Ok((seat, idle)) => {
                if session.parts.contains(&Part::Idle) {
                    all.push((*contender, Ok((label(Part::Idle), Unit::Bytes, idle))));
                }
                seats.push(seat);
            }
            Err(error) => all.push((*contender, Err(error))),
        }
    }
    for part in session.parts.iter().copied().filter(|part| *part != Part::Idle) {
        // A rare latency is found only among many messages.
        let (turns, time) = match part {
            Part::Paced { .. } => (1, time * TURNS),
            Part::Gone | Part::Pinged | Part::ComeBack { .. } => (1, time),
            _ => (TURNS, time),
        };
        for _ in 0..turns {
            seats.retain(|seat| {
                if !part.runs_on(seat.contender) {
                    return true;
                }
                let figures = undisturbed(patience, || seat.measure(part, time));
                let goes_on = figures.is_ok();
                all.push((seat.contender, figures.map(|figures| (label(part), part.unit(), figures))));
                // After a failure, the server's clients may still get messages of this turn, so it is not measured any
                // further.
                goes_on
            });
        }
    }
    all
}

/// Measures idle connections, spread over as many servers as they need.
async fn crowd(contender: Contender, cores: Cores, connections: usize, bound: bool) -> anyhow::Result<Found> {
    let servers = connections.div_ceil(most_connections()?);
    let clients = connections / servers;
    let session = Session { own_topics: bound, ..Session::of(clients, vec![Part::Idle]) };
    let (mut seats, mut bytes) = (Vec::new(), 0.0);
    for _ in 0..servers {
        let (seat, idle) = Seat::take(&session, contender.start(cores, Mode::Plain).await?, cores.are_apart)?;
        bytes += idle.value / servers as f64;
        seats.push(seat);
    }
    let over = if servers > 1 { format!(", over {servers} servers") } else { String::new() };
    let label = format!("{}{over}", Part::Idle.label(connections, bound));
    Ok((label, Unit::Bytes, Figures { value: bytes, ..Figures::default() }))
}

/// Measures again while other processes disturb and the patience lasts; gives the figures that were disturbed least.
fn undisturbed(
    patience: &mut Patience,
    mut measure: impl FnMut() -> anyhow::Result<Figures>,
) -> anyhow::Result<Figures> {
    let start = Instant::now();
    let mut best = measure()?;
    while best.others > quiet::TOLERATED && !patience.has_ended() {
        patience.lose(start.elapsed());
        patience.wait()?;
        let again = measure()?;
        if again.others < best.others {
            best = again;
        }
    }
    Ok(best)
}
