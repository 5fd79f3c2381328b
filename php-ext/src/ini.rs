//! The settings of php.ini.

use std::ffi::{CStr, OsStr, c_int};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;

use ext_php_rs::ffi::{zend_ini_entry, zend_string};
use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs, output_write};
use gateway_link::{GatewayProtocol, TlsFiles};

use crate::alias_list::{self, AliasList};
use crate::sys;

/// The setting is made where the server is configured. Programs set the class's properties instead.
const CONFIGURED: IniEntryPermission = IniEntryPermission::PerDir.union(IniEntryPermission::System);

static ENTRIES: IniEntryDefs<14> = IniEntryDefs::new([
    IniEntryDef::new(c"gateway.register_address", c"127.0.0.1:1236", CONFIGURED),
    secret(IniEntryDef::new(c"gateway.secret_key", c"", CONFIGURED)),
    secret(IniEntryDef::new(c"gateway.token_key", c"", CONFIGURED)),
    IniEntryDef::new(c"gateway.connect_timeout", c"3", CONFIGURED),
    IniEntryDef::new(c"gateway.aliases", c"1", IniEntryPermission::System),
    IniEntryDef::new(c"gateway.flush_timeout", c"1", IniEntryPermission::All),
    IniEntryDef::new(c"gateway.on_error", c"exception", IniEntryPermission::All),
    IniEntryDef::new(c"gateway.buffer_bytes", c"16M", CONFIGURED),
    IniEntryDef::new(c"gateway.protocol", c"auto", IniEntryPermission::System),
    IniEntryDef::new(c"gateway.session_classes", c"", IniEntryPermission::All),
    IniEntryDef::new(c"gateway.tls_ca", c"", IniEntryPermission::System),
    IniEntryDef::new(c"gateway.tls_certificate", c"", IniEntryPermission::System),
    IniEntryDef::new(c"gateway.tls_key", c"", IniEntryPermission::System),
    IniEntryDef::end(),
]);

pub(crate) fn register(module_number: i32) {
    IniEntryDef::register(ENTRIES.as_slice(), module_number);
}

pub(crate) fn register_address() -> &'static [u8] {
    text(c"gateway.register_address")
}

pub(crate) fn secret_key() -> &'static [u8] {
    text(c"gateway.secret_key")
}

pub(crate) fn token_key() -> &'static [u8] {
    text(c"gateway.token_key")
}

/// The default of `Gateway::$connectTimeout`, in seconds.
pub(crate) fn connect_timeout() -> f64 {
    checked_connect_timeout().unwrap_or(3.0)
}

/// The aliases that `gateway.aliases` asks for.
pub(crate) fn aliases() -> Result<AliasList, String> {
    alias_list::parse(text(c"gateway.aliases")).map_err(|reason| {
        let expected = "0, 1, or names of classes, and eager to declare them when PHP starts";
        format!("{}, as {reason}", bad(c"gateway.aliases", expected))
    })
}

pub(crate) fn flush_timeout() -> Duration {
    duration(checked_flush_timeout().unwrap_or(1.0))
}

pub(crate) fn buffer_bytes() -> usize {
    checked_buffer_bytes().unwrap_or(16 << 20)
}

/// PHP's own limit in bytes; `None` when there is none.
pub(crate) fn memory_limit() -> Option<usize> {
    bytes(text(c"memory_limit"))
}

/// How a failure is raised when the gateway cannot be reached or does not answer in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnError {
    Exception,
    Warning,
    /// Nothing is raised, and only `Gateway::lastError()` tells.
    Silent,
}

pub(crate) fn on_error() -> OnError {
    checked_on_error().unwrap_or(OnError::Exception)
}

/// The protocol that is spoken at the register address.
pub(crate) fn protocol() -> GatewayProtocol {
    checked_protocol().unwrap_or_default()
}

/// The classes of objects that sessions may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AllowedClasses {
    All,
    /// The classes' names, separated by commas and blanks.
    Named(&'static [u8]),
}

pub(crate) fn session_classes() -> AllowedClasses {
    match text(c"gateway.session_classes").trim_ascii() {
        b"*" => AllowedClasses::All,
        names => AllowedClasses::Named(names),
    }
}

impl AllowedClasses {
    /// The names; none when all classes are allowed.
    pub(crate) fn names(self) -> impl Iterator<Item = &'static [u8]> {
        let names: &[u8] = if let Self::Named(names) = self { names } else { b"" };
        let names = names.split(|byte| matches!(byte, b',' | b' ' | b'\t'));
        // A full name may begin with a backslash; the class's own has none.
        names.map(|name| name.strip_prefix(b"\\").unwrap_or(name)).filter(|name| !name.is_empty())
    }

    /// Whether the class is allowed. Case does not matter, as in PHP.
    pub(crate) fn has(self, class: &[u8]) -> bool {
        self == Self::All || self.names().any(|name| name.eq_ignore_ascii_case(class))
    }
}

/// The files for addresses that begin with tls://.
pub(crate) fn tls() -> TlsFiles {
    let (certificate, key) = (path(c"gateway.tls_certificate"), path(c"gateway.tls_key"));
    TlsFiles { authorities: path(c"gateway.tls_ca"), certificate: certificate.zip(key) }
}

fn checked_tls() -> Result<(), String> {
    match (path(c"gateway.tls_certificate"), path(c"gateway.tls_key")) {
        (Some(_), None) => Err("gateway.tls_certificate is of no use without gateway.tls_key".to_owned()),
        (None, Some(_)) => Err("gateway.tls_key is of no use without gateway.tls_certificate".to_owned()),
        _ => Ok(()),
    }
}

fn path(name: &CStr) -> Option<PathBuf> {
    Some(text(name)).filter(|path| !path.is_empty()).map(|path| OsStr::from_bytes(path).into())
}

fn checked_protocol() -> Result<GatewayProtocol, String> {
    match text(c"gateway.protocol").to_ascii_lowercase().as_slice() {
        b"auto" => Ok(GatewayProtocol::Auto),
        b"bridge" => Ok(GatewayProtocol::Bridge),
        b"gatewayworker" => Ok(GatewayProtocol::GatewayWorker),
        _ => Err(bad(c"gateway.protocol", "auto, bridge or gatewayworker")),
    }
}

fn checked_on_error() -> Result<OnError, String> {
    match text(c"gateway.on_error").to_ascii_lowercase().as_slice() {
        b"exception" => Ok(OnError::Exception),
        b"warning" => Ok(OnError::Warning),
        b"silent" => Ok(OnError::Silent),
        _ => Err(bad(c"gateway.on_error", "exception, warning or silent")),
    }
}

/// Describes each setting whose value is wrong.
pub(crate) fn complaints() -> Vec<String> {
    let wrong = [
        checked_connect_timeout().err(),
        checked_flush_timeout().err(),
        checked_on_error().err(),
        checked_buffer_bytes().err(),
        checked_protocol().err(),
        checked_tls().err(),
        aliases().err(),
    ];
    wrong.into_iter().flatten().collect()
}

fn checked_connect_timeout() -> Result<f64, String> {
    match seconds(text(c"gateway.connect_timeout")) {
        Some(seconds) if seconds > 0.0 => Ok(seconds),
        _ => Err(bad(c"gateway.connect_timeout", "a number of seconds above 0")),
    }
}

fn checked_flush_timeout() -> Result<f64, String> {
    match seconds(text(c"gateway.flush_timeout")) {
        Some(seconds) if seconds >= 0.0 => Ok(seconds),
        _ => Err(bad(c"gateway.flush_timeout", "a number of seconds")),
    }
}

fn checked_buffer_bytes() -> Result<usize, String> {
    match bytes(text(c"gateway.buffer_bytes")) {
        Some(bytes) if bytes > 0 => Ok(bytes),
        _ => Err(bad(c"gateway.buffer_bytes", "a number of bytes above 0, such as 16777216 or 16M")),
    }
}

/// Makes a duration of at most a year, which is longer than any program waits and overflows no clock.
pub(crate) fn duration(seconds: f64) -> Duration {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0;
    Duration::from_secs_f64(seconds.clamp(0.0, YEAR))
}

fn bad(name: &CStr, expected: &str) -> String {
    let given = String::from_utf8_lossy(text(name));
    format!("{} is {given:?}, but must be {expected}; the default is used", name.to_string_lossy())
}

/// Gives a setting's value. It is valid until the setting changes, which cannot happen between two uses here.
fn text(name: &CStr) -> &'static [u8] {
    // SAFETY: the name has the given length. The call asks for the present value, and not whether the setting exists.
    let value = unsafe { sys::zend_ini_string_ex(name.as_ptr(), name.count_bytes(), 0, ptr::null_mut()) };
    if value.is_null() {
        return b"";
    }
    // SAFETY: PHP's values are terminated, and live until the setting changes.
    unsafe { CStr::from_ptr(value) }.to_bytes()
}

fn seconds(text: &[u8]) -> Option<f64> {
    std::str::from_utf8(text).ok()?.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite())
}

/// Parses a number of bytes, with PHP's shorthands K, M and G.
fn bytes(text: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(text).ok()?.trim();
    let (digits, shift) = match text.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.trim_end().parse::<usize>().ok()?.checked_mul(1 << shift)
}

/// Makes phpinfo() show whether a secret is set, and never which.
const fn secret(mut entry: IniEntryDef) -> IniEntryDef {
    entry.displayer = Some(display_secret);
    entry
}

unsafe extern "C" fn display_secret(entry: *mut zend_ini_entry, kind: c_int) {
    /// `ZEND_INI_DISPLAY_ORIG`
    const ORIGINAL: c_int = 1;
    // SAFETY: PHP gives the entry that it displays.
    let Some(entry) = (unsafe { entry.as_ref() }) else { return };
    let original = kind == ORIGINAL && entry.modified != 0;
    let value: *mut zend_string = if original { entry.orig_value } else { entry.value };
    // SAFETY: the pointer is null, or leads to a live string of the entry.
    let is_set = unsafe { value.as_ref() }.is_some_and(|value| value.len > 0);
    let _ = output_write(if is_set { b"set" } else { b"not set" });
}
