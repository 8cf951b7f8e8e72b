//! What a model writes often and a shell does not do as meant, put right where only one thing can be meant.
//!
//! Each repair is of a trap that is known from people's scripts, and leaves every other command as it is:
//! - `find . -name a -o -name b -delete` deletes `b` alone (ShellCheck SC2146): the alternatives get their parentheses;
//! - `find . -name *.txt`, `grep -r --include=*.c`, `curl http://host/?page=2`, `pip install black[d]` are patterns to
//!   the shell first (SC2061), and an error in zsh where nothing fits: they get quotes;
//! - `gzip app.log` for `logs/app.log`, of which the person gave the folder: it comes back;
//! - `gzip app.log` where the file lies in `logs` alone: the folder is added.

use std::ops::Range;

use super::{admit, columns::separated};
use crate::{
    context::Context,
    request::{Request, Shell, Suggestion, names},
    safety,
};

/// Tests of `find` whose value is a pattern.
const PATTERN_TESTS: [&str; 8] =
    ["-name", "-iname", "-path", "-ipath", "-wholename", "-iwholename", "-regex", "-iregex"];

/// Options whose value is a pattern for the program itself.
const PATTERN_OPTIONS: [&str; 3] = ["--include=", "--exclude=", "--exclude-dir="];

/// What ends the tests of `find` and does something.
const ACTIONS: [&str; 12] = [
    "-delete", "-exec", "-execdir", "-ok", "-okdir", "-print", "-print0", "-printf", "-ls", "-fprint", "-fprint0",
    "-fls",
];

/// Options of `find` that count for the whole search, with how many words each has; they stand first.
const GLOBAL: [(&str, usize); 8] = [
    ("-maxdepth", 2),
    ("-mindepth", 2),
    ("-regextype", 2),
    ("-xdev", 1),
    ("-mount", 1),
    ("-depth", 1),
    ("-daystart", 1),
    ("-noleaf", 1),
];

/// Programs whose operands are files that are there. Those that delete are not among them: better nothing is deleted than
/// what was not meant.
const READERS: [&str; 62] = [
    "awk",
    "b2sum",
    "base64",
    "bash",
    "bzip2",
    "cat",
    "chgrp",
    "chmod",
    "chown",
    "cksum",
    "cmp",
    "code",
    "column",
    "comm",
    "cut",
    "diff",
    "du",
    "emacs",
    "file",
    "fold",
    "grep",
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "iconv",
    "jq",
    "less",
    "ls",
    "md5sum",
    "more",
    "nano",
    "nl",
    "node",
    "od",
    "open",
    "paste",
    "perl",
    "python",
    "python3",
    "rev",
    "ruby",
    "sed",
    "sh",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shuf",
    "sort",
    "source",
    "split",
    "stat",
    "strings",
    "tac",
    "tail",
    "uniq",
    "unzip",
    "vim",
    "wc",
    "xdg-open",
    "xxd",
    "zcat",
];

/// Programs whose last operand may be new.
const COPIERS: [&str; 3] = ["cp", "mv", "install"];

/// Text to put in place of a range of the command.
type Edit = (Range<usize>, String);

/// `command`, an answer to `request`, with its traps taken out.
pub(super) fn repaired(command: &str, request: &Request) -> String {
    let shell = request.context.shell;
    let text = of_traps(command, &request.words, shell);
    request.excerpt.as_ref().map_or(text.clone(), |excerpt| separated(&text, excerpt, shell))
}

fn of_traps(command: &str, words: &str, shell: Shell) -> String {
    let mut edits = Vec::new();
    for words in safety::commands(command, shell) {
        find_groups(command, &words, &mut edits);
        edits.extend(words.windows(2).filter_map(|pair| patterns(command, &words[0], pair)));
    }
    edits.extend(left_out_folder(command, words, shell));
    edited(command, edits)
}

/// `suggestion`, an answer to `request`, with the folder before each file that it reads and that is not there: `find` knows
/// the only file that a name can mean if `is_there` does not.
pub fn grounded(
    suggestion: Suggestion,
    request: &Request,
    is_there: impl Fn(&str) -> bool,
    find: impl Fn(&str) -> Option<String>,
) -> Suggestion {
    let Request { words, context: Context { shell, .. }, .. } = request;
    let found = with_folders(&suggestion.command, words, *shell, is_there, find);
    // It is rated anew; the place of a slot is no longer known.
    let admitted = found.filter(|_| suggestion.slot.is_none()).and_then(|command| admit(command, None, *shell).ok());
    admitted.map_or(suggestion.clone(), |found| Suggestion { confidence: suggestion.confidence, ..found })
}

fn with_folders(
    command: &str,
    words: &str,
    shell: Shell,
    is_there: impl Fn(&str) -> bool,
    find: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mut renamed = Vec::new();
    let mut files = safety::inputs(command, shell);
    for words in safety::commands(command, shell) {
        let programs = words.iter().take(2).position(|word| command[word.clone()] != *"sudo");
        let Some((program, operands)) = programs.and_then(|at| words[at..].split_first()) else { continue };
        let program = &command[program.clone()];
        if READERS.contains(&program) {
            files.extend_from_slice(operands);
        } else if let ("mv", [old, new]) = (program, operands) {
            files.push(old.clone());
            renamed.push((old.clone(), new.clone()));
        } else if COPIERS.contains(&program) {
            files.extend(operands.split_last().map_or(&[][..], |(_, sources)| sources).iter().cloned());
        }
    }
    files.sort_by_key(|range| range.start);
    files.dedup();
    let mut edits = Vec::new();
    for file in files {
        let name = command.get(file.clone())?;
        let is_named = names(words).any(|word| word == name);
        let is_name = name.contains(['.', '/']) && !name.starts_with(['-', '/', '.']);
        let Some(path) = (is_named && is_name && !is_there(name)).then(|| find(name)).flatten() else { continue };
        // Who renames a file wants it to stay where it is.
        if let Some((_, new)) = renamed.iter().find(|(old, _)| *old == file)
            && let Some((folder, _)) = path.rsplit_once('/').filter(|_| !command[new.clone()].contains('/'))
            && !matches!(&command[new.clone()], "." | "..")
            && !is_there(&command[new.clone()])
        {
            edits.push((new.start..new.start, format!("{folder}/")));
        }
        edits.push((file, path));
    }
    Some(edited(command, edits)).filter(|text| text != command)
}

/// `command` with all of the `edits`, which do not overlap.
fn edited(command: &str, mut edits: Vec<Edit>) -> String {
    let mut text = command.to_owned();
    // From behind, so that the ranges before stay right.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    edits.into_iter().for_each(|(range, new)| text.replace_range(range, &new));
    text
}

/// Parentheses around the alternatives of a `find` whose action would belong to the last of them alone.
fn find_groups(command: &str, words: &[Range<usize>], edits: &mut Vec<Edit>) {
    let text = |at: usize| words.get(at).map_or("", |word| &command[word.clone()]);
    let Some(find) = (0..words.len().min(2)).find(|at| text(*at) == "find") else { return };
    let all: Vec<&str> = (find + 1..words.len()).map(text).collect();
    let is_or = |word: &&str| matches!(*word, "-o" | "-or");
    let (Some(or), Some(action)) = (all.iter().rposition(is_or), all.iter().position(|w| ACTIONS.contains(w))) else {
        return;
    };
    let is_grouped = |word: &&str| matches!(*word, "-prune" | "-quit" | "," | "(" | "\\(" | "'('" | "\"(\"");
    if action < or + 2 || all[..action].iter().any(is_grouped) {
        return;
    }
    let mut from = all.iter().position(|word| word.starts_with(['-', '!']) && !matches!(*word, "-H" | "-L" | "-P"));
    while let Some(at) = from {
        let global = GLOBAL.iter().find(|(name, _)| *name == all[at]).map(|(_, length)| *length);
        // `-type f -name a -o -name b` speaks of files only.
        let kind = (all[at] == "-type" && all[at + 1..action].iter().all(|word| *word != "-type")).then_some(2);
        match global.or(kind) {
            Some(length) if at + length < or => from = Some(at + length),
            _ => break,
        }
    }
    if let Some(from) = from {
        let (start, end) = (words[find + 1 + from].start, words[find + action].end);
        edits.push((start..start, r"\( ".into()));
        edits.push((end..end, r" \)".into()));
    }
}

/// Quotes around the second of two words of the program `name` where it is a pattern that is not for the shell.
fn patterns(command: &str, name: &Range<usize>, pair: &[Range<usize>]) -> Option<Edit> {
    let (before, word) = (&command[pair[0].clone()], &command[pair[1].clone()]);
    let is_plain =
        |text: &str| !text.contains(['\'', '"', '\\', '$', '`', '(', '{', '~']) && text.contains(['*', '?', '[']);
    let quoted = |from: usize, value: &str| {
        is_plain(value).then(|| (pair[1].start + from..pair[1].start + from + value.len(), format!("'{value}'")))
    };
    if let Some(option) = PATTERN_OPTIONS.iter().find(|option| word.starts_with(**option)) {
        return quoted(option.len(), &word[option.len()..]);
    }
    let is_url = word.find("://").is_some_and(|at| at > 0 && word[..at].bytes().all(|b| b.is_ascii_lowercase()));
    let is_package =
        word.ends_with(']') && word.contains('[') && matches!(&command[name.clone()], "pip" | "pip3" | "uv");
    if is_url {
        // `?a=1&b=2` would run in the background.
        let rest = &command[pair[1].start..];
        let ends = |at: usize| rest[at..].starts_with(|c: char| c.is_whitespace() || "'\"`$;|<>()".contains(c));
        let goes_on = rest[word.len()..].starts_with('&') && rest[word.len() + 1..].starts_with(char::is_alphanumeric);
        let end = (word.len()..rest.len()).find(|at| rest.is_char_boundary(*at) && ends(*at)).unwrap_or(rest.len());
        return quoted(0, if goes_on { &rest[..end] } else { word });
    }
    if PATTERN_TESTS.contains(&before) || is_package { quoted(0, word) } else { None }
}

/// The folder that the person named with a file and that `command` leaves out, put before the file's name.
fn left_out_folder(command: &str, words: &str, shell: Shell) -> Option<Edit> {
    let path = super::answer::paths(words).find(|path| !command.contains(path))?;
    let (folder, name) = path.rsplit_once('/')?;
    if folder.is_empty() || name.is_empty() || command.contains(folder) {
        return None;
    }
    let all = safety::commands(command, shell);
    if all.iter().any(|words| words.first().is_some_and(|first| matches!(&command[first.clone()], "cd" | "pushd"))) {
        return None;
    }
    let is_value = |before: &str| PATTERN_TESTS.contains(&before) || matches!(before, "-o" | "-O" | "--output");
    let mut files = all.iter().flat_map(|words| words.windows(2)).filter(|pair| &command[pair[1].clone()] == name);
    let found = files.next().filter(|pair| !is_value(&command[pair[0].clone()]))?;
    files.next().is_none().then(|| (found[1].clone(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str, words: &str) -> String {
        of_traps(command, words, Shell::Bash)
    }

    #[test]
    fn action_of_a_search_is_for_all_its_alternatives() {
        for (written, meant) in [
            ("find . -name a -o -name b -delete", r"find . \( -name a -o -name b \) -delete"),
            (
                "sudo find a b -type f -name '*.c' -or -iname '*.h' -exec wc -l {} +",
                r"sudo find a b -type f \( -name '*.c' -or -iname '*.h' \) -exec wc -l {} +",
            ),
            (
                "x=$(find -L . -maxdepth 1 -name a -o -mtime +1 -print0 | xargs -0 ls)",
                r"x=$(find -L . -maxdepth 1 \( -name a -o -mtime +1 \) -print0 | xargs -0 ls)",
            ),
            ("find . -type d -empty -o -type f -size 0 -ls", r"find . \( -type d -empty -o -type f -size 0 \) -ls"),
        ] {
            assert_eq!(of(written, ""), meant);
            assert_eq!(of(meant, ""), meant, "already right");
        }
        for right in [
            "find . -name a -o -name b",
            "find . -name .git -prune -o -type f -print",
            "find . -name a -print -o -name b -delete",
            "find . -name a -delete",
            "grep -o -delete find -name",
        ] {
            assert_eq!(of(right, ""), right);
        }
    }

    #[test]
    fn pattern_for_the_program_is_not_one_for_the_shell() {
        for (written, meant) in [
            ("find . -name *.txt -print", "find . -name '*.txt' -print"),
            ("grep -rn --include=*.c TODO .", "grep -rn --include='*.c' TODO ."),
            ("curl -s http://localhost:80/?page=2 | jq .", "curl -s 'http://localhost:80/?page=2' | jq ."),
            ("curl http://x/?a=1&b=2 && ls", "curl 'http://x/?a=1&b=2' && ls"),
            ("pip install black[d] ruff", "pip install 'black[d]' ruff"),
        ] {
            assert_eq!(of_traps(written, "", Shell::Zsh), meant);
            assert_eq!(of_traps(meant, "", Shell::Fish), meant, "already right");
        }
        for right in ["ls *.txt", "rm [ab].log", "find . -name \"$x*\"", "curl http://x/a", "git add *.c", "echo a:b?"]
        {
            assert_eq!(of(right, ""), right);
        }
    }

    #[test]
    fn folder_that_was_named_comes_back() {
        for (command, words, meant) in [
            ("gzip -k app.log", "gzip logs/app.log but keep it", "gzip -k logs/app.log"),
            ("wc -l < a | tail app.log", "the end of ./logs/app.log", "wc -l < a | tail ./logs/app.log"),
            ("cp logs/app.log app.log", "copy logs/app.log here", "cp logs/app.log app.log"),
            ("cd logs && gzip app.log", "gzip logs/app.log", "cd logs && gzip app.log"),
            ("cd /x; gzip app.log", "gzip logs/app.log", "cd /x; gzip app.log"),
            ("find . -name app.log", "where is logs/app.log", "find . -name app.log"),
            ("mv app.log app.log", "rename logs/app.log", "mv app.log app.log"),
            ("curl -o app.log x", "get logs/app.log", "curl -o app.log x"),
            ("ls app.log", "list app.log", "ls app.log"),
        ] {
            assert_eq!(of(command, words), meant);
        }
    }

    #[test]
    fn file_that_is_not_there_is_found_in_the_only_folder_that_has_it() {
        let words = "do it with app.log, a.txt and `b.txt`";
        let of = |command, shell| {
            let find = |name: &str| (name != "gone.txt").then(|| format!("logs/{name}"));
            with_folders(command, words, shell, |name| name == "a.txt", find)
        };
        for (command, meant) in [
            ("gzip -k app.log", "gzip -k logs/app.log"),
            ("sudo chmod +x app.log a.txt && wc -l < b.txt", "sudo chmod +x logs/app.log a.txt && wc -l < logs/b.txt"),
            ("cp app.log b.txt", "cp logs/app.log b.txt"),
            ("mv app.log new.log", "mv logs/app.log logs/new.log"),
            ("mv app.log a.txt", "mv logs/app.log a.txt"),
            ("mv app.log .", "mv logs/app.log ."),
            ("x=$(sort app.log | uniq > b.txt)", "x=$(sort logs/app.log | uniq > b.txt)"),
        ] {
            for shell in [Shell::Bash, Shell::Zsh] {
                assert_eq!(of(command, shell).as_deref(), Some(meant));
            }
        }
        assert_eq!(of("wc -l <app.log", Shell::Fish).as_deref(), Some("wc -l <logs/app.log"));
        for right in [
            "rm app.log",
            "touch app.log",
            "mkdir b.txt",
            "wc a.txt",
            "wc other.log",
            "tee b.txt",
            "wc 'app.log'",
            "find . -name app.log",
            "tar -czf app.log a",
            "sudo",
            "",
        ] {
            assert_eq!(of(right, Shell::Bash), None, "{right}");
        }
    }
}
