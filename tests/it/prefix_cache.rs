//! Prefixes on disk: whatever is wrong with a file, it is as if there were none.

use std::{
    fs::{self, File, Permissions},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    thread,
    time::{Duration, SystemTime},
};

use cmdai::engine::prefix_cache::PrefixCache;

const MODEL: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const PREFIX: &[u32] = &[1, 2, 3];
const STATE: &[u8] = b"keys and values";
const ROOM: u64 = 64 << 20;

/// A cache in a directory of its own, which is not there yet.
struct Scratch {
    _home: tempfile::TempDir,
    directory: PathBuf,
    cache: PrefixCache,
}

fn scratch() -> Scratch {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("cmdai/prefix");
    let cache = PrefixCache::new(directory.clone(), MODEL, "runtime 1");
    Scratch { _home: home, directory, cache }
}

fn state(cache: &PrefixCache, prefix: &[u32]) -> Option<Vec<u8>> {
    cache.read(prefix).map(|kept| kept.state().to_vec())
}

/// Everything in `directory`, in the order of the names.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn only_file(directory: &Path) -> PathBuf {
    let mut found = files(directory);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn prefix_is_read_back_as_written_and_is_its_owners_alone() {
    let Scratch { directory, cache, .. } = &scratch();
    assert!(state(cache, PREFIX).is_none());
    cache.write(PREFIX, STATE);
    assert_eq!(state(cache, PREFIX).as_deref(), Some(STATE));
    let file = only_file(directory);
    assert!(file.file_name().unwrap().to_str().unwrap().starts_with(MODEL), "{file:?}");
    assert_eq!((mode(&file), mode(directory)), (0o600, 0o700));
    cache.write(PREFIX, b"another state");
    assert_eq!(state(cache, PREFIX).as_deref(), Some(&b"another state"[..]));
}

#[test]
fn file_of_anything_else_under_the_right_name_is_a_miss() {
    let Scratch { directory, cache, .. } = &scratch();
    let other_model = MODEL.replace('0', "9");
    for (model, runtime, prefix) in [
        (other_model.as_str(), "runtime 1", PREFIX),
        (MODEL, "runtime 2", PREFIX),
        (MODEL, "runtime 1", &[1, 2]),
        (MODEL, "runtime 1", &[1, 2, 3, 4]),
        (MODEL, "runtime 1", &[1, 2, 4]),
        (MODEL, "runtime 1", &[]),
    ] {
        let other = PrefixCache::new(directory.clone(), model, runtime);
        cache.write(PREFIX, STATE);
        let file = only_file(directory);
        assert!(state(&other, prefix).is_none());
        fs::remove_file(&file).unwrap();
        other.write(prefix, STATE);
        fs::rename(only_file(directory), &file).unwrap();
        assert!(state(cache, PREFIX).is_none(), "{model} {runtime} {prefix:?}");
        fs::remove_file(&file).unwrap();
    }
}

#[test]
fn any_flipped_bit_and_any_other_length_is_a_miss() {
    let Scratch { directory, cache, .. } = &scratch();
    cache.write(PREFIX, STATE);
    let file = only_file(directory);
    let good = fs::read(&file).unwrap();
    assert!(good.len() < 300, "few enough to try them all");
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        fs::write(&file, bad).unwrap();
        assert!(state(cache, PREFIX).is_none(), "bit {bit}");
    }
    for length in 0..good.len() {
        fs::write(&file, &good[..length]).unwrap();
        assert!(state(cache, PREFIX).is_none(), "{length} bytes");
    }
    fs::write(&file, [&good[..], b"x"].concat()).unwrap();
    assert!(state(cache, PREFIX).is_none(), "a byte more");
    cache.write(PREFIX, STATE);
    assert_eq!(fs::read(&file).unwrap(), good, "written over");
    assert!(state(cache, PREFIX).is_some());
}

#[test]
fn what_is_no_plain_private_file_is_a_miss() {
    let Scratch { directory, cache, .. } = &scratch();
    cache.write(PREFIX, STATE);
    let file = only_file(directory);
    let good = directory.join("good");
    fs::rename(&file, &good).unwrap();

    symlink(&good, &file).unwrap();
    assert!(state(cache, PREFIX).is_none(), "a link");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(state(cache, PREFIX).is_none(), "a directory");
    cache.write(PREFIX, STATE);
    assert_eq!(files(directory), [file.clone(), good.clone()], "no temporary file stays");
    fs::remove_dir(&file).unwrap();
    #[expect(clippy::disallowed_methods, reason = "no call makes a pipe on every system")]
    let made = std::process::Command::new("mkfifo").arg(&file).status().unwrap();
    assert!(made.success());
    assert!(state(cache, PREFIX).is_none(), "a pipe that nobody writes to");
    fs::remove_file(&file).unwrap();
    fs::rename(&good, &file).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o620)).unwrap();
    assert!(state(cache, PREFIX).is_none(), "a file that others can write");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    assert!(state(cache, PREFIX).is_some());
    File::options().write(true).open(&file).unwrap().set_len(1 << 40).unwrap();
    assert!(state(cache, PREFIX).is_none(), "a file larger than memory");
}

#[test]
fn directory_that_cannot_be_had_is_no_error() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("prefix");
    fs::write(&file, "a file").unwrap();
    for directory in [file.clone(), file.join("below"), "/proc/cmdai/prefix".into()] {
        let cache = PrefixCache::new(directory, MODEL, "runtime 1");
        cache.write(PREFIX, STATE);
        assert!(state(&cache, PREFIX).is_none());
    }
    assert_eq!(fs::read(file).unwrap(), b"a file");
}

/// A file of that length, last used so many hours ago.
fn age(path: &Path, length: u64, hours: u64) {
    let file = File::create(path).unwrap();
    file.set_len(length).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(hours * 3600)).unwrap();
}

#[test]
fn files_used_longest_ago_make_room() {
    let Scratch { directory, cache, .. } = &scratch();
    cache.write(PREFIX, STATE);
    let used = only_file(directory);
    let [old, older, leftover] = ["old.state", "older.state", "killed.1.new"].map(|name| directory.join(name));
    age(&old, ROOM / 2, 2);
    age(&older, ROOM / 4, 5);
    age(&leftover, ROOM / 4, 4);
    File::open(&used).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(state(cache, PREFIX).is_some(), "read, and so used now");
    cache.write(&[7], &vec![7; ROOM as usize / 3]);
    assert!(!older.exists() && !leftover.exists(), "the two oldest");
    assert!(old.exists() && used.exists());
    assert_eq!(state(cache, &[7]).unwrap().len(), ROOM as usize / 3);
}

#[test]
fn prefix_larger_than_all_may_be_is_not_written_and_the_latest_never_deleted() {
    let Scratch { directory, cache, .. } = &scratch();
    cache.write(PREFIX, STATE);
    cache.write(&[7], &vec![7; ROOM as usize]);
    only_file(directory);
    let future = directory.join("future.state");
    File::create(&future).unwrap().set_len(ROOM).unwrap();
    File::open(&future).unwrap().set_modified(SystemTime::now() + Duration::from_secs(3600)).unwrap();
    cache.write(PREFIX, STATE);
    assert!(state(cache, PREFIX).is_some() && !future.exists());
}

#[test]
fn reader_beside_writers_sees_a_whole_file_always() {
    let Scratch { directory, cache, .. } = &scratch();
    let states = [vec![1; 200_000], vec![2; 100_000]];
    cache.write(PREFIX, &states[0]);
    thread::scope(|scope| {
        for state in &states {
            scope.spawn(|| (0..100).for_each(|_| cache.write(PREFIX, state)));
        }
        for _ in 0..300 {
            assert!(state(cache, PREFIX).is_some_and(|found| states.contains(&found)));
        }
    });
    only_file(directory);
}
