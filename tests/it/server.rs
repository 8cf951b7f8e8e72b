//! The resident server as a process: who starts it, what it holds, when it leaves.

use std::{
    fs,
    io::Read,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixListener,
    },
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use cmdai::{
    error::Error,
    server::{
        client::Fault,
        protocol::{Ask, Hello, PROTOCOL_VERSION, Reply, frame},
    },
};
use rustix::{
    io::{FdFlags, fcntl_setfd},
    process::Signal,
};

use crate::{
    resident::{LONG, PATIENCE, Peer, Resident, SHORT, finish, is_clean_failure, proc, rounds, suggest, until},
    support::{CMDAI, Outcome},
};

#[test]
fn eight_clients_at_once_start_one_server() {
    let mut home = Resident::new();
    // None is asked for, so that a round is short.
    home.set("CMDAI_MODELS_DIR", "/nonexistent");
    for round in 0..rounds("CMDAI_TEST_RACES", 40) {
        let clients: Vec<Child> = (0..8).map(|_| home.spawn(&["server", "start"])).collect();
        let said: Vec<Outcome> = clients.into_iter().map(finish).collect();
        let expected = format!("the server runs as process {}\n", home.server());
        for Outcome { code, stdout, stderr } in said {
            assert_eq!((code, &stdout, stderr.as_str()), (0, &expected, ""), "round {round}");
        }
        // Half of the rounds find a socket that nobody serves.
        if round % 2 == 0 {
            home.kill_servers();
        } else {
            assert_eq!(home.ask(&["server", "stop"]).stdout, "the server has left\n");
        }
        home.until_no_server();
    }
}

#[test]
fn killed_server_is_followed_by_another() {
    let home = Resident::warm();
    let first = home.server();
    home.kill_servers();
    home.until_no_server();
    assert!(home.socket().exists(), "it had no time to remove it");
    home.answers(SHORT);
    assert_ne!(home.server(), first);
}

#[test]
fn server_leaves_when_idle_and_removes_its_socket_but_not_where_the_time_is_0() {
    let [mut short, mut never] = [Resident::new(), Resident::new()];
    short.set("CMDAI_SERVER_IDLE", "1s");
    never.set("CMDAI_SERVER_IDLE", "0");
    let first = never.start();
    short.start();
    short.until_no_server();
    assert!(!short.socket().exists());
    assert_eq!(never.status().expect("it stays").pid, first.pid);
}

#[test]
fn idle_server_uses_no_processor_once_it_has_settled() {
    let home = Resident::warm();
    let server = home.server();
    let idles = || {
        let before = (ticks(server), switches(server));
        // The one wait for a time: the claim is about a time.
        thread::sleep(Duration::from_secs(3));
        let after = (ticks(server), switches(server));
        after.0 == before.0 && after.1 <= before.1 + 3
    };
    assert!((0..5).any(|_| idles()), "{} ticks, {} switches", ticks(server), switches(server));
}

/// utime and stime, the 14th and 15th field; the 2nd is in parentheses.
fn ticks(pid: rustix::process::Pid) -> u64 {
    let stat = fs::read_to_string(proc(pid, "stat")).expect("a process");
    let fields = stat.rsplit_once(") ").expect("a name").1.split(' ');
    fields.skip(11).take(2).map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// How often its threads began to wait.
fn switches(pid: rustix::process::Pid) -> u64 {
    let threads = fs::read_dir(proc(pid, "task")).expect("threads").flatten();
    let of = |text: String| text.lines().find_map(|l| l.strip_prefix("voluntary_ctxt_switches:")?.trim().parse().ok());
    threads.map(|thread| of(fs::read_to_string(thread.path().join("status")).expect("a thread")).unwrap_or(0)).sum()
}

#[test]
fn server_is_in_a_session_of_its_own_and_holds_nothing_of_its_client() {
    let mut home = Resident::new();
    home.set("CANARY", "yellow");
    home.set("CMDAI_REMOTE_KEY", "secret");
    home.set("HF_TOKEN", "secret");
    let (mut pipe, held) = std::io::pipe().expect("a pipe");
    fcntl_setfd(&held, FdFlags::empty()).expect("an inherited end");
    home.start();
    drop(held);
    let mut rest = String::new();
    pipe.read_to_string(&mut rest).expect("its end");

    let server = home.server();
    assert_eq!(rustix::process::getsid(Some(server)), Ok(server));
    assert_eq!(fs::read_link(proc(server, "cwd")).expect("a directory"), std::path::Path::new("/"));
    let environment = fs::read_to_string(proc(server, "environ")).expect("an environment");
    let names: Vec<&str> = environment.split('\0').filter_map(|variable| Some(variable.split_once('=')?.0)).collect();
    assert!(names.contains(&"CMDAI_MODEL") && names.contains(&"HOME"), "{names:?}");
    assert!(!["CANARY", "CMDAI_REMOTE_KEY", "HF_TOKEN", "SHELL"].iter().any(|name| names.contains(name)), "{names:?}");
}

#[test]
fn no_server_is_started_where_it_is_switched_off() {
    let mut home = Resident::new();
    home.set("CMDAI_SERVER", "0");
    home.answers(SHORT);
    assert!(home.servers().is_empty() && !home.socket().exists());
    let Outcome { code, stderr, .. } = home.ask(&["server", "start"]);
    assert_eq!(
        (code, stderr.lines().next()),
        (2, Some("cmdai: the server is switched off by environment CMDAI_SERVER"))
    );
}

#[test]
fn status_and_stop_start_no_server() {
    let home = Resident::new();
    assert_eq!(home.ask(&["server", "status"]).stdout, "no server runs; the next request starts one\n");
    assert_eq!(home.ask(&["server", "status", "--json"]).stdout, "null\n");
    assert_eq!(home.ask(&["server", "stop"]).stdout, "no server runs\n");
    assert!(home.servers().is_empty());
}

#[test]
fn broken_configuration_is_the_client_s_fault_to_tell() {
    let mut home = Resident::new();
    let file = home.home().join("config.toml");
    fs::write(&file, "model = 'x'\nserver = [").expect("a file");
    home.set("CMDAI_CONFIG", file.to_str().expect("UTF-8"));
    let outcome = home.ask(&["list files"]);
    assert!(is_clean_failure(&outcome) && outcome.stderr.contains("config.toml: line 2"), "{}", outcome.stderr);
    assert!(home.servers().is_empty());
}

#[test]
fn server_that_cannot_start_is_tried_three_times_and_the_answer_computed_without_it() {
    let mut home = Resident::new();
    // Only the server reads it.
    home.set("CMDAI_SERVER_IDLE", "soon");
    let start = Instant::now();
    let Outcome { code, stderr, .. } = home.ask(&["server", "start"]);
    let log = home.place().log();
    let expected =
        format!("cmdai: the server ended right after its start, 3 times\nhint: look into {}\n", log.display());
    assert_eq!((code, stderr), (1, expected));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert!(fs::read_to_string(log).expect("a log").contains("found \"soon\""));
    home.answers(SHORT);
}

#[test]
fn program_that_is_no_server_is_not_started_for_ever() {
    let home = Resident::new();
    let client = cmdai::server::client::Client { program: "/bin/true".into(), ..home.client() };
    let fault = suggest(&client, home.job(SHORT.0)).expect_err("no server");
    assert!(matches!(&fault, Fault::Unreachable(why) if why.to_string().ends_with("3 times")), "{fault:?}");
    let client = cmdai::server::client::Client { program: "/nonexistent".into(), ..client };
    let fault = suggest(&client, home.job(SHORT.0)).expect_err("no program");
    assert!(matches!(&fault, Fault::Unreachable(why) if why.to_string().contains("/nonexistent")), "{fault:?}");
}

#[test]
fn server_of_another_version_is_waited_for_and_followed() {
    let home = Resident::new();
    let old = home.place().take().expect("a place").expect("a free one");
    let listener = old.listener.try_clone().expect("a copy");
    let client = home.spawn(&["server", "start"]);
    let mut peer = Peer::of(listener.accept().expect("a client").0);
    assert_eq!(peer.frame(), Some(serde_json::to_string(&Hello::ours()).expect("JSON")));
    peer.send(frame(&Hello { cmdai: "0.0.1".into(), protocol: 0 }));
    assert!(peer.is_closed());
    drop(listener);
    old.give_back();
    let outcome = finish(client);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stdout, format!("the server runs as process {}\n", home.server()));
}

#[test]
fn client_of_another_version_makes_the_server_leave_but_not_from_a_request() {
    for hello in
        [Hello { cmdai: "9.9.9".into(), ..Hello::ours() }, Hello { protocol: PROTOCOL_VERSION + 1, ..Hello::ours() }]
    {
        let home = Resident::warm();
        let mut busy = Peer::greeted(&home.socket());
        busy.ask(&Ask::Do(Box::new(home.job(LONG)))).until_text();
        let mut other = Peer::connect(&home.socket());
        let answer = other.send(frame(&hello)).frame().expect("a hello");
        assert!(answer.contains("leaving"), "{answer}");
        assert!(other.is_closed());
        until("the socket to go", || !home.socket().exists());
        let first = home.server();
        assert_ne!(home.start().pid, first.as_raw_pid() as u32);
        assert!(matches!(busy.answer().1, Reply::Failed(Error::NoCommand(_))), "all 160 tokens of it");
        assert!(busy.is_closed());
    }
}

#[test]
fn replaced_program_gets_a_server_of_its_own() {
    let home = Resident::new();
    let program = home.home().join("cmdai");
    fs::copy(CMDAI, &program).expect("a copy");
    let start = || {
        let mut command = home.command(program.to_str().expect("UTF-8"));
        command.args(["server", "start"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().expect("it runs")).stdout
    };
    let first = start();
    assert_eq!(start(), first);
    fs::remove_file(&program).expect("a file");
    fs::copy(CMDAI, &program).expect("another copy");
    let second = start();
    assert_ne!(second, first);
    until("the first to leave", || home.servers().len() == 1);
    assert_eq!(second, format!("the server runs as process {}\n", home.server()));
}

/// `cmdai server run` with what `script` makes of descriptor 0, where `listener` is.
fn lend(home: &Resident, listener: &UnixListener, script: &str) -> Child {
    let socket: OwnedFd = listener.as_fd().try_clone_to_owned().expect("a copy");
    let mut command = home.command("sh");
    command.args(["-c", script, "sh", CMDAI]).stdin(socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a shell")
}

/// systemd's protocol, and launchd's in the style of inetd.
const LENDERS: [&str; 2] =
    [r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$1" server run"#, r#"exec "$1" server run"#];

#[test]
fn socket_of_a_service_manager_is_served_and_left_where_it_was() {
    for script in LENDERS {
        let home = Resident::new();
        fs::create_dir_all(home.socket().parent().expect("a directory")).expect("a directory");
        let listener = UnixListener::bind(home.socket()).expect("a socket");
        let server = lend(&home, &listener, script);
        home.answers(SHORT);
        assert_eq!(home.server().as_raw_pid() as u32, server.id(), "no other was started");

        let Outcome { code, stderr, .. } = home.ask(&["server", "run"]);
        assert_eq!((code, stderr.lines().next()), (1, Some("cmdai: another server runs already")), "{script}");
        let second = finish(lend(&home, &listener, script));
        assert_eq!(second.stderr.lines().next(), Some("cmdai: another server runs already"), "{script}");

        assert_eq!(home.ask(&["server", "stop"]).stdout, "the server has left\n");
        assert_eq!(finish(server).code, 0);
        assert!(home.socket().exists(), "{script}");
        let server = lend(&home, &listener, script);
        home.answers(SHORT);
        home.signal(Signal::TERM);
        assert_eq!(finish(server).code, 0);
    }
}

#[test]
fn stop_waits_for_the_end_of_the_server() {
    let home = Resident::warm();
    let start = Instant::now();
    let outcome = home.ask(&["server", "stop"]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, "the server has left\n"));
    assert!(home.servers().is_empty() && start.elapsed() < PATIENCE / 10);
    assert!(!home.socket().exists());
}

#[test]
fn stop_does_not_wait_for_a_server_that_began_meanwhile() {
    let home = Resident::new();
    let next = home.place().take().expect("a place").expect("a free one");
    // Whatever goes wrong here, this process is not the one to be ended.
    fs::write(home.place().log(), "").expect("a log");
    let client = home.spawn(&["server", "stop"]);
    let mut peer = Peer::of(next.listener.accept().expect("a client").0);
    peer.frame().expect("its hello");
    assert_eq!(peer.send(frame(&Hello::ours())).frame().as_deref(), Some("\"stop\""));
    drop(peer);
    assert_eq!(finish(client).stdout, "the server has left\n");
    next.give_back();
}
