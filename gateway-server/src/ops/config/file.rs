//! The TOML file: what is wrong with it, and where.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use anyhow::Context as _;

use super::settings::{Invalid, Layer};

/// Something wrong in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

pub(super) fn read(path: &Path) -> anyhow::Result<Layer> {
    let text = text(path)?;
    parse(&text).map_err(|problems| in_file(path, &problems))
}

/// Says all that is wrong with a file, its values included.
pub fn check(path: &Path) -> anyhow::Result<()> {
    let text = text(path)?;
    let layer = parse(&text).map_err(|problems| in_file(path, &problems))?;
    layer.settle().map(drop).map_err(|invalid| {
        let problems: Vec<_> = invalid.iter().map(|invalid| locate(&text, invalid)).collect();
        in_file(path, &problems)
    })
}

fn text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read the configuration {}", path.display()))
}

fn in_file(path: &Path, problems: &[Problem]) -> anyhow::Error {
    let lines: Vec<_> = problems.iter().map(|problem| format!("{}:{problem}", path.display())).collect();
    anyhow::anyhow!(lines.join("\n"))
}

fn parse(text: &str) -> Result<Layer, Vec<Problem>> {
    let unknown = unknown_keys(text);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    toml::from_str(text).map_err(|error| {
        let key = error.span().and_then(|span| key_of_value(text, &span));
        let message = match key {
            Some(key) => format!("{key}: {}", error.message()),
            None => error.message().to_owned(),
        };
        vec![problem(text, error.span(), message)]
    })
}

/// A misspelt key is worth more than serde's list of all keys: the nearest one.
fn unknown_keys(text: &str) -> Vec<Problem> {
    let Ok(table) = toml::de::DeTable::parse(text) else { return Vec::new() };
    let known = known_keys();
    let mut problems: Vec<_> = table
        .get_ref()
        .keys()
        .filter(|key| !known.contains(&key.get_ref().as_ref()))
        .map(|key| {
            let name: &str = key.get_ref();
            let nearest = known
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
            let hint = nearest.filter(|nearest| strsim::jaro_winkler(nearest, name) > 0.7);
            let message = match hint {
                Some(nearest) => format!("there is no setting {name}; did you mean {nearest}?"),
                None => format!("there is no setting {name}; the settings are {}", known.join(", ")),
            };
            problem(text, Some(key.span()), message)
        })
        .collect();
    problems.sort_by_key(|problem| (problem.line, problem.column));
    problems
}

fn known_keys() -> Vec<&'static str> {
    struct Keys(Vec<&'static str>);
    use serde::de::{Deserializer, Error, Visitor};
    // Serde tells a struct's fields to whoever deserializes it.
    impl<'de> Deserializer<'de> for &mut Keys {
        type Error = serde::de::value::Error;
        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            _: V,
        ) -> Result<V::Value, Self::Error> {
            self.0 = fields.to_vec();
            Err(Error::custom("only the names were wanted"))
        }
        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(Error::custom("settings are a struct"))
        }
        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct
            newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }
    let mut keys = Keys(Vec::new());
    let _ = <Layer as serde::Deserialize>::deserialize(&mut keys);
    keys.0
}

fn locate(text: &str, invalid: &Invalid) -> Problem {
    let span = toml::de::DeTable::parse(text).ok().and_then(|table| {
        table.get_ref().iter().find(|(key, _)| key.get_ref() == invalid.key).map(|(key, _)| key.span())
    });
    problem(text, span, invalid.to_string())
}

fn key_of_value(text: &str, span: &Range<usize>) -> Option<String> {
    let table = toml::de::DeTable::parse(text).ok()?;
    let (key, _) = table.get_ref().iter().find(|(_, value)| {
        let value = value.span();
        value.start <= span.start && span.end <= value.end
    })?;
    Some(key.get_ref().to_string())
}

fn problem(text: &str, span: Option<Range<usize>>, message: String) -> Problem {
    let before = text.get(..span.map_or(0, |span| span.start)).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Problem { line, column, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let problems = match parse(text) {
            Err(problems) => problems,
            Ok(layer) => layer
                .settle()
                .map_err(|invalid| invalid.iter().map(|one| locate(text, one)).collect())
                .unwrap_err(),
        };
        problems.iter().map(ToString::to_string).collect()
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
        assert!(problems("zzz = 1")[0].contains("the settings are websocket, reuse_port, "));
    }

    #[test]
    fn wrong_types_and_values_are_told_where() {
        let wrong = problems("shards = 1\n  websocket = \"nowhere\"");
        assert!(wrong[0].starts_with("2:15: websocket: invalid socket address"), "{wrong:?}");
        assert_eq!(problems("\n\nmax_message = 1"), ["3:1: max_message: 1 is not within 125 to 1073741824"]);
        assert!(problems("shards = ")[0].starts_with("1:"), "{:?}", problems("shards = "));
    }
}
