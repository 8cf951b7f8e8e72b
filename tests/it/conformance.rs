//! One table of what a person does and what comes of it, for every shell, in emacs and vi mode, in tmux, in screen and in
//! neither: the real program and its real protocol, between a real shell and a server that answers as the case says.

use std::fmt::Write;

use cmdai::request::Shell;

use crate::{
    pty::{CTRL_C, CTRL_G, ENTER, ESC, Inside, Setup, Term},
    pty_random::client_environment,
    scripted::Scripted,
};

use Step::*;

#[derive(Clone, Copy)]
enum Step {
    /// Text and keys that mean the same everywhere.
    Send(&'static str),
    /// One undo, in the mode's own way.
    Undo,
    /// The history's line before this one.
    Up,
    /// The key that explains; it is bound anew where vi mode has none.
    Explain,
    Answers(&'static [&'static str]),
    Refuses(&'static str),
    Hold,
    Release,
    /// The server has been asked exactly this.
    Asked(&'static [&'static str]),
    Shows(&'static str),
    ShowsNot(&'static str),
    /// The edit buffer, and where its cursor is, if that is said.
    Holds(&'static str),
    HoldsAt(&'static str, usize),
    /// A file of this name holds that; or there is none.
    Ran(&'static str, &'static str),
    RanNot(&'static str),
}

const CASES: &[(&str, &[Step])] = &[
    ("words and the key", &[Send("list files"), Send(CTRL_G), HoldsAt("echo one", 8), Asked(&["list files"])]),
    ("undo brings the words back", &[Send("list files"), Send(CTRL_G), Holds("echo one"), Undo, Holds("list files")]),
    (
        "the key again shows the next one, and in the end the words",
        &[
            Send("list files"),
            Send(CTRL_G),
            Holds("echo one"),
            Send(CTRL_G),
            Holds("echo two"),
            Send(CTRL_G),
            Holds("list files"),
            Shows("no other suggestion"),
            Send(CTRL_G),
            Holds("echo one"),
        ],
    ),
    (
        "an edit ends the cycle",
        &[
            Send("list files"),
            Send(CTRL_G),
            Holds("echo one"),
            Send("x"),
            Holds("echo onex"),
            Send(CTRL_G),
            Holds("echo one"),
            Asked(&["list files", "echo onex"]),
        ],
    ),
    (
        "a comment and Enter, and a second Enter runs it once",
        &[
            Answers(&["echo ran >>out"]),
            Send("# list files"),
            Send(ENTER),
            Holds("echo ran >>out"),
            RanNot("out"),
            Send(ENTER),
            Ran("out", "ran\n"),
            Asked(&["list files"]),
        ],
    ),
    ("nothing to ask", &[Send(CTRL_G), Shows("say in words"), Holds(""), Asked(&[])]),
    (
        "Ctrl-C gives the words back, and a late answer changes nothing",
        &[
            Hold,
            Send("list files"),
            Send(CTRL_G),
            Asked(&["list files"]),
            Send(CTRL_C),
            Holds("list files"),
            Send("!"),
            Release,
            Holds("list files!"),
        ],
    ),
    (
        "Esc gives the words back",
        &[
            Hold,
            Send("list files"),
            Send(CTRL_G),
            Asked(&["list files"]),
            Shows("thinking"),
            Send(ESC),
            ShowsNot("thinking"),
            Holds("list files"),
            Release,
        ],
    ),
    (
        "keys typed while waiting are dropped, Enter above all",
        &[
            Answers(&["echo ran >>out"]),
            Hold,
            Send("# list files"),
            Send(ENTER),
            Asked(&["list files"]),
            Send("abc"),
            Send(ENTER),
            Shows("thinking"),
            Release,
            Holds("echo ran >>out"),
            RanNot("out"),
        ],
    ),
    ("an ordinary line runs once", &[Send("echo 42 >>out"), Send(ENTER), Ran("out", "42\n"), Asked(&[])]),
    (
        "a refusal says why and keeps the line",
        &[Refuses("it is unclear"), Send("# list files"), Send(ENTER), Shows("it is unclear"), Holds("# list files")],
    ),
    (
        "the risk is said",
        &[Answers(&["rm -rf /"]), Send("tidy"), Send(CTRL_G), Holds("rm -rf /"), Shows("dangerous: ")],
    ),
    (
        "the words are in the history before the command",
        &[
            Answers(&["echo ran >>out"]),
            Send("# list files"),
            Send(ENTER),
            Holds("echo ran >>out"),
            Send(ENTER),
            Ran("out", "ran\n"),
            Up,
            Holds("echo ran >>out"),
            Up,
            Holds("# list files"),
        ],
    ),
    (
        "words behind a command change it",
        &[Send("ls -l # by size"), Send(CTRL_G), Holds("echo one"), Asked(&["ls -l <- by size"])],
    ),
    (
        "several lines are one request",
        &[Send("\x1b[200~list\nfiles\x1b[201~"), Send(CTRL_G), Holds("echo one"), Asked(&["list\nfiles"])],
    ),
    (
        "explaining touches nothing",
        &[Send("ls -l"), Explain, Shows("part  what it does"), HoldsAt("ls -l", 5), Asked(&["explain ls -l"])],
    ),
    (
        "the cursor goes to the first slot",
        &[Answers(&["cat '<file>'"]), Send("show"), Send(CTRL_G), HoldsAt("cat '<file>'", 5)],
    ),
    ("no comment of ours", &[Send("#list files"), Send(ENTER), Asked(&[])]),
];

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    Emacs,
    Vi,
}

fn term(shell: Shell, mode: Mode, inside: Inside) -> (Term, Scripted) {
    let (vi, explain) = match shell {
        Shell::Zsh => ("bindkey -v; KEYTIMEOUT=1", "CMDAI_EXPLAIN_KEY=ctrl-t"),
        // readline's own `u` behind Esc rings the bell: it does not even undo typing.
        Shell::Bash => ("set -o vi; bind -m vi-insert '\"\\C-_\": undo'", "CMDAI_EXPLAIN_KEY=ctrl-t"),
        Shell::Fish => ("fish_vi_key_bindings", "set -g CMDAI_EXPLAIN_KEY ctrl-t"),
    };
    let before = if mode == Mode::Vi { format!("{vi}\n{explain}\n") } else { String::new() };
    let term =
        Term::with(shell, Setup { before, env: client_environment(), program: true, inside, ..Setup::default() });
    let scripted = Scripted::start(&term.path("run"));
    scripted.answers(&["echo one", "echo two"]);
    (term, scripted)
}

fn run(case: &[Step], shell: Shell, mode: Mode, inside: Inside) {
    let (term, scripted) = term(shell, mode, inside);
    for step in case {
        match *step {
            Send(keys) => drop(term.send(keys)),
            Undo => drop(term.send(if mode == Mode::Vi && shell != Shell::Bash { "\x1bu" } else { "\x1f" })),
            // In fish, Esc would end the search that the first Up began.
            Up => drop(term.send(if mode == Mode::Vi && shell != Shell::Fish { "\x1bk" } else { "\x1b[A" })),
            Explain => drop(term.send(if mode == Mode::Vi { "\x14" } else { "\x1bg" })),
            Answers(candidates) => drop(scripted.answers(candidates)),
            Refuses(reason) => drop(scripted.refuses(reason)),
            Hold => drop(scripted.hold()),
            Release => drop(scripted.release()),
            Asked(wanted) => {
                if wanted.is_empty() {
                    term.still_works();
                }
                term.until_true("the request", || scripted.asked().len() >= wanted.len());
                assert_eq!(scripted.asked(), wanted);
            }
            Shows(text) => drop(term.shows(text)),
            ShowsNot(text) => drop(term.until(text, |screen| !screen.contains(text))),
            Holds(text) => drop(term.holds(text)),
            HoldsAt(text, cursor) => assert_eq!(term.holds(text), cursor),
            Ran(file, wanted) => drop(term.until_true(file, || term.read(file) == wanted)),
            RanNot(file) => assert!(!term.path(file).exists(), "{file}"),
        }
    }
}

/// Runs the whole table, and names the cases that fail.
fn table(shell: Shell, mode: Mode, inside: Inside) {
    let mut failed = String::new();
    for (name, case) in CASES {
        let outcome = std::panic::catch_unwind(|| run(case, shell, mode, inside));
        if outcome.is_err() {
            let _ = writeln!(failed, "{name}");
        }
    }
    assert!(failed.is_empty(), "of {} cases:\n{failed}", CASES.len());
}

macro_rules! tables {
    ($($name:ident $shell:ident $mode:ident $inside:ident)*) => {
        $(#[test] fn $name() { table(Shell::$shell, Mode::$mode, Inside::$inside) })*
    };
}

tables! {
    zsh_emacs Zsh Emacs Nothing
    zsh_vi Zsh Vi Nothing
    zsh_emacs_in_tmux Zsh Emacs Tmux
    zsh_vi_in_tmux Zsh Vi Tmux
    zsh_in_screen Zsh Emacs Screen
    bash_emacs Bash Emacs Nothing
    bash_vi Bash Vi Nothing
    bash_emacs_in_tmux Bash Emacs Tmux
    bash_vi_in_tmux Bash Vi Tmux
    bash_in_screen Bash Emacs Screen
    fish_emacs Fish Emacs Nothing
    fish_vi Fish Vi Nothing
    fish_emacs_in_tmux Fish Emacs Tmux
    fish_vi_in_tmux Fish Vi Tmux
    fish_in_screen Fish Emacs Screen
}
