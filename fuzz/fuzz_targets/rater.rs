//! A command in each shell: rated without a panic, and with every command in it seen.
//!
//! The second opinion for bash is rable, another parser: where it finds a command made of literal words, the rater must
//! have looked at these words, or have said that it could not read the line. Where the two differ, only the lines count that
//! bash itself parses, and may run: what follows, each parser mends in its own way. With `CMDAI_FUZZ_COMPARE=0` the parsers
//! are not compared.

#![no_main]

use std::{
    env,
    io::Write,
    process::{self, Stdio},
    sync::LazyLock,
};

use cmdai::{
    request::Shell,
    safety::{self, Assessment, Risk},
};
use rable::{Node, NodeKind};

/// Rules by which the rater says that it did not read all of the text.
const UNREAD: [&str; 3] = ["unparsed", "too-long", "hidden-character"];

/// Words that the rater steps over where an error of syntax left them before a command; a quoted `'if'` is one to it.
const RESERVED: [&str; 18] = [
    "then", "else", "elif", "if", "do", "while", "until", "!", "{", "}", "and", "or", "not", "begin", "fi", "done",
    "esac", "end",
];

fn check(command: &str, shell: Shell) -> Assessment {
    let rated = safety::assess(command, shell);
    for finding in &rated.findings {
        assert!(finding.risk > Risk::Safe && finding.risk <= rated.risk, "{finding:?}");
        let (from, to) = finding.span;
        assert!(command.get(from..to).is_some(), "{finding:?} is not of the {} bytes", command.len());
    }
    let (parts, _) = (safety::parts(command, shell), safety::commented(command, shell));
    assert!(!parts.is_empty() && parts.iter().all(|part| command.contains(part)), "{parts:?}");
    if safety::printable(command).is_err() {
        assert_eq!(rated.risk, Risk::Dangerous);
    }
    rated
}

/// As many of its first lines as bash parses.
fn parsed_by_bash(command: &str) -> &str {
    let ends = command.match_indices('\n').map(|(at, _)| at).chain([command.len()]);
    let parsed = ends.rev().map(|end| &command[..end]).find(|lines| bash_parses(lines));
    parsed.unwrap_or_default()
}

fn bash_parses(lines: &str) -> bool {
    let mut bash = process::Command::new("bash")
        .args(["--norc", "-n"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("bash starts");
    // It leaves off reading at what it does not parse.
    let _ = bash.stdin.take().expect("a pipe").write_all(lines.as_bytes());
    bash.wait().expect("bash ends").success()
}

/// Every simple command that another parser sees run, where all of its words are literal.
fn second_opinion(command: &str) -> Vec<Vec<String>> {
    let brackets = command.bytes().filter(|byte| b"([{`\"".contains(byte)).count();
    // rable recurses without a bound.
    if brackets > 50 || command.len() > 1024 {
        return Vec::new();
    }
    let mut found = Vec::new();
    for node in rable::parse(command, false).unwrap_or_default() {
        collect(&node, &mut found);
    }
    found
}

fn collect(node: &Node, found: &mut Vec<Vec<String>>) {
    use NodeKind::{BraceGroup, Case, Command, For, If, List, Negation, Pipeline, Subshell, Time, Until, While};
    match &node.kind {
        Command { words, .. } => found.extend(argv(words)),
        Pipeline { commands, .. } => commands.iter().for_each(|command| collect(command, found)),
        List { items } => items.iter().for_each(|item| collect(&item.command, found)),
        If { condition, then_body, else_body, .. } => {
            [Some(condition), Some(then_body), else_body.as_ref()]
                .into_iter()
                .flatten()
                .for_each(|n| collect(n, found));
        }
        While { condition, body, .. } | Until { condition, body, .. } => {
            collect(condition, found);
            collect(body, found);
        }
        For { body, .. } | Subshell { body, .. } | BraceGroup { body, .. } => collect(body, found),
        Case { patterns, .. } => patterns.iter().filter_map(|p| p.body.as_ref()).for_each(|n| collect(n, found)),
        Negation { pipeline } | Time { pipeline, .. } => collect(pipeline, found),
        _ => (),
    }
}

/// The words with their quotes taken off; none if there is more to them than quotes.
fn argv(words: &[Node]) -> Option<Vec<String>> {
    let text = |word: &Node| match &word.kind {
        NodeKind::Word { value, .. } => literal(value),
        _ => None,
    };
    let mut words: Vec<String> = words.iter().map(text).collect::<Option<_>>()?;
    let reserved = words.iter().take_while(|word| RESERVED.contains(&word.as_str())).count();
    words.drain(..reserved);
    // Tests have nodes of their own in tree-sitter's tree, and run nothing.
    let plain = words.first().is_some_and(|name| !name.contains('=') && !matches!(name.as_str(), "" | "[" | "[["));
    plain.then_some(words)
}

fn literal(word: &str) -> Option<String> {
    let (mut out, mut rest) = (String::new(), word);
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' => {
                let (inside, after) = rest.split_once('\'')?;
                out.push_str(inside);
                rest = after;
            }
            '"' => {
                let (inside, after) = rest.split_once('"')?;
                if inside.contains(['$', '`', '\\', '!']) {
                    return None;
                }
                out.push_str(inside);
                rest = after;
            }
            '\\' => {
                let escaped = rest.chars().next().filter(|c| *c != '\n')?;
                out.push(escaped);
                rest = &rest[escaped.len_utf8()..];
            }
            c if c.is_alphanumeric() || "_-./:,+@%=".contains(c) => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}

/// A command that another parser sees and the rater does not, with what the rater sees.
fn missed(command: &str) -> Option<String> {
    let rated = check(command, Shell::Bash);
    if rated.findings.iter().any(|finding| UNREAD.contains(&finding.rule.as_str())) {
        return None;
    }
    // tree-sitter loses a bare `-` before a here-document.
    let without_dash = |words: Vec<String>| words.into_iter().filter(|word| word != "-").collect::<Vec<_>>();
    let seen: Vec<_> = safety::calls(command, Shell::Bash).into_iter().map(without_dash).collect();
    // In `nc host 9 0<in`, the 0 is a word more to tree-sitter.
    let is_seen = |argv: &Vec<String>| seen.iter().any(|call| call.starts_with(argv));
    let argv = second_opinion(command).into_iter().map(without_dash).find(|argv| !is_seen(argv))?;
    Some(format!("the rater did not see {argv:?} but {seen:?}"))
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let command = String::from_utf8_lossy(data);
    check(&command, Shell::Zsh);
    check(&command, Shell::Fish);
    static COMPARES: LazyLock<bool> =
        LazyLock::new(|| env::var_os("CMDAI_FUZZ_COMPARE").is_none_or(|value| value != "0"));
    if !*COMPARES {
        check(&command, Shell::Bash);
    } else if missed(&command).is_some()
        && let Some(missed) = missed(parsed_by_bash(&command))
    {
        panic!("{missed}");
    }
});
