//! Methods of class Gateway that are called twice: once to ask their question, and again, with the same arguments, to make their
//! result of the answer.
//!
//! The methods know nothing of this. What they do with a link is decided here: the first call ends when it has asked, and the
//! second is given the answer. What it would order has been ordered by the first.

use std::cell::{Cell, RefCell};
use std::ptr;

use ext_php_rs::zend::{ExecuteData, ExecutorGlobals};
use gateway_link::{QueryAnswer, Question};

use crate::errors::Failure;

/// What a query of the running method has to do.
pub(crate) enum Part {
    /// It asks and waits for the answer, as methods do.
    Whole,
    /// It asks, and leaves the question with [`has_asked`].
    Ask,
    /// It takes this for its answer.
    Take(Result<QueryAnswer, Failure>),
}

enum Stage {
    Asks,
    Asked(Result<Question, Failure>),
    Takes(Result<QueryAnswer, Failure>),
    Taken,
}

/// The call that is split. Methods that the program calls meanwhile, where values are converted, are whole.
struct SplitCall {
    /// The frame of the method that has called the split one.
    caller: *mut ExecuteData,
    stage: Stage,
}

thread_local! {
    static SPLIT: RefCell<Option<SplitCall>> = const { RefCell::new(None) };
    /// Whether [`SPLIT`] holds a call, so that others have little to look at.
    static IS_SPLIT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `call`, which calls a method from the running one. Gives the question that it has asked; `None` when it had none, and is
/// done.
pub(crate) fn ask(call: impl FnOnce()) -> Option<Result<Question, Failure>> {
    match run(Stage::Asks, call) {
        Some(Stage::Asked(question)) => Some(question),
        _ => None,
    }
}

/// Runs `call`, which calls the same method with the same arguments, and gives its question this answer.
pub(crate) fn take(answer: Result<QueryAnswer, Failure>, call: impl FnOnce()) {
    run(Stage::Takes(answer), call);
}

fn run(stage: Stage, call: impl FnOnce()) -> Option<Stage> {
    let caller = ExecutorGlobals::get().current_execute_data;
    let outer = SPLIT.replace(Some(SplitCall { caller, stage }));
    IS_SPLIT.set(true);
    call();
    IS_SPLIT.set(outer.is_some());
    SPLIT.replace(outer).map(|split| split.stage)
}

/// Runs at a request's start: a fatal error may have ended the one before within a call.
pub(crate) fn start_request() {
    SPLIT.set(None);
    IS_SPLIT.set(false);
}

/// What the query of the running method has to do.
pub(crate) fn part() -> Part {
    with_own(|stage| match stage {
        Stage::Asks => Part::Ask,
        Stage::Takes(_) => match std::mem::replace(stage, Stage::Taken) {
            Stage::Takes(answer) => Part::Take(answer),
            _ => Part::Whole,
        },
        // Only the first question of a method is split.
        Stage::Asked(_) | Stage::Taken => Part::Whole,
    })
    .unwrap_or(Part::Whole)
}

pub(crate) fn has_asked(question: Result<Question, Failure>) {
    with_own(|stage| *stage = Stage::Asked(question));
}

/// Whether the running method was called before, and has ordered all that it orders.
pub(crate) fn is_repeated() -> bool {
    with_own(|stage| matches!(stage, Stage::Takes(_) | Stage::Taken)).unwrap_or(false)
}

fn with_own<T>(then: impl FnOnce(&mut Stage) -> T) -> Option<T> {
    if !IS_SPLIT.get() {
        return None;
    }
    let frame = ExecutorGlobals::get().current_execute_data;
    // SAFETY: the pointer is null, or leads to the frame of the method that runs.
    let caller = unsafe { frame.as_ref() }.map_or(ptr::null_mut(), |frame| frame.prev_execute_data);
    SPLIT.with_borrow_mut(|split| {
        split.as_mut().filter(|split| split.caller == caller).map(|split| then(&mut split.stage))
    })
}
