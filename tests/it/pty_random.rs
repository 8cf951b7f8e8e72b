//! Random interleavings of typing, the key, cancelling and answers: the real program between a real shell and a server
//! that answers when the trial says so. `CMDAI_TEST_TRIALS` sets how many a shell has, `CMDAI_TEST_SEED` which.

use std::{env, thread, time::Duration};

use cmdai::request::Shell;

use crate::{
    pty::{CLEAR, CTRL_C, CTRL_G, ENTER, ESC, Setup, Term, UNDO},
    scripted::Scripted,
    support::{Random, model, models_dir},
};

const CLEAR_SCREEN: &str = "\x0c";

fn pause(random: &mut Random, most_ms: usize) {
    thread::sleep(Duration::from_millis(random.below(most_ms) as u64));
}

fn number(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// What a client needs to come as far as its server: a model that is there.
pub(crate) fn client_environment() -> Vec<(&'static str, String)> {
    model("SmolLM2-135M-Instruct.Q4_1.gguf");
    vec![
        ("CMDAI_MODELS_DIR", models_dir().to_str().expect("UTF-8").to_owned()),
        ("CMDAI_MODEL", "smollm2-135m".to_owned()),
        ("CMDAI_ENGINE", "llama".to_owned()),
        ("CMDAI_WARM_UP", "0".to_owned()),
    ]
}

/// A shell with the real program, and the server that answers it.
fn session(shell: Shell) -> (Term, Scripted) {
    let term = Term::with(shell, Setup { env: client_environment(), program: true, ..Setup::default() });
    let scripted = Scripted::start(&term.path("run"));
    (term, scripted)
}

fn trials(shell: Shell) {
    let count = number("CMDAI_TEST_TRIALS", 40);
    let seed = number("CMDAI_TEST_SEED", 20_261_125);
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut term, mut scripted) = session(shell);
    for n in 0..count {
        // A history of thousands of lines is not what is tried here.
        if n % 100 == 99 {
            (term, scripted) = session(shell);
        }
        trial(&term, &scripted, &mut random, n);
    }
}

/// One line from its words to what became of them.
fn trial(term: &Term, scripted: &Scripted, random: &mut Random, n: u64) {
    let words = format!("{} {n}", random.one(&["list files", "é wide 日本 words", "a 'quoted \"thing", "x"]));
    let answer = format!("touch ran-{n}");
    let before = scripted.asked().len();
    scripted.answers(&[&answer]).hold();
    term.send(CLEAR).holds("");
    term.send(CLEAR_SCREEN);
    let comment = random.below(2) == 0;
    let line = if comment { format!("# {words}") } else { words.clone() };
    type_in_pieces(term, random, &line);
    pause(random, 30);
    term.send(if comment { ENTER } else { CTRL_G });
    term.until_true("the request", || scripted.asked().len() > before);
    assert_eq!(scripted.asked().last(), Some(&words), "trial {n}");
    let cancelled = while_waiting(term, random);
    let answered = scripted.answered();
    let mut text = if cancelled { line.clone() } else { answer.clone() };
    if cancelled {
        // The line is given back before anything is typed on; then a late answer comes.
        term.holds(&line);
        let more = random.one(&["", " and more", "x"]);
        term.send(more);
        text.push_str(more);
    }
    pause(random, if cancelled { 60 } else { 300 });
    scripted.release();
    term.until_true("the answer to be given", || scripted.answered() > answered);
    term.holds(&text);
    if cancelled {
        pause(random, 60);
        assert_eq!(term.buffer().0, text, "trial {n}: a late answer");
    }
    assert!(!term.path(&format!("ran-{n}")).exists(), "trial {n}: {answer} was run");
    nothing_else_on_the_screen(term, &text, &line, n);
    if !cancelled {
        term.send(UNDO);
        term.holds(&line);
    }
}

fn type_in_pieces(term: &Term, random: &mut Random, line: &str) {
    let mut rest = line;
    while !rest.is_empty() {
        let count = rest.chars().map(char::len_utf8).take(1 + random.below(9)).sum();
        term.send(&rest[..count]);
        rest = &rest[count..];
        pause(random, 8);
    }
    term.holds(line);
}

/// Keys that a person hits while the answer is not there; true where they cancel.
fn while_waiting(term: &Term, random: &mut Random) -> bool {
    for _ in 0..random.below(4) {
        pause(random, 80);
        term.send(random.one(&["abc", ENTER, "rm -rf x\r", "\x1b[A", "\x1b[C", " "]));
    }
    pause(random, 200);
    let cancels = random.below(3) == 0;
    if cancels {
        let key = random.one(&[CTRL_C, ESC]);
        term.send(key);
        if key == ESC {
            // With more behind it, it is the beginning of another key.
            thread::sleep(Duration::from_millis(250));
        }
    }
    cancels
}

/// The prompt with `text`, and what cmdai says in a line that begins with its name or a risk. In fish the line with the
/// words stands above that, as any line that something was printed below.
fn nothing_else_on_the_screen(term: &Term, text: &str, words: &str, n: u64) {
    let [wanted, before] = [text, words].map(|text| format!("% {text}").trim_end().to_owned());
    let clean = |screen: &str| {
        let lines: Vec<&str> = screen.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let ours = |line: &str| ["cmdai: ", "safe", "caution"].iter().any(|start| line.starts_with(start));
        let known = |line: &&str| *line == wanted || ours(line) || (term.shell == Shell::Fish && *line == before);
        !screen.contains("thinking") && lines.contains(&wanted.as_str()) && lines.iter().all(known)
    };
    term.until(&format!("a clean screen in trial {n}"), clean);
}

#[test]
fn no_interleaving_loses_words_or_runs_what_nobody_saw_in_zsh() {
    trials(Shell::Zsh);
}

#[test]
fn no_interleaving_loses_words_or_runs_what_nobody_saw_in_bash() {
    trials(Shell::Bash);
}

#[test]
fn no_interleaving_loses_words_or_runs_what_nobody_saw_in_fish() {
    trials(Shell::Fish);
}
