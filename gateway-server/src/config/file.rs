//! The TOML file: what is wrong with it, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::invalid::Invalid;
use super::row::Scope;
use super::table::{RawConfig, Settings, table as rows};
use super::wanted;
use crate::system::files;
use crate::telemetry::words::nearest;

/// Bytes of a file, far more than all settings take.
const LONGEST: u64 = 4 << 20;

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileProblem {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<RawConfig> {
    let text = text(path)?;
    parse(&text).map_err(|problems| in_file(path, &problems))
}

/// Says all that is wrong with a file, its values included.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let problems = problems(&text(path)?);
    if problems.is_empty() { Ok(()) } else { Err(in_file(path, &problems)) }
}

/// All that is wrong with a file's text.
pub fn problems(text: &str) -> Vec<FileProblem> {
    Settings::of_file(text).err().unwrap_or_default()
}

impl Settings {
    /// Makes the settings that a file's text says. What it does not speak of has its default.
    ///
    /// # Errors
    ///
    /// Gives all that is wrong with the text.
    pub fn of_file(text: &str) -> Result<Self, Vec<FileProblem>> {
        parse(text)?.resolve().map_err(|invalid| invalid.iter().map(|one| locate(text, one)).collect())
    }
}

/// Says what is wrong in settings that come in part from a file, and where, if the file is wrong by itself.
pub(super) fn explain(path: &Path, invalid: &[Invalid]) -> anyhow::Error {
    let text = text(path).unwrap_or_default();
    let alone = parse(&text).ok().and_then(|raw| raw.resolve().err()).unwrap_or_default();
    let line = |invalid: &Invalid| {
        if alone.contains(invalid) {
            format!("{}:{}", path.display(), locate(&text, invalid))
        } else {
            invalid.to_string()
        }
    };
    anyhow::anyhow!(invalid.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn text(path: &Path) -> anyhow::Result<String> {
    files::read_text(path, LONGEST)
        .with_context(|| format!("cannot read the configuration {}", path.display()))
}

fn in_file(path: &Path, problems: &[FileProblem]) -> anyhow::Error {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    anyhow::anyhow!(lines.join("\n"))
}

fn parse(text: &str) -> Result<RawConfig, Vec<FileProblem>> {
    let unknown = unknown_keys(text);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error| {
        let key = error.span().and_then(|span| key_of_value(text, &span));
        let message = match key {
            Some(key) => format!("{key}: {}", wanted::instead_of(&key, error.message())),
            None => error.message().to_owned(),
        };
        vec![problem(text, error.span(), message)]
    })
}

/// A misspelt key is worth more than serde's list of all keys: the nearest one.
fn unknown_keys(text: &str) -> Vec<FileProblem> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let rows = rows();
    let known: Vec<_> = rows.iter().map(|row| row.name).collect();
    let of_listeners = rows.iter().filter(|row| row.scope == Scope::Listener).map(|row| row.name);
    let known_of_listeners: Vec<_> = ["protocol", "address"].into_iter().chain(of_listeners).collect();
    let mut problems = unknown_in(text, table.get_ref(), &known, "setting");
    for listener in listeners(table.get_ref()) {
        problems.extend(unknown_in(text, listener, &known_of_listeners, "setting of a listener"));
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

fn unknown_in(text: &str, table: &DeTable, known: &[&str], what: &str) -> Vec<FileProblem> {
    table
        .keys()
        .filter(|key| !known.contains(&key.get_ref().as_ref()))
        .map(|key| {
            let name: &str = key.get_ref();
            let message = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("there is no {what} {name}; did you mean {nearest}?"),
                None => format!("there is no {what} {name}; there are {}", known.join(", ")),
            };
            problem(text, Some(key.span()), message)
        })
        .collect()
}

/// The tables `[[listener]]`.
fn listeners<'a>(table: &'a DeTable<'a>) -> impl Iterator<Item = &'a DeTable<'a>> {
    listener_values(table).filter_map(|one| one.get_ref().as_table())
}

/// What stands in their place, tables or not.
fn listener_values<'a>(table: &'a DeTable<'a>) -> impl Iterator<Item = &'a Spanned<DeValue<'a>>> {
    let all = table.iter().find(|(key, _)| key.get_ref() == "listener").map(|(_, value)| value.get_ref());
    all.and_then(|all| all.as_array()).into_iter().flat_map(|all| all.iter())
}

fn locate(text: &str, invalid: &Invalid) -> FileProblem {
    let span = DeTable::parse(text).ok().and_then(|table| {
        let table = match invalid.listener {
            Some(index) => listeners(table.get_ref()).nth(index)?,
            None => table.get_ref(),
        };
        table.iter().find(|(key, _)| key.get_ref() == invalid.key).map(|(key, _)| key.span())
    });
    problem(text, span, invalid.to_string())
}

fn key_of_value(text: &str, span: &Range<usize>) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    let is_in = |value: Range<usize>| value.start <= span.start && span.end <= value.end;
    let mut in_listeners = listeners(table.get_ref()).flat_map(|listener| listener.iter());
    if let Some((key, _)) = in_listeners.find(|(_, value)| is_in(value.span())) {
        return Some(key.get_ref().to_string());
    }
    // It lacks something.
    if let Some(index) = listener_values(table.get_ref()).position(|value| is_in(value.span())) {
        return Some(format!("listener {}", index + 1));
    }
    if let Some((key, _)) = table.get_ref().iter().find(|(_, value)| is_in(value.span())) {
        return Some(key.get_ref().to_string());
    }
    // A table by dotted keys has no place of its own: it is that of the key before.
    let keys = listeners(table.get_ref()).flat_map(|listener| listener.keys()).chain(table.get_ref().keys());
    let before = keys.filter(|key| key.span().start <= span.start).max_by_key(|key| key.span().start)?;
    Some(before.get_ref().to_string())
}

fn problem(text: &str, span: Option<Range<usize>>, message: String) -> FileProblem {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    FileProblem { line, column, message }
}

#[cfg(test)]
mod tests {
    fn problems(text: &str) -> Vec<String> {
        super::problems(text).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_misspelt_key_is_told_the_nearest() {
        assert_eq!(
            problems("# mine\nping_intervall = 3\nregster = []\n"),
            [
                "2:1: there is no setting ping_intervall; did you mean ping_interval?",
                "3:1: there is no setting regster; did you mean register?"
            ]
        );
        assert!(problems("zzz = 1")[0].contains("there is no setting zzz; there are websocket, "));
    }

    #[test]
    fn wrong_types_and_values_are_told_where() {
        let wrong = problems("shards = 1\n  websocket = \"nowhere\"");
        assert!(wrong[0].starts_with("2:15: websocket: invalid socket address"), "{wrong:?}");
        assert_eq!(
            problems("[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:1\"\nmax_message = \"64K\""),
            ["4:15: max_message: it must be a number of bytes, such as 65536, and not the string \"64K\""]
        );
        // It may be the secret itself.
        assert_eq!(problems("secret_key = 5"), ["1:14: secret_key: it must be a string, between quotes"]);
        assert_eq!(problems("\n\nmax_message = 1"), ["3:1: max_message: 1 is not within 125 to 1073741824"]);
        let name = problems("subprotocols = [\"mqtt\", \"a b\"]");
        assert!(name[0].starts_with("1:1: subprotocols: \"a b\" is no name of a subprotocol"), "{name:?}");
        let listener = "[[listener]]\nprotocol = \"text\"\naddress = \"127.0.0.1:1\"\n";
        let second = format!("{listener}{listener}max_message = 1\n");
        assert_eq!(
            problems(&second),
            [
                "6:1: listener 2: address: another listener has 127.0.0.1:1 already",
                "7:1: listener 2: max_message: 1 is not within 125 to 1073741824"
            ]
        );
        assert_eq!(
            problems(&format!("{listener}max_mesage = 1")),
            ["4:1: there is no setting of a listener max_mesage; did you mean max_message?"]
        );
        let second = format!("{listener}[[listener]]\nprotocol = \"text\"\n");
        assert_eq!(problems(&second), ["4:1: listener 2: missing field `address`"]);
        let dotted = problems("[[listener]]\nprotocol.x = \"text\"");
        assert!(dotted[0].starts_with("2:10: protocol: unknown variant `x`"), "{dotted:?}");
        let smtp = problems("[[listener]]\nprotocol = \"smtp\"\naddress = \"127.0.0.1:1\"");
        assert!(smtp[0].starts_with("2:12: protocol: unknown variant `smtp`"), "{smtp:?}");
        let router = problems("router = \"nearest\"");
        assert!(router[0].contains("router: unknown variant `nearest`"), "{router:?}");
        assert!(router[0].contains("`least-clients`, `client-address`, `random`"), "{router:?}");
        assert!(problems("shards = ")[0].starts_with("1:"), "{:?}", problems("shards = "));
    }
}
