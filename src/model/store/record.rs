//! What the store remembers of a file it has verified, so that a request costs one `stat` and not a gigabyte of hashing.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::disk::{Stamp, remove_if_there, write_atomic};
use crate::error::Result;

/// Where a verified file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In the store; cmdai put it there and may delete it.
    Store,
    /// In the Hugging Face cache, shared with other programs.
    Cache,
    /// Where the user keeps it.
    Yours,
}

/// A file that was read to its end and had this digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The model's name as it is asked for.
    pub name: String,
    pub path: PathBuf,
    pub place: Place,
    pub sha256: String,
    pub stamp: Stamp,
}

impl Record {
    /// Whether the file is still the one that was read.
    ///
    /// # Errors
    /// It cannot be looked at.
    pub fn holds(&self) -> io::Result<bool> {
        Ok(Stamp::of(&self.path)? == self.stamp)
    }

    /// The record under `key`; one that cannot be read is none, and the file is hashed again.
    pub(super) fn read(dir: &Path, key: &str) -> Option<Self> {
        serde_json::from_slice(&fs::read(file(dir, key)).ok()?).ok()
    }

    pub(super) fn write(&self, dir: &Path, key: &str) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        write_atomic(&file(dir, key), &[&text])
    }

    pub(super) fn forget(dir: &Path, key: &str) -> Result<bool> {
        remove_if_there(&file(dir, key))
    }

    /// Every record of the store with its key, in the order of the keys.
    pub(super) fn all(dir: &Path) -> Vec<(String, Self)> {
        let keys = fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()));
        let mut found: Vec<_> = keys.filter_map(|key| Some((key.clone(), Self::read(dir, &key)?))).collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }
}

fn file(dir: &Path, key: &str) -> PathBuf {
    dir.join(format!("{key}.json"))
}
