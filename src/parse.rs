//! Model text to exactly one command, or the reason why there is none.
//!
//! The command is passed on byte for byte; only what surely is not part of it goes: the fence or backticks around the
//! whole answer, the prompt sign before it, blank lines about it. A command that goes over several lines is joined where
//! its meaning stays. Prose, placeholders and answers that did not end are refused: a plausible line that does something
//! else is worse than none.

use crate::error::Error;

/// Most lines that are joined to one command.
const MAX_LINES: usize = 12;

/// What a shell would do with a line alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Run it.
    Whole,
    /// Wait for the next line.
    Open,
    /// Wait for a next line that cannot be put behind it on the same one: its end is part of a text.
    Text,
}

/// Whether `text`, the beginning of an answer, already holds all of it, so that decoding can stop. `end` tells how a
/// command ends.
pub fn is_complete(text: &str, end: impl Fn(&str) -> End) -> bool {
    let whole_lines = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    joined(whole_lines, end).is_some_and(|(_, end)| end != End::Open)
}

/// The command in the answer `text` as far as it is written: what [`command`] gives in the end begins with it.
pub fn so_far(text: &str) -> &str {
    let text = text.trim_start();
    // Around all of an answer, backticks and a prompt sign go; whether they are, the end tells. A comment is no command.
    if text.starts_with(['`', '$', '#']) {
        return "";
    }
    let line = text.split('\n').next().unwrap_or_default();
    line.trim_end_matches(|c: char| matches!(c, '`' | '\\') || c.is_whitespace())
}

/// The command in the answer `text`, and in which character its first slot begins, if it has one; `ended` is false where
/// decoding stopped at the token limit. `end` tells how a command ends.
///
/// # Errors
/// [`Error::NoCommand`] with the reason.
pub fn command(text: &str, ended: bool, end: impl Fn(&str) -> End) -> Result<(String, Option<usize>), Error> {
    let refuse = |reason: &str| Err(Error::NoCommand(reason.to_owned()));
    if !ended && !is_complete(text, &end) {
        return refuse("the model's answer did not end");
    }
    let line = match joined(text, end) {
        None => return refuse("the model gave an empty answer"),
        Some((_, End::Text)) => return refuse("the answer goes over several lines"),
        Some((_, End::Open)) if text.trim().contains('\n') => return refuse("the answer goes over several lines"),
        Some((line, _)) => line,
    };
    let line = line.as_str();
    if line.is_empty() || line.starts_with(['#', '-']) {
        return refuse("the model gave no command");
    }
    if is_prose(line) {
        return refuse("the model answered in prose");
    }
    match placeholder(line) {
        Some(found) => refuse(&format!("the answer has the placeholder {found}; name the file or value you mean")),
        None => Ok(with_slots(line)),
    }
}

/// The command that the lines of `text` begin with, on one line, and how it ends.
fn joined(text: &str, end: impl Fn(&str) -> End) -> Option<(String, End)> {
    let mut lines = text.lines().map(str::trim).skip_while(|line| line.is_empty() || is_fence(line));
    let mut command = unwrapped(lines.next()?).to_owned();
    for next in lines.map(Some).chain([None]).take(MAX_LINES) {
        if command.is_empty() || is_prose(&command) {
            return Some((command, End::Whole));
        }
        match (end(&command), next) {
            (End::Open, Some(next)) if !next.is_empty() && !next.starts_with(['#', '`']) => append(&mut command, next),
            (End::Open, Some(_)) => return Some((command, End::Text)),
            (end, _) => return Some((command, end)),
        }
    }
    Some((command, End::Text))
}

/// Whether `command` ends with a backslash for the end of its line, and not for itself.
pub fn goes_on(command: &str) -> bool {
    (command.len() - command.trim_end_matches('\\').len()) % 2 == 1
}

/// Puts the next line of a script behind `command`.
fn append(command: &mut String, next: &str) {
    const BEFORE_A_COMMAND: [&str; 8] = ["do", "then", "else", "in", "{", "(", "&&", "||"];
    let last = command.split_whitespace().next_back().unwrap_or_default();
    let has_backslash = goes_on(command);
    let goes_on = has_backslash || command.ends_with(['|', ';', '(']) || BEFORE_A_COMMAND.contains(&last);
    command.truncate(command[..command.len() - usize::from(has_backslash)].trim_end().len());
    match command.is_empty() {
        true => {}
        false if goes_on => command.push(' '),
        false => command.push_str("; "),
    }
    command.push_str(next);
}

/// An opening or closing fence: three backticks and at most a language's name.
fn is_fence(line: &str) -> bool {
    line.strip_prefix("```").is_some_and(|language| language.chars().all(char::is_alphanumeric))
}

/// `line` without the backticks around all of it or the prompt sign before it.
fn unwrapped(line: &str) -> &str {
    let bare = line.trim_start_matches("```").trim_end_matches("```");
    let bare = match bare.strip_prefix('`').and_then(|rest| rest.strip_suffix('`')) {
        Some(inside) if !inside.contains('`') => inside,
        _ => bare,
    };
    let bare = bare.trim();
    bare.strip_prefix("$ ").map_or(bare, str::trim_start)
}

/// Openings of an apology or an explanation; no command of that name exists.
const PROSE: [&str; 12] =
    ["I ", "I'm ", "I’m ", "Sorry", "Sure", "Here ", "Here's ", "The ", "To ", "You ", "This ", "As an "];

fn is_prose(line: &str) -> bool {
    PROSE.iter().any(|opening| line.starts_with(opening)) || is_sentence(line)
}

/// A capitalised word first, and the end of a sentence behind a word last: `Rscript plot.R .` is none.
fn is_sentence(line: &str) -> bool {
    let first = line.split(' ').next().unwrap_or_default();
    let ends = line.strip_suffix(['.', '?', '!']).is_some_and(|rest| rest.ends_with(|c: char| c.is_ascii_lowercase()));
    ends && line.contains(' ')
        && first.starts_with(|c: char| c.is_ascii_uppercase())
        && first.chars().skip(1).all(|c| c.is_ascii_lowercase())
}

/// A stand-in for something that the request did not name and that looks like a name: `/path/to/...`, `your_file`.
fn placeholder(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| {
        let bare = word.trim_matches(['"', '\'']);
        bare.contains("/path/to") || bare.starts_with("path/to/") || is_yours(bare)
    })
}

/// `line` with its slots, words such as `<file>`, in quotes: a shell would take `<in> out` for two redirections, and empty
/// the file `out`. Beside it the character at which the first one begins.
fn with_slots(line: &str) -> (String, Option<usize>) {
    let (mut text, mut first) = (String::with_capacity(line.len() + 8), None);
    let (mut quote, mut escaped, mut word_begins) = (None, false, true);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let length = match slot(rest).filter(|_| quote.is_none() && word_begins) {
            Some(slot) => {
                first = first.or_else(|| Some(text.chars().count() + 1));
                text.push_str(&format!("'{slot}'"));
                slot.len()
            }
            None => {
                text.push(c);
                c.len_utf8()
            }
        };
        word_begins = c == ' ' && !escaped;
        (escaped, quote) = match (escaped, quote, c) {
            (false, _, '\\') if quote != Some('\'') => (true, quote),
            (false, Some(open), _) if c == open => (false, None),
            (false, None, '\'' | '"' | '`') => (false, Some(c)),
            _ => (false, quote),
        };
        rest = &rest[length..];
    }
    (text, first)
}

/// The slot that `text` begins with.
fn slot(text: &str) -> Option<&str> {
    let end = text.find('>')?;
    let ends = text[end + 1..].chars().next().is_none_or(|c| c == ' ');
    (ends && text[..end].strip_prefix('<').is_some_and(is_name)).then_some(&text[..=end])
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

fn is_yours(word: &str) -> bool {
    ["your_", "your-", "YOUR_"].iter().any(|opening| word.starts_with(opening))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a shell that knows these few things.
    fn end(command: &str) -> End {
        let is_open = goes_on(command)
            || command.ends_with('|')
            || command.ends_with("do")
            || (command.starts_with("if ") && !command.ends_with("fi"));
        match command.replace("\\'", "").matches('\'').count() % 2 == 1 && !command.contains('"') {
            true => End::Text,
            false if is_open => End::Open,
            false => End::Whole,
        }
    }

    fn command(text: &str, ended: bool) -> Result<(String, Option<usize>), Error> {
        super::command(text, ended, end)
    }

    fn is_complete(text: &str) -> bool {
        super::is_complete(text, end)
    }

    fn reason(text: &str) -> String {
        command(text, true).expect_err(text).to_string()
    }

    #[test]
    fn lines_are_joined_where_the_meaning_stays() {
        for (text, line) in [
            ("find . \\\n  -name x", "find . -name x"),
            ("$ ls |\n\twc -l\n", "ls | wc -l"),
            ("```bash\nfor f in *; do\n  wc \"$f\"; done\n```", "for f in *; do wc \"$f\"; done"),
            ("if true; then\n  ls\nelse\n  pwd\nfi\nmore", "if true; then ls; else pwd; fi"),
        ] {
            assert_eq!(command(text, true).unwrap().0, line);
            assert!(text.ends_with("```") || text.ends_with('x') || is_complete(text), "{text}");
        }
        assert_eq!(command("ls \\\\\nwc", true).unwrap().0, r"ls \\");
        for text in ["echo 'one\ntwo'", "ls |\n# and now", "ls |\n\nwc", "ls |\n```", &"ls |\n".repeat(20)] {
            assert!(reason(text).contains("several lines"), "{text}");
            assert!(is_complete(&format!("{text}\n")), "{text}");
        }
        assert!(!is_complete("ls |\nwc"));
        assert_eq!(command("ls |", true).unwrap().0, "ls |");
    }

    #[test]
    fn command_is_passed_on_byte_for_byte() {
        for line in [
            r#"find . -name "*.txt" -exec sed -i 's/a\/b/c\\d/g' {} \;"#,
            r#"awk -F'\t' '{print $2 "`" $1}' "données été.tsv""#,
            "echo '日本語 🎉' | tr -d '\\n'",
            "grep -r '<title>' .",
            "sort <in.txt >out.txt",
            "echo `date`",
            "`which ls` -l `pwd`",
            "printf '%s\\n' \"$HOME\" ${x:-y}",
            "Rscript plot.R .",
            "VBoxManage list vms",
            "LC_ALL=C ls ..",
            "echo Done.",
        ] {
            assert_eq!(command(line, true).unwrap(), (line.to_owned(), None));
        }
    }

    #[test]
    fn wrapping_goes_and_nothing_else() {
        for text in [
            "`ls -l`",
            "```bash\nls -l\n```",
            "```\nls -l",
            "$ ls -l",
            "\n\n ls -l \n",
            "```ls -l```",
            "ls -l\nThis lists.",
        ] {
            assert_eq!(command(text, true).unwrap().0, "ls -l", "{text:?}");
        }
    }

    #[test]
    fn prose_placeholders_and_nothing_are_refused_with_the_reason() {
        assert!(reason("").contains("empty"));
        assert!(reason("```bash\n```").contains("empty"));
        assert!(reason("# nothing to do").contains("no command"));
        assert!(reason("I'm sorry, but I cannot do that.").contains("prose"));
        assert!(reason("Sure! Use ls").contains("prose"));
        assert!(reason("Why was the book sad? Because it had too many problems.").contains("prose"));
        assert!(reason("--foo").contains("no command"));
        assert!(reason("cp /path/to/source .").contains("/path/to/source"));
        assert!(reason("scp a your_user@host:").contains("your_user"));
    }

    #[test]
    fn slot_is_quoted_and_the_first_one_found() {
        for (text, wanted, first) in [
            ("cat <file>", "cat '<file>'", Some(5)),
            ("mv é <old-name> <new_name>", "mv é '<old-name>' '<new_name>'", Some(6)),
            ("grep '<title>' 'a <b> c' \"a' <b> c\"", "grep '<title>' 'a <b> c' \"a' <b> c\"", None),
            (r"echo \' <file> \ <b>", r"echo \' '<file>' \ <b>", Some(9)),
            ("sort <in.txt >out.txt", "sort <in.txt >out.txt", None),
            ("cat <file>x", "cat <file>x", None),
        ] {
            assert_eq!(command(text, true).unwrap(), (wanted.to_owned(), first));
        }
    }

    #[test]
    fn command_begins_with_every_beginning_of_it() {
        for text in [
            "find . -name '*.py' -mtime -1",
            "\n\n ls -l \n",
            "ls -l\nThis lists.",
            "```bash\nls -l\n```",
            "`ls -l`",
            "$ ls -l",
            "$HOME/bin/x -y",
            "ls `pwd` ",
            "ls -l ```",
            "echo '日本語 🎉' \t | tr -d x",
        ] {
            let whole = command(text, true).unwrap().0;
            let ends = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            let seen: Vec<&str> = ends.map(|at| so_far(&text[..at])).collect();
            assert!(seen.iter().all(|seen| whole.starts_with(seen)), "{text:?}: {seen:?}");
        }
        assert_eq!(so_far("ls -l | wc"), "ls -l | wc");
    }

    #[test]
    fn answer_cut_at_the_limit_is_not_taken_for_a_command() {
        assert!(command("bc -l -l -l -l", false).is_err());
        assert_eq!(command("ls\nmore", false).unwrap().0, "ls");
    }

    #[test]
    fn decoding_stops_at_the_end_of_the_command() {
        for done in ["ls\n", "\nls\n", "```bash\nls\n"] {
            assert!(is_complete(done), "{done:?}");
        }
        for open in ["", "ls", "\n", "```bash\n", "```bash\nls", "```"] {
            assert!(!is_complete(open), "{open:?}");
        }
    }
}
