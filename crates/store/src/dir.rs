//! A real directory.
//!
//! The directory is locked through its `LOCK` file for as long as the [`DirDisk`] lives; a read-only one takes no
//! lock and refuses to write. Files are created with mode 0600 and directories with 0700.
//!
//! Space is reserved by writing zeros, not by `fallocate`: a write into an extent that was only reserved makes the
//! file system commit its journal at the next `fdatasync`, which here doubles the cost of each small synced append.
//!
//! A file's identity is its inode number mixed with its time of birth. The device number is left out on purpose: it
//! may change when the machine restarts. A copy, an unpacked archive and a restored backup are new files and have
//! another identity; a snapshot of the whole volume is not, see `docs/disk.md`.

use std::cell::RefCell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, DiskError, Usage};

/// Name of the lock file.
const LOCK: &str = "LOCK";
/// File handles kept open; the segment being written and the safety file are always the most recent ones.
const HANDLES_MAX: usize = 32;
/// Zeros written at once when space is reserved.
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

/// A data directory of the real file system.
#[derive(Debug)]
pub struct DirDisk {
    path: PathBuf,
    /// Holds the lock while it lives; `None` is read-only.
    lock: Option<File>,
    /// Most recently used last.
    handles: RefCell<Vec<(String, Arc<File>)>>,
    usage: Usage,
}

impl DirDisk {
    /// Opens an existing directory and locks it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(DiskError::NotFound { file: path.display().to_string() });
        }
        let lock_path = path.join(LOCK);
        let lock = private(OpenOptions::new().read(true).write(true).create(true).truncate(false))
            .open(&lock_path)
            .map_err(|e| io_error(&lock_path.display().to_string(), "open", &e))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self::with(path, Some(lock))),
            Err(TryLockError::WouldBlock) => Err(DiskError::Locked { directory: path.display().to_string() }),
            Err(TryLockError::Error(e)) => Err(io_error(&lock_path.display().to_string(), "lock", &e)),
        }
    }

    /// Opens a directory and locks it, making it (and its parents) first if it does not exist.
    pub fn create(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = path.as_ref();
        if !path.exists() {
            private_directory().create(path).map_err(|e| io_error(&path.display().to_string(), "create", &e))?;
            if let Some(parent) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
                sync_directory(parent)?;
            }
        }
        Self::open(path)
    }

    /// Opens a directory for reading only, without a lock; also while a node is running in it.
    pub fn read_only(path: impl AsRef<Path>) -> Result<Self, DiskError> {
        let path = path.as_ref();
        if !path.is_dir() {
            return Err(DiskError::NotFound { file: path.display().to_string() });
        }
        Ok(Self::with(path, None))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn with(path: &Path, lock: Option<File>) -> Self {
        DirDisk { path: path.to_owned(), lock, handles: RefCell::default(), usage: Usage::default() }
    }

    fn handle(&self, file: &str) -> Result<Arc<File>, DiskError> {
        let mut handles = self.handles.borrow_mut();
        if let Some(at) = handles.iter().position(|(name, _)| name == file) {
            // The file in use stays at the end; no shuffling for the common case.
            if at + 1 != handles.len() {
                let entry = handles.remove(at);
                handles.push(entry);
            }
            return Ok(handles[handles.len() - 1].1.clone());
        }
        let opened = OpenOptions::new()
            .read(true)
            .write(self.lock.is_some())
            .open(self.path.join(file))
            .map_err(|e| io_error(file, "open", &e))?;
        Ok(remember(&mut handles, file, opened))
    }

    fn writable(&self, file: &str) -> Result<(), DiskError> {
        match self.lock {
            Some(_) => Ok(()),
            None => Err(DiskError::Io { file: file.to_owned(), text: "the directory was opened read-only".to_owned() }),
        }
    }
}

impl Disk for DirDisk {
    fn list(&self) -> Result<Vec<String>, DiskError> {
        let directory = self.path.display().to_string();
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(|e| io_error(&directory, "list", &e))? {
            let entry = entry.map_err(|e| io_error(&directory, "list", &e))?;
            // A name that is not text is none of ours.
            if let Ok(name) = entry.file_name().into_string()
                && name != LOCK
            {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn length(&self, file: &str) -> Result<u64, DiskError> {
        Ok(self.handle(file)?.metadata().map_err(|e| io_error(file, "stat", &e))?.len())
    }

    fn read(&self, file: &str, offset: u64, buffer: &mut [u8]) -> Result<usize, DiskError> {
        let handle = self.handle(file)?;
        let mut filled = 0;
        while filled < buffer.len() {
            match read_at(&handle, &mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(io_error(file, "read", &e)),
            }
        }
        Ok(filled)
    }

    fn create(&mut self, file: &str) -> Result<(), DiskError> {
        self.writable(file)?;
        let opened = private(OpenOptions::new().read(true).write(true).create_new(true))
            .open(self.path.join(file))
            .map_err(|e| io_error(file, "create", &e))?;
        remember(self.handles.get_mut(), file, opened);
        sync_directory(&self.path)
    }

    fn write(&mut self, file: &str, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.writable(file)?;
        write_all_at(&*self.handle(file)?, bytes, offset).map_err(|e| io_error(file, "write", &e))?;
        self.usage.bytes_written += bytes.len() as u64;
        Ok(())
    }

    fn allocate(&mut self, file: &str, length: u64) -> Result<(), DiskError> {
        let mut at = self.length(file)?;
        while at < length {
            let n = (length - at).min(ZEROS.len() as u64);
            self.write(file, at, &ZEROS[..n as usize])?;
            at += n;
        }
        Ok(())
    }

    fn sync(&mut self, file: &str) -> Result<(), DiskError> {
        self.usage.syncs += 1;
        self.handle(file)?.sync_data().map_err(|e| io_error(file, "sync", &e))
    }

    fn remove(&mut self, file: &str) -> Result<(), DiskError> {
        self.writable(file)?;
        self.handles.get_mut().retain(|(name, _)| name != file);
        fs::remove_file(self.path.join(file)).map_err(|e| io_error(file, "remove", &e))?;
        sync_directory(&self.path)
    }

    fn identity(&self, file: &str) -> Result<u64, DiskError> {
        let metadata = self.handle(file)?.metadata().map_err(|e| io_error(file, "stat", &e))?;
        let born = metadata
            .created()
            .ok()
            .and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok())
            .map_or(0, |age| age.as_nanos() as u64);
        Ok(crate::mem::mix(inode(&metadata) ^ crate::mem::mix(born)))
    }

    fn usage(&self) -> Usage {
        self.usage
    }
}

fn remember(handles: &mut Vec<(String, Arc<File>)>, file: &str, opened: File) -> Arc<File> {
    if handles.len() == HANDLES_MAX {
        handles.remove(0);
    }
    let opened = Arc::new(opened);
    handles.push((file.to_owned(), opened.clone()));
    opened
}

fn io_error(file: &str, doing: &str, error: &io::Error) -> DiskError {
    let file = file.to_owned();
    match error.kind() {
        ErrorKind::NotFound => DiskError::NotFound { file },
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => DiskError::Full { file },
        _ => DiskError::Io { file, text: format!("{doing}: {error}") },
    }
}

fn sync_directory(path: &Path) -> Result<(), DiskError> {
    // Only unix can open a directory; elsewhere creation is as durable as the system makes it.
    if cfg!(unix) {
        let name = path.display().to_string();
        File::open(path).and_then(|d| d.sync_all()).map_err(|e| io_error(&name, "sync", &e))?;
    }
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600)
}

#[cfg(unix)]
fn private_directory() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true);
    builder
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(unix)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::unix::fs::FileExt::read_at(file, buffer, offset)
}

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(windows)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(windows)]
fn private_directory() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    builder
}

#[cfg(windows)]
fn inode(_: &fs::Metadata) -> u64 {
    0
}

#[cfg(windows)]
fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    std::os::windows::fs::FileExt::seek_read(file, buffer, offset)
}

#[cfg(windows)]
fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let n = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if n == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = &bytes[n..];
        offset += n as u64;
    }
    Ok(())
}
