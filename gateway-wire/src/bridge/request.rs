//! The calls of a PHP process: `[seq, op, args…]`.
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

/// A PHP string: any bytes, borrowed from the frame.
pub type PhpStr<'a> = &'a serde_bytes::Bytes;

/// Uids or groups. A call nearly always names one, which takes no memory of its own.
pub type Names<'a> = SmallVec<[PhpStr<'a>; 1]>;

/// Most names and clients that the lists of one call may have together. They are counted, and not only bounded by the frame's
/// length, because each takes more bytes in memory than on the wire.
pub const MAX_ELEMENTS: usize = 1 << 20;

/// A call with its number: the content of one frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The call's number. A producer counts its calls upwards from 1.
    pub seq: u64,
    /// The call itself.
    pub call: Call<'a>,
}

/// Something that a PHP process asks a gateway for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// A call that changes something. It takes effect once, however often it is sent with the same number.
    Order(Order<'a>),
    /// A call that changes nothing. It is answered each time that it is sent.
    Query(Query<'a>),
}

impl Request<'_> {
    /// Appends the call as a frame. Over [`MAX_CALL`] bytes it is an error, and `out` is left as it was.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), FrameTooLarge> {
        frame::append(out, MAX_CALL, |out| frame::write_msgpack(out, self))
    }
}

impl Order<'_> {
    /// Encodes the order as the call with number `seq`, without a frame around it. Over [`MAX_CALL`] bytes it is an error.
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
    /// Reads the content of a frame. It does not bound the lists of the call: the reader refuses too long ones first, by
    /// [`Request::with_too_many_elements`].
    pub fn decode(content: &'a [u8]) -> Result<Self, DecodeError> {
        decode(content)
    }

    /// Counts the elements that the lists of a call claim to have, the call's own array included. It takes no memory, and counts
    /// broken contents too.
    pub fn elements(content: &[u8]) -> usize {
        elements(content)
    }

    /// Gives the number of a call whose lists claim more than [`MAX_ELEMENTS`] elements together, and `None` for any other call. A
    /// content of which even the number cannot be read is an error.
    pub fn with_too_many_elements(content: &[u8]) -> Result<Option<u64>, DecodeError> {
        // Each element takes a byte at least, so a short call is not counted.
        if content.len() <= MAX_ELEMENTS || elements(content) <= MAX_ELEMENTS {
            return Ok(None);
        }
        Self::seq(content).map(Some)
    }

    /// Reads the number of a call, and keeps nothing else of it. The rest must be well-formed msgpack all the same.
    pub fn seq(content: &[u8]) -> Result<u64, DecodeError> {
        decode::<First>(content).map(|First(seq)| seq)
    }
}

/// The first element of an array. The others are read and dropped.
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

/// Adds up the lengths that all arrays in msgpack claim, whether or not their elements are there.
fn elements(mut bytes: &[u8]) -> usize {
    /// Reads a big-endian number of `length` bytes.
    fn number(bytes: &[u8], length: usize) -> usize {
        bytes.iter().take(length).fold(0, |number, byte| number << 8 | usize::from(*byte))
    }
    let mut count = 0_usize;
    while let Some((marker, rest)) = bytes.split_first() {
        // The bytes behind the marker that belong to it or to its string, and the elements that follow if it is an array.
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

/// Defines an enum of calls with the number that each has on the wire, and converts it to msgpack and back. The fields of a call
/// stand in the array in the order in which they are declared.
macro_rules! calls {
    (
        $(#[$enum_doc:meta])*
        $name:ident {
            $( $(#[$doc:meta])* $op:literal => $variant:ident { $( $(#[$field_doc:meta])* $field:ident: $type:ty ),* $(,)? }, )*
        }
    ) => {
        $(#[$enum_doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name<'a> {
            $( $(#[$doc])* $variant { $( $(#[$field_doc])* $field: $type ),* }, )*
            // No value of this variant exists. It keeps the lifetime in use, whatever calls the enum has.
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

            /// Reads the arguments of the call with number `op`, or gives `None` when this enum has no such call.
            fn arguments<A: SeqAccess<'a>>(op: u8, array: &mut A) -> Result<Option<Self>, A::Error> {
                match op {
                    $( $op => Ok(Some(Self::$variant { $($field: argument(array, stringify!($field))?),* })), )*
                    _ => Ok(None),
                }
            }
        }
    };
}

/// The kinds of message that [`Order::Send`] can ask for. They matter to websocket clients only.
pub mod kind {
    /// The kind that the server's settings name.
    pub const USUAL: u8 = 0;
    /// A text message.
    pub const TEXT: u8 = 1;
    /// A binary message.
    pub const BINARY: u8 = 2;
}

/// The bounds of what [`Order::Deliver`] keeps.
pub mod delivery {
    /// The longest message, in bytes.
    pub const MAX_MESSAGE: usize = 64 << 10;
    /// How long a message waits if the application says nothing else, in seconds: seven days.
    pub const DEFAULT_TTL: u64 = 7 * 86_400;
    /// How long a message may wait at most, in seconds: thirty days.
    pub const LONGEST_TTL: u64 = 30 * 86_400;
}

calls! {
    /// A call that changes something. An order for a client that is not connected does nothing.
    Order {
        /// Sends a message to all clients, or to some of them.
        1u8 => SendToAll {
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// The only clients that get it; `None` is all clients, and an empty list is nobody.
            only: Option<Vec<ClientId>>,
            /// Clients that do not get it.
            except: Vec<ClientId>,
            /// Whether the message goes to the sockets as it is, without the client protocol's framing.
            raw: bool,
        },
        /// Sends a message to one client.
        2u8 => SendToClient {
            /// The client that gets it.
            client: ClientId,
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// Whether the message goes to the socket as it is, without the client protocol's framing.
            raw: bool,
        },
        /// Sends a message to all clients of some uids.
        3u8 => SendToUids {
            /// The uids whose clients get it.
            uids: Names<'a>,
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// Whether the message goes to the sockets as it is, without the client protocol's framing.
            raw: bool,
        },
        /// Sends a message to the members of some groups. As in GatewayWorker, a client in two of them gets it twice.
        4u8 => SendToGroups {
            /// The groups whose members get it.
            groups: Names<'a>,
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// Members that do not get it.
            except: Vec<ClientId>,
            /// Whether the message goes to the sockets as it is, without the client protocol's framing.
            raw: bool,
        },
        /// Closes a client's connection after everything queued for it, and then `last`, have gone out.
        5u8 => Close {
            /// The client whose connection closes.
            client: ClientId,
            /// The last message to the client, if there is one.
            last: Option<PhpStr<'a>>,
        },
        /// Binds a client to a uid, in place of the one that it may have had. It fails for a uid that is empty or too long.
        6u8 => BindUid {
            /// The client to bind.
            client: ClientId,
            /// The uid, of 1 to [`MAX_NAME`](super::MAX_NAME) bytes.
            uid: PhpStr<'a>,
        },
        /// Takes a client's uid away.
        7u8 => UnbindUid {
            /// The client that loses its uid.
            client: ClientId,
        },
        /// Makes a client a member of a group. It fails for a group that is empty or too long, and for a client that is in too many.
        8u8 => JoinGroup {
            /// The client that joins.
            client: ClientId,
            /// The group, of 1 to [`MAX_NAME`](super::MAX_NAME) bytes.
            group: PhpStr<'a>,
        },
        /// Ends a client's membership in a group.
        9u8 => LeaveGroup {
            /// The client that leaves.
            client: ClientId,
            /// The group that it leaves.
            group: PhpStr<'a>,
        },
        /// Has all members leave a group.
        10u8 => Ungroup {
            /// The group that is empty afterwards.
            group: PhpStr<'a>,
        },
        /// Closes a client's connection at once; nothing that is queued for it goes out.
        11u8 => Destroy {
            /// The client whose connection closes.
            client: ClientId,
        },
        /// Replaces a client's session. It fails for bytes that are no serialized array, and for too many of them.
        12u8 => SetSession {
            /// The client whose session it is.
            client: ClientId,
            /// A PHP array as `serialize()` writes it; no bytes are no session.
            session: PhpStr<'a>,
        },
        /// Merges changes into a client's session as `array_replace_recursive(session, changes)` does. It fails as
        /// [`Order::SetSession`] does, and for a result that is too long.
        13u8 => UpdateSession {
            /// The client whose session it is.
            client: ClientId,
            /// A PHP array as `serialize()` writes it.
            changes: PhpStr<'a>,
        },
        /// Sends a message with options that are seldom used. At most one of `only`, `uids` and `groups` is set, and says who gets
        /// it; without any of them everybody gets it.
        14u8 => Send {
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// The clients that get it, each once.
            only: Option<Vec<ClientId>>,
            /// The uids whose clients get it, each client once.
            uids: Option<Vec<PhpStr<'a>>>,
            /// The groups whose members get it. A client in two of them gets it twice.
            groups: Option<Vec<PhpStr<'a>>>,
            /// Clients that do not get it.
            except: Vec<ClientId>,
            /// Groups whose members do not get it.
            except_groups: Vec<PhpStr<'a>>,
            /// Whether the message goes to the sockets as it is, without the client protocol's framing.
            raw: bool,
            /// The kind of message for websocket clients: a constant of [`kind`]. An unknown one is [`kind::USUAL`].
            kind: u8,
        },
        /// Closes the connections of all clients of some uids, each as [`Order::Close`] does.
        15u8 => CloseUids {
            /// The uids whose clients are closed.
            uids: Names<'a>,
            /// The last message to each client, if there is one.
            last: Option<PhpStr<'a>>,
        },
        /// Sends a message to clients and remembers, for a while, which these were, so that a query can tell what has become of it. One
        /// of `client`, `uids` and `groups` is set.
        16u8 => SendTracked {
            /// A random number by which queries name what was sent.
            id: u64,
            /// The message: any bytes.
            message: PhpStr<'a>,
            /// The client that gets it.
            client: Option<ClientId>,
            /// The uids whose clients get it.
            uids: Option<Vec<PhpStr<'a>>>,
            /// The groups whose members get it, each once.
            groups: Option<Vec<PhpStr<'a>>>,
            /// Clients that do not get it.
            except: Vec<ClientId>,
            /// Whether it is a question that pages answer. Those that cannot answer do not get it.
            asks: bool,
        },
        /// Keeps a message in the inbox of a uid, and gives it to each of the uid's devices. The order is acknowledged once the message
        /// is on disk.
        17u8 => Deliver {
            /// The uid, of 1 to [`MAX_NAME`](super::MAX_NAME) bytes.
            uid: PhpStr<'a>,
            /// The id of the message: 1 to 64 letters, digits, `_` and `-`. The same id again is the same message.
            id: PhpStr<'a>,
            /// The message: UTF-8.
            message: PhpStr<'a>,
            /// How long the message waits, in seconds.
            ttl: u64,
            /// Only the newest message of the uid with this key is kept. Its form is that of the id.
            replace: Option<PhpStr<'a>>,
            /// Whether devices that come later get the message even if another device has acknowledged it.
            for_new_devices: bool,
            /// The kind of message for websocket clients: a constant of [`kind`]. An unknown one is [`kind::USUAL`].
            kind: u8,
        },
        /// Forgets everything that the inbox has of a uid: messages, devices and receipts.
        18u8 => Forget {
            /// The uid.
            uid: PhpStr<'a>,
        },
    }
}

calls! {
    /// A call that asks something. Each variant says what the gateway answers, as an [`AnswerValue`](super::AnswerValue). A query
    /// with `groups` concerns their members, each once; `None` is all clients.
    Query {
        /// Asks whether a client is connected. The answer is a bool.
        100u8 => IsOnline {
            /// The client that is asked about.
            client: ClientId,
        },
        /// Asks whether a uid has clients. The answer is a bool.
        101u8 => IsUidOnline {
            /// The uid that is asked about.
            uid: PhpStr<'a>,
        },
        /// Asks for the clients of a uid. The answer is a list of client ids.
        102u8 => ClientsOfUid {
            /// The uid whose clients are asked for.
            uid: PhpStr<'a>,
        },
        /// Asks for a client's uid. The answer is a string, or null when the client is not bound or not connected.
        103u8 => UidOfClient {
            /// The client whose uid is asked for.
            client: ClientId,
        },
        /// Asks for the number of all clients. The answer is an int.
        104u8 => ClientCount {},
        /// Asks for a client's session. The answer is a serialized array, an empty string when the client has no session, or null
        /// when it is not connected.
        105u8 => Session {
            /// The client whose session is asked for.
            client: ClientId,
        },
        /// Asks of each uid whether it has clients. The answer is a list of bools in the order of `uids`.
        106u8 => AreUidsOnline {
            /// The uids that are asked about.
            uids: Vec<PhpStr<'a>>,
        },
        /// Asks for the clients of each uid. The answer is a list, in the order of `uids`, of lists of client ids.
        107u8 => ClientsOfUids {
            /// The uids whose clients are asked for.
            uids: Vec<PhpStr<'a>>,
        },
        /// Asks for clients. The answer is a list of client ids.
        108u8 => Clients {
            /// The groups whose members are asked for.
            groups: Option<Vec<PhpStr<'a>>>,
        },
        /// Asks for the number of members of each group. The answer is a list of ints in the order of `groups`.
        109u8 => ClientCountOfEach {
            /// The groups whose members are counted.
            groups: Vec<PhpStr<'a>>,
        },
        /// Asks for clients with their sessions. The answer is a map of client ids to sessions, each as for [`Query::Session`].
        110u8 => Sessions {
            /// The groups whose members are asked for.
            groups: Option<Vec<PhpStr<'a>>>,
        },
        /// Asks for the uids of clients. The answer is a list of strings, each uid once.
        111u8 => Uids {
            /// The groups whose members' uids are asked for.
            groups: Option<Vec<PhpStr<'a>>>,
        },
        /// Asks for the number of different uids of clients. The answer is an int.
        112u8 => UidCount {
            /// The groups whose members' uids are counted.
            groups: Option<Vec<PhpStr<'a>>>,
        },
        /// Asks for the names of all groups that have members. The answer is a list of strings.
        113u8 => Groups {},
        /// Asks for all groups with their members. The answer is a map of groups to lists of client ids.
        114u8 => GroupClients {},
        /// Asks for all groups with the number of their members. The answer is a map of groups to ints.
        115u8 => GroupClientCounts {},
        /// Asks for all groups with the uids of their members. The answer is a map of groups to lists of uids.
        116u8 => GroupUids {},
        /// Asks for all groups with the number of different uids of their members. The answer is a map of groups to ints.
        117u8 => GroupUidCounts {},
        /// Asks for the proof that a client was told beside its client id, and by which a page shows that the id is its own. The
        /// answer is a string, or null when the client is not connected.
        118u8 => ProofOfClient {
            /// The client whose proof is asked for.
            client: ClientId,
        },
        /// Asks where the nodes of the cluster take calls. The answer is a list of strings `host:port`; without a cluster it has
        /// one.
        119u8 => Nodes {},
        /// Asks what has become of a message that [`Order::SendTracked`] has sent. The answer is a list of three ints: the clients whose
        /// system has taken it, those for whom it waits, and those that have gone.
        121u8 => Delivered {
            /// The number that the order gave.
            id: u64,
        },
        /// Asks for the answers to a question that [`Order::SendTracked`] has asked. The answer is a map of client ids to strings, with
        /// null for a client that will not answer and false for one that has not answered yet.
        122u8 => Replies {
            /// The number that the order gave.
            id: u64,
            /// For how long answers are waited for, in milliseconds, if some clients have not given theirs.
            wait: u32,
        },
        /// Asks what has become of a message of the inbox. The answer is a list of maps, one for each uid that it was delivered to:
        /// `uid`, `stored`, `expires`, `waiting`, and `devices`, a list of maps with `device`, `written`, `received` and `read`. Times are
        /// milliseconds since 1970, or null.
        123u8 => Receipt {
            /// The id of the message.
            id: PhpStr<'a>,
        },
        /// Asks what the inbox of a uid has. The answer is null for a uid that it does not know, or a map: `messages`, `bytes`, and
        /// `devices`, a list of maps with `device`, `signed`, `waiting`, `lost` and `seen`.
        124u8 => InboxOf {
            /// The uid.
            uid: PhpStr<'a>,
        },
        /// Asks for what is known of a client. The answer is a map of names to bools, ints, strings, lists of strings and nulls, or
        /// null when the client is not online.
        120u8 => ClientInfo {
            /// The client that is asked about.
            client: ClientId,
        },
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

/// A type of which a call can have arguments.
trait Argument<'de>: Sized {
    /// The type as which the argument is read. It reserves no more than some kilobytes for a length that is only claimed.
    type Read: Deserialize<'de> + Into<Self>;
}

macro_rules! read_as_they_are {
    ( $( $type:ty ),* $(,)? ) => { $( impl<'de> Argument<'de> for $type { type Read = Self; } )* };
}
read_as_they_are!(u8, u32, u64, bool, ClientId, Option<ClientId>, Vec<ClientId>, Option<Vec<ClientId>>);
read_as_they_are!(PhpStr<'de>, Option<PhpStr<'de>>, Vec<PhpStr<'de>>, Option<Vec<PhpStr<'de>>>);

impl<'de> Argument<'de> for Names<'de> {
    type Read = ReadNames<'de>;
}

/// Reads [`Names`] one by one, because the deserializer of `SmallVec` reserves memory for as many as the array claims, up to 64 GiB.
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
            Call::Order(Order::SendTracked {
                id: u64::MAX,
                message: text,
                client: Some(client),
                uids: None,
                groups: Some(vec![text]),
                except: vec![client],
                asks: true,
            }),
            Call::Order(Order::Deliver {
                uid: text,
                id: text,
                message: text,
                ttl: u64::MAX,
                replace: Some(text),
                for_new_devices: true,
                kind: kind::BINARY,
            }),
            Call::Order(Order::Forget { uid: text }),
            Call::Query(Query::Receipt { id: text }),
            Call::Query(Query::InboxOf { uid: text }),
            Call::Query(Query::Delivered { id: 1 << 63 }),
            Call::Query(Query::Replies { id: 7, wait: 3000 }),
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
            Call::Query(Query::ClientInfo { client }),
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
