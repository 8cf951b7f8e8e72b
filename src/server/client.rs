//! The client's side: reach the server, or start one; ask; give up in time.
//!
//! This is the way of every key press, so it does little: one connection, one frame out, the replies in.

use std::{
    io,
    path::PathBuf,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Signal, geteuid, kill_process},
};
use tokio::{
    io::BufReader,
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

use super::{
    place::Place,
    protocol::{self, Ask, Hello, Job, Reply, Status, Target, Task},
};
use crate::{
    context,
    error::{Context, Error, Result},
    pipeline,
    request::{Meaning, Request, Shell, Suggestion, Timing},
};

/// A server that is there says so, and then says every second that it still is. One that is silent for this long is
/// stopped or hangs.
const SILENCE: Duration = Duration::from_secs(5);

/// Until when a server must have been reached, whoever starts it.
const REACH: Duration = Duration::from_secs(10);

/// A server that ended right after its start so many times has a reason, which its log tells.
const MAX_STARTS: usize = 3;

/// Between two looks for a server that another process is just starting.
const RETRY: Duration = Duration::from_millis(1);

/// What a client needs to reach its server.
#[derive(Clone, Debug)]
pub struct Client {
    pub place: Place,
    /// The program to start as the server.
    pub program: PathBuf,
    /// Its environment.
    pub variables: Vec<(String, String)>,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum Fault {
    /// There is no server, and none can be made: whoever asks has to compute for himself.
    Unreachable(Error),
    /// What the request came to.
    Answer(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Answer(error)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(error) | Fault::Answer(error) => error,
        }
    }
}

impl Client {
    /// Has `request` answered; `on_text` gets the command as far as it is written.
    ///
    /// # Errors
    /// What the server's pipeline reports; that it cannot be reached, or that it fell silent; a suggestion that is not
    /// admitted here, and none at all: what comes out of a socket is text like any other.
    pub fn suggest(
        &self,
        request: Request,
        target: Target,
        on_text: &mut dyn FnMut(&str),
    ) -> std::result::Result<(Vec<Suggestion>, Timing), Fault> {
        let (shell, wanted) = (request.context.shell, request.alternatives);
        let admit = |Suggestion { command, slot, confidence, .. }| {
            let confidence = confidence.filter(|confidence| (0.0..=1.0).contains(confidence));
            pipeline::admit(command, slot, shell).map(|suggestion| Suggestion { confidence, ..suggestion })
        };
        match self.ask(Job { task: Task::Suggest(request), target }, on_text)? {
            (Reply::Done { suggestions, timing }, connect_ms) if !suggestions.is_empty() => {
                let suggestions = suggestions.into_iter().take(wanted).map(admit).collect::<Result<_>>()?;
                Ok((suggestions, Timing { connect_ms, ..timing }))
            }
            _ => Err(something_else().into()),
        }
    }

    /// Has the server say what each part of `command` does; `on_text` gets the line that is being written.
    ///
    /// # Errors
    /// As of [`Client::suggest`].
    pub fn explain(
        &self,
        command: String,
        context: context::Context,
        target: Target,
        on_text: &mut dyn FnMut(&str),
    ) -> std::result::Result<Vec<Meaning>, Fault> {
        match self.ask(Job { task: Task::Explain { command, context }, target }, on_text)? {
            (Reply::Explained(meanings), _) => Ok(meanings),
            _ => Err(something_else().into()),
        }
    }

    /// The last reply to `job`, and how many milliseconds it took to reach the server.
    fn ask(&self, job: Job, on_text: &mut dyn FnMut(&str)) -> std::result::Result<(Reply, f64), Fault> {
        runtime()?.block_on(async {
            let start = Instant::now();
            let ask = Ask::Do(Box::new(job));
            // A server that dies or leaves with the request is followed by another; one that does so twice has a reason.
            for last in [false, true] {
                let mut connection = self.reach().await?;
                let connect_ms = start.elapsed().as_secs_f64() * 1e3;
                match connection.ask(&ask, on_text).await {
                    Ok(Reply::Failed(error)) => return Err(error.into()),
                    Ok(reply) => return Ok((reply, connect_ms)),
                    Err(cause) if gone(&cause) && !last => tracing::info!(%cause, "the server went away"),
                    Err(cause) => return Err(self.broken(&cause).into()),
                }
            }
            unreachable!("the second try returns")
        })
    }

    /// Lets the server, if there is one or one can be started, compute what the person is typing.
    ///
    /// # Errors
    /// There is none.
    pub fn warm(&self, words: String, shell: Shell) -> Result<()> {
        runtime()?.block_on(async {
            let mut connection = self.reach().await?;
            connection.send(&Ask::Warm { words, shell }).await.map_err(|cause| self.broken(&cause))
        })
    }

    /// Reaches the server or starts it, and asks how it is.
    ///
    /// # Errors
    /// There is none, or it does not answer.
    pub fn start(&self) -> Result<Status> {
        runtime()?.block_on(async { self.status_of(self.reach().await?).await })
    }

    /// How the server is; none if none runs.
    ///
    /// # Errors
    /// One runs that does not answer.
    pub fn status(&self) -> Result<Option<Status>> {
        runtime()?.block_on(async {
            match self.connect().await? {
                Some(connection) => self.status_of(connection).await.map(Some),
                None => Ok(None),
            }
        })
    }

    /// Has the server leave, and waits until it has; false if none runs. One that does not answer is killed.
    ///
    /// # Errors
    /// It cannot be killed.
    pub fn stop(&self) -> Result<bool> {
        runtime()?.block_on(async {
            let Ok(stream) = UnixStream::connect(self.place.socket()).await else { return Ok(false) };
            peer(&stream)?;
            let left = async {
                let mut connection = Connection::open(stream).await?;
                connection.send(&Ask::Stop).await?;
                while connection.next::<Reply>().await?.is_some() {}
                io::Result::Ok(())
            };
            match left.await {
                Err(cause) if cause.kind() == io::ErrorKind::TimedOut => self.kill().await?,
                // Any other error is the end of a connection, too.
                _ => {}
            }
            Ok(true)
        })
    }

    /// Ends a server that does not answer, and waits for its end.
    async fn kill(&self) -> Result<()> {
        let what = || "could not end the server, which does not answer";
        // Not the socket's peer: that is who bound it, a client long gone or the service manager.
        let owner = self.place.owner()?.ok_or_else(|| Error::new(what()))?;
        match kill_process(owner, Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(cause) => return Err(cause).context(what),
        }
        while self.place.owner()? == Some(owner) {
            sleep(RETRY).await;
        }
        Ok(())
    }

    async fn status_of(&self, mut connection: Connection) -> Result<Status> {
        let outcome = async {
            connection.send(&Ask::Status).await?;
            connection.heard().await
        };
        match outcome.await {
            Ok(Reply::Status(status)) => Ok(status),
            Ok(_) => Err(something_else()),
            Err(cause) => Err(self.broken(&cause)),
        }
    }

    /// A connection to the server of this version, which is started if there is none.
    async fn reach(&self) -> std::result::Result<Connection, Fault> {
        let (start, mut starts) = (Instant::now(), 0);
        while start.elapsed() < REACH {
            if let Some(connection) = self.connect().await? {
                return Ok(connection);
            }
            if starts == MAX_STARTS {
                let message = format!("the server ended right after its start, {MAX_STARTS} times");
                return Err(self.unreachable(message));
            }
            match self.place.start(&self.program, &self.variables).map_err(Fault::Unreachable)? {
                true => starts += 1,
                false => sleep(RETRY).await,
            }
        }
        Err(self.unreachable(format!("no server came to be in {} s", REACH.as_secs())))
    }

    /// A connection to a server of this version, if one serves the socket. One of another version leaves.
    async fn connect(&self) -> std::result::Result<Option<Connection>, Fault> {
        let stream = match UnixStream::connect(self.place.socket()).await {
            Ok(stream) => stream,
            Err(cause) if is_absent(&cause) => return Ok(None),
            Err(cause) => {
                let what = format!("could not connect to {}: {cause}", self.place.socket().display());
                return Err(Fault::Unreachable(Error::new(what)));
            }
        };
        peer(&stream)?;
        match Connection::open(stream).await {
            Ok(connection) => Ok(Some(connection)),
            // It was leaving, or is of another version and leaves now.
            Err(cause) if gone(&cause) => Ok(None),
            Err(cause) => Err(self.broken(&cause).into()),
        }
    }

    fn unreachable(&self, message: String) -> Fault {
        Fault::Unreachable(Error::new(message).hint(format!("look into {}", self.place.log().display())))
    }

    fn broken(&self, cause: &io::Error) -> Error {
        let socket = self.place.socket().display();
        Error::new(format!("the server at {socket} does not answer: {cause}"))
            .hint("run cmdai server stop, or set CMDAI_SERVER=0 to do without it")
    }
}

/// A connection that has heard the server's [`Hello`].
struct Connection {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
}

impl Connection {
    async fn open(stream: UnixStream) -> io::Result<Self> {
        let (from, to) = stream.into_split();
        let mut connection = Self { from: BufReader::new(from), to };
        connection.send(&Hello::ours()).await?;
        let hello: Hello = connection.expect().await?;
        if hello == Hello::ours() {
            return Ok(connection);
        }
        Err(io::Error::new(io::ErrorKind::ConnectionReset, format!("it is of another version: {}", hello.cmdai)))
    }

    async fn send(&mut self, message: &impl serde::Serialize) -> io::Result<()> {
        timeout(SILENCE, protocol::write(&mut self.to, message)).await.unwrap_or_else(|_| Err(silent()))
    }

    /// The next frame; none where the server closed.
    async fn next<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        timeout(SILENCE, protocol::read(&mut self.from)).await.unwrap_or_else(|_| Err(silent()))
    }

    async fn expect<T: serde::de::DeserializeOwned>(&mut self) -> io::Result<T> {
        self.next().await?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The next reply that says something.
    async fn heard(&mut self) -> io::Result<Reply> {
        loop {
            match self.expect().await? {
                Reply::Waiting => {}
                reply => return Ok(reply),
            }
        }
    }

    async fn ask(&mut self, ask: &Ask, on_text: &mut dyn FnMut(&str)) -> io::Result<Reply> {
        self.send(ask).await?;
        loop {
            match self.heard().await? {
                Reply::Text(text) => on_text(pipeline::shown(&text)),
                reply => return Ok(reply),
            }
        }
    }
}

fn something_else() -> Error {
    Error::new("the server answered something else").hint("try again; if it stays so: cmdai server stop")
}

fn runtime() -> Result<Runtime> {
    Builder::new_current_thread().enable_io().enable_time().build().context(|| "could not prepare a connection")
}

/// Refuses a server of another user.
fn peer(stream: &UnixStream) -> Result<()> {
    let peer = stream.peer_cred().context(|| "could not tell whose server it is")?;
    if peer.uid() == geteuid().as_raw() {
        return Ok(());
    }
    Err(Error::new(format!("the server belongs to user {}, not to you", peer.uid()))
        .hint("look who serves that socket"))
}

/// Whether nobody serves the socket, or more want to than it has places for.
fn is_absent(cause: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotFound, WouldBlock};
    matches!(cause.kind(), NotFound | ConnectionRefused | WouldBlock)
}

/// Whether the server ended or is ending.
fn gone(cause: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(cause.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, format!("it was silent for {} s", SILENCE.as_secs()))
}
