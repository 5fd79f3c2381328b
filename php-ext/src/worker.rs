//! This thread as a worker: its connection for events, and the client whose event is being handled.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ext_php_rs::types::Zval;
use ext_php_rs::zend::ExecutorGlobals;
use gateway_link::{ErrorKind, EventsConn, EventsConnLost, NextEvent, WaitEnd};
use gateway_wire::ClientId;
use gateway_wire::bridge::worker_notices::WorkerNotices;
use gateway_wire::bridge::{EventKind, MAX_WORKER_NAME, WorkerEvent};

use crate::errors::Failure;
use crate::globals::{GLOBALS, Globals};
use crate::held::unless_thrown;
use crate::properties::Properties;
use crate::{business_worker, links, values};

/// When no event has come for so long, the I/O thread drives the link again.
const IDLE_AFTER: Duration = Duration::from_millis(5);

thread_local! {
    static CURRENT: Cell<Option<ClientId>> = const { Cell::new(None) };
    static IS_IN_REQUEST: Cell<bool> = const { Cell::new(false) };
    /// A function of the program that is called when it changes the current client's session by client_id. The value is PHP's,
    /// so it is freed before the request ends, or never: PHP is gone before the thread is.
    static SESSION_CALLBACK: RefCell<ManuallyDrop<Option<Zval>>> = const { RefCell::new(ManuallyDrop::new(None)) };
}

/// Runs at a request's start.
pub(crate) fn start_request() {
    IS_IN_REQUEST.set(true);
}

/// Runs at a request's end, while PHP's values still exist: the next request must not see what this one has left.
pub(crate) fn end_request() {
    IS_IN_REQUEST.set(false);
    CURRENT.set(None);
    business_worker::end_request();
    // The callback's destructor may call methods of this module, so it is dropped while nothing is borrowed.
    let told = SESSION_CALLBACK.with_borrow_mut(|told| told.take());
    drop(told);
}

/// The client whose event is being handled.
pub(crate) fn current() -> Option<ClientId> {
    CURRENT.get().or_else(business_worker::current)
}

/// Sets the callback. Code of another module may run after this module's end of the request, and nothing would free a callback
/// that is set then.
pub(crate) fn set_session_callback(told: Zval) {
    if IS_IN_REQUEST.get() {
        let old = SESSION_CALLBACK.with_borrow_mut(|place| place.replace(told));
        drop(old);
    }
}

/// Lets `$_SESSION` follow what was set, as a whole or in part, for the client whose event is being handled.
pub(crate) fn session_has_changed(client: ClientId, is_whole: bool, session: &Zval) -> Result<(), Failure> {
    if current() != Some(client) {
        return Ok(());
    }
    // The callback may do anything, so nothing is borrowed while it runs.
    let told = SESSION_CALLBACK.with_borrow(|told| told.as_ref().map(Zval::shallow_clone));
    let Some(told) = told else { return Ok(()) };
    let session = session.shallow_clone();
    let called = told.try_call(vec![&is_whole, &session]);
    unless_thrown(())?;
    called.map(drop).map_err(|error| Failure::other(format!("$_SESSION was not changed: {error}")))
}

/// The `$_SESSION` of the client whose event is being handled, as the program has it now.
pub(crate) fn current_session(client: ClientId) -> Option<Zval> {
    if current() != Some(client) {
        return None;
    }
    let globals = ExecutorGlobals::get();
    let value = globals.symbol_table.get("_SESSION")?;
    let value = value.indirect().unwrap_or(value).dereference();
    match value {
        value if value.is_array() => Some(value.shallow_clone()),
        value if value.is_null() => Some(Zval::new_array()),
        _ => None,
    }
}

/// Joins as a worker, or joins again. `moves` announces that the worker takes moves of clients between nodes.
pub(crate) fn join(properties: Properties, name: &[u8], moves: bool) -> Result<(), Failure> {
    let timeout = properties.timeout()?;
    let name = match std::str::from_utf8(name) {
        Ok(name) if (1..=MAX_WORKER_NAME).contains(&name.len()) => name,
        _ => {
            return Err(Failure::argument(format!(
                "a worker's name must be UTF-8 of 1 to {MAX_WORKER_NAME} bytes"
            )));
        }
    };
    forget();
    // This throws whatever gateway.on_error says, since the runner has to know.
    let joined = properties.with_target(|target| {
        EventsConn::join(target, name, moves, timeout, links::MAX_SILENCE)
            .map_err(|error| Failure::Exception(error.kind(), error.to_string()))
    })?;
    *GLOBALS.get().events_conn.borrow_mut() = Some(joined);
    Ok(())
}

/// Gives the next event, after the one before it has been handled. The result is null when a signal has come, so that PHP can
/// run its handlers, and when `patience` has passed; it is false when this worker has left and has handled everything.
///
/// The messages that handlers send for events which came together go out together.
pub(crate) fn next(patience: Option<Duration>) -> Result<Zval, Failure> {
    CURRENT.set(None);
    if patience == Some(Duration::ZERO) {
        return Ok(Zval::null());
    }
    let next = arrived_or_awaited(patience);
    // A worker that is idle or has left does not come back soon to send a batch.
    links::set_batching(matches!(next, Ok(Some(TakenEvent::Event(_)))));
    next?.map_or_else(|| Ok(Zval::null()), given)
}

fn arrived_or_awaited(patience: Option<Duration>) -> Result<Option<TakenEvent>, Failure> {
    if let Some(taken) = take()? {
        return Ok(Some(taken));
    }
    links::send_batch();
    with_worker(EventsConn::read)?;
    if let Some(taken) = take()? {
        return Ok(Some(taken));
    }
    let is_about_to_go = with_worker(|worker| Ok(worker.is_leaving() && worker.has_unreported()))?;
    if is_about_to_go {
        // Once this is reported, another worker gets these clients, and its messages must come after those sent here.
        links::end_request()?;
    }
    with_worker(EventsConn::report_all_done)?;
    let first = patience.map_or(IDLE_AFTER, |patience| patience.min(IDLE_AFTER));
    if with_worker(|worker| worker.wait(Some(first), is_interrupted))? == WaitEnd::Timeout {
        links::set_batching(false);
        let rest = patience.map(|patience| patience - first);
        if rest.is_none_or(|rest| !rest.is_zero()) {
            with_worker(|worker| worker.wait(rest, is_interrupted))?;
        }
    }
    take()
}

/// Whether PHP is to stop what it does, say for a signal that its handlers have not seen. The flag, which a signal handler sets, is a
/// bool in PHP 8.1 and a struct of one bool in later versions.
fn is_interrupted() -> bool {
    let executor = ExecutorGlobals::get();
    let flag = (&raw const executor.vm_interrupt).cast_mut().cast::<bool>();
    // SAFETY: the flag is there as long as PHP is, and others change it by atomic stores or from a signal handler of this thread.
    unsafe { AtomicBool::from_ptr(flag) }.load(Ordering::Relaxed)
}

/// Has this worker told of what has become of messages in the inbox.
pub(crate) fn take_notices() -> Result<(), Failure> {
    with_worker(EventsConn::take_notices)
}

/// Asks for no more events than those on their way.
pub(crate) fn leave() -> Result<(), Failure> {
    with_worker(EventsConn::leave)
}

/// The outcome of looking for an event.
enum TakenEvent {
    Event(Result<Zval, Failure>),
    End,
}

fn take() -> Result<Option<TakenEvent>, Failure> {
    // The messages of an event are on their way before the event counts as handled.
    if with_worker(|worker| Ok(worker.must_report()))? {
        links::send_batch();
    }
    with_worker(|worker| {
        Ok(match worker.take()? {
            NextEvent::Nothing => None,
            NextEvent::Event(event) => {
                CURRENT.set(Some(event.client));
                Some(TakenEvent::Event(show(&event)))
            }
            NextEvent::Notices(notices) => Some(TakenEvent::Event(show_notices(&notices))),
            NextEvent::End => Some(TakenEvent::End),
        })
    })
}

/// Warnings may run code of the program, so the connection is not borrowed here.
fn given(taken: TakenEvent) -> Result<Zval, Failure> {
    match taken {
        TakenEvent::Event(event) => event,
        TakenEvent::End => {
            links::end_request()?;
            with_worker(EventsConn::report_all_done)?;
            let mut nothing = Zval::new();
            nothing.set_bool(false);
            Ok(nothing)
        }
    }
}

/// Makes `[kind, client_id, server, session, body]`.
fn show(event: &WorkerEvent<'_>) -> Result<Zval, Failure> {
    let kind: &[u8] = match event.kind {
        EventKind::Connect => b"connect",
        EventKind::Handshake => b"handshake",
        EventKind::Move => b"move",
        EventKind::Message => b"message",
        EventKind::Close => b"close",
    };
    let client_id = event.client.to_hex();
    let gateway = event.client.node.ip().to_string();
    let server: [(&[u8], Zval); 5] = [
        (b"REMOTE_ADDR", values::string(event.remote_address.as_bytes())),
        (b"REMOTE_PORT", values::long(event.remote_port.into())),
        (b"GATEWAY_ADDR", values::string(gateway.as_bytes())),
        (b"GATEWAY_PORT", values::long(event.gateway_port.into())),
        (b"GATEWAY_CLIENT_ID", values::string(&client_id)),
    ];
    let parts = [
        values::string(kind),
        values::string(&client_id),
        values::map(server.into_iter().map(Ok))?.0,
        values::string(event.session),
        values::string(event.body),
    ];
    Ok(values::list(parts.into_iter())?.0)
}

/// Makes `["notices", receipts, undelivered]`.
fn show_notices(notices: &WorkerNotices<'_>) -> Result<Zval, Failure> {
    let receipts = notices.receipts.iter().map(|receipt| {
        let event: &[u8] = if receipt.is_read { b"read" } else { b"received" };
        let fields: [(&[u8], Zval); 6] = [
            (b"uid", values::string(receipt.uid)),
            (b"id", values::string(receipt.id.as_bytes())),
            (b"device", values::string(receipt.device.as_bytes())),
            (b"signed", values::boolean(receipt.is_signed)),
            (b"event", values::string(event)),
            (b"at", values::long(receipt.at.cast_signed())),
        ];
        Ok(values::map(fields.into_iter().map(Ok))?.0)
    });
    let receipts = receipts.collect::<Result<Vec<_>, Failure>>()?;
    let undelivered = notices.undelivered.iter().map(|notice| {
        let fields: [(&[u8], Zval); 3] = [
            (b"uid", values::string(notice.uid)),
            (b"id", values::string(notice.id.as_bytes())),
            (b"stored", values::long(notice.stored.cast_signed())),
        ];
        Ok(values::map(fields.into_iter().map(Ok))?.0)
    });
    let undelivered = undelivered.collect::<Result<Vec<_>, Failure>>()?;
    let parts = [
        values::string(b"notices"),
        values::list(receipts.into_iter())?.0,
        values::list(undelivered.into_iter())?.0,
    ];
    Ok(values::list(parts.into_iter())?.0)
}

fn with_worker<T>(then: impl FnOnce(&mut EventsConn) -> Result<T, EventsConnLost>) -> Result<T, Failure> {
    match GLOBALS.get().events_conn.borrow_mut().as_mut().filter(|worker| worker.is_own()) {
        Some(worker) => {
            then(worker).map_err(|lost| Failure::Exception(ErrorKind::Unreachable, lost.to_string()))
        }
        None => Err(Failure::other("this process has not joined as a worker".to_owned())),
    }
}

/// Drops the connection, but leaves that of a parent as it is: its memory may be in any state, and its descriptor is closed
/// already.
fn forget() {
    end(GLOBALS.get());
}

/// Does the same at the end of the thread, whose messages are with the gateway by then.
pub(crate) fn end(globals: &Globals) {
    let old = globals.events_conn.take();
    if let Some(old) = old
        && !old.is_own()
    {
        std::mem::forget(old);
    }
}
