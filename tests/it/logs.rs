//! What is left of a request's words: nothing, in no file of the home and in no log, whatever became of the request.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use cmdai::server::{place::Place, protocol::frame};

use crate::{
    chat::{Chat, Reply},
    resident::{Peer, Resident, SHORT, finish, kill},
    support::Outcome,
};

/// A word that nothing else holds.
const CANARY: &str = "xyzzyplugh";

/// A home whose caches are its own, with the log as talkative as it gets.
fn home() -> Resident {
    let mut home = Resident::new();
    let cache = home.home().join("cache");
    home.set("CMDAI_CACHE_DIR", cache.to_str().expect("UTF-8"));
    home.set("CMDAI_LOG", "trace");
    home
}

/// Every file, directory and socket below `directory`.
fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { [below(&path), vec![path]].concat() } else { vec![path] }).collect()
}

fn without_words(Outcome { stderr, .. }: &Outcome) {
    assert!(!stderr.contains(CANARY), "{stderr}");
}

#[test]
fn words_of_a_request_are_in_no_file_and_no_log() {
    let home = home();
    let words = format!("remove the folder {CANARY}");
    let command = format!("rm -rf {CANARY}");
    let requests: [(&[&str], &[u8]); 8] = [
        (&[&words], b""),
        (&["suggest", "--alternatives", "2", "--json", &words], b""),
        (&["list text files", CANARY], b""),
        (&["explain", &command], b""),
        (&["widget", "--shell", "zsh", "--stream"], words.as_bytes()),
        (&["server", "warm", "--shell", "zsh"], words.as_bytes()),
        (&["check", &command], b""),
        (&["--model", "/nonexistent.gguf", &words], b""),
    ];
    let mut logged = String::new();
    for server in ["1", "0"] {
        for (args, stdin) in requests {
            let mut process = home.command(crate::support::CMDAI);
            process.args(args).env("CMDAI_SERVER", server);
            process.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
            let mut process = process.stderr(std::process::Stdio::piped()).spawn().expect("it runs");
            // Who needs no words does not read them.
            let _ = process.stdin.take().expect("piped").write_all(stdin);
            let outcome = finish(process);
            without_words(&outcome);
            logged.push_str(&outcome.stderr);
        }
    }
    assert!(logged.contains("opening"), "the log is on: {logged}");
    // A client, and then the server, that are killed while they compute.
    for victim in ["client", "server"] {
        let client = home.spawn(&[&words]);
        if victim == "client" {
            kill(client.id());
        } else {
            home.kill_servers();
        }
        without_words(&finish(client));
    }
    home.signal_all(rustix::process::Signal::TERM);
    home.until_no_server();
    let log = fs::read_to_string(home.place().log()).expect("a log");
    assert!(log.contains("DEBUG") || log.contains("TRACE") || log.contains("INFO"), "the server's log is on: {log}");
    nothing_is_left(&home);
}

#[test]
fn words_of_a_request_whose_answer_is_broken_are_in_no_file_and_no_log() {
    let mut home = home();
    let words = format!("remove the folder {CANARY}");
    let held = home.place().take().expect("a place").expect("a free one");
    let client = home.spawn(&[&words]);
    let mut peer = Peer::of(held.listener.accept().expect("a client").0);
    peer.send(frame(&cmdai::server::protocol::Hello::ours())).frame();
    let asked = peer.frame().expect("a request");
    assert!(asked.contains(CANARY), "{asked}");
    peer.send(format!("{}\n{{\"{CANARY}\":1}}", CANARY.len() + 6));
    let outcome = finish(client);
    assert_eq!(outcome.code, 1);
    without_words(&outcome);
    drop(held);
    for reply in [
        Reply::body("text/plain", CANARY),
        Reply::status(500, "", CANARY),
        Reply::Echo(400),
        Reply::says(&["I cannot"]),
    ] {
        let chat = Chat::start([reply]);
        home.set("CMDAI_ENGINE", "remote");
        home.set("CMDAI_REMOTE_URL", &chat.url);
        let mut outcome = home.ask(&[&words]);
        assert_ne!(outcome.code, 0);
        // What the server says of its error is said to the person, and to no log.
        let log = outcome.stderr.lines().filter(|line| !line.starts_with("cmdai: ")).collect::<Vec<_>>().join("\n");
        outcome.stderr = log;
        without_words(&outcome);
    }
    nothing_is_left(&home);
}

/// The word is nowhere, and what cmdai made is its user's alone. A socket is as open as the system makes it: its
/// directory is closed.
fn nothing_is_left(home: &Resident) {
    let made = below(home.home());
    assert!(made.len() > 3, "{made:?}");
    for path in made {
        let metadata = fs::symlink_metadata(&path).expect("it is there");
        let wanted = if metadata.is_dir() { 0o700 } else { 0o600 };
        let is_socket = metadata.file_type().is_socket();
        assert!(
            is_socket || metadata.permissions().mode() & 0o777 == wanted,
            "{}: {:o}",
            path.display(),
            metadata.permissions().mode()
        );
        assert!(!path.to_string_lossy().contains(CANARY), "{}", path.display());
        if metadata.is_file() {
            let bytes = fs::read(&path).expect("a file");
            assert!(!bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn log_that_has_grown_too_long_begins_anew_and_still_tells_the_server() {
    let mut home = Resident::new();
    home.set("CMDAI_LOG", "trace");
    home.answers(SHORT);
    let log = home.place().log();
    let mut file = OpenOptions::new().append(true).open(&log).expect("a log");
    file.write_all(&vec![b'.'; 5_000_000]).expect("it grows");
    home.answers(SHORT);
    let text = fs::read_to_string(&log).expect("a log");
    assert!(text.len() < 1_000_000 && text.starts_with("process "), "{} bytes", text.len());
    let owner = Place::new(home.socket()).owner().expect("a place");
    assert_eq!(owner, Some(home.server()));
}
