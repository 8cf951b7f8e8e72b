//! What is fish's own: the core draws the sign and watches for Esc, abbreviations, the pager.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use cmdai::{request::Shell, shell::init_script};

use crate::pty::{ALT_G, CLEAR, CTRL_A, CTRL_C, CTRL_E, CTRL_G, ENTER, ESC, Setup, Term, UNDO, UP, program};

const ALT_ENTER: &str = "\x1b\r";

fn fish(before: &str, after: &str) -> Term {
    Term::with(Shell::Fish, Setup { before: before.into(), after: after.into(), ..Setup::default() })
}

fn with_env(name: &'static str, value: &str) -> Term {
    Term::with(Shell::Fish, Setup { env: vec![(name, value.into())], ..Setup::default() })
}

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
    let line = "list many files ".repeat(8);
    term.send(&line).holds(&line);
    term.send(CTRL_A).send(CTRL_G).shows("an answer");
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
    term.send(ESC).shows("[N]").send("cclist files").shows("[I]").send(ESC).shows("[N]").send(CTRL_G).asked(2);
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

/// Presses the key on what is there, gets `answer`, and says with which arguments the core was called.
fn next(term: &Term, answer: &str) -> String {
    let calls = term.calls();
    term.answers(answer).send(CTRL_G).asked(calls + 1);
    term.holds(answer.splitn(3, '\n').nth(2).unwrap());
    term.read("arguments").trim_end().replace("widget --shell fish", "").replace(" --tty-progress", "")
}

#[test]
fn key_on_an_untouched_suggestion_asks_for_the_next_with_the_words() {
    let term = Term::new(Shell::Fish);
    term.typed("list \"é\" files");
    for (count, argument) in ["", " --candidate 2", " --candidate 3"].into_iter().enumerate() {
        assert_eq!(next(&term, &format!("0\nsafe\nls {count}")), argument);
        assert_eq!(term.read("request"), "list \"é\" files");
    }
    term.send(UNDO).holds("ls 1");
    term.send(UNDO).holds("ls 0");
    term.send(UNDO).holds("list \"é\" files");
    assert_eq!(next(&term, "0\nsafe\nls 0"), "");
    assert_eq!(next(&term, "0\nsafe\nls 1"), " --candidate 2");
    term.send(UNDO).send(UNDO).holds("list \"é\" files");
}

#[test]
fn after_the_last_candidate_the_words_come_back_and_the_cycle_begins_anew() {
    let term = Term::new(Shell::Fish);
    term.send("list files").send(ALT_ENTER).holds("list files\n");
    for _ in 0..2 {
        assert_eq!(next(&term, "0\nsafe\nls 1"), "");
        assert_eq!(term.read("request"), "list files\n");
        term.answers("5\nno other command was found\n").send(CTRL_G).shows("cmdai: no other command was found");
        assert_eq!(term.holds("list files\n"), 11);
    }
    assert_eq!(term.read("request"), "list files\n");
    term.send(CLEAR).typed("list files");
    for count in 1..=5 {
        next(&term, &format!("0\nsafe\nls {count}"));
    }
    assert_eq!(term.read("arguments"), "widget --shell fish --tty-progress --candidate 5\n");
    let calls = term.calls();
    term.send(CTRL_G).holds("list files");
    term.asked(calls);
    assert_eq!(next(&term, "0\nsafe\nls 1"), "");
}

#[test]
fn edit_ends_the_cycle() {
    let term = Term::new(Shell::Fish);
    term.typed("list files");
    next(&term, "0\nsafe\nls 1");
    term.send("0").holds("ls 10");
    assert_eq!(next(&term, "0\nsafe\nls 2"), "");
    assert_eq!(term.read("request"), "ls 10");
}

#[test]
fn line_that_was_run_or_given_up_is_no_suggestion_any_more() {
    let term = Term::new(Shell::Fish);
    for back in [UP, "echo 1"] {
        term.send(CLEAR).send("say one").holds("say one");
        assert_eq!(next(&term, "0\nsafe\necho 1"), "");
        if back == UP {
            term.send(ENTER).holds("");
        } else {
            give_up(&term);
        }
        term.send(back).holds("echo 1");
        assert_eq!(next(&term, "0\nsafe\necho 1"), "");
        assert_eq!(term.read("request"), "echo 1");
    }
}

#[test]
fn error_and_cancel_leave_the_suggestion_and_its_place_in_the_cycle() {
    let term = Term::new(Shell::Fish);
    term.typed("list files");
    next(&term, "0\nsafe\nls 1");
    term.answers("1\nbroken\n").send(CTRL_G).shows("cmdai: broken").holds("ls 1");
    term.hold().send(CTRL_G).asked(3).send(CTRL_C).holds("ls 1");
    term.release();
    term.answers("130\n\n").send(CTRL_G).asked(4).holds("ls 1");
    assert_eq!(next(&term, "0\nsafe\nls 2"), " --candidate 2");
    assert_eq!(term.read("request"), "list files");
}

#[test]
fn cursor_goes_where_the_answer_says() {
    let term = Term::new(Shell::Fish);
    for (first, cursor) in [("0 3", 3), ("0 0", 0), ("0", 9), ("0 4000", 9)] {
        term.answers(&format!("{first}\nsafe\ncp é <to>")).send(CLEAR).send("copy").send(CTRL_G).shows("<to>");
        assert_eq!(term.holds("cp é <to>"), cursor);
    }
    // In the middle of a short line the sign still has its place below.
    term.answers("0 3\nsafe\ncp é <to>").send(CLEAR).send("copy").send(CTRL_G).holds("cp é <to>");
    assert_eq!(next(&term, "0\nsafe\ncp"), " --candidate 2");
    assert!(term.read("arguments").contains("--tty-progress"));
}

#[test]
fn risk_is_coloured_and_its_note_takes_the_place_of_the_one_before() {
    let term = fish("function fish_prompt; echo 'top line'; echo -n '% '; end", "");
    term.typed("list files");
    let notes = [("safe", "\x1b[32msafe"), ("caution: é", "\x1b[33mcaution"), ("dangerous: x", "\x1b[1;31mdangerous")];
    for (count, (note, shown)) in notes.into_iter().enumerate() {
        next(&term, &format!("0\n{note}\nls {count}"));
        let shown = format!("cmdai: {shown}\x1b[m{}", note.trim_start_matches(char::is_alphabetic));
        term.until_true("the colour", || term.transcript().contains(&shown));
        let screen = format!("top line\n% list files\ncmdai: {note}\ntop line\n% ls {count}");
        term.until(&screen, |found| found.trim_end() == screen);
    }
    term.answers("5\nthat was all\n").send(CTRL_G);
    let screen = "top line\n% list files\ncmdai: that was all\ntop line\n% list files";
    term.until(screen, |found| found.trim_end() == screen);
}

#[test]
fn note_does_not_take_the_place_of_other_lines() {
    let term = Term::new(Shell::Fish);
    term.typed("list files");
    next(&term, "0\ncaution: one\nls 1");
    term.answers("1\nbroken\n").send(CTRL_G).shows("cmdai: broken");
    next(&term, "0\nsafe\nls 2");
    term.resize(20, 60);
    next(&term, "0\ncaution: three\nls 3");
    for text in ["% list files", "caution: one", "cmdai: broken", "safe", "caution: three"] {
        term.until(text, |screen| screen.contains(text));
    }
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    for (name, value, colour) in [("NO_COLOR", "1", false), ("NO_COLOR", "", true), ("TERM", "dumb", false)] {
        let term = with_env(name, value);
        term.answers("0\ncaution: x\nls").send("list files").send(CTRL_G).shows("cmdai: caution: x").holds("ls");
        assert_eq!(term.transcript().contains("\x1b[33mcaution"), colour, "{name}={value}");
    }
}

#[test]
fn note_gets_into_neither_buffer_nor_history_nor_output() {
    let term = Term::new(Shell::Fish);
    term.answers("0\ncaution: x\necho out >out").typed("list files").send(CTRL_G).shows("caution: x");
    term.holds("echo out >out");
    term.send(ENTER).until_true("it to run", || term.read("out") == "out\n");
    term.send("history >history\r").still_works();
    assert!(!term.read("history").contains("caution"));
}

#[test]
fn suggestion_that_is_a_comment_is_neither_run_nor_asked_for_again() {
    let term = Term::new(Shell::Fish);
    for answer in ["# touch ran", "# touch ran\ntouch ran"] {
        term.answers(&format!("0\ndangerous: x\n{answer}")).send("# make a file\r").holds(answer);
        let calls = term.calls();
        term.send(ENTER).shows("cmdai: remove the # to run it").holds(answer);
        term.asked(calls);
        give_up(&term);
        term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
        assert!(!term.path("ran").exists());
    }
    term.answers("0\ndangerous: x\n# touch ran").send("# make a file\r").holds("# touch ran");
    term.send(CTRL_A).send("\x1b[3~\x1b[3~").holds("touch ran");
    term.send(ENTER).until_true("it to run", || term.path("ran").exists());
}

#[test]
fn explanation_is_shown_below_and_the_line_stays_as_it_is() {
    for keys in ["", "fish_vi_key_bindings"] {
        let term = fish(keys, "");
        term.answers("0\ncaution: deletes files\nrm: removes \x1b[2J\n-r: with all in it\nbuild: the folder");
        term.typed("rm -r build").send("\x1b[D\x1b[D").send(ALT_G).shows("cmdai: caution: deletes files");
        term.until("the parts", |screen| {
            screen.contains("\n  rm: removes ?[2J\n  -r: with all in it\n  build: the folder\n")
        });
        assert_eq!(term.holds("rm -r build"), 9);
        assert_eq!(term.read("arguments"), "widget --shell fish --tty-progress --explain\n");
        assert_eq!(term.read("request"), "rm -r build");
        term.send("X").holds("rm -r buiXld");
        if keys.is_empty() {
            term.send(UNDO);
        } else {
            term.send(ESC).shows("[N]").send("u");
        }
        term.holds("rm -r build");
        term.send("i").send(CLEAR).send(ALT_G).shows("cmdai: type a command, then press the key");
        term.asked(1).still_works();
    }
}

#[test]
fn explanation_is_no_suggestion_and_does_not_end_the_cycle() {
    let term = Term::new(Shell::Fish);
    term.typed("list files");
    next(&term, "0\nsafe\nls 1");
    term.answers("0\nsafe\nls: lists").send(ALT_G).shows("ls: lists").holds("ls 1");
    assert_eq!(next(&term, "0\nsafe\nls 2"), " --candidate 2");
    term.send(UNDO).holds("ls 1");
}

#[test]
fn explanation_can_be_cancelled_and_fail() {
    let term = Term::new(Shell::Fish);
    term.hold().typed("ls -l").send(ALT_G).asked(1).send(CTRL_C).holds("ls -l");
    term.release();
    term.answers("1\nbroken\n").send(ALT_G).shows("cmdai: broken").holds("ls -l");
    let lines = (1..=20).map(|line| format!("\npart {line}")).collect::<String>();
    term.answers(&format!("0\nsafe{lines}")).send(ALT_G).shows("part 12").holds("ls -l");
    assert!(!term.screen().contains("part 13"));
}

#[test]
fn key_to_explain_can_be_changed_and_taken_away() {
    let term = with_env("CMDAI_EXPLAIN_KEY", "ctrl-t");
    term.answers("0\nsafe\nls: lists").send("ls\x14").shows("ls: lists").holds("ls");
    let term = with_env("CMDAI_EXPLAIN_KEY", "");
    term.send("ls").send(ALT_G).still_works();
    assert_eq!(term.calls(), 0);
}

#[test]
fn settings_count_that_come_after_loading() {
    let term = fish("", "set -g CMDAI_KEY ctrl-t; set -g CMDAI_COMMENT 0");
    term.send("?? list").holds("?? list");
    term.send("\x14").holds("echo 'an answer'");
    term.send(CLEAR).send("# list\r").still_works();
    term.send("list").send(CTRL_G).still_works();
    term.asked(1);
}

/// Ctrl-C, until it meets the line: it would end a function that a chord of the tests runs.
fn give_up(term: &Term) {
    term.until_true("no line", || term.send(CTRL_C).buffer().0.is_empty());
}

/// What `cmdai doctor` would be told.
fn taken(term: &Term) -> String {
    term.send(CLEAR).send("sh -c 'echo ${CMDAI_KEYS_TAKEN-unset}' >taken\r").still_works();
    term.read("taken").trim_end().to_owned()
}

#[test]
fn key_of_others_is_left_to_them_unless_it_was_chosen() {
    for (before, bound) in [
        ("bind \\cg other", "ctrl-g: other"),
        ("bind \\cg 'other; true'", "ctrl-g: 'other; true'"),
        ("function fish_user_key_bindings; bind \\cg other; end", "ctrl-g: other"),
        ("bind \\cg other; bind \\eg 'echo é'", "ctrl-g: other; alt-g: 'echo é'"),
        ("bind -M insert \\eg other; bind -M visual \\eg other; bind \\cg other", "ctrl-g: other; alt-g: other"),
    ] {
        let term = fish(&format!("function other; echo other >>other; end; {before}"), "");
        term.send("list files").send(CTRL_G).until_true("the other", || term.path("other").exists());
        assert_eq!(taken(&term), bound);
        assert_eq!(term.calls(), 0);
        let before = format!("function other; echo other >>other; end; {before}; set -g CMDAI_KEY ctrl-g");
        let term = fish(&before, "");
        term.send("list files").send(CTRL_G).holds("echo 'an answer'");
        assert!(!term.path("other").exists());
    }
}

#[test]
fn key_that_begins_a_binding_of_others_is_left_to_them() {
    let term = fish("function other; echo other >>other; end; bind \\cg\\cf other", "");
    term.send("list files").send(CTRL_G).send("\x06").until_true("the other", || term.path("other").exists());
    assert!(taken(&term).starts_with("ctrl-g: other"));
    assert_eq!(term.calls(), 0);
}

#[test]
fn nothing_is_told_where_nothing_is_taken() {
    let setup = Setup { env: vec![("CMDAI_KEYS_TAKEN", "ctrl-g: x".into())], loads: 2, ..Setup::default() };
    let term = Term::with(Shell::Fish, setup);
    assert_eq!(taken(&term), "unset");
    term.send("list files").send(CTRL_G).holds("echo 'an answer'");
    // Loading again is no reason to find our own keys taken.
    term.send(CLEAR).send("source init\r").still_works();
    assert_eq!(taken(&term), "unset");
}

#[test]
fn whatever_was_bound_to_enter_still_happens() {
    for bound in ["'echo 1 >>other; commandline -f execute'", "'echo 1 >>other' 'commandline -f execute'", "execute"] {
        let term = fish(&format!("bind \\r {bound}"), "");
        term.send("echo 2 >out\r").until_true("the line to run", || term.read("out") == "2\n");
        assert_eq!(term.read("other"), if bound == "execute" { "" } else { "1\n" });
        term.send("# list files\r").holds("echo 'an answer'");
    }
}

#[test]
fn ctrl_j_of_others_is_left_alone() {
    let term = fish("bind \\n 'commandline -i J'", "");
    term.send("# list\n").holds("# listJ");
    term.send(ENTER).holds("echo 'an answer'");
}

#[test]
fn enter_in_vi_normal_mode_goes_back_to_insert_mode() {
    let term = fish("fish_vi_key_bindings", "");
    term.send("echo 1 >out").send(ESC).shows("[N]").send(ENTER);
    term.until_true("the line to run", || term.read("out") == "1\n");
    term.shows("[I]").send("iii").holds("iii");
}

/// Types words, lets them become `command`, and runs it as it is.
fn accept(term: &Term, words: &str, command: &str) {
    next_second(term);
    term.answers(&format!("0\nsafe\n{command}")).send(CLEAR).send(words).send(CTRL_G).holds(command);
    term.send(ENTER).holds("");
}

/// fish 3 reads its file but once a second, and not in the second in which it was started. Its clock goes by the kernel's
/// ticks, some milliseconds behind ours.
fn next_second(term: &Term) {
    let second = || (SystemTime::now() - Duration::from_millis(20)).duration_since(UNIX_EPOCH).unwrap().as_secs();
    let now = second();
    term.until_true("the next second", || second() > now);
}

/// What Up finds, press by press. On a loaded machine the file is read a second later than the test would like.
fn up(term: &Term, lines: &[&str]) {
    for tries in 0.. {
        let found: Vec<String> = lines.iter().map(|_| term.send(UP).buffer().0).collect();
        term.send(CLEAR).holds("");
        if found == lines {
            return;
        }
        assert!(tries < 5, "wanted {lines:?}, found {found:?}");
        next_second(term);
    }
}

#[test]
fn words_are_found_above_the_command_that_came_of_them() {
    let term = Term::new(Shell::Fish);
    term.send("echo 0\r");
    accept(&term, r"say \n 'é' one", "echo 1");
    up(&term, &["echo 1", r"# say \n 'é' one", "echo 0"]);
    // With an edit, and after several candidates.
    term.send("say two").holds("say two");
    next(&term, "0\nsafe\necho 2a");
    next(&term, "0\nsafe\necho 2b");
    next_second(&term);
    term.send("c\r").holds("");
    up(&term, &["echo 2bc", "# say two", "echo 1"]);
    // From a comment line, and of several lines: none of them may become a command.
    term.answers("0\nsafe\necho 3").send("#   say three\r").holds("echo 3");
    next_second(&term);
    term.send(ENTER).holds("");
    up(&term, &["echo 3", "# say three", "echo 2bc"]);
    term.send("say").send(ALT_ENTER).send("touch ran").holds("say\ntouch ran");
    next(&term, "0\nsafe\necho 4");
    next_second(&term);
    term.send(ENTER).holds("");
    up(&term, &["echo 4", "# say touch ran", "echo 3"]);
    assert!(!term.path("ran").exists());
    // And from there they are asked about again.
    term.send(UP).holds("echo 4");
    term.send(UP).holds("# say touch ran");
    term.send(ENTER).holds("echo 4");
    assert_eq!(term.read("request"), "# say touch ran");
    term.send(UNDO).holds("# say touch ran");
}

#[test]
fn words_are_kept_only_with_a_command_that_is_run() {
    let term = Term::new(Shell::Fish);
    term.send("echo 0\r").holds("");
    accept(&term, " secret words", "echo 1");
    term.send("more words").holds("more words");
    next(&term, "0\nsafe\necho 2");
    give_up(&term);
    up(&term, &["echo 1", "echo 0"]);
    // Enter on an unfinished command only adds a line.
    term.send("words").holds("words");
    next(&term, "0\nsafe\necho '3");
    term.send(ENTER).holds("echo '3\n");
    give_up(&term);
    up(&term, &["echo 1", "echo 0"]);
}

#[test]
fn history_can_be_switched_off() {
    for before in ["set -g CMDAI_HISTORY 0", "function fish_should_add_to_history; string match -qv '#*' -- $argv; end"]
    {
        let term = fish(before, "");
        term.send("echo 0\r").holds("");
        accept(&term, "say one", "echo 1");
        up(&term, &["echo 1", "echo 0"]);
    }
}

#[test]
fn history_that_cannot_be_written_is_no_error() {
    for before in ["set -g fish_history ''", "set -g fish_history other", "set -g fish_private_mode 1", ""] {
        let term = fish(before, "");
        if before.is_empty() {
            // Root may write where others may not.
            let _ = fs::remove_file(term.path(".data/fish/fish_history"));
            fs::create_dir(term.path(".data/fish/fish_history")).unwrap();
        }
        accept(&term, "say one", "echo 1");
        accept(&term, "say two", "echo 2");
        // What fish 4 itself says of its file begins so.
        let screen: String = term.screen().lines().filter(|row| !row.starts_with("history-file: ")).collect();
        assert!(!screen.contains("rror") && !screen.contains("warning") && !screen.contains("fish:"), "{screen}");
        term.still_works();
    }
}

/// What is in only one of the two lists is nothing.
fn same_state(term: &Term, name: &str) {
    let [before, after] = ["state1", name].map(|name| term.read(name));
    let only = |one: &str, other: &str| {
        one.lines().filter(|line| !other.lines().any(|also| also == *line)).collect::<Vec<_>>().join(", ")
    };
    assert_eq!((only(&before, &after), only(&after, &before)), (String::new(), String::new()));
}

#[test]
fn unloading_leaves_no_trace_and_loading_works_again() {
    let before = "true &; mv $HOME/init $HOME/kept; touch $HOME/init; abbr zz 'echo z'; abbr --add -- '???' x
         function other; echo other >>other; commandline -f execute; end
         bind \\cg 'echo mine'; bind -M insert \\eg other; bind \\r other; bind -M insert \\r 'other' 'true'
         function test_state
             functions -an; functions --handlers
             for mode in default insert visual; bind --user -M $mode | string match -v '# Defined in *'; end
             set -ng; set -nU; abbr --show; complete | string match '*cmdai*'; env | string match '*CMDAI*'
         end";
    for key in [None, Some("ctrl-g")] {
        let env = key.map(|key| ("CMDAI_KEY", key.to_owned())).into_iter().collect();
        let setup = Setup { before: before.into(), env, ..Setup::default() };
        let term = Term::with(Shell::Fish, setup);
        term.still_works().send("test_state >state1\r").still_works();
        term.send("source kept; source kept\r").still_works();
        term.send(CLEAR).send("# list files\r").holds("echo 'an answer'");
        assert!(!term.path("other").exists() || !term.read("other").contains("list"));
        term.send(CLEAR).send("# x ").holds("# x ");
        term.send(CLEAR).send("test_state >state2; cmdai_unload; test_state >state3\r").still_works();
        assert!(term.read("state2").contains("__cmdai_enter") && term.read("state2") != term.read("state1"));
        same_state(&term, "state3");
        let calls = term.calls();
        term.send(CLEAR).send("# list files\r").send("?? x").holds("?? x");
        term.asked(calls).send(CLEAR).send("source kept; cmdai_unload; test_state >state4\r").still_works();
        same_state(&term, "state4");
        term.send("source kept\r").still_works();
        term.send("# list files\r").holds("echo 'an answer'");
    }
}

#[test]
fn unloading_keeps_what_was_bound_over_ours() {
    let term = Term::new(Shell::Fish);
    term.still_works_by("bind \\cg 'commandline -i mine'; bind \\r 'echo x >>other; commandline -f execute'");
    let count = term.read("other").len();
    term.still_works_by("cmdai_unload");
    assert!(count > 0 && term.read("other").len() > count);
    term.send(CTRL_G).holds("mine");
}

#[test]
fn abbreviation_is_shown_and_erased_like_any_other() {
    let term = Term::new(Shell::Fish);
    term.send("abbr --show >shown; abbr --list >listed; abbr --erase '??'; echo $status >erased; source init\r");
    term.still_works();
    // Newer ones quote it only where it would be a pattern.
    let plain = |name: &str| term.read(name).replace('\'', "");
    assert_eq!(plain("shown"), "abbr -a --function __cmdai_marks -- ??\n");
    assert_eq!((plain("listed").as_str(), term.read("erased").as_str()), ("??\n", "0\n"));
    term.send("?? x").holds("# x");
    term.send(CLEAR).send("abbr --erase '??'; abbr --show >shown\r").still_works();
    assert_eq!(term.read("shown"), "");
    term.send("?? x").holds("?? x");
}

#[test]
fn abbreviation_stays_out_of_real_commands() {
    let term = Term::new(Shell::Fish);
    for line in [
        "echo ?? x",
        "ls | ?? x",
        "true; ?? x",
        "git ?? x",
        "echo '?? x",
        "begin; ?? x",
        " ?? x",
        "??? x",
        "not ?? x",
        "(?? x",
    ] {
        term.send(CLEAR).send(line).holds(line);
    }
    term.send(CLEAR).send("echo a").send(ALT_ENTER).send("?? x").holds("echo a\n?? x");
    term.send(CLEAR).send(" x").send(CTRL_A).send("?? ").holds("#  x");
    term.send(CLEAR).send("read -S v; echo $v >out\r").shows("read>").send("?? x\r");
    term.until_true("read to end", || term.read("out") == "?? x\n");
    assert_eq!(term.calls(), 0);
}

#[test]
fn old_fish_says_so_in_one_line_and_gets_nothing() {
    let term = Term::new(Shell::Fish);
    let script = init_script(Shell::Fish, &term.path("core"), None).unwrap();
    for (version, old) in [("3.5.1", true), ("3.1b1", true), ("2.7.1", true), ("3.6.0", false), ("4.0.0", false)] {
        fs::write(term.path("other"), script.replace("$version", version)).unwrap();
        term.still_works_by("cmdai_unload; source other >notice 2>&1; functions -an | string match '*cmdai*' >got");
        let notice =
            format!("cmdai: fish {version} has no Ctrl-G (3.6 or newer is needed); type: cmdai list large files\n");
        assert_eq!(term.read("notice"), if old { notice } else { String::new() });
        assert_eq!(term.read("got").is_empty(), old);
    }
}

/// What fisher 4 does: it copies, sources, and emits; later it emits, deletes, and erases nothing of conf.d itself.
#[test]
fn fisher_installs_loads_and_removes_the_folder() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/shell/conf.d/cmdai.fish");
    let before = format!(
        "true &; mv $HOME/init $HOME/kept; touch $HOME/init; mkdir -p .config/fish/conf.d .local/bin
         function cp_plugin; cp -RLf '{path}' .config/fish/conf.d/; source .config/fish/conf.d/cmdai.fish; emit cmdai_install; end
         function rm_plugin; emit cmdai_uninstall; rm .config/fish/conf.d/cmdai.fish; end
         function state; begin; functions -an; bind --user; set -ng; abbr --show; end | string match -v '__fish_*'; end"
    );
    let term = fish(&before, "");
    term.still_works_by("state >state1; cp_plugin 2>notice");
    assert_eq!(term.read("notice"), "cmdai: not found on PATH, in ~/.local/bin or in ~/.cargo/bin\n");
    let finder = "#!/bin/sh\n[ \"$*\" = 'init fish' ] && exec cat \"$HOME/kept\"\n";
    fs::write(term.path(".local/bin/cmdai"), finder).unwrap();
    fs::set_permissions(term.path(".local/bin/cmdai"), fs::Permissions::from_mode(0o755)).unwrap();
    term.still_works_by("cp_plugin 2>notice");
    term.send(CLEAR).send("# list files\r").holds("echo 'an answer'");
    assert_eq!(term.read("notice"), "");
    // A new shell loads it before config.fish.
    term.send(CLEAR)
        .send(&format!("{} -i\r", program(Shell::Fish)))
        .until("the inner prompt", |screen| screen.trim_end().ends_with('%'));
    term.holds("");
    term.send("?? list files").send(CTRL_G).asked(2).holds("echo 'an answer'");
    term.send(CLEAR).send("exit\r").still_works();
    term.still_works_by("rm_plugin 2>&1; state >state2");
    same_state(&term, "state2");
}

#[test]
fn sign_is_not_drawn_before_its_time_and_cancelling_is_quick() {
    let start = Instant::now();
    let term = waiting("list files");
    term.until_true("the sign", || term.transcript().contains("thinking"));
    assert!(start.elapsed() >= Duration::from_millis(150));
    for key in [ESC, CTRL_C, CTRL_G] {
        let calls = term.calls();
        if !term.screen().contains("thinking") {
            term.send(CTRL_G).asked(calls + 1).shows("thinking");
        }
        let start = Instant::now();
        term.send(key).until("no sign", |screen| !screen.contains("thinking"));
        assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
        term.holds("list files");
    }
}

#[test]
fn builtins_under_aliases_and_an_odd_ifs_change_nothing() {
    let aliases = "for name in printf contains functions bind abbr disown set_color count history
         function $name; return 1; end; end; function commandline; builtin commandline $argv; end";
    // fish itself needs math for the title.
    for odd in [aliases, "set -g IFS ''", "set -g IFS :a"] {
        let term = fish("function fish_prompt; builtin echo top; builtin echo -n '% '; end", "");
        fs::write(term.path("odd"), odd).unwrap();
        term.still_works_by("source odd; source init");
        term.answers("0\ncaution: a:b\nls a:b\nls").send("list a:b").send(ALT_ENTER).send("files").send(CTRL_G);
        term.shows("caution: a:b").holds("ls a:b\nls");
        assert_eq!(term.read("request"), "list a:b\nfiles");
        term.answers("5\nno\n").send(CTRL_G).holds("list a:b\nfiles");
        term.answers("0\nsafe\nls: lists\na: b")
            .send(ALT_G)
            .until("the parts", |screen| screen.contains("cmdai: safe\n  ls: lists\n  a: b\ntop\n% list a:b\n  files"));
        term.send(CLEAR).send("?? list files\r").holds("ls: lists\na: b");
    }
}

#[test]
fn narrow_screen_and_wide_characters_keep_the_lines_apart() {
    for request in [
        "数え日本語日本語日本語日本語日本語",
        "e\u{301}e\u{301}e\u{301} combining e\u{301}e\u{301} marks a\u{30a}",
        "🎉🎉 🎉🎉🎉 x 🎉🎉🎉🎉",
    ] {
        for prompt in ["echo -n '% '", "echo 'top line'; echo -n '日 % '"] {
            let term = fish(&format!("function fish_prompt; {prompt}; end"), "");
            term.resize(24, 20);
            give_up(&term);
            term.send("clear\r")
                .until("a clear screen", |screen| screen.trim_end().ends_with('%') && !screen.contains("alive"));
            term.send(request).holds(request);
            term.answers("0\ndangerous: xyz\ntrue 1").send(CTRL_G).holds("true 1");
            let top = if prompt.contains("top") { "top line\n日 % " } else { "% " };
            // Rows that belong together come as one.
            // Without what the screen may put into one cell or two.
            let plain = |text: &str| text.replace(['\n', ' ', '\u{301}', '\u{30a}'], "");
            let shows = |rows: &str| {
                term.until(rows, |screen| {
                    let line = plain(screen.split("cmdai:").next().unwrap_or_default());
                    screen.trim_end().ends_with(&format!("\n{rows}")) && line.ends_with(&plain(request))
                });
            };
            shows(&format!("cmdai: dangerous: xyz\n{top}true 1"));
            term.answers("0\nsafe\ntrue").send(CTRL_G).holds("true");
            shows(&format!("cmdai: safe\n{top}true"));
            assert!(!term.screen().contains("dangerous"));
        }
    }
}

#[test]
fn right_prompt_is_drawn_again_beside_the_answer() {
    let term = Term::new(Shell::Fish);
    term.still_works_by("function fish_right_prompt; echo right; end");
    term.still_works_by("function fish_prompt; echo top; echo -n '% '; end").send("clear\r").shows("right");
    term.answers("0\nsafe\nls").typed("list files").send(CTRL_G).holds("ls");
    term.until("the right prompt", |screen| {
        let last = screen.trim_end().lines().last().unwrap_or_default();
        last.starts_with("% ls ") && last.ends_with("right") && screen.contains("cmdai: safe\ntop\n% ls")
    });
    term.send(CTRL_E).still_works();
}
