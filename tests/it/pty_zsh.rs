//! What is zsh's own. It knows no comments at the prompt by default, so a task line that reaches it is executed.

use std::fs;

use cmdai::request::Shell;

use crate::pty::{ALT_G, ANSWER, CLEAR, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term, UNDO};

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
fn one_undo_brings_a_task_line_back() {
    let term = Term::new(Shell::Zsh);
    term.send("# list files\r").shows("an answer").holds(ANSWER);
    term.send(UNDO).holds("# list files");
}

const OTHER: &str = "other() { BUFFER+=other }; zle -N other";

/// What `zsh` answers to `command`, typed at its prompt.
fn says(term: &Term, command: &str) -> String {
    term.still_works_by(&format!("{command} >said"));
    term.read("said")
}

#[test]
fn keys_of_others_are_left_to_them_and_told() {
    let term = with(&format!("{OTHER}; bindkey '^G' other '^[g' other"), "");
    term.send("a").send(CTRL_G).send(ALT_G).holds("aotherother");
    assert_eq!(says(&term, "env | grep KEYS_TAKEN"), "CMDAI_KEYS_TAKEN=ctrl-g: other; alt-g: other\n");
    term.send("# list files\r").asked(1).holds(ANSWER);
    for (before, told) in [
        ("bindkey -s '^G' 'make\\n'", "ctrl-g: \"make^J\"\n"),
        ("bindkey '^G' list-expand", "ctrl-g: list-expand\n"),
        ("bindkey -M vicmd '^[g' get-line", "alt-g: get-line\n"),
        ("bindkey -r '^G'; bindkey '^Gx' list-expand", "\n"),
    ] {
        assert_eq!(says(&with(before, ""), "print -r -- $CMDAI_KEYS_TAKEN"), told);
    }
}

#[test]
fn keys_that_are_free_or_chosen_are_taken_and_nothing_is_told() {
    let told = ("CMDAI_KEYS_TAKEN", "of a parent".to_owned());
    let term = Term::with(Shell::Zsh, Setup { env: vec![told.clone()], loads: 2, ..Setup::default() });
    assert_eq!(says(&term, "print -r -- $+CMDAI_KEYS_TAKEN"), "0\n");
    let env = vec![told, ("CMDAI_KEY", "ctrl-g".into()), ("CMDAI_EXPLAIN_KEY", "^T".into())];
    let before = format!("{OTHER}; bindkey '^G' other '^T' other");
    let term = Term::with(Shell::Zsh, Setup { env, before, ..Setup::default() });
    term.typed("list files").send(CTRL_G).asked(1).holds(ANSWER);
    term.send("\x14").asked(2).shows("an answer");
    assert!(term.read("arguments").contains("--explain"));
    assert_eq!(says(&term, "print -r -- $+CMDAI_KEYS_TAKEN"), "0\n");
}

#[test]
fn explain_key_can_be_taken_away_and_is_not_bound_in_vi_insert_mode() {
    for (value, before) in [("", ""), ("^[g", "bindkey -v; unset CMDAI_EXPLAIN_KEY")] {
        let env = vec![("CMDAI_EXPLAIN_KEY", value.to_owned())];
        let term = Term::with(Shell::Zsh, Setup { env, before: before.into(), ..Setup::default() });
        // In vi mode that is a command which another key completes; insert mode knows the chord of the tests.
        term.typed("list files").send(ALT_G).send("ai").still_works();
        assert_eq!(term.calls(), 0);
    }
    let env = vec![("CMDAI_EXPLAIN_KEY", "alt-g".to_owned())];
    let term = Term::with(Shell::Zsh, Setup { env, before: "bindkey -v".into(), ..Setup::default() });
    term.typed("list files").send(ALT_G).asked(1);
    with("bindkey -v; KEYTIMEOUT=100", "").typed("list files").send(ESC).send("0").send(ALT_G).asked(1);
}

/// Keeps the integration from being loaded by the rc file.
const UNLOADED: &str = "eval() { :; }";

/// Writes all of a shell's state that an integration could touch.
const STATE: &str = r#"unfunction eval
state() {
  local map
  print -rl -- ${(ok)functions} ${(okv)widgets} ${(ok)parameters:#(sysparams|errnos)} $keymaps
  for map in $keymaps; do bindkey -L -M $map; done
  zle -lL; zstyle -L; setopt; export; trap
  typeset -p ${(M)${(k)parameters}:#*_functions}
} 2>&1
load() { builtin eval "$(<$HOME/init)" }"#;

/// The lines that only one of them has.
fn differences<'a>(one: &'a str, other: &'a str) -> Vec<&'a str> {
    let only = |a: &'a str, b: &'a str| a.lines().filter(move |line| !b.lines().any(|other| other == *line));
    only(one, other).chain(only(other, one)).collect()
}

#[test]
fn unloading_leaves_no_trace_and_loading_again_works() {
    let azhw = "autoload -Uz add-zle-hook-widget; seen() { :; }; add-zle-hook-widget line-init seen
                add-zle-hook-widget line-finish seen; add-zle-hook-widget line-pre-redraw seen";
    let by_hand = "seen() { seen=1; }; zle -N zle-line-init seen; zle -N zle-line-pre-redraw seen";
    let keys = "other() { zle accept-line }; zle -N other; bindkey '^M' other '^[g' other; bindkey -s '^G' 'x^M'";
    let late = "late() { precmd_functions=(); bindkey '^M' other }; precmd_functions=(late)";
    let keys_late = format!("{keys}; bindkey -v; bindkey '^J' other; {late}");
    for (before, value) in [("", "unset"), (azhw, "unset"), (by_hand, "unset"), (keys, "^G"), (&keys_late, "^ ")] {
        let before = format!("{UNLOADED}; zmodload zsh/{{system,complete}}; {before}");
        let after = format!("{STATE}; CMDAI_KEY='{value}'; [[ $CMDAI_KEY != unset ]] || unset CMDAI_KEY");
        let term = Term::with(Shell::Zsh, Setup { before, after, ..Setup::default() });
        term.send("state >one\r").still_works();
        for round in 1..=2 {
            term.send("load; state >two\r").still_works();
            assert!(term.read("two").contains("__cmdai_hook"));
            term.send("# list files\r").asked(round).holds(ANSWER);
            term.send(CLEAR).send("cmdai_unload; state >three\r").still_works();
            assert_eq!(differences(&term.read("one"), &term.read("three")), [""; 0]);
            fs::remove_file(term.path("three")).unwrap();
        }
        term.send(CLEAR).send("echo '# list' >out\r").until_true("a line", || term.read("out") == "# list\n");
        assert_eq!(term.calls(), 2);
        assert!(!term.screen().contains("__cmdai") && !term.screen().contains("No such"), "{}", term.screen());
    }
}

/// zsh-syntax-highlighting before 0.8 puts a widget of its own around every one it finds.
#[test]
fn unloading_leaves_nothing_missing_where_others_hold_our_hooks() {
    let wrap = "wrap() { zle -A $1 was-$1; zle -N $1 wrap-$1
                functions[wrap-$1]='print x >>$HOME/'$1'; zle was-'$1' -- \"$@\"' }
                wrap zle-line-init; wrap cmdai-suggest; wrap accept-line";
    let by_azhw =
        "autoload -Uz add-zle-hook-widget; seen() { print x >>$HOME/seen }; add-zle-hook-widget line-init seen";
    for after in [wrap, by_azhw] {
        let term = with("", after);
        term.send("# list files\r").asked(1).holds(ANSWER);
        term.send(CLEAR).send("cmdai_unload\r").still_works();
        term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
        term.send("echo 1 >out\r").until_true("a line", || term.read("out") == "1\n").still_works();
        assert!(!term.screen().contains("cmdai") && !term.screen().contains("No such"), "{}", term.screen());
    }
}

#[test]
fn zsh_that_is_too_old_gets_one_line_and_nothing_bound() {
    let before = format!("{UNLOADED}; unalias -a");
    let after =
        STATE.replace("load()", "load-as()") + "\nload-as() { local ZSH_VERSION=$1; builtin eval \"$(<$HOME/init)\" }";
    let term = Term::with(Shell::Zsh, Setup { before, after, ..Setup::default() });
    for (version, notices) in [("4.3.11", 1), ("5.7.1", 1), ("5.8", 0), ("5.10.1-dev", 0), ("6.0", 0)] {
        term.send(&format!("state >one; load-as {version} >out 2>err; state >two\r")).still_works();
        assert_eq!(term.read("err").lines().count(), notices);
        assert_eq!(term.read("one") == term.read("two"), notices == 1, "{version}");
        assert_eq!(term.read("out"), "");
    }
    term.send("load-as 5.7.1 2>err\r").still_works();
    let notice = "cmdai: zsh 5.7.1 has no Ctrl-G (5.8 or newer is needed); type: cmdai list large files\n";
    assert_eq!(term.read("err"), notice);
}

#[test]
fn odd_surroundings_do_not_matter() {
    let surroundings = [
        "set -eu",
        "setopt err_return no_unset warn_create_global warn_nested_var pipe_fail",
        "IFS=:e",
        "setopt no_clobber no_multibyte",
        "emulate sh; setopt prompt_percent; PS1='%% '",
        "emulate ksh; setopt prompt_percent; PS1='%% '",
        "RPS1='right%%'; PS1=$'one\\ntwo %% '",
        "setopt transient_rprompt prompt_subst; RPS1='$(print right%%)'; PS1='%F{red}%B%% %b%f'",
        "unset HISTFILE; HISTSIZE=0; readonly SAVEHIST",
        "zle-keymap-select() { zle reset-prompt }; zle -N zle-keymap-select; TMOUT=1; TRAPALRM() { zle reset-prompt }",
        "zmodload zsh/zprof; TRAPINT() { return $((128 + $1)) }; TRAPWINCH() { zle && zle reset-prompt }",
        "setopt combining_chars; PS1='é日 %% '",
        "fignore=(x); zstyle ':completion:*' menu select; zstyle '*' format '%d'; autoload -Uz compinit; compinit -u",
    ];
    for (before, after) in surroundings.iter().flat_map(|text| [(*text, ""), ("", *text)]) {
        eprintln!("{before:?} {after:?}");
        let term = with(before, after);
        term.answers("0\ndangerous: deletes\nprint -r '日e\u{301}' >out");
        term.send("# list files\r").asked(1).holds("print -r '日e\u{301}' >out");
        term.shows("dangerous: deletes").send("2").holds("print -r '日e\u{301}' >out2");
        term.until("the note to go", |screen| !screen.contains("deletes"));
        term.send(ENTER).until_true("it to run", || term.read("out2") == "日e\u{301}\n");
        term.answers("0\nsafe\nls  lists").typed("ls").send(ALT_G).asked(2).shows("ls  lists").holds("ls");
        term.still_works();
    }
}
