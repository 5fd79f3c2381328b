//! What the documents say of the code is true.

use std::path::{Path, PathBuf};

use gateway_tests::root;

/// All files below `folder` whose names end so.
fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, ending)?);
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The texts in quotes of `code`.
fn texts(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').skip(1).step_by(2)
}

/// Up to where something is filled in.
fn constant(text: &str) -> &str {
    let end = text.find(['{', '(']).unwrap_or(text.len());
    text[..end].trim_end_matches([' ', ':', ',', '\\'])
}

#[test]
fn every_line_of_the_log_is_explained() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md"))?;
    let mut lines = Vec::new();
    for file in files(&root().join("gateway-server/src"), ".rs")? {
        let code = std::fs::read_to_string(&file)?;
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        for macro_name in ["info!(", "warn!(", "error!("] {
            for call in code.split(macro_name).skip(1) {
                let call = call.split(");").next().unwrap_or_default();
                lines.extend(
                    texts(call).filter(|text| text.contains(' ')).map(|text| constant(text).to_owned()),
                );
            }
        }
    }
    let offences = std::fs::read_to_string(root().join("gateway-server/src/ops/offence.rs"))?;
    let offences = offences.split("fn name(").nth(1).unwrap_or_default().split("struct Throttle").next();
    lines.extend(texts(offences.unwrap_or_default()).map(str::to_owned));
    // What is printed when it is ready is no complaint, and a continued text has its words on the next line.
    lines.retain(|line| line.contains([' ', '-']) && !line.starts_with("gateway-server") && line.len() > 4);
    assert!(lines.len() > 45, "only {} were found", lines.len());
    let missing: Vec<_> = lines.iter().filter(|line| !page.contains(line.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
    Ok(())
}

/// As a heading's anchor.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[test]
fn links_lead_somewhere() -> anyhow::Result<()> {
    let mut pages = files(&root().join("docs"), ".md")?;
    pages.extend(
        files(&root().join("php"), ".md")?
            .into_iter()
            .filter(|page| !page.to_string_lossy().contains("vendor")),
    );
    pages.extend(
        ["README.md", "README.zh-CN.md", "CHANGELOG.md", "SECURITY.md"].map(|page| root().join(page)),
    );
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.contains(' ') || link.is_empty() {
                continue;
            }
            links += 1;
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target =
                if file.is_empty() { page.clone() } else { page.parent().unwrap_or(&page).join(file) };
            let has_anchor = || {
                let text = std::fs::read_to_string(&target).unwrap_or_default();
                text.lines()
                    .any(|line| line.starts_with('#') && slug(line.trim_start_matches('#').trim()) == anchor)
            };
            if !target.exists() || !anchor.is_empty() && !has_anchor() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links > 100, "only {links} were found");
    assert_eq!(broken, Vec::<String>::new());
    Ok(())
}
