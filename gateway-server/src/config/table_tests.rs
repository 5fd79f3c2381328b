//! Tests of the table of settings, each of which goes through all rows.

use std::collections::BTreeSet;
use std::process::Command as Process;

use clap::Parser;

use super::defaults::DefaultName;
use super::differences::Differences;
use super::invalid::Checks;
use super::row::{Effect, Row, Scope};
use super::table::{RawConfig, WEBSOCKET, table};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: RawConfig,
}

/// A value of a setting that is not its default, as a flag takes it and as the file has it.
fn sample(row: &Row) -> (String, String) {
    let quoted = |text: &str| (text.to_owned(), format!("\"{text}\""));
    let listed = |text: &str| (text.to_owned(), format!("[\"{text}\"]"));
    let bare = |text: &str| (text.to_owned(), text.to_owned());
    match (row.name, row.value_name) {
        ("listener", _) => (
            "text://127.0.0.1:1".to_owned(),
            "[{ protocol = \"text\", address = \"127.0.0.1:1\" }]".to_owned(),
        ),
        ("register", _) => listed("127.0.0.1:7"),
        ("trusted_proxies", _) => listed("10.0.0.0/8"),
        ("cluster_nats", _) => listed("nats://127.0.0.1:4222"),
        ("origins" | "paths" | "hosts" | "subprotocols", _) => listed("sample"),
        ("webhook_url", _) => quoted("https://example.com/webhook"),
        ("events", _) => quoted("workers"),
        ("router", _) => quoted("random"),
        ("cluster_outage", _) => quoted("fail"),
        ("message_type", _) => quoted("binary"),
        ("log_format", _) => quoted("json"),
        ("log", _) => quoted("debug"),
        (_, "BOOL") => bare(if row.default.to_string() == "true" { "false" } else { "true" }),
        (_, "ADDRESS" | "IPV4:PORT") => quoted("127.0.0.1:7"),
        (_, "BYTES" | "SECONDS" | "NUMBER") => bare(number(row)),
        (_, "DURATION") => quoted("7ms"),
        (_, "PATH" | "NAME" | "TEXT" | "SECRET") => quoted("sample"),
        (name, value_name) => panic!("{name} wants a {value_name}, of which there is no sample here"),
    }
}

fn in_file(row: &Row) -> RawConfig {
    let (_, value) = sample(row);
    toml::from_str(&format!("{} = {value}", row.name)).unwrap_or_else(|error| panic!("{}: {error}", row.name))
}

/// A number that a setting may be, and that it is not by default.
fn number(row: &Row) -> &'static str {
    let is_good = |number: &&str| {
        let raw = toml::from_str(&format!("{} = {number}", row.name)).ok();
        raw.and_then(try_resolve).is_some_and(|settings| settings != resolved(RawConfig::default()))
    };
    ["7", "3", "2048", "2000000"].into_iter().find(is_good).unwrap_or_else(|| panic!("{}", row.name))
}

fn try_resolve(raw: RawConfig) -> Option<String> {
    let mut checks = Checks::default();
    let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
    let settings = raw.fill_in(vec![websocket], &mut checks);
    checks.done(settings).ok().map(|settings| format!("{settings:?}"))
}

fn resolved(raw: RawConfig) -> String {
    try_resolve(raw).unwrap()
}

#[test]
fn each_setting_is_taken_from_the_file_and_from_its_flag() {
    let defaults = resolved(RawConfig::default());
    for row in table() {
        let by_file = in_file(&row);
        assert_ne!(resolved(by_file.clone()), defaults, "{} changes nothing", row.name);
        if row.flag.is_none() {
            continue;
        }
        let flag = format!("--{}={}", row.name.replace('_', "-"), sample(&row).0);
        let by_flag = Line::try_parse_from(["gateway-server", &flag]).map(|line| line.settings);
        let by_flag = by_flag.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{by_flag:?}"), format!("{by_file:?}"), "{}", row.name);
        let (both, hidden) = by_flag.hiding(by_file);
        assert_eq!((resolved(both) != defaults, hidden), (true, vec![row.name]));
    }
}

/// The test starts itself again, as variables are set for a process.
#[test]
fn each_setting_is_taken_from_its_variable() {
    const IS_INSIDE: &str = "TEST_PRINTS_WHAT_THE_ENVIRONMENT_SAYS";
    if std::env::var_os(IS_INSIDE).is_some() {
        let flags = Line::try_parse_from(["gateway-server"]).map(|line| line.settings).unwrap();
        println!("SETTINGS {:?}", flags.over(RawConfig::from_environment().unwrap()));
        return;
    }
    let test = "config::table_tests::each_setting_is_taken_from_its_variable";
    let rows = table();
    let output = Process::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(IS_INSIDE, "1")
        .envs(rows.iter().map(|row| (row.variable, sample(row).0)))
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let by_file = rows.iter().map(in_file).fold(RawConfig::default(), RawConfig::over);
    assert!(said.contains(&format!("SETTINGS {by_file:?}\n")), "{said}\nis not\n{by_file:?}");
}

#[test]
fn a_listener_has_its_own_value_or_that_of_the_websocket_listener() {
    let listener_keys = "protocol = \"text\"\naddress = \"127.0.0.1:1\"\n";
    let listener = |raw: RawConfig| {
        let mut checks = Checks::default();
        let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
        let others = raw.listener.unwrap_or_default();
        let other = others.into_iter().next().unwrap().fill_in(Some(&websocket), &mut checks);
        format!("{:?}", checks.done(other).unwrap())
    };
    let parse = |text: String| -> RawConfig { toml::from_str(&text).unwrap() };
    let defaults = listener(parse(format!("[[listener]]\n{listener_keys}")));
    for row in table().into_iter().filter(|row| row.scope == Scope::Listener) {
        let (name, value) = (row.name, sample(&row).1);
        let own = listener(parse(format!("[[listener]]\n{listener_keys}{name} = {value}")));
        let inherited = listener(parse(format!("{name} = {value}\n[[listener]]\n{listener_keys}")));
        assert_eq!((own != defaults, &own), (true, &inherited), "{name}");
    }
}

#[test]
fn each_difference_is_named_and_only_live_ones_are_taken() {
    let resolve = |raw: RawConfig| {
        let mut checks = Checks::default();
        let websocket = raw.websocket_listener(WEBSOCKET).fill_in(None, &mut checks);
        checks.done(raw.fill_in(vec![websocket], &mut Checks::default())).unwrap()
    };
    let old = resolve(RawConfig::default());
    for row in table() {
        let new = resolve(in_file(&row));
        let mut differences = Differences::default();
        let listener = old.listeners[0].take_over(&new.listeners[0], &mut differences);
        let taken = old.take_over(&new, vec![listener], &mut differences);
        let named: &[&str] = &[row.name];
        let (live, fixed, expected): (&[&str], &[&str], _) = match row.effect {
            Effect::Live(_) => (named, &[], &new),
            Effect::Restart(_) => (&[], named, &old),
            Effect::Within(_) => (&[], &[], &new),
        };
        assert_eq!((&differences.live[..], &differences.fixed[..]), (&owned(live)[..], &owned(fixed)[..]));
        assert_eq!(format!("{taken:?}"), format!("{expected:?}"), "{}", row.name);
    }
}

fn owned(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn rows_are_complete_and_defaults_are_within_their_ranges() {
    let rows = table();
    for row in &rows {
        assert_eq!(row.variable, format!("GATEWAY_{}", row.name.to_uppercase()));
        assert!(row.text.len() > 10 && !row.default.to_string().is_empty(), "{}", row.name);
        assert!(!row.text.contains(['{', '\n']) && !row.text.ends_with('.'), "{}", row.text);
        if let Effect::Within(name) = row.effect {
            assert!(rows.iter().any(|other| other.name == name), "{name}");
        }
        if let DefaultName::Value(default) = &row.default
            && ["BYTES", "SECONDS", "NUMBER"].contains(&row.value_name)
        {
            let raw: RawConfig = toml::from_str(&format!("{} = {default}", row.name)).unwrap();
            assert_eq!(resolved(raw), resolved(RawConfig::default()), "{}", row.name);
        }
    }
    let names: BTreeSet<_> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len());
}
