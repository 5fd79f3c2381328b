//! Checks that docs/performance.md is the same in Chinese: what the benchmark writes, and the figures of the text around it.
//!
//! `REWRITE=1 cargo test -p gateway-tests --test documents performance` writes the benchmark's figures into the Chinese page.

use std::collections::BTreeMap;

use anyhow::Context as _;
use gateway_tests::{ChineseFigures, root, written_parts};

#[test]
fn the_figures_of_the_benchmark_are_the_same_in_chinese() -> anyhow::Result<()> {
    let made = ChineseFigures::make()?;
    if std::env::var_os("REWRITE").is_some() {
        made.write()?;
    }
    let there = ChineseFigures::there()?;
    let advice = "is out of date: REWRITE=1 cargo test -p gateway-tests --test documents performance";
    assert!(there.page == made.page, "docs/performance.zh-CN.md {advice}");
    assert!(there.chart == made.chart, "docs/performance.zh-CN.svg {advice}");
    Ok(())
}

/// Where the benchmark's code in `tests/benches/load/` names what stands on the page: the file, and how the piece begins and ends.
const NAMES: [(&str, &str, &str); 13] = [
    ("session.rs", "fn label(self, clients", "\n    }\n"),
    ("session.rs", "fn label(&self, part", "\n    }\n"),
    ("session.rs", "fn beside(&self)", "\n    }\n"),
    ("churn.rs", "fn label(self)", "\n    }\n"),
    ("recovery.rs", "fn label(self)", "\n    }\n"),
    ("run.rs", "fn name(&self)", "\n    }\n"),
    ("run.rs", "async fn crowd(", "\n}\n"),
    ("contender.rs", "fn name(self)", "\n    }\n"),
    ("report.rs", "const COLUMNS", "];"),
    ("report.rs", "fn first_column(", "\n}\n"),
    ("report.rs", "if cores.are_apart {", "},"),
    ("pause.rs", "const COLUMNS", "];"),
    ("wave.rs", "const COLUMNS", "];"),
];

/// Gives a text of the code with `{}` for each place that something is filled into, without those at its end.
fn template(text: &str) -> String {
    let mut pieces = text.split('{');
    let mut template = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        template += "{}";
        template += piece.split_once('}').map_or("", |(_, rest)| rest);
    }
    template.trim_end_matches("{}").to_owned()
}

#[test]
fn all_that_the_benchmark_names_has_a_translation() -> anyhow::Result<()> {
    let (mut names, mut missing) = (0, Vec::new());
    for (file, begin, end) in NAMES {
        let code = std::fs::read_to_string(root().join("tests/benches/load").join(file))?;
        let (_, piece) = code.split_once(begin).with_context(|| format!("{file} has no {begin}"))?;
        let (piece, _) = piece.split_once(end).with_context(|| format!("{file}: where {begin} ends"))?;
        let texts = piece.split('"').skip(1).step_by(2).map(template);
        for text in texts.filter(|text| text.contains(|letter: char| letter.is_alphabetic())) {
            names += 1;
            if !ChineseFigures::knows(&text) {
                missing.push(format!("{file}: {text}"));
            }
        }
    }
    assert!(names > 70, "only {names} were found");
    assert_eq!(missing, Vec::<String>::new(), "no translation in tests/src/chinese_figures/words.rs");
    Ok(())
}

/// Gives how often each number stands in a text. What links lead to does not count.
fn numbers(text: &str) -> BTreeMap<&str, usize> {
    let shown = text.split("](").enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece.split_once(')').map_or("", |(_, rest)| rest),
    });
    let words = shown.flat_map(|piece| {
        piece.split(|letter: char| !letter.is_ascii_digit() && letter != ',' && letter != '.')
    });
    let mut counts = BTreeMap::new();
    for number in words.map(|word| word.trim_matches(['.', ','])).filter(|number| !number.is_empty()) {
        *counts.entry(number).or_default() += 1;
    }
    counts
}

/// Gives what is written by hand, section by section.
fn sections(page: &str) -> Vec<String> {
    let by_hand =
        written_parts(page).iter().fold(page.to_owned(), |page, [_, part, _]| page.replace(part, ""));
    by_hand.split("\n## ").map(str::to_owned).collect()
}

#[test]
fn the_text_has_the_same_figures_in_chinese() -> anyhow::Result<()> {
    let [english, chinese] = ["docs/performance.md", "docs/performance.zh-CN.md"]
        .map(|page| std::fs::read_to_string(root().join(page)));
    let (english, chinese) = (sections(&english?), sections(&chinese?));
    assert!(english.len() > 10, "only {} sections were found", english.len());
    assert_eq!(english.len(), chinese.len());
    for (english, chinese) in english.iter().zip(&chinese) {
        let heading = english.lines().next().unwrap_or_default();
        assert_eq!(numbers(chinese), numbers(english), "in the section {heading:?}, on the left in Chinese");
    }
    Ok(())
}
