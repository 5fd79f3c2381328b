//! What this PHP process keeps from request to request: its links.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use ext_php_rs::zend::{CatchError, bailout, try_catch};
use gateway_link::{Link, LinkError, LinkLimits, LinkPool, LinkStats, Notice, Unconfirmed};
use gateway_wire::bridge::{Order, Query, RawValue};

use crate::errors::{Failure, warn};
use crate::properties::Properties;
use crate::{ini, memory};

thread_local! {
    /// Not dropped with the thread: the module's shutdown closes the links, and a forked child must not.
    static LINKS: RefCell<ManuallyDrop<LinkPool>> = const { RefCell::new(ManuallyDrop::new(LinkPool::new())) };
}

pub(crate) fn order(settings: Properties, order: Order) -> Result<(), Failure> {
    on_link(settings, |link, timeout| link.order(order, timeout))
}

/// Gives what `show` makes of the answer. That takes PHP's memory, of which there may be too little: then PHP ends the
/// request, and the answer goes before.
pub(crate) fn query<T>(
    settings: Properties,
    query: Query,
    show: impl FnOnce(RawValue<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let answer = on_link(settings, |link, timeout| link.query_within(query, timeout, memory::max_answer()))?;
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
pub(crate) fn set_batching(batching: bool) {
    LINKS.with_borrow_mut(|links| links.set_batching(batching));
}

pub(crate) fn send_batch() {
    LINKS.with_borrow_mut(|links| links.send_batches());
}

fn on_link<T>(
    settings: Properties,
    call: impl FnOnce(&mut Link, Duration) -> Result<T, LinkError>,
) -> Result<T, Failure> {
    let timeout = settings.timeout()?;
    let mut news = LateReports::default();
    // No PHP code runs in here, so nothing comes back while the links are borrowed.
    let result = settings.with_target(|target| {
        LINKS.with_borrow_mut(|links| {
            let link = links.link_to(target, limits, ini::flush_timeout, &mut news.undelivered)?;
            let result = call(link, timeout);
            news.notices.extend(link.take_notices());
            Ok(result?)
        })
    });
    news.tell()?;
    result
}

/// How long a gateway that has something to say may be silent: as long as the system takes to notice that a machine is gone.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(30);

fn limits() -> LinkLimits {
    LinkLimits { buffer_bytes: ini::buffer_bytes(), silence: MAX_SILENCE }
}

/// At a request's end: waits a while for what the request handed over, and tells what the gateway would not take or
/// cannot be given.
pub(crate) fn end_request() -> Result<(), Failure> {
    let mut news = LateReports::default();
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
pub(crate) fn stats(settings: Properties) -> Result<LinkStats, Failure> {
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
struct LateReports {
    undelivered: Vec<Unconfirmed>,
    notices: Vec<Notice>,
}

impl LateReports {
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
