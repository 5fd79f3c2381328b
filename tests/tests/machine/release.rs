//! The files of a release that need no build of their own: they are the same when they are made again, and a difference is told.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use gateway_tests::{done, root, skip};

use super::packaging::is_installed;

/// Makes the files in a folder, as `scripts/release/build` does, with this creation mask. A small program stands for server and
/// extension, which take half a minute to be compressed.
fn make(folder: &Path, mask: &str) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    let run = |script: &str, arguments: &[&Path]| {
        let mut command = Command::new("sh");
        command.args(["-euc", "umask \"$1\"; shift; exec \"$@\"", "sh", mask]);
        done(command.arg(root().join("scripts").join(script)).args(arguments).arg(folder))
    };
    let program = Path::new("/bin/cat");
    run("deb-extension", &[program])?;
    run("release/server-archive", &[program])?;
    run("release/image-contexts", &[program, program])?;
    run("release/npm-package", &[])?;
    run("release/composer-packages", &[])?;
    Ok(())
}

#[test]
fn the_files_of_a_release_are_the_same_when_they_are_made_again() -> anyhow::Result<()> {
    if !is_installed("dpkg-shlibdeps") {
        let test = "the_files_of_a_release_are_the_same_when_they_are_made_again";
        skip(test, "dpkg-shlibdeps is not installed (Debian package dpkg-dev)");
        return Ok(());
    }
    let work = tempfile::tempdir()?;
    let [first, second] = ["first", "second"].map(|name| work.path().join(name));
    make(&first, "022")?;
    make(&second, "077")?;
    let differing =
        || Command::new(root().join("scripts/release/differing")).args([&first, &second]).output();
    let output = differing()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success() && said.contains("11 files are the same, bit by bit"), "{said}");

    // What differs is named: the file, and what in it.
    let name = format!("push-gateway-client-{}.tgz", env!("CARGO_PKG_VERSION"));
    let unpacked = work.path().join("unpacked");
    std::fs::create_dir(&unpacked)?;
    done(Command::new("tar").arg("-xf").arg(second.join(&name)).arg("-C").arg(&unpacked))?;
    std::fs::write(unpacked.join("package/gateway.js"), "other")?;
    done(Command::new("tar").arg("-czf").arg(second.join(&name)).arg("-C").arg(&unpacked).arg("package"))?;
    std::fs::remove_file(first.join(format!("push-gateway-gateway-{}.zip", env!("CARGO_PKG_VERSION"))))?;
    let output = differing()?;
    let said = String::from_utf8(output.stdout)?;
    ensure!(!output.status.success(), "{said}");
    let told: Vec<_> = said.lines().collect();
    ensure!(
        told.len() == 3
            && told[0] == format!("DIFFERENT {name}")
            && told[1] == "Files a/package/gateway.js and b/package/gateway.js differ"
            && told[2].starts_with("DIFFERENT push-gateway-gateway-"),
        "{said}"
    );
    Ok(())
}

/// Composer finds a package in a folder of archives by the version in it.
#[test]
fn composer_packages_of_a_release_have_its_version_and_no_tests() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let made = done(Command::new(root().join("scripts/release/composer-packages")).arg(folder.path()))?;
    ensure!(made.lines().count() == 6, "{made}");
    for file in made.lines() {
        let list = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(*z.namelist(), sep='\\n')";
        let names = done(Command::new("python3").args(["-c", list]).arg(folder.path().join(file)))?;
        ensure!(!names.contains("/tests/") && names.contains("/LICENSE"), "{names}");
        let composer =
            names.lines().find(|name| name.ends_with("/composer.json")).context("composer.json")?;
        let read =
            "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); print(z.read(sys.argv[2]).decode())";
        let mut command = Command::new("python3");
        let text = done(command.args(["-c", read]).arg(folder.path().join(file)).arg(composer))?;
        let package: serde_json::Value = serde_json::from_str(&text)?;
        ensure!(package["version"] == env!("CARGO_PKG_VERSION"), "{text}");
    }
    Ok(())
}
