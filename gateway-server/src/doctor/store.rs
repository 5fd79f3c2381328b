//! The folder of the store: writable, with room, and on a disk of this machine.

use std::path::Path;

use rustix::fs::{Access, access, statfs, statvfs};

use super::finding::Finding;
use super::limits::in_words;
use crate::config::Settings;

/// File systems by the numbers that the kernel gives them, as `man 2 statfs` lists them.
const NETWORK: [(i64, &str); 10] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x00C3_6400, "Ceph"),
    (0x0BD0_0BD0, "Lustre"),
    (0x0102_1997, "9P"),
    (0x5346_414F, "AFS"),
    (0x6573_5546, "FUSE"),
    (0x0116_1970, "GFS2"),
];
const IN_MEMORY: [(i64, &str); 2] = [(0x0102_1994, "tmpfs"), (0x8584_58F6, "ramfs")];

pub(super) fn look(settings: &Settings) -> Vec<Finding> {
    match settings.store.as_deref() {
        None => vec![Finding::skipped("store", "the setting store is not given")],
        // The check of NATS looks at it.
        Some(path) if path == Path::new("jetstream") => Vec::new(),
        Some(path) => of_file(path, settings.store_bytes as u64),
    }
}

fn of_file(path: &Path, wanted: u64) -> Vec<Finding> {
    let name = path.display();
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let place = if path.exists() { path } else { folder };
    if let Err(error) =
        access(folder, Access::WRITE_OK | Access::EXEC_OK).and_then(|()| access(place, Access::WRITE_OK))
    {
        let found = format!("{} cannot be written: {error}", place.display());
        let advice = format!("make the folder {}, and have it belong to the server's user", folder.display());
        return vec![Finding::mend("store", found, advice)];
    }
    if path.exists() && !path.is_file() {
        let found = format!("{name} is no file");
        return vec![Finding::mend(
            "store",
            found,
            "give store the path of a file, which is made if it is not there",
        )];
    }
    let mut findings = Vec::new();
    if let Ok(disk) = statfs(folder) {
        findings.extend(kind(disk.f_type, folder));
    }
    match statvfs(folder) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let there = path.metadata().map_or(0, |file| file.len());
            let found =
                format!("{} are free for {name}, which may have {}", in_words(free), in_words(wanted));
            findings.push(if free.saturating_add(there) < wanted {
                let advice =
                    "make room, or lower store_bytes, so that messages are refused before the disk is full";
                Finding::mend("store", found, advice)
            } else {
                Finding::ok("store", found)
            });
        }
        Err(error) => findings.push(Finding::skipped("store", format!("{}: {error}", folder.display()))),
    }
    findings
}

fn kind(number: i64, folder: &Path) -> Option<Finding> {
    let named = |kinds: &[(i64, &'static str)]| {
        // Numbers of 32 bits, which some machines give with a sign.
        kinds.iter().find(|(known, _)| *known == number & 0xFFFF_FFFF).map(|(_, name)| *name)
    };
    let folder = folder.display();
    if let Some(name) = named(&NETWORK) {
        let found = format!("{folder} is on {name}, whose locks and writes SQLite cannot rely on");
        return Some(Finding::mend("store", found, "give store a path on a disk of this machine"));
    }
    let name = named(&IN_MEMORY)?;
    let found =
        format!("{folder} is on {name}, in memory: what waits there is gone after a restart of the machine");
    Some(Finding::mend("store", found, "give store a path on a disk"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_known_by_their_numbers() {
        let told = |number| kind(number, Path::new("/x")).map(|finding| finding.found);
        assert!(told(0x6969).unwrap().contains("NFS"));
        // Some machines give the number with a sign.
        assert!(told(i64::from(0xFF53_4D42_u32.cast_signed())).unwrap().contains("CIFS"));
        assert!(told(0x0102_1994).unwrap().contains("in memory"));
        assert_eq!(told(0xEF53), None);
    }
}
