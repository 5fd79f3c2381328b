//! The class's static properties, read at each call.

use std::cell::RefCell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::time::Duration;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::{ZendStr, Zval};
use ext_php_rs::zend::ClassEntry;
use gateway_link::{Address, Target};
use gateway_wire::token::TokenKey;

use crate::class_entries::GATEWAY_ENTRY;
use crate::errors::Failure;
use crate::held::{elements, unless_thrown};
use crate::{ini, sys, values};

pub(crate) const REGISTER_ADDRESS: &str = "registerAddress";
pub(crate) const SECRET_KEY: &str = "secretKey";
pub(crate) const TOKEN_KEY: &str = "tokenKey";
pub(crate) const CONNECT_TIMEOUT: &str = "connectTimeout";

/// The values of the properties that a call needs. They are PHP's, so no code of the program may run while these are borrowed:
/// arguments are read before, and warnings are raised after.
#[derive(Clone, Copy)]
pub(crate) struct Properties<'a> {
    address: &'a Zval,
    secret: &'a Zval,
    timeout: &'a Zval,
    token: &'a Zval,
}

/// Pointers to the properties of class Gateway, found once in a request: the engine moves them only between requests.
#[derive(Clone, Copy)]
struct PropertyPointers([*mut Zval; 4]);

thread_local! {
    static POINTERS: std::cell::Cell<Option<PropertyPointers>> = const { std::cell::Cell::new(None) };
    static CACHED_TARGET: RefCell<Option<CachedTarget>> = const { RefCell::new(None) };
}

/// The names as the engine's strings, made once.
static NAMES: [AtomicPtr<ZendStr>; 4] = [const { AtomicPtr::new(ptr::null_mut()) }; 4];

/// Runs at the module's start, where interned strings live as long as the process.
pub(crate) fn intern_names() {
    for (name, text) in NAMES.iter().zip([REGISTER_ADDRESS, SECRET_KEY, CONNECT_TIMEOUT, TOKEN_KEY]) {
        name.store(ZBox::into_raw(ZendStr::new_interned(text, true)), Ordering::Release);
    }
}

/// Runs at a request's start: sets the properties to the values that php.ini has for this request, since an FPM pool or a
/// directory may have its own.
pub(crate) fn set_defaults() -> Result<(), Failure> {
    let Some(class) = GATEWAY_ENTRY.as_ref() else { return Ok(()) };
    let now = Properties::of(GATEWAY_ENTRY.get())?;
    for (name, property, configured) in [
        (REGISTER_ADDRESS, now.address, ini::register_address()),
        (SECRET_KEY, now.secret, ini::secret_key()),
        (TOKEN_KEY, now.token, ini::token_key()),
    ] {
        if !is(property, configured) {
            set(class, name, values::string(configured))?;
        }
    }
    let configured = values::number(ini::connect_timeout());
    if !now.timeout.is_identical(&configured) {
        set(class, CONNECT_TIMEOUT, configured)?;
    }
    Ok(())
}

fn set(class: &ClassEntry, name: &str, value: Zval) -> Result<(), Failure> {
    class.set_static_property(name, value).map_err(|error| Failure::other(error.to_string()))
}

/// Runs at a request's end.
pub(crate) fn forget_pointers() {
    POINTERS.set(None);
}

impl<'a> Properties<'a> {
    /// `called` is the class that the program named: a subclass may have properties of its own.
    pub(crate) fn of(called: *mut ClassEntry) -> Result<Self, Failure> {
        let own = GATEWAY_ENTRY.get();
        let places = if called.is_null() || called == own {
            match POINTERS.get() {
                Some(places) => places,
                None => {
                    let places = find(own)?;
                    POINTERS.set(Some(places));
                    places
                }
            }
        } else {
            find(called)?
        };
        // SAFETY: the pointers are never null, and valid until the request ends.
        let [address, secret, timeout, token] = places.0.map(|place| unsafe { (*place).dereference() });
        Ok(Self { address, secret, timeout, token })
    }

    pub(crate) fn timeout(&self) -> Result<Duration, Failure> {
        let seconds = match self.timeout.long() {
            // This is the usual case, and needs no arithmetic.
            Some(seconds @ 1..=3600) => return Ok(Duration::from_secs(seconds.unsigned_abs())),
            #[allow(clippy::cast_precision_loss)] // Far above what is allowed.
            Some(seconds) => Some(seconds as f64),
            None => match self.timeout.double() {
                Some(seconds) => Some(seconds),
                None => self.timeout.str().and_then(|text| text.trim().parse().ok()),
            },
        };
        match seconds {
            Some(seconds) if seconds > 0.0 => Ok(ini::duration(seconds)),
            _ => Err(Failure::argument(
                "Gateway::$connectTimeout must be a number of seconds above 0, such as 3 or 0.5".to_owned(),
            )),
        }
    }

    /// The key that signs connect tokens.
    pub(crate) fn token_key(&self) -> Result<TokenKey, Failure> {
        let key = secret_text(self.token, TOKEN_KEY)?;
        let secret = secret_text(self.secret, SECRET_KEY)?;
        match (&key[..], &secret[..]) {
            ([], []) => Err(Failure::argument(
                "a token has to be signed: set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of \
                 gateway-server, or Gateway::$secretKey to its secret_key. If the key comes of getenv(): PHP-FPM hands no \
                 environment on unless its pool has clear_env = no"
                    .to_owned(),
            )),
            ([], secret) => TokenKey::derived(secret).map_err(|short| {
                Failure::argument(format!(
                    "no token was made: {short}; set Gateway::$tokenKey, or gateway.token_key in php.ini, to the token_key of \
                     gateway-server"
                ))
            }),
            (key, _) => Ok(TokenKey::new(key)),
        }
    }

    /// Calls `then` with the target. Unless the properties have changed, it is the target of the call before.
    pub(crate) fn with_target<T>(
        &self,
        then: impl FnOnce(&Arc<Target>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        CACHED_TARGET.with_borrow_mut(|chosen| {
            let fits = chosen.as_ref().is_some_and(|chosen| chosen.is_for(self));
            if !fits {
                *chosen = None;
                *chosen = Some(CachedTarget::new(self)?);
            }
            match chosen {
                Some(chosen) => then(&chosen.target),
                None => unreachable!("just chosen"),
            }
        })
    }
}

fn find(class: *mut ClassEntry) -> Result<PropertyPointers, Failure> {
    let mut places = [ptr::null_mut(); 4];
    for (place, name) in places.iter_mut().zip(&NAMES) {
        // SAFETY: the class is live, and the name was made at the module's start.
        *place = unsafe { sys::zend_read_static_property_ex(class, name.load(Ordering::Acquire), true) };
        // A property of a program's class may get its value by code of the program.
        unless_thrown(())?;
        if place.is_null() {
            return Err(Failure::other("the class has lost its properties".to_owned()));
        }
    }
    Ok(PropertyPointers(places))
}

/// The last target used, and the property values that it was made from.
struct CachedTarget {
    addresses: Vec<Vec<u8>>,
    target: Arc<Target>,
}

impl CachedTarget {
    fn new(properties: &Properties) -> Result<Self, Failure> {
        let addresses: Vec<Vec<u8>> = match properties.address.array() {
            None => vec![address_text(properties.address)?.to_vec()],
            Some(list) => elements(list)
                .map(|address| address_text(address).map(<[u8]>::to_vec))
                .collect::<Result<_, _>>()?,
        };
        let parsed = addresses.iter().map(|address| Address::parse(address)).collect::<Result<_, _>>()?;
        let secret = secret_text(properties.secret, SECRET_KEY)?.into_owned();
        let target = Target::new(parsed, secret)?.speaking(ini::protocol()).with_tls(ini::tls());
        Ok(Self { addresses, target: Arc::new(target) })
    }

    fn is_for(&self, properties: &Properties) -> bool {
        let addresses_fit = match properties.address.array() {
            None => matches!(&*self.addresses, [only] if is(properties.address, only)),
            Some(list) => {
                list.len() == self.addresses.len()
                    && elements(list).zip(&self.addresses).all(|(value, known)| is(value, known))
            }
        };
        let secret_fits = match properties.secret.zend_str() {
            Some(secret) => secret.as_bytes() == self.target.secret(),
            None => secret_text(properties.secret, SECRET_KEY)
                .is_ok_and(|secret| *secret == *self.target.secret()),
        };
        addresses_fit && secret_fits
    }
}

fn is(value: &Zval, text: &[u8]) -> bool {
    value.zend_str().is_some_and(|string| string.as_bytes() == text)
}

fn address_text(value: &Zval) -> Result<&[u8], Failure> {
    value.zend_str().map(ZendStr::as_bytes).ok_or_else(|| {
        Failure::argument(
            "Gateway::$registerAddress must be a string such as '127.0.0.1:1236', or an array of such strings"
                .to_owned(),
        )
    })
}

fn secret_text<'a>(value: &'a Zval, name: &str) -> Result<std::borrow::Cow<'a, [u8]>, Failure> {
    use std::borrow::Cow;
    if let Some(secret) = value.zend_str() {
        return Ok(Cow::Borrowed(secret.as_bytes()));
    }
    match value.long() {
        Some(number) => Ok(Cow::Owned(number.to_string().into_bytes())),
        None if value.is_null() || value.is_false() => Ok(Cow::Borrowed(b"")),
        None => Err(Failure::argument(format!("Gateway::${name} must be a string"))),
    }
}
