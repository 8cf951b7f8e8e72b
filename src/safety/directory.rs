//! Where a line has changed to, as far as it can be told.

use super::target;
use super::touch::Touch;
use super::walk::Walker;
use super::word::{Place, UNKNOWN, Word};

/// The working directory at one place of the line.
#[derive(Clone)]
pub(super) struct Directory {
    /// For the rules: where the line has changed to, and whether it is certain to be there.
    pub(super) changed: Option<(String, bool)>,
    pub(super) base: Base,
}

/// What relative paths are relative to.
#[derive(Clone)]
pub(super) enum Base {
    /// This pattern, itself relative to where the line began; empty for that place.
    Here(String),
    /// A directory that cannot be seen.
    Unseen,
    /// Another machine or another root: no path means what it means here.
    Elsewhere,
}

impl Directory {
    pub(super) fn start() -> Self {
        Self { changed: None, base: Base::Here(String::new()) }
    }

    pub(super) fn elsewhere() -> Self {
        Self { changed: None, base: Base::Elsewhere }
    }
}

impl Walker {
    /// The directory for relative paths; an uncertain one is not used.
    pub(super) fn cwd(&self) -> Option<&str> {
        match &self.directory.changed {
            Some((path, true)) => Some(path),
            Some((path, false)) if matches!(path.as_str(), "/" | "~" | "..") => Some(path),
            _ => None,
        }
    }

    pub(super) fn change_directory(&mut self, operands: &[Word]) {
        self.change_base(operands);
        let path = operands.first().map_or("~", |word| word.text.as_str());
        if path.contains(UNKNOWN) || path == "-" {
            self.directory.changed = None;
            return;
        }
        let path = target::normalize(path, self.cwd());
        self.directory.changed = Some((path, true));
    }

    fn change_base(&mut self, operands: &[Word]) {
        if matches!(self.directory.base, Base::Elsewhere) {
            return;
        }
        let path = match operands {
            [] => self.path(&Word::new("~", (0, 0))),
            [word] if !matches!(word.place, Place::OneOf) && word.text != "-" => self.path(word),
            _ => None,
        };
        self.directory.base = match path.filter(|path| !path.contains(['*', '?', '['])) {
            Some(path) => {
                self.touched(Touch::Enter(path.clone()));
                Base::Here(path)
            }
            None => Base::Unseen,
        };
    }
}
