//! Raises failures as PHP's exceptions and warnings, or writes them to PHP's log; no other module throws, warns or logs.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_int};

use ext_php_rs::error::php_error;
use ext_php_rs::exception::PhpException;
use ext_php_rs::flags::ErrorType;
use ext_php_rs::types::Zval;
use ext_php_rs::zend::ExecutorGlobals;
use gateway_link::{AddressError, ErrorKind, LinkError, NoAddress};
use gateway_wire::MalformedClientId;

use crate::ini::{self, OnError};
use crate::{aliases, exceptions, sys};

/// The reason why a method ends without a result.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An exception is pending already.
    Pending,
    /// The method has asked, and is called again for the answer: see [`crate::split_call`].
    Later,
    /// The text is thrown as an exception of this kind.
    Exception(ErrorKind, String),
    /// The gateway could not be reached, or does not answer; gateway.on_error chooses how that is raised.
    Link(ErrorKind, String),
}

thread_local! {
    static LAST: RefCell<Option<LastError>> = const { RefCell::new(None) };
}

/// The last exception or warning in a request.
struct LastError {
    message: String,
    /// When the request began, by which one is told from the next where PHP does not tell this module of it: FrankenPHP's
    /// workers run through many requests in one.
    request: f64,
}

pub(crate) fn last() -> Option<String> {
    let request = request_time();
    LAST.with_borrow(|last| {
        last.as_ref().filter(|last| last.request == request).map(|last| last.message.clone())
    })
}

pub(crate) fn forget_last() {
    LAST.set(None);
}

impl Failure {
    /// A failure that has no kind of its own.
    pub(crate) fn other(message: impl Into<String>) -> Self {
        Self::Exception(ErrorKind::Other, message.into())
    }

    /// The program gave something wrong.
    pub(crate) fn argument(message: impl Into<String>) -> Self {
        Self::Exception(ErrorKind::Argument, message.into())
    }

    /// The gateway has said what this extension does not understand.
    pub(crate) fn protocol(message: impl Into<String>) -> Self {
        Self::Exception(ErrorKind::Protocol, message.into())
    }

    pub(crate) fn raise(self) {
        match self {
            Self::Pending | Self::Later => {}
            Self::Exception(kind, message) => throw(kind, &message),
            Self::Link(kind, message) => match ini::on_error() {
                OnError::Exception => {
                    run_signal_handlers();
                    throw(kind, &message);
                }
                // A handler that throws leaves its exception pending, as it should.
                OnError::Warning => drop(warn(&message)),
                OnError::Silent => note(&message),
            },
        }
    }
}

/// Runs the program's signal handlers. PHP runs them after a call, but drops the signals of a call that throws. Such a call may
/// have waited long, and the signal may be the one that ends a worker.
fn run_signal_handlers() {
    let frame = ExecutorGlobals::get().current_execute_data;
    // SAFETY: this variable of the engine is set when modules start; its function takes the frame of the running call.
    unsafe {
        if let Some(run) = sys::zend_interrupt_function {
            run(frame);
        }
    }
}

fn throw(kind: ErrorKind, message: &str) {
    if !ExecutorGlobals::has_exception() {
        aliases::name_exception();
    }
    // An exception that is pending already says more, and stays.
    if ExecutorGlobals::has_exception() {
        return;
    }
    note(message);
    let (class, code) = exceptions::of_kind(kind);
    PhpException::new(printable(message), code, class).throw();
}

fn note(message: &str) {
    LAST.set(Some(LastError { message: message.to_owned(), request: request_time() }));
}

/// The time at which this request began, in seconds; it stays the same until the next begins.
fn request_time() -> f64 {
    // SAFETY: the function takes nothing, and a request is under way.
    unsafe { sys::sapi_get_request_time() }
}

/// Writes a line to PHP's log, where `error_log` says that it is, for what no request can be told any more.
///
/// Outside of requests a thread-safe PHP has no current directory, which it needs to open that file.
pub(crate) fn log(message: &str) {
    /// `LOG_WARNING`
    const WARNING: c_int = 4;
    let Ok(line) = CString::new(format!("PHP extension gateway: {}", printable(message))) else { return };
    // SAFETY: the line is terminated. PHP's settings exist as long as its modules do, and no request is under way whose directory
    // this would take.
    unsafe {
        sys::virtual_cwd_activate();
        sys::php_log_err_with_severity(line.as_ptr(), WARNING);
        sys::virtual_cwd_deactivate();
    }
}

/// Throws the TypeError that PHP's own functions throw. `expected` reads like "string" or "?string".
pub(crate) fn type_error(position: u32, expected: &CStr, given: &Zval) -> Failure {
    // A converter may have thrown already, for instance in the handler of a deprecation.
    if !ExecutorGlobals::has_exception() {
        // SAFETY: the format takes two C strings, and both outlive the call.
        unsafe {
            sys::zend_argument_type_error(
                position,
                c"must be of type %s, %s given".as_ptr(),
                expected.as_ptr(),
                sys::zend_zval_type_name(given),
            );
        }
    }
    Failure::Pending
}

/// Raises an E_WARNING. A handler of the program may turn it into an exception, and then the method must end.
pub(crate) fn warn(message: &str) -> Result<(), Failure> {
    note(message);
    php_error(&ErrorType::Warning, &printable(message));
    if ExecutorGlobals::has_exception() { Err(Failure::Pending) } else { Ok(()) }
}

/// Replaces NUL bytes, since PHP takes these texts as C strings.
fn printable(message: &str) -> String {
    message.replace('\0', "\\0")
}

impl From<LinkError> for Failure {
    fn from(error: LinkError) -> Self {
        match error {
            // The program can mend these itself, whatever the gateway does.
            LinkError::TooLarge(_) | LinkError::AnswerTooLarge { .. } => {
                Self::Exception(error.kind(), error.to_string())
            }
            _ => Self::Link(error.kind(), error.to_string()),
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Self {
        Self::argument(error.to_string())
    }
}

impl From<NoAddress> for Failure {
    fn from(error: NoAddress) -> Self {
        Self::argument(format!("Gateway::$registerAddress: {error}"))
    }
}

impl From<MalformedClientId> for Failure {
    fn from(error: MalformedClientId) -> Self {
        Self::argument(error.to_string())
    }
}
