//! What a model writes often and a shell does not do as meant, put right where only one thing can be meant.
//!
//! Each repair is of a trap that is known from people's scripts, and leaves every other command as it is:
//! - `find . -name a -o -name b -delete` deletes `b` alone (ShellCheck SC2146): the names get their parentheses;
//! - `find . -name *.txt`, `grep -r --include=*.c`, `curl http://host/?page=2`, `pip install black[d]` are patterns to
//!   the shell first (SC2061), and an error in zsh where nothing fits: they get quotes;
//! - `gzip app.log` where the file lies in `logs`, as the person said or as nowhere else: the folder is added.

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

/// Options of `find` that count for the whole search, with how many words each has; they stand first. A type that stands
/// before all names is meant for all: `-type f -name a -o -name b`.
const GLOBAL: [(&str, usize); 9] = [
    ("-type", 2),
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
const READERS: [&str; 46] = [
    "b2sum",
    "base64",
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
    "gunzip",
    "gzip",
    "head",
    "hexdump",
    "iconv",
    "less",
    "ls",
    "md5sum",
    "more",
    "nano",
    "nl",
    "od",
    "open",
    "paste",
    "rev",
    "sha1sum",
    "sha256sum",
    "sha512sum",
    "shuf",
    "sort",
    "stat",
    "strings",
    "tac",
    "tail",
    "vim",
    "wc",
    "xdg-open",
    "zcat",
];

/// Programs whose first operand is a file that is there; another may be new, or no file.
const READERS_OF_ONE: [&str; 11] =
    ["bash", "node", "perl", "python", "python3", "ruby", "sh", "source", "uniq", "unzip", "xxd"];

/// Programs whose first operand is a pattern or a program, and the others files that are there.
const SEARCHERS: [&str; 4] = ["awk", "grep", "jq", "sed"];

/// Options whose value is no file that is there.
const VALUES: [&str; 8] = ["-o", "-O", "-e", "-I", "--output", "--exclude", "--include", "--exclude-dir"];

/// Words with which people say what is to be left out.
const EXCEPTIONS: [&str; 8] = ["except", "but", "not", "without", "keep", "other", "besides", "exclud"];

/// Programs whose last operand may be new.
const COPIERS: [&str; 3] = ["cp", "mv", "install"];

/// Text to put in place of a range of the command.
type Edit = (Range<usize>, String);

/// `command`, an answer to `request`, with its traps taken out.
pub(super) fn repaired(command: &str, request: &Request) -> String {
    let shell = request.context.shell;
    let text = of_traps(command, &request.words, shell);
    match &request.excerpt {
        Some(excerpt) => separated(&text, excerpt, shell),
        None => text,
    }
}

fn of_traps(command: &str, request: &str, shell: Shell) -> String {
    let mut edits = Vec::new();
    for words in safety::commands(command, shell) {
        find_groups(command, &words, request, &mut edits);
        edits.extend(words.windows(2).filter_map(|pair| patterns(command, &words[0], pair)));
    }
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
    let admitted = found
        .filter(|_| suggestion.slot.is_none() && !request.streamed)
        .and_then(|command| admit(command, None, *shell).ok());
    admitted.map_or(suggestion.clone(), |found| Suggestion { confidence: suggestion.confidence, ..found })
}

fn with_folders(
    command: &str,
    request: &str,
    shell: Shell,
    is_there: impl Fn(&str) -> bool,
    find: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let text = |word: &Range<usize>| command.get(word.clone()).unwrap_or_default();
    let all = safety::commands(command, shell);
    let goes = |words: &Vec<Range<usize>>| matches!(words.first().map(text), Some("cd" | "pushd" | "popd"));
    if all.iter().any(goes) {
        return None;
    }
    let mut files = safety::inputs(command, shell);
    let mut renamed = Vec::new();
    for words in &all {
        let operands = operands(words, text);
        match (operands.first().map(text), &operands[..]) {
            (Some(program), [_, files_of @ ..]) if READERS.contains(&program) => files.extend_from_slice(files_of),
            (Some(program), [_, file, ..]) if READERS_OF_ONE.contains(&program) => files.push(file.clone()),
            (Some(program), [_, _, files_of @ ..]) if SEARCHERS.contains(&program) => files.extend_from_slice(files_of),
            (Some("mv"), [_, old, new]) => {
                files.push(old.clone());
                renamed.push((old.clone(), new.clone()));
            }
            (Some(program), [_, sources @ .., _]) if COPIERS.contains(&program) => files.extend_from_slice(sources),
            _ => {}
        }
    }
    let mut edits = Vec::new();
    for file in files {
        let name = text(&file);
        let is_named = names(request).any(|word| word.rsplit('/').next() == Some(name) || word == name);
        let is_name = name.contains('.') && name.chars().all(is_plain) && name.starts_with(char::is_alphanumeric);
        // What stands there twice, the line itself may have made.
        if !(is_named && is_name) || command.matches(name).count() > 1 || is_there(name) {
            continue;
        }
        let said = |path: &&str| path.strip_suffix(name).is_some_and(|folder| folder.ends_with('/')) && is_there(path);
        let said = names(request).find(said).filter(|path| path.chars().all(is_plain)).map(str::to_owned);
        let Some(path) = said.or_else(|| find(name)) else { continue };
        // Who renames a file wants it to stay where it is.
        if let Some((_, new)) = renamed.iter().find(|(old, _)| *old == file)
            && let Some((folder, _)) = path.rsplit_once('/')
            && text(new).contains(char::is_alphanumeric)
            && text(new).chars().all(|c| is_plain(c) && c != '/')
            && command.matches(text(new)).count() == 1
            && !is_there(text(new))
        {
            edits.push((new.start..new.start, format!("{folder}/")));
        }
        edits.push((file, path));
    }
    Some(edited(command, edits)).filter(|text| text != command)
}

/// The program among the `words` of a command and its operands: without `sudo`, options, and values that are no files.
fn operands<'a>(words: &[Range<usize>], text: impl Fn(&Range<usize>) -> &'a str) -> Vec<Range<usize>> {
    let from = usize::from(words.first().is_some_and(|first| text(first) == "sudo"));
    let is_value = |at: usize| at > 0 && VALUES.contains(&text(&words[at - 1]));
    let is_operand = |at: &usize| !text(&words[*at]).starts_with('-') && !is_value(*at);
    (from..words.len()).filter(is_operand).map(|at| words[at].clone()).collect()
}

/// A character that no shell takes for anything but itself.
fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || "._-/+@%,".contains(c)
}

/// `command` with the `edits`; of two that overlap, the one behind.
pub(super) fn edited(command: &str, mut edits: Vec<Edit>) -> String {
    let (mut text, mut end) = (command.to_owned(), command.len());
    // From behind, so that the ranges before stay right.
    edits.sort_by_key(|(range, _)| std::cmp::Reverse((range.start, range.end)));
    for (range, new) in edits {
        if range.end <= end {
            end = range.start;
            text.replace_range(range, &new);
        }
    }
    text
}

/// Parentheses around the names of a `find` whose action would belong to the last of them alone. Where one of them is to be
/// left out, or other tests stand there, the action may be meant as it is.
fn find_groups(command: &str, words: &[Range<usize>], request: &str, edits: &mut Vec<Edit>) {
    let text = |at: usize| words.get(at).map_or("", |word| &command[word.clone()]);
    let Some(find) = (0..words.len().min(2)).find(|at| text(*at) == "find") else { return };
    let all: Vec<&str> = (find + 1..words.len()).map(text).collect();
    let Some(action) = all.iter().position(|word| ACTIONS.contains(word)) else { return };
    let is_option = |word: &&str| word.starts_with('-') && !matches!(*word, "-H" | "-L" | "-P");
    let Some(mut from) = all.iter().position(is_option) else { return };
    while let Some((_, length)) = GLOBAL.iter().find(|(name, _)| *name == all[from]) {
        from += length;
    }
    let Some(alternatives) = all.get(from..action) else { return };
    let patterns = alternatives.split(|word| matches!(*word, "-o" | "-or")).map(|test| match test {
        ["-name" | "-iname", pattern] => Some(pattern.trim_matches(['\'', '"'])),
        _ => None,
    });
    let Some(patterns) = patterns.collect::<Option<Vec<&str>>>() else { return };
    // `-name keep.txt -o -name '*.txt' -delete` spares keep.txt.
    let spares = patterns.split_last().is_some_and(|(last, others)| {
        glob::Pattern::new(last).is_ok_and(|last| others.iter().any(|other| last.matches(other)))
    });
    let is_exception = EXCEPTIONS.iter().any(|word| request.to_lowercase().contains(word));
    if patterns.len() > 1 && !is_exception && !spares {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn of(command: &str, words: &str) -> String {
        of_traps(command, words, Shell::Bash)
    }

    #[test]
    fn action_of_a_search_is_for_all_its_names() {
        for (written, meant) in [
            ("find . -name a -o -name b -delete", r"find . \( -name a -o -name b \) -delete"),
            (
                "sudo find a b -type f -name '*.c' -or -iname '*.h' -exec wc -l {} +",
                r"sudo find a b -type f \( -name '*.c' -or -iname '*.h' \) -exec wc -l {} +",
            ),
            (
                "x=$(find -L . -maxdepth 1 -name *.é -o -name b -print0 | xargs -0 ls)",
                r"x=$(find -L . -maxdepth 1 \( -name '*.é' -o -name b \) -print0 | xargs -0 ls)",
            ),
        ] {
            assert_eq!(of(written, "delete them"), meant);
            assert_eq!(of(meant, "delete them"), meant, "already right");
        }
        for right in [
            "find . -name a -o -name b",
            "find . -name .git -prune -o -type f -print",
            "find . -name a -print -o -name b -delete",
            "find . -name keep.txt -o -name '*.txt' -delete",
            "find . -name a -o -type f -delete",
            "find . -path './.git/*' -o -name a -print",
            "find . -name a -delete",
            "grep -o -delete find -name",
            "find . -type",
            "find . -maxdepth",
            "find -delete -o",
        ] {
            assert_eq!(of(right, ""), right);
        }
        let right = "find . -name a -o -name b -delete";
        assert_eq!(of(right, "delete all b but not a"), right);
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
    fn file_that_is_not_there_is_found_where_it_was_said_or_in_the_only_folder_that_has_it() {
        let words = "do it with app.log, a.txt, `b.txt` and src/c.rs";
        let of = |command, shell| {
            let find = |name: &str| (name != "gone.txt").then(|| format!("logs/{name}"));
            with_folders(command, words, shell, |name| matches!(name, "a.txt" | "src/c.rs" | "here"), find)
        };
        for (command, meant) in [
            ("gzip -k app.log", "gzip -k logs/app.log"),
            ("wc -l c.rs", "wc -l src/c.rs"),
            ("grep -n é app.log", "grep -n é logs/app.log"),
            ("sudo chmod +x app.log a.txt && wc -l < b.txt", "sudo chmod +x logs/app.log a.txt && wc -l < logs/b.txt"),
            ("cp app.log b.txt", "cp logs/app.log b.txt"),
            ("mv -n app.log new.log", "mv -n logs/app.log logs/new.log"),
            ("mv app.log a.txt", "mv logs/app.log a.txt"),
            ("mv app.log here", "mv logs/app.log here"),
            ("mv app.log .", "mv logs/app.log ."),
            ("mv app.log ~", "mv logs/app.log ~"),
            ("mv app.log $HOME", "mv logs/app.log $HOME"),
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
            "cd logs && gzip app.log",
            "echo x > app.log && chmod +x app.log",
            "curl -o app.log x && head app.log",
            "sort -o b.txt a.txt",
            "uniq a.txt b.txt",
            "ps aux | grep app.log",
            "grep -r --exclude app.log TODO .",
            "unzip a.zip b.txt",
            "tr a-z A-Z <<< app.log",
            "find . -name app.log",
            "tar -czf app.log a",
            "sudo",
            "",
        ] {
            assert_eq!(of(right, Shell::Bash), None, "{right}");
        }
    }
}
