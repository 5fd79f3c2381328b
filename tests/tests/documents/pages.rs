//! Checks that what the documents say about the code is true.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use gateway_tests::{Client, Server, fences, php, root, soon, store_folder};

/// Gives all files below `folder` whose names end with `ending`.
pub(crate) fn files(folder: &Path, ending: &str) -> anyhow::Result<Vec<PathBuf>> {
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

/// Gives the string literals of `code`.
fn texts(code: &str) -> impl Iterator<Item = &str> {
    code.split('"').skip(1).step_by(2)
}

/// Gives a text up to the first place where something is filled in.
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
    let offences = std::fs::read_to_string(root().join("gateway-server/src/telemetry/abuse_log.rs"))?;
    let offences = offences.split("fn name(").nth(1).unwrap_or_default().split("struct Throttle").next();
    lines.extend(texts(offences.unwrap_or_default()).map(str::to_owned));
    // The line that is printed when the server is ready is no complaint, and neither are the pieces without words that are left
    // of texts which go on in the next line of code.
    lines.retain(|line| line.contains([' ', '-']) && !line.starts_with("gateway-server") && line.len() > 4);
    assert!(lines.len() > 45, "only {} were found", lines.len());
    let missing: Vec<_> = lines.iter().filter(|line| !page.contains(line.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
    Ok(())
}

/// Gives the longest part of a PHP text that is always the same, between variables and the places of `sprintf`.
fn fixed_part(text: &str) -> &str {
    let behind_name = |piece: &'_ str| {
        piece.find(|c: char| !(c.is_ascii_alphanumeric() || "_->".contains(c))).unwrap_or(piece.len())
    };
    let behind_place = |piece: &'_ str| piece.find(|c: char| c.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let named = text.split('$').enumerate().map(|(at, piece)| match at {
        0 => piece,
        _ => piece[behind_name(piece)..].trim_start_matches('}'),
    });
    let pieces = named.flat_map(|piece| {
        piece.split('%').enumerate().map(move |(at, piece)| match at {
            0 => piece,
            _ => &piece[behind_place(piece)..],
        })
    });
    pieces.map(|piece| piece.trim_end_matches('{').trim()).max_by_key(|piece| piece.len()).unwrap_or_default()
}

#[test]
fn every_line_of_the_runner_is_explained() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/troubleshooting.md"))?;
    let page = page.split("## Lines of gateway-worker").nth(1).context("the page has no such part")?;
    let mut lines = BTreeSet::new();
    for file in files(&root().join("php/worker/src"), ".php")? {
        let code = std::fs::read_to_string(&file)?;
        for call in code.split("Log::write(").skip(1) {
            let call = call.split(");\n").next().unwrap_or_default();
            let Some(quote) = call.find(['"', '\'']) else { continue };
            let text = call[quote + 1..].split(&call[quote..=quote]).next().unwrap_or_default();
            let text = text.split("\\n").next().unwrap_or_default();
            lines.insert(fixed_part(text).to_owned());
        }
    }
    // Texts that are shorter say nothing by themselves: such a one only stands between a handler's name and an exception's
    // text.
    lines.retain(|line| line.len() > 5);
    assert!(lines.len() > 12, "only {lines:?} were found");
    let missing: Vec<_> = lines.iter().filter(|line| !page.contains(line.as_str())).collect();
    assert_eq!(missing, Vec::<&String>::new());
    Ok(())
}

/// Gives the names of the tests in a Rust file, or in all files of a folder.
fn tests_of(place: &Path) -> anyhow::Result<BTreeSet<String>> {
    let files = if place.is_dir() { files(place, ".rs")? } else { vec![place.to_owned()] };
    let mut tests = BTreeSet::new();
    for file in files {
        let code = std::fs::read_to_string(&file).with_context(|| file.display().to_string())?;
        for test in code.split("test]\n").skip(1).chain(code.split("test(").skip(1)) {
            let name = test.split("fn ").nth(1).and_then(|test| test.split('(').next());
            tests.extend(name.map(str::to_owned));
        }
    }
    Ok(tests)
}

/// Checks that each line of a page's table names tests in its last column, and that these tests exist.
fn assert_held_by_tests(page: &str, least: usize) -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join(page))?;
    let table = page.split("| held by |").nth(1).context("there is no table")?;
    let lines: Vec<_> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(lines.len() >= least, "only {} lines were found", lines.len());
    for line in lines {
        let held_by = line.trim_end_matches([' ', '|']).rsplit('|').next().unwrap_or_default();
        let names: Vec<_> = held_by.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named in {line}");
        for name in names {
            if name.ends_with(".phpt") {
                assert!(root().join("php-ext/tests").join(name).exists(), "{name} in {line}");
                continue;
            }
            let (place, test) = name.split_once("::").with_context(|| name.to_owned())?;
            let here = root().join("tests/tests").join(place);
            let file = here.with_extension("rs");
            let place = match () {
                () if here.is_dir() => here,
                () if file.exists() => file,
                () => root().join(place),
            };
            assert!(tests_of(&place)?.contains(test), "{name} in {line}");
        }
    }
    Ok(())
}

#[test]
fn each_claim_of_security_of_failures_and_of_delivery_is_held_by_a_test() -> anyhow::Result<()> {
    assert_held_by_tests("docs/security.md", 20)?;
    assert_held_by_tests("docs/delivery-guarantees.md", 20)?;
    assert_held_by_tests("docs/what-happens-when.md", 12)
}

/// Gives the anchor of a heading.
fn slug(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// Whether composer has put the file there.
pub(crate) fn is_installed(file: &Path) -> bool {
    file.components().any(|part| part.as_os_str() == "vendor")
}

/// Gives all documents for people.
pub(crate) fn pages() -> anyhow::Result<Vec<PathBuf>> {
    let mut pages = files(&root().join("docs"), ".md")?;
    let of_php = files(&root().join("php"), ".md")?.into_iter();
    pages.extend(of_php.filter(|page| !is_installed(page)));
    pages.extend(files(&root().join("examples"), ".md")?);
    let at_root = [
        "README.md",
        "README.zh-CN.md",
        "UPGRADE.md",
        "UPGRADE.zh-CN.md",
        "CHANGELOG.md",
        "SECURITY.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ];
    pages.extend(at_root.map(|page| root().join(page)));
    Ok(pages)
}

#[test]
fn links_lead_somewhere() -> anyhow::Result<()> {
    let pages = pages()?;
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

/// Gives the folders in a line that are named after the gateway, below the places where a system has such folders.
fn folders(line: &str) -> Vec<&str> {
    const BELOW: [&str; 6] = ["/etc/", "/run/", "/var/lib/", "/var/log/", "/usr/share/", "/opt/"];
    let names = BELOW.iter().flat_map(|below| line.split(below).skip(1));
    let names = names.map(|rest| {
        let is_of_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        rest.split(|char| !is_of_name(char)).next().unwrap_or_default()
    });
    names.filter(|name| name.contains("gateway") && !name.contains('.')).collect()
}

#[test]
fn documents_have_one_port_and_one_folder() -> anyhow::Result<()> {
    let mut places = pages()?;
    places.extend(files(&root().join("packaging"), "")?);
    places.extend(files(&root().join("docker"), "")?);
    places.extend(files(&root().join("php/example"), ".php")?);
    let (mut ports, mut found, mut wrong) = (0, 0, Vec::new());
    for place in places {
        let text = std::fs::read_to_string(&place).with_context(|| place.display().to_string())?;
        for line in text.lines() {
            ports += line.matches("1238").count();
            // GatewayClient's own port may be named where the server listens on both ports, and where a default is explained.
            let explains = line.contains("1238")
                || line.contains("GatewayClient")
                || line.contains("gateway.register_address");
            let folders = folders(line);
            found += folders.len();
            if line.contains("1236") && !explains || folders.iter().any(|name| *name != "push-gateway") {
                wrong.push(format!("{}: {line}", place.display()));
            }
        }
    }
    assert!(ports > 20 && found > 10, "{ports} ports and {found} folders");
    assert_eq!(wrong, Vec::<String>::new(), "the port is 1238, and folders are named push-gateway");
    Ok(())
}

/// Gives what the stub says about the class `Gateway`: its methods as `name(arguments)`, and its properties as `name =
/// default`.
fn members(stub: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let class = stub.split("\nclass ").find(|class| class.starts_with("Gateway\n")).unwrap_or_default();
    let all = |mark: &str, end: &str| {
        let of = |rest: &str| rest.split(end).next().unwrap_or_default().to_owned();
        class.split(mark).skip(1).map(of).collect::<BTreeSet<_>>()
    };
    (all("public static function ", "\n"), all("public static $", ";\n"))
}

/// Gives what the page says about the class in the same form: from the code below headings, and from the rows of the table of
/// properties.
fn described(page: &str) -> (BTreeSet<String>, BTreeSet<String>, Vec<String>) {
    let lines: Vec<_> = page.lines().collect();
    let mut wrong = Vec::new();
    let mut methods = BTreeSet::new();
    for (heading, signature) in
        lines.iter().zip(lines.iter().skip(2)).filter(|(line, _)| line.starts_with("### "))
    {
        let signature = signature.trim_matches('`').to_owned();
        if signature.split('(').next() != heading.strip_prefix("### ") || !methods.insert(signature) {
            wrong.push((*heading).to_owned());
        }
    }
    let rows = lines.iter().filter_map(|line| line.strip_prefix("| `Gateway::$")?.split_once("` | `"));
    let default = |rest: &str| rest.split('`').next().unwrap_or_default().to_owned();
    let properties = rows.map(|(name, rest)| format!("{name} = {}", default(rest))).collect();
    (methods, properties, wrong)
}

#[test]
fn the_class_reference_has_what_the_stub_has() -> anyhow::Result<()> {
    let (methods, properties) = members(&std::fs::read_to_string(root().join("php-ext/gateway.stub.php"))?);
    assert!(methods.len() > 50 && properties.len() > 5, "{} and {}", methods.len(), properties.len());
    let (on_page, properties_on_page, wrong) =
        described(&std::fs::read_to_string(root().join("docs/class.md"))?);
    assert_eq!(wrong, Vec::<String>::new(), "in docs/class.md, above another signature or twice");
    let missing: Vec<_> = methods.difference(&on_page).collect();
    let extra: Vec<_> = on_page.difference(&methods).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "docs/class.md lacks {missing:#?} of php-ext/gateway.stub.php, and has {extra:#?} that it has not"
    );
    assert_eq!(properties_on_page, properties, "the properties in docs/class.md, and those of the stub");
    Ok(())
}

/// Turns a line `what; // => value` into a check that names the line when it fails.
fn checked(line: &str) -> String {
    let Some((what, value)) = line.split_once("; // => ") else { return line.to_owned() };
    let (what, lead) = (what.trim_start(), &what[..what.len() - what.trim_start().len()]);
    let quoted = line.trim().replace('\\', "\\\\").replace('\'', "\\'");
    format!("{lead}expect({what}, {value}, '{quoted}');")
}

const EXPECT: &str = "<?php
[, Gateway::$registerAddress, $client_id, $other] = $argv;
$checks = 0;
function expect($got, $wanted, $line) {
    $GLOBALS['checks']++;
    if ($got !== $wanted) {
        exit(\"$line\\nbut it gave \" . var_export($got, true) . \"\\n\");
    }
}
";

#[tokio::test]
async fn the_examples_of_the_class_reference_are_true() -> anyhow::Result<()> {
    let page = std::fs::read_to_string(root().join("docs/class.md"))?;
    let mut script = EXPECT.to_owned();
    for fence in fences(&page).iter().filter(|fence| fence.language == "php") {
        script.extend(fence.code.lines().map(|line| checked(line) + "\n"));
    }
    script.push_str("echo $checks;");
    let folder = store_folder()?;
    let file = folder.path().join("examples.php");
    std::fs::write(&file, script)?;

    let server = Server::start_with(|command| {
        command.arg("--store").arg(folder.path().join("store"));
    })
    .await?;
    let mut client = Client::connect(server.websocket).await?;
    let mut other = Client::connect(server.websocket).await?;
    let mut php = php()?;
    php.env("GATEWAY_TOKEN_KEY", "a key that nobody else knows at all");
    php.arg(&file).arg(server.register[0].to_string()).args([client.id.to_string(), other.id.to_string()]);
    let output = soon("the examples", php.output()).await??;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.parse::<u32>().is_ok_and(|checks| checks > 30), "{said}");

    assert_eq!(client.text().await?, "to everybody");
    assert_eq!(client.text().await?, "to one alone");
    assert_eq!(client.text().await?, r#"{"type":"comment","text":"hello"}"#);
    assert_eq!(client.text().await?, "to all but the muted");
    assert_eq!(client.text().await?, "how many of you?");
    assert_eq!(other.text().await?, "to everybody");
    assert_eq!(other.text().await?, "to the others");
    assert_eq!(other.text().await?, "to all but the muted");
    assert_eq!(other.text().await?, "that was all");
    other.gone().await
}

/// Gives the settings of php.ini from the extension's code: the name, the default, and the last place where it may be set.
fn settings_of_php(code: &str) -> anyhow::Result<Vec<[String; 3]>> {
    let entries = code.split("IniEntryDef::new(c\"").skip(1);
    let settings = entries.map(|entry| {
        let (name, rest) = entry.split_once("\", c\"").context("a setting without a default")?;
        let (default, rest) = rest.split_once("\", ").context("a setting that says not where it counts")?;
        let place = match rest.split(')').next() {
            Some("CONFIGURED") => "`.user.ini`",
            Some("IniEntryPermission::System") => "`php.ini`",
            Some("IniEntryPermission::All") => "`ini_set()`",
            other => anyhow::bail!("{name}: {other:?}"),
        };
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        Ok([format!("`{name}`"), default, place.to_owned()])
    });
    settings.collect()
}

#[test]
fn the_page_of_php_ini_has_what_the_extension_has() -> anyhow::Result<()> {
    let code = std::fs::read_to_string(root().join("php-ext/src/ini/mod.rs"))?;
    let settings = settings_of_php(&code)?;
    assert!(settings.len() >= 13, "{settings:?}");
    let page = std::fs::read_to_string(root().join("docs/php-ini.md"))?;
    let mut rows = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| `gateway.")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, kind, default, place, what] = cells[..] else { anyhow::bail!("{row}") };
        assert!(!kind.is_empty() && what.len() > 20, "{row}");
        rows.push([name, default, place].map(str::to_owned));
    }
    assert_eq!(rows, settings, "docs/php-ini.md and php-ext/src/ini/mod.rs");
    Ok(())
}

/// The folders whose files are listed in ARCHITECTURE.md.
const CRATES: [&str; 4] = ["gateway-wire/src", "gateway-server/src", "php-ext/link/src", "php-ext/src"];

/// Gives the first sentence of a file's own documentation.
fn purpose(code: &str) -> String {
    let lines = code.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
    let paragraph: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
    let text = paragraph.join(" ");
    let end = text.find(". ").map_or(text.len(), |end| end + 1);
    text[..end].trim_end_matches('.').to_owned()
}

#[test]
fn the_architecture_lists_every_file() -> anyhow::Result<()> {
    let mut list = String::new();
    for folder in CRATES {
        let root = root().join(folder);
        let mut paths = files(&root, ".rs")?;
        paths.sort();
        list += &format!("### {folder}\n\n| file | what it holds |\n|---|---|\n");
        for path in paths {
            let purpose = purpose(&std::fs::read_to_string(&path)?);
            let name = path.strip_prefix(&root)?.display();
            assert!(!purpose.is_empty(), "{folder}/{name} does not say in its first line what it holds");
            list += &format!("| `{name}` | {purpose} |\n");
        }
        list += "\n";
    }
    let page = root().join("ARCHITECTURE.md");
    let text = std::fs::read_to_string(&page)?;
    let start = text.find("### ").unwrap_or(text.len());
    let wanted = format!("{}{}\n", &text[..start], list.trim_end());
    if std::env::var_os("REWRITE").is_some() {
        std::fs::write(&page, wanted)?;
        return Ok(());
    }
    let advice = "REWRITE=1 cargo test -p gateway-tests --test documents architecture";
    assert!(text == wanted, "the list of files in ARCHITECTURE.md is out of date: {advice}");
    Ok(())
}
