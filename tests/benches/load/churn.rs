//! Clients that connect, shake hands, and leave.

use std::time::{Duration, Instant};

use gateway_tests::PATIENCE;
use mio::{Events, Interest, Poll, Token};

use crate::contender::Running;
use crate::handshake::{self, Opening};
use crate::measure::{Figures, Meter};
use crate::publisher::SHARED;

/// The number of handshakes that are under way at once.
const AT_ONCE: usize = 64;

/// Measures handshakes. Each client leaves as soon as it has the answer and, from a server that greets, the first message.
pub(crate) fn churn(server: &Running, spins: bool, time: Duration) -> anyhow::Result<Figures> {
    let contender = server.contender;
    let request = handshake::request(server.websocket, &contender.path(SHARED));
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(AT_ONCE);
    let mut places: Vec<Option<Opening>> = (0..AT_ONCE).map(|_| None).collect();
    let mut empty: Vec<usize> = (0..AT_ONCE).collect();
    let patience = if spins { Duration::ZERO } else { PATIENCE };
    let (mut done, mut idle) = (0, spins.then_some(Duration::ZERO));
    let meter = Meter::start(server, idle)?;
    while meter.start.elapsed() < time || empty.len() < AT_ONCE {
        while meter.start.elapsed() < time
            && let Some(place) = empty.pop()
        {
            let mut opening = Opening::begin(None, server.websocket, request.clone())?;
            // Over loopback the connection is established already.
            opening.advance(contender.greets())?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut opening.socket, Token(place), interest)?;
            places[place] = Some(opening);
        }
        let before = Instant::now();
        poll.poll(&mut events, Some(patience))?;
        if events.is_empty() {
            idle = idle.map(|idle| idle + before.elapsed());
            anyhow::ensure!(meter.start.elapsed() < time + PATIENCE, "handshakes do not end");
        }
        for event in &events {
            let place = event.token().0;
            let Some(opening) = &mut places[place] else { continue };
            if opening.advance(contender.greets())?.is_some() {
                handshake::reset(&opening.socket);
                places[place] = None;
                empty.push(place);
                done += 1;
            }
        }
    }
    meter.stop(server, idle, done)
}
