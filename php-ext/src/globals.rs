//! What a PHP thread has from its start to its end: one place in a process, and one a thread where PHP is built thread-safe (ZTS).
//!
//! PHP ends it with the thread. When the module ends, the thread that ends it does so for all others.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use ext_php_rs::zend::ModuleGlobals;
use gateway_link::{EventsConn, LinkPool};

pub(crate) static GLOBALS: ModuleGlobals<Globals> = ModuleGlobals::new();

#[derive(Default)]
pub(crate) struct Globals {
    pub(crate) links: RefCell<LinkPool>,
    /// The links for questions that the gateway may take long to answer, as it has to ask pages, while the program goes on: a
    /// gateway handles the calls of a link one after the other.
    pub(crate) side_links: RefCell<LinkPool>,
    /// The connection by which this thread gets events as a worker.
    pub(crate) events_conn: RefCell<Option<EventsConn>>,
    /// `gateway.flush_timeout` at the end of the last request: PHP has no settings any more when the thread ends.
    pub(crate) flush_timeout: Cell<Duration>,
}
