//! The Hugging Face cache, read only: a file that another program has fetched is used where it lies.

use std::{
    fs,
    path::{Path, PathBuf},
};

use hf_hub::{Cache, Repo, RepoType};

use super::is_sha256;
use crate::model::spec::HubFile;

/// A file found in the cache.
#[derive(Debug)]
pub(super) struct Cached {
    pub path: PathBuf,
    /// The digest the Hub gave: an LFS file's blob is named by it.
    pub sha256: Option<String>,
}

/// Looks at the snapshot that the revision points to, then, for `main`, at every other one (newest name first is no
/// order worth having: the digest decides).
pub(super) fn look_up(cache: &Path, wanted: &HubFile) -> Vec<Cached> {
    let repo = Repo::with_revision(wanted.repo.clone(), RepoType::Model, wanted.revision.clone());
    let folder = cache.join(repo.folder_name());
    let current = Cache::new(cache.to_owned()).repo(repo).get(&wanted.file);
    let named = folder.join("snapshots").join(&wanted.revision).join(&wanted.file);
    let mut paths: Vec<PathBuf> = current.into_iter().chain([named]).collect();
    if wanted.revision == "main" {
        let snapshots = fs::read_dir(folder.join("snapshots")).into_iter().flatten().flatten();
        paths.extend(snapshots.map(|snapshot| snapshot.path().join(&wanted.file)));
    }
    let mut found: Vec<Cached> = Vec::new();
    for path in paths {
        if !found.iter().any(|known| known.path == path) {
            found.extend(inside(&folder, path));
        }
    }
    found
}

/// The file, if it is one and lies in its repository's folder: neither a link nor a `refs` file leads out of it.
fn inside(folder: &Path, path: PathBuf) -> Option<Cached> {
    let real = fs::canonicalize(&path).ok().filter(|real| real.is_file())?;
    let folder = fs::canonicalize(folder).ok()?;
    if !real.starts_with(folder) {
        return None;
    }
    let blob = real.file_name()?.to_str()?;
    Some(Cached { sha256: is_sha256(blob).then(|| blob.to_owned()), path })
}
