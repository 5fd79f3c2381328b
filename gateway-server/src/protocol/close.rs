//! The close codes that the server sends to websocket clients, each with its reason and with what the client should do next.

/// A close code, and the reason that the close frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: &'static str,
}

impl Close {
    /// Whether a client that can come back is parked when it is closed so: it is not the end that anybody wanted.
    pub fn keeps_client(self) -> bool {
        matches!(self.code, 1012 | 1013 | 4008)
    }
}

/// Whether a client that closes with this code comes back: the code says neither that its page has ended (1000, 1001) nor that it
/// has found a fault (1002, 1007, 1009).
pub fn is_to_come_back(code: u16) -> bool {
    !matches!(code, 1000..=1002 | 1007 | 1009)
}

/// PHP has called `closeClient`. Clients reconnect only if the application says so.
pub const BY_APPLICATION: Close = Close { code: 1000, reason: "" };
/// The server stops or restarts. Clients reconnect after a moment.
pub const GOING_AWAY: Close = Close { code: 1001, reason: "server is stopping" };
/// The client broke RFC 6455. It should not reconnect before it is fixed.
pub const PROTOCOL_ERROR: Close = Close { code: 1002, reason: "protocol error" };
/// A client of the subprotocol `gateway.2` sent a control message that is malformed, or a count that cannot be true. It should not
/// reconnect before it is fixed.
pub const MALFORMED_CONTROL: Close = Close { code: 1002, reason: "malformed control message" };
/// A text message or a close reason of the client is not UTF-8. It should not reconnect before it is fixed.
pub const NOT_UTF8: Close = Close { code: 1007, reason: "not UTF-8" };
/// A message of the client is longer than `max_message`. It should not reconnect before it is fixed.
pub const MESSAGE_TOO_BIG: Close = Close { code: 1009, reason: "message too big" };
/// The server failed while it served this client; the log says how. The client reconnects after a moment.
pub const INTERNAL_ERROR: Close = Close { code: 1011, reason: "server error" };
/// The server has no memory for what the client has sent. The client reconnects after a moment.
pub const NO_MEMORY: Close = Close { code: 1011, reason: "out of memory" };
/// The client took nothing of what waited for it for `outbox_timeout`, or too much waited for it. What waited is lost; the client
/// reconnects after a moment.
pub const TOO_SLOW: Close = Close { code: 4008, reason: "reads too slowly" };
/// The client sent more than `messages_per_second` or `bytes_per_second` allow. It reconnects after a moment, and sends less.
pub const TOO_MANY_MESSAGES: Close = Close { code: 4429, reason: "too many messages" };
/// The client brought no connect token, and `require_token` demands one. It reconnects with one.
pub const TOKEN_MISSING: Close = Close { code: 4401, reason: "token missing" };
/// The client's connect token has expired. It reconnects with a new one.
pub const TOKEN_EXPIRED: Close = Close { code: 4401, reason: "token expired" };
/// The client's connect token is not valid; the log says why. It should not reconnect with the same token.
pub const TOKEN_REFUSED: Close = Close { code: 4401, reason: "token refused" };
/// An earlier process carries the client's TLS, and the time of `relay_seconds` is over. The client reconnects after a moment.
pub const COME_BACK: Close = Close { code: 1012, reason: "come back" };
/// The server cannot serve the client at the moment: the connection id that was issued is still in use, no worker is there to handle
/// events (`events = workers`), or some room for clients is used up. The client reconnects after a moment.
pub const TRY_AGAIN: Close = Close { code: 1013, reason: "try again" };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../../docs/close-codes.md");
        let all = [
            BY_APPLICATION,
            GOING_AWAY,
            PROTOCOL_ERROR,
            MALFORMED_CONTROL,
            NOT_UTF8,
            MESSAGE_TOO_BIG,
            INTERNAL_ERROR,
            NO_MEMORY,
            TOO_SLOW,
            TOO_MANY_MESSAGES,
            TOKEN_MISSING,
            TOKEN_EXPIRED,
            TOKEN_REFUSED,
            COME_BACK,
            TRY_AGAIN,
        ];
        let source = include_str!("close.rs");
        assert_eq!(all.len(), source.lines().filter(|line| line.starts_with("pub const ")).count());
        for Close { code, reason } in all {
            assert!(
                page.contains(&format!("| {code} | {reason} |").replace("|  |", "| |")),
                "{code} {reason}"
            );
        }
    }
}
