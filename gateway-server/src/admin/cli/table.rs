//! The server's answers as tables for people.

use serde_json::Value;

use crate::telemetry::words::plural;

pub(super) fn status(status: &Value) -> String {
    let value = |key: &str| status[key].as_u64().unwrap_or_default();
    let number = |key: &str| grouped(value(key));
    let count = |key: &str, noun: &str| counted(value(key), noun);
    let mut text = format!(
        "gateway-server {}  {}  pid {}  up {}\n\n",
        cell(&status["version"]),
        cell(&status["state"]),
        cell(&status["pid"]),
        duration(status["uptime_seconds"].as_u64().unwrap_or_default())
    );
    let lines = [
        ("clients", format!("{} now, {} since the start", number("clients"), number("clients_since_start"))),
        (
            "parked",
            format!(
                "{} of them, with {} kept; {} came back whole, {} with a gap",
                number("parked_clients"),
                count("resume_bytes", "byte"),
                number("resumed"),
                grouped(
                    status["gaps"]
                        .as_object()
                        .into_iter()
                        .flatten()
                        .filter_map(|(_, gaps)| gaps.as_u64())
                        .sum()
                )
            ),
        ),
        ("uids, groups", format!("{}, {}", number("uids"), number("groups"))),
        (
            "received",
            format!("{}, {}", count("messages_received", "message"), count("received_bytes", "byte")),
        ),
        ("sent", format!("{}, {}", count("messages_sent", "message"), count("sent_bytes", "byte"))),
        (
            "slow clients",
            format!("{}, with {} waiting", number("slow_clients"), count("outbox_bytes", "byte")),
        ),
        ("unfinished", format!("{} of messages that have not come whole", count("unfinished_bytes", "byte"))),
        ("php connections", number("php_connections")),
        ("memory", count("memory_bytes", "byte")),
        ("open files", format!("{} of {}", number("open_files"), number("max_open_files"))),
        ("clients by shard", listed(&status["shards"])),
    ];
    for (name, value) in lines.into_iter().chain(inbox_line(&status["inbox"])) {
        text += &format!("{name:<17} {value}\n");
    }
    text.push('\n');
    text += &table(
        &["listener", "clients", "handshakes", "accepted"],
        rows(&status["listeners"], &["listener", "clients", "handshakes", "accepted"]),
    );
    let workers = rows(&status["workers"], &["name", "clients", "backlog_events", "backlog_bytes"]);
    if !workers.is_empty() {
        text.push('\n');
        text += &table(&["worker", "clients", "events waiting", "bytes waiting"], workers);
    }
    let relays = rows(&status["relays"], &["pid", "clients", "received_bytes", "sent_bytes", "age_seconds"]);
    if !relays.is_empty() {
        text.push('\n');
        text += &table(&["relay (pid)", "clients", "bytes received", "bytes sent", "age in s"], relays);
    }
    let cluster = &status["cluster"];
    let nodes = rows(&cluster["nodes"], &["node", "state", "clients", "silent_seconds"]);
    if !nodes.is_empty() {
        text.push('\n');
        text += &table(&["node", "state", "clients", "silent for s"], nodes);
        let value = |key: &str| cluster[key].as_u64().unwrap_or_default();
        let number = |key: &str| grouped(value(key));
        text += &format!(
            "cluster {}: {}, {} sent, {} received, {} waiting, {} refused, {} missed; {} came from other nodes, {} went\n",
            cell(&cluster["name"]),
            counted(value("clients"), "client"),
            counted(value("sent"), "frame"),
            number("received"),
            counted(value("waiting_bytes"), "byte"),
            number("refused"),
            number("missed"),
            counted(value("moved_in"), "client"),
            number("moved_out")
        );
        if !cluster["problem"].is_null() {
            text += &format!("NATS: {}\n", cell(&cluster["problem"]));
        }
    }
    let offences = status["offences"].as_object().into_iter().flatten();
    let offences: Vec<_> = offences.map(|(kind, total)| vec![kind.clone(), cell(total)]).collect();
    if !offences.is_empty() {
        text.push('\n');
        text += &table(&["offence", "since the start"], offences);
    }
    text
}

/// The line of the store, if there is one.
fn inbox_line(inbox: &Value) -> Option<(&'static str, String)> {
    let value = |key: &str| inbox[key].as_u64();
    let waiting =
        format!("{} waiting, of {}", counted(value("messages")?, "message"), counted(value("uids")?, "uid"));
    let problem = inbox["problem"].as_str().map(|_| format!("; {}", cell(&inbox["problem"])));
    Some(("inbox", waiting + &problem.unwrap_or_default()))
}

/// Says what has come of an upgrade.
pub(super) fn upgraded(upgraded: &Value) -> String {
    let value = |key: &str| upgraded[key].as_u64().unwrap_or_default();
    let relayed = value("relayed_clients");
    let staying = if relayed == 0 {
        String::new()
    } else {
        format!(
            "; the old process stays for {} of them, until they have gone",
            counted(relayed, "TLS client")
        )
    };
    format!(
        "process {} serves now, with {} ({:.0} ms without service){staying}\n",
        cell(&upgraded["pid"]),
        counted(value("clients"), "client"),
        upgraded["pause_seconds"].as_f64().unwrap_or_default() * 1000.0,
    )
}

pub(super) fn connections(found: &[Value], has_more: bool) -> String {
    let row = |one: &Value| {
        let mut groups = listed(&one["groups"]);
        let shown = one["groups"].as_array().map_or(0, Vec::len) as u64;
        let more = one["group_count"].as_u64().unwrap_or_default().saturating_sub(shown);
        if more > 0 {
            groups += &format!(" and {more} more");
        }
        let mut row: Vec<_> =
            ["client_id", "address", "listener", "queued_bytes", "parked_seconds", "kept_bytes", "uid"]
                .map(|key| cell(&one[key]))
                .into();
        row.push(groups);
        row
    };
    let head = ["client_id", "address", "listener", "queued", "parked for s", "kept", "uid", "groups"];
    let mut text = table(&head, found.iter().map(row).collect());
    text += &format!(
        "{}{}\n",
        counted(found.len() as u64, "connection"),
        if has_more { ", and there are more (--limit)" } else { "" }
    );
    text
}

/// The uids for which messages wait.
pub(super) fn inbox_list(found: &[Value], has_more: bool) -> String {
    let row = |one: &Value| ["messages", "bytes", "uid"].map(|key| cell(&one[key])).into();
    let mut text = table(&["messages", "bytes", "uid"], found.iter().map(row).collect());
    let more = if has_more { ", and there are more (--limit)" } else { "" };
    text += &format!("{}{more}\n", counted(found.len() as u64, "uid"));
    text
}

/// What waits for one uid.
pub(super) fn inbox(inbox: &Value) -> String {
    let value = |key: &str| inbox[key].as_u64().unwrap_or_default();
    let row = |one: &Value| {
        let name = match one["device"].as_str() {
            Some("") => "(without a name)".to_owned(),
            _ => cell(&one["device"]),
        };
        let mut row = vec![name, if one["signed"] == true { "token" } else { "page" }.to_owned()];
        row.extend(["waiting", "lost"].map(|key| cell(&one[key])));
        row
    };
    let devices = inbox["devices"].as_array().into_iter().flatten().map(row).collect::<Vec<_>>();
    let kept = format!("{}, {}\n", counted(value("messages"), "message"), counted(value("bytes"), "byte"));
    kept + &table(&["device", "named by", "waiting", "lost"], devices)
}

fn rows(list: &Value, keys: &[&str]) -> Vec<Vec<String>> {
    let rows = list.as_array().into_iter().flatten();
    rows.map(|row| keys.iter().map(|key| cell(&row[*key])).collect()).collect()
}

fn listed(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(cell).collect::<Vec<_>>().join(", ")
}

/// Gives a value as text. Names come from clients and PHP, so control characters are replaced: a terminal must not obey them.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => {
            text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
        }
        other => other.to_string(),
    }
}

fn table(head: &[&str], rows: Vec<Vec<String>>) -> String {
    let head: Vec<_> = head.iter().map(|&name| name.to_owned()).collect();
    let all: Vec<_> = std::iter::once(head).chain(rows).collect();
    let widths: Vec<_> = (0..all[0].len())
        .map(|column| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    all.iter().map(line).collect()
}

fn duration(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// Gives a number with its noun, and with commas between thousands.
fn counted(number: u64, noun: &str) -> String {
    format!("{} {}", grouped(number), plural(number, noun))
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let parts = [&digits[..first]].into_iter().chain(
        digits.as_bytes()[first..].chunks(3).map(|part| std::str::from_utf8(part).unwrap_or_default()),
    );
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([59, 61, 3_700, 90_000].map(duration), ["59 s", "1 min", "1 h 1 min", "1 d 1 h"]);
    }

    #[test]
    fn one_is_singular() {
        let one = serde_json::json!({"client_id": "a", "groups": [], "group_count": 0});
        assert!(connections(&[one], false).ends_with("\n1 connection\n"));
        let text = status(&serde_json::json!({"messages_sent": 1, "sent_bytes": 1, "outbox_bytes": 2}));
        assert!(text.contains("1 message, 1 byte\n") && text.contains("0, with 2 bytes waiting\n"), "{text}");
    }

    #[test]
    fn relays_are_shown_while_there_are_some() {
        let relay = serde_json::json!({"pid": 4711, "clients": 3, "received_bytes": 10, "sent_bytes": 20, "age_seconds": 7});
        let text = status(&serde_json::json!({"relays": [relay]}));
        assert!(
            text.contains(
                "\nrelay (pid)  clients  bytes received  bytes sent  age in s\n4711         3        10"
            ),
            "{text}"
        );
        assert!(!status(&serde_json::json!({"relays": []})).contains("relay"));
    }

    #[test]
    fn a_terminal_does_not_obey_names() {
        assert_eq!(cell(&Value::from("a\u{1b}[2Jb\n")), "a\u{fffd}[2Jb\u{fffd}");
    }
}
