//! The plan of a run: the scenarios, how often each is measured, and for how long.

use std::time::{Duration, Instant};

use crate::churn::{Beginning, churn};
use crate::contender::Contender;
use crate::cores::Cores;
use crate::measure::Figures;
use crate::quiet::{self, Patience};
use crate::recovery::Recovery;
use crate::results::{Unit, thousands};
use crate::seat::{Seat, most_connections};
use crate::session::{Part, Session};

pub(crate) struct Plan {
    pub(crate) runs: Vec<Run>,
    pub(crate) patience: Patience,
}

pub(crate) struct Run {
    kind: Kind,
    pub(crate) rounds: usize,
    /// The length of one turn of each part.
    time: Duration,
}

/// The name of a scenario, its unit and its figures.
pub(crate) type Found = (String, Unit, Figures);

/// The number of turns that each server has in each part of a round.
const TURNS: u32 = 4;

enum Kind {
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

const FAN_OUTS: [Part; 4] = [
    Part::FanOut { size: 64, in_flight: 1 },
    Part::FanOut { size: 1024, in_flight: 1 },
    Part::FanOut { size: 64, in_flight: 16 },
    Part::FanOut { size: 1024, in_flight: 16 },
];

const COME_BACK: Part = Part::ComeBack { missed: 50 };

impl Plan {
    pub(crate) fn full() -> Self {
        let run =
            |kind, rounds, milliseconds| Run { kind, rounds, time: Duration::from_millis(milliseconds) };
        Self {
            patience: Patience(Duration::from_secs(180)),
            runs: vec![
                run(shared(1000, [&FAN_OUTS, [Part::Ping, Part::Echo].as_slice()].concat()), 5, 200),
                run(shared(10_000, [[Part::Idle].as_slice(), &FAN_OUTS, &[Part::Gone]].concat()), 3, 250),
                run(shared(100, vec![Part::Ping, Part::Echo]), 5, 200),
                // Rare pauses of the machine itself are as long as the latencies that are looked for, so there are many
                // rounds.
                run(shared(100, vec![Part::Paced { messages_a_second: 500 }]), 15, 250),
                run(on_shared_cores(1000, FAN_OUTS.to_vec()), 5, 200),
                run(own(1000, vec![Part::Unicast { size: 64, in_flight: 64 }]), 5, 200),
                run(own(10_000, vec![Part::Idle, Part::Gone]), 1, 0),
                run(
                    beside_gateway2(10_000, [[Part::Idle].as_slice(), &FAN_OUTS, &[COME_BACK]].concat()),
                    5,
                    250,
                ),
                run(beside_store(1000, false, FAN_OUTS.to_vec()), 5, 250),
                run(beside_store(1000, true, vec![Part::Unicast { size: 64, in_flight: 64 }]), 5, 250),
                run(Kind::Churn(Beginning::Plain), 3, 1500),
                run(with_tls(1000, FAN_OUTS.to_vec()), 5, 200),
                run(with_tls(5000, vec![Part::Idle]), 3, 0),
                run(Kind::Churn(Beginning::Tls), 3, 1500),
                run(Kind::Churn(Beginning::Resumed), 3, 1500),
                run(Kind::Recovery(Recovery { clients: 1000, messages: 200 }), 3, 0),
                run(Kind::Crowd { connections: 100_000, bound: false }, 1, 0),
                run(Kind::Crowd { connections: 100_000, bound: true }, 1, 0),
            ],
        }
    }

    pub(crate) fn quick() -> Self {
        let run = |kind| Run { kind, rounds: 1, time: Duration::from_millis(100) };
        Self {
            patience: Patience(Duration::ZERO),
            runs: vec![
                run(shared(1000, [&FAN_OUTS, [Part::Ping, Part::Echo].as_slice()].concat())),
                run(shared(10_000, vec![Part::Idle, FAN_OUTS[0], FAN_OUTS[2]])),
                run(shared(100, vec![Part::Ping, Part::Paced { messages_a_second: 500 }])),
                run(own(1000, vec![Part::Unicast { size: 64, in_flight: 64 }])),
                run(beside_gateway2(10_000, vec![Part::Idle, FAN_OUTS[0], FAN_OUTS[2], COME_BACK])),
                run(beside_store(1000, false, vec![FAN_OUTS[0], FAN_OUTS[2]])),
                run(beside_store(1000, true, vec![Part::Unicast { size: 64, in_flight: 64 }])),
                run(Kind::Churn(Beginning::Plain)),
                run(with_tls(1000, FAN_OUTS.to_vec())),
                run(with_tls(5000, vec![Part::Idle])),
                run(Kind::Churn(Beginning::Tls)),
                run(Kind::Churn(Beginning::Resumed)),
                run(Kind::Recovery(Recovery { clients: 1000, messages: 80 })),
            ],
        }
    }
}

fn shared(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session {
        clients,
        own_topics: false,
        shared_cores: false,
        beside: None,
        tls: false,
        parts,
    })
}

/// A scenario in which a server can use several cores.
fn on_shared_cores(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { clients, own_topics: false, shared_cores: true, beside: None, tls: false, parts })
}

fn own(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { clients, own_topics: true, shared_cores: false, beside: None, tls: false, parts })
}

/// A scenario with clients that speak TLS.
fn with_tls(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { clients, own_topics: false, shared_cores: false, tls: true, beside: None, parts })
}

/// A scenario with clients that speak `gateway.2` and with clients that do not, in turns.
fn beside_gateway2(clients: usize, parts: Vec<Part>) -> Kind {
    let beside = Some(Contender::Gateway2);
    Kind::Session(Session { clients, own_topics: false, shared_cores: false, beside, tls: false, parts })
}

/// A scenario with a server that has a store and one that has none, in turns.
fn beside_store(clients: usize, own_topics: bool, parts: Vec<Part>) -> Kind {
    let beside = Some(Contender::Store);
    Kind::Session(Session { clients, own_topics, shared_cores: false, beside, tls: false, parts })
}

impl Run {
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Session(session) => {
                let own = if session.own_topics { " with a topic each" } else { "" };
                let shared = if session.shared_cores { ", all cores for all" } else { "" };
                let tls = if session.tls { ", TLS" } else { "" };
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
    /// words; gives `None` if nothing is left.
    pub(crate) fn only(mut self, words: &[String]) -> Option<Self> {
        let is_called =
            |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
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
        match self.kind {
            Kind::Session(Session { beside: Some(other), .. }) => {
                contender == Contender::Ours || contender == other
            }
            Kind::Recovery(_) => {
                matches!(contender, Contender::Ours | Contender::Gateway2 | Contender::SocketIo)
            }
            Kind::Session(Session { tls: true, .. }) | Kind::Churn(Beginning::Tls | Beginning::Resumed) => {
                contender.speaks_tls()
            }
            _ if contender.is_proxied() => false,
            _ if matches!(contender, Contender::Gateway2 | Contender::Store | Contender::SocketIo) => false,
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
                all = side_by_side(session, contenders, cores, self.time, patience).await;
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
        let server = contender.start(cores, beginning.is_tls()).await?;
        let figures = churn(&server, beginning, cores.are_apart, self.time)?;
        Ok((beginning.label().to_owned(), Unit::Rate, figures))
    }
}

async fn recovered(recovery: Recovery, contender: Contender, cores: Cores) -> anyhow::Result<Found> {
    let server = contender.start(cores, false).await?;
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
            .start(cores, session.tls)
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
            Part::Gone | Part::ComeBack { .. } => (1, time),
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
    let parts = vec![Part::Idle];
    let session =
        Session { clients, own_topics: bound, shared_cores: false, tls: false, beside: None, parts };
    let (mut seats, mut bytes) = (Vec::new(), 0.0);
    for _ in 0..servers {
        let (seat, idle) = Seat::take(&session, contender.start(cores, false).await?, cores.are_apart)?;
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
