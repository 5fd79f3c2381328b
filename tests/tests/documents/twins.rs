//! Checks that each document is there in English and in Chinese, and that a Chinese one leads to Chinese ones.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway_tests::root;

use super::pages::{files, is_installed, pages};

/// How the names of Chinese documents end.
const CHINESE: &str = ".zh-CN.md";

/// Gives the levels of a page's headings, and its code blocks without comments. Of a block that is not code but a diagram,
/// only the first line is compared.
fn skeleton(page: &Path) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
    let mut skeleton = Vec::new();
    let mut language: Option<&str> = None;
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), language) {
            (Some(opened), None) => {
                language = Some(opened);
                skeleton.push(line.to_owned());
            }
            (Some(_), Some(_)) => language = None,
            (None, None) if line.starts_with('#') => {
                skeleton.push(line.chars().take_while(|c| *c == '#').collect());
            }
            (None, None | Some("")) => {}
            (None, Some(_)) => {
                let code = ["# ", "// ", "<!--"].iter().filter_map(|comment| line.find(comment)).min();
                skeleton.push(line[..code.unwrap_or(line.len())].trim_end().to_owned());
            }
        }
    }
    Ok(skeleton)
}

#[test]
fn each_document_is_there_in_chinese_with_the_same_headings_and_commands() -> anyhow::Result<()> {
    let mut pages = files(&root().join("docs"), ".md")?;
    pages.extend(["README.md", "UPGRADE.md", "examples/README.md"].map(|page| root().join(page)));
    // The browser client's page is for npm, and leads to its documentation.
    let of_php = files(&root().join("php"), "README.md")?.into_iter();
    pages.extend(of_php.filter(|page| !page.starts_with(root().join("php/client")) && !is_installed(page)));
    let mut compared = 0;
    for page in pages {
        let name = page.file_name().context("a page has a name")?.to_string_lossy().into_owned();
        if name.ends_with(CHINESE) {
            continue;
        }
        let other = name.replace(".md", CHINESE);
        let twin = page.with_file_name(&other);
        for (page, link) in [(&page, &other), (&twin, &name)] {
            let text = std::fs::read_to_string(page).with_context(|| page.display().to_string())?;
            assert!(text.contains(&format!("]({link})")), "{} does not lead to {link}", page.display());
        }
        assert_eq!(skeleton(&page)?, skeleton(&twin)?, "{}", page.display());
        compared += 1;
    }
    assert!(compared >= 20, "only {compared} were compared");
    Ok(())
}

/// Gives the links of a Chinese document that lead to an English one which is there in Chinese too. Each may lead to its own twin.
fn english_links(page: &Path, text: &str) -> Vec<String> {
    let folder = page.parent().unwrap_or(page);
    let chinese = |file: &str| folder.join(file.replace(".md", CHINESE));
    let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let english = links.filter(|link| {
        let file = link.split('#').next().unwrap_or_default();
        let is_english = file.ends_with(".md") && !file.ends_with(CHINESE) && !file.contains("://");
        is_english && chinese(file) != page && chinese(file).exists()
    });
    english.map(str::to_owned).collect()
}

#[test]
fn chinese_documents_lead_to_chinese_ones() -> anyhow::Result<()> {
    let mut pages: Vec<PathBuf> = pages()?;
    pages.retain(|page| page.to_string_lossy().ends_with(CHINESE));
    assert!(pages.len() > 40, "only {} pages were found", pages.len());
    let mut wrong = Vec::new();
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        wrong.extend(english_links(&page, &text).iter().map(|link| format!("{}: {link}", page.display())));
    }
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}
