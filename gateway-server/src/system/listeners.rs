//! Which process listens on a TCP port, as far as this user may know.

use std::fs;

/// Gives the program that listens on the port and its process id, as in `php (pid 7)`. Gives `None` where another user's processes
/// cannot be looked into.
pub fn who(port: u16) -> Option<String> {
    let sockets: Vec<_> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .flat_map(|table| inodes(&table, port))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        let mut targets = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        if targets.any(|target| sockets.iter().any(|socket| target.as_os_str() == socket.as_str())) {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", name.trim()));
        }
    }
    None
}

/// The state of a socket that listens, in the tables of the kernel.
const LISTENS: &str = "0A";

/// The inodes of the sockets that listen on the port, in a table such as /proc/net/tcp.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let of_line = |line: &'_ str| -> Option<(u16, bool)> {
        let mut fields = line.split_whitespace();
        let (_, local) = fields.nth(1)?.rsplit_once(':')?;
        Some((u16::from_str_radix(local, 16).ok()?, fields.nth(1)? == LISTENS))
    };
    let lines = table.lines().filter(|line| of_line(line) == Some((port, true)));
    lines.filter_map(|line| line.split_whitespace().nth(9).map(str::to_owned)).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_listener_is_found_with_its_process() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let found = who(port).unwrap();
        assert!(found.ends_with(&format!("(pid {})", std::process::id())), "{found}");
        drop(listener);
        assert_eq!(who(port), None);
    }

    #[test]
    fn a_connection_on_the_port_is_no_listener() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
             0: 0100007F:04D6 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31 1 0\n\
             1: 0100007F:04D6 0100007F:9000 01 00000000:00000000 00:00000000 00000000     0        0 32 1 0\n";
        assert_eq!(inodes(table, 1238), ["31"]);
        assert_eq!(inodes("nonsense\n", 1238), Vec::<String>::new());
    }
}
