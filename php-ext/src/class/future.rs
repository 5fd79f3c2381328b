//! Class `GatewayFuture`: a question that was asked, and whose answer the program takes later.

use std::cell::RefCell;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ext_php_rs::builders::{ClassBuilder, FunctionBuilder};
use ext_php_rs::class::{ClassEntryInfo, ClassMetadata, ConstructorMeta, RegisteredClass};
use ext_php_rs::convert::{IntoZval as _, IntoZvalDyn};
use ext_php_rs::describe::DocComments;
use ext_php_rs::flags::{ClassFlags, ConstantFlags, MethodFlags};
use ext_php_rs::types::{ZendClassObject, Zval};
use gateway_link::{ErrorKind, Question};

use super::held_call::HeldCall;
use super::method::methods;
use crate::args::Timeout;
use crate::class_entries;
use crate::errors::Failure;
use crate::{signal_stream, split_call};

/// Longer than any question may take, so that its own time ends a wait.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

pub(super) struct Future {
    call: HeldCall,
    state: RefCell<State>,
    /// The stream, once the program has asked for it.
    stream: RefCell<Option<Zval>>,
}

enum State {
    /// The question, or why it could not be asked.
    Open(Result<Question, Failure>),
    Done(Zval),
    /// The answer is being taken, in which code of the program may run.
    BeingTaken,
    /// The answer was an error, which was raised.
    Spent,
}

impl Future {
    /// Calls the method, as far as its question.
    pub(super) fn of_call(call: HeldCall) -> Result<Self, Failure> {
        let mut result = Ok(Zval::new());
        let question = split_call::ask(|| result = call.run());
        // An exception has come before there was a question, or in a warning at it.
        let result = result?;
        let state = question.map_or(State::Done(result), State::Open);
        Ok(Self { call, state: RefCell::new(state), stream: RefCell::new(None) })
    }

    pub(super) fn into_object(self) -> Result<Zval, Failure> {
        ZendClassObject::new(self).into_zval(false).map_err(|error| Failure::other(error.to_string()))
    }

    fn is_ready(&self) -> bool {
        match &*self.state.borrow() {
            State::Open(Ok(question)) => question.is_ready(),
            _ => true,
        }
    }

    fn left(&self) -> Duration {
        match &*self.state.borrow() {
            State::Open(Ok(question)) => question.left(),
            _ => Duration::ZERO,
        }
    }

    fn stream(&self) -> Result<Zval, Failure> {
        if let Some(stream) = &*self.stream.borrow() {
            return Ok(stream.shallow_clone());
        }
        let socket = match &*self.state.borrow() {
            State::Open(Ok(question)) => question.signal(),
            // The other end is closed at once, so that there is something to read.
            _ => UnixStream::pair().map(|(_, socket)| socket),
        };
        let socket =
            socket.map_err(|error| Failure::other(format!("the system gives no socket: {error}")))?;
        let stream = signal_stream::of_socket(socket)?;
        let given = stream.shallow_clone();
        self.stream.replace(Some(stream));
        Ok(given)
    }

    /// Gives what the method returns, once the answer is there.
    fn resolve(&self, timeout: Option<Duration>) -> Result<Zval, Failure> {
        let answer = match self.state.replace(State::BeingTaken) {
            State::Done(value) => {
                let given = value.shallow_clone();
                self.state.replace(State::Done(value));
                return Ok(given);
            }
            State::Open(Err(failure)) => Err(failure),
            State::Open(Ok(mut question)) => match question.answer(timeout.unwrap_or(FOREVER)) {
                Some(answer) => answer.map_err(Failure::from),
                None => {
                    self.state.replace(State::Open(Ok(question)));
                    return Err(Failure::Exception(
                        ErrorKind::Timeout,
                        "the gateway has not answered yet: wait longer, or for the future's stream"
                            .to_owned(),
                    ));
                }
            },
            State::BeingTaken => {
                return Err(Failure::other("the answer of this future is being taken already".to_owned()));
            }
            State::Spent => {
                self.state.replace(State::Spent);
                return Err(Failure::other(
                    "this future was resolved before, and its answer was an error".to_owned(),
                ));
            }
        };
        let mut result = Ok(Zval::new());
        split_call::take(answer, || result = self.call.run());
        let state = result.as_ref().map_or(State::Spent, |value| State::Done(value.shallow_clone()));
        self.state.replace(state);
        result
    }
}

methods! {
    fn isReady(call) -> bool {
        Ok(call.object::<Future>()?.is_ready())
    }

    fn secondsLeft(call) -> f64 {
        Ok(call.object::<Future>()?.left().as_secs_f64())
    }

    fn stream(call) -> Zval {
        call.object::<Future>()?.stream()
    }

    fn resolve(call, timeout: Timeout = null) -> Zval {
        let timeout = timeout.duration()?;
        call.object::<Future>()?.resolve(timeout)
    }
}

pub(super) fn register() -> ext_php_rs::error::Result<()> {
    let mut class = ClassBuilder::new(class_entries::FUTURE)
        .flags(ClassFlags::Final | ClassFlags::NoDynamicProperties | ClassFlags::NotSerializable)
        .object_override::<Future>()
        .registration(|class, arguments| {
            METADATA.set_ce(class);
            METADATA.set_arg_info(arguments);
        });
    for (_, method) in methods() {
        class = class.method(method, MethodFlags::Public);
    }
    class.register()
}

static METADATA: ClassMetadata<Future> = ClassMetadata::new(&[]);

impl RegisteredClass for Future {
    const CLASS_NAME: &'static str = class_entries::FUTURE;
    const BUILDER_MODIFIER: Option<fn(ClassBuilder) -> ClassBuilder> = None;
    const EXTENDS: Option<ClassEntryInfo> = None;
    const IMPLEMENTS: &'static [ClassEntryInfo] = &[];

    fn get_metadata() -> &'static ClassMetadata<Self> {
        &METADATA
    }

    fn method_builders() -> Vec<(FunctionBuilder<'static>, MethodFlags)> {
        Vec::new()
    }

    /// Only `Gateway::later()` makes futures.
    fn constructor() -> Option<ConstructorMeta<Self>> {
        None
    }

    fn constants() -> &'static [(&'static str, &'static dyn IntoZvalDyn, DocComments, ConstantFlags)] {
        &[]
    }
}
