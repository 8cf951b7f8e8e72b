//! A file on its way here: appended to, hashed as it grows, and given its name only when it is whole and right.
//!
//! Its name carries the digest it is to have, so a file that changed at its source starts anew instead of being mixed.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::{
    check_header,
    disk::{absorb, ensure_free, hex, megabytes},
};
use crate::error::{Context, Error, Result};

/// What the bytes must turn out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub size: u64,
    pub sha256: String,
}

/// The growing file.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    len: u64,
    hash: Sha256,
    wanted: Wanted,
}

impl Partial {
    /// Opens what an earlier try left of `name` in `dir`, at most `keep` bytes of it, and hashes that.
    ///
    /// # Errors
    /// The file cannot be written, or there is no room for the rest.
    pub(super) fn open(dir: &Path, name: &str, wanted: Wanted, keep: u64) -> Result<Self> {
        let path = dir.join(format!("{name}.{:.12}.partial", wanted.sha256));
        let what = || format!("could not write to file: {}", path.display());
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .context(what)?;
        let there = file.metadata().context(what)?.len();
        let kept = if there > wanted.size { 0 } else { there.min(keep) };
        file.set_len(kept).context(what)?;
        let mut hash = Sha256::new();
        let len = absorb(&mut file, &mut hash).context(what)?;
        ensure_free(dir, wanted.size.saturating_sub(len), "download to")?;
        Ok(Self { file, path, len, hash, wanted })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Bytes still to come.
    pub(super) fn missing(&self) -> u64 {
        self.wanted.size - self.len
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// There are more of them than the file may have, or the disk does not take them; what was written stays.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() as u64 > self.missing() {
            return Err(Error::new(format!(
                "the source sends more than the {} bytes that the file should have",
                self.wanted.size
            )));
        }
        self.file.write_all(bytes).map_err(|cause| self.unwritable(&cause))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn unwritable(&self, cause: &io::Error) -> Error {
        let error = Error::new(format!("could not write to file: {}: {cause}", self.path.display()));
        match cause.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => error
                .hint(format!("free {} and pull again: it goes on from where it stopped", megabytes(self.missing()))),
            _ => error,
        }
    }

    /// Drops everything and starts at the first byte.
    pub(super) fn restart(&mut self) -> Result<()> {
        self.file
            .set_len(0)
            .and_then(|()| self.file.seek(SeekFrom::Start(0)))
            .map_err(|cause| self.unwritable(&cause))?;
        self.hash = Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Waits until the bytes are on the disk.
    pub(super) fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(|cause| self.unwritable(&cause))
    }

    /// Gives the whole file its name; returns its SHA-256.
    ///
    /// # Errors
    /// Its digest is not the wanted one or it is no GGUF file: then it is deleted, so that the next try starts clean.
    pub(super) fn publish(self, target: &Path) -> Result<String> {
        self.sync()?;
        if let Err(error) = self.check() {
            let _ = fs::remove_file(&self.path);
            return Err(error);
        }
        let what = || format!("could not write to file: {}", target.display());
        fs::rename(&self.path, target).context(what)?;
        if let Some(dir) = target.parent() {
            File::open(dir).and_then(|dir| dir.sync_all()).context(what)?;
        }
        Ok(self.wanted.sha256)
    }

    fn check(&self) -> Result<()> {
        let found = hex(self.hash.clone());
        if found != self.wanted.sha256 {
            return Err(Error::new(format!(
                "the file that arrived is not the right one: wanted sha256 {}, found {found}; it was deleted",
                self.wanted.sha256
            ))
            .hint("pull again; if it stays so, the source's file was changed"));
        }
        check_header(&self.path)
    }
}

/// Deletes everything left of earlier tries of `name`.
pub(super) fn clear(dir: &Path, name: &str) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let left = path.file_name().and_then(|file| file.to_str()).and_then(|file| file.strip_prefix(name));
        match left {
            Some(rest) if rest.ends_with(".partial") => drop(fs::remove_file(&path)),
            Some(".wheels") => drop(fs::remove_dir_all(&path)),
            _ => (),
        }
    }
}
