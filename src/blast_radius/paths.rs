//! From a pattern to the paths that are there, as a shell does it: names that begin with a dot only where the pattern
//! does, links to directories entered where the pattern goes on behind them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use glob::{MatchOptions, Pattern};
use walkdir::WalkDir;

use super::{Over, count::Counter};

/// How shells match the names in a directory.
const IN_SHELLS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl Counter<'_> {
    /// The paths that `pattern` names: one without anything to match is its own, whether it is there or not.
    pub(super) fn expand(&mut self, pattern: &str) -> Result<Vec<PathBuf>, Over> {
        let (mut start, rest) = match pattern.strip_prefix('~') {
            Some(rest) => match &self.home {
                Some(home) => (home.clone(), rest),
                None => return Ok(Vec::new()),
            },
            None => (PathBuf::new(), pattern),
        };
        if rest.starts_with('/') && start.as_os_str().is_empty() {
            start.push("/");
        }
        let mut found = vec![start];
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        for (at, part) in parts.iter().enumerate() {
            let last = at + 1 == parts.len();
            found = self.step(found, part, last)?;
        }
        if rest.ends_with('/') && !parts.is_empty() {
            // So that only a directory is there.
            found.iter_mut().for_each(|path| path.push(""));
        }
        Ok(found)
    }

    fn step(&mut self, folders: Vec<PathBuf>, part: &str, last: bool) -> Result<Vec<PathBuf>, Over> {
        if !part.contains(['*', '?', '[']) {
            return Ok(folders.into_iter().map(|folder| folder.join(part)).collect());
        }
        let mut found = Vec::new();
        for folder in folders {
            if part == "**" {
                self.below(&folder, &mut found)?;
            } else {
                self.matching(&folder, part, last, &mut found)?;
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    fn matching(&mut self, folder: &Path, part: &str, last: bool, found: &mut Vec<PathBuf>) -> Result<(), Over> {
        let Ok(pattern) = Pattern::new(part) else { return Ok(()) };
        let Ok(entries) = fs::read_dir(or_here(folder)) else { return Ok(()) };
        for entry in entries.flatten() {
            self.in_time()?;
            let (name, path) = (entry.file_name(), || folder.join(entry.file_name()));
            if fits(&pattern, &name, IN_SHELLS) && (last || path().is_dir()) {
                found.push(path());
            }
        }
        Ok(())
    }

    /// `folder` and the directories below it.
    fn below(&mut self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Over> {
        let hidden = |name: &OsStr| name.as_bytes().starts_with(b".");
        let walk = WalkDir::new(or_here(folder)).follow_root_links(false).same_file_system(true).into_iter();
        let seen = |entry: &walkdir::DirEntry| entry.depth() == 0 || !hidden(entry.file_name());
        for entry in walk.filter_entry(seen).flatten().filter(|entry| entry.file_type().is_dir()) {
            self.in_time()?;
            found.push(entry.into_path());
        }
        Ok(())
    }
}

/// Whether `name` fits: what is not UTF-8 in it stands for any one character.
pub(super) fn fits(pattern: &Pattern, name: &OsStr, options: MatchOptions) -> bool {
    pattern.matches_with(&name.to_string_lossy(), options)
}

/// `path` without the slashes at its end, if it has any and is not `/`.
pub(super) fn without_slash(path: &Path) -> Option<&Path> {
    let bytes = path.as_os_str().as_bytes();
    let end = bytes.iter().rposition(|byte| *byte != b'/')? + 1;
    (end < bytes.len()).then(|| Path::new(OsStr::from_bytes(&bytes[..end])))
}

fn or_here(folder: &Path) -> &Path {
    if folder.as_os_str().is_empty() { Path::new(".") } else { folder }
}
