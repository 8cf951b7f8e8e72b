//! The count against the deed: random trees and random commands, run by bash in a directory that is thrown away.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cmdai::{
    blast_radius::{BlastRadius, Extent},
    request::Shell,
    safety::assess,
};

use crate::support::{Random, TestEnv};

const NAMES: &[&str] = &["a", "b", "ab", "x.c", "y.c", ".h", "o d", "[a]", "*"];

/// Makes a small tree: files of different sizes, links, folders in folders.
fn grow(folder: &Path, random: &mut Random, depth: usize) {
    for _ in 0..1 + random.below(5) {
        let path = folder.join(random.one(NAMES));
        if path.symlink_metadata().is_ok() {
            continue;
        }
        match random.below(if depth < 3 { 6 } else { 4 }) {
            0 => std::os::unix::fs::symlink(random.one(NAMES), path).unwrap(),
            1..4 => fs::write(path, vec![b'x'; random.below(3) * 600]).unwrap(),
            _ => {
                fs::create_dir(&path).unwrap();
                if random.below(4) > 0 {
                    grow(&path, random, depth + 1);
                }
            }
        }
    }
}

/// A path or pattern that often names something.
fn path(random: &mut Random) -> String {
    const WORDS: &[&str] =
        &["a", "b", "ab", "*.c", "?", "*", "'*'", "\"o d\"", "[ab]", "{a,b}", ".h", "./a", "\\[a\\]", "[!a]*", ".*"];
    let mut path = random.one(WORDS).to_owned();
    while random.below(3) == 0 {
        path = format!("{path}/{}", random.one(WORDS));
    }
    path
}

fn command(random: &mut Random) -> String {
    const TESTS: &[&str] = &[
        "-name '*.c'",
        "-name 'a*'",
        "-type f",
        "-type d",
        "-type l",
        "-empty",
        "-size +1k",
        "-size 0",
        "! -name '*.c'",
        "-maxdepth 2",
        "-mindepth 2",
        "-iname 'A'",
        "-path '*/a/*'",
        "-mtime +1",
        "-mmin -9",
    ];
    let (one, two) = (path(random), path(random));
    let (test, other) = (random.one(TESTS), random.one(TESTS));
    let root = if random.below(2) == 0 { ".".to_owned() } else { one.clone() };
    match random.below(12) {
        0 | 1 => format!("rm -rf {one} {two}"),
        2 => format!("rm -f {one}"),
        3 => format!("rm -d {one} {two}"),
        4 => format!("rmdir {one} {two}"),
        5 => format!("cd a && rm -rf {one}"),
        6 => format!("mv {one} {two}"),
        7 => format!("mv {} {one} b", random.one(&["-f", "-n", "-T"])),
        8 => format!("find {root} {test} {other} -delete"),
        9 => format!("find {root} {test} {other} -exec rm {{}} +"),
        10 => format!("find {root} {test} -exec rm -rf {{}} +"),
        _ => format!("for f in {one}; do rm -r \"$f\"; done"),
    }
}

/// An entry of a tree: its path, whether it is a directory, its inode and, of a regular file, its size.
type Entry = (PathBuf, bool, u64, u64);

/// Every entry below `folder`.
fn entries(folder: &Path) -> BTreeSet<Entry> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let (path, entry) = (entry.as_ref().unwrap().path(), entry.as_ref().unwrap().metadata().unwrap());
            if entry.is_dir() {
                folders.push(path.clone());
            }
            found.insert((path, entry.is_dir(), entry.ino(), if entry.is_file() { entry.len() } else { 0 }));
        }
    }
    found
}

/// Files, directories and bytes.
fn sums(entries: &[&Entry]) -> (u64, u64, u64) {
    let folders = entries.iter().filter(|entry| entry.1).count() as u64;
    (entries.len() as u64 - folders, folders, entries.iter().map(|entry| entry.3).sum())
}

#[test]
fn count_is_what_disappears_when_bash_runs_it() {
    let env = TestEnv::without_model();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut exact, mut reached) = (0, 0);
    for round in 0..1500 {
        let at = env.home().join(round.to_string());
        fs::create_dir(&at).unwrap();
        grow(&at, &mut random, 0);
        let (before, command) = (entries(&at), command(&mut random));
        let line = format!("cd {} && {command}", at.display());
        let touches = assess(&line, Shell::Bash).touches;
        let radius = BlastRadius::measure(&touches, None, Duration::from_secs(60));
        env.command("bash").args(["-c", &line]).stderr(Stdio::null()).status().expect("bash runs");
        let after = entries(&at);
        let inodes: BTreeSet<u64> = after.iter().map(|entry| entry.2).collect();
        // What moved is gone from its path and there under another; what was overwritten is nowhere.
        let (moved, lost): (Vec<&Entry>, Vec<&Entry>) =
            before.difference(&after).partition(|entry| inodes.contains(&entry.2));
        let (moved, lost) = (sums(&moved), sums(&lost));
        let BlastRadius { deleted, overwritten, .. } = radius;
        let files = deleted.files + overwritten.files;
        if [deleted, radius.moved, overwritten].iter().any(|tally| tally.extent != Extent::All) {
            assert!(files <= lost.0, "{line}: {radius:?} but {lost:?}");
        } else if !touches.is_empty() {
            // A directory that a moved one takes the place of is none that was deleted.
            let folders = if command.starts_with("mv") { lost.1 } else { deleted.folders };
            assert_eq!((files, folders, deleted.bytes + overwritten.bytes), lost, "{line}: {before:#?} {radius:?}");
            assert_eq!(radius.moved.files, moved.0, "{line}: {before:#?} {radius:?}");
            exact += 1;
            reached += usize::from(lost.0 + moved.0 > 0);
        }
    }
    assert!(exact > 1000 && reached > 300, "{exact} exact, {reached} of them did something");
}
