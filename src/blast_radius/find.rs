//! A `find`, looked at in its place: the same tests over the same entries.

use std::{
    fs::{FileType, Metadata},
    os::unix::fs::{FileTypeExt, MetadataExt},
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use glob::{MatchOptions, Pattern};
use walkdir::{DirEntry, WalkDir};

use super::{
    Over,
    count::{Counter, is_dots, is_empty},
    paths::fits,
};
use crate::safety::{Action, Search, Test, TestKind, Than, What};

impl Counter<'_> {
    /// Counts what `action` reaches of that which `search` finds.
    pub(super) fn search(&mut self, action: Action, search: &Search, what: What) -> Result<(), Over> {
        let Some(tests) = Tests::of(search) else {
            self.left_out(action);
            return Ok(());
        };
        for root in self.expand(&search.root)? {
            match what {
                What::FilesAndEmptyFolders => self.emptied(action, &root, &tests)?,
                _ => self.met(action, &root, &tests, what)?,
            }
        }
        Ok(())
    }

    /// In the order of `find`: a directory before what is in it.
    fn met(&mut self, action: Action, root: &Path, tests: &Tests, what: What) -> Result<(), Over> {
        let mut walk = walk(root, tests.search).into_iter();
        while let Some(entry) = walk.next() {
            self.in_time()?;
            let Ok(entry) = entry else {
                self.left_out(action);
                continue;
            };
            if !tests.hold(&entry, None) {
                continue;
            }
            let (path, folder) = (entry.path(), entry.file_type().is_dir());
            let taken = what == What::Trees && folder && !is_dots(path);
            match what {
                What::Trees if taken => self.tree(action, path)?,
                What::EmptyFolders if folder && is_empty(path) => self.found(action, &entry)?,
                What::Files if !folder && action == Action::Overwrite => self.written(path)?,
                What::Files | What::Trees if !folder => self.found(action, &entry)?,
                _ => {}
            }
            if folder && (taken || tests.search.prune) {
                walk.skip_current_dir();
            }
        }
        Ok(())
    }

    /// In the order of `find -delete`: what is in a directory before it, which goes only if nothing is left in it.
    fn emptied(&mut self, action: Action, root: &Path, tests: &Tests) -> Result<(), Over> {
        // Whether something stays in the directory at each depth.
        let mut stays = Vec::new();
        for entry in walk(root, tests.search).contents_first(true) {
            self.in_time()?;
            let depth = entry.as_ref().map_or_else(walkdir::Error::depth, DirEntry::depth);
            stays.resize(stays.len().max(depth + 2), false);
            let Ok(entry) = entry else {
                self.left_out(action);
                stays[depth] = true;
                continue;
            };
            let folder = entry.file_type().is_dir();
            let entered = depth < tests.search.max_depth;
            let left = std::mem::take(&mut stays[depth + 1]) || folder && !entered && !is_empty(entry.path());
            if tests.hold(&entry, Some(!left)) && !(folder && (left || is_dots(entry.path()))) {
                self.found(action, &entry)?;
            } else {
                stays[depth] = true;
            }
        }
        Ok(())
    }

    fn found(&mut self, action: Action, entry: &DirEntry) -> Result<(), Over> {
        self.entry(action, entry.path(), entry.file_type(), || entry.metadata().ok())
    }
}

fn walk(root: &Path, search: &Search) -> WalkDir {
    WalkDir::new(root).follow_root_links(false).same_file_system(true).max_depth(search.max_depth)
}

/// The tests of a search, ready for use.
struct Tests<'s> {
    search: &'s Search,
    /// As many as there are tests; none for those without.
    patterns: Vec<Option<Pattern>>,
    now: i64,
}

impl<'s> Tests<'s> {
    /// None where a pattern is not one.
    fn of(search: &'s Search) -> Option<Self> {
        let compiled = |test: &Test| match &test.kind {
            TestKind::Name { pattern, .. } | TestKind::Path { pattern, .. } => Pattern::new(pattern).ok().map(Some),
            _ => Some(None),
        };
        let patterns = search.tests.iter().map(compiled).collect::<Option<_>>()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64);
        Some(Self { search, patterns, now })
    }

    /// Whether all of them hold for `entry`; `emptied` where it is known whether a directory is.
    fn hold(&self, entry: &DirEntry, emptied: Option<bool>) -> bool {
        let holds = |(test, pattern): (&Test, &Option<Pattern>)| {
            self.holds(&test.kind, pattern.as_ref(), entry, emptied) != test.negated
        };
        entry.depth() >= self.search.min_depth && self.search.tests.iter().zip(&self.patterns).all(holds)
    }

    fn holds(&self, kind: &TestKind, pattern: Option<&Pattern>, entry: &DirEntry, emptied: Option<bool>) -> bool {
        let options = |any_case: &bool| MatchOptions { case_sensitive: !any_case, ..MatchOptions::new() };
        let about = |test: &dyn Fn(&Metadata) -> bool| entry.metadata().is_ok_and(|entry| test(&entry));
        match kind {
            TestKind::Name { any_case, .. } => pattern.is_some_and(|p| fits(p, entry.file_name(), options(any_case))),
            TestKind::Path { any_case, .. } => {
                pattern.is_some_and(|p| fits(p, entry.path().as_os_str(), options(any_case)))
            }
            TestKind::Type(letters) => letters.contains(letter(entry.file_type())),
            TestKind::Empty if entry.file_type().is_dir() => emptied.unwrap_or_else(|| is_empty(entry.path())),
            TestKind::Empty => entry.file_type().is_file() && about(&|file| file.len() == 0),
            TestKind::Size { than, count, unit } => about(&|file| compare(*than, file.len().div_ceil(*unit), *count)),
            TestKind::Age { than, count, unit } => about(&|file| aged(self.now - file.mtime(), *than, *count, *unit)),
        }
    }
}

fn compare(than: Than, value: u64, count: u64) -> bool {
    match than {
        Than::More => value > count,
        Than::Exactly => value == count,
        Than::Less => value < count,
    }
}

/// Days count when they are over, minutes when they have begun, as GNU find has it.
fn aged(seconds: i64, than: Than, count: u64, unit: u64) -> bool {
    let seconds = seconds.max(0) as u64;
    match than {
        Than::Less => seconds < count * unit,
        Than::More if unit == 60 => seconds > count * unit,
        Than::Exactly if unit == 60 => seconds.div_ceil(unit) == count,
        _ => compare(than, seconds / unit, count),
    }
}

/// The letter of `find -type`.
fn letter(kind: FileType) -> char {
    match () {
        () if kind.is_file() => 'f',
        () if kind.is_dir() => 'd',
        () if kind.is_symlink() => 'l',
        () if kind.is_fifo() => 'p',
        () if kind.is_socket() => 's',
        () if kind.is_block_device() => 'b',
        () => 'c',
    }
}
