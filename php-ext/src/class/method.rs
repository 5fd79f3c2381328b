//! Defines a method once, with names, types and defaults, for reflection and for reading its arguments.
//!
//! The macros of ext-php-rs are not used: these methods declare no return type, so that a program's subclass may override them
//! as it could GatewayWorker's, and wrong arguments raise PHP's own messages.

use std::panic::AssertUnwindSafe;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::args::{Arg, ArgInfoTables};
use ext_php_rs::class::RegisteredClass;
use ext_php_rs::convert::IntoZval;
use ext_php_rs::exception::PhpException;
use ext_php_rs::ffi::zend_wrong_parameters_count_error;
use ext_php_rs::types::{ZendClassObject, Zval};
use ext_php_rs::zend::{ClassEntry, ExecuteData, ExecutorGlobals, run_handler};

use crate::args::Argument;
use crate::errors::Failure;
use crate::held::hold;
use crate::properties::Properties;

/// Defines `methods()`, which gives the names and the builders of the methods written in it. `call` is the [`MethodCall`].
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        fn $name:ident($call:ident $(, $argument:ident: $type:ty $(= $default:tt)?)*) $(-> $return:ty)? $body:block
    )*) => {
        pub(super) fn methods() -> Vec<(&'static str, ext_php_rs::builders::FunctionBuilder<'static>)> {
            use ext_php_rs::builders::FunctionBuilder;
            use ext_php_rs::types::Zval;
            use ext_php_rs::zend::ExecuteData;
            use $crate::class::method;
            use $crate::errors::Failure;

            vec![$({
                const DEFAULTS: &[Option<&str>] = &[$(method::default!($($default)?)),*];

                extern "C" fn handler(frame: &mut ExecuteData, result: &mut Zval) {
                    method::run(frame, result, DEFAULTS, |$call| -> Result<method::returned!($($return)?), Failure> {
                        let mut _position = 0;
                        $( let $argument: $type = $call.argument(&mut _position)?; )*
                        $body
                    });
                }

                let built = FunctionBuilder::new(stringify!($name), handler)
                    $( .arg(method::argument::<$type>(stringify!($argument), method::default!($($default)?))) )*
                    .required_args(method::required(DEFAULTS));
                (stringify!($name), built)
            }),*]
        }
    };
}

macro_rules! default {
    () => {
        None
    };
    ($default:tt) => {
        Some(stringify!($default))
    };
}

macro_rules! returned {
    () => {
        ()
    };
    ($type:ty) => {
        $type
    };
}

pub(super) use {default, methods, returned};

/// The arguments of a class's methods as reflection shows them. The engine borrows them for as long as the class lives, which is
/// until the module ends.
pub(super) struct ShownArguments(AtomicPtr<ArgInfoTables>);

impl ShownArguments {
    pub(super) const fn none() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    /// Runs at the module's start, where the class of an earlier one is gone.
    pub(super) fn keep(&self, arguments: ArgInfoTables) {
        let earlier = self.0.swap(Box::into_raw(Box::new(arguments)), Ordering::AcqRel);
        if !earlier.is_null() {
            // SAFETY: the pointer came from a box here, and the class that borrowed it is gone.
            drop(unsafe { Box::from_raw(earlier) });
        }
    }
}

/// One call of a method.
pub(super) struct MethodCall<'a> {
    frame: &'a ExecuteData,
}

impl<'a> MethodCall<'a> {
    /// The properties of the class that was called.
    pub(super) fn properties(&self) -> Result<Properties<'a>, Failure> {
        Properties::of(self.called_class())
    }

    pub(super) fn argument<T: Argument>(&self, position: &mut u32) -> Result<T, Failure> {
        let index = *position;
        *position += 1;
        if index < self.given() {
            // SAFETY: the frame has as many arguments as it says, and each is read once.
            let value: Option<&Zval> =
                unsafe { self.frame.zend_call_arg(index as usize) }.map(|value| &*value);
            if let Some(value) = value {
                // The target of a reference is held too, since code of the program may free it while it is read.
                let held;
                let value = if value.is_reference() {
                    held = hold(value);
                    &held
                } else {
                    value
                };
                return T::read(value, *position);
            }
        }
        match T::when_omitted() {
            Some(value) => Ok(value),
            None => unreachable!("the number of arguments was checked"),
        }
    }

    fn given(&self) -> u32 {
        // SAFETY: in a call's frame this field of the union is in use.
        unsafe { self.frame.This.u2.num_args }
    }

    /// The Rust part of the object that the method is called on.
    pub(super) fn object<T: RegisteredClass>(&self) -> Result<&'a T, Failure> {
        let object = self.frame.This.object().and_then(ZendClassObject::<T>::from_zend_obj);
        object
            .map(|object| &**object)
            .ok_or_else(|| Failure::other("the method has no object of its class".to_owned()))
    }

    /// The class that the program named.
    pub(super) fn called_class(&self) -> *mut ClassEntry {
        match self.frame.This.object() {
            Some(object) => object.ce,
            // SAFETY: the frame of a static method holds the class, or null.
            None => unsafe { self.frame.This.value.ce },
        }
    }
}

/// Runs a method's body: panics, wrong numbers of arguments and failures become PHP's errors.
///
/// A method that has failed without an exception, as gateway.on_error may choose, returns null, false, 0 or `[]`.
pub(super) fn run<'a, T: IntoZval + Default>(
    frame: &'a mut ExecuteData,
    result: &mut Zval,
    defaults: &[Option<&str>],
    body: impl FnOnce(&MethodCall<'a>) -> Result<T, Failure>,
) {
    let call = MethodCall { frame };
    run_handler(AssertUnwindSafe(|| {
        let (least, most) = (required(defaults), defaults.len());
        if !(least..=most).contains(&(call.given() as usize)) {
            let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
            // SAFETY: the function takes two numbers, and the frame is that of the method.
            return unsafe { zend_wrong_parameters_count_error(count(least), count(most)) };
        }
        let value = match body(&call) {
            Ok(value) => value,
            Err(failure) => {
                failure.raise();
                if ExecutorGlobals::has_exception() {
                    return;
                }
                T::default()
            }
        };
        if let Err(error) = value.set_zval(result, false) {
            PhpException::from(error).throw();
        }
    }));
}

/// The number of arguments before the first with a default.
pub(super) const fn required(defaults: &[Option<&str>]) -> usize {
    let mut required = 0;
    while required < defaults.len() && defaults[required].is_none() {
        required += 1;
    }
    required
}

/// Describes an argument for reflection.
pub(super) fn argument<T: Argument>(name: &str, default: Option<&str>) -> Arg<'static> {
    let mut argument = Arg::new(name, T::TYPE);
    if T::NULLABLE {
        argument = argument.allow_null();
    }
    match default {
        Some(default) => argument.default(default),
        None => argument,
    }
}
