//! What workers say, as seeds of the fuzzers.

use gateway_wire::bridge::WorkerToServer;

/// Gives a frame of each kind that a worker sends. Its progress says that it has taken and done so many events.
pub(crate) fn worker_frames(taken: u64, done: u64) -> anyhow::Result<Vec<Vec<u8>>> {
    let mut frames = Vec::new();
    for said in [
        WorkerToServer::Join { name: "chat:0", moves: false },
        WorkerToServer::Join { name: "chat:0", moves: true },
        WorkerToServer::Progress { taken, done },
        WorkerToServer::ProgressFile { name: "t" },
        WorkerToServer::Ping,
        WorkerToServer::Leave,
    ] {
        let mut bytes = Vec::new();
        said.encode(&mut bytes)?;
        frames.push(bytes);
    }
    Ok(frames)
}
