//! The settings of php.ini.

mod check;
mod parse;
mod show;

use std::ffi::{CStr, OsStr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;
use std::ptr;
use std::time::Duration;

use ext_php_rs::flags::IniEntryPermission;
use ext_php_rs::zend::{IniEntryDef, IniEntryDefs};
use gateway_link::{GatewayProtocol, TlsFiles};

use crate::alias_list::AliasList;
use crate::sys;

pub(crate) use self::parse::{OnError, duration};

/// The setting is made where the server is configured. Programs set the class's properties instead.
const CONFIGURED: IniEntryPermission = IniEntryPermission::PerDir.union(IniEntryPermission::System);

static ENTRIES: IniEntryDefs<14> = IniEntryDefs::new([
    IniEntryDef::new(c"gateway.register_address", c"127.0.0.1:1236", CONFIGURED),
    show::secret(IniEntryDef::new(c"gateway.secret_key", c"", CONFIGURED)),
    show::secret(IniEntryDef::new(c"gateway.token_key", c"", CONFIGURED)),
    check::checked(IniEntryDef::new(c"gateway.connect_timeout", c"3", CONFIGURED)),
    show::switch(check::checked(IniEntryDef::new(c"gateway.aliases", c"1", IniEntryPermission::System))),
    check::checked(IniEntryDef::new(c"gateway.flush_timeout", c"1", IniEntryPermission::All)),
    check::checked(IniEntryDef::new(c"gateway.on_error", c"exception", IniEntryPermission::All)),
    check::checked(IniEntryDef::new(c"gateway.buffer_bytes", c"16M", CONFIGURED)),
    check::checked(IniEntryDef::new(c"gateway.protocol", c"auto", IniEntryPermission::System)),
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
    parse::connect_timeout(text(c"gateway.connect_timeout")).unwrap_or(3.0)
}

/// The aliases that `gateway.aliases` asks for.
pub(crate) fn aliases() -> AliasList {
    parse::aliases(text(c"gateway.aliases")).unwrap_or_else(|_| AliasList::usual())
}

pub(crate) fn flush_timeout() -> Duration {
    duration(parse::flush_timeout(text(c"gateway.flush_timeout")).unwrap_or(1.0))
}

pub(crate) fn buffer_bytes() -> usize {
    parse::buffer_bytes(text(c"gateway.buffer_bytes")).unwrap_or(16 << 20)
}

/// PHP's own limit in bytes; `None` when there is none.
pub(crate) fn memory_limit() -> Option<usize> {
    parse::bytes(text(c"memory_limit"))
}

pub(crate) fn on_error() -> OnError {
    parse::on_error(text(c"gateway.on_error")).unwrap_or(OnError::Exception)
}

/// The protocol that is spoken at the register address.
pub(crate) fn protocol() -> GatewayProtocol {
    parse::protocol(text(c"gateway.protocol")).unwrap_or_default()
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

/// Says which of the two settings for a certificate is of no use, if one is: each needs the other.
pub(crate) fn complaint() -> Option<&'static str> {
    match (path(c"gateway.tls_certificate"), path(c"gateway.tls_key")) {
        (Some(_), None) => Some("gateway.tls_certificate is of no use without gateway.tls_key"),
        (None, Some(_)) => Some("gateway.tls_key is of no use without gateway.tls_certificate"),
        _ => None,
    }
}

fn path(name: &CStr) -> Option<PathBuf> {
    Some(text(name)).filter(|path| !path.is_empty()).map(|path| OsStr::from_bytes(path).into())
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
