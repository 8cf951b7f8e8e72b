//! Prefixes on disk: a new process, or one that goes back to another shell's prefix, reads what it would compute.
//!
//! A file holds the key-value cache of one prefix and, before it, in full, of which model, runtime and tokens it is;
//! behind it the checksum of all that. Nothing in it is parsed: it begins with the bytes expected, or it is no file. So
//! whatever is wrong with one, the prefix is computed as if there were none. Nor does a failure to write disturb anyone.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use sha2::{Digest, Sha256};

use super::Token;
use crate::{
    error::{Context, Error, Result},
    model::store,
};

/// What a file begins with; counts up when its form changes.
const MAGIC: &[u8; 8] = b"cmdaiPX1";

/// Bytes of the SHA-256 at a file's end.
const CHECKSUM: usize = 32;

/// Most bytes of all files together: ten prefixes of the default model.
const ROOM: u64 = 64 << 20;

/// The prefixes of one model, computed by one runtime, in a directory that other models share.
pub struct PrefixCache {
    directory: PathBuf,
    model: String,
    runtime: String,
}

/// A file's bytes, which have proved whole.
pub struct Kept {
    bytes: Vec<u8>,
    head: usize,
}

impl Kept {
    /// What [`super::Model::save`] gave.
    pub fn state(&self) -> &[u8] {
        &self.bytes[self.head..self.bytes.len() - CHECKSUM]
    }
}

impl PrefixCache {
    /// In `directory`, of the model whose SHA-256 is `model`, on what [`super::Model::runtime`] says.
    pub fn new(directory: PathBuf, model: &str, runtime: &str) -> Self {
        // With our own version: how the runtime is used also decides what it computes.
        let runtime = format!("cmdai {}, {runtime}", env!("CARGO_PKG_VERSION"));
        Self { directory, model: model.to_owned(), runtime }
    }

    /// What is kept of `prefix`, if it is there and whole.
    pub fn read(&self, prefix: &[Token]) -> Option<Kept> {
        let head = self.head(prefix);
        let path = self.path(&head);
        match checked(&path, &head) {
            Ok(bytes) => {
                mark_used(&path);
                Some(Kept { bytes, head: head.len() })
            }
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
            Err(cause) => {
                tracing::warn!("computing a prefix again: {}: {cause}", path.display());
                None
            }
        }
    }

    /// Keeps the `state` of `prefix`, if that can be.
    pub fn write(&self, prefix: &[Token], state: &[u8]) {
        if let Err(cause) = self.put(prefix, state) {
            tracing::warn!("could not keep a prefix: {cause}");
        }
    }

    fn put(&self, prefix: &[Token], state: &[u8]) -> Result<()> {
        let head = self.head(prefix);
        let path = self.path(&head);
        let length = (head.len() + state.len() + CHECKSUM) as u64;
        if length > ROOM {
            return Err(Error::new(format!("it has {}, more than all may have", store::megabytes(length))));
        }
        store::make_private(&self.directory)?;
        store::ensure_free(&self.directory, length, "keep a prefix in")?;
        let checksum = Sha256::new().chain_update(&head).chain_update(state).finalize();
        store::write_atomic(&path, &[&head, state, &checksum])
            .context(|| format!("could not write to {}", path.display()))?;
        self.make_room(&path);
        Ok(())
    }

    /// Deletes the files used longest ago, until the rest have room; `latest` stays.
    fn make_room(&self, latest: &Path) {
        let found = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut files: Vec<_> = found.filter_map(|entry| Some((entry.metadata().ok()?, entry.path()))).collect();
        files.retain(|(metadata, _)| !metadata.is_dir());
        files.sort_by_key(|(metadata, _)| metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH));
        let mut total: u64 = files.iter().map(|(metadata, _)| metadata.len()).sum();
        for (metadata, path) in files {
            if total <= ROOM {
                return;
            }
            if path != latest && fs::remove_file(path).is_ok() {
                total -= metadata.len();
            }
        }
    }

    /// What the file of `prefix` begins with.
    fn head(&self, prefix: &[Token]) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        for name in [&self.model, &self.runtime] {
            head.extend((name.len() as u32).to_le_bytes());
            head.extend(name.as_bytes());
        }
        head.extend((prefix.len() as u32).to_le_bytes());
        head.extend(prefix.iter().flat_map(|token| token.to_le_bytes()));
        head
    }

    fn path(&self, head: &[u8]) -> PathBuf {
        let digest = store::hex(Sha256::new().chain_update(head));
        self.directory.join(format!("{}-{digest:.32}.state", self.model))
    }
}

/// The bytes of the file at `path`, if it begins with `head` and its checksum is right.
fn checked(path: &Path, head: &[u8]) -> io::Result<Vec<u8>> {
    let bytes = store::read_private(path, ROOM)?;
    let content = bytes.len().saturating_sub(CHECKSUM);
    if !bytes[..content].starts_with(head) {
        return Err(io::Error::other("it is of another prefix, model or version"));
    }
    if Sha256::digest(&bytes[..content])[..] != bytes[content..] {
        return Err(io::Error::other("it has changed since it was written"));
    }
    Ok(bytes)
}

/// The file's time says when it was last of use.
fn mark_used(path: &Path) {
    let _ = File::open(path).and_then(|file| file.set_modified(SystemTime::now()));
}
