//! The socket by hand: what is said on it, byte by byte, and what happens to those who say something else.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use cmdai::{
    error::Error,
    server::protocol::{Ask, Hello, PROTOCOL_VERSION, Reply, frame},
};
use rustix::process::Signal;

use crate::resident::{LONG, Peer, Resident, SHORT, requests};

#[test]
fn first_frames_are_these_bytes() {
    assert_eq!(PROTOCOL_VERSION, 5, "a new protocol has new frames: look at this test again");
    let version = env!("CARGO_PKG_VERSION");
    let hello = format!(r#"{{"cmdai":"{version}","protocol":5}}"#);
    let home = Resident::new();
    home.start();
    let mut peer = Peer::connect(&home.socket());
    assert_eq!(peer.send(format!("{}\n{hello}", hello.len())).frame(), Some(hello));
    assert!(peer.send("8\n\"status\"").frame().expect("a status").starts_with(r#"{"status":{"pid":"#));
}

#[test]
fn frames_cut_into_single_bytes_are_whole_frames() {
    let home = Resident::new();
    home.start();
    let mut peer = Peer::connect(&home.socket());
    let ask = Ask::Do(Box::new(home.job(SHORT.0)));
    for byte in format!("{}{}", frame(&Hello::ours()), frame(&ask)).bytes() {
        peer.send([byte]);
    }
    peer.frame().expect("its hello");
    assert!(matches!(peer.answer().1, Reply::Done { .. }));
}

#[test]
fn cancel_ends_the_request_and_the_connection_goes_on() {
    let home = Resident::warm();
    let mut peer = Peer::greeted(&home.socket());
    peer.ask(&Ask::Do(Box::new(home.job(LONG)))).until_text();
    assert!(matches!(peer.ask(&Ask::Cancel).answer().1, Reply::Failed(Error::Cancelled)));
    let (suggestions, timing) = peer.suggest(home.job(SHORT.0));
    assert_eq!(format!("{}\n", suggestions[0].command), SHORT.1);
    assert!(timing.queue_ms < 500.0, "{timing:?}");
    // Too late is no fault.
    assert_eq!(peer.ask(&Ask::Cancel).status().failed, 1);
}

#[test]
fn request_cancelled_before_its_turn_is_cancelled_too() {
    let home = Resident::warm();
    let [mut first, mut second] = [LONG, SHORT.0].map(|words| {
        let mut peer = Peer::greeted(&home.socket());
        peer.ask(&Ask::Do(Box::new(home.job(words))));
        peer
    });
    first.until_text();
    second.ask(&Ask::Cancel);
    first.ask(&Ask::Cancel);
    for mut peer in [first, second] {
        let (_, last) = peer.answer();
        assert!(matches!(last, Reply::Failed(Error::Cancelled)), "{last:?}");
    }
}

#[test]
fn each_text_is_a_beginning_of_the_command() {
    let home = Resident::new();
    home.start();
    let mut peer = Peer::greeted(&home.socket());
    for words in requests() {
        peer.ask(&Ask::Do(Box::new(home.job(&words))));
        let (texts, last) = peer.answer();
        let Reply::Done { suggestions, .. } = last else { panic!("{last:?}") };
        assert!(texts.len() > 1 && texts.is_sorted_by(|a, b| b.starts_with(a.as_str()) && a != b), "{texts:?}");
        assert!(texts.iter().all(|text| suggestions[0].command.starts_with(text)), "{texts:?}: {suggestions:?}");
    }
}

#[test]
fn streamed_output_is_the_plain_output() {
    let home = Resident::warm();
    for words in requests() {
        let [plain, streamed] = [&["suggest", &words][..], &["suggest", "--stream", &words]].map(|args| home.ask(args));
        assert_eq!((streamed.code, &streamed.stdout), (plain.code, &plain.stdout), "{words}: {}", streamed.stderr);
        assert_eq!(plain.code, 0, "{words}: {}", plain.stderr);
    }
}

#[test]
fn what_is_no_frame_closes_the_connection_at_once() {
    let home = Resident::warm();
    let hello = frame(&Hello::ours());
    let cases = [
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "\n".repeat(100),
        "99999999\n".to_owned(),
        "262145\n{".to_owned(),
        "-1\n".to_owned(),
        "11111111111111111111111111".to_owned(),
        "2\nno".to_owned(),
        format!("{hello}6\n\"dance"),
        format!("{hello}7\n\"dance\""),
        format!("{hello}12\n{{\"suggest\":1}}"),
        "\0".repeat(100_000),
    ];
    for case in cases {
        let mut peer = Peer::connect(&home.socket());
        let start = Instant::now();
        // It may be closed before all is sent.
        let _ = peer.stream().write_all(case.as_bytes());
        if case.starts_with(&hello) {
            peer.frame();
        }
        assert!(peer.is_closed(), "{case:.30?}");
        assert!(start.elapsed() < Duration::from_millis(1500), "{case:.30?}: it waited for more");
    }
    home.answers(SHORT);
}

#[test]
fn who_says_nothing_or_half_of_something_is_not_waited_for() {
    let home = Resident::warm();
    let hello = frame(&Hello::ours());
    let start = Instant::now();
    let said = ["", "5", "100\n{\"cmdai\"", &format!("{hello}8\n\"sta")];
    let mut peers = said.map(|said| {
        let mut peer = Peer::connect(&home.socket());
        peer.send(said);
        peer
    });
    home.answers(SHORT);
    peers[3].frame();
    for peer in &mut peers {
        assert!(peer.is_closed());
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn flood_that_reads_no_reply_takes_neither_memory_nor_the_turn_of_others() {
    let home = Resident::warm();
    let before = home.status().expect("a server").memory;
    let mut flood = Peer::greeted(&home.socket());
    flood.stream().set_write_timeout(Some(Duration::from_millis(200))).expect("a timeout");
    let asks = frame(&Ask::Status).repeat(10_000);
    let taken = flood.stream().write(asks.as_bytes()).expect("some of it");
    assert!(taken > 0);
    let start = Instant::now();
    home.answers(SHORT);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let after = home.status().expect("a server").memory;
    assert!(after < before + 10_000_000, "{before} -> {after}");
}

#[test]
fn honest_client_is_answered_beside_200_that_say_nothing() {
    let home = Resident::warm();
    let before = home.status().expect("a server");
    let idle: Vec<UnixStream> = (0..200).map(|_| UnixStream::connect(home.socket()).expect("a server")).collect();
    home.answers(SHORT);
    let after = home.status().expect("a server");
    assert_eq!(after.pid, before.pid);
    assert!(after.memory < before.memory + 10_000_000, "{} -> {}", before.memory, after.memory);
    drop(idle);
}

#[test]
fn client_in_the_queue_of_a_leaving_server_is_sent_to_the_next_at_once() {
    let home = Resident::warm();
    let mut busy = Peer::greeted(&home.socket());
    busy.ask(&Ask::Do(Box::new(home.job(LONG)))).until_text();
    // All places but this one are taken.
    let others: Vec<Peer> = (0..127).map(|_| Peer::greeted(&home.socket())).collect();
    let mut queued = Peer::connect(&home.socket());
    let first = home.server();
    home.signal(Signal::TERM);
    assert!(queued.is_closed());
    assert!(home.servers().contains(&first), "it still answers");
    assert_ne!(home.start().pid, first.as_raw_pid() as u32);
    assert!(matches!(busy.answer().1, Reply::Failed(Error::NoCommand(_))));
    drop(others);
}
