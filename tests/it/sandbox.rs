//! What a confined process can and cannot do, tried by this binary itself: a test starts it again, with the part to play
//! in a variable, because there is no way out of a sandbox.

use std::{
    env, fs,
    io::{self, ErrorKind},
    net::TcpStream,
    os::{
        fd::AsRawFd,
        unix::{
            fs::symlink,
            net::{UnixListener, UnixStream},
        },
    },
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use cmdai::server::sandbox::{self, Files, Sandbox};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket, socket_with};

use crate::support::Outcome;

const PART: &str = "CMDAI_TEST_PART";

/// The part that this process plays, if it was started again.
fn part() -> Option<String> {
    env::var(PART).ok()
}

/// Starts this binary again for `test` alone.
fn play(test: &str, part: &str) -> Outcome {
    #[expect(clippy::disallowed_methods, reason = "a test starts itself")]
    let mut command = Command::new(env::current_exe().expect("this binary"));
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(PART, part);
    command.output().expect("it runs").into()
}

/// Whether this process is one for `test` alone, which may confine itself; else has one run it, to its good end.
fn is_apart(test: &str) -> bool {
    if part().is_some() {
        return true;
    }
    let outcome = play(test, "confined");
    assert_eq!(outcome.code, 0, "{}{}", outcome.stdout, outcome.stderr);
    false
}

fn spawn_true() -> io::Error {
    #[expect(clippy::disallowed_methods, reason = "it is not to start")]
    Command::new("/bin/true").spawn().expect_err("a program")
}

fn is_refused<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|cause| cause.kind() == ErrorKind::PermissionDenied)
}

/// A call made by its number, and why it failed.
fn call(number: i64, argument: i64) -> Option<i32> {
    // SAFETY: the calls tried here take no pointers, or only null ones.
    let outcome = unsafe { libc::syscall(number, argument, 0, 0) };
    if outcome < 0 { io::Error::last_os_error().raw_os_error() } else { None }
}

#[test]
fn confined_process_opens_no_socket_and_starts_no_program() {
    if !is_apart("sandbox::confined_process_opens_no_socket_and_starts_no_program") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a socket");
    let before = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::empty(), None).expect("a socket");
    let visitor = UnixStream::connect(&path).expect("a connection");
    assert!(sandbox::enter(&[], home.path()).calls);

    for family in [AddressFamily::UNIX, AddressFamily::INET, AddressFamily::INET6, AddressFamily::NETLINK] {
        assert_eq!(socket(family, SocketType::STREAM, None).err(), Some(rustix::io::Errno::PERM), "{family:?}");
    }
    let address = SocketAddrUnix::new(&path).expect("an address");
    assert_eq!(connect(&before, &address).err(), Some(rustix::io::Errno::PERM));
    assert!(is_refused(TcpStream::connect("127.0.0.1:9")));
    assert_eq!(spawn_true().kind(), ErrorKind::PermissionDenied);
    for number in [libc::SYS_io_uring_setup, libc::SYS_ptrace, libc::SYS_pidfd_getfd, libc::SYS_execveat] {
        assert_eq!(call(number, 0), Some(libc::EPERM), "{number}");
    }
    assert_eq!(call(libc::SYS_clone, 0), Some(libc::EPERM), "a process");
    #[cfg(target_arch = "x86_64")]
    for number in [libc::SYS_fork, 0x4000_0000 | libc::SYS_socket, 0x4000_0000 | 520] {
        assert_eq!(call(number, 0), Some(libc::EPERM), "{number}");
    }

    // And what a server lives by goes on.
    assert!(listener.accept().is_ok() && UnixStream::pair().is_ok());
    assert!(visitor.as_raw_fd() > 0);
    let status = thread::spawn(|| fs::read_to_string("/proc/thread-self/status")).join().expect("a thread");
    let status = status.expect("a status");
    assert!(status.contains("NoNewPrivs:\t1\n") && status.contains("Seccomp:\t2\n"), "{status}");
}

#[test]
fn confined_process_writes_to_its_cache_only_and_reads_everything() {
    if !is_apart("sandbox::confined_process_writes_to_its_cache_only_and_reads_everything") {
        return;
    }
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name);
    for folder in ["cache", "place", "home"] {
        fs::create_dir(at(folder)).expect("a directory");
    }
    for file in ["place/socket", "home/file", "home/other"] {
        fs::write(at(file), "precious").expect("a file");
    }
    let missing: PathBuf = at("missing");
    let sandbox = sandbox::enter(&[at("cache"), missing], &at("place"));
    assert_eq!(sandbox, Sandbox { calls: true, files: Files::Refused });

    fs::write(at("cache/new"), "state").expect("a file");
    fs::rename(at("cache/new"), at("cache/state")).expect("its name");
    fs::remove_file(at("cache/state")).expect("it goes");
    fs::remove_file(at("place/socket")).expect("it goes");
    assert_eq!(fs::read_to_string(at("home/file")).expect("a file"), "precious");

    assert!(is_refused(fs::write(at("place/new"), "x")));
    assert!(is_refused(fs::write(at("home/new"), "x")) && is_refused(fs::write(at("home/file"), "x")));
    assert!(is_refused(fs::File::options().append(true).open(at("home/file"))));
    assert!(is_refused(fs::create_dir(at("home/folder"))) && is_refused(symlink("/", at("home/link"))));
    assert!(is_refused(fs::remove_file(at("home/file"))) && is_refused(fs::remove_dir(at("home"))));
    for (from, to) in [("home/file", "home/other"), ("home/file", "cache/file")] {
        assert!(fs::rename(at(from), at(to)).is_err() && fs::hard_link(at(from), at(&format!("{to}2"))).is_err());
    }
    assert!(is_refused(rustix_truncate(&at("home/file"))));
    assert_eq!(fs::read_to_string(at("home/file")).expect("a file"), "precious");
}

fn rustix_truncate(path: &Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.to_str().expect("UTF-8")).expect("a path");
    // SAFETY: the path ends as C wants it to.
    if unsafe { libc::truncate(path.as_ptr(), 0) } == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn watched_process_ends_at_its_first_socket_to_elsewhere_or_program() {
    let test = "sandbox::watched_process_ends_at_its_first_socket_to_elsewhere_or_program";
    match part().as_deref() {
        None => {
            let outcome = play(test, "internet");
            assert_eq!(outcome.code, 1, "{}", outcome.stderr);
            assert!(outcome.stderr.ends_with("it tried\n"), "{}", outcome.stderr);
            assert_eq!(play(test, "program").code, -1, "killed by the signal");
            assert_eq!(play(test, "local").code, 0);
        }
        Some(tried) => {
            sandbox::watch("it tried\n").expect("this system can");
            match tried {
                "internet" => drop(TcpStream::connect("127.0.0.1:9")),
                "program" => drop(spawn_true()),
                _ => assert_eq!(UnixStream::connect("/nowhere").expect_err("nobody").kind(), ErrorKind::NotFound),
            }
        }
    }
}
