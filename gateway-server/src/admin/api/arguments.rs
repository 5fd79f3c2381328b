//! The arguments of an operation, read from JSON.

use std::time::Duration;

use gateway_wire::ClientId;
use gateway_wire::bridge::{Names, PhpStr};
use gateway_wire::json_to_php;
use serde_bytes::Bytes;
use serde_json::Value;

use crate::admin::answer::Refusal;

/// The longest time for which a request may wait for pages. It leaves the rest of a request's time for everything else.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(8);

/// The kinds of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArgumentKind {
    Client,
    /// One client id, or a list of them.
    Clients,
    Text,
    /// A uid or a group: a string, or an integer, which PHP takes as a name too.
    Name,
    /// One name, or a list of them.
    Names,
    Flag,
    /// A flag whose absence differs from false.
    FlagOrUnset,
    /// An object or a list, which is an array in PHP.
    Session,
    /// A whole number from 0 on.
    Count,
    /// A time in seconds, above 0 and up to [`LONGEST_WAIT`].
    Time,
    /// One of these words.
    Choice(&'static [&'static str]),
}

/// The description of one parameter of an operation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) kind: ArgumentKind,
    pub(super) is_required: bool,
    pub(super) help: &'static str,
}

/// The arguments of a request, by the names of their parameters.
pub(super) struct Arguments(Vec<(&'static str, Argument)>);

enum Argument {
    Clients(Vec<ClientId>),
    /// Texts, names or one serialized session.
    Bytes(Vec<Vec<u8>>),
    Flag(bool),
    Count(u64),
    Time(Duration),
}

impl Arguments {
    pub(super) fn read(parameters: &[Parameter], given: &Value) -> Result<Self, Refusal> {
        let Some(given) = given.as_object() else {
            return Err(Refusal::invalid("the arguments must be a JSON object"));
        };
        if let Some(name) = given.keys().find(|name| !parameters.iter().any(|one| one.name == **name)) {
            let known: Vec<_> = parameters.iter().map(|parameter| parameter.name).collect();
            let name = gateway_wire::excerpt(name.as_bytes());
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Refusal::invalid(format!("there is no argument {name}; there are: {known}")));
        }
        let mut read = Vec::new();
        for parameter in parameters {
            match given.get(parameter.name).filter(|value| !value.is_null()) {
                Some(value) => read.push((parameter.name, parameter.read(value)?)),
                None if parameter.is_required => return Err(missing(parameter.name)),
                None => {}
            }
        }
        Ok(Self(read))
    }

    pub(super) fn client(&self, name: &'static str) -> Result<ClientId, Refusal> {
        self.clients(name).and_then(|clients| clients.first()).copied().ok_or_else(|| missing(name))
    }

    pub(super) fn clients(&self, name: &str) -> Option<&[ClientId]> {
        match self.get(name)? {
            Argument::Clients(clients) => Some(clients),
            _ => None,
        }
    }

    pub(super) fn text(&self, name: &'static str) -> Result<PhpStr<'_>, Refusal> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    pub(super) fn optional_text(&self, name: &str) -> Option<PhpStr<'_>> {
        self.all(name).first().map(|text| Bytes::new(text))
    }

    pub(super) fn names(&self, name: &str) -> Names<'_> {
        self.all(name).iter().map(|name| Bytes::new(name)).collect()
    }

    pub(super) fn list(&self, name: &str) -> Vec<PhpStr<'_>> {
        self.names(name).into_vec()
    }

    /// The values of an argument that is a text, names or a session; none when it was not given.
    pub(super) fn all(&self, name: &str) -> &[Vec<u8>] {
        match self.get(name) {
            Some(Argument::Bytes(all)) => all,
            _ => &[],
        }
    }

    pub(super) fn count(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Argument::Count(count) => Some(*count),
            _ => None,
        }
    }

    pub(super) fn time(&self, name: &str) -> Option<Duration> {
        match self.get(name)? {
            Argument::Time(time) => Some(*time),
            _ => None,
        }
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.flag_or_unset(name) == Some(true)
    }

    pub(super) fn flag_or_unset(&self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Argument::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Argument> {
        self.0.iter().find(|(other, _)| *other == name).map(|(_, argument)| argument)
    }
}

impl Parameter {
    fn read(&self, value: &Value) -> Result<Argument, Refusal> {
        let wrong = |what: &str| Refusal::invalid(format!("{} must be {what}", self.name));
        let clients = |values: &[Value]| {
            let ids =
                values.iter().map(|one| one.as_str().ok_or_else(|| wrong("client ids, which are strings")));
            let ids = ids
                .map(|id| id?.parse().map_err(|error| Refusal::invalid(format!("{}: {error}", self.name))));
            ids.collect::<Result<Vec<ClientId>, Refusal>>().map(Argument::Clients)
        };
        let names = |values: &[Value]| {
            let names = values.iter().map(|value| match value {
                Value::String(text) => Ok(text.clone().into_bytes()),
                Value::Number(number) if number.is_i64() => Ok(number.to_string().into_bytes()),
                _ => Err(wrong("a string or an integer")),
            });
            names.collect::<Result<_, _>>().map(Argument::Bytes)
        };
        let one = std::slice::from_ref(value);
        match (self.kind, value) {
            (ArgumentKind::Clients, Value::Array(list)) => clients(list),
            (ArgumentKind::Client | ArgumentKind::Clients, _) => clients(one),
            (ArgumentKind::Names, Value::Array(list)) => names(list),
            (ArgumentKind::Name | ArgumentKind::Names, _) => names(one),
            (ArgumentKind::Text, Value::String(text)) => Ok(Argument::Bytes(vec![text.clone().into_bytes()])),
            (ArgumentKind::Text, _) => {
                Err(wrong("a string; what is none has to be made one, as by json_encode"))
            }
            (ArgumentKind::Flag | ArgumentKind::FlagOrUnset, Value::Bool(flag)) => Ok(Argument::Flag(*flag)),
            (ArgumentKind::Flag | ArgumentKind::FlagOrUnset, _) => Err(wrong("true or false")),
            (ArgumentKind::Session, Value::Object(_) | Value::Array(_)) => {
                Ok(Argument::Bytes(vec![json_to_php(value)]))
            }
            (ArgumentKind::Session, _) => Err(wrong("an object")),
            (ArgumentKind::Count, _) => {
                value.as_u64().map(Argument::Count).ok_or_else(|| wrong("a whole number from 0 on"))
            }
            (ArgumentKind::Time, _) => {
                let time = value.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                time.filter(|time| !time.is_zero() && *time <= LONGEST_WAIT).map(Argument::Time).ok_or_else(
                    || wrong(&format!("a number of seconds above 0 and at most {}", LONGEST_WAIT.as_secs())),
                )
            }
            (ArgumentKind::Choice(words), _) => match value.as_str().filter(|word| words.contains(word)) {
                Some(word) => Ok(Argument::Bytes(vec![word.as_bytes().to_vec()])),
                None => Err(wrong(&words.join(" or "))),
            },
        }
    }
}

fn missing(name: &str) -> Refusal {
    Refusal::invalid(format!("the argument {name} is missing"))
}
