//! The look itself: each thing that a command does to paths, and the entries that it reaches.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, FileType, Metadata},
    hash::{BuildHasher, RandomState},
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
    sync::Mutex,
    time::Instant,
};

use walkdir::WalkDir;

use super::{Extent, Over, Progress, lock, paths};
use crate::safety::{Action, Touch, What};

/// One look, from the first path to the last.
pub(super) struct Counter<'p> {
    progress: &'p Mutex<Progress>,
    pub(super) home: Option<PathBuf>,
    end: Instant,
    /// Entries that were counted, as hashes of action and path: two words of a command can name the same. None where
    /// there is but one path.
    counted: Option<HashSet<u64>>,
    hasher: RandomState,
    /// Files with several names, by device and inode: their content is there once.
    linked: HashSet<(Action, u64, u64)>,
    /// Something that was named is there, counted or not.
    pub(super) present: bool,
}

impl<'p> Counter<'p> {
    pub(super) fn new(progress: &'p Mutex<Progress>, home: Option<PathBuf>, end: Instant) -> Self {
        let (counted, hasher) = (None, RandomState::new());
        Self { progress, home, end, counted, hasher, linked: HashSet::new(), present: false }
    }

    /// Counts all of it.
    pub(super) fn count(mut self, touches: &[Touch]) -> Result<(), Over> {
        self.counted = (!names_one_path(touches)).then(HashSet::new);
        for touch in touches {
            if let Touch::Enter(path) = touch
                && !self.is_there(path)?
            {
                lock(self.progress).radius.at_least();
                return Ok(());
            }
            self.touch(touch)?;
        }
        let mut progress = lock(self.progress);
        let radius = &progress.radius;
        let all = [radius.deleted, radius.moved, radius.overwritten].iter().all(|tally| tally.is_unused());
        progress.radius.nothing = all && !self.present && touches.iter().any(takes_away);
        Ok(())
    }

    fn touch(&mut self, touch: &Touch) -> Result<(), Over> {
        match touch {
            Touch::Enter(_) => Ok(()),
            Touch::Remove { paths, what } => {
                self.begin(Action::Delete);
                for path in self.all(paths)? {
                    self.present |= fs::symlink_metadata(&path).is_ok();
                    self.removed(&path, *what)?;
                }
                Ok(())
            }
            Touch::Find { action, search, what } => {
                self.begin(*action);
                self.search(*action, search, *what)
            }
            Touch::Transfer { how, sources, into, exactly, existing } => {
                self.transfer(*how, sources, into.as_deref(), *exactly, *existing)
            }
            Touch::Write { paths } => {
                self.begin(Action::Overwrite);
                self.all(paths)?.iter().try_for_each(|path| self.written(path))
            }
            Touch::Unseen(action) => {
                self.left_out(*action);
                Ok(())
            }
        }
    }

    fn is_there(&mut self, pattern: &str) -> Result<bool, Over> {
        let found = self.expand(pattern)?;
        Ok(found.first().is_some_and(|path| fs::metadata(path).is_ok_and(|folder| folder.is_dir())))
    }

    /// Everything that `patterns` name.
    pub(super) fn all(&mut self, patterns: &[String]) -> Result<Vec<PathBuf>, Over> {
        let mut found = Vec::new();
        for pattern in patterns {
            found.extend(self.expand(pattern)?);
        }
        Ok(found)
    }

    fn removed(&mut self, path: &Path, what: What) -> Result<(), Over> {
        let Some(entry) = taken(path) else { return Ok(()) };
        match what {
            What::Trees => self.tree(Action::Delete, path),
            What::Files | What::FilesAndEmptyFolders if !entry.is_dir() => {
                self.entry(Action::Delete, path, entry.file_type(), || Some(entry))
            }
            What::EmptyFolders | What::FilesAndEmptyFolders if entry.is_dir() && is_empty(path) => {
                self.entry(Action::Delete, path, entry.file_type(), || Some(entry))
            }
            _ => self.in_time(),
        }
    }

    /// Counts `root` and all below it.
    pub(super) fn tree(&mut self, action: Action, root: &Path) -> Result<(), Over> {
        let device = fs::symlink_metadata(root).map_or(0, |entry| entry.dev());
        for entry in WalkDir::new(root).follow_root_links(false).same_file_system(true) {
            let Ok(entry) = entry else {
                self.left_out(action);
                continue;
            };
            let kind = entry.file_type();
            if kind.is_dir() && entry.metadata().map_or(true, |folder| folder.dev() != device) {
                self.left_out(action);
            }
            self.entry(action, entry.path(), kind, || entry.metadata().ok())?;
        }
        Ok(())
    }

    /// Counts one entry. `look` is asked only where its size or its links are wanted.
    pub(super) fn entry(
        &mut self,
        action: Action,
        path: &Path,
        kind: FileType,
        look: impl FnOnce() -> Option<Metadata>,
    ) -> Result<(), Over> {
        self.in_time()?;
        if !self.is_new(action, path) {
            return Ok(());
        }
        let file = if kind.is_file() { look() } else { None };
        let bytes = file.filter(|file| self.is_first_name(action, file)).map_or(0, |file| file.len());
        let mut progress = lock(self.progress);
        let tally = progress.radius.tally(action);
        if kind.is_dir() {
            tally.folders += 1;
        } else {
            tally.files += 1;
            tally.bytes += bytes;
            tally.git_repositories += u64::from(holds_repository(path));
        }
        Ok(())
    }

    /// Other content goes into the file `path`, through a link too. What is no regular file takes it and loses nothing.
    pub(super) fn written(&mut self, path: &Path) -> Result<(), Over> {
        match fs::metadata(path) {
            Ok(file) if file.is_file() => self.entry(Action::Overwrite, path, file.file_type(), || Some(file)),
            _ => self.in_time(),
        }
    }

    fn is_new(&mut self, action: Action, path: &Path) -> bool {
        let Some(counted) = &mut self.counted else { return true };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        counted.insert(self.hasher.hash_one((action, path)))
    }

    fn is_first_name(&mut self, action: Action, file: &Metadata) -> bool {
        file.nlink() < 2 || self.linked.insert((action, file.dev(), file.ino()))
    }

    /// `action` is what is counted from here on.
    pub(super) fn begin(&mut self, action: Action) {
        lock(self.progress).action = Some(action);
    }

    /// There is something that cannot be counted.
    pub(super) fn left_out(&mut self, action: Action) {
        let mut progress = lock(self.progress);
        let extent = &mut progress.radius.tally(action).extent;
        *extent = (*extent).max(Extent::AtLeast);
    }

    pub(super) fn in_time(&self) -> Result<(), Over> {
        if Instant::now() < self.end { Ok(()) } else { Err(Over) }
    }
}

/// What is at `path`, if it can be taken away: no program deletes or moves `.` and `..`, nor what a link with a slash
/// behind it leads to.
pub(super) fn taken(path: &Path) -> Option<Metadata> {
    if is_dots(path) || paths::without_slash(path).is_some_and(Path::is_symlink) {
        return None;
    }
    fs::symlink_metadata(path).ok()
}

/// `path` ends in `.` or `..`.
pub(super) fn is_dots(path: &Path) -> bool {
    let path = paths::without_slash(path).unwrap_or(path);
    let last = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next();
    matches!(last, Some(b"." | b".."))
}

pub(super) fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// Without the file at `path` its repository is none: `HEAD` of a `.git`, or the `.git` that stands for one elsewhere.
fn holds_repository(path: &Path) -> bool {
    let git = Some(OsStr::new(".git"));
    let inside = || path.parent().and_then(Path::file_name) == git;
    path.file_name() == git || path.file_name() == Some(OsStr::new("HEAD")) && inside()
}

fn takes_away(touch: &Touch) -> bool {
    use crate::safety::How;
    match touch {
        Touch::Remove { .. } | Touch::Transfer { how: How::Move, .. } => true,
        Touch::Find { action, .. } => *action != Action::Overwrite,
        _ => false,
    }
}

fn names_one_path(touches: &[Touch]) -> bool {
    match touches {
        [Touch::Remove { paths, .. }] => paths.len() == 1,
        [Touch::Find { .. }] => true,
        _ => false,
    }
}
