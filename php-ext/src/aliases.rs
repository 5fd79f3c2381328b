//! The other names of the classes, under which GatewayWorker's users and older code know them.
//!
//! They give way to classes of the program: one is declared when somebody asks for it and no file and no autoloader has
//! declared a class of that name. PHP asks for a class that it does not know by the variable `zend_autoload`, behind which
//! the list of `spl_autoload_register()` stands; what stands before it is asked last, whatever the list becomes.

use std::mem::transmute;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::error::php_error;
use ext_php_rs::ffi::{zend_lookup_class_ex, zend_string};
use ext_php_rs::flags::ErrorType;
use ext_php_rs::types::ZendStr;
use ext_php_rs::zend::{ClassEntry, ExecutorGlobals, ce};

use crate::{class, errors, ini, sys};

pub(crate) const GATEWAY: &str = "PushGateway\\Gateway";
pub(crate) const EVENTS: &str = "PushGateway\\GatewayEvents";
pub(crate) const EXCEPTION: &str = "PushGateway\\GatewayException";

const GLOBAL_EXCEPTION: &str = "GatewayException";
/// GatewayWorker's own workers bring this class in a file, and rely on it, so it is declared early only where php.ini names it.
const OF_WORKERS: &str = "GatewayWorker\\Lib\\Gateway";
/// What is wanted where php.ini says no more than that names are wanted.
const USUAL: [&str; 5] = ["Gateway", "GatewayClient\\Gateway", OF_WORKERS, GLOBAL_EXCEPTION, "GatewayEvents"];

/// Which names are wanted, by php.ini.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) names: Vec<String>,
    /// Declared when PHP starts, so that no class of the program can have them.
    pub(crate) early: Vec<String>,
}

/// `ZEND_FETCH_CLASS_NO_AUTOLOAD`
pub(crate) const WITHOUT_AUTOLOAD: u32 = 0x80;

static WANTED: OnceLock<Wanted> = OnceLock::new();

/// What was asked before this was put in its place.
static BEFORE: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

pub(crate) type Autoload = unsafe extern "C" fn(*mut zend_string, *mut zend_string) -> *mut ClassEntry;

/// Runs at the module's start, once the classes are there.
pub(crate) fn start() {
    let wanted = WANTED.get_or_init(|| ini::aliases().unwrap_or_else(|_| usual()));
    for name in &wanted.early {
        if declare(name, true).is_null() {
            php_error(
                &ErrorType::CoreWarning,
                &format!("gateway.aliases: the name {name} is in use already, and was left as it is"),
            );
        }
    }
    if wanted.names.is_empty() {
        return;
    }
    // SAFETY: a variable of the engine, which only modules change, one after the other while they start.
    unsafe {
        BEFORE
            .store(sys::zend_autoload.map_or(ptr::null_mut(), |before| before as *mut ()), Ordering::Release);
        sys::zend_autoload = Some(autoload);
    }
}

/// Runs at the module's end.
pub(crate) fn end() {
    // SAFETY: as at the start; what is there now is left if another module has put it there since.
    unsafe {
        if sys::zend_autoload.is_some_and(|now| now as *mut () == autoload as Autoload as *mut ()) {
            sys::zend_autoload = before();
        }
    }
}

fn before() -> Option<Autoload> {
    let before = BEFORE.load(Ordering::Acquire);
    // SAFETY: null, or what was taken from the variable, which is a function of this type.
    (!before.is_null()).then(|| unsafe { transmute::<*mut (), Autoload>(before) })
}

/// This frame holds nothing that must be dropped while the autoloaders of the program run: a fatal error of theirs jumps over it.
unsafe extern "C" fn autoload(name: *mut zend_string, lower_case: *mut zend_string) -> *mut ClassEntry {
    if let Some(before) = before() {
        // SAFETY: PHP's own arguments are handed on.
        let found = unsafe { before(name, lower_case) };
        if !found.is_null() || ExecutorGlobals::has_exception() {
            return found;
        }
    }
    // SAFETY: null, or a string that lives as long as the call.
    let Some(asked) = (unsafe { name.as_ref() }) else { return ptr::null_mut() };
    let asked = asked.as_bytes();
    let Some(wanted) = WANTED.get() else { return ptr::null_mut() };
    let is_asked = |name: &&String| name.as_bytes().eq_ignore_ascii_case(asked);
    wanted.names.iter().find(is_asked).map_or(ptr::null_mut(), |name| declare(name, false))
}

/// Gives null when there is a class of that name already. PHP forgets a name that is not persistent at the request's end.
fn declare(name: &str, persistent: bool) -> *mut ClassEntry {
    let class = meant(name);
    // SAFETY: the name is as long as told, and the class was registered when the module started.
    let done =
        unsafe { sys::zend_register_class_alias_ex(name.as_ptr().cast(), name.len(), class, persistent) };
    if done == 0 { class } else { ptr::null_mut() }
}

/// The class that a name is meant for: every name but two is the class Gateway's.
fn meant(name: &str) -> *mut ClassEntry {
    match name.to_ascii_lowercase().as_str() {
        "gatewayexception" => errors::exception(),
        "gatewayevents" => class::events_entry(),
        _ => class::entry(),
    }
}

/// Whether a class is one of this extension.
pub(crate) fn is_own(class: *mut ClassEntry) -> bool {
    [class::entry(), class::events_entry(), errors::exception()].contains(&class)
}

/// Whether a name is declared when somebody asks for it, unless the program has a class of that name.
pub(crate) fn is_wanted(name: &[u8]) -> bool {
    WANTED
        .get()
        .is_some_and(|wanted| wanted.names.iter().any(|one| one.as_bytes().eq_ignore_ascii_case(name)))
}

/// Before an exception is thrown: `catch` and `instanceof` look a class up by its name, and ask nobody for it.
pub(crate) fn name_exception() {
    if !is_wanted(GLOBAL_EXCEPTION.as_bytes()) || ExecutorGlobals::get().current_execute_data.is_null() {
        return;
    }
    let name = ZendStr::new(GLOBAL_EXCEPTION, false);
    // SAFETY: a live string; what is found stays PHP's.
    unsafe { zend_lookup_class_ex(ptr::from_ref(&*name).cast_mut(), ptr::null_mut(), 0) };
    let pending = ExecutorGlobals::get().exception;
    // SAFETY: null, or what is pending. An `exit` is no Throwable, and has to go on.
    if unsafe { pending.as_ref() }.is_some_and(|pending| pending.instance_of(ce::throwable())) {
        // An autoloader has thrown, of which nobody has asked anything: what is to be thrown says more.
        // SAFETY: takes nothing.
        unsafe { sys::zend_clear_exception() };
    }
}

/// What `gateway.aliases` says: nothing or no, yes, or names, of which all are declared early beside the word `eager`.
pub(crate) fn parse(setting: &[u8]) -> Result<Wanted, String> {
    let text = std::str::from_utf8(setting).map_err(|_| "it is not UTF-8".to_owned())?;
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "off" | "no" | "false" => return Ok(Wanted::default()),
        "1" | "on" | "yes" | "true" => return Ok(usual()),
        _ => {}
    }
    let (mut names, mut is_early) = (Vec::new(), false);
    for name in text.split([',', ' ', '\t']).filter(|name| !name.is_empty()) {
        let name = name.strip_prefix('\\').unwrap_or(name);
        if name.eq_ignore_ascii_case("eager") {
            is_early = true;
        } else if !is_class_name(name) {
            return Err(format!("{name:?} is no name of a class"));
        } else if ![GATEWAY, EVENTS, EXCEPTION].iter().any(|own| own.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    let are_usual = names.is_empty();
    if are_usual {
        names = usual().names;
    }
    let early = if is_early { names.clone() } else { Vec::new() };
    let early = early.into_iter().filter(|name| !are_usual || name != OF_WORKERS).collect();
    Ok(Wanted { names, early })
}

fn usual() -> Wanted {
    Wanted { names: USUAL.map(str::to_owned).to_vec(), early: Vec::new() }
}

fn is_class_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.chars();
        let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii();
        letters.next().is_some_and(is_letter)
            && letters.all(|letter| is_letter(letter) || letter.is_ascii_digit())
    };
    name.split('\\').all(is_part)
}
