//! Joins adjacent messages for the same audience into one piece of bytes, so that each receiver costs one write.

use std::iter::Peekable;

use smallvec::SmallVec;

use super::audience::Audience;
use super::command::Command;
use super::origin::Origin;
use crate::protocol::Encoded;

/// The longest piece that is joined for few receivers, in bytes. For larger pieces the copy costs more than the writes that it saves.
const JOINED: usize = 16 << 10;
/// The longest piece for many: however many they are, it is copied once.
const JOINED_FOR_MANY: usize = 64 << 10;

/// Joins `frame` with the frames of the commands that follow directly and have the same audience and origin. Gives the joined frame, and the
/// number of messages in it. Each receiver then costs one piece of a write instead of many. Bytes without framing are not joined, as
/// the messages behind them could not be told from them.
pub(super) fn with_next<I: Iterator<Item = Command>>(
    to: &Audience,
    frame: Encoded,
    origin: Origin,
    commands: &mut Peekable<I>,
) -> (Encoded, u64) {
    if frame.is_raw() {
        return (frame, 1);
    }
    let longest = match to {
        Audience::All { .. } | Audience::Groups { .. } => JOINED_FOR_MANY,
        Audience::Connections(_) | Audience::Bound { .. } | Audience::Uids(_) => JOINED,
    };
    let mut length = frame.websocket.len();
    let mut next = || {
        let next = commands.next_if(|command| match command {
            Command::Deliver { to: other, frame, origin: its_origin } => {
                length + frame.websocket.len() <= longest
                    && !frame.is_raw()
                    && *its_origin == origin
                    && other == to
            }
            _ => false,
        })?;
        let Command::Deliver { frame, .. } = next else { return None };
        length += frame.websocket.len();
        Some(frame)
    };
    let Some(second) = next() else { return (frame, 1) };
    let mut frames: SmallVec<[Encoded; 32]> = [frame, second].into_iter().collect();
    frames.extend(std::iter::from_fn(next));
    (Encoded::concat(&frames), frames.len() as u64)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::protocol::NonWebsocket;
    use crate::shard::Name;
    use crate::shard::audience::Except;

    fn to_uid(uid: &str) -> Audience {
        Audience::Uids([Name::from_slice(uid.as_bytes())].into_iter().collect())
    }

    fn to_all(except: &[u32]) -> Audience {
        Audience::All { except: Except::new(except.to_vec()) }
    }

    /// The frames that would go out for these commands.
    fn joined(commands: Vec<(Audience, Bytes)>) -> Vec<Bytes> {
        let frames = joined_frames(commands.into_iter().map(|(to, frame)| (to, framed(frame))).collect());
        frames.into_iter().map(|frame| frame.websocket).collect()
    }

    fn framed(websocket: Bytes) -> Encoded {
        Encoded { websocket, deflated: None, non_websocket: NonWebsocket::Missing, escaped: None }
    }

    fn joined_frames(commands: Vec<(Audience, Encoded)>) -> Vec<Encoded> {
        let deliver = |(to, frame)| Command::Deliver { to, frame, origin: Origin::HERE };
        let mut commands = commands.into_iter().map(deliver).peekable();
        let mut out = Vec::new();
        while let Some(Command::Deliver { to, frame, origin }) = commands.next() {
            out.push(with_next(&to, frame, origin, &mut commands).0);
        }
        out
    }

    #[test]
    fn only_neighbours_with_the_same_audience() {
        let commands = vec![
            (to_all(&[]), Bytes::from("a")),
            (to_all(&[]), Bytes::from("b")),
            (to_all(&[]), Bytes::from("c")),
            (to_all(&[7]), Bytes::from("d")),
            (to_uid("x"), Bytes::from("e")),
            (to_uid("x"), Bytes::from("f")),
            (to_uid("y"), Bytes::from("g")),
            (to_uid("x"), Bytes::from("h")),
        ];
        assert_eq!(joined(commands), ["abc", "d", "ef", "g", "h"]);
    }

    #[test]
    fn compressed_forms_are_joined_beside_the_plain_ones() {
        let frame = |plain: &str, deflated: Option<&str>| Encoded {
            deflated: deflated.map(|text| Bytes::from(text.to_owned())),
            ..framed(Bytes::from(plain.to_owned()))
        };
        let commands = [frame("short", None), frame("looong", Some("l")), frame("end", None)];
        let joined = joined_frames(commands.into_iter().map(|frame| (to_uid("x"), frame)).collect());
        assert_eq!(joined, [frame("shortlooongend", Some("shortlend"))]);
    }

    #[test]
    fn bytes_without_framing_stay_alone() {
        let [a, b] = ["a", "b"].map(|text| framed(Bytes::from(text)));
        let raw = || Encoded::raw(Bytes::from("raw"));
        let commands = [raw(), a.clone(), b.clone(), raw(), raw(), a];
        let joined = joined_frames(commands.into_iter().map(|frame| (to_all(&[]), frame)).collect());
        let joined: Vec<_> = joined.iter().map(|frame| &frame.websocket[..]).collect();
        assert_eq!(joined, [&b"raw"[..], b"ab", b"raw", b"raw", b"a"]);
    }

    #[test]
    fn up_to_a_bound() {
        for (to, bound) in [(to_uid as fn(&str) -> Audience, JOINED), (|_| to_all(&[]), JOINED_FOR_MANY)] {
            let frame = || (to("x"), Bytes::from(vec![b'x'; bound / 2]));
            let large = (to("x"), Bytes::from(vec![b'y'; 3 * bound]));
            let lengths: Vec<_> =
                joined(vec![frame(), frame(), frame(), large]).iter().map(Bytes::len).collect();
            assert_eq!(lengths, [bound, bound / 2, 3 * bound]);
        }
    }
}
