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

/// The bytes that another process may use: the lesser of the machine's memory and the limit of its cgroup.
pub fn memory_of(pid: u64) -> u64 {
    let machine = read("/proc/meminfo").and_then(|text| total(&text));
    let cgroup = read(format!("/proc/{pid}/cgroup")).and_then(|text| limit_of_cgroup(&text, read));
    [machine, cgroup].into_iter().flatten().min().unwrap_or(UNKNOWN)
}

/// The bytes that processes of this machine and cgroup may still take, or `None` if the system does not say. Files that the kernel
/// keeps in memory, and can give up, do not count as taken.
pub fn available() -> Option<u64> {
    let machine = read("/proc/meminfo").and_then(|text| kilobytes(&text, "MemAvailable:"));
    let cgroup = read("/proc/self/cgroup").and_then(|text| left_in_cgroup(&text, read));
    [machine, cgroup].into_iter().flatten().min()
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
    kilobytes(meminfo, "MemTotal:")
}

/// A line of `/proc/meminfo`, in bytes.
fn kilobytes(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// The least limit, in bytes, among a process's cgroup and those around it. It reads version 2 (`0::/path`) and version 1
/// (`4:memory:/path`).
fn limit_of_cgroup(membership: &str, read: impl Fn(String) -> Option<String>) -> Option<u64> {
    least_of_cgroups(membership, |folder, files| number(read(format!("{folder}/{}", files.limit))))
}

/// The least number of bytes that are left below a limit, among a process's cgroup and those around it.
fn left_in_cgroup(membership: &str, read: impl Fn(String) -> Option<String>) -> Option<u64> {
    least_of_cgroups(membership, |folder, files| {
        let limit = number(read(format!("{folder}/{}", files.limit)))?;
        let taken = number(read(format!("{folder}/{}", files.taken)))?;
        let statistics = read(format!("{folder}/memory.stat")).unwrap_or_default();
        let line = statistics.lines().find_map(|line| line.strip_prefix(files.files)?.strip_prefix(' '));
        let files = line.and_then(|bytes| bytes.trim().parse().ok()).unwrap_or(0);
        Some(limit.saturating_sub(taken.saturating_sub(files)))
    })
}

fn number(text: Option<String>) -> Option<u64> {
    text?.trim().parse().ok()
}

/// The files of a cgroup that say what it may take and takes, and the line of `memory.stat` for files that can be given up.
struct CgroupFiles {
    limit: &'static str,
    taken: &'static str,
    files: &'static str,
}

const CGROUP_2: CgroupFiles =
    CgroupFiles { limit: "memory.max", taken: "memory.current", files: "inactive_file" };
const CGROUP_1: CgroupFiles = CgroupFiles {
    limit: "memory.limit_in_bytes",
    taken: "memory.usage_in_bytes",
    files: "total_inactive_file",
};

/// The least that the folders of a process's cgroup and of those around it give.
fn least_of_cgroups(membership: &str, of_folder: impl Fn(&str, &CgroupFiles) -> Option<u64>) -> Option<u64> {
    let least_of = |line: &str| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let (root, files) = match controllers {
            "" => ("/sys/fs/cgroup", CGROUP_2),
            of if of.split(',').any(|one| one == "memory") => ("/sys/fs/cgroup/memory", CGROUP_1),
            _ => return None,
        };
        // A process in a container sees its own cgroup as the root, whatever path it is told, so the paths above are tried too.
        let places = Path::new(path).ancestors().map(|place| place.to_string_lossy().into_owned());
        places.filter_map(|place| of_folder(&format!("{root}{}", place.trim_end_matches('/')), &files)).min()
    };
    membership.lines().filter_map(least_of).min()
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
    fn what_is_left_in_a_cgroup_is_its_limit_without_what_it_takes() {
        let files = |path: String| {
            let text = match path.as_str() {
                "/sys/fs/cgroup/a/memory.max" => "1000\n",
                "/sys/fs/cgroup/a/memory.current" => "700\n",
                "/sys/fs/cgroup/a/memory.stat" => "file 300\ninactive_file 150\nslab 9\n",
                "/sys/fs/cgroup/a/b/memory.max" => "900\n",
                "/sys/fs/cgroup/a/b/memory.current" => "950\n",
                "/sys/fs/cgroup/a/c/memory.max" => "max\n",
                "/sys/fs/cgroup/memory/d/memory.limit_in_bytes" => "500\n",
                "/sys/fs/cgroup/memory/d/memory.usage_in_bytes" => "480\n",
                "/sys/fs/cgroup/memory/d/memory.stat" => "inactive_file 1\ntotal_inactive_file 80\n",
                _ => return None,
            };
            Some(text.to_owned())
        };
        let left = |membership: &str| left_in_cgroup(membership, files);
        assert_eq!(left("0::/a/c\n"), Some(450));
        assert_eq!(left("0::/a/b\n"), Some(0));
        assert_eq!(left("4:memory:/d\n"), Some(100));
        assert_eq!(left("0::/\n"), None);
        assert!(available().is_some_and(|available| available > 0));
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
