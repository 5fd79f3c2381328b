//! The arrows between modules: each module knows only those below it, and no two files import each other.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway_tests::root;

/// The modules of the server, from the highest to the lowest. A module may use those that come later in this list.
const SERVER: [&str; 23] = [
    "main",
    "command_line",
    "doctor",
    "server",
    "handover",
    "admin",
    "lifecycle",
    "php",
    "listener",
    "service",
    "cluster",
    "events",
    "hub",
    "shard",
    "webhook",
    "inbox",
    "config",
    "protocol",
    "relay",
    "net",
    "system",
    "telemetry",
    "versioned",
];

/// The path of a module, as the names that lead to it from the crate's root.
type Module = Vec<String>;

/// Gives a file's code without its unit tests and comments.
fn code(text: &str) -> String {
    let end =
        text.find("\n#[cfg(test)]\nmod ").filter(|end| text[*end..].contains('{')).unwrap_or(text.len());
    let lines = text[..end].lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| line.to_owned() + "\n").collect()
}

/// Gives the code of each file of a crate, by its module.
fn files(source: &Path) -> anyhow::Result<BTreeMap<Module, String>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(source.join(&folder))
            .with_context(|| source.join(&folder).display().to_string())?
        {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let stem = path.with_extension("");
                let mut module: Module =
                    stem.iter().map(|part| part.to_string_lossy().into_owned()).collect();
                if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib")) {
                    module.pop();
                }
                files.insert(module, code(&std::fs::read_to_string(source.join(&path))?));
            }
        }
    }
    Ok(files)
}

/// Gives every path of a `use` tree, written out in full, with the name under which it is imported.
fn leaves(tree: &str) -> Vec<(Module, String)> {
    let tree = tree.trim();
    let Some((prefix, rest)) = tree.split_once('{') else {
        let (path, name) = tree.split_once(" as ").unwrap_or((tree, ""));
        let path: Module = path.split("::").map(|part| part.trim().to_owned()).collect();
        let name =
            if name.is_empty() { path.last().cloned().unwrap_or_default() } else { name.trim().to_owned() };
        return vec![(path, name)];
    };
    let prefix: Module =
        prefix.split("::").map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect();
    let mut found = Vec::new();
    let (mut depth, mut begin) = (0_usize, 0);
    let inner = rest.strip_suffix('}').unwrap_or(rest);
    for (at, sign) in inner.char_indices().chain([(inner.len(), ',')]) {
        match sign {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                let one = inner[begin..at].trim();
                begin = at + 1;
                for (path, name) in leaves(one).into_iter().filter(|_| !one.is_empty()) {
                    let whole = [prefix.clone(), path].concat();
                    found.push((whole, name));
                }
            }
            _ => {}
        }
    }
    found
}

/// Gives a path as seen from the crate's root; `None` for one that leads out of the crate.
fn absolute(path: &[String], module: &Module, files: &BTreeMap<Module, String>) -> Option<Module> {
    match path.first()?.as_str() {
        "crate" => Some(path[1..].to_vec()),
        "self" => Some([module.clone(), path[1..].to_vec()].concat()),
        "super" => {
            let up = path.iter().take_while(|part| *part == "super").count();
            let base = module.len().checked_sub(up)?;
            Some([module[..base].to_vec(), path[up..].to_vec()].concat())
        }
        first => {
            let child = [module.clone(), vec![first.to_owned()]].concat();
            files.contains_key(&child).then(|| [module.clone(), path.to_vec()].concat())
        }
    }
}

/// Gives the `use` declarations that begin a line, and whether they are public.
fn uses(code: &str) -> Vec<(bool, &str)> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let line = rest[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = &rest[line..at];
        rest = &rest[at + 4..];
        if before.is_empty() || before.starts_with("pub") && before.ends_with([' ', ')']) {
            let end = rest.find(';').unwrap_or(rest.len());
            found.push((before.starts_with("pub"), &rest[..end]));
            rest = &rest[end..];
        }
    }
    found
}

/// Gives which files import which. A name that a file passes on by `pub use` counts as that of its own file.
fn imports(files: &BTreeMap<Module, String>) -> BTreeMap<&Module, BTreeSet<&Module>> {
    let mut passed_on = BTreeMap::new();
    for (module, code) in files {
        for (path, name) in
            uses(code).into_iter().filter(|(is_public, _)| *is_public).flat_map(|(_, tree)| leaves(tree))
        {
            if let Some(target) = absolute(&path, module, files) {
                passed_on.insert([module.clone(), vec![name]].concat(), target);
            }
        }
    }
    let home = |mut path: Module| {
        for _ in 0..8 {
            let known = (1..=path.len()).rev().find(|length| passed_on.contains_key(&path[..*length]));
            match known.filter(|_| !files.contains_key(&path)) {
                Some(length) => path = [passed_on[&path[..length]].clone(), path[length..].to_vec()].concat(),
                None => break,
            }
        }
        (0..=path.len())
            .rev()
            .find_map(|length| files.get_key_value(&path[..length]).map(|(module, _)| module))
    };
    let mut imports = BTreeMap::new();
    for (module, code) in files {
        let private =
            uses(code).into_iter().filter(|(is_public, _)| !is_public).flat_map(|(_, tree)| leaves(tree));
        let targets = private.filter_map(|(path, _)| home(absolute(&path, module, files)?));
        imports.insert(module, targets.filter(|target| *target != module).collect());
    }
    imports
}

/// Gives the files on a circle of imports, or none.
fn circle<'f>(imports: &BTreeMap<&'f Module, BTreeSet<&'f Module>>) -> Vec<&'f Module> {
    let mut left = imports.clone();
    // A file that imports none of those that are left is on no circle, and neither is a file that none of them imports; so
    // these are taken away again and again.
    loop {
        let imported: BTreeSet<_> = left.values().flatten().copied().collect();
        let ends: Vec<_> = left
            .iter()
            .filter(|(module, targets)| {
                targets.iter().all(|target| !left.contains_key(target)) || !imported.contains(*module)
            })
            .map(|(module, _)| *module)
            .collect();
        if ends.is_empty() {
            return left.into_keys().collect();
        }
        for end in ends {
            left.remove(end);
        }
    }
}

#[test]
fn modules_of_the_server_use_those_below_them_alone() -> anyhow::Result<()> {
    let rank = |name: &str| SERVER.iter().position(|module| *module == name);
    for (module, code) in files(&root().join("gateway-server/src"))? {
        let Some(name) = module.first() else { continue };
        let own = rank(name).with_context(|| format!("{name} is no known module: give it its place here"))?;
        for (at, _) in code.match_indices("crate::") {
            let path = &code[at + "crate::".len()..];
            let used: String =
                path.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect();
            if let Some(used_rank) = rank(&used) {
                assert!(used_rank >= own, "{} uses {used}, which is above it", module.join("/"));
            }
        }
    }
    Ok(())
}

#[test]
fn no_files_import_each_other() -> anyhow::Result<()> {
    for source in ["gateway-wire/src", "gateway-server/src", "php-ext/link/src", "php-ext/src"] {
        let files = files(&root().join(source))?;
        let circle: Vec<_> = circle(&imports(&files)).into_iter().map(|module| module.join("/")).collect();
        assert!(circle.is_empty(), "{source}: these import each other: {circle:?}");
    }
    Ok(())
}

#[test]
fn a_circle_is_found() {
    let file =
        |path: &str, code: &str| (path.split('/').map(str::to_owned).collect::<Module>(), code.to_owned());
    let files = BTreeMap::from([
        file("a", "pub use c::Thing;\nmod c;\n"),
        file("a/c", "use super::d::{self, Other as That};\n"),
        file("a/d", "use crate::b;\n"),
        file("b", "use crate::{a::Thing, e};\n"),
        file("e", "use std::io;\n"),
    ]);
    let found: Vec<_> = circle(&imports(&files)).into_iter().map(|module| module.join("/")).collect();
    assert_eq!(found, ["a/c", "a/d", "b"]);
}
