//! A server that speaks cmdai's protocol and answers as a test says, for the real program as its client.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use cmdai::{
    error::Error,
    request::{Meaning, Request, Suggestion, Timing},
    safety,
    server::protocol::{Ask, Hello, Job, Reply, Task, frame},
};

/// The listening server; it ends with the test's process.
pub(crate) struct Scripted(Arc<(Mutex<Script>, Condvar)>);

#[derive(Default)]
struct Script {
    held: bool,
    answers: Vec<String>,
    refusal: Option<String>,
    asked: Vec<String>,
    answered: usize,
}

impl Scripted {
    /// Listens where a program with this `XDG_RUNTIME_DIR`, made here, looks for its server.
    pub(crate) fn start(runtime_dir: &Path) -> Self {
        let socket = socket(runtime_dir);
        let folder = socket.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder");
        for folder in [runtime_dir, folder] {
            fs::set_permissions(folder, Permissions::from_mode(0o700)).expect("its owner's");
        }
        let listener = UnixListener::bind(socket).expect("a socket");
        let script = Arc::<(Mutex<Script>, Condvar)>::default();
        let shared = Arc::clone(&script);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let script = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &script));
            }
        });
        Self(script)
    }

    /// Answers everything with these candidates from now on.
    pub(crate) fn answers(&self, candidates: &[&str]) -> &Self {
        let mut script = self.script();
        (script.answers, script.refusal) = (candidates.iter().map(|text| (*text).to_owned()).collect(), None);
        drop(script);
        self
    }

    /// Refuses everything for this reason from now on.
    pub(crate) fn refuses(&self, reason: &str) -> &Self {
        self.script().refusal = Some(reason.to_owned());
        self
    }

    /// Lets requests wait until [`Scripted::release`].
    pub(crate) fn hold(&self) -> &Self {
        self.script().held = true;
        self
    }

    pub(crate) fn release(&self) -> &Self {
        self.script().held = false;
        self.0.1.notify_all();
        self
    }

    /// All requests so far: the words, behind `COMMAND <- ` where they change one, or `explain COMMAND`.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script().asked.clone()
    }

    /// Requests that got their answer, whether anybody was left to read it or not.
    pub(crate) fn answered(&self) -> usize {
        self.script().answered
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.0.lock().expect("no thread has failed")
    }
}

pub(crate) fn socket(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("cmdai/server.sock")
}

fn serve(stream: UnixStream, script: &(Mutex<Script>, Condvar)) -> Option<()> {
    let mut to = stream.try_clone().ok()?;
    let mut from = BufReader::new(stream);
    read(&mut from)?;
    to.write_all(frame(&Hello::ours()).as_bytes()).ok()?;
    loop {
        let Ask::Do(job) = serde_json::from_str(&read(&mut from)?).ok()? else { continue };
        let Job { task, .. } = *job;
        let mut state = script.0.lock().ok()?;
        state.asked.push(match &task {
            Task::Suggest(Request { words, current: None, .. }) => words.clone(),
            Task::Suggest(Request { words, current: Some(command), .. }) => format!("{command} <- {words}"),
            Task::Explain { command, .. } => format!("explain {command}"),
        });
        while state.held {
            state = script.1.wait_timeout(state, Duration::from_secs(1)).ok()?.0;
            // A client that has gone gets its answer too late all the same.
            let _ = to.write_all(frame(&Reply::Waiting).as_bytes());
        }
        let reply = state.reply(&task);
        state.answered += 1;
        drop(state);
        to.write_all(frame(&reply).as_bytes()).ok()?;
    }
}

impl Script {
    fn reply(&self, task: &Task) -> Reply {
        if let Some(reason) = &self.refusal {
            return Reply::Failed(Error::NoCommand(reason.clone()));
        }
        let Task::Suggest(request) = task else {
            return Reply::Explained(vec![Meaning { part: "part".into(), meaning: "what it does".into() }]);
        };
        let suggestion = |command: &String| Suggestion {
            confidence: None,
            command: command.clone(),
            slot: command.find('<').filter(|_| command.contains("'<")),
            assessment: safety::assess(command, request.context.shell),
        };
        let suggestions = self.answers.iter().take(request.alternatives).map(suggestion).collect();
        Reply::Done { suggestions, timing: Timing::default() }
    }
}

/// The JSON of the next frame.
fn read(from: &mut impl BufRead) -> Option<String> {
    let mut length = String::new();
    from.read_line(&mut length).ok()?;
    let mut body = vec![0; length.trim_end().parse().ok()?];
    from.read_exact(&mut body).ok()?;
    String::from_utf8(body).ok()
}
