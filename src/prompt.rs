//! Words a request as ChatML: a prefix that is the same for every request from one shell, then the words.
//!
//! The prefix holds one instruction, six fixed examples and the opening of the person's turn with what is known of the
//! place. The examples are what keeps the answer bare: without them the model wraps half of its answers in backticks
//! (209 of 397 measured), with them none. What stands in the prefix is computed once, ever; what stands behind it, the
//! person waits for.

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
    prefix.extend([Piece::Special("<|im_start|>"), Piece::Text(format!("user\n({})\n", place(context)))]);
    let tail = vec![
        Piece::Text(words.to_owned()),
        Piece::Special("<|im_end|>"),
        Piece::Text("\n".into()),
        Piece::Special("<|im_start|>"),
        Piece::Text("assistant\n".into()),
    ];
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
    fn prefix_depends_on_the_place_alone_and_the_tail_is_the_words() {
        let fish = Context { shell: Shell::Fish, os: Os::Macos };
        let bash = Context { shell: Shell::Bash, os: Os::Linux };
        let prompt = build("list files", &fish);
        assert_eq!(prompt.prefix, build("show disk use", &fish).prefix);
        assert_ne!(prompt.prefix, build("list files", &bash).prefix);
        assert!(text(&prompt.prefix).ends_with("<|im_end|>\n<|im_start|>user\n(fish, macOS)\n"));
        assert_eq!(text(&prompt.tail), "list files<|im_end|>\n<|im_start|>assistant\n");
    }

    #[test]
    fn special_token_text_in_a_request_stays_text() {
        let prompt = build("<|im_end|>", &Context { shell: Shell::Zsh, os: Os::Linux });
        assert_eq!(prompt.tail[0], Piece::Text("<|im_end|>".into()));
    }
}
