//! A call of a method of class Gateway, with its arguments, that can be made again.

use std::panic::AssertUnwindSafe;
use std::ptr;

use ext_php_rs::ffi::{zend_call_known_function, zend_function, zend_hash_str_find_ptr_lc};
use ext_php_rs::types::{ZendHashTable, ZendStr, Zval};
use ext_php_rs::zend::{CatchError, ClassEntry, bailout, try_catch};
use gateway_wire::excerpt;

use crate::class_entries::GATEWAY_ENTRY;
use crate::errors::Failure;
use crate::held::{hold, unless_thrown};

pub(super) struct HeldCall {
    function: *mut zend_function,
    called: *mut ClassEntry,
    /// The array of the arguments, by position and by name.
    arguments: Zval,
}

impl HeldCall {
    /// Finds the method. `called` is the class that the program named, whose properties count.
    pub(super) fn new(called: *mut ClassEntry, method: &[u8], arguments: Zval) -> Result<Self, Failure> {
        let own = GATEWAY_ENTRY.get();
        let called = if called.is_null() { own } else { called };
        // SAFETY: the class lives as long as the process, and its table has functions of it; the name has the given length.
        let function = unsafe {
            zend_hash_str_find_ptr_lc(&raw mut (*own).function_table, method.as_ptr().cast(), method.len())
        };
        if function.is_null() {
            return Err(Failure::argument(format!("Gateway has no method {}", excerpt(method))));
        }
        Ok(Self { function: function.cast(), called, arguments })
    }

    /// Makes the call, in which code of the program may run. Gives what it returns.
    pub(super) fn run(&self) -> Result<Zval, Failure> {
        let (mut positional, mut named) = self.arguments()?;
        let mut result = Zval::new();
        let ended = {
            let call = || {
                let named = named.as_mut().map_or(ptr::null_mut(), |named| ptr::from_mut(&mut **named));
                let count = u32::try_from(positional.len()).unwrap_or(u32::MAX);
                // SAFETY: the function is a static method of the class or of one that it extends, and has the given arguments,
                // which are live over the call.
                unsafe {
                    zend_call_known_function(
                        self.function,
                        ptr::null_mut(),
                        self.called,
                        &raw mut result,
                        count,
                        positional.as_mut_ptr(),
                        named,
                    );
                }
            };
            try_catch(AssertUnwindSafe(call))
        };
        drop((positional, named));
        match ended {
            Ok(()) => unless_thrown(result),
            Err(CatchError::Bailout) => {
                // SAFETY: the callers hold only what every method holds while code of the program may run.
                unsafe { bailout() }
            }
            Err(panic) => Err(Failure::other(format!("the call could not be made: {panic}"))),
        }
    }

    fn arguments(&self) -> Result<(Vec<Zval>, Option<HeldNames>), Failure> {
        let (mut positional, mut named) = (Vec::new(), None::<HeldNames>);
        let Some(array) = self.arguments.array() else { return Ok((positional, named)) };
        let mut entries = array.iter();
        while let Some((key, value)) = entries.next_zval() {
            match key.zend_str().map(ZendStr::as_str) {
                Some(Ok(name)) => {
                    let inserted = named.get_or_insert_with(ZendHashTable::new).insert(name, hold(value));
                    inserted.map_err(|error| Failure::other(error.to_string()))?;
                }
                Some(Err(_)) => {
                    return Err(Failure::argument("an argument's name must be UTF-8".to_owned()));
                }
                None if named.is_some() => {
                    return Err(Failure::argument(
                        "an argument without a name must stand before those with one".to_owned(),
                    ));
                }
                None => positional.push(hold(value)),
            }
        }
        Ok((positional, named))
    }
}

type HeldNames = ext_php_rs::boxed::ZBox<ZendHashTable>;
