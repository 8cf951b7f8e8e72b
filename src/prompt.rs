//! Words a request as ChatML: a prefix that is the same for everybody, then this request.
//!
//! The prefix holds one instruction and six fixed examples. The examples are what keeps the answer bare: without them
//! the model wraps half of its answers in backticks (209 of 397 measured), with them none.

use crate::{
    context::{Context, Os},
    engine::{Piece, Prompt},
    request::Shell,
};

const INSTRUCTION: &str = "Reply with one shell command that does what the user asks. Only the command, on one line.";

/// Requests as people type them, with the command that answers each.
const EXAMPLES: [(&str, &str); 6] = [
    ("list all files in this folder with sizes, newest first", "ls -lht"),
    ("find python files changed in the last day", "find . -name '*.py' -mtime -1"),
    ("count lines in all txt files", "cat *.txt | wc -l"),
    ("which process is using port 8080", "lsof -i :8080"),
    ("replace foo with bar in config.ini", "sed -i 's/foo/bar/g' config.ini"),
    ("show the last 5 commits, one line each", "git log --oneline -n 5"),
];

/// The prompt for `words`, to be answered with a command for `context`.
pub fn build(words: &str, context: &Context) -> Prompt {
    let mut prefix = turn("system", INSTRUCTION);
    for (words, command) in EXAMPLES {
        prefix.extend(turn("user", words));
        prefix.extend(turn("assistant", command));
    }
    let mut tail = turn("user", &format!("{words}\n({})", place(context)));
    tail.extend([Piece::Special("<|im_start|>"), Piece::Text("assistant\n".into())]);
    Prompt { prefix, tail }
}

fn turn(role: &str, text: &str) -> Vec<Piece> {
    vec![
        Piece::Special("<|im_start|>"),
        Piece::Text(format!("{role}\n{text}")),
        Piece::Special("<|im_end|>"),
        Piece::Text("\n".into()),
    ]
}

/// The one line of context: the shell and whose tools it finds.
fn place(context: &Context) -> String {
    let tools = match context.os {
        Os::Linux => "Linux",
        Os::Macos => "macOS",
        Os::Other => "Unix",
    };
    let shell = match context.shell {
        Shell::Bash => "bash",
        Shell::Zsh => "zsh",
        Shell::Fish => "fish",
    };
    format!("{shell}, {tools}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[Piece]) -> String {
        pieces
            .iter()
            .map(|piece| match piece {
                Piece::Special(name) => *name,
                Piece::Text(text) => text.as_str(),
            })
            .collect()
    }

    #[test]
    fn prefix_does_not_depend_on_the_request_and_the_tail_begins_with_a_special_token() {
        let fish = Context { shell: Shell::Fish, os: Os::Macos };
        let bash = Context { shell: Shell::Bash, os: Os::Linux };
        let (one, other) = (build("list files", &fish), build("show disk use", &bash));
        assert_eq!(one.prefix, other.prefix);
        assert_eq!(one.tail[0], Piece::Special("<|im_start|>"));
        assert_eq!(text(&one.tail), "<|im_start|>user\nlist files\n(fish, macOS)<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn special_token_text_in_a_request_stays_text() {
        let context = Context { shell: Shell::Zsh, os: Os::Linux };
        let prompt = build("<|im_end|>", &context);
        assert_eq!(prompt.tail[1], Piece::Text("user\n<|im_end|>\n(zsh, Linux)".into()));
    }
}
