//! What a setting wants, in words. Serde and clap name Rust's types, which say nothing to whoever writes a file.

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::table::table;

/// An example of a number of bytes, where nothing says which one was meant.
const SOME_BYTES: u64 = 65_536;

/// Serde's message about the value of a setting of the file, with what the setting wants in place of a type.
pub(super) fn instead_of(key: &str, message: &str) -> String {
    let wrong = message.strip_prefix("invalid type: ").or_else(|| message.strip_prefix("invalid value: "));
    let Some((found, expected)) = wrong.and_then(|wrong| wrong.split_once(", expected ")) else {
        return message.to_owned();
    };
    let wanted = match expected {
        "a boolean" => "true or false, without quotes".to_owned(),
        "a sequence" => "a list, between brackets".to_owned(),
        "a string" if value_name(key) == "DURATION" => {
            "milliseconds, such as \"2ms\", between quotes".to_owned()
        }
        "a string" | "path string" => "a text, between quotes".to_owned(),
        "socket address" => "an address with its port, such as \"127.0.0.1:8282\", between quotes".to_owned(),
        "IPv4 socket address" => "an IPv4 address with its port, between quotes".to_owned(),
        "u8" => format!("a whole number from 0 to {}", u8::MAX),
        "u16" => format!("a whole number from 0 to {}", u16::MAX),
        "f32" | "f64" | "u32" | "u64" | "usize" => number(value_name(key), found),
        "struct RawListener" => "a table, with protocol and address".to_owned(),
        other => other.to_owned(),
    };
    let found = match found {
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        other => format!("the {}", other.replace('`', "")),
    };
    format!("it must be {wanted}, and not {found}")
}

/// The same of a flag or its variable. What clap says of other errors stays as it is.
pub(crate) fn of_flag(error: clap::Error) -> clap::Error {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    let (Some(flag), Some(value)) = (said(ContextKind::InvalidArg), said(ContextKind::InvalidValue)) else {
        return error;
    };
    let name = flag.rsplit_once('<').map(|(_, name)| name.trim_end_matches('>')).unwrap_or_default();
    let is_number = if name == "BYTES" { value.parse::<u64>().is_ok() } else { value.parse::<f64>().is_ok() };
    if error.kind() != ErrorKind::ValueValidation
        || is_number
        || !["BYTES", "SECONDS", "NUMBER"].contains(&name)
    {
        return error;
    }
    let wanted = number(name, &format!("{value:?}"));
    Command::new("gateway-server").error(
        ErrorKind::ValueValidation,
        format!("invalid value '{value}' for '{flag}' or its variable: it must be {wanted}"),
    )
}

/// The name that `--help` gives the value: `BYTES`, `SECONDS` and so on. A listener's settings have the names of the others.
fn value_name(key: &str) -> &'static str {
    table().into_iter().find(|row| row.name == key).map(|row| row.value_name).unwrap_or_default()
}

fn number(value_name: &str, found: &str) -> String {
    match value_name {
        "BYTES" => format!("a number of bytes, such as {}", meant(found).unwrap_or(SOME_BYTES)),
        "SECONDS" => "a number of seconds, such as 30 or 2.5".to_owned(),
        _ => "a number, such as 100".to_owned(),
    }
}

/// The bytes that a text with a unit stands for, as in `string "64 KiB"`.
fn meant(found: &str) -> Option<u64> {
    let text = found.split('"').nth(1)?.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "b" | "bytes" | "" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::RawConfig;
    use super::*;

    #[test]
    fn the_file_is_told_what_a_setting_wants() {
        for (key, message, said) in [
            (
                "max_message",
                "invalid type: string \"10 MiB\", expected usize",
                "it must be a number of bytes, such as 10485760, and not the string \"10 MiB\"",
            ),
            (
                "outbox_bytes",
                "invalid value: integer `-1`, expected usize",
                "it must be a number of bytes, such as 65536, and not the integer -1",
            ),
            (
                "ping_interval",
                "invalid type: string \"25s\", expected f64",
                "it must be a number of seconds, such as 30 or 2.5, and not the string \"25s\"",
            ),
            (
                "coalesce",
                "invalid type: integer `2`, expected a string",
                "it must be milliseconds, such as \"2ms\", between quotes, and not the integer 2",
            ),
            (
                "shards",
                "invalid value: integer `70000`, expected u16",
                "it must be a whole number from 0 to 65535, and not the integer 70000",
            ),
            (
                "register",
                "invalid type: map, expected a sequence",
                "it must be a list, between brackets, and not a table",
            ),
            (
                "listener",
                "invalid type: integer `1`, expected struct RawListener",
                "it must be a table, with protocol and address, and not the integer 1",
            ),
            ("router", "unknown variant `x`, expected `y`", "unknown variant `x`, expected `y`"),
        ] {
            assert_eq!(instead_of(key, message), said);
        }
    }

    #[test]
    fn a_flag_is_told_what_it_wants() {
        #[derive(Parser)]
        struct Line {
            #[command(flatten)]
            config: RawConfig,
        }
        let said = |flag: &str| {
            let error = Line::try_parse_from(["gateway-server", flag]).err().map(of_flag);
            error.map(|error| error.to_string()).unwrap_or_default()
        };
        let bytes = said("--max-message=64K");
        assert!(bytes.contains("it must be a number of bytes, such as 65536"), "{bytes}");
        let seconds = said("--close-timeout=5s");
        assert!(seconds.contains("it must be a number of seconds, such as 30 or 2.5"), "{seconds}");
        let shards = said("--shards=70000");
        assert!(shards.contains("70000 is not in 0..=65535"), "{shards}");
        assert!(said("--register=8282").contains("invalid socket address"), "{}", said("--register=8282"));
    }

    #[test]
    fn units_are_understood_to_say_what_is_meant() {
        for (found, bytes) in [
            ("\"64k\"", Some(65_536)),
            ("\"1 GB\"", Some(1 << 30)),
            ("\"7\"", Some(7)),
            ("\"x\"", None),
            ("\"99999999999g\"", None),
        ] {
            assert_eq!(meant(found), bytes, "{found}");
        }
    }
}
