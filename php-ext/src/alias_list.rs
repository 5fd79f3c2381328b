//! Which other names the classes are to have, as `gateway.aliases` says.

use crate::class_entries::{EVENTS, EXCEPTION, GATEWAY};

pub(crate) const GLOBAL_EXCEPTION: &str = "GatewayException";
/// GatewayWorker's own workers load this class from a file, and rely on it, so it is declared early only where php.ini names
/// it.
const OF_WORKERS: &str = "GatewayWorker\\Lib\\Gateway";
/// The names that are declared where php.ini only says that aliases are on.
const USUAL: [&str; 5] = ["Gateway", "GatewayClient\\Gateway", OF_WORKERS, GLOBAL_EXCEPTION, "GatewayEvents"];

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AliasList {
    pub(crate) names: Vec<String>,
    /// These are declared when PHP starts, so that no class of the program can have them.
    pub(crate) early: Vec<String>,
}

impl AliasList {
    pub(crate) fn usual() -> Self {
        Self { names: USUAL.map(str::to_owned).to_vec(), early: Vec::new() }
    }
}

/// Parses `gateway.aliases`: nothing or no, yes, or names; beside the word `eager` all names are declared early.
pub(crate) fn parse(setting: &[u8]) -> Result<AliasList, String> {
    let text = std::str::from_utf8(setting).map_err(|_| "it is not UTF-8".to_owned())?;
    match switch(text) {
        Some(false) => return Ok(AliasList::default()),
        Some(true) => return Ok(AliasList::usual()),
        None => {}
    }
    let (mut names, mut is_early) = (Vec::new(), false);
    for name in text.split([',', ' ', '\t']).filter(|name| !name.is_empty()) {
        let name = name.strip_prefix('\\').unwrap_or(name);
        if name.eq_ignore_ascii_case("eager") {
            is_early = true;
        } else if !is_class_name(name) {
            return Err(format!("{name:?} is no name of a class"));
        } else if ![GATEWAY, EVENTS, EXCEPTION].iter().any(|own| own.eq_ignore_ascii_case(name)) {
            names.push(name.to_owned());
        }
    }
    let are_usual = names.is_empty();
    if are_usual {
        names = AliasList::usual().names;
    }
    let early = if is_early { names.clone() } else { Vec::new() };
    let early = early.into_iter().filter(|name| !are_usual || name != OF_WORKERS).collect();
    Ok(AliasList { names, early })
}

/// What the setting says as a switch; `None` when it says more.
pub(crate) fn switch(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "" | "0" | "off" | "no" | "false" => Some(false),
        "1" | "on" | "yes" | "true" => Some(true),
        _ => None,
    }
}

fn is_class_name(name: &str) -> bool {
    let is_part = |part: &str| {
        let mut letters = part.chars();
        let is_letter = |letter: char| letter.is_ascii_alphabetic() || letter == '_' || !letter.is_ascii();
        letters.next().is_some_and(is_letter)
            && letters.all(|letter| is_letter(letter) || letter.is_ascii_digit())
    };
    name.split('\\').all(is_part)
}
