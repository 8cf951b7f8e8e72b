//! Which paths a command deletes, moves or overwrites, for [`super::touch`]. What is not surely known is [`Touch::Unseen`]:
//! a count that is too small is worse than none.

use super::directory::Base;
use super::touch::{Action, Existing, How, Search, Touch, What};
use super::walk::{Command, Walker};
use super::word::{PIPE_FILE, Place, QUOTED, SOME, UNKNOWN, Word};
use crate::request::Shell;

/// Paths of one line that are looked at.
const MAX_PATHS: usize = 256;

impl Walker {
    /// Notes what is done to paths, except where they mean something else than here.
    pub(super) fn touched(&mut self, touch: Touch) {
        if matches!(self.directory.base, Base::Elsewhere) || self.touches.contains(&touch) {
            return;
        }
        self.touched_paths += match &touch {
            Touch::Remove { paths, .. } | Touch::Write { paths } | Touch::Transfer { sources: paths, .. } => {
                paths.len()
            }
            Touch::Enter(_) | Touch::Find { .. } | Touch::Unseen(_) => 1,
        };
        if self.touched_paths > MAX_PATHS {
            self.guesses = true;
        } else {
            self.touches.push(touch);
        }
    }

    /// What the whole line does to paths; nothing where it was not read as the shell reads it.
    pub(super) fn take_touches(&mut self) -> Vec<Touch> {
        let misread = |rule: &str| matches!(rule, "unparsed" | "too-long");
        if self.guesses || self.findings.iter().any(|finding| misread(&finding.rule)) {
            return Vec::new();
        }
        if self.touches.iter().all(|touch| matches!(touch, Touch::Enter(_) | Touch::Unseen(_))) {
            return Vec::new();
        }
        std::mem::take(&mut self.touches)
    }

    /// The commands of this module, but for `find`, `sed -i` and redirections, which come to it by themselves.
    pub(super) fn reach(&mut self, command: &Command) {
        let words = |valued: &str| command.operands_after(valued).cloned().collect::<Vec<Word>>();
        match command.name.as_str() {
            "rm" | "srm" if command.has_gnu("-r -R --recursive") => self.removed(&words(""), What::Trees),
            "rm" | "srm" if command.has_gnu("-d --dir") => self.removed(&words(""), What::FilesAndEmptyFolders),
            "rm" | "srm" | "unlink" => self.removed(&words(""), What::Files),
            "trash" | "trash-put" | "rip" => self.removed(&words(""), What::Trees),
            "rmdir" if command.has_gnu("-p --parents") => self.touched(Touch::Unseen(Action::Delete)),
            "rmdir" => self.removed(&words(""), What::EmptyFolders),
            "shred" if command.has_gnu("-u --remove") => self.removed(&words("-n -s --size"), What::Files),
            "shred" => self.written(&words("-n -s --size")),
            "truncate" => self.written(&words("-s -r --size --reference")),
            "tee" if !command.has_gnu("-a --append") => self.written(&words("")),
            "sort" => self.written(&command.value_of("-o --output").into_iter().collect::<Vec<_>>()),
            "dd" => {
                let into = command.args.iter().find_map(|word| Some(word.with_text(word.text.strip_prefix("of=")?)));
                self.written(&into.into_iter().collect::<Vec<_>>());
            }
            "mv" => self.transfer(command, How::Move, &words("-t -S --target-directory --suffix")),
            "cp" | "gcp" => {
                let tree = command.has_gnu("-r -R -a --recursive --archive");
                let how = if tree { How::CopyTree } else { How::Copy };
                self.transfer(command, how, &words("-t -S --target-directory --suffix"));
            }
            "install" if command.has_gnu("-d --directory") => {}
            "install" => {
                let valued = "-m -o -g -t -S --mode --owner --group --target-directory --suffix";
                self.transfer(command, How::Copy, &words(valued));
            }
            "ln" if command.has_gnu("-f --force") => {
                self.transfer(command, How::Link, &words("-t -S --target-directory --suffix"));
            }
            "rsync" if command.args.iter().any(|word| word.text.starts_with("--del")) => {
                self.touched(Touch::Unseen(Action::Delete));
            }
            "git" if command.args.iter().any(|word| matches!(word.text.as_str(), "clean" | "rm")) => {
                self.touched(Touch::Unseen(Action::Delete));
            }
            "popd" => self.directory.base = Base::Unseen,
            // What patterns match is no longer known.
            "shopt" | "setopt" | "unsetopt" | "emulate" => self.guesses = true,
            "set" if command.has("-f") => self.guesses = true,
            _ => {}
        }
    }

    fn removed(&mut self, words: &[Word], what: What) {
        let paths = self.paths(Action::Delete, what, words);
        if !paths.is_empty() {
            self.touched(Touch::Remove { paths, what });
        }
    }

    /// Files whose content is replaced.
    pub(super) fn written(&mut self, words: &[Word]) {
        // Devices and streams; what is behind them here is not what is behind them there.
        let files: Vec<Word> =
            words.iter().filter(|word| !word.text.starts_with("/dev/") && word.text != "-").cloned().collect();
        let paths = self.paths(Action::Overwrite, What::Files, &files);
        if !paths.is_empty() {
            self.touched(Touch::Write { paths });
        }
    }

    /// The paths that `words` are; what a search found is noted at once, as is that one cannot be seen.
    fn paths(&mut self, action: Action, what: What, words: &[Word]) -> Vec<String> {
        let mut paths = Vec::new();
        for word in words {
            if let Place::Found(search) = &word.place {
                self.touched(Touch::Find { action, search: Search::clone(search), what });
            } else if let Some(path) = self.path(word) {
                paths.push(path);
            } else {
                self.touched(Touch::Unseen(action));
            }
        }
        paths
    }

    /// `mv`, `cp`, `install`, `ln`: what goes away, and what it may lie on afterwards.
    fn transfer(&mut self, command: &Command, how: How, operands: &[Word]) {
        let named = command.value_of("-t --target-directory");
        // The words of one loop variable all stand here at once, though each has its own turn.
        let in_turn = operands.iter().any(|word| matches!(word.place, Place::OneOf));
        let unread = command.has_gnu("-u --update --parents") || how != How::Link && command.has("-l -s --link");
        let single = operands.len() == 1 && named.is_none();
        let (sources, into) = match (named, operands.split_last()) {
            (Some(into), _) => (operands, Some(into)),
            (None, Some((into, sources))) if !single => (sources, Some(into.clone())),
            (None, Some(_)) if how == How::Link => (operands, Some(Word::new(".", command.span))),
            _ => return,
        };
        let action = if how == How::Move { Action::Move } else { Action::Overwrite };
        if unread {
            return self.touched(Touch::Unseen(action));
        }
        let into = into.filter(|_| !in_turn).and_then(|into| self.path(&into));
        if into.is_none() {
            self.touched(Touch::Unseen(Action::Overwrite));
        }
        let sources = self.paths(action, What::Trees, sources);
        if sources.is_empty() || into.is_none() && how != How::Move {
            return;
        }
        let existing = match () {
            () if command.has_gnu("-n --no-clobber") && how != How::Link => Existing::Kept,
            () if command.has("-b -S --backup --suffix") => Existing::Renamed,
            () => Existing::Replaced,
        };
        let exactly =
            command.has_gnu("-T --no-target-directory") || how == How::Link && command.has_gnu("-n --no-dereference");
        self.touched(Touch::Transfer { how, sources, into, exactly, existing });
    }

    /// The pattern of the path that `word` is, if all of it is known.
    pub(super) fn path(&self, word: &Word) -> Option<String> {
        let value = match &word.place {
            Place::Text | Place::OneOf => word.text.as_str(),
            Place::Marked(value) => value.as_str(),
            Place::Found(_) | Place::Unseen => return None,
        };
        if value.is_empty() || value.contains([UNKNOWN, SOME, PIPE_FILE]) {
            return None;
        }
        let home = value == "~" || value.starts_with("~/");
        if value.starts_with('~') && (!home || self.other_user && self.in_script()) {
            return None;
        }
        let path = glob_syntax(value, self.shell)?;
        match &self.directory.base {
            Base::Here(base) if home || base.is_empty() || path.starts_with('/') => Some(path),
            Base::Here(base) => Some(format!("{}/{path}", base.trim_end_matches('/'))),
            _ if home || path.starts_with('/') => Some(path),
            _ => None,
        }
    }
}

/// `value`, with the marks of what is quoted, in the syntax of the crate `glob`; none where a pattern has no like there.
fn glob_syntax(value: &str, shell: Shell) -> Option<String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            QUOTED => {
                let next = rest.chars().next()?;
                rest = &rest[next.len_utf8()..];
                match next {
                    '*' | '?' | '[' => out.extend(['[', next, ']']),
                    '~' if out.is_empty() => out.push_str("./~"),
                    _ => out.push(next),
                }
            }
            '[' if shell == Shell::Fish => out.push_str("[[]"),
            '?' if shell == Shell::Fish => return None,
            '*' if out.ends_with('*') => {
                // Deep in zsh and fish, and in bash if so set.
                let whole = (out == "*" || out.ends_with("/*")) && (rest.is_empty() || rest.starts_with('/'));
                match shell {
                    Shell::Zsh if whole && !rest.is_empty() => out.push('*'),
                    Shell::Bash if !whole => {}
                    _ => return None,
                }
            }
            '[' => {
                let end = rest.get(1..)?.find(']')? + 1;
                let class = &rest[..end];
                if class.contains(['[', QUOTED, '/', '\\']) {
                    return None;
                }
                out.push('[');
                out.push_str(&class.replacen('^', "!", usize::from(class.starts_with('^'))));
                out.push(']');
                rest = &rest[end + 1..];
            }
            '(' => return None,
            '{' if rest.contains("..") => return None,
            c => out.push(c),
        }
    }
    Some(out)
}
