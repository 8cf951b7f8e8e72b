//! What is bash's own: Enter is a macro of two keys, and only the prompts tell where we are.

use cmdai::request::Shell;

use crate::pty::{CLEAR, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term};

const ANSWER: &str = "echo 'an answer'";

fn with(before: &str, after: &str) -> Term {
    Term::with(Shell::Bash, Setup { before: before.into(), after: after.into(), ..Setup::default() })
}

/// The comment line is expanded at the prompt, before and after a command has run.
fn expands(term: &Term) {
    let before = term.calls();
    term.send("# list files\r").asked(before + 1).holds(ANSWER);
    term.still_works();
    term.send("# list files\r").asked(before + 2).holds(ANSWER);
    term.send(CLEAR);
}

#[test]
fn status_and_last_argument_survive_enter() {
    let term = Term::new(Shell::Bash);
    term.send("echo aa bb\r").send("echo $_ >last\r").send("false\r").send("echo $? >status\r").still_works();
    assert_eq!((term.read("last").as_str(), term.read("status").as_str()), ("bb\n", "1\n"));
}

#[test]
fn here_document_continuation_and_read_e_are_left_alone() {
    let term = Term::new(Shell::Bash);
    term.send("cat >out <<E\r").send("# list files\r").send("E\r").still_works();
    assert_eq!(term.read("out"), "# list files\n");
    term.send("read -e -p 'ask> ' x; echo \"$x\" >out2\r").shows("ask>").send("# list files\r");
    term.until_true("read to end", || term.read("out2") == "# list files\n");
    term.send("for i in 1 2; do\r").send("# list files\r").send("echo $i >>out3\r").send("done\r").still_works();
    assert_eq!(term.read("out3"), "1\n2\n");
    assert_eq!(term.calls(), 0);
    expands(&term);
}

#[test]
fn task_line_works_after_a_here_document_is_given_up() {
    let term = Term::new(Shell::Bash);
    term.send("cat <<E\r").shows("> ").send(CTRL_C).holds("");
    expands(&term);
}

#[test]
fn prompt_command_in_every_form_is_kept() {
    let forms = [
        ("PROMPT_COMMAND='echo x >>hook'", ""),
        ("PROMPT_COMMAND=('echo x >>hook' 'true')", ""),
        ("", "PROMPT_COMMAND='echo x >>hook'"),
        ("", "PROMPT_COMMAND+=('echo x >>hook')"),
        ("", "PROMPT_COMMAND='echo x >>hook'; PS2='more> ' PS0='run '"),
    ];
    for (before, after) in forms {
        let term = with(before, after);
        expands(&term);
        assert!(term.read("hook").starts_with("x\nx\n"));
        term.send("declare -p PROMPT_COMMAND >hooks\r").still_works();
        assert_eq!(term.read("hooks").matches("__cmdai_mark").count(), 1);
    }
}

#[test]
fn status_is_seen_by_a_prompt_command_behind_ours() {
    let term = with("PROMPT_COMMAND='echo $? >>statuses'", "");
    term.send("false\r").send("true\r").still_works();
    assert!(term.read("statuses").contains("1\n0\n"));
}

#[test]
fn options_of_the_person_stay_and_do_not_matter() {
    for options in [
        "set -u",
        "set -o posix",
        "IFS=:",
        "shopt -s nocasematch",
        "shopt -s failglob nullglob extglob",
        "set -f",
        "set -o noclobber",
        "shopt -s expand_aliases; alias local=false read=false printf=false builtin=false",
    ] {
        let term = with(&format!("{options}; (set -o; shopt) >|$HOME/before"), "(set -o; shopt) >|$HOME/after");
        assert_eq!(term.read("before"), term.read("after"), "{options}");
        term.typed("list files").send(CTRL_G).asked(1).holds(ANSWER);
        term.send(CLEAR);
        expands(&term);
    }
}

#[test]
fn failing_core_under_errexit_does_not_end_the_shell() {
    let term = with("", "");
    term.send("set -e\r").answers("1\nbroken\n").send("list files").send(CTRL_G).shows("cmdai: broken");
    term.holds("list files"); // the reason is on the screen before the keys typed meanwhile are dropped
    term.send(CLEAR).send("# list files\r").asked(2).holds("# list files");
    term.still_works();
}

#[test]
fn tracing_shows_nothing_of_ours() {
    let term = Term::new(Shell::Bash);
    term.send("set -x\r").send("list files").send(CTRL_G).holds(ANSWER);
    term.send(CLEAR).still_works();
    assert!(!term.screen().contains("__cmdai_enter") && !term.screen().contains("__cmdai_ask"), "{}", term.screen());
}

#[test]
fn interrupt_trap_survives_a_cancel() {
    let term = Term::new(Shell::Bash);
    term.send("trap 'echo user' INT\r").hold().typed("list files").send(CTRL_G).shows("thinking").send(CTRL_C);
    term.holds("list files");
    term.send(CLEAR).send("trap -p INT >traps\r").still_works();
    assert_eq!(term.read("traps"), "trap -- 'echo user' SIGINT\n");
}

#[test]
fn ctrl_g_still_leaves_incremental_search() {
    let term = Term::new(Shell::Bash);
    term.send("echo needle\r").still_works();
    term.send("old line\x12needle").shows("reverse-i-search").send(CTRL_G).holds("old line");
    assert_eq!(term.calls(), 0);
}

#[test]
fn vi_mode_asks_from_both_modes() {
    let term = with("set -o vi", "");
    expands(&term);
    term.typed("list files").send(CTRL_G).asked(3).holds(ANSWER);
    term.send(ESC).send("ddilist files").send(ESC).send(CTRL_G).asked(4).holds(ANSWER);
}

#[test]
fn hooks_of_a_loaded_bash_preexec_keep_their_order() {
    // The part of bash-preexec that matters: its install ends with its own last hook.
    let preexec = "bash_preexec_imported=defined; __bp_precmd_invoke_cmd() { for f in \"${precmd_functions[@]}\"; do $f; done; }; \
                   __bp_interactive_mode() { :; }; PROMPT_COMMAND=$'__bp_precmd_invoke_cmd\\n__bp_interactive_mode'";
    let term = with(preexec, "");
    expands(&term);
    term.send("echo \"$PROMPT_COMMAND\" >hooks\r").still_works();
    assert_eq!(term.read("hooks"), "__bp_precmd_invoke_cmd\n__bp_interactive_mode\n");
}

#[test]
fn answer_with_nul_is_refused() {
    let term = Term::new(Shell::Bash);
    term.answers("0\n\necho a\0b").send("list files").send(CTRL_G).shows("refused");
    term.holds("list files");
}

#[test]
fn request_reaches_history_only_if_asked_for() {
    for (value, line) in [("1", "# list files"), ("0", "echo before")] {
        let env = vec![("CMDAI_HISTORY", value.to_owned())];
        let term = Term::with(Shell::Bash, Setup { env, ..Setup::default() });
        term.send("echo before\r").send("# list files\r").asked(1).holds(ANSWER);
        term.send(ENTER).until("it to run", |screen| screen.contains("\nan answer"));
        term.send("\x1b[A\x1b[A").holds(line);
    }
}
