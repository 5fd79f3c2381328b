//! Clients that connect, shake hands, and leave.

use std::time::{Duration, Instant};

use gateway_tests::PATIENCE;
use mio::{Events, Interest, Poll, Token};

use crate::endpoint::Endpoint;
use crate::handshake::{self, Opening};
use crate::measure::{Figures, Meter};
use crate::publisher::SHARED;
use crate::running::Running;
use crate::tokens::Tokens;

/// The number of handshakes that are under way at once.
const AT_ONCE: usize = 64;

/// How clients begin, before they ask for a websocket.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Beginning {
    Plain,
    /// A whole handshake of TLS.
    Tls,
    /// A handshake of TLS with the ticket of an earlier one.
    Resumed,
    /// A connect token, which says who the client is and can be used once.
    Token,
}

impl Beginning {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Plain => "connect, shake hands, go",
            Self::Tls => "connect, shake hands, go, TLS",
            Self::Resumed => "connect, shake hands, go, TLS with tickets",
            Self::Token => "connect, shake hands, go, connect tokens",
        }
    }
}

/// Measures handshakes. Each client leaves as soon as it has the answer and, from a server that greets, the first message.
pub(crate) fn churn(
    server: &Running,
    beginning: Beginning,
    spins: bool,
    time: Duration,
) -> anyhow::Result<Figures> {
    let contender = server.contender;
    let mut tokens = (beginning == Beginning::Token).then(Tokens::new);
    let mut request = || {
        let path = tokens.as_mut().map_or_else(|| Ok(contender.path(SHARED)), Tokens::next_path);
        anyhow::Ok(handshake::request(server.websocket.address, &path?))
    };
    // A ticket is used once, so that clients that are under way at once take none from each other.
    let is_resuming = beginning == Beginning::Resumed;
    let endpoint = || if is_resuming { server.websocket.resuming() } else { server.websocket.clone() };
    let endpoints: Vec<Endpoint> = (0..AT_ONCE).map(|_| endpoint()).collect();
    let mut poll = Poll::new()?;
    let mut events = Events::with_capacity(AT_ONCE);
    let mut places: Vec<Option<Opening>> = (0..AT_ONCE).map(|_| None).collect();
    let mut empty: Vec<usize> = (0..AT_ONCE).collect();
    let patience = if spins { Duration::ZERO } else { PATIENCE };
    let (mut done, mut resumed, mut idle) = (0, 0, spins.then_some(Duration::ZERO));
    let meter = Meter::start(server, idle)?;
    while meter.start.elapsed() < time || empty.len() < AT_ONCE {
        while meter.start.elapsed() < time
            && let Some(place) = empty.pop()
        {
            let mut opening = Opening::begin(None, &endpoints[place], request()?)?;
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
                let is_resumed = opening.is_resumed();
                handshake::reset(&opening.socket);
                places[place] = None;
                empty.push(place);
                done += 1;
                resumed += usize::from(is_resumed);
            }
        }
    }
    let whole = done - resumed;
    anyhow::ensure!(
        if is_resuming { whole <= AT_ONCE } else { resumed == 0 },
        "{resumed} of {done} handshakes were resumed"
    );
    meter.stop(server, idle, done)
}
