//! The links of this PHP process, which live from request to request.

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
    /// The links are not dropped with the thread: the module's end closes them, and a forked child must not.
    static LINKS: RefCell<ManuallyDrop<LinkPool>> = const { RefCell::new(ManuallyDrop::new(LinkPool::new())) };
}

pub(crate) fn order(properties: Properties, order: Order) -> Result<(), Failure> {
    on_link(properties, |link, timeout| link.order(order, timeout))
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
    let answer =
        on_link(properties, |link, timeout| link.query_within(query, timeout + wait, memory::max_answer()))?;
    match try_catch(AssertUnwindSafe(|| show(answer.value()))) {
        Ok(shown) => shown,
        Err(CatchError::Bailout) => {
            drop(answer);
            // SAFETY: nothing is left here that has to be dropped. The caller holds only what every method holds while PHP code
            // may run.
            unsafe { bailout() }
        }
        Err(panic) => Err(Failure::Exception(format!("the answer could not be shown: {panic}"))),
    }
}

/// Chooses whether orders are batched from now on, for [`send_batch`] to send.
pub(crate) fn set_batching(batching: bool) {
    LINKS.with_borrow_mut(|links| links.set_batching(batching));
}

pub(crate) fn send_batch() {
    LINKS.with_borrow_mut(|links| links.send_batches());
}

fn on_link<T>(
    properties: Properties,
    call: impl FnOnce(&mut Link, Duration) -> Result<T, LinkError>,
) -> Result<T, Failure> {
    let timeout = properties.timeout()?;
    let mut reports = LateReports::default();
    // No PHP code runs in this closure, so that no method is called while the links are borrowed.
    let result = properties.with_target(|target| {
        LINKS.with_borrow_mut(|links| {
            let link = links.link_to(target, limits, ini::flush_timeout, &mut reports.undelivered)?;
            let result = call(link, timeout);
            reports.notices.extend(link.take_notices());
            Ok(result?)
        })
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
    let mut reports = LateReports::default();
    LINKS.with_borrow_mut(|links| {
        // Orders that a live gateway has not confirmed yet are delivered after the request.
        let left = links.flush(ini::flush_timeout());
        reports.undelivered.extend(left.into_iter().filter(|left| left.down.is_some()));
        reports.notices.extend(links.iter().flat_map(Link::take_notices));
    });
    reports.tell()
}

/// Waits for the gateways to confirm all orders of this process, as long as `timeout` or else `gateway.flush_timeout`, and says whether they
/// have. Orders that are not confirmed are delivered later.
pub(crate) fn flush(timeout: Option<Duration>) -> Result<bool, Failure> {
    let mut reports = LateReports::default();
    let is_done = LINKS.with_borrow_mut(|links| {
        links.send_batches();
        let is_done = links.confirm(timeout.unwrap_or_else(ini::flush_timeout));
        reports.notices.extend(links.iter().flat_map(Link::take_notices));
        is_done
    });
    reports.tell()?;
    Ok(is_done)
}

/// Runs at the process's end, when no PHP error can be raised any more. It waits even where requests do not, since there is no
/// later moment.
pub(crate) fn end() {
    const LEAST: Duration = Duration::from_secs(1);
    for left in LINKS.with_borrow_mut(|links| links.close(ini::flush_timeout().max(LEAST))) {
        eprintln!("PHP extension gateway: {}", undelivered(&left));
    }
}

/// The counts of the link to the present target; all are zero while there is none.
pub(crate) fn stats(properties: Properties) -> Result<LinkStats, Failure> {
    properties.with_target(|target| {
        Ok(LINKS.with_borrow_mut(|links| {
            links.iter().find(|link| link.target() == target).map(Link::stats).unwrap_or_default()
        }))
    })
}

pub(crate) fn describe_links() -> Vec<String> {
    LINKS.with_borrow_mut(|links| links.iter().map(Link::status).collect())
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
