//! Any text in the server's settings file: nothing panics, and an error says its place and the setting's name.

use gateway_server::config::problems;
use gateway_tests::fuzz;

/// Gives whether the message names a setting or the number of a listener, and says what is wrong with it.
fn names_a_setting(message: &str) -> bool {
    let Some((name, reason)) = message.split_once(": ") else {
        return message.starts_with("there is no setting ");
    };
    let is_listener = name.strip_prefix("listener ").is_some_and(|number| number.parse::<u16>().is_ok());
    let is_key = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    !reason.is_empty() && (is_listener || is_key || message.starts_with("there is no setting "))
}

#[test]
fn configuration() {
    let whole = r#"
websocket = "127.0.0.1:8282"
register = ["127.0.0.1:1238", "[::1]:1236"]
ping_interval = 2.5e1
log = "info,gateway_server=debug"
origins = ["https://*.example.com"]
require_token = false
events = "auto"
[[listener]]
protocol = "text"
address = "0.0.0.0:8283"
max_message = 4_096
"#;
    let corpus = [whole.as_bytes().to_vec(), b"max_message = 1\nshards = \"many\"\nreigster = []".to_vec()];
    fuzz("configuration", &corpus, |input, _| {
        let text = String::from_utf8_lossy(input);
        let is_toml = text.parse::<toml::Table>().is_ok();
        for problem in problems(&text) {
            assert!((1..=text.split('\n').count()).contains(&problem.line), "{problem} in {text:?}");
            let line = text.split('\n').nth(problem.line - 1).unwrap_or_default();
            assert!((1..=line.chars().count() + 1).contains(&problem.column), "{problem} in {text:?}");
            assert!(!problem.message.is_empty(), "{problem} in {text:?}");
            // Text that is not TOML has no names of settings.
            assert!(!is_toml || names_a_setting(&problem.message), "{problem} in {text:?}");
        }
    });
}
