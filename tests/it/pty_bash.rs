//! What is bash's own: Enter is a macro of two keys, and only the prompts tell where we are.

use std::fs;

use cmdai::request::Shell;

use crate::pty::{ALT_G, ANSWER, CLEAR, CTRL_A, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term, UNDO, UP};

fn with(before: &str, after: &str) -> Term {
    Term::with(Shell::Bash, Setup { before: before.into(), after: after.into(), ..Setup::default() })
}

fn with_env(env: &[(&'static str, &str)]) -> Term {
    let env = env.iter().map(|&(name, value)| (name, value.to_owned())).collect();
    Term::with(Shell::Bash, Setup { env, ..Setup::default() })
}

/// Puts `command` on the line for `words`.
fn offered(term: &Term, words: &str, command: &str) {
    term.answers(&format!("0\nsafe\n{command}")).send(CLEAR).send(words).send(CTRL_G).holds(command);
}

/// What history holds, a line each, without the command that asks.
fn history(term: &Term) -> Vec<String> {
    term.send(CLEAR).send(" history >|history\r").still_works();
    let lines = term.read("history");
    let entry = |line: &str| line.trim_start().split_once("  ").map(|(_, entry)| entry.to_owned());
    lines.lines().filter_map(entry).filter(|line| !line.contains("history >|") && line != "echo yes >alive").collect()
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
fn key_on_a_suggestion_shows_the_next_one_and_after_the_fifth_the_words() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list é", "echo 1");
    for number in 2..=5 {
        term.answers(&format!("0\nsafe\necho {number}")).send(CTRL_G).holds(&format!("echo {number}"));
        assert_eq!(term.read("arguments"), format!("widget --shell bash --stream --candidate {number}\n"));
        assert_eq!(term.read("request"), "list é");
    }
    term.send(CTRL_G).holds("list é");
    term.asked(5);
    term.send(CTRL_G).asked(6).holds("echo 5");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream\n");
}

#[test]
fn words_come_back_when_there_is_no_further_candidate() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "echo 1");
    term.answers("5\nthere is no other command for this\n").send(CTRL_G).shows("cmdai: there is no other command");
    assert_eq!(term.holds("list files"), 10);
    term.answers("0\nsafe\necho 1").send(CTRL_G).holds("echo 1");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream\n");
}

#[test]
fn edit_or_a_new_prompt_ends_the_cycle() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "echo 1");
    term.answers("0\nsafe\necho 2").send("x").send(CTRL_G).holds("echo 2");
    assert_eq!((term.read("request").as_str(), term.read("arguments").matches("candidate").count()), ("echo 1x", 0));
    term.send(CLEAR).still_works();
    offered(&term, "list files", "true 1");
    term.send(ENTER).still_works();
    term.answers("0\nsafe\necho 2").send("true 1").send(CTRL_G).holds("echo 2");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream\n");
    offered(&term, "list files", "true 1");
    term.send(CTRL_C).until("a new prompt", |screen| screen.contains("true 1^C") || screen.trim_end().ends_with('%'));
    term.send(CLEAR).send("true 1").send(CTRL_G).asked(6);
    assert_eq!(term.read("request"), "true 1");
}

#[test]
fn suggestion_is_compared_letter_for_letter() {
    let term = with("shopt -s nocasematch", "");
    offered(&term, "list files", "echo 1");
    term.send(CLEAR).send("ECHO 1").send(CTRL_G).asked(2);
    assert_eq!(term.read("request"), "ECHO 1");
}

#[test]
fn failure_or_cancel_leaves_the_suggestion_and_the_cycle() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "echo 1");
    term.answers("1\nbroken\n").send(CTRL_G).shows("cmdai: broken").holds("echo 1");
    term.hold().send(CTRL_G).asked(3).shows("thinking").send(ESC);
    term.until("no sign", |screen| !screen.contains("thinking")).holds("echo 1");
    term.release().answers("0\nsafe\necho 2").send(CTRL_G).holds("echo 2");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream --candidate 2\n");
    assert_eq!(term.read("request"), "list files");
}

#[test]
fn undo_leads_from_every_candidate_to_the_words() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "echo 1");
    term.answers("0\nsafe\necho 2").send(CTRL_G).holds("echo 2");
    term.send(UNDO).holds("echo 1");
    term.send(UNDO).holds("list files");
}

#[test]
fn cursor_goes_where_the_core_says_in_characters() {
    let term = Term::new(Shell::Bash);
    for (status, place) in [("0 4", 4), ("0 0", 0), ("0 999999", 9), ("0", 9)] {
        term.answers(&format!("{status}\nsafe\ncp é 日 <x")).send(CLEAR).send("copy").send(CTRL_G);
        assert_eq!(term.holds("cp é 日 <x"), place);
    }
    for status in ["0 ", "0 x", "0 5 5", "05", "0 12345678"] {
        term.answers(&format!("{status}\nsafe\ncp")).send(CLEAR).send("copy").send(CTRL_G).tells("cmdai: no answer");
        term.send(CLEAR).send("clear\r").until("a clear screen", |screen| !screen.contains("cmdai"));
    }
}

#[test]
fn words_reach_history_once_before_the_command_that_is_accepted() {
    let term = Term::new(Shell::Bash);
    term.send("true first\r").still_works();
    offered(&term, "list files", "true 1");
    term.answers("0\nsafe\ntrue 2").send(CTRL_G).holds("true 2");
    term.send(ENTER).still_works();
    assert_eq!(history(&term), ["true first", "# list files", "true 2"]);
    term.answers("0\nsafe\ntrue 3").send(CLEAR).send("# count").send(ENTER).asked(3).holds("true 3");
    term.send(" edited").send(ENTER).still_works();
    assert_eq!(history(&term)[3..], ["# count", "true 3 edited"]);
    // Two lines of the test's own come after each command.
    term.send(&UP.repeat(5)).holds("# count");
    term.send(ENTER).asked(4).holds("true 3");
}

#[test]
fn words_stay_out_of_history_until_a_command_is_accepted() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "true 1");
    term.send(UNDO).holds("list files");
    term.send(CTRL_C).holds("");
    offered(&term, "list files", "true 1");
    term.send(CLEAR).send(ENTER).still_works();
    assert_eq!(history(&term), [""; 0]);
    offered(&term, "true words", "true 1");
    term.send(UNDO).holds("true words");
    term.send(ENTER).still_works();
    assert_eq!(history(&term), ["true words"]);
}

#[test]
fn words_stay_out_of_history_where_the_person_says_so() {
    for (before, words, kept) in [
        ("CMDAI_HISTORY=0", "list files", vec!["true 1"]),
        ("HISTCONTROL=ignorespace", " list files", vec!["true 1"]),
        ("HISTCONTROL=erasedups:ignoreboth", " list files", vec!["true 1"]),
        ("HISTCONTROL=ignoredups", " list files", vec!["# list files", "true 1"]),
        ("HISTIGNORE='# *'", "list files", vec!["true 1"]),
        ("set +o history", "list files", vec![]),
        ("unset HISTFILE; HISTSIZE=-1", "list files", vec!["# list files", "true 1"]),
        ("HISTFILE=/proc/nothing; readonly HISTFILE", "list files", vec!["# list files", "true 1"]),
        ("CMDAI_COMMENT=0", "list files", vec!["# list files", "true 1"]),
    ] {
        let term = with(before, "");
        offered(&term, words, "true 1");
        term.send(ENTER).still_works();
        assert_eq!(history(&term).iter().filter(|line| !line.starts_with(' ')).collect::<Vec<_>>(), kept, "{before}");
        assert!(!term.screen().contains("bash: "), "{}", term.screen());
    }
}

#[test]
fn words_of_several_lines_become_one_comment() {
    let term = Term::new(Shell::Bash);
    term.answers("0\nsafe\ntrue 1").send("\x1b[200~list\ntouch ran\x1b[201~").send(CTRL_G).holds("true 1");
    term.send(ENTER).still_works();
    assert_eq!(history(&term), ["# list touch ran", "true 1"]);
}

#[test]
fn words_do_not_mix_with_a_command_of_several_lines() {
    let term = Term::new(Shell::Bash);
    term.send("for i in 1; do\r").shows("> ");
    term.answers("0\nsafe\ntrue $i").send("count").send(CTRL_G).holds("true $i");
    term.send(ENTER).send("done\r").still_works();
    assert_eq!(history(&term), ["for i in 1; do true $i; done"]);
}

#[test]
fn risk_is_coloured_above_the_line_and_never_in_it() {
    let term = Term::new(Shell::Bash);
    for (note, shown) in [
        ("safe", "\x1b[32msafe\x1b[m\r\n"),
        ("caution: deletes files", "\x1b[33mcaution\x1b[m: deletes files\r\n"),
        ("dangerous: wipes a disk", "\x1b[1;31mdangerous\x1b[m: wipes a disk\r\n"),
        ("unsafe: x", "cmdai: unsafe: x\r\n"),
    ] {
        term.answers(&format!("0\n{note}\ntrue 1 | cat >out")).send(CLEAR).send("list").send(CTRL_G);
        term.holds("true 1 | cat >out");
        assert!(term.transcript().contains(shown), "{note}");
    }
    term.send(ENTER).still_works();
    assert_eq!((term.read("out").as_str(), history(&term).len()), ("", 2));
}

#[test]
fn risk_has_no_colour_where_none_is_wanted() {
    for (env, coloured) in [(("NO_COLOR", "1"), false), (("TERM", "dumb"), false), (("NO_COLOR", ""), true)] {
        let term = with_env(&[env]);
        term.answers("0\ncaution: deletes files\ntrue 1").send("list").send(CTRL_G).holds("true 1");
        assert!(term.screen().contains("cmdai: caution: deletes files"));
        assert_eq!(term.transcript().contains("\x1b[33m"), coloured, "{env:?}");
    }
}

#[test]
fn commented_suggestion_is_neither_run_nor_asked_for_again() {
    for before in ["", "set -o vi", "shopt -u interactive_comments", "shopt -s nocasematch"] {
        let term = with(before, "");
        term.answers("0\ndangerous: deletes\n# touch ran; touch ran").send("# list files\r").asked(1);
        term.holds("# touch ran; touch ran");
        term.send(ENTER).shows("cmdai: remove the # to run it").holds("# touch ran; touch ran");
        assert!(!term.path("ran").exists() && term.calls() == 1);
        term.answers("0\nsafe\ntouch ran").send(CTRL_G).holds("touch ran");
        assert_eq!(term.read("arguments"), "widget --shell bash --stream --candidate 2\n");
        term.send(ENTER).until_true("it to run", || term.path("ran").exists());
    }
}

#[test]
fn commented_suggestion_is_refused_where_enter_would_run_its_end() {
    let term = with("CMDAI_COMMENT=0; shopt -u interactive_comments", "");
    term.answers("0\ndangerous: deletes\n# true; touch ran").send("list files").send(CTRL_G).shows("dangerous");
    term.holds("list files");
}

#[test]
fn explanation_is_shown_and_leaves_line_cursor_undo_and_cycle() {
    let term = Term::new(Shell::Bash);
    offered(&term, "list files", "true -l é");
    term.send("\x1b[D");
    term.answers("0\ncaution: reads\ntrue does nothing\n-l é is \x1b[31mnot\u{202e} read").send(ALT_G);
    term.shows("cmdai: caution: reads").shows("true does nothing").shows("-l ? is ?[31mnot? read");
    assert_eq!(term.holds("true -l é"), 8);
    assert_eq!(
        (term.read("request"), term.read("arguments")),
        ("true -l é".into(), "widget --shell bash --stream --explain\n".into())
    );
    assert!(!term.transcript().contains("\x1b[31m"));
    term.answers("0\nsafe\ntrue 2").send(CTRL_G).holds("true 2");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream --candidate 2\n");
    term.send(UNDO).holds("true -l é");
    term.send(UNDO).holds("list files");
}

#[test]
fn explanation_has_twelve_lines_at_most() {
    let term = Term::new(Shell::Bash);
    let lines: String = (1..=20).map(|number| format!("part {number}\n")).collect();
    term.answers(&format!("0\nsafe\n{lines}")).send("true").send(ALT_G).shows("part 12").holds("true");
    assert!(!term.screen().contains("part 13"));
}

#[test]
fn explaining_waits_and_is_cancelled_like_a_suggestion() {
    let term = Term::new(Shell::Bash);
    for key in [ESC, CTRL_C, CTRL_G] {
        term.hold().send(CLEAR).send("true é").send(CTRL_A).send(ALT_G).shows("thinking").previews("~true does");
        term.previews("\n").shows("cmdai: true does").send(key);
        term.until("no sign", |screen| !screen.contains("thinking") && !screen.contains("does"));
        assert_eq!(term.holds("true é"), 0);
        term.release();
    }
    term.answers("3\nno model\n").send(ALT_G).shows("cmdai: no model").holds("true é");
    term.hold().send(ALT_G).asked(5).send("touch ran\r").shows("thinking").release().holds("true é");
    term.still_works();
    assert!(!term.path("ran").exists());
}

#[test]
fn empty_line_is_not_explained() {
    let term = Term::new(Shell::Bash);
    term.send("  ").send(ALT_G).shows("cmdai: there is no command on the line to explain");
    assert_eq!(term.holds("  "), 2);
    assert_eq!(term.calls(), 0);
}

#[test]
fn explain_key_can_be_changed_and_taken_away() {
    let term = with_env(&[("CMDAI_EXPLAIN_KEY", "ctrl-t")]);
    term.send("true").send("\x14").asked(1);
    assert!(term.read("arguments").contains("--explain"));
    let term = with_env(&[("CMDAI_EXPLAIN_KEY", "")]);
    term.send("true").send(ALT_G).still_works();
    assert_eq!(term.calls(), 0);
    let term = with_env(&[("CMDAI_KEY", "alt-g")]);
    term.send("list").send(ALT_G).holds(ANSWER);
}

#[test]
fn escape_and_g_in_vi_insert_do_not_explain() {
    let term = with("set -o vi", "");
    term.send("true").send(ALT_G).send("i").still_works();
    assert_eq!(term.calls(), 0);
    term.send("true").send(ESC).holds("true");
    term.send(ALT_G).asked(1);
    let term = with("set -o vi; CMDAI_EXPLAIN_KEY=alt-g", "");
    term.send("true").send(ALT_G).asked(1);
    assert!(term.read("arguments").contains("--explain"));
}

const KEYS_OF_OTHERS: [(&str, &str, &str); 6] = [
    (r#"bind -x '"\C-g": echo "a" >>theirs'"#, CTRL_G, r#"ctrl-g: echo \"a\" >>theirs"#),
    (r#"bind '"\C-g": "\C-uecho a >>theirs\C-o"'"#, CTRL_G, r"ctrl-g: \C-uecho a >>theirs\C-o"),
    (r#"bind '"\C-g": operate-and-get-next'"#, CTRL_G, "ctrl-g: operate-and-get-next"),
    (r#"set -o vi; bind '"\C-g": operate-and-get-next'"#, CTRL_G, "ctrl-g: operate-and-get-next"),
    (r#"bind -x '"\eg": echo a >>theirs'"#, ALT_G, "alt-g: echo a >>theirs"),
    (r#"bind '"\C-m": "\C-uecho a >>theirs\C-j"'"#, ENTER, r"enter: \C-uecho a >>theirs\C-j"),
];

#[test]
fn key_that_somebody_else_bound_stays_theirs_and_is_told() {
    for (theirs, key, told) in KEYS_OF_OTHERS {
        let term = with(theirs, "printf %s \"$(printenv CMDAI_KEYS_TAKEN)\" >told");
        assert_eq!(term.read("told"), told);
        term.send("echo a >>theirs").send(key).until_true("their key to work", || term.read("theirs") == "a\n");
        assert_eq!(term.calls(), 0);
    }
}

#[test]
fn key_that_the_person_chose_is_taken() {
    let bound = r#"bind '"\C-g": "x"'; bind '"\eg": "y"'; CMDAI_KEY=ctrl-g CMDAI_EXPLAIN_KEY='\eg'"#;
    let term = with(bound, "printf '%s|' \"${CMDAI_KEYS_TAKEN-none}\" >told");
    term.send("list").send(CTRL_G).holds(ANSWER); // keys are dropped until it stands there
    term.send(ALT_G).asked(2);
    assert_eq!(term.read("told"), "none|");
}

#[test]
fn nothing_is_told_where_nothing_is_taken() {
    let term = Term::with(
        Shell::Bash,
        Setup {
            env: vec![("CMDAI_KEYS_TAKEN", "ctrl-g: of a shell around".into())],
            after: "printf '%s|' \"${CMDAI_KEYS_TAKEN-none}\" >told".into(),
            loads: 2,
            ..Setup::default()
        },
    );
    assert_eq!(term.read("told"), "none|");
}

/// All that a script could leave behind. Lists what bash itself sets on the way as little as possible.
const STATE: &str = r#"
state() {
  for map in emacs-standard vi-insert vi-command; do bind -m $map -psX; done
  declare -f; shopt; set -o; trap; alias; complete
  local bash='_\|BASH.*\|EPOCH.*\|S*RANDOM\|SECONDS\|LINENO\|HIST.*\|COMP_WORDBREAKS\|DIRSTACK\|GROUPS\|PIPESTATUS'
  declare -p | grep -av "^declare -[^ ]* \($bash\|bash\|map\|FUNCNAME\|LINES\|COLUMNS\|PPID\)\(=\|\$\)"
}
"#;

#[test]
fn unloading_leaves_no_trace() {
    for before in [
        "",
        "PROMPT_COMMAND='true; false' PS0=x PS2='more> '; precmd_functions=(true)",
        "PROMPT_COMMAND=(true false)",
        "set -o vi; set -u; IFS=:; shopt -s nocasematch",
        "CMDAI_COMMENT=0 CMDAI_KEY= CMDAI_EXPLAIN_KEY=",
        r#"bind -x '"\C-t": echo "a\b" $x'; bind '"\C-x\C-t": "a\"\C-mb"'; bind '"\C-j": next-history'
           CMDAI_KEY=ctrl-t CMDAI_EXPLAIN_KEY='\C-x\C-t'"#,
        "CMDAI_KEY=alt-. CMDAI_EXPLAIN_KEY=alt-/",
    ] {
        // The harness's own chords come first here: they make \C-x a prefix.
        let chords = r#"for map in emacs-standard vi-insert vi-command; do bind -m $map -x '"\C-xd": test_dump'
            bind -m $map -x '"\C-xk": test_clear'; done; test_dump() { :; }; test_clear() { :; }"#;
        let setup = Setup {
            before: format!("{before}\n{chords}\n{STATE}"),
            after: "cmdai_unload; cmdai_unload() { :; }; unset -f cmdai_unload; state >|second".into(),
            loads: 2,
            ..Setup::default()
        };
        let first = format!("{}\nstate >|first", setup.before);
        let term = Term::with(Shell::Bash, Setup { before: first, ..setup });
        let [first, second] = ["first", "second"].map(|name| fs::read(term.path(name)).unwrap());
        let [first, second] = [&first, &second].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        let gone: Vec<&str> = first.lines().filter(|line| !second.lines().any(|other| other == *line)).collect();
        let left: Vec<&str> = second.lines().filter(|line| !first.lines().any(|other| other == *line)).collect();
        assert!(first.len() > 10_000 && gone.is_empty() && left.is_empty(), "{before}: -{gone:#?} +{left:#?}");
        term.send("# list files\r").still_works();
        assert_eq!(term.calls(), 0);
    }
}

#[test]
fn unloading_at_the_prompt_and_loading_again_works() {
    let term = with("PROMPT_COMMAND='true'", "");
    offered(&term, "list files", "true 1");
    term.send(ENTER)
        .send("cmdai_unload; printf '%s|' \"$PROMPT_COMMAND\" \"${PS0-none}\" \"$PS2\" >hooks\r")
        .still_works();
    assert_eq!(term.read("hooks"), "true|none|> |");
    assert!(!term.screen().contains("not found"), "{}", term.screen());
    term.send("list files").send(CTRL_G).send(CLEAR).still_works();
    term.send("# list files\r").still_works();
    assert_eq!(term.calls(), 1);
    term.send("eval \"$(<$HOME/init)\"\r").still_works();
    term.answers(&format!("0\n\n{ANSWER}"));
    expands(&term);
}

#[test]
fn hooks_that_a_plugin_copied_are_cleaned_too() {
    let term = with("", "COPY=$PROMPT_COMMAND PROMPT_COMMAND='eval \"$COPY\"'");
    term.still_works();
    term.send("cmdai_unload\r").still_works();
    assert!(!term.screen().contains("not found"), "{}", term.screen());
}

#[test]
fn old_bash_gets_one_line_of_notice_and_no_bindings() {
    let term = with("cp \"$HOME/init\" \"$HOME/real\"; sed -i 's/-lt 404/-lt 9999/' \"$HOME/init\"", "");
    assert_eq!(term.screen().matches("cmdai: bash").count(), 1);
    assert!(term.screen().contains("type: cmdai list large files"));
    term.send("declare -F | grep -c cmdai >functions\r").still_works();
    assert_eq!(term.read("functions"), "0\n");
    term.send("# list files\r").still_works();
    assert_eq!(term.calls(), 0);
}

#[test]
fn plugin_managers_load_the_file_as_it_is() {
    let plugin = concat!(env!("CARGO_MANIFEST_DIR"), "/shell/cmdai.plugin.bash");
    let managers = [
        // bash-it: `bash-it enable` links a file of plugins/available, and bash_it.sh sources what is enabled.
        "mkdir -p it/plugins/available it/enabled; cp PLUGIN it/plugins/available/cmdai.plugin.bash
         ln -s ../plugins/available/cmdai.plugin.bash it/enabled/250---cmdai.plugin.bash
         for file in it/enabled/*---*.bash; do source \"$file\"; done; unset file",
        // oh-my-bash: plugins=(cmdai) is sourced from custom/plugins, in a function.
        "mkdir -p osh/custom/plugins/cmdai; cp PLUGIN osh/custom/plugins/cmdai/cmdai.plugin.bash
         require() { local IFS=: name=$1; source osh/custom/plugins/$name/$name.plugin.bash; }; require cmdai",
    ];
    for manager in managers {
        for folder in [".local/bin", ".cargo/bin"] {
            let program = format!(
                "mkdir -p {folder}; printf '#!/bin/sh\\ncat ~/init\\n' >{folder}/cmdai; chmod +x {folder}/cmdai"
            );
            let term = with("", &format!("cmdai_unload; {program}; {}", manager.replace("PLUGIN", plugin)));
            expands(&term);
        }
        let term = with("", &format!("cmdai_unload; {}; echo $? >status", manager.replace("PLUGIN", plugin)));
        assert_eq!((term.screen().matches("cmdai: ").count(), term.read("status").as_str()), (1, "0\n"));
    }
}

#[test]
fn everything_works_in_hard_surroundings() {
    for before in [
        "set -eu",
        "set -a",
        "IFS=: ; set -o noclobber",
        "shopt -s nocasematch failglob extglob; set -f",
        "PS1='one\\ntwo % '",
        "PS1='\\[\\e[32m\\]日本\\[\\e[m\\] % '",
        "alias local=false history=false test=false declare=false export=false unset=false",
        "test() { false; }; printf() { false; }; history() { false; }; export() { false; }",
        "HISTFILE=/dev/null; readonly HISTFILE HISTCONTROL",
        "set -o vi",
    ] {
        let term = with(before, "");
        term.send("IFS=0123456789abcdefghijklmnopqrstuvwxyz_\r");
        term.resize(24, 20);
        offered(&term, "list 日本 e\u{301} files", "true 1 日本 e\u{301}");
        term.answers("0 2\ncaution: a reason that is longer than a row\ntrue 2").send(CTRL_G);
        assert_eq!(term.holds("true 2"), 2, "{before}");
        assert!(!term.read("environ").contains("list"), "{before}");
        term.answers("0\nsafe\ntrue is true").send(if before == "set -o vi" { "" } else { ALT_G });
        term.holds("true 2");
        term.send(ENTER).still_works();
        term.answers("0\nsafe\ntrue 3").send("# list files\r").until_true("the answer", || term.buffer().0 == "true 3");
        term.still_works();
        term.send("cmdai_unload\r").still_works();
        assert!(!term.screen().contains("bash:"), "{before}: {}", term.screen());
    }
}

#[test]
fn last_match_of_the_person_survives() {
    let term = Term::new(Shell::Bash);
    term.send("[[ ab =~ a(b) ]]\r").send("list files").send(CTRL_G).holds(ANSWER);
    term.send(CLEAR).send("echo \"${BASH_REMATCH[1]}\" >match\r").still_works();
    assert_eq!(term.read("match"), "b\n");
}
