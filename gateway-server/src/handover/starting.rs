//! The start of the new process within a time. The kernel halts the thread that starts a program until that runs, which takes as long
//! as its filesystem likes, so that thread does nothing else.

use std::fs::File;
use std::io::Read as _;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::oneshot;

use super::spawn::{InstalledBinary, NewProcess, NotStarted};

/// Lists the children that the thread which reads this link has started.
const OWN_CHILDREN: &str = "/proc/thread-self/children";

/// Starts the program, in a thread of its own. If it does not run within the time, or nobody waits for it any more, it is killed, and
/// never takes over.
pub async fn start_within(binary: &InstalledBinary, patience: Duration) -> Result<NewProcess, NotStarted> {
    let (tell, started) = oneshot::channel();
    let (tell_children, children) = oneshot::channel();
    let program = binary.clone();
    let start = move || {
        // A kernel may be built without the list. Then the child stays until it runs.
        let _ = tell_children.send(File::open(OWN_CHILDREN).ok());
        // A process that nobody takes is killed when it is dropped.
        let _ = tell.send(program.start());
    };
    thread::Builder::new().name("upgrade".to_owned()).spawn(start).map_err(NotStarted::Thread)?;
    let mut unstarted = Unstarted { children: children.await.ok().flatten() };
    match tokio::time::timeout(patience, started).await {
        Ok(Ok(result)) => {
            unstarted.children = None;
            result
        }
        // The thread ends without a result in a panic alone.
        Ok(Err(_)) | Err(_) => Err(NotStarted::Hangs(binary.path().to_owned(), patience)),
    }
}

/// A child that does not run the program yet. It is killed when this is dropped, as it would take the end of this process for the
/// death of one that hands over.
struct Unstarted {
    /// The list of the children of the thread that starts it. It is empty once that thread has ended.
    children: Option<File>,
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        let Some(mut children) = self.children.take() else { return };
        let mut list = String::new();
        // An error says that the thread has ended.
        let _ = children.read_to_string(&mut list);
        for child in list.split_ascii_whitespace() {
            if let Some(child) = child.parse().ok().and_then(Pid::from_raw) {
                // One that has ended is not reaped yet, as that thread is what reaps it.
                let _ = kill_process(child, Signal::KILL);
            }
        }
    }
}
