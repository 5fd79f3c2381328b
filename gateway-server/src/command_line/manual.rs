//! The pages of the manual in packaging/man, made of the command line.
//!
//! The test fails when they are out of date; `REWRITE=1 cargo test -p gateway-server manual` writes them anew.

use std::collections::BTreeMap;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Cli;

/// Daemons, and what administers them.
const SECTION: &str = "8";
const NAME: &str = "gateway-server";
const USAGE: &str = "gateway-server [OPTIONS]
gateway-server check FILE
gateway-server doctor [OPTIONS]
gateway-server status|health|connections [OPTIONS]";

/// What no flag says: a heading, and its terms with what they mean.
const MORE: [(&str, &[(&str, &str)]); 3] = [
    (
        "FILES",
        &[
            (
                "/etc/push-gateway/gateway.toml",
                "The settings, where the Debian package or its systemd unit is used.",
            ),
            ("/usr/share/doc/push-gateway", "What the program is made of, and what has changed."),
        ],
    ),
    (
        "SIGNALS",
        &[
            (
                "SIGTERM, SIGINT",
                "Stop, and give clients time to leave; a second one closes all that are left at once.",
            ),
            (
                "SIGHUP",
                "Read the settings and certificates again. What is wrong changes nothing, and is said in the log.",
            ),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It was told to stop, or a command has succeeded."),
            ("1", "It could not serve, a command has failed, or doctor has found something to mend."),
            ("2", "The command line is wrong."),
            ("70", "A stop was held up by something that hangs."),
            ("78", "The settings are wrong; a restart would end so again."),
        ],
    ),
];

/// All pages by their files: that of the program, and one of each of its commands.
fn pages() -> std::io::Result<BTreeMap<String, String>> {
    let mut program = Cli::command().disable_help_subcommand(true).override_usage(USAGE);
    program.build();
    let mut pages = BTreeMap::new();
    for command in program.get_subcommands() {
        let name = format!("{NAME}-{}", command.get_name());
        let typed = format!("{NAME} {}", command.get_name());
        let command = command.clone().display_name(name.clone()).bin_name(typed);
        pages.insert(format!("{name}.{SECTION}"), page(command, false)?);
    }
    pages.insert(format!("{NAME}.{SECTION}"), page(program, true)?);
    Ok(pages)
}

fn page(command: Command, is_program: bool) -> std::io::Result<String> {
    let version = concat!("gateway-server ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command).section(SECTION).source(version).manual("Push gateway for PHP");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if is_program {
        man.render_subcommands_section(&mut text)?;
        let mut roff = Roff::default();
        for (heading, terms) in MORE {
            roff.control("SH", [heading]);
            for (term, meaning) in terms {
                roff.control("TP", []).text([bold(*term)]).text([roman(*meaning)]);
            }
        }
        roff.to_writer(&mut text)?;
    }
    let text = String::from_utf8(text).map_err(std::io::Error::other)?;
    // Some of its lines end with a blank.
    Ok(text.lines().flat_map(|line| [line.trim_end(), "\n"]).collect())
}

#[test]
fn the_manual_is_up_to_date() {
    let made = pages().unwrap();
    assert!(made.len() > 4, "{:?}", made.keys());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging/man");
    if std::env::var_os("REWRITE").is_some() {
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(&folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in &made {
            std::fs::write(folder.join(name), text).unwrap();
        }
    }
    let mut there = BTreeMap::new();
    for entry in std::fs::read_dir(&folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        there.insert(name, std::fs::read_to_string(entry.path()).unwrap());
    }
    assert!(there == made, "packaging/man is out of date: REWRITE=1 cargo test -p gateway-server manual");
}
