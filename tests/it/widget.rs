//! `cmdai widget` alone, on a terminal of its own: ended by a key or a signal, it gives the terminal back and says so.

use std::time::{Duration, Instant};

use cmdai::request::Shell;

use crate::pty::{CTRL_C, ESC, Term};

/// A bash whose foreground job is the widget, reading a request that never ends; `then` runs after it.
fn waiting(then: &str) -> Term {
    let term = Term::new(Shell::Bash);
    let program = env!("CARGO_BIN_EXE_cmdai");
    let line = format!("mkfifo never; {program} widget --shell fish --tty-progress 0<>never >got; {then}\r");
    term.send(&line).shows("cmdai: thinking (Esc cancels)");
    term
}

#[test]
fn esc_and_ctrl_c_end_it_at_once_and_leave_the_terminal_as_it_was() {
    for key in [ESC, "\x07", CTRL_C] {
        let term = waiting("echo $? >status; stty -a >modes");
        let start = Instant::now();
        term.send(key).until("no sign", |screen| !screen.contains("thinking"));
        // 50 ms is the promise; a loaded machine gets the rest.
        assert!(start.elapsed() < Duration::from_secs(2));
        if key == CTRL_C {
            // bash gives up the rest of the line.
            term.send("echo 130 >status; stty -a >modes\r");
        }
        term.until_true("the line to end", || term.read("modes").contains("icanon"));
        assert_eq!(term.read("status"), "130\n");
        assert!(!term.read("modes").contains("-icanon") && !term.read("modes").contains("-echo "));
        assert_eq!(term.read("got"), "130\n\n");
    }
}

#[test]
fn key_that_only_starts_with_esc_does_not_end_it() {
    let term = waiting("true");
    term.send("\x1b[A\x1b[I junk\r");
    // The watch has seen them once it has seen the Esc behind them, and nothing was echoed.
    assert!(!term.screen().contains("junk"));
    term.until("the sign", |screen| screen.contains("thinking"));
    term.send(ESC).until("no sign", |screen| !screen.contains("thinking"));
    term.still_works();
    assert!(!term.screen().contains("command not found"));
}

#[cfg(target_os = "linux")]
#[test]
fn signal_from_outside_ends_it() {
    for signal in ["TERM", "HUP", "INT"] {
        let term = Term::new(Shell::Bash);
        let program = env!("CARGO_BIN_EXE_cmdai");
        term.send("mkfifo never\r");
        // Only once it has its handlers: HUP, INT and TERM stand in this mask as 4..3.
        let line = format!(
            "{program} widget --shell zsh 0<>never >got & until grep -q 'SigCgt:.*4..3$' /proc/$!/status; do :; done; kill -{signal} $!; wait $!; echo $? >status\r"
        );
        term.send(&line).until_true("its status", || !term.read("status").is_empty());
        assert_eq!(term.read("status"), "130\n", "{signal}");
    }
}

#[test]
fn closed_pipe_is_a_quiet_end() {
    let term = Term::new(Shell::Bash);
    let program = env!("CARGO_BIN_EXE_cmdai");
    term.send(&format!("(echo x | {program} widget --shell zsh 2>noise; echo ${{PIPESTATUS[1]}} >status) | true\r"));
    term.until_true("its status", || !term.read("status").is_empty());
    assert_eq!(term.read("noise"), "");
}

#[test]
fn unusable_request_is_status_2_with_a_reason() {
    let term = Term::new(Shell::Bash);
    let program = env!("CARGO_BIN_EXE_cmdai");
    for (input, reason) in [
        ("head -c 300000 /dev/zero | tr '\\0' x", "longer than 8 KiB"),
        ("printf '# '", "empty"),
        ("printf '\\377'", "UTF-8"),
    ] {
        term.send(&format!("{input} | {program} widget --shell bash >got; echo >ended\r"));
        // What is typed before it ends is dropped.
        term.until_true("the widget to end", || term.path("ended").exists()).still_works();
        std::fs::remove_file(term.path("ended")).unwrap();
        assert!(term.read("got").starts_with("2\n") && term.read("got").contains(reason), "{}", term.read("got"));
    }
}
