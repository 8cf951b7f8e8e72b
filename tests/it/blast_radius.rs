//! What a command would touch now: counted on trees that are there, and said where the person reads it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    time::{Duration, Instant},
};

use cmdai::{
    blast_radius::{BlastRadius, Extent, LIMIT, Tally},
    request::Shell,
    safety::assess,
};

use crate::{
    chat::{Chat, Reply},
    support::TestEnv,
};

/// What `command` would touch, `{}` in it being `folder`.
fn radius(command: &str, folder: &Path) -> BlastRadius {
    let command = command.replace("{}", folder.to_str().expect("UTF-8"));
    let touches = assess(&command, Shell::Bash).touches;
    assert!(!touches.is_empty(), "{command}");
    // Time enough for a machine with other work.
    BlastRadius::measure(&touches, Some(folder.to_owned()), Duration::from_secs(60))
}

fn deleted(command: &str, folder: &Path) -> (u64, u64, u64, u64, Extent) {
    let Tally { files, folders, bytes, git_repositories, extent } = radius(command, folder).deleted;
    (files, folders, bytes, git_repositories, extent)
}

fn write(path: impl AsRef<Path>, bytes: usize) {
    fs::create_dir_all(path.as_ref().parent().expect("a folder")).expect("a folder");
    fs::write(path, vec![b'x'; bytes]).expect("a file");
}

fn tree() -> tempfile::TempDir {
    tempfile::tempdir().expect("a scratch directory")
}

#[test]
fn links_are_counted_as_themselves_and_never_followed() {
    let at = tree();
    write(at.path().join("outside/big"), 1000);
    write(at.path().join("t/a"), 10);
    symlink("..", at.path().join("t/up")).unwrap();
    symlink("../outside", at.path().join("t/out")).unwrap();
    symlink("nowhere", at.path().join("t/broken")).unwrap();
    symlink("t", at.path().join("link")).unwrap();
    assert_eq!(deleted("rm -r {}/t", at.path()), (4, 1, 10, 0, Extent::All));
    assert_eq!(deleted("rm -r {}/link", at.path()), (1, 0, 0, 0, Extent::All));
    assert_eq!(deleted("rm -r {}/link/", at.path()), (0, 0, 0, 0, Extent::All));
    assert_eq!(deleted("find {}/link -delete", at.path()), (1, 0, 0, 0, Extent::All));
}

#[test]
fn no_entry_is_opened_so_that_a_fifo_does_not_block() {
    let at = tree();
    #[expect(clippy::disallowed_methods, reason = "macOS has no mknodat")]
    let made = std::process::Command::new("mkfifo").arg(at.path().join("fifo")).status();
    assert!(made.unwrap().success());
    assert_eq!(deleted("rm -r {}/fifo", at.path()), (1, 0, 0, 0, Extent::All));
    assert_eq!(deleted("find {} -type p -delete", at.path()).0, 1);
    // Nobody's content goes with what is written into a pipe.
    assert_eq!(radius("echo x > {}/fifo", at.path()), BlastRadius::default());
}

#[test]
fn size_is_the_length_and_a_file_with_two_names_has_it_once() {
    let at = tree();
    fs::File::create(at.path().join("sparse")).unwrap().set_len(5_000_000_000).unwrap();
    write(at.path().join("one"), 700);
    fs::hard_link(at.path().join("one"), at.path().join("two")).unwrap();
    assert_eq!(deleted("rm {}/*", at.path()), (3, 0, 5_000_000_700, 0, Extent::All));
}

#[test]
fn repositories_are_counted_where_they_lose_their_git() {
    let at = tree();
    for repository in ["p", "p/inner", "q"] {
        write(at.path().join(repository).join(".git/HEAD"), 5);
        write(at.path().join(repository).join("src"), 1);
    }
    write(at.path().join("p/module/.git"), 20);
    fs::create_dir(at.path().join("p/.git/refs")).unwrap();
    for (command, repositories) in [
        ("rm -rf {}/p", 3),
        ("rm -rf {}/*", 4),
        ("rm -rf {}/q/.git", 1),
        ("rm -rf {}/q/*", 0),
        ("rm {}/q/.git/HEAD", 1),
        ("find {} -type f -delete", 4),
        ("find {} -name src -delete", 0),
    ] {
        assert_eq!(deleted(command, at.path()).3, repositories, "{command}");
    }
}

#[test]
fn names_are_bytes() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let at = tree();
    for name in [&b"a\nb.txt"[..], b"\xff\xfe.txt", b"-r.txt", b"*.txt", b" .txt"] {
        fs::write(at.path().join(OsStr::from_bytes(name)), "12").unwrap();
    }
    assert_eq!(deleted("rm {}/*.txt", at.path()), (5, 0, 10, 0, Extent::All));
    assert_eq!(deleted("rm {}/'*.txt'", at.path()), (1, 0, 2, 0, Extent::All));
    assert_eq!(deleted("rm {}/???txt", at.path()).0, 2);
    assert_eq!(deleted("find {} -name '*.txt' -delete", at.path()).0, 5);
}

#[test]
fn what_cannot_be_read_makes_it_at_least() {
    let at = tree();
    write(at.path().join("t/a"), 10);
    // A path too long for the system is one that even root cannot read.
    let name = "d".repeat(250);
    let mut folder = fs::File::open(at.path().join("t")).map(std::os::fd::OwnedFd::from).unwrap();
    for _ in 0..20 {
        rustix::fs::mkdirat(&folder, &name, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        folder = rustix::fs::openat(&folder, &name, rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    assert_eq!(deleted("rm -r {}/t", at.path()).4, Extent::AtLeast);
    assert_eq!(deleted("rm -r {}/t/a $X", at.path()), (1, 0, 10, 0, Extent::AtLeast));
}

#[test]
fn two_names_of_one_thing_count_once() {
    let at = tree();
    write(at.path().join("t/a"), 10);
    write(at.path().join("t/b"), 20);
    for command in
        ["rm -r {}/t {}/t/a {}/t/", "rm {}/t/a; rm -r {}/t", "cd {} && rm -r ./t t", "rm -r {}/t && rm -r ~/t"]
    {
        assert_eq!(deleted(command, at.path()), (2, 1, 30, 0, Extent::All), "{command}");
    }
}

#[test]
fn a_directory_that_is_not_there_to_change_into_leaves_nothing_to_say() {
    let at = tree();
    write(at.path().join("a"), 10);
    assert_eq!(radius("cd {}/nowhere; rm -rf *", at.path()).behind(""), None);
    assert_eq!(radius("cd {} && rm a", at.path()).behind("").unwrap(), "deletes 1 file, 10 bytes");
}

#[test]
fn nothing_there_is_said_of_deletions_and_moves_alone() {
    let at = tree();
    write(at.path().join("a"), 10);
    fs::create_dir(at.path().join("d")).unwrap();
    for command in ["rm -rf {}/x", "rm {}/*.o", "mv {}/x {}/y", "find {} -name '*.o' -delete"] {
        assert_eq!(radius(command, at.path()).behind("").as_deref(), Some("nothing there now"), "{command}");
    }
    for command in ["echo > {}/x", "cp {}/a {}/x", "rm {}/d", "rm {}/x $Y", "rm -rf {}/."] {
        assert_eq!(radius(command, at.path()).behind(""), None, "{command}");
    }
}

#[test]
fn overwriting_counts_what_is_there_now() {
    let at = tree();
    for (name, bytes) in [("a", 10), ("b", 200), ("d/a", 3000), ("s/x/one", 1), ("s/x/two", 2), ("t/s/x/two", 4000)] {
        write(at.path().join(name), bytes);
    }
    symlink("b", at.path().join("to-b")).unwrap();
    for (command, files, bytes) in [
        ("echo > {}/b", 1, 200),
        ("echo > {}/to-b", 1, 200),
        ("echo > {}/d", 0, 0),
        ("cp {}/a {}/b", 1, 200),
        ("cp {}/a {}/a", 0, 0),
        ("cp {}/a {}/b {}/d", 1, 3000),
        ("cp -n {}/a {}/b", 0, 0),
        ("cp -r {}/s {}/t", 1, 4000),
        ("cp -r {}/s/. {}/t/s", 1, 4000),
        ("ln -sf {}/a {}/to-b", 1, 0),
        ("ln -sf {}/a {}/d", 1, 3000),
        ("sed -i s/a/b/ {}/?", 2, 210),
    ] {
        let Tally { files: got, bytes: size, .. } = radius(command, at.path()).overwritten;
        assert_eq!((got, size), (files, bytes), "{command}");
    }
}

#[test]
fn a_count_without_end_is_cut_and_says_so() {
    let at = tree();
    for n in 0..50_000u32 {
        let folder = at.path().join(format!("{}", n / 2000));
        if n % 2000 == 0 {
            fs::create_dir(&folder).unwrap();
        }
        fs::File::create(folder.join(n.to_string())).unwrap();
    }
    let command = format!("rm -r {}", at.path().display());
    let touches = assess(&command, Shell::Bash).touches;
    let start = Instant::now();
    let radius = BlastRadius::measure(&touches, None, Duration::from_millis(4));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(radius.deleted.extent, Extent::MoreThan);
    let words = radius.behind("").unwrap();
    assert!(words.starts_with("deletes more than "), "{words}");
    assert_eq!(deleted(&command, at.path()).0, 50_000);
    assert_eq!(LIMIT, Duration::from_millis(100));
}

/// A home whose engine gives these answers, one after the other.
fn answering(answers: &[&str]) -> (Chat, TestEnv) {
    let chat = Chat::start(answers.iter().map(|answer| Reply::says(&[answer])));
    let mut env = TestEnv::without_model();
    env.set("CMDAI_REMOTE_URL", &chat.url);
    env.set("CMDAI_ENGINE", "remote");
    for n in 0..1284 {
        write(env.home().join(format!("work/{}/{n}", n % 7)), 1000);
    }
    write(env.home().join("work/.git/HEAD"), 0);
    (chat, env)
}

const NUMBERS: &str = "1,285 files, 1.3 MB, 1 git repository";

#[test]
fn widget_says_it_behind_the_reason() {
    let (_chat, env) =
        answering(&["rm -rf work", "ls -l", "sort a > work/1/1", "cd work && rm -rf nowhere", "rm -r $X"]);
    let ask = || env.run_with_stdin(&["widget", "--shell", "bash"], b"x").stdout;
    assert_eq!(ask(), format!("0\ncaution: deletes a directory of the project ({NUMBERS})\nrm -rf work"));
    assert_eq!(ask(), "0\nsafe\nls -l");
    assert_eq!(ask(), "0\nsafe: overwrites 1 file, 1.0 kB\nsort a > work/1/1");
    assert!(ask().contains(" (nothing there now)\n"));
    assert!(!ask().contains("file"));
    assert!(env.home().join("work/1/1").exists());
}

#[test]
fn suggest_and_its_explanation_and_its_json_say_it() {
    let (_chat, env) = answering(&["sudo rm -rf work", "rm -rf work", "mv work/1 work/2"]);
    let outcome = env.run(&["suggest", "--shell", "bash", "--explain", "x by sudo"]);
    assert!(
        outcome.stderr.starts_with(&format!("caution: runs as administrator (deletes {NUMBERS})\n")),
        "{}",
        outcome.stderr
    );
    assert_eq!(outcome.stdout, "sudo rm -rf work\n");
    let object: serde_json::Value =
        serde_json::from_str(&env.run(&["suggest", "--shell", "bash", "--json", "x"]).stdout).unwrap();
    let radius = &object["blast_radius"]["deleted"];
    assert_eq!(
        (&radius["files"], &radius["bytes"], &radius["git_repositories"], &radius["extent"]),
        (&1285.into(), &1_284_000.into(), &1.into(), &"all".into())
    );
    let outcome = env.run(&["suggest", "--shell", "bash", "x"]);
    assert!(
        outcome.stderr.starts_with("caution: moves files, and may overwrite others (184 files, 184 kB)\n"),
        "{}",
        outcome.stderr
    );
}
