//! A file in memory in which a worker counts the events that it has begun to handle, so that it need not say so for each.
//!
//! It outlives a worker that is killed, and the gateway reads it then, if it runs on the same machine.

use std::path::PathBuf;

/// Common to all programs of a machine, whatever they have for temporary files.
const DIRECTORY: &str = "/dev/shm";
const PREFIX: &str = "gateway-tally-";
const RANDOM: usize = 16;

/// A name that nobody else has, of random bytes.
pub fn name(random: [u8; RANDOM]) -> String {
    let mut name = PREFIX.to_owned();
    for byte in random {
        name += &format!("{byte:02x}");
    }
    name
}

/// Where the file of that name is. `None` if no worker gives such a name.
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
