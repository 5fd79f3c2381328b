//! The old server's end of a hand-over.

use super::Failure;
use crate::handover::message::{Hello, Message, Offer};

/// The end of the server that runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OldEnd {
    /// The process that was started.
    child: u32,
    offer: Offer,
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    HearHello,
    SendOffer,
    HearAnswer,
    PassListeners,
    Freeze,
    WriteState,
    HearComplete,
    Decide,
    HearServing,
    Over(OldOutcome),
}

/// What the old server is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OldTask {
    /// Receive a message, and give it to [`OldEnd::received`].
    Hear,
    /// Send this message.
    Send(Message),
    /// Accept no more, bring PHP's connections to rest, and send the listening sockets.
    PassListeners,
    /// Freeze the shards.
    Freeze,
    /// Send all state, and then how much that was.
    WriteState,
    /// Send the decision, and then never touch a client's socket again.
    Decide,
    /// Nothing: this is what has become of the hand-over.
    Over(OldOutcome),
}

/// What has become of a hand-over for the old server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OldOutcome {
    /// It has the clients. The new process has to be ended first, then the shards are thawed, and then it accepts again.
    GoesOn {
        why: String,
        /// Whether the shards may be frozen.
        thaws: bool,
        /// Whether it may have ceased to accept.
        accepts: bool,
        /// Whether it was asked to stop, and does so now.
        stops: bool,
    },
    /// The clients belong to the new server.
    HasGiven {
        /// Why the new server has not said that it serves.
        fault: Option<String>,
    },
}

impl OldEnd {
    /// An end that has started the process `child` and waits for its hello.
    pub fn new(child: u32, offer: Offer) -> Self {
        Self { child, offer, step: Step::HearHello }
    }

    pub fn task(&self) -> OldTask {
        match &self.step {
            Step::HearHello | Step::HearAnswer | Step::HearComplete | Step::HearServing => OldTask::Hear,
            Step::SendOffer => OldTask::Send(Message::Offer(self.offer.clone())),
            Step::PassListeners => OldTask::PassListeners,
            Step::Freeze => OldTask::Freeze,
            Step::WriteState => OldTask::WriteState,
            Step::Decide => OldTask::Decide,
            Step::Over(outcome) => OldTask::Over(outcome.clone()),
        }
    }

    /// The task is done, if it was none of hearing.
    pub fn done(&mut self) {
        self.step = match self.step {
            Step::SendOffer => Step::HearAnswer,
            Step::PassListeners => Step::Freeze,
            Step::Freeze => Step::WriteState,
            Step::WriteState => Step::HearComplete,
            Step::Decide => Step::HearServing,
            _ => return,
        };
    }

    /// The task has failed, whichever it was. A decision may fail only if the other end does not get it, ever.
    pub fn failed(&mut self, failure: &Failure) {
        self.end(failure.to_string(), false);
    }

    /// The other end has sent a message.
    pub fn received(&mut self, message: Message) {
        self.step = match (&self.step, message) {
            (Step::HearHello, Message::Hello(hello)) => match self.refuse(&hello) {
                None => Step::SendOffer,
                Some(why) => return self.end(why, false),
            },
            (Step::HearAnswer, Message::Ready) => Step::PassListeners,
            (Step::HearComplete, Message::Complete) => Step::Decide,
            (Step::HearServing, Message::Serving) => Step::Over(OldOutcome::HasGiven { fault: None }),
            (Step::Over(_), _) => return,
            (Step::HearServing, other) => {
                return self
                    .end(format!("the new server says {} instead of that it serves", other.name()), false);
            }
            (_, Message::Refused(why)) => {
                return self.end(format!("the new server does not take over: {why}"), false);
            }
            (_, other) => {
                return self.end(format!("the new server says {} at the wrong time", other.name()), false);
            }
        };
    }

    /// The server was asked to stop. Before the decision, that ends the hand-over; after it, there is nothing to keep.
    pub fn stop(&mut self) {
        self.end("the server was asked to stop".to_owned(), true);
    }

    /// Whether the clients belong to the new server.
    pub fn has_given(&self) -> bool {
        matches!(self.step, Step::HearServing | Step::Over(OldOutcome::HasGiven { .. }))
    }

    fn end(&mut self, why: String, stops: bool) {
        let accepts = matches!(
            self.step,
            Step::PassListeners | Step::Freeze | Step::WriteState | Step::HearComplete | Step::Decide
        );
        let thaws = accepts && self.step != Step::PassListeners;
        match &mut self.step {
            // A stop that is asked for while the hand-over is undone still counts.
            Step::Over(OldOutcome::GoesOn { stops: will_stop, .. }) => *will_stop |= stops,
            Step::Over(OldOutcome::HasGiven { .. }) => {}
            step @ Step::HearServing => *step = Step::Over(OldOutcome::HasGiven { fault: Some(why) }),
            step => *step = Step::Over(OldOutcome::GoesOn { why, thaws, accepts, stops }),
        }
    }

    /// Why this new server cannot take over, if so.
    fn refuse(&self, hello: &Hello) -> Option<String> {
        let Hello { server, pid, reads: (lowest, highest) } = hello;
        let (own, state) = (&self.offer.server, self.offer.state);
        if *pid != self.child {
            return Some(format!(
                "process {pid} answers instead of {}: the program that was started has started another",
                self.child
            ));
        }
        if (*lowest..=*highest).contains(&state) {
            return None;
        }
        let reads = if lowest == highest { format!("{lowest}") } else { format!("{lowest} to {highest}") };
        Some(format!(
            "this server ({own}) writes version {state} of its state, and the new one ({server}) reads {reads}: restart the server instead"
        ))
    }
}
