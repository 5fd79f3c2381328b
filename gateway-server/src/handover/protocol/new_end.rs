//! The new server's end of a hand-over.

use super::Failure;
use crate::handover::message::{Hello, Message, Offer, Totals};

/// The end of the server that is to follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NewEnd {
    hello: Hello,
    step: Step,
    /// The number of shards that the old server has.
    shards: u32,
    /// What has come, but for listening sockets.
    totals: Totals,
    /// Whether the listening sockets have come.
    listens: bool,
    /// Whether it was asked to stop.
    stops: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Step {
    SayHello,
    HearOffer,
    Check(Offer),
    SayReady,
    HearState,
    Restore,
    Finish,
    SayComplete,
    AwaitDecision,
    Refuse(String),
    Over(NewOutcome),
}

/// What the new server is to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NewTask {
    /// Receive a message, and give it to [`NewEnd::received`].
    Hear,
    /// Send this message.
    Send(Message),
    /// Check whether this can be taken over.
    Check(Offer),
    /// Restore what the last message has brought. Its sockets are not touched.
    Restore,
    /// Do what is left to do when all state has come, so that from then on nothing can fail.
    Finish,
    /// Wait until the decision comes or the channel is closed, however long that takes.
    AwaitDecision,
    /// Nothing: this is what has become of the hand-over.
    Over(NewOutcome),
}

/// What has become of a hand-over for the new server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NewOutcome {
    /// It has the clients, and serves them.
    TakesOver {
        /// Whether the old server has died, so that there is nobody to tell and no relay.
        is_orphan: bool,
        /// Whether it was asked to stop, and does so in order.
        stops: bool,
    },
    /// The old server has died before everything had come: it serves as after any crash, with no clients.
    StartsAfresh,
    /// It has told the old server why it does not take over, and ends.
    Refuses(String),
    /// It ends. The old server goes on.
    Ends(String),
}

impl NewEnd {
    /// An end that is to say this hello.
    pub fn new(hello: Hello) -> Self {
        Self {
            hello,
            step: Step::SayHello,
            shards: 0,
            totals: Totals::default(),
            listens: false,
            stops: false,
        }
    }

    pub fn task(&self) -> NewTask {
        match &self.step {
            Step::SayHello => NewTask::Send(Message::Hello(self.hello.clone())),
            Step::HearOffer | Step::HearState => NewTask::Hear,
            Step::Check(offer) => NewTask::Check(offer.clone()),
            Step::SayReady => NewTask::Send(Message::Ready),
            Step::Restore => NewTask::Restore,
            Step::Finish => NewTask::Finish,
            Step::SayComplete => NewTask::Send(Message::Complete),
            Step::AwaitDecision => NewTask::AwaitDecision,
            Step::Refuse(why) => NewTask::Send(Message::Refused(why.clone())),
            Step::Over(outcome) => NewTask::Over(outcome.clone()),
        }
    }

    /// The task is done, if it was neither hearing nor waiting.
    pub fn done(&mut self) {
        self.step = match &self.step {
            Step::SayHello => Step::HearOffer,
            Step::Check(_) => Step::SayReady,
            Step::SayReady | Step::Restore => Step::HearState,
            Step::Finish => Step::SayComplete,
            Step::SayComplete => Step::AwaitDecision,
            Step::Refuse(why) => Step::Over(NewOutcome::Refuses(why.clone())),
            _ => return,
        };
    }

    /// The task has failed, whichever it was.
    pub fn failed(&mut self, failure: &Failure) {
        let why = failure.to_string();
        self.step = match (&self.step, failure) {
            (Step::Over(_), _) => return,
            (Step::Refuse(why), _) => Step::Over(NewOutcome::Refuses(why.clone())),
            (_, _) if self.is_complete() => match failure {
                Failure::Gone(_) => Step::Over(NewOutcome::TakesOver { is_orphan: true, stops: self.stops }),
                // The old server cannot have decided: it has not heard that this one is complete, or it says anything else first.
                Failure::Silent(_) | Failure::Other(_) => Step::Over(NewOutcome::Ends(why)),
            },
            (_, Failure::Gone(_)) => Step::Over(NewOutcome::StartsAfresh),
            (_, Failure::Silent(_)) => Step::Over(NewOutcome::Ends(why)),
            (_, Failure::Other(_)) => Step::Refuse(why),
        };
    }

    /// The other end has sent a message with this many descriptors.
    pub fn received(&mut self, message: &Message, descriptors: usize) {
        let next = match (&self.step, message) {
            (Step::Over(_), _) => return,
            (Step::HearOffer, Message::Offer(offer)) if descriptors == 0 => self.hear_offer(offer),
            (Step::HearState, Message::Listeners(listeners)) if !self.listens => {
                if listeners.len() == descriptors {
                    self.listens = true;
                    Ok(Step::Restore)
                } else {
                    Err(format!("{descriptors} descriptors came for {} listening sockets", listeners.len()))
                }
            }
            (Step::HearState, Message::Clients(shard)) if self.listens && *shard >= self.shards => {
                Err(format!("clients of shard {shard} came, and there are {} shards", self.shards))
            }
            (Step::HearState, Message::Clients(_) | Message::State(_)) if self.listens => {
                self.totals.parcels += 1;
                self.totals.descriptors += descriptors as u64;
                Ok(Step::Restore)
            }
            (Step::HearState, Message::End(totals)) if self.listens && descriptors == 0 => {
                if *totals == self.totals {
                    Ok(Step::Finish)
                } else {
                    Err(format!(
                        "{} parcels with {} descriptors came, and {} with {} were sent",
                        self.totals.parcels, self.totals.descriptors, totals.parcels, totals.descriptors
                    ))
                }
            }
            (_, other) => Err(format!("the old server says {} at the wrong time", other.name())),
        };
        match next {
            Ok(step) => self.step = step,
            Err(why) => self.failed(&Failure::Other(why)),
        }
    }

    /// The decision has come.
    pub fn decided(&mut self) {
        if self.step == Step::AwaitDecision {
            self.step = Step::Over(NewOutcome::TakesOver { is_orphan: false, stops: self.stops });
        } else {
            self.failed(&Failure::Other("the old server decides at the wrong time".to_owned()));
        }
    }

    /// The server was asked to stop. It ends, unless it is complete: the decision may be on its way then, after which its clients
    /// are told of the stop like any others.
    pub fn stop(&mut self) {
        self.stops = true;
        match &mut self.step {
            Step::Over(NewOutcome::TakesOver { stops, .. }) => *stops = true,
            Step::Over(outcome @ NewOutcome::StartsAfresh) => *outcome = asked_to_stop(),
            Step::Over(_) | Step::SayComplete | Step::AwaitDecision => {}
            step => *step = Step::Over(asked_to_stop()),
        }
    }

    /// Whether it has everything that the old server had.
    fn is_complete(&self) -> bool {
        matches!(self.step, Step::SayComplete | Step::AwaitDecision)
    }

    fn hear_offer(&mut self, offer: &Offer) -> Result<Step, String> {
        let (lowest, highest) = self.hello.reads;
        if !(lowest..=highest).contains(&offer.state) {
            return Err(format!(
                "the old server ({}) offers version {} of its state, and this one ({}) reads {lowest} to {highest}",
                offer.server, offer.state, self.hello.server
            ));
        }
        self.shards = offer.shards;
        Ok(Step::Check(offer.clone()))
    }
}

fn asked_to_stop() -> NewOutcome {
    NewOutcome::Ends("the new server was asked to stop".to_owned())
}
