//! Anything that a NATS server may send: nothing panics, and the result does not depend on the pieces in which it comes.

use bytes::BytesMut;
use gateway_server::cluster::nats::{Op, decode};
use gateway_tests::fuzz;

const MAX_PAYLOAD: usize = 300;

/// Gives the messages, the reason for which reading ended, and the number of bytes that are left because they are not a whole
/// message.
fn hear<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>, usize) {
    let (mut input, mut heard) = (BytesMut::new(), Vec::new());
    for piece in pieces {
        input.extend_from_slice(piece);
        loop {
            match decode(&mut input, MAX_PAYLOAD) {
                Ok(Some(op)) => heard.push(match op {
                    Op::Info(info) => format!("{info:?}"),
                    Op::Message(payload) => {
                        assert!(payload.len() <= MAX_PAYLOAD);
                        format!("message {payload:?}")
                    }
                    other => format!("{other:?}"),
                }),
                Ok(None) => break,
                // The error quotes what has come so far, which depends on the pieces; so only its kind is compared.
                Err(_) => return (heard, Some("malformed".to_owned()), 0),
            }
        }
    }
    (heard, None, input.len())
}

#[test]
fn nats() {
    let corpus = [b"PING\r\nMSG gateway.c.uid.00 uid.00 reply 2\r\nhi\r\n".to_vec()];
    fuzz("NATS", &corpus, |input, rng| {
        let whole = hear([input]);
        let at = rng.below(input.len() + 1);
        let (one, other) = input.split_at(at);
        assert_eq!(hear([one, other]), whole);
        assert_eq!(hear(input.chunks(1)), whole);
    });
}
