//! Lines that the log writes without `tracing`: those that must be written whatever state the program is in.

use serde_json::json;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use super::format::LogFormat;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Warn,
    Error,
}

/// A line like those of `tracing`, with its line end.
pub(super) fn line(format: LogFormat, level: Level, message: &str) -> String {
    let level = match level {
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    };
    let mut time = String::new();
    // If the clock cannot be read, the line has no time.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    match format {
        LogFormat::Text => format!("{time} {level:>5} {message}\n"),
        LogFormat::Json => {
            format!("{}\n", json!({"timestamp": time, "level": level, "message": message}))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats() {
        let text = line(LogFormat::Text, Level::Warn, "it is late");
        assert!(text.ends_with("Z  WARN it is late\n"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&line(LogFormat::Json, Level::Error, "two\nlines")).unwrap();
        assert_eq!((&json["level"], &json["message"]), (&"ERROR".into(), &"two\nlines".into()));
    }
}
