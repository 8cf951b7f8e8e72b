//! What zsh shows and keeps of a suggestion: the next one, its risk, its explanation, its place in history.

use cmdai::request::Shell;

use crate::pty::{
    ALT_G, ANSWER, CLEAR, CTRL_A, CTRL_C, CTRL_E, CTRL_G, ENTER, ESC, LEFT, RIGHT, Setup, Term, UNDO, UP,
};

const DANGER: &str = "0\ndangerous: deletes 100% of $(touch ran)\necho rm";
const DANGER_SEEN: &str = "cmdai: dangerous: deletes 100% of $(touch ran)";
const RED: &str = "cmdai: \x1b[1m\x1b[31mdangerous\x1b";

fn with(before: &str) -> Term {
    Term::with(Shell::Zsh, Setup { before: before.into(), ..Setup::default() })
}

fn with_env(name: &'static str, value: &str) -> Term {
    Term::with(Shell::Zsh, Setup { env: vec![(name, value.into())], ..Setup::default() })
}

/// Presses the key for `answer`, the call number `count`, and waits until `command` is on the line.
fn next(term: &Term, count: usize, answer: &str, command: &str) -> usize {
    term.answers(answer).send(CTRL_G).asked(count);
    term.holds(command)
}

fn last_arguments(term: &Term) -> String {
    term.read("arguments").trim().replace("widget --shell zsh --stream", "").trim().to_owned()
}

fn gone(term: &Term, note: &str) {
    term.until("the note to go", |screen| !screen.contains(note));
}

#[test]
fn key_on_an_untouched_suggestion_asks_for_the_next_and_at_the_end_gives_the_words_back() {
    for before in ["", "bindkey -v; KEYTIMEOUT=1"] {
        let term = with(before);
        term.typed("list files");
        next(&term, 1, "0\n\none", "one");
        assert_eq!(last_arguments(&term), "");
        for count in 2..=3 {
            term.send(LEFT);
            next(&term, count, &format!("0\nsafe\ncommand {count}"), &format!("command {count}"));
            assert_eq!(last_arguments(&term), format!("--candidate {count}"));
            assert_eq!(term.read("request"), "list files");
        }
        next(&term, 4, "5\nthat was all\n", "list files");
        term.shows("cmdai: that was all").until("no note", |screen| !screen.contains("safe"));
        next(&term, 5, "0\n\none", "one");
        assert_eq!((last_arguments(&term), term.read("request")), (String::new(), "list files".into()));
    }
}

#[test]
fn after_the_fifth_suggestion_come_the_words_without_a_question() {
    let term = Term::new(Shell::Zsh);
    term.typed("list files");
    for count in 1..=5 {
        next(&term, count, &format!("0\n\ncommand {count}"), &format!("command {count}"));
    }
    term.send(CTRL_G).holds("list files");
    term.asked(5).shows("cmdai: no more suggestions");
}

#[test]
fn one_undo_from_any_suggestion_brings_the_words_back() {
    for (before, undo) in [("", UNDO), ("bindkey -v; KEYTIMEOUT=1", "\x1bu")] {
        for count in [1, 2, 4] {
            let term = with(before);
            term.typed("list files");
            for number in 1..=count {
                next(&term, number, &format!("0\nsafe\ncommand {number}"), &format!("command {number}"));
            }
            term.send(undo).holds("list files");
            gone(&term, "safe");
        }
    }
}

#[test]
fn edit_ends_the_cycle_even_if_it_is_taken_back() {
    // The last is both keys at once: nothing is drawn between them.
    for edit in ["x\x7f", "\x15\x19", "\x1bbX\x7f", "\x14"] {
        let term = with("bindkey -s '^T' 'x^?'");
        term.typed("list files");
        next(&term, 1, "0\nsafe\none two", "one two");
        term.send(edit).send(CTRL_G).asked(2).holds("one two");
        assert_eq!((last_arguments(&term), term.read("request")), (String::new(), "one two".into()), "{edit:?}");
    }
}

#[test]
fn error_or_cancel_leaves_the_suggestion_its_note_and_the_cycle() {
    let term = Term::new(Shell::Zsh);
    term.typed("list files");
    next(&term, 1, "0\ncaution: moves\none", "one");
    term.shows("caution: moves").hold().send(CTRL_G).asked(2).shows("thinking").send(ESC);
    term.shows("caution: moves").holds("one");
    term.release();
    next(&term, 3, "1\nbroken\n", "one");
    term.shows("cmdai: broken");
    next(&term, 4, "0\n\ntwo", "two");
    assert_eq!(last_arguments(&term), "--candidate 2");
}

#[test]
fn cursor_goes_where_the_core_says_in_characters() {
    for (status, cursor) in [("0 5", 5), ("0 0", 0), ("0 999", 14), ("0", 14)] {
        let term = Term::new(Shell::Zsh);
        term.typed("move it");
        assert_eq!(next(&term, 1, &format!("{status}\n\nmv 日é <file> x"), "mv 日é <file> x"), cursor, "{status}");
        term.send(UNDO).holds("move it");
    }
}

#[test]
fn risk_is_coloured_and_goes_at_the_next_edit() {
    for (note, seen) in [
        ("safe", "cmdai: \x1b[32msafe\x1b"),
        ("caution: moves", "cmdai: \x1b[33mcaution\x1b"),
        ("dangerous: deletes", RED),
    ] {
        for edit in ["x", "\x7f", UNDO, UP] {
            let term = Term::new(Shell::Zsh);
            term.send("echo old\r").still_works();
            term.answers(&format!("0\n{note}\necho rm")).typed("list files").send(CTRL_G).shows(note);
            assert!(term.transcript().contains(seen), "{}", term.transcript());
            term.send(LEFT).send(RIGHT).send(CTRL_A).send(CTRL_E).holds("echo rm");
            term.shows(note).send(edit);
            gone(&term, note);
        }
    }
}

#[test]
fn risk_leaves_nothing_behind_at_enter_or_ctrl_c() {
    for (key, rest) in [(ENTER, "% echo rm\nrm\n%"), (CTRL_C, "% echo rm\n%"), ("x\r", "% echo rmx\nrmx\n%")] {
        let term = Term::new(Shell::Zsh);
        term.answers(DANGER).typed("list files").send(CTRL_G).shows(DANGER_SEEN).send(key);
        term.until(rest, |screen| screen.trim_end() == rest);
        term.send(UP).until_true("history", || term.buffer().0.starts_with("echo rm") || key == CTRL_C);
        assert!(!term.path("ran").exists());
        term.still_works();
    }
}

#[test]
fn risk_has_no_colour_where_none_is_wanted() {
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let term = with_env(name, value);
        term.answers(DANGER).send("list files").send(CTRL_G).asked(1).holds("echo rm");
        term.shows(DANGER_SEEN);
        assert!(!term.transcript().contains("\x1b[31m") && !term.transcript().contains("\x1b[1m"));
        term.send("x\r").until("it to run", |screen| screen.contains("\nrmx"));
    }
}

#[test]
fn risk_is_shown_whatever_is_on_the_line() {
    let lines = [
        "# rm x",
        "echo \"open",
        "cat <<E",
        "for i in 1 2; do\n  echo $i\ndone",
        "echo $((1",
        "echo ${x",
        "a=(",
        "x[",
        "=",
        "~",
        "{a,",
        "echo \\",
        "!!",
        "rm -- '日本' e\u{301}",
        "   ",
        "<file>",
        "$(touch ran)",
        "`touch ran`",
        ";;",
        "x | y &&",
    ];
    let term = Term::new(Shell::Zsh);
    for (index, line) in lines.iter().filter(|line| !line.trim().is_empty()).enumerate() {
        term.send("list files");
        next(&term, index + 1, &format!("0\ndangerous: number {index}\n{line}"), line);
        term.shows(&format!("cmdai: dangerous: number {index}"));
        assert_eq!(term.transcript().matches(RED).count(), index + 1, "{line}");
        term.send(UNDO).holds("list files");
        gone(&term, "dangerous");
        term.send(CLEAR).holds("");
    }
    assert!(!term.path("ran").exists() && !term.transcript().contains('\x07'));
}

#[test]
fn tab_after_a_note_completes() {
    // A key may fall into the moment in which keys are dropped, so it is sent until it arrives, and then works once.
    let tab = "tab() { [[ -e tabs ]] || zle expand-or-complete; print >>tabs }; zle -N tab; bindkey '^I' tab";
    for before in ["", "autoload -Uz compinit; compinit -u", "unsetopt always_last_prompt; zmodload zsh/complist"] {
        let term = Term::with(Shell::Zsh, Setup { before: before.into(), after: tab.into(), ..Setup::default() });
        std::fs::write(term.path("needle"), "").unwrap();
        term.answers("0\ndangerous: deletes\nrm nee").typed("list files").send(CTRL_G).shows("deletes");
        term.until_true("the key", || term.send("\t").path("tabs").exists());
        term.holds("rm needle ");
        gone(&term, "dangerous");
        term.still_works();
    }
}

#[test]
fn note_fits_any_screen() {
    for (rows, columns) in [(24, 20), (24, 7), (4, 20), (2, 100)] {
        let term = Term::new(Shell::Zsh);
        term.resize(rows, columns).still_works();
        term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
        term.answers(DANGER).send("list files").send(CTRL_G).asked(1).holds("echo rm");
        term.until_true("the note", || term.transcript().contains("dangero"));
        term.send("x\r").until("it to run", |screen| screen.contains("rmx\n%"));
        term.still_works();
    }
}

#[test]
fn commented_suggestion_is_neither_run_nor_asked_about() {
    for (before, command) in [
        ("", "# touch ran"),
        ("setopt interactivecomments", "# touch ran; touch ran"),
        ("", "# x; touch ran\ntouch ran"),
        ("bindkey -v", "# touch ran; touch ran"),
    ] {
        let term = with(before);
        term.typed("# make it").answers(&format!("0\ndangerous: makes\n{command}")).send(ENTER).asked(1).holds(command);
        term.send(ENTER).shows("cmdai: remove the # to run it").holds(command);
        term.send("\n").holds(command);
        term.asked(1);
        assert!(!term.path("ran").exists());
        next(&term, 2, "0\n\necho two", "echo two");
        assert_eq!(last_arguments(&term), "--candidate 2");
    }
}

#[test]
fn commented_suggestion_runs_without_its_sign() {
    let term = Term::new(Shell::Zsh);
    term.typed("make it").answers("0\ndangerous: makes\n# touch ran").send(CTRL_G).holds("# touch ran");
    term.send(CTRL_A).send("\x04\x04").holds("touch ran");
    term.send(ENTER).until_true("it to run", || term.path("ran").exists());
}

#[test]
fn commented_suggestion_is_not_run_by_other_ways_to_accept_a_line() {
    for (name, value) in [("CMDAI_COMMENT", "0"), ("CMDAI_COMMENT", "1")] {
        let term = with_env(name, value);
        term.typed("make it").answers("0\ndangerous: makes\n# touch ran; touch ran").send(CTRL_G);
        term.holds("# touch ran; touch ran");
        term.send("\x0f").still_works();
        assert!(!term.path("ran").exists());
    }
}

#[test]
fn explanation_is_shown_below_and_changes_nothing() {
    let term = Term::new(Shell::Zsh);
    term.answers("0\ndangerous: deletes\nrm     removes\n-rf    100% of $(touch ran) it\n")
        .typed("rm -rf x")
        .send(LEFT);
    term.send(ALT_G).asked(1).until("the parts", |screen| {
        screen.starts_with("% rm -rf x\ncmdai: dangerous: deletes\nrm     removes\n-rf    100% of $(touch ran) it")
    });
    assert_eq!((last_arguments(&term), term.read("request")), ("--explain".into(), "rm -rf x".into()));
    assert!(term.transcript().contains(RED));
    assert_eq!(term.holds("rm -rf x"), 7);
    term.send("y").holds("rm -rf yx");
    gone(&term, "removes");
    term.send(UNDO).holds("rm -rf x");
    term.send(ALT_G).tells("removes").send(ENTER);
    term.until("no trace", |screen| !screen.contains("removes") && screen.starts_with("% rm -rf x\n%"));
}

#[test]
fn explanation_leaves_the_suggestions_where_they_were() {
    let term = Term::new(Shell::Zsh);
    term.typed("list files");
    next(&term, 1, "0\nsafe\none", "one");
    term.answers("0\nsafe\none   does it").send(ALT_G).shows("does it");
    next(&term, 3, "0\nsafe\ntwo", "two");
    assert_eq!((last_arguments(&term), term.read("request")), ("--candidate 2".into(), "list files".into()));
    gone(&term, "does it");
}

#[test]
fn explanation_can_be_cancelled_and_may_fail() {
    for key in [ESC, CTRL_C] {
        let term = Term::new(Shell::Zsh);
        term.hold().typed("ls -l").send(ALT_G).asked(1).shows("thinking");
        term.previews("~ls  lists\n").shows("cmdai: ls  lists").send(key);
        term.until_true("the core to stop", || term.log().contains("stopped")).holds("ls -l");
        gone(&term, "cmdai");
        term.answers("3\nno model\n").release().send(ALT_G).shows("cmdai: no model").holds("ls -l");
        term.still_works();
    }
}

#[test]
fn explanation_of_nothing_is_a_hint() {
    let term = Term::new(Shell::Zsh);
    term.send(ALT_G).shows("cmdai: type a command").still_works();
    assert_eq!(term.calls(), 0);
}

#[test]
fn explanation_that_is_too_tall_goes_above_the_line() {
    let term = Term::new(Shell::Zsh);
    term.resize(8, 40).still_works();
    let parts: String = (1..=12).map(|part| format!("part {part}\n")).collect();
    term.answers(&format!("0\nsafe\n{parts}")).send("ls").send(ALT_G).asked(1);
    term.until("the end", |screen| screen.trim_end().ends_with("part 12\n% ls")).holds("ls");
}

/// The history, newest first.
fn history(term: &Term) -> Vec<String> {
    term.send(CLEAR).send(" fc -ln 1 >history\r").still_works();
    term.read("history").lines().rev().filter(|line| !line.contains("alive")).map(str::to_owned).collect()
}

#[test]
fn words_stand_before_the_command_in_history_unless_switched_off() {
    for (value, lines) in [("", &[ANSWER, "# list files"][..]), ("1", &[ANSWER, "# list files"]), ("0", &[ANSWER])] {
        for start in ["# list files\r", "list files\x07"] {
            let env = vec![("CMDAI_HISTORY", value.to_owned())];
            // What history is to take, preexec is told, and those who keep one of their own, as atuin does.
            let before = "setopt hist_ignore_space\npreexec() { print -r -- $1 >$HOME/told }".to_owned();
            let term = Term::with(Shell::Zsh, Setup { env, before, ..Setup::default() });
            term.send(start).holds(ANSWER);
            term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
            assert_eq!(term.read("told"), format!("{ANSWER}\n"));
            term.send(UP).holds(ANSWER);
            term.send(UP).holds(lines[lines.len() - 1]);
            assert_eq!(history(&term), lines);
        }
    }
}

#[test]
fn words_are_kept_once_and_only_with_a_command() {
    let term = with("setopt hist_ignore_space");
    term.send("\x1b[200~first\nwords\x1b[201~").holds("first\nwords");
    for count in 1..=3 {
        next(&term, count, &format!("0\n\necho {count}"), &format!("echo {count}"));
    }
    term.send("0\r").until("it to run", |screen| screen.contains("\n30"));
    // Given up, taken back, run as they are: no words.
    term.typed("second").send(CTRL_G).asked(4).holds("echo 3");
    term.send(CTRL_C).holds("");
    term.send("echo 4\r");
    term.until("it to run", |screen| screen.contains("\n4\n"));
    term.typed("echo third").send(CTRL_G).asked(5).holds("echo 3");
    term.send(UNDO).holds("echo third");
    term.send(ENTER).until("it to run", |screen| screen.contains("\nthird"));
    assert_eq!(history(&term), ["echo third", "echo 4", "echo 30", "# first words"]);
}

#[test]
fn words_with_a_leading_space_are_kept_out_where_zsh_does_that() {
    for (option, lines) in [("setopt", &[ANSWER][..]), ("unsetopt", &[ANSWER, "# list files"])] {
        let term = with(&format!("{option} hist_ignore_space"));
        term.typed(" list files").send(CTRL_G).holds(ANSWER);
        term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
        term.send("setopt hist_ignore_space\r").still_works();
        assert_eq!(history(&term)[1..], *lines);
    }
}

#[test]
fn history_that_cannot_be_written_is_no_error() {
    for before in [
        "HISTFILE=/nonexistent/history SAVEHIST=10",
        "HISTFILE=$HOME/history; : >$HISTFILE; chmod 400 $HISTFILE; SAVEHIST=9; setopt share_history",
        "unset HISTFILE; HISTSIZE=0 SAVEHIST=0",
        "setopt hist_ignore_all_dups hist_no_store hist_reduce_blanks",
        "zshaddhistory() { return 1 }",
    ] {
        let term = with(before);
        term.send("# list files\r").holds(ANSWER);
        term.send(ENTER).until("it to run", |screen| screen.trim_end() == format!("% {ANSWER}\nan answer\n%"));
    }
}
