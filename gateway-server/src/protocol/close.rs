//! Every close code that the server sends, with its reason and who should come back.

/// A close code and the reason that travels with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    pub reason: &'static str,
}

/// PHP called `closeClient`. Reconnect only when the application says so.
pub const BY_APPLICATION: Close = Close { code: 1000, reason: "" };
/// The server stops or restarts. Reconnect after a moment.
pub const GOING_AWAY: Close = Close { code: 1001, reason: "server is stopping" };
/// The peer broke RFC 6455. Do not reconnect without a fix.
pub const PROTOCOL_ERROR: Close = Close { code: 1002, reason: "protocol error" };
/// A text message or close reason that is not UTF-8. Do not reconnect without a fix.
pub const NOT_UTF8: Close = Close { code: 1007, reason: "not UTF-8" };
/// A message over `max_message`. Do not reconnect without a fix.
pub const MESSAGE_TOO_BIG: Close = Close { code: 1009, reason: "message too big" };
/// A fault of the server, which the log tells of, came up while it served this client. Reconnect after a moment.
pub const INTERNAL_ERROR: Close = Close { code: 1011, reason: "server error" };
/// There is no memory for what it has sent. Reconnect after a moment.
pub const NO_MEMORY: Close = Close { code: 1011, reason: "out of memory" };
/// It took nothing of what waited for `outbox_timeout`, or held too much of it. What waited is lost; reconnect after a moment.
pub const TOO_SLOW: Close = Close { code: 4008, reason: "reads too slowly" };
/// It sent more than `messages_per_second` or `bytes_per_second` allow. Reconnect after a moment, and send less.
pub const TOO_MANY_MESSAGES: Close = Close { code: 4429, reason: "too many messages" };
/// It brought no connect token, and `require_token` wants one. Reconnect with one.
pub const TOKEN_MISSING: Close = Close { code: 4401, reason: "token missing" };
/// Its connect token has expired. Reconnect with a new one.
pub const TOKEN_EXPIRED: Close = Close { code: 4401, reason: "token expired" };
/// Its connect token is not good, which the log explains. Do not reconnect with it.
pub const TOKEN_REFUSED: Close = Close { code: 4401, reason: "token refused" };
/// No connection number was free, or no worker is there to handle events (`events = workers`). Reconnect after a moment.
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
            NOT_UTF8,
            MESSAGE_TOO_BIG,
            INTERNAL_ERROR,
            NO_MEMORY,
            TOO_SLOW,
            TOO_MANY_MESSAGES,
            TOKEN_MISSING,
            TOKEN_EXPIRED,
            TOKEN_REFUSED,
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
