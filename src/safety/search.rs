//! The tests of a `find`, read in order up to the action that they guard. A test or operator that is not known here makes
//! the whole search one that cannot be seen.

use super::touch::{Search, Test, TestKind, Than};
use super::walk::{Command, Walker};
use super::word::{Place, SOME, UNKNOWN, Word};

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

impl Walker {
    /// For each root of `command` the search whose finds the action at `args[action]` gets.
    pub(super) fn searches(&self, command: &Command, action: usize) -> Vec<Option<Search>> {
        let after_options = command.args.iter().position(|word| word.text != "-P").unwrap_or(0);
        let args = &command.args[after_options.min(action)..];
        let (before, behind) = args.split_at(action - after_options.min(action));
        let roots = before.iter().take_while(|word| !word.text.starts_with(['-', '!', '('])).count();
        // These count for all of the line, wherever they stand.
        let global = |word: &Word| matches!(word.text.as_str(), "-maxdepth" | "-mindepth" | "-daystart");
        let template = if behind.iter().any(global) { None } else { expression(&before[roots..]) };
        let here = [Word::new(".", command.span)];
        let roots = if roots == 0 { &here } else { &before[..roots] };
        let search = |root: &Word| Some(Search { root: self.path(root)?, ..template.clone()? });
        roots.iter().map(search).collect()
    }
}

/// The tests in `words`, all of which must hold.
fn expression(words: &[Word]) -> Option<Search> {
    let mut search =
        Search { root: String::new(), tests: Vec::new(), min_depth: 0, max_depth: usize::MAX, prune: false };
    let mut words = words.iter();
    let mut negated = false;
    while let Some(word) = words.next() {
        if search.prune {
            return None;
        }
        let mut value = || words.next().and_then(text);
        let kind = match word.text.as_str() {
            "!" | "-not" => {
                negated = !negated;
                continue;
            }
            "-a" | "-and" | "-print" | "-print0" | "-depth" | "-d" | "-xdev" | "-mount" | "-true" if !negated => {
                continue;
            }
            "-maxdepth" if !negated => {
                search.max_depth = value()?.parse().ok()?;
                continue;
            }
            "-mindepth" if !negated => {
                search.min_depth = value()?.parse().ok()?;
                continue;
            }
            "-prune" if !negated => {
                search.prune = true;
                continue;
            }
            name @ ("-name" | "-iname") => TestKind::Name { pattern: pattern(value()?)?, any_case: name == "-iname" },
            name @ ("-path" | "-wholename" | "-ipath") => {
                TestKind::Path { pattern: pattern(value()?)?, any_case: name == "-ipath" }
            }
            "-type" => TestKind::Type(value()?.replace(',', "")),
            "-empty" => TestKind::Empty,
            "-size" => size(value()?)?,
            "-mtime" => age(value()?, DAY)?,
            "-mmin" => age(value()?, 60)?,
            _ => return None,
        };
        search.tests.push(Test { negated, kind });
        negated = false;
    }
    Some(search)
}

/// The text of a word that the shell leaves as it is.
fn text(word: &Word) -> Option<&str> {
    let fixed = match word.place {
        Place::Text => !word.text.contains(['*', '?', '[', UNKNOWN, SOME]) && !word.text.starts_with('~'),
        Place::Marked(_) => !word.text.contains([UNKNOWN, SOME]),
        _ => false,
    };
    fixed.then_some(word.text.as_str())
}

/// A pattern of `find` in the syntax of the crate `glob`.
fn pattern(text: &str) -> Option<String> {
    if text.contains('\\') || text.contains("[:") {
        return None;
    }
    let mut pattern = text.replace("[^", "[!");
    while pattern.contains("**") {
        pattern = pattern.replace("**", "*");
    }
    Some(pattern)
}

fn than(text: &str) -> (Than, &str) {
    match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(rest), _) => (Than::More, rest),
        (_, Some(rest)) => (Than::Less, rest),
        _ => (Than::Exactly, text),
    }
}

fn size(text: &str) -> Option<TestKind> {
    let (than, rest) = than(text);
    let digits = rest.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &rest[digits.len()..] {
        "" | "b" => 512,
        "c" => 1,
        "w" => 2,
        "k" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    Some(TestKind::Size { than, count: digits.parse().ok()?, unit })
}

fn age(text: &str, unit: u64) -> Option<TestKind> {
    let (than, count) = than(text);
    Some(TestKind::Age { than, count: count.parse().ok()?, unit })
}
