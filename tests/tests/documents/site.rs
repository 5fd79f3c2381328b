//! The documents as a site, which `make docs` builds: every document has its place, in both languages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_tests::{root, skip};

use crate::pages::pages;

/// The documents that are shown in English on the Chinese half too.
const ENGLISH_ONLY: [&str; 5] =
    ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "php/client/README.md"];

/// Gives the lines below a key of a file in YAML, up to the next line that is indented no further than the key.
fn below<'a>(text: &'a str, key: &str) -> anyhow::Result<Vec<&'a str>> {
    let line = text.lines().find(|line| line.trim() == format!("{key}:"));
    let line = line.with_context(|| format!("there is no {key}"))?;
    let indent = |line: &str| line.len() - line.trim_start().len();
    let rest = text.lines().skip_while(|other| *other != line).skip(1);
    Ok(rest.take_while(|other| indent(other) > indent(line)).map(str::trim).collect())
}

#[test]
fn every_document_has_its_place_on_the_site_in_both_languages() -> anyhow::Result<()> {
    let english = std::fs::read_to_string(root().join("docs/site/mkdocs.yml"))?;
    let chinese = std::fs::read_to_string(root().join("docs/site/mkdocs.zh-CN.yml"))?;
    let (mut places, mut sections) = (Vec::new(), BTreeSet::new());
    for entry in below(&english, "nav")? {
        let entry = entry.strip_prefix("- ").with_context(|| entry.to_owned())?;
        match entry.split_once(':') {
            Some((section, page)) => {
                sections.insert(section);
                places.extend(Some(page.trim()).filter(|page| !page.is_empty()));
            }
            None => places.push(entry),
        }
    }
    let labels: BTreeSet<_> =
        below(&chinese, "labels")?.iter().filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(
        sections.difference(&labels).collect::<Vec<_>>(),
        Vec::<&&str>::new(),
        "no label in docs/site/mkdocs.zh-CN.yml"
    );

    let mut documents = BTreeSet::new();
    for page in pages()? {
        let page = page.strip_prefix(root())?.to_string_lossy().into_owned();
        if !page.ends_with(".zh-CN.md") {
            let has_twin = root().join(page.replace(".md", ".zh-CN.md")).exists();
            assert_ne!(has_twin, ENGLISH_ONLY.contains(&&*page), "{page}");
            documents.insert(page);
        }
    }
    let once: BTreeSet<_> = places.iter().map(|page| (*page).to_owned()).collect();
    assert_eq!(once.len(), places.len(), "a page stands twice in {places:?}");
    assert_eq!(once, documents, "`nav` of docs/site/mkdocs.yml, and the documents there are");
    Ok(())
}

/// Gives the paths of all pages below a folder, without those of the Chinese half.
fn built(folder: &Path, below: &Path) -> anyhow::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(below)? {
        let path = entry?.path();
        let name = path.strip_prefix(folder)?.to_string_lossy().into_owned();
        if path.is_dir() && name != "zh-CN" {
            found.extend(built(folder, &path)?);
        } else if name.ends_with(".html") {
            found.insert(name);
        }
    }
    Ok(found)
}

#[test]
fn the_site_builds_without_a_broken_link_and_switches_between_languages_on_each_page() -> anyhow::Result<()> {
    let site = tempfile::tempdir()?;
    let output = Command::new(root().join("scripts/docs-site")).arg(site.path()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(77) {
        skip(
            "the_site_builds_without_a_broken_link_and_switches_between_languages_on_each_page",
            said.lines().last().unwrap_or_default(),
        );
        return Ok(());
    }
    ensure!(output.status.success() && said.is_empty(), "{said}");

    let chinese = site.path().join("zh-CN");
    let pages = built(site.path(), site.path())?;
    assert_eq!(pages, built(&chinese, &chinese)?);
    assert!(pages.len() > 50, "only {} pages were built", pages.len());
    for page in pages.iter().filter(|page| *page != "404.html") {
        let up = "../".repeat(page.matches('/').count());
        for (folder, language, link) in
            [(site.path(), "zh-CN", format!("{up}zh-CN/{page}")), (&*chinese, "en", format!("{up}../{page}"))]
        {
            let text = std::fs::read_to_string(folder.join(page))?;
            let switch = format!("<a href=\"{link}\" hreflang=\"{language}\" class=\"md-select__link\"");
            ensure!(text.contains(&switch), "{page} leads to no {language} at {link}");
            // Scripts, pictures and styles come from the site itself.
            let foreign = text.contains("src=\"http") || text.contains("rel=\"stylesheet\" href=\"http");
            ensure!(!foreign, "{page} takes something from another server");
        }
    }
    for (folder, word) in [(site.path(), "websocket"), (&*chinese, "网关")] {
        let index = std::fs::read(folder.join("search/search_index.json"))?;
        let index: serde_json::Value = serde_json::from_slice(&index)?;
        ensure!(index.to_string().contains(word), "the search index of {} has no {word}", folder.display());
    }
    Ok(())
}
