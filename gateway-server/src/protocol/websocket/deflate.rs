//! permessage-deflate (RFC 7692) without context takeover. Every message is compressed by itself, so that all receivers share one
//! compressed frame and an idle connection costs no memory.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress, Status};
use tokio_tungstenite::tungstenite::http::HeaderMap;

use super::keeps_context;

const EXTENSION: &str = "permessage-deflate";
/// The answers to an offer that is accepted. The second one is for an offer that names the server's window, for which only 15
/// bits are accepted.
const ACCEPTED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
const ACCEPTED_WITH_WINDOW: &str =
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=15";

/// Messages with fewer bytes than this are not compressed, as they would gain nothing.
const LEAST: usize = 64;
/// The end of the compressed data that both sides leave out of a message.
pub(super) const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// The answer to the first offer whose parameters the server can keep, of those that the client makes. Clients that are known to
/// break their own offer get no answer.
pub fn answer(headers: &HeaderMap) -> Option<&'static str> {
    if keeps_context::is_known_to(headers) {
        return None;
    }
    headers
        .get_all("Sec-WebSocket-Extensions")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(answer_to)
}

fn answer_to(offer: &str) -> Option<&'static str> {
    let mut parts = offer.split(';').map(str::trim);
    if parts.next() != Some(EXTENSION) {
        return None;
    }
    let mut answer = ACCEPTED;
    for parameter in parts {
        match parameter.split_once('=') {
            None => match parameter {
                "server_no_context_takeover" | "client_no_context_takeover" | "client_max_window_bits" => {}
                _ => return None,
            },
            Some((name, bits)) => match (name, bits.trim_matches('"').parse::<u8>()) {
                ("client_max_window_bits", Ok(8..=15)) => {}
                ("server_max_window_bits", Ok(15)) => answer = ACCEPTED_WITH_WINDOW,
                _ => return None,
            },
        }
    }
    Some(answer)
}

/// Compresses the payload. Gives `None` if that makes it no shorter.
pub(super) fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static COMPRESS: RefCell<Compress> = RefCell::new(Compress::new(Compression::fast(), false));
    }
    if payload.len() < LEAST {
        return None;
    }
    COMPRESS.with_borrow_mut(|compress| {
        compress.reset();
        let mut out = Vec::with_capacity(most_deflated(payload.len()));
        let status = compress.compress_vec(payload, &mut out, FlushCompress::Sync).ok()?;
        let is_whole = status == Status::Ok
            && compress.total_in() == payload.len() as u64
            && out.len() < out.capacity()
            && out.ends_with(&TAIL);
        out.truncate(out.len() - TAIL.len().min(out.len()));
        (is_whole && out.len() < payload.len()).then_some(out)
    })
}

/// The room for a compressed message, in bytes. A fast compression writes up to nine bits for a byte. It must not run out of
/// room, as it then has no end that could be sent, and some compressors go on wrongly.
fn most_deflated(length: usize) -> usize {
    length + length / 8 + 64
}

#[cfg(test)]
mod tests {
    use super::super::inflate::{Inflater, STEP};
    use super::*;

    #[test]
    fn offers() {
        let answer_to_all = |offers: &[&str]| {
            let mut headers = HeaderMap::new();
            for offer in offers {
                headers.append("Sec-WebSocket-Extensions", offer.parse().unwrap());
            }
            answer(&headers)
        };
        let offered = |offers: &[&str]| answer_to_all(offers) == Some(ACCEPTED);
        assert!(offered(&["permessage-deflate; client_max_window_bits"]));
        assert!(offered(&["permessage-deflate"]));
        assert!(offered(&[
            "x-other",
            "permessage-deflate;client_max_window_bits=10 ; server_no_context_takeover"
        ]));
        assert!(offered(&["permessage-deflate; server_max_window_bits=10, permessage-deflate"]));
        for refused in [
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; unknown",
            "permessage-deflated",
            "",
        ] {
            assert_eq!(answer_to_all(&[refused]), None, "{refused}");
        }
        assert_eq!(answer_to_all(&[]), None);
        assert_eq!(
            answer_to_all(&["permessage-deflate; server_max_window_bits=15"]),
            Some(ACCEPTED_WITH_WINDOW)
        );
    }

    #[test]
    fn round_trip() {
        let mut inflater = Inflater::default();
        for length in [LEAST, 200, STEP, 3 * STEP] {
            let payload = b"push ".repeat(length / 5 + 1);
            let deflated = deflate(&payload).unwrap();
            assert!(deflated.len() < payload.len() / 2);
            assert_eq!(inflater.inflate_all(&deflated, payload.len()).unwrap(), payload);
        }
        assert!(deflate(b"short").is_none());
        let noise: Vec<u8> = (0..500u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        assert!(
            deflate(&noise).is_none_or(|deflated| inflater.inflate_all(&deflated, 500).unwrap() == noise)
        );
    }

    #[test]
    fn what_cannot_be_compressed_is_sent_as_it_is() {
        let mut state = 1u64;
        let mut noise = |length: usize| -> Vec<u8> {
            let next = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            };
            std::iter::repeat_with(next).take(length).collect()
        };
        let mut inflater = Inflater::default();
        for length in (LEAST..70_000).step_by(977).chain([16_384, 32_768, 65_536, 131_072, 1 << 20]) {
            assert_eq!(deflate(&noise(length)), None, "{length}");
            // Half of the payload can be compressed.
            let mixed = [noise(length), vec![b'x'; length]].concat();
            let deflated = deflate(&mixed).unwrap();
            assert_eq!(inflater.inflate_all(&deflated, mixed.len()).unwrap(), mixed, "{length}");
        }
    }
}
