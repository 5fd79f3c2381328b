//! PHP's connections at rest, and what else of PHP goes on in another process, as bytes.
//!
//! A connection comes to rest in this form even when the same process goes on with it, so there is one way to go on.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::events::{CarriedBatch, CarriedWorkers, MalformedEvent};
use crate::versioned::{Form, Malformed};

const FORM: Form = Form::new("the state of PHP's connections", 1);

/// A connection that has come to rest at the boundary of a packet.
#[derive(Debug)]
pub(in crate::php) struct ConnectionAtRest {
    pub(in crate::php) origin: Origin,
    pub(in crate::php) state: StateAtRest,
    /// The descriptors, as many as [`StateAtRest::descriptors`] says.
    pub(in crate::php) descriptors: Vec<OwnedFd>,
}

/// Where a connection has come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) struct Origin {
    /// The name of the register port.
    pub(in crate::php) port: String,
    /// The address, or `None` for a unix socket.
    pub(in crate::php) peer: Option<SocketAddr>,
}

/// What a connection was in when it came to rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) enum StateAtRest {
    /// Nothing has been read.
    New,
    Register(RegisterAtRest),
    Internal(InternalAtRest),
    /// A BusinessWorker process.
    BusinessWorker(BusinessWorkerAtRest),
    /// A worker of the bridge.
    Worker(WorkerAtRest),
}

/// A connection of the register protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) struct RegisterAtRest {
    /// What was read and is no complete line.
    pub(in crate::php) input: ByteBuf,
    /// The peer has said who it is.
    pub(in crate::php) is_known: bool,
    /// The peer is told the addresses of gateways.
    pub(in crate::php) is_worker: bool,
    /// The address that the peer has registered, as a gateway.
    pub(in crate::php) gateway: Option<String>,
}

/// A connection of GatewayWorker's internal protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) struct InternalAtRest {
    /// What was read and is no complete packet.
    pub(in crate::php) input: ByteBuf,
    /// Replies that are not written yet. The first of them may have been written in part.
    pub(in crate::php) output: ByteBuf,
    pub(in crate::php) is_trusted: bool,
    pub(in crate::php) has_ordered: bool,
}

/// A BusinessWorker process, which is told of events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) struct BusinessWorkerAtRest {
    /// The name of its queue.
    pub(in crate::php) name: String,
    pub(in crate::php) input: ByteBuf,
    /// What is not written yet. The first packet of it may have been written in part.
    pub(in crate::php) output: ByteBuf,
    /// The batch that the output is of, and where each of its events ends there; 0 stands for an event that is written.
    pub(in crate::php) batch: Option<CarriedBatch>,
    pub(in crate::php) ends: Vec<u64>,
    /// Clients that are new, and the events that are held back for them.
    pub(in crate::php) newcomers: Vec<u32>,
    pub(in crate::php) held_back: Vec<CarriedBatch>,
}

/// A worker of the bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::php) struct WorkerAtRest {
    /// The name of its queue.
    pub(in crate::php) name: String,
    pub(in crate::php) input: ByteBuf,
    pub(in crate::php) output: ByteBuf,
    pub(in crate::php) is_leaving: bool,
    /// The batches that are with the process, each with the number of its last event.
    pub(in crate::php) batches: Vec<(u64, CarriedBatch)>,
    /// The number of the last event sent, of the last that the process has begun to handle, and of the last that it has handled.
    pub(in crate::php) sent: u64,
    pub(in crate::php) taken: u64,
    pub(in crate::php) done: u64,
    /// The connection is there. One over TLS cannot travel, and its process comes again under its name.
    pub(in crate::php) has_socket: bool,
    /// The file travels in which the process counts the events that it has begun. It has no name any more.
    pub(in crate::php) has_progress_file: bool,
    /// The process takes notices of the inbox; the number of the batch that is with it, or 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::php) notices: Option<u64>,
}

impl StateAtRest {
    /// How many descriptors travel with the connection: its socket, and then a worker's progress file.
    fn descriptors(&self) -> usize {
        match self {
            Self::New | Self::Register(_) | Self::Internal(_) | Self::BusinessWorker(_) => 1,
            Self::Worker(worker) => usize::from(worker.has_socket) + usize::from(worker.has_progress_file),
        }
    }

    /// Whether calls of the connection may not be overtaken by those of later connections yet.
    pub(in crate::php) fn is_young(&self) -> bool {
        match self {
            Self::New => true,
            Self::Internal(internal) => !internal.has_ordered,
            Self::Register(_) | Self::BusinessWorker(_) | Self::Worker(_) => false,
        }
    }
}

/// Everything of PHP that goes on in another process, besides the descriptors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedState {
    /// When this was written, in nanoseconds of CLOCK_MONOTONIC, which two processes of a machine share.
    pub(super) written_at: u64,
    /// The random number by which PHP notices that the server was started again, which it was not.
    pub(super) instance: u64,
    /// The producers and the number of the last order of each that took effect, the one that left first at the front.
    pub(super) producers: Vec<(ByteBuf, u64)>,
    pub(super) workers: CarriedWorkers,
    /// The connections in the order in which they came.
    pub(super) connections: Vec<(Origin, StateAtRest)>,
}

/// Why bytes of another process are nothing that this server can go on with.
#[derive(Debug, thiserror::Error)]
pub enum MalformedPhp {
    #[error(transparent)]
    Form(#[from] Malformed),
    #[error("PHP's connections need {needed} descriptors, and {came} came")]
    Descriptors { needed: usize, came: usize },
    #[error("a producer's name has {0} bytes")]
    Producer(usize),
    #[error(transparent)]
    Event(#[from] MalformedEvent),
}

impl CarriedState {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        FORM.write(self)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        FORM.read(bytes)
    }
}

/// Gives each connection its descriptors, which came in the same order.
pub(super) fn with_descriptors(
    connections: Vec<(Origin, StateAtRest)>,
    descriptors: Vec<OwnedFd>,
) -> Result<Vec<ConnectionAtRest>, MalformedPhp> {
    let (needed, came) = (connections.iter().map(|(_, state)| state.descriptors()).sum(), descriptors.len());
    if needed != came {
        return Err(MalformedPhp::Descriptors { needed, came });
    }
    let mut descriptors = descriptors.into_iter();
    let complete = connections.into_iter().map(|(origin, state)| {
        let descriptors = descriptors.by_ref().take(state.descriptors()).collect();
        ConnectionAtRest { origin, state, descriptors }
    });
    Ok(complete.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PHP's side as the first release of version 1 has written it.
    const GOLDEN: &[u8] = include_bytes!("golden/php_1.bin");

    fn state() -> CarriedState {
        let bytes = |text: &str| ByteBuf::from(text.as_bytes());
        let origin = |peer: Option<&str>| Origin {
            port: "tcp://127.0.0.1:1238".to_owned(),
            peer: peer.map(|peer| peer.parse().unwrap()),
        };
        let batch = CarriedBatch::example;
        let register = RegisterAtRest {
            input: bytes("{\"ev"),
            is_known: true,
            is_worker: false,
            gateway: Some("10.0.0.1:2900".to_owned()),
        };
        let internal = InternalAtRest {
            input: bytes("\0\0"),
            output: bytes("answer"),
            is_trusted: true,
            has_ordered: false,
        };
        let business = BusinessWorkerAtRest {
            name: "127.0.0.1:w".to_owned(),
            input: bytes("\0"),
            output: bytes("events"),
            batch: Some(batch()),
            ends: vec![0, 6],
            newcomers: vec![7],
            held_back: vec![batch()],
        };
        let worker = WorkerAtRest {
            name: "w:0:7@host".to_owned(),
            input: bytes("in"),
            output: bytes("out"),
            is_leaving: true,
            batches: vec![(12, batch())],
            sent: 12,
            taken: 11,
            done: 10,
            has_socket: true,
            has_progress_file: true,
            notices: None,
        };
        CarriedState {
            written_at: 1_000_000_007,
            instance: u64::MAX - 1,
            producers: vec![(ByteBuf::from([7; 16]), 77)],
            workers: CarriedWorkers::example(),
            connections: vec![
                (origin(None), StateAtRest::New),
                (origin(Some("192.0.2.1:5")), StateAtRest::Register(register)),
                (origin(Some("[2001:db8::1]:5")), StateAtRest::Internal(internal)),
                (origin(None), StateAtRest::BusinessWorker(business)),
                (origin(None), StateAtRest::Worker(worker)),
            ],
        }
    }

    #[test]
    fn every_released_version_is_read() {
        assert_eq!(state().to_bytes(), GOLDEN);
        let read = CarriedState::from_bytes(GOLDEN).unwrap();
        assert_eq!(read, state());
        let batches = read.connections.iter().flat_map(|(_, state)| match state {
            StateAtRest::BusinessWorker(worker) => worker.batch.iter().chain(&worker.held_back).collect(),
            StateAtRest::Worker(worker) => worker.batches.iter().map(|(_, batch)| batch).collect(),
            _ => Vec::new(),
        });
        // Events are read to the end only when they go on.
        batches.for_each(|batch| assert_eq!(batch.check(), Ok(())));
    }

    #[test]
    fn what_is_nothing_of_php_is_an_error_that_says_why() {
        let error = |bytes: &[u8]| CarriedState::from_bytes(bytes).unwrap_err().to_string();
        assert_eq!(error(&[]), "the state of PHP's connections has no bytes");
        assert!(error(&[2, 0x90]).contains("in version 2, and this server reads version 1"));
        for length in 1..GOLDEN.len() {
            assert!(error(&GOLDEN[..length]).contains("not written as version 1"));
        }
    }

    #[test]
    fn a_descriptor_too_few_or_too_many_is_noticed_before_any_is_used() {
        let one = || std::fs::File::open("/dev/null").map(OwnedFd::from).unwrap();
        for came in 0..8_usize {
            let descriptors = (0..came).map(|_| one()).collect();
            let given = with_descriptors(state().connections, descriptors);
            assert_eq!(given.is_ok(), came == 6, "{came}");
        }
    }
}
