//! The code blocks of the documents.

use std::path::Path;

use anyhow::Context as _;

/// A block of code of a page.
pub struct Fence {
    pub language: String,
    /// The file that the line before the block names as its place, as in "what it does, `Chat.php`:".
    pub file: Option<String>,
    pub code: String,
}

/// Gives all code blocks of a page in their order, without the indentation of the fence.
pub fn fences(page: &str) -> Vec<Fence> {
    let mut found = Vec::new();
    let mut before = "";
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else {
            if !line.trim().is_empty() {
                before = line;
            }
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let mut code = String::new();
        for line in lines.by_ref().take_while(|line| !line.trim_start().starts_with("```")) {
            code.push_str(line.get(indent..).unwrap_or_default());
            code.push('\n');
        }
        // The Chinese pages end the line before a block with a colon of their own.
        let before_colon =
            before.trim_end().strip_suffix([':', '：']).and_then(|text| text.strip_suffix('`'));
        let last = before_colon.and_then(|text| text.rsplit('`').next());
        let file =
            last.filter(|name| name.contains('.') && !name.contains(' ') && !name.starts_with(['/', '.']));
        found.push(Fence { language: language.trim().to_owned(), file: file.map(str::to_owned), code });
        before = "";
    }
    found
}

/// Gives the code that a page shows for a file.
pub fn file_of(page: &str, file: &str) -> anyhow::Result<String> {
    fences(page)
        .into_iter()
        .find(|fence| fence.file.as_deref() == Some(file))
        .map(|fence| fence.code)
        .with_context(|| format!("the page shows no file {file}"))
}

/// Writes all files that a page shows into a folder.
pub fn lay_out(page: &str, folder: &Path) -> anyhow::Result<()> {
    for fence in fences(page) {
        if let Some(path) = fence.file.map(|file| folder.join(file)) {
            std::fs::create_dir_all(path.parent().unwrap_or(folder))?;
            std::fs::write(path, fence.code)?;
        }
    }
    Ok(())
}
