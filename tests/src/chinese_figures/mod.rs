//! The figures and the chart of docs/performance.zh-CN.md, which are made of the English page's, so that both are the same.

mod translate;
mod words;

use std::path::PathBuf;

use anyhow::Context as _;

use crate::root;

/// What the benchmark writes of docs/performance.md, in Chinese.
pub struct ChineseFigures {
    /// The page: its parts that are written by hand as they are there, and the figures.
    pub page: String,
    pub chart: String,
}

/// Where the Chinese page and its chart are.
fn files() -> [PathBuf; 2] {
    ["docs/performance.zh-CN.md", "docs/performance.zh-CN.svg"].map(|file| root().join(file))
}

impl ChineseFigures {
    /// Makes them of the English page and its chart.
    pub fn make() -> anyhow::Result<Self> {
        let read = |file: &str| std::fs::read_to_string(root().join(file)).with_context(|| file.to_owned());
        let english = read("docs/performance.md")?;
        let page = with_figures(&english, read("docs/performance.zh-CN.md")?)?;
        Ok(Self { page, chart: translate::chart(&read("docs/performance.svg")?)? })
    }

    /// Gives what is there, in the same form.
    pub fn there() -> anyhow::Result<Self> {
        let [page, chart] =
            files().map(|file| std::fs::read_to_string(&file).with_context(|| file.display().to_string()));
        Ok(Self { page: page?, chart: chart.unwrap_or_default() })
    }

    pub fn write(&self) -> anyhow::Result<()> {
        let [page, chart] = files();
        std::fs::write(page, &self.page)?;
        Ok(std::fs::write(chart, &self.chart)?)
    }

    /// True if there is a translation of these words of the benchmark, in which `{}` stands for each number.
    pub fn knows(english: &str) -> bool {
        translate::knows(english)
    }
}

/// Gives a page's parts that the benchmark writes, each with the line above it and the one below it.
pub fn written_parts(page: &str) -> Vec<[&str; 3]> {
    let edges =
        page.lines().filter(|line| line.starts_with("<!-- What `") && line.ends_with(" begins here -->"));
    let part = |begin: &str| -> Option<[usize; 4]> {
        let start = page.find(begin)?;
        let inside = start + begin.len();
        let end = begin.replace(" begins here", " ends here");
        let length = page[inside..].find(&end)?;
        Some([start, inside, inside + length, inside + length + end.len()])
    };
    let parts = edges.filter_map(part);
    parts
        .map(|[start, inside, end, after]| [&page[start..inside], &page[inside..end], &page[end..after]])
        .collect()
}

/// Gives the Chinese page with the figures of the English one.
fn with_figures(english: &str, mut chinese: String) -> anyhow::Result<String> {
    let parts = written_parts(english);
    anyhow::ensure!(!parts.is_empty(), "docs/performance.md has no line that says where figures begin");
    for [begin, inside, end] in parts {
        let here = || format!("docs/performance.zh-CN.md has no {begin}");
        let (before, rest) = chinese.split_once(begin).with_context(here)?;
        let (_, after) = rest.split_once(end).with_context(here)?;
        chinese = format!("{before}{begin}{}{end}{after}", translate::part(inside)?);
    }
    Ok(chinese)
}
