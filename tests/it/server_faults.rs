//! What goes wrong around the server: it or its client is killed or stopped, files change under it, others are in the
//! way. Every client has the right answer or one clean line, and the next one is answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, Permissions},
    os::unix::{
        fs::{PermissionsExt, chown, symlink},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use cmdai::{
    error::Error,
    server::protocol::{Hello, frame},
};
use rustix::process::Signal;

use crate::{
    resident::{
        FILE, LONG, Peer, Resident, SHORT, finish, is_clean_failure, kill, moments, requests, rounds, suggest, until,
    },
    support::{CMDAI, Outcome, model},
};

/// Nobody's: the user of those who are not us.
const OTHER: u32 = 65534;

/// The longest that a client waits for a server that is silent, with what a loaded machine adds.
const GIVES_UP: Duration = Duration::from_secs(9);

#[test]
fn killed_server_costs_no_client_its_answer() {
    let home = Resident::warm();
    let start = Instant::now();
    home.answers(SHORT);
    let mut killed = 0;
    for moment in moments(start.elapsed().mul_f64(1.2)).take(rounds("CMDAI_TEST_KILLS", 20)) {
        let client = home.spawn(&[SHORT.0]);
        // Not to wait for something: to strike at any point.
        thread::sleep(moment);
        killed += home.kill_servers();
        let outcome = finish(client);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (0, SHORT.1), "{}", outcome.stderr);
    }
    eprintln!("{killed} servers killed");
    assert!(killed > 0);
}

#[test]
fn client_whose_servers_are_killed_again_and_again_has_an_answer_or_one_clean_line() {
    let home = Resident::warm();
    let client = home.spawn(&[SHORT.0]);
    thread::scope(|scope| {
        let outcome = scope.spawn(|| finish(client));
        while !outcome.is_finished() {
            home.kill_servers();
        }
        let outcome = outcome.join().expect("it ends");
        let answered = (outcome.code, outcome.stdout.as_str()) == (0, SHORT.1);
        assert!(answered || is_clean_failure(&outcome), "{} {:?} {}", outcome.code, outcome.stdout, outcome.stderr);
    });
    home.until_no_server();
    home.answers(SHORT);
}

#[test]
fn killed_client_takes_its_request_with_it() {
    let home = Resident::warm();
    let mut peer = Peer::greeted(&home.socket());
    // The server has one client more when this one is at work.
    let alone = peer.status().connections;
    let mut strike = |moment| {
        let client = home.spawn(&[LONG]);
        while peer.status().connections == alone {}
        thread::sleep(moment);
        kill(client.id());
        let (suggestions, timing) = peer.suggest(home.job(SHORT.0));
        assert_eq!(format!("{}\n", suggestions[0].command), SHORT.1);
        finish(client);
        timing.queue_ms
    };
    let count = rounds("CMDAI_TEST_CLIENT_KILLS", 30);
    let mut moments = moments(Duration::from_millis(400));
    let mut next = || strike(moments.next().expect("endless"));
    (0..20.min(count)).for_each(|_| assert!(next() >= 0.0));
    let before = home.status().expect("a server").memory;
    let mut waits: Vec<f64> = (0..count).map(|_| next()).collect();
    waits.sort_by(f64::total_cmp);
    let (most, slowest) = (waits[count * 9 / 10], waits[count - 1]);
    let after = home.status().expect("a server");
    eprintln!("{count} killed: p90 {most:.0} ms, at most {slowest:.0} ms; memory {before} -> {}", after.memory);
    // 160 tokens take a second or more; one token, or a batch of the prompt, a fraction. A loaded machine may stall.
    assert!(most < 500.0, "{most} ms");
    assert!(after.memory < before + 2_000_000, "{before} -> {}", after.memory);
    // One that was killed before it had asked is not counted.
    assert!(after.failed as usize * 10 > (20.min(count) + count) * 9, "{} of {count} counted", after.failed);
}

#[test]
fn stopped_server_is_given_up_in_time_and_can_be_ended() {
    let home = Resident::warm();
    home.signal(Signal::STOP);
    let start = Instant::now();
    let waiting = home.spawn(&[SHORT.0]);
    let mut widget = home.command(CMDAI);
    widget.args(["widget", "--shell", "zsh"]).stdin(Stdio::from(file_with(&home, "# remove the folder build")));
    let widget = widget.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    let (outcome, widget) = (finish(waiting), finish(widget));
    let took = start.elapsed();
    assert!(took > Duration::from_secs(4) && took < GIVES_UP, "{took:?}");
    assert!(is_clean_failure(&outcome), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("silent for 5 s"), "{}", outcome.stderr);
    let (first, rest) = widget.stdout.split_once('\n').expect("two lines");
    assert_eq!((first, rest.lines().count(), widget.stderr.as_str()), ("1", 1, ""), "{rest}");

    assert_eq!(home.ask(&["server", "stop"]).stdout, "the server has left\n");
    home.until_no_server();
    home.answers(SHORT);
}

fn file_with(home: &Resident, text: &str) -> File {
    let path = home.home().join("input");
    fs::write(&path, text).expect("a file");
    File::open(path).expect("a file")
}

#[test]
fn stopped_server_on_a_lent_socket_is_ended_and_not_who_lent_it() {
    let home = Resident::new();
    fs::create_dir_all(home.socket().parent().expect("a directory")).expect("a directory");
    let listener = UnixListener::bind(home.socket()).expect("a socket");
    let mut server = home.command(CMDAI);
    server.args(["server", "run"]).stdin(Stdio::from(std::os::fd::OwnedFd::from(listener)));
    let mut server = server.stderr(Stdio::null()).spawn().expect("it runs");
    home.answers(SHORT);
    home.signal(Signal::STOP);
    assert_eq!(home.ask(&["server", "stop"]).stdout, "the server has left\n");
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&server.wait().expect("it ended")), Some(9));
}

/// A store of this test's own with the small model in it, which is a copy.
pub(crate) fn own_store(home: &mut Resident) -> std::path::PathBuf {
    let store = home.home().join("store");
    fs::create_dir(&store).expect("a directory");
    fs::copy(model(FILE), store.join(FILE)).expect("a copy");
    home.set("CMDAI_MODELS_DIR", store.to_str().expect("UTF-8"));
    store
}

#[test]
fn model_replaced_by_another_answers_the_next_request() {
    let mut home = Resident::new();
    let file = home.home().join("mine.gguf");
    symlink(model(FILE), &file).expect("a link");
    home.set("CMDAI_MODEL", file.to_str().expect("UTF-8"));
    home.answers(SHORT);
    let server = home.server();
    assert_eq!(home.ask(&[LONG]).code, 3, "too much for the small model");
    let new = home.home().join("new");
    symlink(model("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"), &new).expect("a link");
    fs::rename(new, file).expect("it takes the place");
    home.answers((LONG, "ls *.txt\n"));
    assert_eq!(home.server(), server);
}

#[test]
fn deleted_model_is_missed_and_the_server_lives() {
    let mut home = Resident::new();
    let store = own_store(&mut home);
    home.answers(SHORT);
    let server = home.server();
    fs::rename(store.join(FILE), store.join("away")).expect("a file");
    let outcome = home.ask(&[SHORT.0]);
    assert!(is_clean_failure(&outcome), "{}", outcome.stderr);
    assert!(outcome.stderr.contains("model smollm2-135m is not on this machine yet"), "{}", outcome.stderr);
    fs::rename(store.join("away"), store.join(FILE)).expect("a file");
    home.answers(SHORT);
    assert_eq!(home.server(), server);
}

#[test]
fn model_cut_short_under_the_server_ends_no_client_but_with_a_clean_error() {
    let mut home = Resident::new();
    let store = own_store(&mut home);
    home.answers(SHORT);
    let job = home.job_in(&store, SHORT.0);
    let client = home.client();
    File::options().write(true).open(store.join(FILE)).and_then(|file| file.set_len(1 << 20)).expect("it is cut");
    // As it was when this client looked at it: the server reads what is no more, and dies; the next one refuses the file.
    let error = Error::from(suggest(&client, job).expect_err("no model"));
    assert!(error.to_string().starts_with("could not open model: "), "{error}");
    let outcome = home.ask(&[SHORT.0]);
    assert!(is_clean_failure(&outcome), "{}", outcome.stderr);
    fs::copy(model(FILE), store.join(FILE)).expect("a copy");
    home.answers(SHORT);
}

#[test]
fn twenty_clients_get_the_answers_to_their_own_requests() {
    let home = Resident::warm();
    let mut peer = Peer::greeted(&home.socket());
    let words: Vec<String> = requests().collect();
    let expected: BTreeMap<&String, String> =
        words.iter().map(|words| (words, peer.suggest(home.job(words)).0[0].command.clone())).collect();
    let different: BTreeSet<&String> = expected.values().collect();
    assert_eq!(different.len(), words.len(), "to be told apart: {expected:?}");

    let (client, each) = (home.client(), rounds("CMDAI_TEST_EACH", 3));
    let start = Instant::now();
    thread::scope(|scope| {
        for number in 0..20 {
            let (client, home, words, expected) = (&client, &home, &words, &expected);
            scope.spawn(move || {
                for round in 0..each {
                    let words = &words[(number * 7 + round) % words.len()];
                    let (suggestions, _) = suggest(client, home.job(words)).expect("an answer");
                    assert_eq!(&suggestions[0].command, &expected[words], "{words}");
                }
            });
        }
    });
    let status = peer.status();
    eprintln!("20 x {each} in {:?}; p50 {:.0} ms, p95 {:.0} ms", start.elapsed(), status.p50_ms, status.p95_ms);
    // With the one that warmed it and those computed beforehand.
    assert_eq!((status.requests, status.failed), (1 + 10 + 20 * each as u64, 0));
}

/// A server of another user, in a directory that this user could reach.
fn foreign(home: &mut Resident) -> Child {
    let (program, run) = (home.home().join("cmdai"), home.home().join("theirs"));
    fs::copy(CMDAI, &program).expect("a copy");
    fs::create_dir(&run).expect("a directory");
    chown(&run, Some(OTHER), Some(OTHER)).expect("tests run as root");
    fs::set_permissions(home.home(), Permissions::from_mode(0o755)).expect("ours");
    home.set("XDG_RUNTIME_DIR", run.to_str().expect("UTF-8"));
    let id = OTHER.to_string();
    let mut command = home.command("setpriv");
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program).args(["server", "run"]);
    command.env("CMDAI_MODELS_DIR", "/nonexistent").stdin(Stdio::null()).stderr(Stdio::piped());
    let server = command.spawn().expect("it runs");
    // Its file is there before anybody listens.
    until("their server", || UnixStream::connect(run.join("cmdai/server.sock")).is_ok());
    server
}

#[test]
fn neither_side_talks_to_another_user() {
    let mut home = Resident::new();
    let server = foreign(&mut home);
    let mut peer = Peer::connect(&home.home().join("theirs/cmdai/server.sock"));
    peer.send(frame(&Hello::ours()));
    assert!(peer.is_closed(), "the server refuses");
    let outcome = home.ask(&[SHORT.0]);
    assert!(is_clean_failure(&outcome), "the client refuses: {}", outcome.stderr);
    let first = outcome.stderr.lines().next();
    assert_eq!(first, Some("cmdai: the server belongs to user 65534, not to you"));
    home.kill_servers();
    drop(server.wait_with_output());
}

#[test]
fn place_that_cannot_be_had_is_done_without() {
    let home = Resident::new();
    let at = |name: &str| home.home().join(name);
    // A runtime directory with something in it by the name `cmdai`.
    let with = |name: &str, make: &dyn Fn(&Path)| {
        fs::create_dir(at(name)).expect("a directory");
        make(&at(name).join("cmdai"));
        at(name)
    };
    let with_log = |name: &str, make: &dyn Fn(&Path)| {
        with(name, &|cmdai| {
            fs::create_dir(cmdai).expect("a directory");
            make(&cmdai.join("server.log"));
        })
    };
    let foreign = |path: &Path| {
        fs::create_dir(path).expect("a directory");
        chown(path, Some(OTHER), Some(OTHER)).expect("tests run as root");
    };
    fs::write(at("file"), "precious").expect("a file");
    fs::create_dir(at("mine")).expect("a directory");
    fs::set_permissions(at("mine"), Permissions::from_mode(0o755)).expect("ours");
    foreign(&at("others"));
    let link = |target: &'static str| move |path: &Path| symlink(target, path).expect("a link");
    let places = [
        at("file"),
        "/proc/nowhere".into(),
        "/sys/kernel".into(),
        at(&"long/".repeat(30)),
        with("theirs", &foreign),
        with("link", &link("../mine")),
        with("link to theirs", &link("../others")),
        with("dangling", &link("nowhere")),
        with("loop", &link("cmdai")),
        with("no directory", &|path| fs::write(path, "precious").expect("a file")),
        with_log("log is a link", &link("../../file")),
        with_log("log is a directory", &|path| fs::create_dir(path).expect("a directory")),
        // As on a full disk: it can be opened, and nothing be written.
        with_log("full", &|path| {
            let made = home.command("mknod").arg(path).args(["c", "1", "7"]).status();
            assert!(made.expect("mknod runs").success(), "tests run as root");
        }),
    ];
    for directory in &places {
        let Outcome { code, stdout, stderr } = answered_without(&home, directory);
        assert_eq!((code, stdout.as_str()), (0, SHORT.1), "{}: {stderr}", directory.display());
    }
    assert!(home.servers().is_empty());
    for file in [at("file"), at("no directory").join("cmdai")] {
        assert_eq!(fs::read(&file).expect("a file"), b"precious", "{}", file.display());
    }
    for directory in [at("mine"), at("others")] {
        assert_eq!(fs::read_dir(&directory).expect("a directory").count(), 0, "{}", directory.display());
        assert_eq!(fs::metadata(&directory).expect("a directory").permissions().mode() & 0o777, 0o755);
    }
}

#[test]
fn place_is_closed_to_others_and_found_by_any_name() {
    let mut home = Resident::new();
    let root = home.home().to_owned();
    let at = |name: &str| root.join(name).to_str().expect("UTF-8").to_owned();
    let cache = at("cache");
    let open = at("open");
    for directory in [&open, &at("open/cmdai"), &at("a b\nc 'd'"), &at("one"), &at("two")] {
        fs::create_dir(directory).expect("a directory");
        fs::set_permissions(directory, Permissions::from_mode(0o777)).expect("ours");
    }
    let relative = Path::new(&cache).join("run");
    home.set("CMDAI_CACHE_DIR", &cache);
    for (variable, place) in [
        (open.clone(), Path::new(&open).join("cmdai")),
        (at("a b\nc 'd'"), Path::new(&at("a b\nc 'd'")).join("cmdai")),
        (at("one/../two"), Path::new(&at("two")).join("cmdai")),
        ("relative".into(), relative),
    ] {
        home.set("XDG_RUNTIME_DIR", &variable);
        home.answers(SHORT);
        assert_eq!(home.status().expect(&variable).requests, 1);
        let mode = |path: &Path| fs::symlink_metadata(path).expect(&variable).permissions().mode() & 0o777;
        assert_eq!((mode(&place), mode(&place.join("server.log"))), (0o700, 0o600), "{variable}");
        home.kill_servers();
        home.until_no_server();
    }
}

fn answered_without(home: &Resident, directory: &Path) -> Outcome {
    let mut command = home.command(CMDAI);
    command.arg(SHORT.0).env("XDG_RUNTIME_DIR", directory).stdout(Stdio::piped()).stderr(Stdio::piped());
    finish(command.spawn().expect("it runs"))
}

#[test]
fn what_is_no_socket_in_its_place_stays() {
    let home = Resident::new();
    fs::create_dir_all(home.socket().parent().expect("a directory")).expect("a directory");
    fs::write(home.socket(), "precious").expect("a file");
    home.answers(SHORT);
    assert_eq!(fs::read(home.socket()).expect("a file"), b"precious");
    fs::remove_file(home.socket()).expect("a file");
    fs::create_dir(home.socket()).expect("a directory");
    home.answers(SHORT);
    assert!(home.socket().is_dir() && home.servers().is_empty());
    assert_eq!(fs::metadata(home.socket()).expect("a directory").permissions().mode() & 0o777, 0o755);
}

#[test]
fn cache_that_cannot_be_written_costs_time_only() {
    let mut home = Resident::new();
    home.set("CMDAI_CACHE_DIR", "/proc/nowhere");
    home.answers(SHORT);
    assert_eq!(home.status().expect("a server").requests, 1);
}

#[test]
fn peer_that_speaks_something_else_is_one_clean_line() {
    let home = Resident::new();
    let held = home.place().take().expect("a place").expect("a free one");
    let client = home.spawn(&[SHORT.0]);
    let mut peer = Peer::of(held.listener.accept().expect("a client").0);
    peer.send("SSH-2.0-OpenSSH_9.9\r\n");
    let outcome = finish(client);
    assert!(
        is_clean_failure(&outcome) && outcome.stderr.contains("not a frame of this protocol"),
        "{}",
        outcome.stderr
    );
}
