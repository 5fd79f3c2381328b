//! Where tests put the files of a store.

use std::path::Path;

use tempfile::TempDir;

/// Makes a folder for a store, in memory where there is such a file system: a disk that is busy with other tests takes seconds for a
/// write, and then the server refuses messages, as it should.
pub fn store_folder() -> std::io::Result<TempDir> {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return Ok(folder);
    }
    tempfile::tempdir()
}
