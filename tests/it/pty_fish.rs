//! What is fish's own: the core draws the sign and watches for Esc, abbreviations, the pager.

use std::fs;

use cmdai::request::Shell;

use crate::pty::{CTRL_A, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term};

/// A terminal whose core is the real program, waiting for the end of a request that does not come.
fn waiting(line: &str) -> Term {
    let term = Term::new(Shell::Fish);
    let program = env!("CARGO_BIN_EXE_cmdai");
    let core = format!(
        "#!/bin/sh\ncd '{}'\nmkfifo never\necho asked >>log\nexec '{program}' \"$@\" 0<>never\n",
        term.home.path().display()
    );
    fs::write(term.path("core"), core).unwrap();
    term.typed(line).send(CTRL_G).asked(1);
    term
}

#[test]
fn sign_is_drawn_below_the_line_and_ctrl_c_leaves_no_trace() {
    let term = waiting("list é files");
    term.until("the sign", |screen| screen.contains("% list é files\ncmdai: thinking"));
    term.send(CTRL_C).until("no sign", |screen| !screen.contains("thinking"));
    assert_eq!(term.holds("list é files"), 12);
    assert_eq!(term.screen().trim_end(), "% list é files");
    term.still_works();
}

#[test]
fn esc_cancels_and_the_terminal_is_given_back() {
    let term = waiting("list files");
    term.shows("thinking").send(ESC).until("no sign", |screen| !screen.contains("thinking"));
    assert_eq!(term.holds("list files"), 10);
    term.still_works();
    term.send("stty -a >modes\r").still_works();
    assert!(!term.read("modes").contains("-icanon") && !term.read("modes").contains("-echo "));
}

#[test]
fn keys_typed_while_waiting_are_neither_echoed_nor_kept() {
    let term = waiting("list files");
    term.shows("thinking").send("junk\r\x1b[A").send(ESC).until("no sign", |screen| !screen.contains("thinking"));
    term.holds("list files");
    assert!(!term.screen().contains("junk"));
}

#[test]
fn sign_is_not_drawn_over_a_line_whose_end_may_be_elsewhere() {
    let term = Term::new(Shell::Fish);
    term.typed("list files").send(CTRL_A).send(CTRL_G).shows("an answer");
    assert_eq!(term.read("arguments"), "widget --shell fish\n");
}

#[test]
fn two_question_marks_become_a_comment_sign() {
    let term = Term::new(Shell::Fish);
    term.send("?? list files").shows("# list files").send(ENTER).shows("an answer");
    assert_eq!(term.read("request"), "# list files");
}

#[test]
fn other_abbreviations_expand_and_run_at_enter() {
    let term = Term::with(Shell::Fish, Setup { after: "abbr zz 'echo zed >out'".into(), ..Setup::default() });
    term.send("zz\r").until_true("the abbreviation to run", || term.read("out") == "zed\n");
    assert_eq!(term.calls(), 0);
}

#[test]
fn open_pager_keeps_ctrl_g_and_enter() {
    let term = Term::new(Shell::Fish);
    for name in ["aa1", "aa2"] {
        fs::write(term.path(name), "").unwrap();
    }
    term.send("cat ./aa\t").shows("aa2").send("\t").send(CTRL_G).holds("cat ./aa");
    term.send("\t\t").send(ENTER).until_true("an entry", || term.buffer().0.trim_end() == "cat ./aa1");
    assert_eq!(term.calls(), 0);
}

#[test]
fn read_builtin_takes_its_comment_line_literally() {
    let term = Term::new(Shell::Fish);
    term.send("read --prompt-str 'ask> ' x; echo $x >out\r").shows("ask>").send("# list files\r");
    term.until_true("read to end", || term.read("out") == "# list files\n");
    assert_eq!(term.calls(), 0);
}

#[test]
fn loop_body_takes_its_comment_line_literally() {
    let term = Term::new(Shell::Fish);
    term.send("for i in 1 2\r").send("# list files\r").send("echo $i >>out\r").send("end\r");
    term.until_true("the loop to run", || term.read("out") == "1\n2\n");
    assert_eq!(term.calls(), 0);
}

#[test]
fn vi_mode_asks_from_both_modes() {
    let term = Term::with(Shell::Fish, Setup { before: "fish_vi_key_bindings".into(), ..Setup::default() });
    term.typed("list files").send(CTRL_G).holds("echo 'an answer'");
    term.send(ESC).send("cclist files").send(ESC).send(CTRL_G).asked(2);
    term.holds("echo 'an answer'");
}

#[test]
fn enter_calls_the_function_it_found() {
    let before = "function other; echo other >>other; commandline -f execute; end; bind \\r other";
    let term = Term::with(Shell::Fish, Setup { before: before.into(), loads: 2, ..Setup::default() });
    term.send("echo 1 >out\r").until_true("the line to run", || term.read("out") == "1\n");
    assert_eq!(term.read("other"), "other\n");
    term.send("# list files\r").shows("an answer");
    term.holds("echo 'an answer'");
}

#[test]
fn function_that_takes_enter_after_us_gets_ordinary_lines_only() {
    for hand_on in ["commandline -f execute", "__cmdai_enter"] {
        let after = format!("function other; echo other >>other; {hand_on}; end; bind \\r other");
        let term = Term::with(Shell::Fish, Setup { after, ..Setup::default() });
        term.send("# list files\r").shows("an answer").holds("echo 'an answer'");
        assert!(!term.path("other").exists());
        term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
        assert_eq!(term.read("other"), "other\n");
    }
}

#[test]
fn note_and_reason_stay_readable_under_a_line_of_several_rows() {
    let line = format!("list {}end", "very long words ".repeat(14));
    for (prompt, keys) in [("", ""), ("", CTRL_A), ("echo 'top line'; ", ""), ("echo 'top line'; ", CTRL_A)] {
        let before = format!("function fish_prompt; {prompt}echo -n '% '; end");
        let term = Term::with(Shell::Fish, Setup { before, ..Setup::default() });
        term.answers("1\nbroken\n").typed("list").send(&line[4..]).shows("words end").send(keys).send(CTRL_G);
        let whole = |screen: &str| screen.replace('\n', "").matches("words end").count() == 2;
        term.until("both lines and the reason", |screen| whole(screen) && screen.contains("\ncmdai: broken\n"));
        term.holds(&line);
        term.answers("0\ndangerous: deletes files\nrm -r build").send(CTRL_G).shows("rm -r build");
        term.until("the note", |screen| whole(screen) && screen.contains("\ncmdai: dangerous: deletes files\n"));
        assert_eq!(term.holds("rm -r build"), 11);
    }
}
