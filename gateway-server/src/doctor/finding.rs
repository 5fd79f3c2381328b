//! What a check has found, and what is to be done about it.

use serde::Serialize;

/// The result of one check: a line for people, an object for machines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The thing that was looked at, in a word.
    pub(super) check: &'static str,
    pub(super) result: Verdict,
    pub(super) found: String,
    /// The advice for whoever mends it, or `None` if nothing is to be done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    Ok,
    /// The server works as it is; whoever runs it may want to know, or to change it.
    Note,
    /// Something does not work, or is open to others.
    Mend,
    /// The check was not possible or has no object.
    Skipped,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Mend => "mend",
            Self::Skipped => "skipped",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self { check, result: Verdict::Ok, found: found.into(), advice: None }
    }

    pub(super) fn note(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, result: Verdict::Note, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn mend(check: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { check, result: Verdict::Mend, found: found.into(), advice: Some(advice.into()) }
    }

    pub(super) fn skipped(check: &'static str, why: impl Into<String>) -> Self {
        Self { check, result: Verdict::Skipped, found: why.into(), advice: None }
    }

    /// The finding as one line.
    pub(super) fn line(&self) -> String {
        let found = self.found.replace('\n', "; ");
        let mut line = format!("{:<8} {:<12} {found}", self.result.word(), self.check);
        if let Some(advice) = &self.advice {
            line += &format!(". To do: {advice}");
        }
        line + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line_and_one_object() {
        let finding = Finding::mend("ports", "8282 is taken\nby php", "stop it");
        assert_eq!(finding.line(), "mend     ports        8282 is taken; by php. To do: stop it\n");
        assert_eq!(Finding::ok("clock", "right").line(), "ok       clock        right\n");
        let object = serde_json::to_value(Finding::skipped("nats", "there is none")).unwrap();
        assert_eq!(
            object,
            serde_json::json!({"check": "nats", "result": "skipped", "found": "there is none"})
        );
    }
}
