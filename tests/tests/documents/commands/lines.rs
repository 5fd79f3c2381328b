//! The commands of a page.

/// A line of a page, as a reader would paste it, and the output that the page shows for it.
pub(super) struct Line {
    pub(super) text: String,
    pub(super) prints: Option<String>,
}

/// Gives the command lines of a block. A line goes on after a backslash and within quotes; lines that begin with a brace are
/// output.
pub(super) fn lines(code: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut open = String::new();
    for part in code.lines() {
        if open.is_empty() && part.starts_with('{') {
            if let Some(line) = lines.last_mut() {
                line.prints = Some(part.to_owned());
            }
            continue;
        }
        open.push_str(part.strip_suffix('\\').unwrap_or(part));
        open.push(' ');
        if !part.ends_with('\\') && open.matches('\'').count().is_multiple_of(2) {
            let text = open.split(" # ").next().unwrap_or_default().trim().to_owned();
            if !text.is_empty() && !text.starts_with('#') {
                lines.push(Line { text, prints: None });
            }
            open.clear();
        }
    }
    lines
}

/// Gives the commands within the text, such as `make test`. Only code that begins with one of these words is taken for a
/// command; other code is mostly names.
pub(super) fn inline(page: &str) -> Vec<Line> {
    let prose = page.split("```").step_by(2);
    let spans = prose.flat_map(|text| text.split('`').skip(1).step_by(2));
    let known = ["make ", "scripts/", "gateway-server ", "php ", "REWRITE=1 "];
    spans
        .filter(|span| known.iter().any(|start| span.starts_with(start)) && !span.ends_with('/'))
        .map(|span| Line {
            // The reader has to fill this in, so a number takes its place.
            text: span.replace("PORT", "1234").replace("端口", "1234").replace('\n', " "),
            prints: None,
        })
        .collect()
}

/// Splits a simple command into its words, without quotes.
pub(super) fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.chars() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            (' ', None) => words.push(String::new()),
            _ => words.last_mut().into_iter().for_each(|word| word.push(c)),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}
