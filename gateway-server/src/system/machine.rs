//! The memory that this process may use. Limits that the settings leave open are a share of it.

use std::path::Path;
use std::sync::OnceLock;

use rlimit::Resource;

/// The memory that is assumed where the system gives no information, in bytes.
const UNKNOWN: u64 = 1 << 30;
/// The address space that a thread takes, in bytes: its stack, and what it allocates.
const THREAD: u64 = 4 << 20;
/// The longest file that is read here, in bytes. Those of the kernel take about a page.
const LONGEST: u64 = 64 << 10;

/// The `divisor`th part of the memory, in bytes, but at least a MiB and at most `most` bytes.
pub fn memory_share(divisor: u64, most: u64) -> usize {
    usize::try_from((memory() / divisor).min(most).max(1 << 20)).unwrap_or(usize::MAX)
}

/// How many things of `each` bytes fit into the `divisor`th part of the memory: at least 1 and at most `most`.
pub fn count_in_share(divisor: u64, each: u64, most: usize) -> usize {
    usize::try_from(memory() / divisor / each).unwrap_or(usize::MAX).clamp(1, most)
}

/// The bytes that this process may use: the least of the machine's memory, the limit of its cgroup and the rest of its address
/// space (`ulimit -v`). It is found out once.
pub fn memory() -> u64 {
    static MEMORY: OnceLock<u64> = OnceLock::new();
    *MEMORY.get_or_init(|| {
        let machine = read("/proc/meminfo").and_then(|text| total(&text));
        let cgroup = read("/proc/self/cgroup").and_then(|text| limit_of_cgroup(&text, read));
        let address_space = Resource::AS.get_soft().ok().filter(|limit| *limit != rlimit::INFINITY);
        let address_space = address_space.map(|limit| limit.saturating_sub(own_size()));
        [machine, cgroup, address_space].into_iter().flatten().min().unwrap_or(UNKNOWN)
    })
}

/// The number of threads for one kind of work: one for each core, but no more than fit into an eighth of the memory.
pub fn threads() -> usize {
    count_in_share(8, THREAD, std::thread::available_parallelism().map_or(1, usize::from))
}

/// The address space that the process takes now, in bytes.
fn own_size() -> u64 {
    const PAGE: u64 = 4096;
    let pages = read("/proc/self/statm").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(PAGE)
}

fn read(path: impl AsRef<Path>) -> Option<String> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).ok()?.take(LONGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// `MemTotal` of `/proc/meminfo`, in bytes.
fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit, in bytes, among a process's cgroup and those around it. It reads version 2 (`0::/path`) and version 1
/// (`4:memory:/path`).
fn limit_of_cgroup(membership: &str, read: impl Fn(String) -> Option<String>) -> Option<u64> {
    let limit_of = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, file) = match controllers {
            "" => ("/sys/fs/cgroup", "memory.max"),
            of if of.split(',').any(|one| one == "memory") => {
                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes")
            }
            _ => return None,
        };
        // A process in a container sees its own cgroup as the root, whatever path it is told, so the paths above are tried too.
        let places = Path::new(path).ancestors().map(|place| place.to_string_lossy().into_owned());
        places
            .filter_map(|place| read(format!("{root}{}/{file}", place.trim_end_matches('/'))))
            .filter_map(|text| text.trim().parse::<u64>().ok())
            .min()
    };
    membership.lines().filter_map(limit_of).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_limit_around_a_process_counts() {
        let files = |path: String| {
            let text = match path.as_str() {
                "/sys/fs/cgroup/memory.max" => "max\n",
                "/sys/fs/cgroup/system.slice/memory.max" => "500\n",
                "/sys/fs/cgroup/system.slice/gateway.service/memory.max" => "900\n",
                "/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes" => "300\n",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes" => "9223372036854771712\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let limit = |membership: &str| limit_of_cgroup(membership, files);
        assert_eq!(limit("0::/system.slice/gateway.service\n"), Some(500));
        assert_eq!(limit("0::/\n"), None);
        assert_eq!(limit("12:cpu,cpuacct:/x\n4:memory:/docker/abc\n0::/\n"), Some(300));
        assert_eq!(limit("nonsense\n\n::\n"), None);
    }

    #[test]
    fn the_machine_has_memory() {
        assert_eq!(total("MemFree: 1 kB\nMemTotal:       2 kB\n"), Some(2048));
        assert_eq!(total("MemTotal: 2 MB\n"), None);
        assert!(memory() >= 1 << 20);
        assert_eq!(memory_share(1, 2 << 20), 2 << 20);
        assert_eq!(memory_share(u64::MAX, 5 << 20), 1 << 20);
        assert_eq!((count_in_share(1, 1, 7), count_in_share(u64::MAX, 1, 7)), (7, 1));
        assert!(threads() >= 1 && own_size() > 1 << 20);
    }
}
