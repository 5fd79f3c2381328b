//! Translates what the benchmark writes: tables, the lines above them, and the chart's words.

use anyhow::Context as _;

use super::words::{CHART, CIRCUMSTANCES, COLUMNS, ENDINGS, SCENARIOS, SERVERS, Translation};

/// True if there is a translation of these words, with `{}` for each number, or of words that they are a piece of.
pub(super) fn knows(english: &str) -> bool {
    let mut all = [SCENARIOS, ENDINGS, COLUMNS, SERVERS, CIRCUMSTANCES, CHART].into_iter().flatten();
    all.any(|(known, _)| known.contains(english)) || scenario(&english.replace("{}", "1")).is_some()
}

/// Gives a part of the page that the benchmark writes, paragraph by paragraph.
pub(super) fn part(english: &str) -> anyhow::Result<String> {
    let paragraphs = english.split("\n\n").map(paragraph);
    Ok(paragraphs.collect::<anyhow::Result<Vec<_>>>()?.join("\n\n"))
}

/// Gives the chart: its texts stand between tags, each on a line of its own.
pub(super) fn chart(english: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    for line in english.lines() {
        let texts = [("<text ", "</text>"), ("<title>", "</title>")];
        let Some((_, end)) = texts.iter().find(|(tag, end)| line.starts_with(tag) && line.ends_with(end))
        else {
            out += &format!("{line}\n");
            continue;
        };
        let (tag, text) = line.trim_end_matches(end).split_once('>').context("a tag without an end")?;
        let is_figure = text.chars().all(|letter| letter.is_ascii_digit() || "/.,".contains(letter));
        let chinese = if is_figure {
            text.to_owned()
        } else {
            scenario(text).or_else(|| word(&[SERVERS, CHART], text)).with_context(|| missing(text))?
        };
        out += &format!("{tag}>{chinese}{end}\n");
    }
    Ok(out)
}

/// Gives a table, a picture, or a sentence, which may stand on several lines.
fn paragraph(english: &str) -> anyhow::Result<String> {
    let text = english.trim();
    if text.is_empty() {
        return Ok(english.to_owned());
    }
    if text.starts_with('|') {
        return table(english);
    }
    let text = text.lines().collect::<Vec<_>>().join(" ");
    let chinese = picture(&text).or_else(|| not_measured(&text)).or_else(|| made_by(&text));
    let chinese = chinese.with_context(|| missing(&text))?;
    Ok(english.replace(english.trim(), &chinese))
}

fn table(english: &str) -> anyhow::Result<String> {
    let mut out = String::new();
    for (number, line) in english.lines().enumerate() {
        let mut cells: Vec<_> =
            line.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
        // Below the title and the names of columns stands the line between head and rows.
        let words: &mut [String] = match number {
            0 => &mut cells[..],
            1 => &mut [],
            _ => &mut cells[..1],
        };
        for (column, cell) in words.iter_mut().enumerate() {
            let chinese = match (number, column) {
                (0, 0) => scenario(cell).or_else(|| word(&[COLUMNS], cell)),
                (0, _) => word(&[COLUMNS], cell),
                _ => word(&[SERVERS], cell).or_else(|| is_number(cell).then(|| cell.clone())),
            };
            *cell = chinese.with_context(|| missing(cell))?;
        }
        out += &if number == 1 { format!("{line}\n") } else { format!("| {} |\n", cells.join(" | ")) };
    }
    // The last line of a paragraph ends as it did.
    Ok(if english.ends_with('\n') { out } else { out.trim_end().to_owned() })
}

/// `![what it shows](file)`
fn picture(text: &str) -> Option<String> {
    let (shows, file) = text.strip_prefix("![")?.strip_suffix(')')?.split_once("](")?;
    Some(format!("![{}]({})", word(&[CHART], shows)?, word(&[CHART], file)?))
}

/// `Not measured: server.` or `Not measured: server, scenario.` A server's name may have a comma in it.
fn not_measured(text: &str) -> Option<String> {
    let what = text.strip_prefix("Not measured: ")?.strip_suffix('.')?;
    if let Some(server) = word(&[SERVERS], what) {
        return Some(format!("没有测量：{server}。"));
    }
    let of_a_scenario = |(english, chinese): &Translation| {
        Some(format!("没有测量：{chinese}，{}。", scenario(what.strip_prefix(english)?.strip_prefix(", ")?)?))
    };
    SERVERS.iter().find_map(of_a_scenario)
}

/// The command, the day, the kernel and the processor, and behind these how the figures were made.
fn made_by(text: &str) -> Option<String> {
    let mut pieces = text.strip_suffix('.')?.split("; ");
    let machine = pieces.next()?.splitn(4, ", ").collect::<Vec<_>>().join("，");
    let circumstances: Option<Vec<_>> = pieces.map(|piece| word(&[CIRCUMSTANCES], piece)).collect();
    let circumstances = circumstances.filter(|known| !known.is_empty())?;
    Some(format!("{machine}；{}。", circumstances.join("；")))
}

/// Gives the name of a scenario, which may begin with a capital letter.
fn scenario(english: &str) -> Option<String> {
    let with_ending =
        |(ending, chinese): &Translation| Some(scenario(english.strip_suffix(ending)?)? + chinese);
    let mut letters = english.chars();
    let first = letters.next()?.to_ascii_lowercase();
    let english_name = format!("{first}{}", letters.as_str());
    let by_itself =
        || {
            SCENARIOS.iter().find_map(|(template, chinese)| {
                let numbers = numbers(template, &english_name)?;
                let places = numbers.iter().enumerate();
                Some(places.fold((*chinese).to_owned(), |text, (at, number)| {
                    text.replace(&format!("{{{at}}}"), number)
                }))
            })
        };
    by_itself().or_else(|| ENDINGS.iter().find_map(with_ending))
}

/// Gives the numbers that stand in the template's places, if the text is what the template says.
fn numbers<'a>(template: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = template.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut found = Vec::new();
    for piece in pieces {
        let end = rest.find(|letter: char| !letter.is_ascii_digit() && letter != ',').unwrap_or(rest.len());
        // A comma behind the number is the template's.
        let number = rest[..end].trim_end_matches(',');
        found.push(Some(number).filter(|number| !number.is_empty())?);
        rest = rest[number.len()..].strip_prefix(piece)?;
    }
    rest.is_empty().then_some(found)
}

fn word(lists: &[&[Translation]], english: &str) -> Option<String> {
    let mut all = lists.iter().copied().flatten();
    all.find(|(known, _)| *known == english).map(|(_, chinese)| (*chinese).to_owned())
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_ascii_digit() || letter == ',')
}

fn missing(english: &str) -> String {
    format!("{english:?} has no translation in tests/src/chinese_figures/words.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenarios_have_numbers_and_endings() {
        let translated = |english| scenario(english).unwrap();
        assert_eq!(
            translated("Fan-out to 10,000, 1,024 B, 16 in flight"),
            "广播给 10,000 个，1,024 B，16 条在途"
        );
        assert_eq!(
            translated("fan-out to 1,000, 64 B, 1 in flight, TLS, all cores for all"),
            "广播给 1,000 个，64 B，1 条在途，TLS，多核"
        );
        assert_eq!(translated("Connect, shake hands, go, TLS with tickets"), "连接、握手、离开，TLS，带票据");
        assert_eq!(
            translated("Have all of 200 messages, of 1,000 clients that were cut meanwhile"),
            "1,000 个其间被切断的客户端中，收全 200 条消息的"
        );
        assert_eq!(scenario("fan-out to many, 64 B, 1 in flight"), None);
        assert_eq!(scenario("idle, 10,000 connections, upside down"), None);
    }

    #[test]
    fn a_part_keeps_its_figures_and_its_form() {
        let english = "`make bench`, 2026-11-29, Linux 6.18.44, A processor; the server on one core, the generator on another.

Not measured: GatewayWorker, event.

Not measured: nchan, 1,000 clients with a topic each, TLS.

![Rates as ratios to the plain loop](performance.svg)

| Echo, 100 clients | per second | ours ÷ this |
| --- | ---: | ---: |
| gateway-server | 391,538 |  |
| plain send loop | 398,210 | 0.99 |
";
        let chinese =
            "`make bench`，2026-11-29，Linux 6.18.44，A processor；服务器用一个核，发生器用另一个核。

没有测量：GatewayWorker，event。

没有测量：nchan，1,000 个客户端，各有一个主题，TLS。

![各项速率与纯循环之比](performance.zh-CN.svg)

| 回显，100 个客户端 | 每秒 | 我们 ÷ 此行 |
| --- | ---: | ---: |
| gateway-server | 391,538 |  |
| 纯发送循环 | 398,210 | 0.99 |
";
        assert_eq!(part(english).unwrap(), chinese);
    }

    #[test]
    fn what_has_no_translation_is_named() {
        for (english, named) in [
            ("| Echo, 100 clients | per fortnight |\n| --- | ---: |\n", "per fortnight"),
            ("| Echo, 100 clients | per second |\n| --- | ---: |\n| a new server | 1 |\n", "a new server"),
            ("| Juggling, 100 clients | per second |\n| --- | ---: |\n", "Juggling, 100 clients"),
            (
                "`make bench`, 2026-11-29, Linux 6.18.44, A processor; beside a waterfall.",
                "beside a waterfall",
            ),
        ] {
            let error = part(english).unwrap_err().to_string();
            assert!(error.contains(named) && error.contains("words.rs"), "{error}");
        }
        assert!(chart("<text x=\"1\">juggling</text>\n").is_err());
    }
}
