//! The errors of a link, in words for the person who runs the PHP program.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateway_wire::bridge::frame::FrameTooLarge;

use crate::address::Address;
use crate::foreign_service::ForeignService;
use crate::target::Target;

/// Why a call on a link came to nothing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// No address of the target has led to a gateway.
    #[error(transparent)]
    Unreachable(Arc<Unreachable>),
    /// One call is larger than the protocol allows.
    #[error(
        "the call takes {} bytes, more than the limit of {} bytes for one call; send less, or in parts",
        .0.length, .0.limit
    )]
    TooLarge(FrameTooLarge),
    /// The buffer had no room for the call in time.
    #[error(
        "the gateway at {address} did not take earlier calls within {} s: {queued} bytes wait for it, and \
         gateway.buffer_bytes allows {limit}",
        .waited.as_secs_f64()
    )]
    BufferFull {
        /// The target, as its addresses read.
        address: String,
        /// Bytes of calls that are not done.
        queued: usize,
        /// [`LinkLimits::buffer_bytes`](crate::LinkLimits::buffer_bytes)
        limit: usize,
        /// The time that the call waited for room.
        waited: Duration,
    },
    /// The answer did not come in time.
    #[error("the gateway at {address} did not answer within {} s (Gateway::$connectTimeout)", .waited.as_secs_f64())]
    NoAnswer {
        /// The target, as its addresses read.
        address: String,
        /// The time that the call waited for the answer.
        waited: Duration,
    },
    /// The gateway has been silent for so long that this call waited only shortly for its answer.
    #[error(
        "the gateway at {address} has said nothing for {:.1} s, so that calls wait no longer than {} s for it until it does",
        .silent.as_secs_f64(), .waited.as_secs_f64()
    )]
    Silent {
        /// The target, as its addresses read.
        address: String,
        /// The time since the first wait in vain began.
        silent: Duration,
        /// The time that this call waited.
        waited: Duration,
    },
    /// The answer is larger than the caller takes, and was skipped.
    #[error(
        "the answer of the gateway at {address} has {length} bytes, more than the {most} for which there is memory \
         (memory_limit); ask for less at once, or count"
    )]
    AnswerTooLarge {
        /// The target, as its addresses read.
        address: String,
        /// Bytes of the answer.
        length: usize,
        /// Bytes that the caller takes at most.
        most: usize,
    },
    /// Too many answers wait to be taken for one more to be kept.
    #[error(
        "an answer of {length} bytes was given up, as answers of {untaken} bytes are not taken yet, and {most} may wait: \
         resolve futures, or drop them"
    )]
    AnswersUntaken {
        /// Bytes of the answer.
        length: usize,
        /// Bytes of the answers that wait.
        untaken: usize,
        /// Bytes of answers that may wait.
        most: usize,
    },
    /// Too many questions are open for one more.
    #[error(
        "{open} questions to the gateway at {address} wait for their answer or to be resolved, and that is as many as may"
    )]
    TooManyQuestions {
        /// The target, as its addresses read.
        address: String,
        /// The number of open questions.
        open: usize,
    },
    /// The process that has forked this one has asked, and gets the answer.
    #[error(
        "the gateway at {address} was asked by the process that has forked this one, which gets the answer"
    )]
    AskedByParent {
        /// The target, as its addresses read.
        address: String,
    },
    /// The gateway refused a query.
    #[error("the gateway at {address} refused the call: {message}")]
    Refused {
        /// The target, as its addresses read.
        address: String,
        /// The gateway's words.
        message: String,
    },
    /// One or all of GatewayWorker's gateways did not answer a query.
    #[error("the question to the gateways behind {address} was not answered: {message}")]
    Unanswered {
        /// The target, as its addresses read.
        address: String,
        /// The gateways and their reasons, in words.
        message: String,
    },
    /// The system gave no thread, descriptor or random numbers; the reason is in words.
    #[error("the I/O thread of the link to the gateway cannot run: {0}")]
    Thread(String),
    /// The connection for events was lost.
    #[error(transparent)]
    Worker(#[from] EventsConnLost),
}

/// What kind of failure an error is, for programs that tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The failure is none of the others, as when this process has no memory, thread or descriptor for the call.
    Other,
    /// No gateway could be reached, or its connection was lost.
    Unreachable,
    /// A gateway was reached, and has not answered or taken earlier calls in time.
    Timeout,
    /// The gateway refused the login or the call.
    Refused,
    /// The caller gave something that cannot be sent.
    Argument,
    /// What answers is no gateway, or one of another version.
    Protocol,
}

impl LinkError {
    /// What kind of failure this is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Unreachable(unreachable) => unreachable.kind(),
            Self::TooLarge(_) => ErrorKind::Argument,
            Self::BufferFull { .. } | Self::NoAnswer { .. } | Self::Silent { .. } => ErrorKind::Timeout,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Unanswered { .. } | Self::Worker(_) => ErrorKind::Unreachable,
            Self::AnswerTooLarge { .. }
            | Self::AnswersUntaken { .. }
            | Self::TooManyQuestions { .. }
            | Self::AskedByParent { .. }
            | Self::Thread(_) => ErrorKind::Other,
        }
    }
}

/// The connection for events was lost, for the reason in words; the worker has to join again.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the connection for events was lost: {0}")]
pub struct EventsConnLost(pub(crate) String);

/// None of a target's addresses led to a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreachable {
    /// The failures in the order of the attempts; there is at least one.
    pub failures: Vec<FailedAttempt>,
}

/// An address that did not lead to a gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedAttempt {
    /// The address.
    pub address: Address,
    /// Why it did not.
    pub reason: ConnectError,
}

/// Why an address did not lead to a gateway.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// The system refused; these are its words.
    #[error("{0}")]
    Io(String),
    /// TLS failed: a certificate, a key or the other side is wrong.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The host name has no address.
    #[error("the name cannot be resolved: {0}")]
    Resolve(String),
    /// Nothing answered within this time.
    #[error("no gateway answered within {:.1} s", .0.as_secs_f64())]
    Timeout(Duration),
    /// The other side does not speak the bridge, or another version of it.
    #[error("what answers there is no gateway of this version: {0}")]
    NotAGateway(String),
    /// The other side closed the connection before it had said what it is.
    #[error(
        "what answers there is no gateway of this version: the connection was closed during the handshake"
    )]
    ClosedInHandshake,
    /// A known service of another kind answers there.
    #[error("{0}")]
    ForeignService(ForeignService),
    /// The other side did not prove that it knows the secret.
    #[error(
        "what answers there lets this process in, but does not prove that it knows the secret: something else listens in the \
         gateway's place, and was told nothing"
    )]
    Unproven,
    /// The gateway refused the login, in these words.
    #[error("the gateway refused the login: {0}")]
    LoginRefused(String),
    /// The connection was lost, for the reason in words.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// GatewayWorker's register closed the connection without an answer.
    #[error("GatewayWorker's register closed the connection unanswered, as it does when the secret is wrong")]
    RegisterRefused,
    /// The secret is not UTF-8, which GatewayWorker's register requires.
    #[error("GatewayWorker's register takes only a secret that is UTF-8, and this one is not")]
    SecretIsNotText,
    /// GatewayWorker's register answers, but none of its gateways can be used.
    #[error("GatewayWorker's register answers there, but {0}")]
    Cluster(String),
}

impl ConnectError {
    fn is_about_the_secret(&self) -> bool {
        matches!(self, Self::LoginRefused(_) | Self::RegisterRefused | Self::SecretIsNotText)
    }

    fn kind(&self) -> ErrorKind {
        match self {
            Self::LoginRefused(_) | Self::RegisterRefused | Self::SecretIsNotText | Self::Unproven => {
                ErrorKind::Refused
            }
            Self::NotAGateway(_) | Self::ForeignService(_) => ErrorKind::Protocol,
            Self::Io(_)
            | Self::Tls(_)
            | Self::Resolve(_)
            | Self::Timeout(_)
            | Self::Lost(_)
            | Self::ClosedInHandshake
            | Self::Cluster(_) => ErrorKind::Unreachable,
        }
    }
}

impl Unreachable {
    /// What all attempts have failed by; where they differ, the gateway counts as one that cannot be reached.
    fn kind(&self) -> ErrorKind {
        let mut kinds = self.failures.iter().map(|failure| failure.reason.kind());
        let first = kinds.next().unwrap_or(ErrorKind::Unreachable);
        if kinds.all(|kind| kind == first) { first } else { ErrorKind::Unreachable }
    }

    /// The error that `waited` passed and none of the target's addresses has failed or answered.
    pub(crate) fn timed_out(target: &Target, waited: Duration) -> Self {
        let failure = |address: &Address| FailedAttempt {
            address: address.clone(),
            reason: ConnectError::Timeout(waited),
        };
        Self { failures: target.addresses().iter().map(failure).collect() }
    }
}

/// The text starts as that of GatewayWorker's client does, because programs look for that.
impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Can not connect to ")?;
        for (i, FailedAttempt { address, reason }) in self.failures.iter().enumerate() {
            write!(f, "{}{address} {reason}", if i == 0 { "" } else { "; " })?;
        }
        let any = |is: fn(&ConnectError) -> bool| self.failures.iter().any(|failure| is(&failure.reason));
        f.write_str(if any(ConnectError::is_about_the_secret) {
            ". Check that Gateway::$secretKey (gateway.secret_key) is the gateway's secret"
        } else if any(|reason| matches!(reason, ConnectError::Unproven)) {
            ". Find out which program it is, and who started it"
        } else if any(|reason| matches!(reason, ConnectError::Tls(_))) {
            ". Check that gateway-server has TLS (register_tls_certificate), for the name that \
             Gateway::$registerAddress (gateway.register_address) gives it, vouched for by gateway.tls_ca"
        } else if any(|reason| matches!(reason, ConnectError::Cluster(_))) {
            ". Check that GatewayWorker's gateways run, reach their register, and can be reached from here"
        } else {
            ". Check that gateway-server runs and that Gateway::$registerAddress (gateway.register_address) is its \
             register address"
        })
    }
}

impl std::error::Error for Unreachable {}

impl From<Unreachable> for LinkError {
    fn from(error: Unreachable) -> Self {
        Self::Unreachable(Arc::new(error))
    }
}

impl From<io::Error> for ConnectError {
    fn from(error: io::Error) -> Self {
        Self::Io(describe(&error))
    }
}

/// Gives the system's words without Rust's "(os error 111)".
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(address: &str, reason: ConnectError) -> FailedAttempt {
        FailedAttempt { address: Address::parse(address.as_bytes()).unwrap(), reason }
    }

    #[test]
    fn starts_with_the_words_that_programs_look_for() {
        let refused = ConnectError::from(io::Error::from_raw_os_error(libc::ECONNREFUSED));
        let error = Unreachable { failures: vec![failure("127.0.0.1:1238", refused)] }.to_string();
        assert!(error.starts_with("Can not connect to tcp://127.0.0.1:1238 Connection refused. "), "{error}");
        assert!(error.contains("$registerAddress"), "{error}");
    }

    #[test]
    fn names_every_address_and_what_to_check() {
        let first = failure("127.0.0.1:1", ConnectError::Timeout(Duration::from_millis(1500)));
        let second = failure("unix:///run/g", ConnectError::LoginRefused("wrong proof".to_owned()));
        let error = Unreachable { failures: vec![first, second] }.to_string();
        assert!(error.starts_with("Can not connect to tcp://127.0.0.1:1 no gateway answered within 1.5 s; "));
        assert!(error.contains("unix:///run/g the gateway refused the login: wrong proof. "), "{error}");
        assert!(error.contains("$secretKey"), "{error}");
    }
}
