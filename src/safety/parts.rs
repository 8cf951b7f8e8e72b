//! Where a line comes apart: the parts of a command that are explained one by one, and a comment behind it.

use std::ops::Range;

use tree_sitter::Node;

use super::grammar::{self, Effort};
use super::zsh;
use crate::request::Shell;

/// Most parts of one command.
const MAX_PARTS: usize = 12;

/// The parts of `command` in their order: the name of each program with its words, each option with its values, each
/// redirection. At least one, at most 12.
pub fn parts(command: &str, shell: Shell) -> Vec<&str> {
    let text = if shell == Shell::Zsh { zsh::as_bash(command) } else { command.to_owned() };
    let mut found = Vec::new();
    if let Some(tree) = grammar::parse(&text, shell, &Effort::default()) {
        collect(tree.root_node(), &text, &mut found);
    }
    let whole = found.is_empty().then_some(0..command.len());
    // What was rewritten behind a word, zsh's qualifiers, belongs to it.
    let rewritten = |from: usize| command.bytes().zip(text.bytes()).skip(from).take_while(|(a, b)| a != b).count();
    let cut = |range: Range<usize>| command.get(range.start..range.end + rewritten(range.end));
    found.into_iter().chain(whole).take(MAX_PARTS).filter_map(cut).map(str::trim).collect()
}

/// The command and the comment behind it, without its sign, of `line`; none where it is not both.
pub fn commented(line: &str, shell: Shell) -> Option<(&str, &str)> {
    // Nearly every line has none, and a parse takes longer than all else that is done to words before the engine's turn.
    if !line.contains('#') {
        return None;
    }
    // zsh at a prompt knows no comments unless told to, but this one is not for zsh to read.
    let tree = grammar::parse(line, if shell == Shell::Zsh { Shell::Bash } else { shell }, &Effort::default())?;
    let root = tree.root_node();
    let last = root.named_child(root.named_child_count().checked_sub(1)? as u32)?;
    if last.kind() != "comment" || last.end_byte() < line.trim_end().len() {
        return None;
    }
    let (command, comment) = (line.get(..last.start_byte())?.trim(), line.get(last.byte_range())?);
    let comment = comment.strip_prefix("# ")?.trim();
    (!command.is_empty() && !command.starts_with('#') && !comment.is_empty()).then_some((command, comment))
}

/// The words of each simple command in `command`, substitutions included, as byte ranges: its name and arguments, no
/// assignments and no redirections.
pub fn commands(command: &str, shell: Shell) -> Vec<Vec<Range<usize>>> {
    let text = if shell == Shell::Zsh { zsh::as_bash(command) } else { command.to_owned() };
    let mut found = Vec::new();
    if let Some(tree) = grammar::parse(&text, shell, &Effort::default()) {
        collect_commands(tree.root_node(), &mut found);
    }
    found.retain(|words: &Vec<Range<usize>>| words.iter().all(|word| command.get(word.clone()).is_some()));
    found
}

/// The files that commands in `command` read by `<`, as byte ranges.
pub fn inputs(command: &str, shell: Shell) -> Vec<Range<usize>> {
    let text = if shell == Shell::Zsh { zsh::as_bash(command) } else { command.to_owned() };
    let mut found = Vec::new();
    if let Some(tree) = grammar::parse(&text, shell, &Effort::default()) {
        collect_inputs(tree.root_node(), &text, &mut found);
    }
    found
}

fn collect_inputs(node: Node, text: &str, found: &mut Vec<Range<usize>>) {
    let children: Vec<Node> = node.named_children(&mut node.walk()).collect();
    let is_file = |text: &str| !["<&", "<<", "<("].iter().any(|other| text.starts_with(other));
    let reads = text.get(node.byte_range()).is_some_and(|text| text.starts_with('<') && is_file(text));
    if let Some(file) = children.last().filter(|_| is_redirection(&node) && reads) {
        found.push(file.byte_range());
    }
    children.iter().for_each(|child| collect_inputs(*child, text, found));
}

fn collect_commands(node: Node, found: &mut Vec<Vec<Range<usize>>>) {
    let children: Vec<Node> = node.named_children(&mut node.walk()).collect();
    if node.kind() == "command" {
        let is_word = |child: &&Node| !is_redirection(child) && child.kind() != "variable_assignment";
        found.push(children.iter().filter(is_word).map(Node::byte_range).collect());
    }
    children.iter().for_each(|child| collect_commands(*child, found));
}

fn collect(node: Node, text: &str, found: &mut Vec<Range<usize>>) {
    let children: Vec<Node> = node.named_children(&mut node.walk()).collect();
    if node.kind() == "command" {
        of_command(&children, text, found);
    } else if is_redirection(&node) {
        found.push(node.byte_range());
    } else {
        children.iter().for_each(|child| collect(*child, text, found));
    }
}

/// An option begins a part; what is no option belongs to what stands before it.
fn of_command(words: &[Node], text: &str, found: &mut Vec<Range<usize>>) {
    let first = found.len();
    for word in words {
        let range = word.byte_range();
        let before = found.get(first..).and_then(<[_]>::last).and_then(|part| text.get(part.clone()));
        let begins = before.is_none_or(|before| is_redirection(word) || is_option(&text[range.clone()], before));
        match found.last_mut() {
            Some(part) if !begins => part.end = range.end,
            _ => found.push(range),
        }
    }
}

/// Whether `word` is an option behind the part `before`: in `-mtime -1`, the number is a value.
fn is_option(word: &str, before: &str) -> bool {
    let number = word.strip_prefix('-').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let value = number && before.starts_with('-') && !before.contains(' ');
    word.starts_with('-') && word != "-" && !value
}

fn is_redirection(node: &Node) -> bool {
    matches!(node.kind(), "file_redirect" | "heredoc_redirect" | "herestring_redirect" | "stream_redirect" | "redirect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_comes_apart_at_its_options_programs_and_redirections() {
        let cases: [(&str, &[&str]); 8] = [
            ("find . -name '*.py' -mtime -1 | wc -l", &["find .", "-name '*.py'", "-mtime -1", "wc", "-l"]),
            ("sudo rm -rf build && make > log.txt 2>&1", &["sudo rm", "-rf build", "make", "> log.txt", "2>&1"]),
            ("head -5 a b", &["head", "-5 a b"]),
            ("for f in *.txt; do mv -n \"$f\" old; done", &["mv", "-n \"$f\" old"]),
            ("kill -9 $(pgrep -f server)", &["kill", "-9 $(pgrep -f server)"]),
            ("echo a; ((", &["echo a; (("]),
            ("tar -xf - -C /tmp", &["tar", "-xf -", "-C /tmp"]),
            ("", &[""]),
        ];
        for (command, wanted) in cases {
            let found = parts(command, Shell::Bash);
            assert!(found == wanted || command.contains("(("), "{command}: {found:?}");
            assert!(!found.is_empty());
        }
        assert_eq!(parts("ls -l **/*(.om[1,5])", Shell::Zsh), ["ls", "-l **/*(.om[1,5])"]);
        assert_eq!(parts("ls -l (pwd) > out | wc -c", Shell::Fish), ["ls", "-l (pwd)", "> out", "wc", "-c"]);
        assert_eq!(parts(&"a; ".repeat(30), Shell::Bash).len(), MAX_PARTS);
        assert_eq!(parts(&"(".repeat(300), Shell::Bash).len(), 1);
    }

    #[test]
    fn comment_behind_a_command_is_found_and_nothing_else_is_one() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let found = commented("ls -l  # newest first ", shell);
            assert_eq!(found, Some(("ls -l", "newest first")), "{shell:?}");
            for line in ["# list files", "echo '# no'", "echo a#b", "ls -l", "ls #x", "ls # ", "", "ls # a\nls"] {
                assert_eq!(commented(line, shell), None, "{shell:?} {line}");
            }
        }
        let several = "for f in *; do\n  echo $f\ndone # only files";
        assert_eq!(commented(several, Shell::Bash).unwrap().1, "only files");
    }
}
