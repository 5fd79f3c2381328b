//! Whatever a NATS server may say: nothing panics, and it does not matter in which pieces it comes.

use bytes::BytesMut;
use gateway_server::cluster::nats::{Op, decode};
use gateway_tests::fuzz;

const MAX_PAYLOAD: usize = 300;

/// What was said, and how it ended; what has not come whole is left.
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
                // What it quotes depends on what has come.
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
