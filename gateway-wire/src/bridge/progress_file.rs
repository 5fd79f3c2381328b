//! The name and place of a file in memory in which a worker counts the events that it has begun to handle, instead of sending a
//! frame for each.
//!
//! The file outlives a worker that is killed, so a gateway on the same machine reads it then. It holds one `u64` in the machine's
//! byte order: the number of the last event that was begun, as in [`WorkerToServer::Progress`](super::WorkerToServer::Progress).

use std::path::PathBuf;

/// A directory that all programs of a machine share, whichever directory each uses for temporary files.
const DIRECTORY: &str = "/dev/shm";
/// The first part of every such file's name.
const PREFIX: &str = "gateway-tally-";
/// Random bytes in a name.
const RANDOM: usize = 16;

/// Makes a file's name of random bytes, which are to come from a secure source: nobody else may guess the name. The name is the
/// prefix and 32 hex digits, without a directory.
pub fn name(random: [u8; RANDOM]) -> String {
    let mut name = PREFIX.to_owned();
    for byte in random {
        name += &format!("{byte:02x}");
    }
    name
}

/// Gives the path of the file of that name. It gives `None` unless [`name`] makes such names, so that a peer cannot have another file
/// opened.
pub fn path(name: &str) -> Option<PathBuf> {
    let random = name.strip_prefix(PREFIX)?;
    let is_random = random.len() == 2 * RANDOM && random.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_random.then(|| PathBuf::from(DIRECTORY).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_workers_give_are_looked_for() {
        let name = name([0xab; RANDOM]);
        assert_eq!(path(&name), Some(PathBuf::from(format!("/dev/shm/{name}"))));
        for other in
            ["", "gateway-tally-", "../etc/passwd", &format!("{name}0"), &name[1..], &name.replace('b', "/")]
        {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
