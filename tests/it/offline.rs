//! Nothing leaves the machine: suggestions where there is no network, and what strace sees of them.

use std::{fs, path::PathBuf, process::Stdio};

use rustix::process::Signal;

use crate::{
    resident::{FILE, Resident, SHORT, finish, requests, rounds, until},
    support::{CMDAI, Outcome, TestEnv, model},
};

/// A network of its own, in which not even the loopback interface is up; a network that it could reach would hide a try.
const ALONE: [&str; 2] = ["unshare", "-rn"];

/// The calls by which something could leave; one that fails is seen, too.
const WATCHED: &str = "trace=socket,execve,execveat,io_uring_setup";

/// What strace saw of a process and its children.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// Programs started, or tried to, the first one included.
    programs: Vec<String>,
    local_sockets: usize,
    /// Calls that are neither.
    others: Vec<String>,
}

impl Seen {
    fn of(trace: &str) -> Self {
        let mut seen = Self::default();
        for line in trace.lines() {
            let call = line.split_once(' ').expect("a process and a call").1.trim_start();
            match call.split_once('(') {
                Some(("execve", rest)) => seen.programs.push(rest.split('"').nth(1).unwrap_or(rest).to_owned()),
                Some(("socket", rest)) if rest.starts_with("AF_UNIX,") => seen.local_sockets += 1,
                // The end of a call that another thread's came between, a signal, the end of a process.
                _ if call.starts_with(['<', '-', '+']) => {}
                _ => seen.others.push(call.to_owned()),
            }
        }
        seen
    }
}

/// Runs `args` of the program in a network of its own under strace, which writes to the file it returns.
fn watched(env: &TestEnv, name: &str, args: &[&str]) -> (std::process::Command, PathBuf) {
    let trace = env.home().join(name);
    let mut command = env.command(ALONE[0]);
    command.args([ALONE[1], "strace", "-f", "-qq", "-e", WATCHED, "-o"]).arg(&trace).arg(CMDAI).args(args);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    (command, trace)
}

fn seen(env: &TestEnv, args: &[&str]) -> (Outcome, Seen) {
    let (mut command, trace) = watched(env, "client.trace", args);
    let outcome = finish(command.spawn().expect("unshare and strace: tests/run gets them"));
    (outcome, Seen::of(&fs::read_to_string(trace).expect("a trace")))
}

/// The ways to the model, each on a request of its own.
fn ways(words: &str) -> [Vec<&str>; 3] {
    [vec![words], vec!["suggest", "--stream", words], vec!["explain", "rm -rf build"]]
}

#[test]
fn suggestion_in_one_process_opens_no_socket_and_starts_no_program() {
    let mut home = Resident::new();
    home.set("CMDAI_SERVER", "0");
    for (number, words) in requests().enumerate().take(rounds("CMDAI_TEST_OFFLINE", 2)) {
        for args in ways(&words) {
            let (outcome, seen) = seen(&home, &args);
            assert_eq!(outcome.code, 0, "{number} {args:?}: {}", outcome.stderr);
            assert_eq!(seen, Seen { programs: vec![CMDAI.into()], ..Seen::default() }, "{args:?}");
        }
    }
}

#[test]
fn suggestion_by_a_server_opens_local_sockets_only_and_starts_no_program() {
    let home = Resident::new();
    let (mut command, trace) = watched(&home, "server.trace", &["server", "run"]);
    let server = command.spawn().expect("unshare and strace: tests/run gets them");
    until("the server", || home.socket().exists());
    let (mut asked, rounds) = (0, rounds("CMDAI_TEST_OFFLINE", 4));
    for words in requests().cycle().take(rounds) {
        for args in ways(&words) {
            let (outcome, seen) = seen(&home, &args);
            assert_eq!(outcome.code, 0, "{args:?}: {}", outcome.stderr);
            assert_eq!(seen, Seen { programs: vec![CMDAI.into()], local_sockets: 1, ..Seen::default() }, "{args:?}");
            asked += 1;
        }
    }
    assert_eq!(home.status().expect("a server").requests, asked);
    home.signal_all(Signal::TERM);
    finish(server);
    let seen = Seen::of(&fs::read_to_string(trace).expect("a trace"));
    // The one that it listens on.
    assert_eq!(seen, Seen { programs: vec![CMDAI.into()], local_sockets: 1, ..Seen::default() });
    eprintln!("{asked} requests");
}

#[test]
fn first_suggestion_starts_the_program_itself_as_its_server_and_nothing_else() {
    let mut home = Resident::new();
    // strace follows the server, and ends with it.
    home.set("CMDAI_SERVER_IDLE", "1s");
    let (outcome, seen) = seen(&home, &[SHORT.0]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (0, SHORT.1), "{}", outcome.stderr);
    assert_eq!(seen.programs, [CMDAI, CMDAI]);
    assert_eq!(seen.others, Vec::<String>::new());
}

#[test]
fn seen_tells_what_leaves() {
    let trace = "1 execve(\"/bin/cmdai\", [\"cmdai\"], 0x7f /* 9 vars */) = 0\n\
                 12 socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 3\n\
                 12 socket(AF_INET, SOCK_STREAM, IPPROTO_IP) = -1 EPERM (Operation not permitted)\n\
                 1 execve(\"/bin/curl\", NULL, NULL <unfinished ...>\n\
                 1 <... execve resumed>) = -1 ENOENT (No such file or directory)\n\
                 1 io_uring_setup(0, NULL) = -1 EFAULT (Bad address)\n\
                 1 +++ exited with 0 +++\n";
    let Seen { programs, local_sockets, others } = Seen::of(trace);
    assert_eq!((programs, local_sockets), (vec!["/bin/cmdai".to_owned(), "/bin/curl".to_owned()], 1));
    assert_eq!(others.len(), 2, "{others:?}");
    assert!(others[0].starts_with("socket(AF_INET,") && others[1].starts_with("io_uring_setup("));
}

#[test]
fn doctor_proves_it_by_a_suggestion_in_its_process_and_by_the_server() {
    let mut home = Resident::new();
    home.set("CMDAI_MODEL", "qwen2.5-coder-0.5b");
    let Outcome { code, stdout, stderr } = home.ask(&["doctor", "--prove-offline"]);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    let lines: Vec<&str> = stdout.lines().collect();
    let begin =
        ["  kernel     refuses", "  here       \"find files", "  server     \"find files", "  not shown  ", "nothing"];
    assert_eq!(lines.len(), begin.len(), "{stdout}");
    lines.iter().zip(begin).for_each(|(line, begin)| assert!(line.starts_with(begin), "{line}"));
    let confined = format!("process {}: no sockets, no programs (seccomp)", home.server().as_raw_pid());
    assert!(lines[2].contains(&confined), "{stdout}");
}

#[test]
fn doctor_proves_nothing_of_an_engine_elsewhere_or_of_none() {
    let mut home = Resident::new();
    home.set("CMDAI_SERVER", "0");
    let remote = home.ask(&["doctor", "--prove-offline", "--engine", "remote"]);
    assert_eq!((remote.code, remote.stdout.as_str()), (1, ""));
    assert!(remote.stderr.starts_with("cmdai: the engine is remote: "), "{}", remote.stderr);
    home.set("CMDAI_MODELS_DIR", "/nonexistent");
    let none = home.ask(&["doctor", "--prove-offline"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{}", none.stderr);
}

/// Debian's qemu-user stands in for a kernel that has neither: it knows no seccomp and no Landlock.
#[test]
#[cfg(target_arch = "x86_64")]
fn kernel_without_seccomp_and_landlock_serves_says_so_and_proves_nothing() {
    let home = Resident::new();
    model(FILE);
    let old = |args: &[&str], server: &str| {
        let mut command = home.command("qemu-x86_64");
        command
            .args(["-cpu", "max", CMDAI])
            .args(args)
            .env("CMDAI_SERVER", server)
            .env("CMDAI_MODELS_DIR", "/nonexistent");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let server = old(&["server", "run"], "1").spawn().expect("qemu-x86_64 runs: tests/run gets it");
    until("the server", || home.socket().exists());
    let status = home.ask(&["server", "status"]).stdout;
    assert!(status.contains("sandbox   no seccomp here; no Landlock here\n"), "{status}");
    assert_eq!(home.ask(&["server", "stop"]).stdout, "the server has left\n");
    finish(server);

    let mut proof = old(&["doctor", "--prove-offline"], "0");
    proof.env("CMDAI_MODELS_DIR", crate::support::models_dir());
    let outcome = finish(proof.spawn().expect("it runs"));
    assert_eq!((outcome.code, outcome.stdout.as_str()), (1, ""), "{}", outcome.stderr);
    assert!(outcome.stderr.starts_with("cmdai: could not prove it on this system: "), "{}", outcome.stderr);
}
