//! The table of figures, for the person who ran the benchmark and for docs/performance.md and its Chinese twin.

use anyhow::Context as _;
use gateway_tests::{ChineseFigures, root};

use crate::chart;
use crate::contender::Contender;
use crate::cores::Cores;
use crate::results::{Results, Row, Unit, thousands};

const BEGIN: &str = "<!-- What `make bench` writes begins here -->";
const END: &str = "<!-- What `make bench` writes ends here -->";

const COLUMNS: [&str; 17] = [
    "",
    "per second",
    "÷ plain loop",
    "ours ÷ this",
    "CPU s per million",
    "÷ plain loop",
    "÷ without gateway.2",
    "÷ without a store",
    "÷ without coalesce",
    "a second a core",
    "segments each",
    "server busy",
    "generator busy",
    "p50 ms",
    "p99 ms",
    "p99.9 ms",
    "pings a minute",
];

pub(crate) fn print(results: &Results) {
    for row in &results.rows {
        let mut lines = vec![COLUMNS.map(str::to_owned)];
        lines[0][1] = first_column(row.unit).to_owned();
        lines.extend(row.contenders().map(|contender| cells(row, contender)));
        println!("\n{}", row.label);
        let used = used_columns(row);
        for line in lines {
            print!("{:<28}", line[0]);
            for column in &used[1..] {
                print!("{:>1$}", line[*column], COLUMNS[*column].chars().count() + 3);
            }
            println!();
        }
    }
}

/// Rewrites the part of the page that is not written by hand, and its chart.
pub(crate) fn write(results: &Results, cores: Cores, notes: &[String]) -> anyhow::Result<()> {
    write_part((BEGIN, END), &markdown(results, cores, notes)?)?;
    std::fs::write(root().join("docs/performance.svg"), chart::draw(results))?;
    write_chinese()
}

/// Rewrites the page's table that this word stands for.
pub(crate) fn write_table(word: &str, table: &str, cores: Cores) -> anyhow::Result<()> {
    let command = format!("make bench ARGS={word}");
    let [begin, end] = ["begins", "ends"].map(|edge| format!("<!-- What `{command}` writes {edge} here -->"));
    write_part((&begin, &end), &format!("{}\n{table}", made_by(&command, cores)?))?;
    write_chinese()
}

/// Writes the figures of the English page into the Chinese one.
fn write_chinese() -> anyhow::Result<()> {
    let advice = "`REWRITE=1 cargo test -p gateway-tests --test documents performance` writes the Chinese page once that is mended";
    ChineseFigures::make().and_then(|figures| figures.write()).context(advice)
}

/// Rewrites what stands in the page between these lines.
fn write_part((begin, end): (&str, &str), part: &str) -> anyhow::Result<()> {
    let page = root().join("docs/performance.md");
    let text = std::fs::read_to_string(&page).context("docs/performance.md")?;
    let (before, rest) = text.split_once(begin).context("docs/performance.md: where the figures begin")?;
    let (_, after) = rest.split_once(end).context("docs/performance.md: where the figures end")?;
    Ok(std::fs::write(page, format!("{before}{begin}\n\n{part}\n{end}{after}"))?)
}

/// The line that says on which machine figures were made, and when.
fn made_by(command: &str, cores: Cores) -> anyhow::Result<String> {
    Ok(format!(
        "`{command}`, {}, Linux {}, {}; {}.\n",
        today()?,
        // Behind the version stands the name of the one who built the kernel, which is left out.
        std::fs::read_to_string("/proc/sys/kernel/osrelease")?.split('-').next().unwrap_or_default().trim(),
        cpu()?,
        if cores.are_apart {
            "the server on one core, the generator on another"
        } else {
            "server and generator on the same core"
        },
    ))
}

fn markdown(results: &Results, cores: Cores, notes: &[String]) -> anyhow::Result<String> {
    let mut out = made_by("make bench", cores)?;
    for note in notes {
        out += &format!("\n{note}\n");
    }
    out += "\n![Rates as ratios to the plain loop](performance.svg)\n";
    for row in &results.rows {
        let used = used_columns(row);
        let head = |column: &usize| match (*column, row.unit) {
            (0, _) => capitalized(&row.label),
            (1, unit) => first_column(unit).to_owned(),
            (column, _) => COLUMNS[column].to_owned(),
        };
        let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
        out += "\n";
        out += &line(used.iter().map(head).collect());
        out +=
            &line(used.iter().map(|column| if *column == 0 { "---" } else { "---:" }.to_owned()).collect());
        for contender in row.contenders() {
            let cells = cells(row, contender);
            out += &line(used.iter().map(|column| cells[*column].clone()).collect());
        }
    }
    Ok(out)
}

/// The columns in which a row has anything.
fn used_columns(row: &Row) -> Vec<usize> {
    let is_used = |column: &usize| {
        *column == 0 || row.contenders().any(|contender| !cells(row, contender)[*column].is_empty())
    };
    (0..COLUMNS.len()).filter(is_used).collect()
}

/// The name of the column of a row's figures.
fn first_column(unit: Unit) -> &'static str {
    match unit {
        Unit::Rate => COLUMNS[1],
        Unit::Bytes => "bytes each",
        Unit::Clients => "clients",
        Unit::IdleTime => "CPU µs a client and second",
    }
}

fn cells(row: &Row, contender: Contender) -> [String; COLUMNS.len()] {
    let figures = row.figures(contender);
    let ratio =
        |one, other, of| row.ratio(one, other, of).map_or(String::new(), |ratio| format!("{ratio:.2}"));
    let to_plain = |of| {
        if contender == Contender::Plain { String::new() } else { ratio(contender, Contender::Plain, of) }
    };
    let of_this = if contender == Contender::Ours || row.unit == Unit::Clients {
        String::new()
    } else {
        ratio(Contender::Ours, contender, |figures| figures.value)
    };
    let latency = |of: fn(&_) -> f64| {
        figures.latency.as_ref().map_or(String::new(), |latency| format!("{:.2}", of(latency) * 1e3))
    };
    let is_rate = row.unit == Unit::Rate;
    let rate_only = |text: String| if is_rate { text } else { String::new() };
    let beside = |other| {
        let is_other = contender == other && is_rate;
        if is_other { ratio(contender, Contender::Ours, |figures| figures.cpu) } else { String::new() }
    };
    [
        contender.name().to_owned(),
        if row.unit == Unit::IdleTime { format!("{:.2}", figures.value) } else { thousands(figures.value) },
        to_plain(|figures| figures.value),
        of_this,
        rate_only(format!("{:.2}", figures.cpu)),
        rate_only(to_plain(|figures| figures.cpu)),
        beside(Contender::Gateway2),
        beside(Contender::Store),
        beside(Contender::Coalesce),
        figures.segments.map_or(String::new(), |_| thousands(1e6 / figures.cpu)),
        figures.segments.map_or(String::new(), |segments| format!("{segments:.2}")),
        rate_only(format!("{:.0} %", figures.server_load * 100.0)),
        rate_only(format!("{:.0} %", figures.generator_load * 100.0)),
        latency(|latency: &crate::latency::Latency| latency.p50),
        latency(|latency: &crate::latency::Latency| latency.p99),
        latency(|latency: &crate::latency::Latency| latency.p999),
        figures.pings.map_or(String::new(), |pings| format!("{pings:.1}")),
    ]
}

fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

fn cpu() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/cpuinfo")?;
    let model =
        text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(": an unnamed processor");
    Ok(model.trim_start_matches(['\t', ' ', ':']).to_owned())
}

fn today() -> anyhow::Result<String> {
    let output = std::process::Command::new("date").arg("+%Y-%m-%d").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}
