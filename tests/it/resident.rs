//! A home with a resident server of its own, and a client that speaks the protocol by hand.
//!
//! Whatever a test comes to, no server outlives it: [`Resident`] kills what it finds in /proc.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Read, Write},
    ops::{Deref, DerefMut},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use cmdai::{
    context::Context,
    model::{
        ModelSpec,
        store::{Settings, Store},
    },
    pipeline,
    request::{Request, Shell, Suggestion, Timing},
    server::{
        client::{Client, Fault},
        place::Place,
        protocol::{Ask, Hello, Job, Reply, Status, Target, Task, frame},
    },
};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{CMDAI, Outcome, TestEnv, model, models_dir};

pub(crate) const MODEL: &str = "smollm2-135m";
pub(crate) const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

/// As long as a loaded machine may need for anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request that the small model answers in a few tokens, and its answer.
pub(crate) const SHORT: (&str, &str) = ("remove the folder build", "rm -rf build\n");

/// Folders for whose removal it writes one command each, in a few tokens.
const FOLDERS: [&str; 10] = ["build", "old", "bin", "src", "music", "alpha", "report", "games", "photos", "tests"];

/// Requests whose answers differ.
pub(crate) fn requests() -> impl Iterator<Item = String> + Clone {
    FOLDERS.iter().map(|name| format!("remove the folder {name}"))
}

/// A request that it never comes to an end with: it computes 160 tokens, and then there is no command.
pub(crate) const LONG: &str = "list text files";

pub(crate) struct Resident(TestEnv);

impl Deref for Resident {
    type Target = TestEnv;

    fn deref(&self) -> &TestEnv {
        &self.0
    }
}

impl DerefMut for Resident {
    fn deref_mut(&mut self) -> &mut TestEnv {
        &mut self.0
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        self.kill_servers();
    }
}

impl Resident {
    /// With the small model, and with what all tests compute of its prompts' prefix.
    pub(crate) fn new() -> Self {
        model(FILE);
        let mut env = TestEnv::without_model();
        env.set("CMDAI_MODELS_DIR", models_dir().to_str().expect("a UTF-8 path"));
        env.set("CMDAI_CACHE_DIR", concat!(env!("CARGO_TARGET_TMPDIR"), "/server-cache"));
        env.set("CMDAI_MODEL", MODEL);
        env.set("CMDAI_ENGINE", "llama");
        env.set("CMDAI_THREADS", "1");
        env.set("CMDAI_SERVER", "1");
        // The small model is rarely sure, and what is tested here is not its answers.
        env.set("CMDAI_SECOND_LOOK", "0");
        // Should this process be killed itself.
        env.set("CMDAI_SERVER_IDLE", "3m");
        let run = env.home().join("run");
        fs::create_dir(&run).expect("a directory");
        fs::set_permissions(&run, Permissions::from_mode(0o700)).expect("its owner's");
        env.set("XDG_RUNTIME_DIR", run.to_str().expect("a UTF-8 path"));
        Self(env)
    }

    /// With the server running and the model open.
    pub(crate) fn warm() -> Self {
        let home = Self::new();
        home.answers(SHORT);
        home
    }

    pub(crate) fn place(&self) -> Place {
        Place::new(self.home().join("run/cmdai/server.sock"))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.place().socket().to_owned()
    }

    /// The client's side of the library, in this process.
    pub(crate) fn client(&self) -> Client {
        let command = self.command(CMDAI);
        let text = |text: &std::ffi::OsStr| text.to_str().expect("UTF-8").to_owned();
        let variables = command.get_envs().filter_map(|(name, value)| Some((text(name), text(value?)))).collect();
        Client { place: self.place(), program: CMDAI.into(), variables }
    }

    pub(crate) fn spawn(&self, args: &[&str]) -> Child {
        let mut command = self.command(CMDAI);
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("cmdai runs")
    }

    /// Runs the program; one that hangs fails the test.
    pub(crate) fn ask(&self, args: &[&str]) -> Outcome {
        finish(self.spawn(args))
    }

    /// Asks for something short and gets it.
    pub(crate) fn answers(&self, (words, answer): (&str, &str)) {
        let Outcome { code, stdout, stderr } = self.ask(&[words]);
        assert_eq!((code, stdout.as_str()), (0, answer), "{stderr}");
    }

    pub(crate) fn start(&self) -> Status {
        let outcome = self.ask(&["server", "start"]);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        self.status().expect("it runs")
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let outcome = self.ask(&["server", "status", "--json"]);
        serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{}{}", outcome.stdout, outcome.stderr))
    }

    /// The processes that are this home's server, or about to be.
    pub(crate) fn servers(&self) -> Vec<Pid> {
        let processes = fs::read_dir("/proc").expect("a /proc").flatten();
        let pids = processes.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        pids.filter(|pid| self.is_server(*pid)).collect()
    }

    fn is_server(&self, pid: Pid) -> bool {
        let read = |what: &str| fs::read(proc(pid, what)).unwrap_or_default();
        let home = format!("HOME={}", self.home().display());
        // Of a process that has ended and is not yet missed, both are empty.
        contains(&read("cmdline"), b"server\0run\0") && read("environ").split(|b| *b == 0).any(|v| v == home.as_bytes())
    }

    pub(crate) fn kill_servers(&self) -> usize {
        let servers = self.servers();
        // One that ended meanwhile is as good.
        servers.iter().filter(|pid| kill_process(**pid, Signal::KILL).is_ok()).count()
    }

    /// The one server's process.
    pub(crate) fn server(&self) -> Pid {
        let servers = self.servers();
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers[0]
    }

    /// To the server, and to what runs it.
    pub(crate) fn signal_all(&self, signal: Signal) {
        for pid in self.servers() {
            // One that ended meanwhile is as good.
            let _ = kill_process(pid, signal);
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.server(), signal).expect("it is there");
    }

    pub(crate) fn until_no_server(&self) {
        until("the server to end", || self.servers().is_empty());
    }

    /// What a client sends for `words`.
    pub(crate) fn job(&self, words: &str) -> Job {
        self.job_in(&models_dir(), words)
    }

    /// The same, of the model in another store.
    pub(crate) fn job_in(&self, store: &Path, words: &str) -> Job {
        let settings = Settings {
            dir: store.to_owned(),
            hub_cache: None,
            endpoint: String::new(),
            token: None,
            offline: true,
            python: None,
        };
        let spec = ModelSpec::parse(MODEL).expect("a name of the catalogue");
        let model = Store::new(settings).locate(&spec).expect("a store").expect("a model");
        let request = pipeline::request(words, Context::of(Shell::Bash), 1).expect("words");
        let request = Request { second_look: false, ..request };
        Job {
            task: Task::Suggest(request),
            target: Target { model, engine: "llama.cpp".into(), threads: Some(1), lora: None },
        }
    }
}

/// Has `client` ask for `job`.
pub(crate) fn suggest(client: &Client, job: Job) -> Result<(Vec<Suggestion>, Timing), Fault> {
    let Task::Suggest(request) = job.task else { panic!("{job:?}") };
    client.suggest(request, job.target, &mut |_| {})
}

/// What `child` comes to. One that hangs is killed after [`PATIENCE`], and fails the test.
pub(crate) fn finish(child: Child) -> Outcome {
    let pid = child.id();
    let (ended, end) = mpsc::channel::<()>();
    let watch = thread::spawn(move || {
        let hangs = end.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout);
        if hangs {
            kill(pid);
        }
        hangs
    });
    let outcome = child.wait_with_output().expect("it ends").into();
    drop(ended);
    assert!(!watch.join().expect("a watch"), "cmdai hung");
    outcome
}

pub(crate) fn kill(pid: u32) {
    let pid = Pid::from_raw(pid as i32).expect("a process");
    kill_process(pid, Signal::KILL).expect("it is there");
}

/// One clean line for a person, a hint perhaps, a code, and nothing on stdout.
pub(crate) fn is_clean_failure(Outcome { code, stdout, stderr }: &Outcome) -> bool {
    let lines: Vec<&str> = stderr.lines().collect();
    let hint = lines.get(1).is_none_or(|line| line.starts_with("hint: "));
    *code == 1 && stdout.is_empty() && lines.len() <= 2 && lines[0].starts_with("cmdai: ") && hint
}

pub(crate) fn until(what: &str, found: impl Fn() -> bool) {
    let start = Instant::now();
    while !found() {
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A file of a process, such as `stat`.
pub(crate) fn proc(pid: Pid, what: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(what)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// How often to do a thing: `small`, or what the environment says for a long run by hand.
pub(crate) fn rounds(variable: &str, small: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(small)
}

/// Times to wait, from 0 to `most`, the same in every run.
pub(crate) fn moments(most: Duration) -> impl Iterator<Item = Duration> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        // Knuth's MMIX generator; its upper bits are good.
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        most.mul_f64((state >> 40) as f64 / (1u64 << 24) as f64)
    })
}

/// One end of a connection, by hand.
pub(crate) struct Peer(BufReader<UnixStream>);

impl Peer {
    /// A connection on which nothing was said.
    pub(crate) fn connect(socket: &Path) -> Self {
        Self::of(UnixStream::connect(socket).expect("a server"))
    }

    pub(crate) fn of(stream: UnixStream) -> Self {
        for set in [UnixStream::set_read_timeout, UnixStream::set_write_timeout] {
            set(&stream, Some(PATIENCE)).expect("a timeout");
        }
        Self(BufReader::new(stream))
    }

    /// A connection on which both have said hello.
    pub(crate) fn greeted(socket: &Path) -> Self {
        let mut peer = Self::connect(socket);
        peer.send(frame(&Hello::ours()));
        assert_eq!(peer.frame().expect("a hello"), serde_json::to_string(&Hello::ours()).expect("JSON"));
        peer
    }

    pub(crate) fn stream(&mut self) -> &mut UnixStream {
        self.0.get_mut()
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.get_mut().write_all(bytes.as_ref()).expect("it takes them");
        self
    }

    pub(crate) fn ask(&mut self, ask: &Ask) -> &mut Self {
        self.send(frame(ask))
    }

    /// The JSON of the next frame; none at the end of the stream.
    pub(crate) fn frame(&mut self) -> Option<String> {
        let mut length = String::new();
        match self.0.read_line(&mut length) {
            Ok(0) => return None,
            // Closed with something unread.
            Err(cause) if cause.kind() == std::io::ErrorKind::ConnectionReset => return None,
            outcome => outcome.expect("a length in time"),
        };
        let mut body = vec![0; length.trim_end().parse().expect("a length")];
        self.0.read_exact(&mut body).expect("a whole frame");
        Some(String::from_utf8(body).expect("UTF-8"))
    }

    pub(crate) fn reply(&mut self) -> Reply {
        serde_json::from_str(&self.frame().expect("a reply")).expect("a reply")
    }

    /// The texts and the last reply.
    pub(crate) fn answer(&mut self) -> (Vec<String>, Reply) {
        let mut texts = Vec::new();
        loop {
            match self.reply() {
                Reply::Text(text) => texts.push(text),
                Reply::Waiting => {}
                last => return (texts, last),
            }
        }
    }

    /// Asks for `job` and gets commands.
    pub(crate) fn suggest(&mut self, job: Job) -> (Vec<Suggestion>, Timing) {
        match self.ask(&Ask::Do(Box::new(job))).answer().1 {
            Reply::Done { suggestions, timing } => (suggestions, timing),
            other => panic!("{other:?}"),
        }
    }

    /// Waits for the next piece of text.
    pub(crate) fn until_text(&mut self) {
        while !matches!(self.reply(), Reply::Text(_)) {}
    }

    pub(crate) fn status(&mut self) -> Status {
        match self.ask(&Ask::Status).reply() {
            Reply::Status(status) => status,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the other end closes, with nothing said before.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.frame().is_none()
    }
}
