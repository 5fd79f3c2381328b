//! The links of this PHP thread, which live from request to request.

use std::cell::{Cell, RefCell};
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use ext_php_rs::zend::{CatchError, bailout, try_catch};
use gateway_link::{Link, LinkError, LinkLimits, LinkPool, LinkStats, Notice, Unconfirmed};
use gateway_wire::bridge::{Order, Query, RawValue};

use crate::errors::{self, Failure, warn};
use crate::globals::{GLOBALS, Globals};
use crate::properties::Properties;
use crate::split_call::{self, Part};
use crate::{ini, memory};

pub(crate) fn order(properties: Properties, order: Order) -> Result<(), Failure> {
    if split_call::is_repeated() {
        return Ok(());
    }
    on_link(properties, &GLOBALS.get().links, |link, timeout| link.order(order, timeout))
}

/// Gives the value that `show` makes of the answer. This takes PHP's memory. When there is too little, PHP ends the request,
/// and the answer is freed before.
pub(crate) fn query<T>(
    properties: Properties,
    query: Query,
    show: impl FnOnce(RawValue<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    query_longer(properties, Duration::ZERO, query, show)
}

/// Does the same for a query for whose answer the gateway itself waits, as long as `wait`.
pub(crate) fn query_longer<T>(
    properties: Properties,
    wait: Duration,
    query: Query,
    show: impl FnOnce(RawValue<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let answer = match split_call::part() {
        Part::Whole => on_link(properties, &GLOBALS.get().links, |link, timeout| {
            link.query_within(query, timeout + wait, memory::max_answer())
        })?,
        Part::Take(answer) => answer?,
        Part::Ask => {
            let globals = GLOBALS.get();
            let links = if wait.is_zero() { &globals.links } else { &globals.side_links };
            let asked = on_link(properties, links, |link, timeout| {
                link.ask(query, timeout + wait, memory::max_answer())
            });
            return Err(match asked {
                Err(Failure::Pending) => Failure::Pending,
                asked => {
                    split_call::has_asked(asked);
                    Failure::Later
                }
            });
        }
    };
    match try_catch(AssertUnwindSafe(|| show(answer.value()))) {
        Ok(shown) => shown,
        Err(CatchError::Bailout) => {
            drop(answer);
            // SAFETY: nothing is left here that has to be dropped. The caller holds only what every method holds while PHP code
            // may run.
            unsafe { bailout() }
        }
        Err(panic) => Err(Failure::other(format!("the answer could not be shown: {panic}"))),
    }
}

/// Chooses whether orders are batched from now on, for [`send_batch`] to send.
pub(crate) fn set_batching(batching: bool) {
    GLOBALS.get().links.borrow_mut().set_batching(batching);
}

pub(crate) fn send_batch() {
    GLOBALS.get().links.borrow_mut().send_batches();
}

fn on_link<T>(
    properties: Properties,
    links: &RefCell<LinkPool>,
    call: impl FnOnce(&mut Link, Duration) -> Result<T, LinkError>,
) -> Result<T, Failure> {
    let timeout = properties.timeout()?;
    let mut reports = LateReports::default();
    // No PHP code runs in this closure, so that no method is called while the links are borrowed.
    let result = properties.with_target(|target| {
        let mut links = links.borrow_mut();
        let link = links.link_to(target, limits, ini::flush_timeout, &mut reports.undelivered)?;
        let result = call(link, timeout);
        reports.notices.extend(link.take_notices());
        Ok(result?)
    });
    reports.tell()?;
    result
}

/// A gateway that owes a reply may be silent for so long, which is also the time after which the system notices that a machine
/// is gone.
pub(crate) const MAX_SILENCE: Duration = Duration::from_secs(30);

fn limits() -> LinkLimits {
    LinkLimits { buffer_bytes: ini::buffer_bytes(), silence: MAX_SILENCE }
}

/// Runs at a request's end: waits a while for the orders of the request, and warns of those that the gateway refused or cannot
/// get.
pub(crate) fn end_request() -> Result<(), Failure> {
    let flush_timeout = ini::flush_timeout();
    GLOBALS.get().flush_timeout.set(flush_timeout);
    with_reports(|links, undelivered| {
        // Orders that a live gateway has not confirmed yet are delivered after the request.
        let left = links.flush(flush_timeout);
        undelivered.extend(left.into_iter().filter(|left| left.down.is_some()));
    })
}

/// Waits for the gateways to confirm all orders of this thread, as long as `timeout` or else `gateway.flush_timeout`, and says
/// whether they have. Orders that are not confirmed are delivered later.
pub(crate) fn flush(timeout: Option<Duration>) -> Result<bool, Failure> {
    with_reports(|links, _| {
        links.send_batches();
        links.confirm(timeout.unwrap_or_else(ini::flush_timeout))
    })
}

/// Waits for the gateways as the end of a process does, and warns of what they have not confirmed.
pub(crate) fn flush_before_the_end() -> Result<(), Failure> {
    with_reports(|links, undelivered| {
        links.send_batches();
        *undelivered = links.unconfirmed(ini::flush_timeout().max(LEAST_AT_THE_END));
    })
}

/// Works on the thread's links, and tells PHP afterwards what could not be delivered and what has come up: handlers of warnings
/// may call methods again.
fn with_reports<T>(work: impl FnOnce(&mut LinkPool, &mut Vec<Unconfirmed>) -> T) -> Result<T, Failure> {
    let mut reports = LateReports::default();
    let mut links = GLOBALS.get().links.borrow_mut();
    let done = work(&mut links, &mut reports.undelivered);
    reports.notices.extend(links.iter().flat_map(Link::take_notices));
    drop(links);
    reports.tell()?;
    Ok(done)
}

/// The end of a thread or of the module waits at least so long, also where requests do not, since there is no later moment.
const LEAST_AT_THE_END: Duration = Duration::from_secs(1);

thread_local! {
    /// The time at which the module's end stops to wait, for the links of all threads together. It is set in the thread that
    /// ends the module, and there alone.
    static MODULE_END: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs at the module's start, which may be that of a second round in the process.
pub(crate) fn start_module() {
    MODULE_END.set(None);
}

/// Runs at the module's end, before the links of its threads are closed.
pub(crate) fn end_module() {
    MODULE_END.set(Some(Instant::now() + ini::flush_timeout().max(LEAST_AT_THE_END)));
}

/// Runs at the end of the thread or of the module, when no PHP error can be raised any more, and closes the thread's links.
///
/// A thread that ends holds a lock of PHP's, for which threads that start have to wait. So it waits for no gateway that counts
/// as silent, as the end of its last request did already.
pub(crate) fn end(globals: &Globals) {
    let mut links = globals.links.borrow_mut();
    let wait = match MODULE_END.get() {
        Some(deadline) => deadline.saturating_duration_since(Instant::now()),
        None => {
            links.confirm(globals.flush_timeout.get().max(LEAST_AT_THE_END));
            Duration::ZERO
        }
    };
    let mut side_links = globals.side_links.borrow_mut();
    for left in links.close(wait).into_iter().chain(side_links.close(Duration::ZERO)) {
        errors::log(&undelivered(&left));
    }
}

/// The counts of the link to the present target; all are zero while there is none.
pub(crate) fn stats(properties: Properties) -> Result<LinkStats, Failure> {
    properties.with_target(|target| {
        let mut links = GLOBALS.get().links.borrow_mut();
        let of_target = links.iter().find(|link| link.target() == target);
        Ok(of_target.map(Link::stats).unwrap_or_default())
    })
}

pub(crate) fn describe_links() -> Vec<String> {
    let globals = GLOBALS.get();
    let (mut links, mut side_links) = (globals.links.borrow_mut(), globals.side_links.borrow_mut());
    links.iter().chain(side_links.iter()).map(Link::status).collect()
}

/// The results of earlier calls that PHP has yet to be told.
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
