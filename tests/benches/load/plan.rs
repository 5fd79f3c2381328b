//! What is measured, how often and for how long.

use std::time::{Duration, Instant};

use crate::churn::churn;
use crate::contender::Contender;
use crate::cores::Cores;
use crate::crowd;
use crate::measure::Figures;
use crate::quiet::{self, Patience};
use crate::results::{Unit, thousands};
use crate::session::{Part, Session};

pub(crate) struct Plan {
    pub(crate) runs: Vec<Run>,
    pub(crate) patience: Patience,
}

pub(crate) struct Run {
    kind: Kind,
    pub(crate) rounds: usize,
    /// For each part.
    time: Duration,
}

enum Kind {
    Session(Session),
    Churn,
    /// Idle connections beyond what one process may open.
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

impl Plan {
    pub(crate) fn full() -> Self {
        let run =
            |kind, rounds, milliseconds| Run { kind, rounds, time: Duration::from_millis(milliseconds) };
        Self {
            patience: Patience(Duration::from_secs(180)),
            runs: vec![
                run(shared(1000, [&FAN_OUTS, [Part::Ping, Part::Echo].as_slice()].concat()), 5, 700),
                run(shared(10_000, [[Part::Idle].as_slice(), &FAN_OUTS].concat()), 3, 1000),
                run(
                    shared(100, vec![Part::Ping, Part::Echo, Part::Paced { messages_a_second: 500 }]),
                    5,
                    700,
                ),
                run(own(1000, Part::Unicast { size: 64, in_flight: 64 }), 5, 700),
                run(own(10_000, Part::Idle), 1, 0),
                run(Kind::Churn, 3, 1500),
                run(Kind::Crowd { connections: 100_000, bound: false }, 1, 0),
                run(Kind::Crowd { connections: 100_000, bound: true }, 1, 0),
            ],
        }
    }

    pub(crate) fn quick() -> Self {
        let run = |kind| Run { kind, rounds: 1, time: Duration::from_millis(300) };
        Self {
            patience: Patience(Duration::ZERO),
            runs: vec![
                run(shared(1000, [&FAN_OUTS, [Part::Ping, Part::Echo].as_slice()].concat())),
                run(shared(10_000, vec![Part::Idle, FAN_OUTS[0], FAN_OUTS[2]])),
                run(shared(100, vec![Part::Ping, Part::Paced { messages_a_second: 500 }])),
                run(own(1000, Part::Unicast { size: 64, in_flight: 64 })),
                run(Kind::Churn),
            ],
        }
    }
}

fn shared(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { clients, own_topics: false, parts })
}

fn own(clients: usize, part: Part) -> Kind {
    Kind::Session(Session { clients, own_topics: true, parts: vec![part] })
}

impl Run {
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            Kind::Session(session) => {
                let own = if session.own_topics { " with a topic each" } else { "" };
                format!("{} clients{own}", thousands(session.clients as f64))
            }
            Kind::Churn => "churn".to_owned(),
            Kind::Crowd { connections, bound } => {
                let own = if *bound { " with a uid each" } else { "" };
                format!("{} idle connections{own}", thousands(*connections as f64))
            }
        }
    }

    /// What of it is called by one of these words; all, without words.
    pub(crate) fn only(mut self, words: &[String]) -> Option<Self> {
        let is_called =
            |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
        if is_called(&self.name()) {
            return Some(self);
        }
        let Kind::Session(Session { clients, own_topics, parts }) = &mut self.kind else { return None };
        parts.retain(|part| is_called(&part.label(*clients, *own_topics)));
        (!parts.is_empty()).then_some(self)
    }

    pub(crate) fn takes(&self, contender: Contender) -> bool {
        match self.kind {
            Kind::Crowd { bound: true, .. } => contender == Contender::Ours,
            Kind::Crowd { .. } => matches!(contender, Contender::Ours | Contender::UWebSockets),
            _ => true,
        }
    }

    /// One round of one server, as free of others' doings as can be had.
    pub(crate) async fn once(
        &self,
        contender: Contender,
        cores: Cores,
        patience: &mut Patience,
    ) -> anyhow::Result<Vec<(String, Unit, Figures)>> {
        let mut best: Option<(f64, Vec<_>)> = None;
        loop {
            patience.wait().await?;
            let start = Instant::now();
            let figures = self.measure(contender, cores).await?;
            let others = figures.iter().map(|(.., figures)| figures.others).fold(0.0, f64::max);
            let is_best = best.as_ref().is_none_or(|(least, _)| others < *least);
            if is_best {
                best = Some((others, figures));
            }
            if others < quiet::TOLERATED || patience.has_ended() {
                return Ok(best.map(|(_, figures)| figures).unwrap_or_default());
            }
            patience.lose(start.elapsed());
        }
    }

    async fn measure(
        &self,
        contender: Contender,
        cores: Cores,
    ) -> anyhow::Result<Vec<(String, Unit, Figures)>> {
        match &self.kind {
            Kind::Session(session) => {
                let all = session.run(contender, cores, self.time).await?;
                let named = |(part, figures): (Part, _)| {
                    let unit = if part == Part::Idle { Unit::Bytes } else { Unit::Rate };
                    (part.label(session.clients, session.own_topics), unit, figures)
                };
                Ok(all.into_iter().map(named).collect())
            }
            Kind::Churn => {
                let server = contender.start(cores).await?;
                let figures = churn(&server, cores.are_two(), self.time)?;
                Ok(vec![("connect, shake hands, go".to_owned(), Unit::Rate, figures)])
            }
            Kind::Crowd { connections, bound } => {
                let servers = crowd::servers_for(*connections)?;
                let figures = crowd::idle(contender, cores, *connections, *bound).await?;
                let over = if servers > 1 { format!(", over {servers} servers") } else { String::new() };
                let label = format!("{}{over}", Part::Idle.label(*connections, *bound));
                Ok(vec![(label, Unit::Bytes, figures)])
            }
        }
    }
}
