//! bash with real plugins: fzf from Debian, starship and ble.sh from where tests/bash-plugins puts them.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use cmdai::request::Shell;

use crate::pty::{ALT_G, CLEAR, CTRL_A, CTRL_G, ENTER, ESC, Setup, Term};

/// A file that the test needs; a missing one is a failure, not a reason to skip.
fn needed(path: PathBuf) -> String {
    assert!(path.exists(), "{} is missing: tests/run fetches it", path.display());
    path.to_str().unwrap().to_owned()
}

fn fetched(file: &str) -> String {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&env::var_os("HOME").unwrap()).join(".cache"));
    needed(cache.join("cmdai-dev/tools/bash-plugins").join(file))
}

fn fzf() -> String {
    format!(". {}", needed("/usr/share/doc/fzf/examples/key-bindings.bash".into()))
}

fn starship() -> String {
    let program = fetched("bin/starship");
    // It takes the loader for itself. Its prompt ends as the harness expects.
    format!(
        "export STARSHIP_CONFIG=$HOME/starship.toml
         echo 'format = \"$directory\\n$character\"\nright_format = \"$time\"
         [character]\nsuccess_symbol = \"%\"\nerror_symbol = \"%\"' >$STARSHIP_CONFIG
         eval \"$({program} init bash --print-full-init | sed 's|/[^ \"]*/ld-linux[^ \"]*|{program}|g')\""
    )
}

fn blesh() -> String {
    // Without the colours and the menus, which would stand between the words on the screen.
    let settings = "bleopt complete_auto_complete= prompt_eol_mark= exec_errexit_mark=";
    format!(". {} --norc; {settings}; bleopt highlight_syntax= highlight_filename=", fetched("usr/share/blesh/ble.sh"))
}

fn before_and_after(plugin: &str) -> [Term; 2] {
    [(plugin, ""), ("", plugin)].map(|(before, after)| {
        let setup = Setup { before: before.into(), after: after.into(), ..Setup::default() };
        Term::with(Shell::Bash, setup)
    })
}

/// Runs a line and waits for its end. ble.sh takes an Enter that comes along with text for a pasted one.
fn run(term: &Term, line: &str) {
    let _ = fs::remove_file(term.path("ended"));
    term.send(CLEAR).holds("");
    term.typed(&format!("{line}; touch ended")).send(ENTER);
    term.until_true("the line to end", || term.path("ended").exists());
}

/// Asks, goes to the next candidate, has it explained, runs it, and finds the words in history.
fn everything_works(term: &Term) {
    term.answers("0\nsafe\necho 1").send("list é").send(CTRL_G).holds("echo 1");
    term.answers("0\ncaution: x\necho 2 >ran").send(CTRL_G).holds("echo 2 >ran");
    assert_eq!(term.read("arguments"), "widget --shell bash --stream --candidate 2\n");
    assert_eq!(term.read("request"), "list é");
    term.answers("0\nsafe\nit writes a file").send(ALT_G).shows("it writes a file").holds("echo 2 >ran");
    assert!(!term.path("ran").exists());
    term.send(ENTER).until_true("it to run", || term.read("ran") == "2\n");
    run(term, "true");
    term.answers("0\nsafe\ntrue 3").typed("# count files").send(ENTER).holds("true 3");
    term.answers("0\ndangerous: x\n# rm ran").send(CTRL_G).holds("# rm ran");
    term.send(ENTER).shows("remove the # to run it").holds("# rm ran");
    run(term, "history >|history");
    let history = term.read("history");
    let at = |text: &str| history.find(text).unwrap_or_else(|| panic!("{text} is not in {history}"));
    assert!(at("# list é\n") < at("echo 2 >ran") && history.matches("# list é").count() == 1);
    assert!(term.path("ran").exists());
}

/// Unloads, and sees that neither the prompt nor a key complains or asks.
fn nothing_is_left(term: &Term) {
    let calls = term.calls();
    run(term, "cmdai_unload; { compgen -v; declare -F; } | grep -i cmdai | grep -v cmdai-dev >left");
    assert_eq!(term.read("left"), "");
    term.typed("# list files").send(ENTER);
    run(term, "true");
    assert!(!term.screen().contains("not found"), "{}", term.screen());
    assert_eq!(term.calls(), calls);
}

#[test]
fn fzf_and_cmdai_keep_their_keys() {
    for term in before_and_after(&fzf()) {
        everything_works(&term);
        run(&term, "bind -X | grep -c fzf >keys");
        assert_ne!(term.read("keys"), "0\n");
        nothing_is_left(&term);
    }
}

#[test]
fn starship_draws_its_prompt_of_two_lines_around_everything() {
    for term in before_and_after(&starship()) {
        everything_works(&term);
        term.typed("false").send(ENTER);
        run(&term, "echo $? >status");
        assert_eq!(term.read("status"), "1\n");
        nothing_is_left(&term);
    }
}

#[test]
fn fzf_and_starship_together() {
    for term in before_and_after(&format!("{}; {}", starship(), fzf())) {
        everything_works(&term);
        nothing_is_left(&term);
    }
}

#[test]
fn blesh_has_widgets_of_its_own() {
    for term in before_and_after(&blesh()) {
        everything_works(&term);
        nothing_is_left(&term);
    }
}

#[test]
fn blesh_lets_a_request_be_cancelled() {
    for term in before_and_after(&blesh()) {
        term.hold().send("list é").send(CTRL_G).shows("thinking").send(ESC);
        term.until("no sign", |screen| !screen.contains("thinking")).holds("list é");
        run(term.release(), "true");
    }
}

#[test]
fn enter_typed_while_a_command_runs_does_not_run_a_suggestion_in_blesh() {
    for term in before_and_after(&blesh()) {
        term.answers("0\nsafe\ntouch ran").typed("touch started; until [ -e go ]; do sleep 0.1; done");
        term.send(ENTER).until_true("the line to run", || term.path("started").exists());
        // The terminal makes \n of \r while nobody edits.
        term.send("# list files").send(ENTER);
        fs::write(term.path("go"), "").unwrap();
        term.asked(1).holds("touch ran");
        assert!(!term.path("ran").exists());
    }
}

#[test]
fn key_that_blesh_was_given_by_the_person_stays_theirs() {
    let before = format!("{}; ble-bind -m emacs -f C-g kill-line", blesh());
    let term = Term::with(Shell::Bash, Setup { before, ..Setup::default() });
    run(&term, "printf %s \"$CMDAI_KEYS_TAKEN\" >told");
    assert_eq!(term.read("told"), "ctrl-g: kill-line");
    term.typed("list").send(CTRL_A).send(CTRL_G).holds("");
    assert_eq!(term.calls(), 0);
}
