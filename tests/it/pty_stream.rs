//! The command seen growing in zsh and bash. In fish the program draws: src/cmd/widget/wait.rs tests that.

use std::fs;
use std::time::{Duration, Instant};

use cmdai::request::Shell;

use crate::pty::{ANSWER, CLEAR, CTRL_C, CTRL_G, ESC, Setup, Term, UNDO};

const SHELLS: [Shell; 2] = [Shell::Zsh, Shell::Bash];

/// A terminal whose core is waiting, asked for `line`.
fn waiting(term: Term, line: &str) -> Term {
    term.hold().send(line).send(CTRL_G).asked(1);
    term
}

fn nothing_left(term: &Term, line: &str) {
    term.holds(line);
    term.until("no preview", |screen| !screen.contains("cmdai:"));
}

#[test]
fn sign_does_not_come_before_150_ms() {
    for shell in SHELLS {
        let term = Term::new(shell);
        term.hold().typed("list files");
        let start = Instant::now();
        term.send(CTRL_G).until_true("the sign", || term.transcript().contains("thinking"));
        assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
    }
}

#[test]
fn cancel_is_at_once() {
    for shell in SHELLS {
        for key in [ESC, CTRL_C, CTRL_G] {
            let term = waiting(Term::new(shell), "list files");
            term.shows("thinking");
            let start = Instant::now();
            term.send(key).until("no sign", |screen| !screen.contains("thinking"));
            // 50 ms is the aim; a loaded machine gets more.
            assert!(start.elapsed() < Duration::from_secs(1), "{key:?}: {:?}", start.elapsed());
            term.holds("list files");
        }
    }
}

#[test]
fn preview_takes_the_place_of_the_sign_and_goes_with_the_answer() {
    for shell in SHELLS {
        let term = waiting(Term::new(shell), "list files");
        term.shows("cmdai: thinking (Esc cancels)");
        for text in ["find", "find . -type", "find . -type f | wc -l"] {
            term.previews(format!("~{text}\n")).until(text, |screen| {
                screen.lines().any(|row| row.trim_end() == format!("cmdai: {text}")) && !screen.contains("thinking")
            });
        }
        term.release();
        nothing_left(&term, ANSWER);
        term.send(UNDO).holds("list files");
        term.still_works();
    }
}

#[test]
fn sign_does_not_take_the_place_of_an_early_preview() {
    for shell in SHELLS {
        let term = Term::new(shell);
        fs::write(term.path("preview"), "~find .\n").unwrap();
        let term = waiting(term, "list files");
        term.shows("cmdai: find .");
        // Longer than the sign takes to come: the core looks every 20 ms.
        for _ in 0..15 {
            term.previews("");
        }
        assert!(!term.transcript().contains("thinking"));
    }
}

#[test]
fn cancel_during_previews_gives_the_line_back() {
    for shell in SHELLS {
        for key in [ESC, CTRL_G, CTRL_C] {
            let term = waiting(Term::new(shell), "list files");
            term.previews("~find .\n").shows("cmdai: find .").previews("~find . -type f").send(key);
            term.until_true("the core to stop", || term.log().contains("stopped"));
            nothing_left(&term, "list files");
            term.still_works();
        }
    }
}

#[test]
fn reason_after_previews_is_shown_and_the_line_is_kept() {
    for shell in SHELLS {
        let term = waiting(Term::new(shell), "list files");
        term.answers("2\nno command could be made\n").previews("~rm -rf\n").shows("cmdai: rm -rf").release();
        term.shows("cmdai: no command could be made").holds("list files");
        term.until("no preview", |screen| !screen.contains("rm -rf"));
    }
}

#[test]
fn preview_in_pieces_is_shown_whole_and_the_answer_too() {
    for shell in SHELLS {
        let term = waiting(Term::new(shell), "list files");
        for (pieces, text) in
            [([&b"~ech"[..], b"o a\n~ec"], "echo a"), ([&b"ho \xe6\x97"[..], b"\xa5 \xc3\xa9\n"], "echo 日 é")]
        {
            // Longer than a read waits.
            term.previews(pieces[0]).send("x").previews("").previews(pieces[1]).shows(&format!("cmdai: {text}"));
        }
        assert!(!term.transcript().contains('\u{fffd}'));
        term.previews(b"0\n\necho \xe6\x97").previews("").previews("").previews(b"\xa5").answers("").release();
        nothing_left(&term, "echo 日");
    }
}

#[test]
fn hostile_preview_is_inert_and_never_becomes_the_answer() {
    let previews = [
        "~a \x1b]0;TITLE\x07\x1b[2J\x1b[31m \u{9b}2J \u{202e} %F{red} $(touch ran) `touch ran` %s \\n %1(l.x.) end\n"
            .to_owned(),
        format!("~{}\n", "x".repeat(60_000)),
        format!("~{}\n", "日本".repeat(200)),
        format!("~{}\n", "e\u{301}\t".repeat(200)),
        "~\n~~\n~0\n~\r\n".to_owned(),
        (0..100).map(|count| format!("~echo {count}\n")).collect(),
    ];
    for shell in SHELLS {
        let term = Term::new(shell);
        for (index, preview) in previews.iter().enumerate() {
            term.answers(&format!("{preview}0\n\n{ANSWER}")).send("list files").send(CTRL_G).asked(index + 1);
            nothing_left(&term, ANSWER);
            term.until("one line", |screen| screen.trim_end() == format!("% {ANSWER}"));
            term.send(CLEAR).holds("");
        }
        let seen = term.transcript();
        assert!(seen.contains("$(touch ran) `touch ran` %s"), "{seen}");
        assert!(!["\x1b]0;TITLE", "\x1b[31m", "\u{9b}", "\u{202e}"].iter().any(|bad| seen.contains(bad)), "{seen:?}");
        assert!(!term.path("ran").exists());
    }
}

#[test]
fn preview_that_never_ends_is_no_answer() {
    for shell in SHELLS {
        for answer in ["~echo".to_owned(), format!("~echo0\n\n{ANSWER}"), format!("~{}", "x".repeat(70_000))] {
            let term = Term::new(shell);
            term.answers(&answer).send("list files").send(CTRL_G).shows("cmdai: no answer").holds("list files");
            term.still_works();
        }
    }
}

#[test]
fn preview_stays_in_one_row_whatever_the_terminal_and_the_line() {
    let long = format!("list {}", "very long words ".repeat(4));
    for shell in SHELLS {
        for (rows, columns, line) in [(24, 20, "list"), (24, 20, &long), (3, 30, "list"), (24, 4, "ls")] {
            let term = Term::new(shell);
            term.resize(rows, columns).still_works();
            term.send("clear\r").until("a clear screen", |screen| screen.trim_end() == "%");
            let term = waiting(term, line);
            for text in
                ["~find . -type f -name 'a very long name indeed'\n", "~echo 日本語日本語日本語日本語日本語日本語\n"]
            {
                term.previews(text).until("a preview", |screen| screen.contains("cmd"));
                term.until("one row", |screen| {
                    !screen.contains("cmdai")
                        || screen.trim_end().lines().last().is_some_and(|row| row.starts_with("cmdai"))
                });
            }
            term.release();
            term.holds(ANSWER);
            term.until("one line", |screen| screen.replace('\n', "").trim_end() == format!("% {ANSWER}"));
            term.still_works();
        }
    }
}

#[test]
fn dumb_terminal_in_bash_is_not_drawn_on() {
    let env = vec![("TERM", "dumb".to_owned())];
    let term = waiting(Term::with(Shell::Bash, Setup { env, ..Setup::default() }), "list files");
    term.previews("~find .\n").previews("").previews("").release().holds(ANSWER);
    assert!(!term.transcript().contains("find ."));
}
