//! What is zsh's own. It knows no comments at the prompt by default, so a task line that reaches it is executed.

use std::fs;

use cmdai::request::Shell;

use crate::pty::{CTRL_C, CTRL_G, ENTER, ESC, Setup, Term, UNDO};

const ANSWER: &str = "echo 'an answer'";
const TRAP: &str = "# tidy up; touch ran";

fn with(before: &str, after: &str) -> Term {
    Term::with(Shell::Zsh, Setup { before: before.into(), after: after.into(), ..Setup::default() })
}

fn never_ran(term: &Term) {
    term.still_works();
    assert!(!term.path("ran").exists());
}

#[test]
fn task_line_is_never_executed_when_the_core_fails() {
    for answer in ["", "garbage", "1\nbroken\n", "2\nrefused\n", "3\nno model\n", "4\nhidden\n", "130\n\n", "0\n\n"] {
        let term = Term::new(Shell::Zsh);
        term.answers(answer).send(TRAP).send(ENTER).asked(1);
        term.holds(TRAP);
        never_ran(&term);
    }
}

#[test]
fn task_line_is_never_executed_when_the_core_is_gone_or_no_program() {
    let term = Term::new(Shell::Zsh);
    fs::write(term.path("core"), "\x7fELF not really").unwrap();
    term.send(TRAP).send(ENTER).shows("cmdai: no answer");
    term.holds(TRAP);
    fs::remove_file(term.path("core")).unwrap();
    term.send(ENTER).shows("not found");
    term.holds(TRAP);
    never_ran(&term);
}

#[test]
fn task_line_is_never_executed_when_the_integration_is_half_there() {
    let losses = [
        "zle -D cmdai-suggest",
        "unfunction __cmdai_ask",
        "unfunction cmdai-suggest",
        "zmodload zsh/system; disable sysread",
        "unfunction __cmdai_say __cmdai_deceptive",
    ];
    for loss in losses {
        let term = with("", loss);
        term.answers("1\nbroken\n").send(TRAP).send(ENTER);
        term.until("a sign of life", |screen| screen.contains("cmdai") || screen.contains("not found"));
        term.holds(TRAP);
        never_ran(&term);
    }
}

#[test]
fn task_line_is_never_executed_by_other_ways_to_accept_a_line() {
    for key in ["\x0f", "\x1ba"] {
        let term = Term::new(Shell::Zsh);
        term.typed(TRAP).send(key);
        never_ran(&term);
    }
    let term = Term::new(Shell::Zsh);
    term.send("bindkey '^M' accept-line\r").still_works();
    term.typed(TRAP).send(ENTER);
    never_ran(&term);
}

#[test]
fn comment_runs_as_one_where_comments_are_on() {
    let term = with("setopt interactivecomments", "");
    term.send("# list files\r").shows("an answer");
    term.holds(ANSWER);
}

#[test]
fn options_of_the_person_stay_and_do_not_matter() {
    let options = "setopt ksharrays shwordsplit nobanghist rcquotes nounset errreturn noclobber globsubst \
                   cshnullglob shglob ksh_glob ignorebraces noglob";
    let term = with(&format!("{options}; setopt >$HOME/set-before"), "setopt >$HOME/set-after");
    assert_eq!(term.read("set-before"), term.read("set-after"));
    assert!(term.read("set-after").contains("ksharrays"));
    term.send("# list files\r").shows("an answer");
    assert_eq!(term.holds(ANSWER), ANSWER.len());
}

#[test]
fn aliases_of_the_person_do_not_matter() {
    let aliases = "alias local=false print=false exec=false zle=false read=false trap=false builtin=false \
                   emulate=false typeset=false kill=false bindkey=false setopt=false; alias -g widget=false";
    let term = with(aliases, "'unalias' -a");
    term.send(aliases).send(ENTER).still_works();
    term.typed("list files").send(CTRL_G);
    term.holds(ANSWER);
}

#[test]
fn enter_calls_the_widget_it_found() {
    let other = "other() { print -r -- \"$BUFFER\" >>$HOME/other; zle accept-line }; zle -N other; bindkey '^M' other";
    let term = with(other, "");
    term.send("echo 1 >out\r").until_true("the line to run", || term.read("out") == "1\n");
    assert_eq!(term.read("other"), "echo 1 >out\n");
    term.send("# list files\r").shows("an answer");
    term.holds(ANSWER);
}

#[test]
fn widget_that_takes_enter_after_us_gets_ordinary_lines_only_and_may_hand_them_back() {
    for hand_on in ["accept-line", "cmdai-enter"] {
        let other = format!("other() {{ print -r -- \"$BUFFER\" >>$HOME/other; zle {hand_on} }}; zle -N other");
        let term = with("", &format!("{other}; for map in emacs viins vicmd; do bindkey -M $map '^M' other; done"));
        term.send("echo 1 >out\r").until_true("the line to run", || term.read("out") == "1\n");
        assert_eq!(term.read("other"), "echo 1 >out\n");
        term.send("# list files\r").shows("an answer").holds(ANSWER);
        term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
        assert_eq!(term.read("other"), format!("echo 1 >out\n{ANSWER}\n"));
    }
}

#[test]
fn accept_line_wrapped_by_a_plugin_still_runs() {
    let wrap = "accept-line() { print -r -- wrapped >>$HOME/wrapped; zle .accept-line }; zle -N accept-line";
    for (before, after) in [(wrap, ""), ("", wrap)] {
        let term = with(before, after);
        term.send("echo 1 >out\r").until_true("the line to run", || term.read("out") == "1\n");
        assert_eq!(term.read("wrapped"), "wrapped\n");
    }
}

#[test]
fn vi_mode_asks_from_both_modes_and_undoes() {
    let term = with("bindkey -v; KEYTIMEOUT=1", "");
    term.typed("list files").send(CTRL_G);
    term.holds(ANSWER);
    term.send(ESC).send("u").holds("list files");
    term.send(CTRL_G).asked(2).holds(ANSWER);
}

#[test]
fn continuation_here_document_and_vared_are_left_alone() {
    let term = Term::new(Shell::Zsh);
    term.send("cat >out <<E\r").send("# list files\r").send("E\r");
    term.until_true("the here-document", || term.read("out") == "# list files\n");
    term.send("x=; vared x; print -r -- \"$x\" >out2\r").send("# list files\r");
    term.until_true("vared to end", || term.read("out2") == "# list files\n");
    assert_eq!(term.calls(), 0);
}

#[test]
fn ctrl_g_still_leaves_incremental_search() {
    let term = Term::new(Shell::Zsh);
    term.send("echo needle\r").still_works();
    term.send("old line\x12needle").shows("bck-i-search").send(CTRL_G);
    term.holds("old line");
    assert_eq!(term.calls(), 0);
}

#[test]
fn ctrl_g_still_leaves_menu_selection() {
    let term = with("autoload -Uz compinit; compinit -u; zstyle ':completion:*' menu select=1", "");
    for name in ["aa1", "aa2"] {
        fs::write(term.path(name), "").unwrap();
    }
    for _ in 0..2 {
        term.send("cat aa\t").shows("aa2").send("\t").send(CTRL_G);
        term.until_true("the menu to close", || term.buffer().0.starts_with("cat aa"));
        term.still_works();
    }
    assert_eq!(term.calls(), 0);
}

#[test]
fn hidden_options_of_the_core_stay_out_of_the_job_table() {
    let term = Term::new(Shell::Zsh);
    term.hold().typed("list files").send(CTRL_G).asked(1).send(CTRL_C);
    term.holds("list files");
    term.send("\x18kjobs >jobs; trap >traps\r").still_works();
    assert_eq!((term.read("jobs"), term.read("traps")), (String::new(), String::new()));
}

#[test]
fn request_reaches_history_only_if_asked_for() {
    for (value, line) in [("1", "# list files"), ("0", "")] {
        let env = vec![("CMDAI_HISTORY", value.to_owned())];
        let term = Term::with(Shell::Zsh, Setup { env, after: "HISTSIZE=10".into(), ..Setup::default() });
        term.send("# list files\r").shows("an answer").holds(ANSWER);
        term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
        term.send("\x1b[A\x1b[A");
        term.until_true("the history", || term.buffer().0 == if line.is_empty() { ANSWER } else { line });
    }
}

#[test]
fn one_undo_brings_a_task_line_back() {
    let term = Term::new(Shell::Zsh);
    term.send("# list files\r").shows("an answer").holds(ANSWER);
    term.send(UNDO).holds("# list files");
}
