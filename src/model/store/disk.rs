//! What the store asks of the file system: private directories, atomic writes, the lock, free space, digests.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock, statvfs},
    process::{Resource, geteuid, getrlimit},
};
use sha2::{Digest, Sha256};

use crate::error::{Context, Error, Result};

/// Free space left alone, so that a pull does not take the last block from the rest of the system.
const SPARE: u64 = 16 << 20;
const BLOCK: usize = 1 << 20;

/// Makes `dir` for its owner alone, and takes group and world rights from one that is there.
///
/// # Errors
/// It cannot be made, or belongs to another user.
pub fn make_private(dir: &Path) -> Result<()> {
    let what = || format!("could not use directory: {}", dir.display());
    DirBuilder::new().recursive(true).mode(0o700).create(dir).context(what)?;
    let metadata = fs::metadata(dir).context(what)?;
    if metadata.uid() != geteuid().as_raw() {
        return Err(Error::new(format!("{}: it belongs to another user", what())).hint("set CMDAI_MODELS_DIR"));
    }
    if metadata.mode() & 0o077 != 0 {
        fs::set_permissions(dir, PermissionsExt::from_mode(0o700)).context(what)?;
    }
    Ok(())
}

/// Holds the lock at `path` until the file is dropped; calls `waiting` once if another process has it.
///
/// # Errors
/// The file cannot be made or locked.
pub fn lock(path: &Path, waiting: impl FnOnce()) -> Result<File> {
    let what = || format!("could not lock: {}", path.display());
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path).context(what)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Err(rustix::io::Errno::WOULDBLOCK) => {
            waiting();
            flock(&file, FlockOperation::LockExclusive).context(what)?;
        }
        outcome => outcome.context(what)?,
    }
    Ok(file)
}

/// Refuses to begin what cannot end: `needed` bytes must be free where `dir` is.
///
/// # Errors
/// They are not; `purpose` says what for: `download to`.
pub fn ensure_free(dir: &Path, needed: u64, purpose: &str) -> Result<()> {
    let space = statvfs(dir).context(|| format!("could not tell free space of: {}", dir.display()))?;
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    if free >= needed.saturating_add(SPARE.min(needed)) {
        return Ok(());
    }
    Err(Error::new(format!(
        "could not {purpose} {}: not enough free disk space (needed {}, free {})",
        dir.display(),
        megabytes(needed),
        megabytes(free)
    ))
    .hint("free some space, or set CMDAI_MODELS_DIR to another disk"))
}

/// `1117.3 MB`, as disks and the Hub count.
pub fn megabytes(bytes: u64) -> String {
    format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000)
}

/// What tells that a file is still the one that was hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    pub size: u64,
    pub mtime: i64,
    pub mtime_ns: i64,
    pub inode: u64,
    pub device: u64,
}

impl Stamp {
    /// The stamp of the file that `path` leads to, links followed.
    pub fn of(path: &Path) -> io::Result<Self> {
        fs::metadata(path).and_then(|metadata| Self::regular(&metadata))
    }

    fn regular(metadata: &fs::Metadata) -> io::Result<Self> {
        if !metadata.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Ok(Self {
            size: metadata.len(),
            mtime: metadata.mtime(),
            mtime_ns: metadata.mtime_nsec(),
            inode: metadata.ino(),
            device: metadata.dev(),
        })
    }
}

/// SHA-256 of a whole file, and the stamp it had while it was read.
pub(super) fn digest(path: &Path) -> Result<(String, Stamp)> {
    let what = || format!("could not read file: {}", path.display());
    // Before opening: the open of a pipe would wait for a writer.
    let before = Stamp::of(path).context(what)?;
    let mut file = File::open(path).context(what)?;
    let mut hash = Sha256::new();
    absorb(&mut file, &mut hash).context(what)?;
    let after = Stamp::regular(&file.metadata().context(what)?).context(what)?;
    if before != after {
        return Err(Error::new(format!("{}: it changed while it was read", what())));
    }
    Ok((hex(hash), after))
}

/// Feeds what is left of `file` to `hash`; returns how many bytes that was.
pub(super) fn absorb(file: &mut File, hash: &mut Sha256) -> io::Result<u64> {
    let mut block = vec![0; BLOCK];
    let mut total = 0;
    loop {
        match file.read(&mut block)? {
            0 => return Ok(total),
            n => {
                hash.update(&block[..n]);
                total += n as u64;
            }
        }
    }
}

/// The digest as the Hub and we write it.
pub fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Replaces `path` by `parts`, one after the other, so that a reader sees the old or the new, never half.
///
/// # Errors
/// It cannot be written; nothing is left of it.
pub fn write_atomic(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    // To write further than this limit is to be killed by a signal.
    if getrlimit(Resource::Fsize).current.is_some_and(|limit| limit < length as u64) {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    // A name of this call's own: two may write the same file at once without a lock.
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let scratch = path.with_extension(format!("{}-{}.new", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&scratch)?;
    parts.iter().try_for_each(|part| file.write_all(part)).and_then(|()| fs::rename(&scratch, path)).inspect_err(|_| {
        let _ = fs::remove_file(&scratch);
    })
}

/// The bytes of a regular file of at most `most` bytes that nobody but this user can have written.
///
/// # Errors
/// It is not that, or cannot be read.
pub fn read_private(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    // The open of a pipe would wait for a writer.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != geteuid().as_raw() || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is not a file that only its owner can change"));
    }
    let length = metadata.len();
    if length > most {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut bytes = Vec::with_capacity(length as usize);
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Removes a file that may not be there.
pub(super) fn remove_if_there(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(Error::new(format!("could not remove: {}: {cause}", path.display()))),
    }
}
