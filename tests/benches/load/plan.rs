//! The plan of a whole run: the scenarios, how often each is measured, and for how long.

use std::time::Duration;

use crate::churn::Beginning;
use crate::contender::{Contender, Mode};
use crate::quiet::Patience;
use crate::recovery::Recovery;
use crate::run::{Kind, Run};
use crate::session::{Part, Session};

pub(crate) struct Plan {
    pub(crate) runs: Vec<Run>,
    pub(crate) patience: Patience,
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
                run(shared(10_000, [[Part::Idle].as_slice(), &FAN_OUTS].concat()), 3, 2000),
                // Each server gets some time to give memory back.
                run(shared(10_000, vec![Part::Gone]), 1, 0),
                run(shared(100, vec![Part::Ping, Part::Echo]), 5, 200),
                // Rare pauses of the machine itself are as long as the latencies that are looked for, so there are many
                // rounds.
                run(shared(100, vec![Part::Paced { messages_a_second: 500 }]), 9, 250),
                run(shared(1000, vec![Part::Paced { messages_a_second: 100 }]), 9, 250),
                run(on_shared_cores(1000, FAN_OUTS.to_vec()), 5, 200),
                run(own(1000, vec![Part::Unicast { size: 64, in_flight: 64 }]), 5, 200),
                run(own(10_000, vec![Part::Idle, Part::Gone]), 1, 0),
                // A message to 10,000 takes a while, and how many are joined into one write differs from one to the next, so a round has
                // to be longer than elsewhere for a ratio of a few per cent.
                run(
                    beside_gateway2(10_000, [[Part::Idle].as_slice(), &FAN_OUTS, &[COME_BACK]].concat()),
                    7,
                    2000,
                ),
                run(beside_store(1000, false, FAN_OUTS.to_vec()), 5, 250),
                run(beside_store(1000, true, vec![Part::Unicast { size: 64, in_flight: 64 }]), 5, 250),
                run(beside_coalescing(100, vec![Part::Paced { messages_a_second: 1000 }]), 7, 500),
                run(Kind::Churn(Beginning::Plain), 3, 1500),
                run(Kind::Churn(Beginning::Token), 3, 1500),
                run(with_tls(1000, FAN_OUTS.to_vec()), 5, 200),
                run(with_tls(5000, vec![Part::Idle]), 3, 0),
                run(Kind::Churn(Beginning::Tls), 3, 1500),
                run(Kind::Churn(Beginning::Resumed), 3, 1500),
                run(Kind::Recovery(Recovery { clients: 1000, messages: 200 }), 3, 0),
                // Three times the interval of the pings.
                run(pinged(10_000), 1, 75_000),
                run(Kind::Crowd { connections: 100_000, bound: false }, 1, 0),
                run(Kind::Crowd { connections: 100_000, bound: true }, 1, 0),
            ],
        }
    }

    /// The scenarios of the full plan, each once and for so long that a profiler sees enough of it.
    pub(crate) fn for_profiler() -> Self {
        let runs = Self::full().runs.into_iter();
        let runs = runs.map(|run| Run { rounds: 1, time: Duration::from_secs(5), ..run });
        Self { patience: Patience(Duration::ZERO), runs: runs.collect() }
    }

    pub(crate) fn quick() -> Self {
        let run = |kind| Run { kind, rounds: 1, time: Duration::from_millis(100) };
        Self {
            patience: Patience(Duration::ZERO),
            runs: vec![
                run(shared(1000, [&FAN_OUTS, [Part::Ping, Part::Echo].as_slice()].concat())),
                run(shared(10_000, vec![Part::Idle, FAN_OUTS[0], FAN_OUTS[2]])),
                run(shared(100, vec![Part::Ping, Part::Paced { messages_a_second: 500 }])),
                run(shared(1000, vec![Part::Paced { messages_a_second: 100 }])),
                run(own(1000, vec![Part::Unicast { size: 64, in_flight: 64 }])),
                run(beside_gateway2(10_000, vec![Part::Idle, FAN_OUTS[0], FAN_OUTS[2], COME_BACK])),
                run(beside_store(1000, false, vec![FAN_OUTS[0], FAN_OUTS[2]])),
                run(beside_store(1000, true, vec![Part::Unicast { size: 64, in_flight: 64 }])),
                run(beside_coalescing(100, vec![Part::Paced { messages_a_second: 1000 }])),
                run(Kind::Churn(Beginning::Plain)),
                run(Kind::Churn(Beginning::Token)),
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
    Kind::Session(Session::of(clients, parts))
}

/// A scenario in which a server can use several cores.
fn on_shared_cores(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { shared_cores: true, ..Session::of(clients, parts) })
}

fn own(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { own_topics: true, ..Session::of(clients, parts) })
}

/// A scenario with clients on whose connections nothing happens but pings.
fn pinged(clients: usize) -> Kind {
    Kind::Session(Session { mode: Mode::Pinging, ..Session::of(clients, vec![Part::Pinged]) })
}

/// A scenario with clients that speak TLS.
fn with_tls(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { mode: Mode::Tls, ..Session::of(clients, parts) })
}

/// A scenario with clients that speak `gateway.2` and with clients that do not, in turns.
fn beside_gateway2(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { beside: Some(Contender::Gateway2), ..Session::of(clients, parts) })
}

/// A scenario with a server that has a store and one that has none, in turns.
fn beside_store(clients: usize, own_topics: bool, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { own_topics, beside: Some(Contender::Store), ..Session::of(clients, parts) })
}

/// A scenario in which messages wait for those that follow, and one in which they do not, in turns.
fn beside_coalescing(clients: usize, parts: Vec<Part>) -> Kind {
    Kind::Session(Session { beside: Some(Contender::Coalesce), ..Session::of(clients, parts) })
}
