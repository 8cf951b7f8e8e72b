//! What holds in zsh, bash and fish alike.

use std::fs;

use cmdai::request::Shell;

use crate::pty::{ANSWER, CLEAR, CTRL_A, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term, UNDO};

/// One test per shell from a function that takes the shell.
macro_rules! in_every_shell {
    ($($fact:ident)*) => { in_every_shell!(@ zsh Zsh $($fact)*); in_every_shell!(@ bash Bash $($fact)*); in_every_shell!(@ fish Fish $($fact)*); };
    (@ $module:ident $shell:ident $($fact:ident)*) => {
        mod $module { $(#[test] fn $fact() { super::$fact(super::Shell::$shell) })* }
    };
}

in_every_shell! {
    ctrl_g_puts_the_answer_on_the_line_and_undo_brings_the_words_back
    comment_line_and_enter_puts_the_answer_on_the_line_and_the_second_enter_runs_it
    ctrl_c_gives_the_line_back
    esc_gives_the_line_back
    enter_typed_while_waiting_never_runs_the_answer
    reason_is_shown_and_the_line_and_cursor_are_kept
    answer_that_is_not_one_is_not_used
    answer_with_hidden_characters_is_refused
    missing_core_is_named_and_the_shell_goes_on
    empty_line_gives_a_hint_and_does_not_ask
    request_arrives_byte_for_byte_on_stdin_and_nowhere_else
    whole_line_is_sent_wherever_the_cursor_is
    plain_line_runs_once
    loading_three_times_changes_nothing
    answer_of_several_lines_or_with_a_leading_dash_arrives_whole
    comment_without_a_space_or_words_is_left_alone
    key_can_be_changed_and_taken_away
    comment_expansion_can_be_switched_off
    dumb_terminal_still_gets_an_answer
    resize_while_waiting_leaves_no_trace
    very_long_line_does_not_hang
    note_is_shown_with_the_answer
    bracketed_paste_is_not_asked_about
    hostile_reason_is_shown_inert
}

fn ctrl_g_puts_the_answer_on_the_line_and_undo_brings_the_words_back(shell: Shell) {
    let term = Term::new(shell);
    term.typed("list files").send(CTRL_G).shows("an answer");
    assert_eq!(term.holds(ANSWER), ANSWER.len());
    term.send(UNDO);
    term.holds("list files");
    term.asked(1).still_works();
}

fn comment_line_and_enter_puts_the_answer_on_the_line_and_the_second_enter_runs_it(shell: Shell) {
    let term = Term::new(shell);
    term.answers("0\n\necho $((40 + 2)) >ran");
    if shell == Shell::Fish {
        term.answers("0\n\necho (math 40 + 2) >ran");
    }
    term.send("# list files\r").shows(">ran");
    term.asked(1);
    assert!(!term.path("ran").exists());
    term.send(ENTER).until_true("the answer to run", || term.read("ran") == "42\n");
    term.asked(1).still_works();
}

fn waiting(shell: Shell) -> Term {
    let term = Term::new(shell);
    term.hold().typed("list é files").send(CTRL_G).asked(1);
    term
}

/// In fish the sign is the core's own: see pty_fish.
fn shows_sign(term: &Term, shell: Shell) {
    if shell != Shell::Fish {
        term.shows("thinking");
    }
}

fn ctrl_c_gives_the_line_back(shell: Shell) {
    let term = waiting(shell);
    shows_sign(&term, shell);
    term.send(CTRL_C).until("no sign", |screen| !screen.contains("thinking"));
    term.until_true("the core to stop", || term.log().contains("stopped") || shell == Shell::Fish);
    term.holds("list é files");
    term.still_works();
}

fn esc_gives_the_line_back(shell: Shell) {
    if shell == Shell::Fish {
        return; // the core watches there: see pty_fish
    }
    let term = waiting(shell);
    shows_sign(&term, shell);
    term.send(ESC).until("no sign", |screen| !screen.contains("thinking"));
    term.until_true("the core to stop", || term.log().contains("stopped"));
    term.holds("list é files");
    term.still_works();
}

fn enter_typed_while_waiting_never_runs_the_answer(shell: Shell) {
    for answer in ["touch ran", "touch ran\ntouch ran-too"] {
        let term = Term::new(shell);
        if shell == Shell::Fish {
            // fish cannot drop keys itself: the core does.
            fs::write(term.path("flush"), "").unwrap();
        }
        term.answers(&format!("0\n\n{answer}")).hold();
        term.send("# make a file\r").asked(1).send("x\r").send(ENTER);
        shows_sign(&term, shell);
        term.release();
        term.holds(answer);
        term.still_works();
        assert!(!term.path("ran").exists() && !term.path("ran-too").exists());
    }
}

fn reason_is_shown_and_the_line_and_cursor_are_kept(shell: Shell) {
    for status in [1, 2, 3, 4] {
        let term = Term::new(shell);
        term.answers(&format!("{status}\nmodel tiny is not here; run cmdai model pull\n"));
        term.typed("list files").send(CTRL_A).send(CTRL_G).shows("cmdai: model tiny is not here; run cmdai model pull");
        assert_eq!(term.holds("list files"), 0);
        term.still_works();
    }
}

fn answer_that_is_not_one_is_not_used(shell: Shell) {
    for answer in ["", "0", "0\n", "0\n\n", "touch ran", "no number\ntouch ran", "0x\n\ntouch ran", "7777\n\nx"] {
        let term = Term::new(shell);
        term.answers(answer).typed("list files").send(CTRL_G).shows("cmdai: ");
        term.holds("list files");
        term.still_works();
        assert!(!term.path("ran").exists());
    }
}

fn answer_with_hidden_characters_is_refused(shell: Shell) {
    let hidden =
        ["\x1b[31m", "\r", "\x08", "\x7f", "\u{9b}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{61c}", "\u{feff}"];
    let term = Term::new(shell);
    for (index, hidden) in hidden.into_iter().enumerate() {
        term.answers(&format!("0\n\necho a{hidden}b")).typed("list files").send(CTRL_G).asked(index + 1);
        term.shows("cmdai: the answer was refused");
        term.holds("list files");
        term.send(CLEAR).send("clear\r").until("a clear screen", |screen| !screen.contains("refused"));
    }
    for plain in ["echo 日本語 é 🎉", "printf 'a\tb'"] {
        term.answers(&format!("0\n\n{plain}")).send(CLEAR).send("list files").send(CTRL_G);
        term.holds(plain);
    }
}

fn missing_core_is_named_and_the_shell_goes_on(shell: Shell) {
    let term = Term::new(shell);
    fs::remove_file(term.path("core")).unwrap();
    term.typed("list files").send(CTRL_G).shows("core: not found");
    term.holds("list files");
    term.send(CLEAR).send("# x; touch ran\r");
    term.holds("# x; touch ran");
    term.still_works();
    assert!(!term.path("ran").exists());
}

fn empty_line_gives_a_hint_and_does_not_ask(shell: Shell) {
    let term = Term::new(shell);
    term.send(CTRL_G).shows("cmdai: say in words");
    term.still_works();
    assert_eq!(term.calls(), 0);
}

fn request_arrives_byte_for_byte_on_stdin_and_nowhere_else(shell: Shell) {
    let term = Term::new(shell);
    let request = r#"-n 列出 fast é "a" 'b' $HOME `id` \n %F{red} canary"#;
    term.typed(request).send(CTRL_G).shows("an answer");
    assert_eq!(term.read("request"), request);
    let flag = if shell == Shell::Fish { "--tty-progress" } else { "--stream" };
    assert_eq!(term.read("arguments"), format!("widget --shell {} {flag}\n", shell.name()));
    assert!(!term.read("environ").contains("canary"));
}

fn whole_line_is_sent_wherever_the_cursor_is(shell: Shell) {
    let term = Term::new(shell);
    term.typed("list files").send(CTRL_A).send(CTRL_G).shows("an answer");
    assert_eq!(term.read("request"), "list files");
    assert_eq!(term.holds(ANSWER), ANSWER.len());
}

fn plain_line_runs_once(shell: Shell) {
    let term = Term::new(shell);
    term.send("echo 42 >>out\r").still_works();
    assert_eq!(term.read("out"), "42\n");
    assert_eq!(term.calls(), 0);
}

fn loading_three_times_changes_nothing(shell: Shell) {
    let term = Term::with(shell, Setup { loads: 3, ..Setup::default() });
    term.send("echo 42 >>out\r").still_works();
    assert_eq!(term.read("out"), "42\n");
    term.send("# list files\r").shows("an answer");
    term.holds(ANSWER);
    term.asked(1);
}

fn answer_of_several_lines_or_with_a_leading_dash_arrives_whole(shell: Shell) {
    let term = Term::new(shell);
    for command in ["-n foo", "for i in 1 2; do\n  echo $i\ndone", "0", "echo \\\\ \\n '%s' \"$HOME\"", "!x"] {
        term.answers(&format!("0\n\n{command}")).send("list files").send(CTRL_G);
        assert_eq!(term.holds(command), command.chars().count());
        term.send(CLEAR).holds("");
    }
}

fn comment_without_a_space_or_words_is_left_alone(shell: Shell) {
    let term = Term::new(shell);
    for line in ["#x", "#", "#  "] {
        term.send(line).send(ENTER).still_works();
    }
    assert_eq!(term.calls(), 0);
}

fn key_can_be_changed_and_taken_away(shell: Shell) {
    for key in ["ctrl-t", "^T"] {
        let term = Term::with(shell, Setup { env: vec![("CMDAI_KEY", key.into())], ..Setup::default() });
        term.typed("list files").send("\x14");
        term.holds(ANSWER);
    }
    let term = Term::with(shell, Setup { env: vec![("CMDAI_KEY", "alt-g".into())], ..Setup::default() });
    term.typed("list files").send("\x1bg");
    term.holds(ANSWER);
    let term = Term::with(shell, Setup { env: vec![("CMDAI_KEY", String::new())], ..Setup::default() });
    term.typed("list files").send(CTRL_G).still_works();
    assert_eq!(term.calls(), 0);
}

fn comment_expansion_can_be_switched_off(shell: Shell) {
    let term = Term::with(shell, Setup { env: vec![("CMDAI_COMMENT", "0".into())], ..Setup::default() });
    term.send("# list files\r").still_works();
    assert_eq!(term.calls(), 0);
    term.send("list files").send(CTRL_G).shows("an answer");
}

fn dumb_terminal_still_gets_an_answer(shell: Shell) {
    let term = Term::with(shell, Setup { env: vec![("TERM", "dumb".into())], ..Setup::default() });
    term.send("list files").send(CTRL_G).asked(1);
    term.holds(ANSWER);
    assert!(!term.screen().contains('\x1b'));
}

fn resize_while_waiting_leaves_no_trace(shell: Shell) {
    let term = waiting(shell);
    shows_sign(&term, shell);
    term.resize(20, 60).release();
    term.holds(ANSWER);
    assert!(!term.screen().contains("thinking"), "{}", term.screen());
    term.still_works();
}

fn very_long_line_does_not_hang(shell: Shell) {
    let term = Term::new(shell);
    let fill = match shell {
        Shell::Zsh => "test-fill() { BUFFER=${(l:300000::x:)} }; zle -N test-fill; bindkey '^Xf' test-fill\r",
        Shell::Bash => "test_fill() { printf -v READLINE_LINE '%0300000d' 0; }; bind -x '\"\\C-xf\": test_fill'\r",
        Shell::Fish => "function test_fill; commandline -r (string repeat -n 300000 x); end; bind \\cxf test_fill\r",
    };
    term.answers("2\nthe line is longer than 8 KiB\n").send(fill).still_works();
    term.send("\x18f").send(CTRL_G).asked(1);
    term.until_true("the reason", || term.transcript().contains("the line is longer than 8 KiB"));
    assert_eq!(term.read("request").len(), 300_000);
    assert!(term.read("environ").len() < 10_000);
    assert_eq!(term.buffer().0.len(), 300_000);
}

fn note_is_shown_with_the_answer(shell: Shell) {
    let term = Term::new(shell);
    term.answers("0\ncaution: deletes files\nrm -r build").typed("list files").send(CTRL_G);
    term.shows("cmdai: caution: deletes files");
    assert_eq!(term.holds("rm -r build"), 11);
}

fn bracketed_paste_is_not_asked_about(shell: Shell) {
    let term = Term::new(shell);
    term.send("\x1b[200~# list files\necho hi\x1b[201~");
    term.holds("# list files\necho hi");
    assert_eq!(term.calls(), 0);
}

fn hostile_reason_is_shown_inert(shell: Shell) {
    let term = Term::new(shell);
    let reason = "bad \x1b]0;TITLE\x07\x1b[2J %F{red} $(touch ran) `touch ran` %s \\n end";
    term.answers(&format!("1\n{reason}\n"))
        .typed("list files")
        .send(CTRL_G)
        .shows("$(touch ran) `touch ran` %s \\n end");
    term.shows("%F{red}");
    assert!(!term.transcript().contains("\x1b]0;TITLE"));

    term.holds("list files");
    assert!(!term.path("ran").exists());
}
