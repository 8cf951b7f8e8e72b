//! Downloads that need a process of their own: killed ones, small disks, proxies, certificates.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::mpsc::channel,
    thread,
    time::{Duration, Instant},
};

use crate::{
    hub::{Hub, Trick, tiny_gguf},
    pull::{FILE, Home, MIB, SPEC},
    support::Random,
};

/// `cmdai model pull` as a process of its own, by way of `launcher` if there is one.
#[expect(clippy::disallowed_methods, reason = "the tests run the program, and unshare to give it a small disk")]
fn start_pull(home: &Home, launcher: &[&str]) -> Child {
    let program = env!("CARGO_BIN_EXE_cmdai");
    let words = [launcher, &[program, "model", "pull", SPEC]].concat();
    Command::new(words[0])
        .args(&words[1..])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", home.dir.path())
        .env("CMDAI_MODELS_DIR", &home.settings.dir)
        .env("HF_ENDPOINT", &home.settings.endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|cause| panic!("could not start {}: {cause}", words[0]))
}

/// Waits until the child's stderr says `word`.
fn wait_for(child: &mut Child, word: &str) -> BufReader<std::process::ChildStderr> {
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut all = String::new();
    while !all.contains(word) {
        assert!(lines.read_line(&mut all).unwrap() > 0, "{word:?} never came: {all}");
    }
    lines
}

#[test]
fn pull_killed_half_way_goes_on_from_there() {
    let body = tiny_gguf(4 * MIB);
    let hub = Hub::start(&body);
    let (_go, word) = channel();
    hub.on_body([Trick::Hold(2 * MIB, word)]);
    let home = Home::new(&hub.url);
    let mut child = start_pull(&home, &[]);
    wait_for(&mut child, "(50 %)");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(home.holds_no_model());
    let output = start_pull(&home, &[]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{}\n", home.settings.dir.join(FILE).display()));
    assert_eq!(fs::read(home.settings.dir.join(FILE)).unwrap(), body);
    let sent = hub.state().sent;
    assert!(sent <= body.len() + body.len() / 50, "{sent} bytes were sent for a file of {}", body.len());
}

/// A launcher that gives the program a mount namespace in which `dir` is a tmpfs of its own.
#[cfg(target_os = "linux")]
fn on_tmpfs(options: &str, dir: &std::path::Path) -> Vec<String> {
    fs::create_dir_all(dir).unwrap();
    let mount = format!("mount -t tmpfs -o {options} none '{}' && exec \"$@\"", dir.display());
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let words = [&["unshare"], user, &["--mount", "sh", "-c", &mount, "sh"]].concat();
    words.into_iter().map(str::to_owned).collect()
}

#[cfg(target_os = "linux")]
fn start_pull_on_tmpfs(home: &Home, options: &str) -> Child {
    let launcher = on_tmpfs(options, &home.settings.dir);
    start_pull(home, &launcher.iter().map(String::as_str).collect::<Vec<_>>())
}

#[cfg(target_os = "linux")]
fn complaint(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
#[cfg(target_os = "linux")]
fn full_disk_is_told_before_the_download() {
    let hub = Hub::start(&tiny_gguf(4 * MIB));
    let home = Home::new(&hub.url);
    let said = complaint(start_pull_on_tmpfs(&home, "size=2m"));
    assert!(said.contains("not enough free disk space (needed 4.1 MB, free 2.0 MB)"), "{said}");
    assert_eq!(hub.state().sent, 0);
}

#[test]
#[cfg(target_os = "linux")]
fn disk_that_fills_up_half_way_keeps_what_came() {
    let hub = Hub::start(&tiny_gguf(4 * MIB));
    let (go, word) = channel();
    hub.on_body([Trick::Hold(2 * MIB, word)]);
    let home = Home::new(&hub.url);
    let mut child = start_pull_on_tmpfs(&home, "size=12m");
    let mut rest = wait_for(&mut child, "(50 %)");
    let inside = PathBuf::from(format!("/proc/{}/root{}", child.id(), home.settings.dir.display()));
    // Until nothing more goes in.
    let _ = fs::write(inside.join("filler"), vec![0; 16 * MIB]);
    go.send(()).unwrap();
    let mut said = String::new();
    std::io::Read::read_to_string(&mut rest, &mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(said.contains("No space left on device") && said.contains("goes on from where it stopped"), "{said}");
}

#[test]
#[cfg(target_os = "linux")]
fn store_that_cannot_be_written_is_named() {
    let hub = Hub::start(&tiny_gguf(MIB));
    let home = Home::new(&hub.url);
    let said = complaint(start_pull_on_tmpfs(&home, "ro,mode=700"));
    assert!(said.contains(home.settings.dir.to_str().unwrap()) && said.contains("Read-only file system"), "{said}");
    assert_eq!(hub.state().sent, 0);
}

#[test]
fn proxy_of_the_environment_is_used() {
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body);
    let home = Home::new("http://hub.invalid");
    let output = start_pull(&home, &["env", &format!("http_proxy={}", hub.url)]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(home.settings.dir.join(FILE)).unwrap(), body);
}

/// A TLS end in front of a hub, whose certificate is for `localhost`.
#[cfg(target_os = "linux")]
struct Tls {
    front: Child,
    port: String,
    dir: tempfile::TempDir,
}

/// Makes an authority, and a certificate by it: `req -x509` of Debian 12's openssl sets no dates, `ca` does.
#[cfg(target_os = "linux")]
const CERTIFICATES: &str = r"
    new='openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes' &&
    $new -x509 -days 2 -subj '/CN=A test authority' -keyout ca.key -out ca.pem &&
    $new -subj /CN=localhost -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=DNS:localhost \
        -keyout key.pem -out request.pem &&
    printf '[ca]\ndefault_ca=x\n[x]\ndatabase=index\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n' >ca.cnf &&
    printf 'policy=p\ncopy_extensions=copy\n[p]\ncommonName=supplied\n' >>ca.cnf &&
    : >index && echo 01 >serial &&
    openssl ca -batch -notext -config ca.cnf -cert ca.pem -keyfile ca.key -in request.pem -out cert.pem ";

#[cfg(target_os = "linux")]
const VALID: &str = "-days 2";
#[cfg(target_os = "linux")]
const EXPIRED: &str = "-startdate 20200101000000Z -enddate 20200201000000Z";

#[cfg(target_os = "linux")]
impl Tls {
    #[expect(clippy::disallowed_methods, reason = "openssl makes the certificates, python3 serves them")]
    fn start(hub: &Hub, dates: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        run(Command::new("sh").args(["-c", &format!("{CERTIFICATES}{dates}")]).current_dir(dir.path()));
        let port = hub.url.rsplit(':').next().unwrap();
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tls-front.py");
        let mut front = Command::new("python3")
            .args([script, "cert.pem", "key.pem", port])
            .current_dir(dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs: tests/run gets it");
        let mut port = String::new();
        BufReader::new(front.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { front, port: port.trim().to_owned(), dir }
    }

    /// A pull through it by a machine that trusts its authority.
    fn trusted_pull(&self, home: &Home) -> Child {
        start_pull(home, &["env", &format!("SSL_CERT_FILE={}", self.dir.path().join("ca.pem").display())])
    }
}

#[cfg(target_os = "linux")]
impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.front.kill();
        let _ = self.front.wait();
    }
}

#[cfg(target_os = "linux")]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg(target_os = "linux")]
fn authority_of_the_environment_is_trusted_and_a_strange_one_is_not() {
    let body = tiny_gguf(MIB);
    let hub = Hub::start(&body);
    hub.state().cdn = "/cdn/blob".into(); // its own address is not https
    let tls = Tls::start(&hub, VALID);
    let home = Home::new(&format!("https://localhost:{}", tls.port));
    let said = complaint(start_pull(&home, &[]));
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(hub.state().sent, 0);
    let output = tls.trusted_pull(&home).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(home.settings.dir.join(FILE)).unwrap(), body);
}

#[test]
#[cfg(target_os = "linux")]
fn certificate_for_another_name_and_one_that_has_expired_are_refused() {
    let hub = Hub::start(&tiny_gguf(MIB));
    for (dates, host, why) in [(VALID, "127.0.0.1", "not valid for name"), (EXPIRED, "localhost", "expired")] {
        let tls = Tls::start(&hub, dates);
        let home = Home::new(&format!("https://{host}:{}", tls.port));
        let said = complaint(tls.trusted_pull(&home));
        assert!(said.contains("certificate") && said.contains(why), "{said}");
        assert!(home.holds_no_model());
    }
    assert_eq!(hub.seen().len(), 0);
}

#[test]
#[cfg(target_os = "linux")]
fn redirect_from_https_to_http_is_refused() {
    let hub = Hub::start(&tiny_gguf(MIB));
    let tls = Tls::start(&hub, VALID);
    let home = Home::new(&format!("https://localhost:{}", tls.port));
    let said = complaint(tls.trusted_pull(&home));
    assert!(said.contains("redirects from https to http"), "{said}");
    assert_eq!(hub.state().sent, 0);
}

/// 40 kills at any moment of a pull, or as many as `CMDAI_TEST_KILLS` says.
#[test]
fn pulls_killed_at_random_accept_nothing_bad_and_fetch_nothing_twice() {
    let kills = std::env::var("CMDAI_TEST_KILLS").map_or(40, |kills| kills.parse().expect("a number"));
    let body = tiny_gguf(16 * MIB);
    let started = Instant::now();
    let whole = one_pull(&body, None);
    assert_eq!((whole.sent, whole.killed_with), (body.len(), 0));
    let time = started.elapsed().as_micros() as u64;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut sent, mut halves) = (0, 0);
    for _ in 0..kills {
        let pull = one_pull(&body, Some(Duration::from_micros(random.below(time as usize) as u64)));
        sent += pull.sent;
        halves += usize::from(pull.killed_with > 0 && pull.killed_with < body.len());
    }
    let twice = sent as f64 / (kills * body.len()) as f64 - 1.0;
    eprintln!("{kills} kills, {halves} with a part on the disk; sent twice: {:.2} %", twice * 100.0);
    assert!(halves > 0, "no kill met a download");
}

/// What came of a pull that was killed and then let run.
struct Pulled {
    sent: usize,
    /// Bytes on the disk at the kill.
    killed_with: usize,
}

fn one_pull(body: &[u8], kill: Option<Duration>) -> Pulled {
    let hub = Hub::start(body);
    let home = Home::new(&hub.url);
    let file = home.settings.dir.join(FILE);
    let mut killed_with = 0;
    if let Some(after) = kill {
        let mut child = start_pull(&home, &[]);
        // The moment of the kill is what is tried: no event marks it.
        thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!file.exists() || fs::read(&file).unwrap() == body, "a bad file was given its name");
        killed_with = home.partials().first().map_or(0, |partial| fs::metadata(partial).unwrap().len() as usize);
    }
    let before = hub.starts().len();
    let output = start_pull(&home, &[]).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::read(&file).unwrap() == body);
    assert_eq!(home.partials(), Vec::<PathBuf>::new());
    if let Some(resumed) = hub.starts().get(before) {
        let wanted = if killed_with == 0 { String::new() } else { format!("bytes={killed_with}-") };
        assert_eq!(*resumed, wanted, "what was on the disk is not fetched again");
    }
    let sent = hub.state().sent;
    Pulled { sent, killed_with }
}
