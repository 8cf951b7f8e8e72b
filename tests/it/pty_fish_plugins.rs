//! Beside what people load into fish: fzf, zoxide and direnv as Debian has them, starship's way with Enter, tmux.

use cmdai::request::Shell;

use crate::pty::{CLEAR, CTRL_G, ENTER, Setup, Term, UNDO};

const FZF: &str = "source /usr/share/doc/fzf/examples/key-bindings.fish; fzf_key_bindings";
const ZOXIDE: &str = "zoxide init fish | source";
const DIRENV: &str = "direnv hook fish | source";

/// The first lines of what `starship init fish` prints, with its transient prompt switched on.
const TRANSIENT: &str = r"
    function reset-transient --on-event fish_postexec; set -g TRANSIENT 0; end
    function transient_execute
        if commandline --is-valid || test -z (commandline | string collect) && not commandline --paging-mode
            set -g TRANSIENT 1
            commandline -f repaint
        else
            set -g TRANSIENT 0
        end
        commandline -f execute
    end
    function fish_prompt
        if test $TRANSIENT = 1
            set -g TRANSIENT 0
            printf \e\[0J
            echo -n 't> '
        else
            echo -n '% '
        end
    end
    set -g TRANSIENT 0
    bind --user \r transient_execute
    bind --user -M insert \r transient_execute
";

fn beside(plugin: &str, first: bool, vi: bool) -> Term {
    let mode = if vi { "fish_vi_key_bindings\n" } else { "" };
    let (before, after) = if first { (format!("{mode}{plugin}"), String::new()) } else { (mode.into(), plugin.into()) };
    Term::with(Shell::Fish, Setup { before, after, ..Setup::default() })
}

fn in_every_order(plugin: &str, check: impl Fn(&Term)) {
    for (first, vi) in [(true, false), (false, false), (true, true), (false, true)] {
        let term = beside(plugin, first, vi);
        let screen = term.screen();
        assert!(!screen.contains("nknown command") && !screen.contains("No such file"), "{screen}");
        asks_and_runs(&term);
        check(&term);
    }
}

/// What has to go on whatever else is loaded.
fn asks_and_runs(term: &Term) {
    term.answers("0\nsafe\necho 1 >>ran").send("list files").send(CTRL_G).holds("echo 1 >>ran");
    term.answers("0\ncaution: x\necho 2 >>ran").send(CTRL_G).holds("echo 2 >>ran");
    assert!(term.read("arguments").ends_with("--candidate 2\n"));
    term.send(CLEAR).answers("0\nsafe\necho 3 >>ran").send("# list files\r").holds("echo 3 >>ran");
    assert!(!term.path("ran").exists());
    term.send(ENTER).until_true("it to run", || term.read("ran") == "3\n");
    term.still_works().send("?? list").holds("# list");
    term.send(CLEAR).still_works();
}

/// To be called where a command is on the screen.
fn clear(term: &Term) {
    term.still_works_by("clear").send(CLEAR).send("clear\r");
    term.until("a clear screen", |screen| !screen.contains("alive") && screen.trim_end().ends_with('%'));
}

#[test]
fn fzf_keeps_its_keys() {
    in_every_order(FZF, |term| {
        term.send("mkdir -p found; touch found/needle; cd found\r").still_works_by("cd ..");
        clear(term);
        term.send("ls found/\x14").shows("1/1").send(ENTER);
        term.until_true("the file", || term.buffer().0.trim_end() == "ls found/needle");
        term.send(CTRL_G).holds("echo 3 >>ran");
        term.send(UNDO).send(CLEAR).still_works();
    });
}

#[test]
fn fzf_finds_the_words_in_history() {
    let term = beside(FZF, true, false);
    asks_and_runs(&term);
    term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
    term.send("\x12")
        .shows("echo 3 >>ran")
        .send("# list")
        .until("the words", |screen| screen.contains("> # list files") && !screen.contains("echo 3"));
    term.send(ENTER).until_true("the words", || !term.screen().contains("> #")).holds("# list files");
    term.answers("0\nsafe\necho 4").send(ENTER).holds("echo 4");
}

#[test]
fn zoxide_and_direnv_keep_their_hooks() {
    in_every_order(&format!("{ZOXIDE}\n{DIRENV}"), |term| {
        term.still_works_by("mkdir -p deep/inside; cd deep/inside; cd; z inside; pwd >where; cd");
        term.until_true("the folder", || term.read("deep/inside/where").ends_with("/deep/inside\n"));
        term.still_works_by("functions --handlers | string match '*direnv*' >hooks");
        assert!(term.read("hooks").contains("__direnv_export_eval\n"));
        term.still_works_by("cmdai_unload; functions --handlers | string match '*direnv*' >hooks");
        assert!(term.read("hooks").contains("__direnv_export_eval\n"));
    });
}

#[test]
fn transient_prompt_is_for_lines_that_run() {
    in_every_order(TRANSIENT, |term| {
        clear(term);
        term.answers("0\nsafe\necho transient").send("# list files\r").holds("echo transient");
        assert!(!term.screen().contains("t>"));
        term.send(ENTER).until("the transient prompt", |screen| screen.contains("t> echo transient\ntransient"));
        term.still_works();
    });
}

#[test]
fn unloading_gives_enter_back_to_the_plugin() {
    let term = beside(TRANSIENT, true, false);
    term.still_works_by("cmdai_unload; bind --user >bound");
    let bound = term.read("bound");
    assert!(bound.contains("transient_execute") && !bound.contains("__cmdai"), "{bound}");
    term.send("echo out\r").until("the transient prompt", |screen| screen.contains("t> echo out\nout"));
}
