//! What this PHP process keeps from request to request: its links.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use ext_php_rs::zend::{CatchError, bailout, try_catch};
use gateway_link::{Limits, Link, LinkError, LinkPool, Notice, Stats, Unconfirmed};
use gateway_wire::bridge::{Order, Query, RawValue};

use crate::errors::{Failure, warn};
use crate::properties::Settings;
use crate::{ini, memory};

thread_local! {
    /// Not dropped with the thread: the module's shutdown closes the links, and a forked child must not.
    static LINKS: RefCell<ManuallyDrop<LinkPool>> = const { RefCell::new(ManuallyDrop::new(LinkPool::new())) };
}

pub(crate) fn order(settings: Settings, order: Order) -> Result<(), Failure> {
    on_link(settings, |link, timeout| link.order(order, timeout))
}

/// Gives what `show` makes of the answer. That takes PHP's memory, of which there may be too little: then PHP ends the
/// request, and the answer goes before.
pub(crate) fn query<T>(
    settings: Settings,
    query: Query,
    show: impl FnOnce(RawValue<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let answer = on_link(settings, |link, timeout| link.query_within(query, timeout, memory::most_answer()))?;
    match try_catch(AssertUnwindSafe(|| show(answer.value()))) {
        Ok(shown) => shown,
        Err(CatchError::Bailout) => {
            drop(answer);
            // SAFETY: nothing is left here that has to be dropped. What the caller holds is what every method holds
            // while PHP code may run.
            unsafe { bailout() }
        }
        Err(panic) => Err(Failure::Exception(format!("the answer could not be shown: {panic}"))),
    }
}

/// Whether what is sent is gathered from now on, for [`send`].
pub(crate) fn gather(gather: bool) {
    LINKS.with_borrow_mut(|links| links.gather(gather));
}

pub(crate) fn send() {
    LINKS.with_borrow_mut(|links| links.send());
}

fn on_link<T>(
    settings: Settings,
    call: impl FnOnce(&mut Link, Duration) -> Result<T, LinkError>,
) -> Result<T, Failure> {
    let timeout = settings.timeout()?;
    let mut news = News::default();
    // No PHP code runs in here, so nothing comes back while the links are borrowed.
    let result = settings.with_target(|target| {
        LINKS.with_borrow_mut(|links| {
            let link = links.to(target, limits, ini::flush_timeout, &mut news.undelivered)?;
            let result = call(link, timeout);
            news.notices.extend(link.take_notices());
            Ok(result?)
        })
    });
    news.tell()?;
    result
}

/// How long a gateway that has something to say may be silent: as long as the system takes to notice that a machine is gone.
pub(crate) const SILENCE: Duration = Duration::from_secs(30);

fn limits() -> Limits {
    Limits { buffer_bytes: ini::buffer_bytes(), silence: SILENCE }
}

/// At a request's end: waits a while for what the request handed over, and tells what the gateway would not take or
/// cannot be given.
pub(crate) fn end_request() -> Result<(), Failure> {
    let mut news = News::default();
    LINKS.with_borrow_mut(|links| {
        // What a live gateway has not confirmed yet goes on after the request.
        let left = links.flush(ini::flush_timeout());
        news.undelivered.extend(left.into_iter().filter(|left| left.down.is_some()));
        news.notices.extend(links.iter().flat_map(Link::take_notices));
    });
    news.tell()
}

/// At the process's end. No PHP error can be raised any more. It waits even when requests do not, since no later moment
/// comes.
pub(crate) fn end() {
    const LEAST: Duration = Duration::from_secs(1);
    for left in LINKS.with_borrow_mut(|links| links.close(ini::flush_timeout().max(LEAST))) {
        eprintln!("PHP extension gateway: {}", undelivered(&left));
    }
}

/// Of the link to the present target; all zero while there is none.
pub(crate) fn stats(settings: Settings) -> Result<Stats, Failure> {
    settings.with_target(|target| {
        Ok(LINKS.with_borrow_mut(|links| {
            links.iter().find(|link| link.target() == target).map(Link::stats).unwrap_or_default()
        }))
    })
}

pub(crate) fn describe_links() -> Vec<String> {
    LINKS.with_borrow_mut(|links| links.iter().map(Link::status).collect())
}

/// What PHP is to be told of calls that had been accepted.
#[derive(Default)]
struct News {
    undelivered: Vec<Unconfirmed>,
    notices: Vec<Notice>,
}

impl News {
    fn tell(&self) -> Result<(), Failure> {
        for left in &self.undelivered {
            warn(&undelivered(left))?;
        }
        for notice in &self.notices {
            warn(&notice.to_string())?;
        }
        Ok(())
    }
}

fn undelivered(left: &Unconfirmed) -> String {
    let Unconfirmed { calls, target, down } = left;
    let reason = down.as_deref().unwrap_or("it did not confirm them in time (gateway.flush_timeout)");
    format!("{calls} {} could not be delivered to the gateway at {target}: {reason}", calls_word(*calls))
}

fn calls_word(calls: u64) -> &'static str {
    if calls == 1 { "call" } else { "calls" }
}
