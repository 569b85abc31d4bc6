//! Files that hold secrets: made private and complete, read only if private.
//!
//! Permissions are those of Unix, checked on the open file and not on its name. Not here: what is in the files.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zeroize::Zeroizing;

/// Permission bits of the group and of everybody else.
const OTHERS: u32 = 0o077;
/// Write permission of the group and of everybody else.
const OTHERS_WRITE: u32 = 0o022;

/// Why a file or directory could not be used.
#[derive(Debug, Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What came back.
        source: io::Error,
    },
    /// Others can read or write a file that holds a secret.
    #[error("{path} is open to others (mode {mode:o}): run `chmod 600 '{path}'`", path = .path.display())]
    FileOpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Others could replace the files of this directory.
    #[error("{path} can be written by others (mode {mode:o}): run `chmod 700 '{path}'`", path = .path.display())]
    DirectoryOpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a file of this name, and it stays.
    #[error("{} exists already and is never overwritten", .0.display())]
    Exists(PathBuf),
    /// Far more than such a file can hold.
    #[error("{} is longer than {limit} bytes", .path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The most it may hold, in bytes.
        limit: u64,
    },
    /// Not UTF-8.
    #[error("{} is not text", .0.display())]
    NotText(PathBuf),
}

impl FileError {
    /// The file is not there, as opposed to unusable.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// Reads at most `limit` bytes of a file, whoever may read it.
///
/// # Errors
/// [`FileError`] if it can't be read or is longer.
pub fn read(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    read_open(file, path, limit)
}

/// Reads at most `limit` bytes of a file that holds a secret.
///
/// # Errors
/// [`FileError`] if it can't be read, is longer, or is a regular file open to others. (A pipe has no permissions to
/// mend.)
pub fn read_private(path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(FileError::io("open", path))?;
    let metadata = file.metadata().map_err(FileError::io("look at", path))?;
    let mode = metadata.mode() & 0o7777;
    if metadata.is_file() && mode & OTHERS != 0 {
        return Err(FileError::FileOpenToOthers { path: path.to_owned(), mode });
    }
    read_open(file, path, limit)
}

fn read_open(file: File, path: &Path, limit: u64) -> Result<Zeroizing<Vec<u8>>, FileError> {
    // Room for everything at once: a vector that grows leaves copies behind that are not wiped.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(limit).unwrap_or(0) + 1));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(FileError::io("read", path))?;
    if bytes.len() as u64 > limit {
        return Err(FileError::TooLong { path: path.to_owned(), limit });
    }
    Ok(bytes)
}

/// Takes read bytes as text.
///
/// # Errors
/// [`FileError::NotText`] if they are not UTF-8.
pub fn text<'a>(bytes: &'a [u8], path: &Path) -> Result<&'a str, FileError> {
    std::str::from_utf8(bytes).map_err(|_| FileError::NotText(path.to_owned()))
}

/// Makes a new file with mode 0600 that appears under its name complete and synced, or not at all.
///
/// Written under a random name in the same directory, then renamed without overwriting.
///
/// # Errors
/// [`FileError::Exists`] if the name is taken, [`FileError::Io`] otherwise; nothing is left behind in either case.
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o600))
        .tempfile_in(directory)
        .map_err(FileError::io("create a file in", directory))?;
    file.write_all(bytes).map_err(FileError::io("write", path))?;
    file.as_file().sync_all().map_err(FileError::io("sync", path))?;
    file.persist_noclobber(path).map_err(|error| match error.error.kind() {
        io::ErrorKind::AlreadyExists => FileError::Exists(path.to_owned()),
        _ => FileError::io("create", path)(error.error),
    })?;
    sync_directory(directory)
}

/// Makes a directory (and its parents) with mode 0700 if it is missing, and refuses one that others can write.
///
/// # Errors
/// [`FileError`] as named.
pub fn private_directory(path: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(FileError::io("create", path))?;
    check_directory(path)
}

/// Refuses a directory in which others could replace files.
///
/// # Errors
/// [`FileError::DirectoryOpenToOthers`], or [`FileError::Io`] if it can't be looked at.
pub fn check_directory(path: &Path) -> Result<(), FileError> {
    let mode = fs::metadata(path).map_err(FileError::io("look at", path))?.mode() & 0o7777;
    if mode & OTHERS_WRITE != 0 {
        return Err(FileError::DirectoryOpenToOthers { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Names of the entries of a directory, sorted; a missing directory has none.
///
/// # Errors
/// [`FileError::Io`] if it can't be read.
pub fn entries(path: &Path) -> Result<Vec<String>, FileError> {
    let listing = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(FileError::io("list", path))?,
    };
    let mut names = Vec::new();
    for entry in listing {
        let entry = entry.map_err(FileError::io("list", path))?;
        // A name that is not text can't be one that this program gave.
        names.extend(entry.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}

/// A new name survives a power cut only once its directory is on disk.
fn sync_directory(path: &Path) -> Result<(), FileError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(FileError::io("sync", path))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
