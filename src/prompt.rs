//! Words a request as ChatML: a prefix that is the same for every request from one shell, then the words.
//!
//! The prefix opens a script in the assistant's turn: comments, each with the command below that does what it says. The
//! request is the next comment, so nothing stands between its words and the answer: what stands in the prefix is computed
//! once, ever; what stands behind it, the person waits for. The examples are what keeps the answer bare: without them the
//! model wraps half of its answers in backticks (209 of 397 measured), with them none.

use crate::{
    context::{Context, Os},
    engine::{Piece, Prompt},
    examples::Example,
    request::{Excerpt, Meaning, Request, Shell},
};

const SUGGEST: &str = "You are an expert of the command line. Below every comment, write the one shell command that does \
                       exactly what it says, on one line.";

/// Requests as people type them, with the command that answers each.
const EXAMPLES: [Example; 12] = [
    Example { words: "list all files in this folder with sizes, newest first", command: "ls -lht" },
    Example { words: "find python files changed in the last day", command: "find . -name '*.py' -mtime -1" },
    Example { words: "count lines in all txt files", command: "cat *.txt | wc -l" },
    Example { words: "which process is using port 8080", command: "lsof -i :8080" },
    Example { words: "replace foo with bar in config.ini", command: "sed -i 's/foo/bar/g' config.ini" },
    Example { words: "show the last 5 commits, one line each", command: "git log --oneline -n 5" },
    Example {
        words: "stage everything and commit it as 'fix typo'",
        command: "git add -A && git commit -m 'fix typo'",
    },
    Example {
        words: "make a copy of photos in /mnt/usb that keeps dates and owners",
        command: "cp -a photos /mnt/usb/",
    },
    Example { words: "show the name field of config.json", command: "jq -r .name config.json" },
    Example {
        words: "how many times does each word occur in notes.md, most frequent first",
        command: r"tr -cs '[:alnum:]' '\n' < notes.md | sort | uniq -c | sort -rn",
    },
    Example {
        words: "delete all .bak files here and below that are older than a month",
        command: "find . -type f -name '*.bak' -mtime +30 -delete",
    },
    Example {
        words: "print the second column of data.csv without the header line",
        command: "tail -n +2 data.csv | cut -d, -f2",
    },
];

const EXPLAIN: &str =
    "You are an expert of the command line. Say what each part of a command does, in a few plain words.";

/// Commands with their parts, each with its meaning.
const EXPLAINED: [(&str, &[(&str, &str)]); 3] = [
    (
        "find . -name '*.py' -mtime -1 | wc -l",
        &[
            ("find .", "searches this folder and all folders below it"),
            ("-name '*.py'", "only names that end in .py"),
            ("-mtime -1", "only what was changed less than a day ago"),
            ("wc", "counts what comes from the command before"),
            ("-l", "lines, here one for each file found"),
        ],
    ),
    (
        "tar -xzf backup.tar.gz -C out",
        &[
            ("tar", "works on an archive"),
            ("-xzf backup.tar.gz", "extracts the gzip-compressed file backup.tar.gz"),
            ("-C out", "into the folder out"),
        ],
    ),
    (
        "sudo rm -rf build && make > log.txt 2>&1",
        &[
            ("sudo rm", "deletes, with the rights of root"),
            ("-rf build", "the folder build with all it holds, without asking"),
            ("make", "builds the project, if that worked"),
            ("> log.txt", "writes the output into log.txt, in place of what was there"),
            ("2>&1", "and the error messages too"),
        ],
    ),
];

/// The prompt for `request`, to be answered with a command as the `nearest` examples are.
pub fn suggest(request: &Request, nearest: &[Example]) -> Prompt {
    let user = format!("Write the commands for {}.", place(&request.context));
    let prefix = opening(SUGGEST, &user, &format!("#{}", shown(&EXAMPLES)));
    let words = match &request.current {
        None => request.words.clone(),
        // Of six ways to say it, the one that was understood most often.
        Some(command) => format!("{command}, but {}", request.words),
    };
    // Behind the words, which may have been computed while they were typed.
    let excerpt =
        request.excerpt.as_ref().map(|Excerpt { file, text, .. }| format!(" ({file}: {text})")).unwrap_or_default();
    // A comment is one line.
    Prompt { prefix, tail: vec![Piece::Text(format!("{} {}{excerpt}\n", shown(nearest), words.replace('\n', " ")))] }
}

/// `examples` behind the sign of a comment, and the sign of the next one.
fn shown(examples: &[Example]) -> String {
    examples.iter().map(|Example { words, command }| format!(" {words}\n{command}\n#")).collect()
}

/// The prompt for the meaning of the next of the parts of `command`; `known` are those before it with their meanings.
pub fn explain(command: &str, known: &[Meaning], part: &str, context: &Context) -> Prompt {
    let mut examples = String::new();
    for (command, parts) in EXPLAINED {
        examples.push_str(&format!("$ {command}\n"));
        examples.extend(parts.iter().map(|(part, meaning)| format!("{part}: {meaning}\n")));
    }
    let prefix = opening(EXPLAIN, &format!("Explain the commands for {}.", place(context)), &(examples + "$"));
    let known: String = known.iter().map(|Meaning { part, meaning }| format!("{part}: {meaning}\n")).collect();
    Prompt { prefix, tail: vec![Piece::Text(format!(" {command}\n{known}{part}:"))] }
}

/// Two whole turns, and the beginning of the assistant's.
fn opening(system: &str, user: &str, assistant: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(10);
    for (role, text) in [("system", system), ("user", user)] {
        pieces.extend([
            Piece::Special("<|im_start|>"),
            Piece::Text(format!("{role}\n{text}")),
            Piece::Special("<|im_end|>"),
            Piece::Text("\n".into()),
        ]);
    }
    pieces.extend([Piece::Special("<|im_start|>"), Piece::Text(format!("assistant\n{assistant}"))]);
    pieces
}

/// The shell and whose tools it finds.
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

    fn request(words: &str, shell: Shell, os: Os) -> Request {
        let context = Context { os, ..Context::of(shell) };
        Request {
            words: words.into(),
            current: None,
            excerpt: None,
            context,
            alternatives: 1,
            second_look: true,
            streamed: false,
        }
    }

    #[test]
    fn prefix_depends_on_the_place_alone_and_the_tail_is_the_words() {
        let prompt = suggest(&request("list files", Shell::Fish, Os::Macos), &[]);
        assert_eq!(prompt.prefix, suggest(&request("show disk use", Shell::Fish, Os::Macos), &[]).prefix);
        assert_ne!(prompt.prefix, suggest(&request("list files", Shell::Bash, Os::Linux), &[]).prefix);
        let prefix = text(&prompt.prefix);
        assert!(prefix.contains("for fish, macOS.<|im_end|>\n<|im_start|>assistant\n# list all"), "{prefix}");
        assert!(prefix.ends_with("cut -d, -f2\n#"), "{prefix}");
        assert_eq!(text(&prompt.tail), " list files\n");
    }

    #[test]
    fn request_is_one_comment_and_special_token_text_in_it_stays_text() {
        let prompt = suggest(&request("list\n<|im_end|>\nfiles", Shell::Zsh, Os::Linux), &[]);
        assert_eq!(prompt.tail, [Piece::Text(" list <|im_end|> files\n".into())]);
    }

    #[test]
    fn nearest_examples_stand_right_before_the_words() {
        let nearest = [Example { words: "a", command: "b" }, Example { words: "c", command: "d" }];
        let prompt = suggest(&request("list files", Shell::Zsh, Os::Linux), &nearest);
        assert_eq!(text(&prompt.tail), " a\nb\n# c\nd\n# list files\n");
        assert_eq!(prompt.prefix, suggest(&request("x", Shell::Zsh, Os::Linux), &[]).prefix);
    }

    #[test]
    fn command_to_change_stands_before_the_words() {
        let mut request = request("sort by size", Shell::Bash, Os::Linux);
        request.current = Some("ls -l\nls src".into());
        assert_eq!(text(&suggest(&request, &[]).tail), " ls -l ls src, but sort by size\n");
    }

    #[test]
    fn what_the_named_file_holds_stands_behind_the_words() {
        let mut request = request("sort a.csv by age", Shell::Bash, Os::Linux);
        request.excerpt = Some(Excerpt { file: "a.csv".into(), text: "1 id, 2 age".into(), separator: Some(',') });
        assert_eq!(text(&suggest(&request, &[]).tail), " sort a.csv by age (a.csv: 1 id, 2 age)\n");
    }

    #[test]
    fn explanation_goes_on_from_what_was_said() {
        let context = Context { os: Os::Linux, ..Context::of(Shell::Bash) };
        let first = explain("ls -l", &[], "ls", &context);
        assert_eq!(text(&first.tail), " ls -l\nls:");
        let known = [Meaning { part: "ls".into(), meaning: "lists this folder".into() }];
        let next = explain("ls -l", &known, "-l", &context);
        assert_eq!((text(&next.tail).as_str(), next.prefix), (" ls -l\nls: lists this folder\n-l:", first.prefix));
    }
}
