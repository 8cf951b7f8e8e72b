//! Searches that act on what they find: `find -delete`, `find -exec`, and the list that runs on through a pipe.
//!
//! What a search finds is written as one pattern for each root, `ROOT/**/FILTER`, so that the rules on paths apply.

use std::rc::Rc;

use super::rules::Effect;
use super::target::{self, Target};
use super::touch::{Action, Search, Touch, What};
use super::walk::{Command, Walker};
use super::word::{Flow, Place, SOME, UNKNOWN, Word};

impl Walker {
    /// `find`: what it deletes itself, or passes to another command.
    pub(super) fn find(&mut self, command: &Command) {
        let names = find_patterns(command);
        if let Some(at) = command.args.iter().position(|word| word.text == "-delete") {
            // What stands behind it is tested when the file is gone.
            let args = command.args[..at].to_vec();
            let before = Command { name: command.name.clone(), args, stdin: Flow::default(), span: command.span };
            let names = find_patterns(&before);
            let filtered = names.iter().any(|name| !name.ends_with("/*"));
            for search in self.searches(command, at) {
                self.touched(search.map_or(Touch::Unseen(Action::Delete), |search| Touch::Find {
                    action: Action::Delete,
                    search,
                    what: What::FilesAndEmptyFolders,
                }));
            }
            for name in &names {
                let effect = if filtered { Effect::DeleteMatching } else { Effect::DeleteTree };
                let pruned = name.ends_with("__pycache__") && command.args.iter().any(|word| word.text == "d");
                if !pruned {
                    self.touch_found(effect, &Word::new(name.as_str(), command.span));
                }
            }
        }
        for option in ["-fprint", "-fprintf", "-fls"] {
            if let Some(file) = command.value_of(option) {
                self.write(&file, &Flow::unseen(0), false);
            }
        }
        let mut from = 0;
        let runs = |word: &Word| matches!(word.text.as_str(), "-exec" | "-execdir" | "-ok" | "-okdir");
        while let Some(at) = command.args[from..].iter().position(runs).map(|at| from + at) {
            let tail = &command.args[at + 1..];
            let end = tail.iter().position(|w| matches!(w.text.as_str(), ";" | "+" | "\\;")).unwrap_or(tail.len());
            let searches = self.searches(command, at).into_iter().chain(std::iter::repeat(None));
            let found = |(name, search): (&String, Option<Search>)| Word {
                place: search.map_or(Place::Unseen, |search| Place::Found(Rc::new(search))),
                ..Word::new(name.as_str(), command.span)
            };
            let found: Vec<Word> = names.iter().zip(searches).map(found).collect();
            self.each_name(&tail[..end], &found, "{}", command.span);
            from = at + 1 + end;
        }
    }

    /// A pattern below a search root: the level of the root counts, unless the filter bounds it.
    pub(super) fn touch_found(&mut self, effect: Effect, word: &Word) {
        let Some((root, pattern)) = word.text.split_once("/**/") else { return self.touch(effect, word) };
        let root = if root.is_empty() { "/" } else { root };
        let place = target::classify(root, self.cwd());
        let junk = matches!(
            pattern,
            ".DS_Store" | "*.pyc" | "*.pyo" | "Thumbs.db" | "*~" | "*.swp" | "*.swo" | "desktop.ini" | "._*"
        );
        let bounded = pattern != "*";
        let effect = match place {
            Target::Here | Target::Project | Target::Build if !bounded => {
                if place == Target::Here {
                    Effect::DeleteTree
                } else {
                    effect
                }
            }
            Target::Here | Target::Project => return self.touch(effect, &Word::new(format!("x/{pattern}"), word.span)),
            Target::Root | Target::Home if junk => return self.touch(Effect::Delete, &Word::new("x", word.span)),
            Target::AllTmp | Target::Tmp | Target::InHome | Target::Data | Target::Cache | Target::Parent
                if bounded =>
            {
                return self.touch(Effect::Delete, &Word::new("x", word.span));
            }
            Target::System if bounded && (root.starts_with("/var/log") || root.starts_with("/var/tmp")) => {
                return self.touch(Effect::Delete, &Word::new("x", word.span));
            }
            Target::Unknown if bounded => Effect::DeleteMatching,
            _ => Effect::DeleteTree,
        };
        self.touch(effect, &Word::new(root, word.span));
    }

    /// The files that a search prints, as patterns.
    pub(super) fn find_names(&self, command: &Command) -> Flow {
        Flow::names(find_patterns(command))
    }
}

/// Options of fd that take the next word; `-x` ends its own words.
const FD_VALUED: &str = "-e -t -x -X -d -E --extension --type --exclude --exec --exec-batch --max-depth";

/// The patterns that `find` or `fd` matches: each root with its filter.
fn find_patterns(command: &Command) -> Vec<String> {
    let is_find = command.name == "find";
    let mut roots: Vec<String> = Vec::new();
    if is_find {
        let leading = command.args.iter().skip_while(|word| matches!(word.text.as_str(), "-L" | "-H" | "-P" | "-E"));
        roots.extend(leading.take_while(|word| !word.text.starts_with(['-', '!', '('])).map(|word| word.text.clone()));
    }
    if !is_find {
        roots.extend(
            command
                .operands_after(FD_VALUED)
                .skip(1)
                .take_while(|word| word.text != "rm")
                .map(|word| word.text.clone()),
        );
    }
    if roots.is_empty() {
        roots.push(".".into());
    }
    let pattern = find_filter(command, is_find);
    roots.iter().map(|root| format!("{}/**/{pattern}", root.trim_end_matches('/'))).collect()
}

/// The name filter of a search: its pattern, a guard mark for a bounding test, or `*`.
fn find_filter(command: &Command, is_find: bool) -> String {
    let texts: Vec<&str> = command.args.iter().map(|word| word.text.as_str()).collect();
    if !is_find {
        let operand = command.operands_after(FD_VALUED).next().filter(|word| word.text != ".");
        return if texts.iter().any(|t| matches!(*t, "-e" | "--extension")) || operand.is_some() {
            SOME.to_string()
        } else {
            "*".into()
        };
    }
    let negated = |at: usize| at > 0 && matches!(texts[at - 1], "!" | "-not");
    let mut bounded = false;
    for (at, text) in texts.iter().enumerate().filter(|(at, _)| !negated(*at)) {
        let value = texts.get(at + 1).copied().unwrap_or("");
        match *text {
            "-name" | "-iname" if value != "*" && !value.contains(UNKNOWN) => {
                return value.trim_start_matches("./").to_owned();
            }
            "-path" | "-ipath" | "-wholename" | "-regex" | "-iregex" | "-mtime" | "-atime" | "-ctime" | "-mmin"
            | "-amin" | "-cmin" | "-newer" | "-size" | "-empty" | "-perm" | "-user" | "-group" | "-inum" | "-links"
            | "-nouser" | "-nogroup" | "-xtype" => bounded = true,
            _ => {}
        }
    }
    if bounded { SOME.to_string() } else { "*".into() }
}
