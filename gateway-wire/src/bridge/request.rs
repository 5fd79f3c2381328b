//! What PHP asks for: `[seq, op, args…]`.
//!
//! *Orders* change something, are acknowledged, and take effect once however often they are sent.
//! *Queries* change nothing and are answered each time.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};
use smallvec::SmallVec;

use super::frame::{self, FrameTooLarge, MAX_CALL};
use super::{DecodeError, decode};
use crate::ClientId;

/// A PHP string: any bytes.
pub type PhpStr<'a> = &'a serde_bytes::Bytes;

/// Uids or groups, of which there is nearly always one.
pub type Names<'a> = SmallVec<[PhpStr<'a>; 1]>;

/// Names and clients that the lists of one call may have together: each takes more in memory than on its way.
pub const MAX_ELEMENTS: usize = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// Counts a producer's calls upwards from 1.
    pub seq: u64,
    pub call: Call<'a>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    Order(Order<'a>),
    Query(Query<'a>),
}

impl Request<'_> {
    /// Appends the call as a frame. Over the limit, `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_CALL, |out| frame::write_msgpack(out, self))
    }
}

impl Order<'_> {
    /// The call of this number without a frame around it.
    pub fn encode_content(&self, seq: u64) -> Result<Vec<u8>, FrameTooLarge> {
        struct Numbered<'o, 'a>(u64, &'o Order<'a>);
        impl Serialize for Numbered<'_, '_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.1.serialize(self.0, serializer)
            }
        }
        let mut frame = Vec::new();
        frame::append(&mut frame, MAX_CALL, |out| frame::write_msgpack(out, &Numbered(seq, self)))?;
        Ok(frame.split_off(frame::HEADER))
    }
}

impl<'a> Request<'a> {
    /// A call with lists that are too long is to be sorted out before, by [`Request::with_too_many_elements`].
    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// How many elements the lists of a call say that they have.
    pub fn elements(content: &[u8]) -> usize {
        elements(content)
    }

    /// The number of a call whose lists have more than [`MAX_ELEMENTS`] together.
    pub fn with_too_many_elements(content: &[u8]) -> Result<Option<u64>, DecodeError> {
        // Each takes a byte at least.
        if content.len() <= MAX_ELEMENTS || elements(content) <= MAX_ELEMENTS {
            return Ok(None);
        }
        Self::seq(content).map(Some)
    }

    /// The number of a call of which nothing else is kept.
    pub fn seq(content: &[u8]) -> Result<u64, DecodeError> {
        decode::<First>(content).map(|First(seq)| seq)
    }
}

/// The first element of an array, which is all that is kept of it.
struct First(u64);

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = First;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array [seq, op, args…]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<First, A::Error> {
                let seq = argument(&mut array, "seq")?;
                while array.next_element::<de::IgnoredAny>()?.is_some() {}
                Ok(First(seq))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

/// The lengths of all arrays in msgpack, as they are said, whether or not the rest is whole.
fn elements(mut bytes: &[u8]) -> usize {
    /// Big-endian, of so many bytes behind the marker.
    fn number(bytes: &[u8], length: usize) -> usize {
        bytes.iter().take(length).fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut count = 0_usize;
    while let Some((marker, rest)) = bytes.split_first() {
        // What stands behind the marker, and how many elements follow.
        let (skipped, length) = match marker {
            0x90..=0x9f => (0, usize::from(marker & 0x0f)),
            0xdc => (2, number(rest, 2)),
            0xdd => (4, number(rest, 4)),
            0xa0..=0xbf => (usize::from(marker & 0x1f), 0),
            0xc4 | 0xd9 => (1 + number(rest, 1), 0),
            0xc5 | 0xda => (2 + number(rest, 2), 0),
            0xc6 | 0xdb => (4 + number(rest, 4), 0),
            0xcc | 0xd0 => (1, 0),
            0xcd | 0xd1 | 0xde => (2, 0),
            0xca | 0xce | 0xd2 | 0xdf => (4, 0),
            0xcb | 0xcf | 0xd3 => (8, 0),
            _ => (0, 0),
        };
        count = count.saturating_add(length);
        bytes = rest.get(skipped..).unwrap_or_default();
    }
    count
}

/// Defines an enum of calls with the number that each has on the wire, and its way to msgpack and back.
macro_rules! calls {
    (
        $(#[$enum_doc:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $op:literal => $variant:ident { $($field:ident: $type:ty),* $(,)? }, )*
        }
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name<'a> {
            $( $(#[$doc])* $variant { $($field: $type),* }, )*
            #[doc(hidden)]
            Never(std::convert::Infallible, PhantomData<&'a ()>),
        }

        impl<'a> $name<'a> {
            fn serialize<S: Serializer>(&self, seq: u64, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $( Self::$variant { $($field),* } => {
                        let fields = [$(stringify!($field)),*] as [&str; _];
                        let mut array = serializer.serialize_tuple(2 + fields.len())?;
                        array.serialize_element(&seq)?;
                        array.serialize_element(&$op)?;
                        $( array.serialize_element($field)?; )*
                        array.end()
                    } )*
                    Self::Never(never, _) => match *never {},
                }
            }

            /// Reads the arguments of `op`, or gives `None` when it is no call of this kind.
            fn arguments<A: SeqAccess<'a>>(op: u8, array: &mut A) -> Result<Option<Self>, A::Error> {
                match op {
                    $( $op => Ok(Some(Self::$variant { $($field: argument(array, stringify!($field))?),* })), )*
                    _ => Ok(None),
                }
            }
        }
    };
}

/// What a message of [`Order::Send`] is for websocket clients.
pub mod kind {
    /// As the server is set.
    pub const USUAL: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
}

calls! {
    Order {
        /// `only`: nobody but these. `except`: all but these.
        1u8 => SendToAll { message: PhpStr<'a>, only: Option<Vec<ClientId>>, except: Vec<ClientId>, raw: bool },
        2u8 => SendToClient { client: ClientId, message: PhpStr<'a>, raw: bool },
        3u8 => SendToUids { uids: Names<'a>, message: PhpStr<'a>, raw: bool },
        4u8 => SendToGroups { groups: Names<'a>, message: PhpStr<'a>, except: Vec<ClientId>, raw: bool },
        /// Everything queued goes out first, then `last`, then the connection closes.
        5u8 => Close { client: ClientId, last: Option<PhpStr<'a>> },
        6u8 => BindUid { client: ClientId, uid: PhpStr<'a> },
        7u8 => UnbindUid { client: ClientId },
        8u8 => JoinGroup { client: ClientId, group: PhpStr<'a> },
        9u8 => LeaveGroup { client: ClientId, group: PhpStr<'a> },
        /// Everybody leaves it.
        10u8 => Ungroup { group: PhpStr<'a> },
        /// Closes at once; nothing queued goes out.
        11u8 => Destroy { client: ClientId },
        /// Sessions are serialized PHP arrays; no bytes are no session.
        12u8 => SetSession { client: ClientId, session: PhpStr<'a> },
        /// Merged as `array_replace_recursive(session, changes)`.
        13u8 => UpdateSession { client: ClientId, changes: PhpStr<'a> },
        /// A send with options that are seldom used. At most one of `only`, `uids` and `groups` says to whom; without any of
        /// them it is everybody. Members of `except_groups` do not get it. `kind` is one of [`kind`].
        14u8 => Send {
            message: PhpStr<'a>,
            only: Option<Vec<ClientId>>,
            uids: Option<Vec<PhpStr<'a>>>,
            groups: Option<Vec<PhpStr<'a>>>,
            except: Vec<ClientId>,
            except_groups: Vec<PhpStr<'a>>,
            raw: bool,
            kind: u8,
        },
        /// As `Close`, for all clients of some uids.
        15u8 => CloseUids { uids: Names<'a>, last: Option<PhpStr<'a>> },
    }
}

calls! {
    /// `groups` limits a query to their members, each once; without it, it is about everybody.
    Query {
        /// A bool.
        100u8 => IsOnline { client: ClientId },
        /// A bool.
        101u8 => IsUidOnline { uid: PhpStr<'a> },
        /// A list of client ids.
        102u8 => ClientsOfUid { uid: PhpStr<'a> },
        /// A string, or null when not bound or offline.
        103u8 => UidOfClient { client: ClientId },
        /// An int.
        104u8 => ClientCount {},
        /// A serialized array, '' when there is none, or null when offline.
        105u8 => Session { client: ClientId },
        /// A list of bools.
        106u8 => AreUidsOnline { uids: Vec<PhpStr<'a>> },
        /// A list of lists of client ids.
        107u8 => ClientsOfUids { uids: Vec<PhpStr<'a>> },
        /// A list of client ids.
        108u8 => Clients { groups: Option<Vec<PhpStr<'a>>> },
        /// A list of ints, one for each group.
        109u8 => ClientCountOfEach { groups: Vec<PhpStr<'a>> },
        /// A map of client ids to sessions.
        110u8 => Sessions { groups: Option<Vec<PhpStr<'a>>> },
        /// A list of strings, each uid once.
        111u8 => Uids { groups: Option<Vec<PhpStr<'a>>> },
        /// An int.
        112u8 => UidCount { groups: Option<Vec<PhpStr<'a>>> },
        /// A list of strings.
        113u8 => Groups {},
        /// A map of groups to lists of client ids.
        114u8 => GroupClients {},
        /// A map of groups to ints.
        115u8 => GroupClientCounts {},
        /// A map of groups to lists of uids.
        116u8 => GroupUids {},
        /// A map of groups to ints.
        117u8 => GroupUidCounts {},
        /// A string, or null when offline.
        118u8 => ProofOfClient { client: ClientId },
        /// A list of strings `host:port`, where each node of the cluster takes calls; without a cluster it is one.
        119u8 => Nodes {},
    }
}

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.call {
            Call::Order(order) => order.serialize(self.seq, serializer),
            Call::Query(query) => query.serialize(self.seq, serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Request<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(RequestVisitor(PhantomData))
    }
}

struct RequestVisitor<'a>(PhantomData<&'a ()>);

impl<'de> Visitor<'de> for RequestVisitor<'de> {
    type Value = Request<'de>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array [seq, op, args…]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let seq = argument(&mut array, "seq")?;
        let op = argument(&mut array, "op")?;
        let call = if let Some(order) = Order::arguments(op, &mut array)? {
            Call::Order(order)
        } else if let Some(query) = Query::arguments(op, &mut array)? {
            Call::Query(query)
        } else {
            return Err(de::Error::custom(format_args!("there is no call with number {op}")));
        };
        match array.next_element::<de::IgnoredAny>()? {
            None => Ok(Request { seq, call }),
            Some(_) => Err(de::Error::custom(format_args!("call {op} has too many arguments"))),
        }
    }
}

fn argument<'de, T: Argument<'de>, A: SeqAccess<'de>>(array: &mut A, name: &str) -> Result<T, A::Error> {
    let read = array.next_element::<T::Read>()?;
    read.map(Into::into).ok_or_else(|| de::Error::custom(format_args!("argument {name} is missing")))
}

/// What stands behind the number of a call.
trait Argument<'de>: Sized {
    /// What it is read as: this reserves no more than some kilobytes for a length that is only claimed.
    type Read: Deserialize<'de> + Into<Self>;
}

macro_rules! read_as_they_are {
    ( $( $type:ty ),* $(,)? ) => { $( impl<'de> Argument<'de> for $type { type Read = Self; } )* };
}
read_as_they_are!(u8, u64, bool, ClientId, Vec<ClientId>, Option<Vec<ClientId>>);
read_as_they_are!(PhpStr<'de>, Option<PhpStr<'de>>, Vec<PhpStr<'de>>, Option<Vec<PhpStr<'de>>>);

impl<'de> Argument<'de> for Names<'de> {
    type Read = ReadNames<'de>;
}

/// A `SmallVec` by itself reserves for as many as the length says, up to 64 GiB.
struct ReadNames<'de>(Names<'de>);

impl<'de> From<ReadNames<'de>> for Names<'de> {
    fn from(names: ReadNames<'de>) -> Self {
        names.0
    }
}

impl<'de> Deserialize<'de> for ReadNames<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Array;
        impl<'de> Visitor<'de> for Array {
            type Value = ReadNames<'de>;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an array of strings")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
                let mut names = Names::new();
                while let Some(name) = array.next_element()? {
                    names.push(name);
                }
                Ok(ReadNames(names))
            }
        }
        deserializer.deserialize_seq(Array)
    }
}

#[cfg(test)]
mod tests {
    use serde_bytes::Bytes;
    use smallvec::smallvec;

    use super::*;

    fn every_call<'a>() -> Vec<Call<'a>> {
        let client = ClientId::new("127.0.0.1:1238".parse().unwrap(), 0xdead_beef);
        let text = Bytes::new(b"\xff\x00 any bytes");
        vec![
            Call::Order(Order::SendToAll { message: text, only: None, except: vec![client], raw: false }),
            Call::Order(Order::SendToAll { message: text, only: Some(vec![]), except: vec![], raw: true }),
            Call::Order(Order::SendToClient { client, message: text, raw: false }),
            Call::Order(Order::SendToUids {
                uids: smallvec![text, Bytes::new(b"7")],
                message: text,
                raw: false,
            }),
            Call::Order(Order::SendToGroups {
                groups: smallvec![text],
                message: text,
                except: vec![],
                raw: true,
            }),
            Call::Order(Order::Close { client, last: Some(text) }),
            Call::Order(Order::Close { client, last: None }),
            Call::Order(Order::BindUid { client, uid: text }),
            Call::Order(Order::UnbindUid { client }),
            Call::Order(Order::JoinGroup { client, group: text }),
            Call::Order(Order::LeaveGroup { client, group: text }),
            Call::Order(Order::Ungroup { group: text }),
            Call::Order(Order::Destroy { client }),
            Call::Order(Order::SetSession { client, session: text }),
            Call::Order(Order::UpdateSession { client, changes: text }),
            Call::Order(Order::Send {
                message: text,
                only: Some(vec![client]),
                uids: None,
                groups: Some(vec![text]),
                except: vec![client],
                except_groups: vec![text],
                raw: false,
                kind: kind::BINARY,
            }),
            Call::Order(Order::CloseUids { uids: [text].into(), last: None }),
            Call::Query(Query::IsOnline { client }),
            Call::Query(Query::IsUidOnline { uid: text }),
            Call::Query(Query::ClientsOfUid { uid: text }),
            Call::Query(Query::ClientCount {}),
            Call::Query(Query::AreUidsOnline { uids: vec![text, text] }),
            Call::Query(Query::ClientsOfUids { uids: vec![] }),
            Call::Query(Query::UidOfClient { client }),
            Call::Query(Query::Session { client }),
            Call::Query(Query::Clients { groups: None }),
            Call::Query(Query::ClientCountOfEach { groups: vec![text] }),
            Call::Query(Query::Sessions { groups: Some(vec![]) }),
            Call::Query(Query::Uids { groups: None }),
            Call::Query(Query::UidCount { groups: None }),
            Call::Query(Query::Groups {}),
            Call::Query(Query::GroupClients {}),
            Call::Query(Query::GroupClientCounts {}),
            Call::Query(Query::GroupUids {}),
            Call::Query(Query::GroupUidCounts {}),
            Call::Query(Query::ProofOfClient { client }),
            Call::Query(Query::Nodes {}),
        ]
    }

    fn content(seq: u64, call: Call) -> Vec<u8> {
        let mut bytes = Vec::new();
        Request { seq, call }.encode(&mut bytes).unwrap();
        assert_eq!(frame::content_length(&bytes, MAX_CALL), Ok(Some(bytes.len() - frame::HEADER)));
        bytes.split_off(frame::HEADER)
    }

    #[test]
    fn round_trip() {
        for (seq, i) in (u64::MAX - 100..).zip(0..every_call().len()) {
            let bytes = content(seq, every_call().swap_remove(i));
            let call = every_call().swap_remove(i);
            assert_eq!(Request::decode(&bytes).unwrap(), Request { seq, call });
        }
    }

    #[test]
    fn every_truncation_and_every_trailing_byte_is_an_error() {
        for call in every_call() {
            let mut bytes = content(1, call);
            for end in 0..bytes.len() {
                Request::decode(&bytes[..end]).unwrap_err();
            }
            bytes.push(0xc0);
            Request::decode(&bytes).unwrap_err();
        }
    }

    #[test]
    fn errors_name_what_is_wrong() {
        let unknown = rmp_serde::to_vec(&(1, 255)).unwrap();
        assert!(Request::decode(&unknown).unwrap_err().to_string().contains("no call with number 255"));
        let short = rmp_serde::to_vec(&(1, 100)).unwrap();
        assert!(Request::decode(&short).unwrap_err().to_string().contains("argument client is missing"));
        let long = rmp_serde::to_vec(&(1, 104, 7)).unwrap();
        assert!(Request::decode(&long).unwrap_err().to_string().contains("too many arguments"));
    }

    #[test]
    fn lengths_inside_are_not_believed() {
        // [1, SendToUids, array of 4,294,967,295 …
        let mut lie = vec![0x95, 1, 3];
        lie.extend_from_slice(&[0xdd, 0xff, 0xff, 0xff, 0xff]);
        Request::decode(&lie).unwrap_err();
        // [1, BindUid, client, string of 4,294,967,295 bytes …
        let mut lie = vec![0x94, 1, 6, 0xc4, 10];
        lie.extend_from_slice(&[0; 10]);
        lie.extend_from_slice(&[0xc6, 0xff, 0xff, 0xff, 0xff]);
        Request::decode(&lie).unwrap_err();
    }

    #[test]
    fn elements_are_counted_before_they_are_made() {
        for call in every_call() {
            let counted = elements(&content(u64::MAX, call.clone()));
            assert!((2..=16).contains(&counted), "{counted} of {call:?}");
            assert!(Request::with_too_many_elements(&content(7, call)).unwrap().is_none());
        }
        let names = |count: usize| vec![Bytes::new(b""); count];
        let call = |count| content(1 << 40, Call::Query(Query::AreUidsOnline { uids: names(count) }));
        assert_eq!(elements(&call(70_000)), 70_003);
        assert_eq!(Request::with_too_many_elements(&call(MAX_ELEMENTS - 3)).unwrap(), None);
        assert_eq!(Request::with_too_many_elements(&call(MAX_ELEMENTS)).unwrap(), Some(1 << 40));
        let mut broken = call(MAX_ELEMENTS);
        broken.push(0);
        Request::with_too_many_elements(&broken).unwrap_err();
        assert_eq!(elements(&[0xdd, 0xff, 0xff, 0xff, 0xff]), u32::MAX as usize);
    }

    #[test]
    fn too_large_is_refused_before_it_is_sent() {
        let message = vec![0; MAX_CALL];
        let call = Call::Order(Order::SendToAll {
            message: Bytes::new(&message),
            only: None,
            except: vec![],
            raw: false,
        });
        let mut out = Vec::new();
        Request { seq: 1, call }.encode(&mut out).unwrap_err();
        assert!(out.is_empty());
    }
}
