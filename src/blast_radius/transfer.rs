//! `mv`, `cp` and `ln`: what goes away, and what is already where it goes.

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use walkdir::WalkDir;

use super::{
    Over,
    count::{Counter, is_dots, is_empty, taken},
    paths::without_slash,
};
use crate::safety::{Action, Existing, How};

impl Counter<'_> {
    /// Counts what `sources`, moved, copied or linked to `into`, leave behind and lie on.
    pub(super) fn transfer(
        &mut self,
        how: How,
        sources: &[String],
        into: Option<&str>,
        exactly: bool,
        existing: Existing,
    ) -> Result<(), Over> {
        self.begin(if how == How::Move { Action::Move } else { Action::Overwrite });
        let sources = self.all(sources)?;
        let into = match into {
            Some(into) => self.expand(into)?,
            None => Vec::new(),
        };
        let [into] = into.as_slice() else {
            // Where to cannot be told: what moves is all there is to count.
            self.left_out(Action::Overwrite);
            let moved = sources.iter().filter(|_| how == How::Move);
            return moved.filter(|path| taken(path).is_some()).try_for_each(|path| self.gone(path));
        };
        let folder = !exactly && fs::metadata(into).is_ok_and(|into| into.is_dir());
        if !folder && sources.len() > 1 {
            self.present = true;
            return Ok(());
        }
        for source in &sources {
            let target = target(source, into, folder);
            match how {
                How::Move => self.moved(source, &target, existing)?,
                How::Copy | How::CopyTree => self.copied(source, &target, how, existing)?,
                How::Link => self.linked(source, &target, existing)?,
            }
        }
        Ok(())
    }

    fn gone(&mut self, path: &Path) -> Result<(), Over> {
        self.present = true;
        self.begin(Action::Move);
        self.tree(Action::Move, path)
    }

    fn moved(&mut self, source: &Path, target: &Path, existing: Existing) -> Result<(), Over> {
        self.present |= fs::symlink_metadata(source).is_ok();
        let Some(entry) = taken(source) else { return Ok(()) };
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !fs::metadata(parent).is_ok_and(|parent| parent.is_dir()) || entry.is_dir() && is_inside(parent, source) {
            return Ok(());
        }
        let before = fs::symlink_metadata(target).ok();
        if let Some(before) = &before {
            let kept = existing == Existing::Kept || is_same(before, &entry);
            let fits = match (entry.is_dir(), before.is_dir()) {
                (true, true) => is_empty(target),
                (from, to) => from == to,
            };
            if kept || !fits && existing != Existing::Renamed {
                return Ok(());
            }
        } else if !entry.is_dir() && without_slash(target).is_some() {
            return Ok(());
        }
        self.gone(source)?;
        match before.filter(|before| !before.is_dir() && existing == Existing::Replaced) {
            Some(before) => {
                self.begin(Action::Overwrite);
                self.entry(Action::Overwrite, target, before.file_type(), || Some(before))
            }
            None => Ok(()),
        }
    }

    fn copied(&mut self, source: &Path, target: &Path, how: How, existing: Existing) -> Result<(), Over> {
        let Ok(from) = fs::metadata(source) else { return Ok(()) };
        if existing != Existing::Replaced {
            return Ok(());
        }
        if !from.is_dir() {
            return self.covered(&from, target);
        }
        if how == How::Copy || fs::symlink_metadata(source).is_ok_and(|entry| entry.is_symlink()) {
            return Ok(());
        }
        for entry in WalkDir::new(source).follow_root_links(false).same_file_system(true) {
            self.in_time()?;
            let Ok(entry) = entry else {
                self.left_out(Action::Overwrite);
                continue;
            };
            let below = entry.path().strip_prefix(source).unwrap_or(Path::new(""));
            if let (false, Ok(from)) = (entry.file_type().is_dir(), entry.metadata()) {
                self.covered(&from, &target.join(below))?;
            }
        }
        Ok(())
    }

    /// A copy of `from` goes to `target`.
    fn covered(&mut self, from: &Metadata, target: &Path) -> Result<(), Over> {
        if fs::metadata(target).is_ok_and(|before| is_same(&before, from)) {
            return Ok(());
        }
        self.written(target)
    }

    fn linked(&mut self, source: &Path, target: &Path, existing: Existing) -> Result<(), Over> {
        let Ok(before) = fs::symlink_metadata(target) else { return Ok(()) };
        let same = source == target || fs::symlink_metadata(source).is_ok_and(|source| is_same(&before, &source));
        if before.is_dir() || same || existing != Existing::Replaced {
            return Ok(());
        }
        self.entry(Action::Overwrite, target, before.file_type(), || Some(before))
    }
}

/// Where `source` comes to lie.
fn target(source: &Path, into: &Path, folder: bool) -> PathBuf {
    match source.file_name() {
        Some(name) if folder && !is_dots(source) => into.join(name),
        _ => into.to_owned(),
    }
}

fn is_same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

fn is_inside(path: &Path, folder: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    real(path).zip(real(folder)).is_some_and(|(path, folder)| path.starts_with(folder))
}
