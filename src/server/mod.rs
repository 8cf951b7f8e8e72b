//! The resident server: one a user, one model kept warm for all of the user's shells.
//!
//! The main thread talks ([`connection`], tokio, one task a client); one thread computes ([`worker`]), because a model
//! belongs to the thread that opened it. It is started by the first request that needs it ([`client`]), over the socket
//! that is also its name ([`place`]), and leaves after an idle time.

pub mod client;
mod connection;
pub mod place;
pub mod protocol;
pub mod sandbox;
mod statistics;
mod worker;

pub use statistics::percentile;

use std::{
    cell::Cell,
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::{UnixListener, UnixStream},
    runtime::Builder,
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::LocalSet,
    time::sleep,
};

use crate::{
    engine,
    error::{Context, Result},
    model::store::Stamp,
};
use place::Held;
use protocol::{Hello, Status, Target};
use sandbox::Sandbox;
use statistics::Statistics;
use worker::Worker;

/// Most clients at once; more wait in the socket's queue.
const MAX_CLIENTS: usize = 128;

/// Between two looks whether the socket is still this server's: one whose socket is gone can be reached by nobody.
const LOOK: Duration = Duration::from_secs(60);

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Leave after this time without a request; zero for never.
    pub idle: Duration,
    /// Directory for what is worth keeping from one start to the next.
    pub cache: Option<PathBuf>,
    /// Whether to compute what a person is still typing.
    pub warm_up: bool,
}

/// What the tasks of all clients share.
struct Server {
    settings: Settings,
    sandbox: Sandbox,
    worker: Worker,
    statistics: Statistics,
    clients: Arc<Semaphore>,
    /// End of the last request, or the start.
    active: Cell<Instant>,
    /// True once the server leaves: clients that are being answered get their answer, and no more.
    leaving: watch::Sender<bool>,
    /// The program's file as it was at the start.
    program: Option<(PathBuf, Stamp)>,
}

/// Serves what is `held`, in a [`sandbox`], until the server is idle, told to leave or signalled. What `target` finds is opened at once; that
/// it may have to read a whole model first keeps no client waiting.
///
/// # Errors
/// The socket cannot be used.
pub fn serve(held: Held, settings: Settings, target: impl FnOnce() -> Option<Target> + Send + 'static) -> Result<()> {
    let what = || "could not serve the socket";
    // Before any thread begins, and before anything is read that somebody else wrote.
    let kept = settings.cache.as_deref().map(engine::folders).unwrap_or_default();
    let sandbox = sandbox::enter(&kept, held.directory());
    let runtime = Builder::new_current_thread().enable_all().build().context(what)?;
    LocalSet::new().block_on(&runtime, async {
        let listener = held.listener.try_clone().context(what)?;
        listener.set_nonblocking(true).context(what)?;
        let server = Rc::new(Server::new(settings, sandbox, Box::new(target)));
        server.accept(&UnixListener::from_std(listener).context(what)?, &held).await?;
        // From here on the next server can begin.
        held.give_back();
        server.leave();
        let _ = server.clients.acquire_many(MAX_CLIENTS as u32).await;
        Ok(())
    })
}

impl Server {
    fn new(settings: Settings, sandbox: Sandbox, target: worker::Find) -> Self {
        let program = std::env::current_exe().ok();
        Self {
            worker: Worker::start(settings.cache.clone(), target),
            settings,
            sandbox,
            statistics: Statistics::default(),
            clients: Arc::new(Semaphore::new(MAX_CLIENTS)),
            active: Cell::new(Instant::now()),
            leaving: watch::Sender::new(false),
            program: program.and_then(|path| Some((path.clone(), Stamp::of(&path).ok()?))),
        }
    }

    /// Takes clients until the server has a reason to leave.
    async fn accept(self: &Rc<Self>, listener: &UnixListener, held: &Held) -> Result<()> {
        let signals = || std::io::Result::Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]);
        let [mut terminate, mut interrupt] = signals().context(|| "could not watch for signals")?;
        let mut leaving = self.leaving.subscribe();
        loop {
            tokio::select! {
                accepted = self.next(listener) => match accepted {
                    Ok((stream, permit)) => self.talk_to(stream, permit),
                    Err(cause) => {
                        tracing::warn!(%cause, "no connection taken");
                        // Out of descriptors: some will be given back.
                        sleep(Duration::from_millis(100)).await;
                    }
                },
                () = self.idle(held) => return Ok(()),
                _ = leaving.changed() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    async fn next(&self, listener: &UnixListener) -> std::io::Result<(UnixStream, OwnedSemaphorePermit)> {
        let permit = Arc::clone(&self.clients).acquire_owned().await.map_err(std::io::Error::other)?;
        Ok((listener.accept().await?.0, permit))
    }

    fn talk_to(self: &Rc<Self>, stream: UnixStream, permit: OwnedSemaphorePermit) {
        let server = Rc::clone(self);
        tokio::task::spawn_local(async move {
            connection::serve(&server, stream).await;
            drop(permit);
        });
    }

    /// Ends when nobody has asked for anything for the idle time, or when nobody can.
    async fn idle(&self, held: &Held) {
        let limit = self.settings.idle;
        loop {
            let left = limit.saturating_sub(self.active.get().elapsed());
            let over = !limit.is_zero() && left.is_zero() && !self.worker.is_busy();
            if over || !held.is_found() {
                return;
            }
            sleep(if limit.is_zero() { LOOK } else { left.clamp(Duration::from_millis(10), LOOK) }).await;
        }
    }

    fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// Whether a client that says `hello` can be answered by this program. If not, the server leaves.
    fn suits(&self, hello: &Hello) -> bool {
        let replaced = |(path, stamp): &(PathBuf, Stamp)| !Stamp::of(path).is_ok_and(|now| now == *stamp);
        let suits = *hello == Hello::ours() && !self.program.as_ref().is_some_and(replaced);
        if !suits {
            tracing::info!(client = hello.cmdai, "another version is asked for: leaving");
            self.leave();
        }
        suits
    }

    fn status(&self) -> Status {
        let opened = self.worker.opened();
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_s: self.statistics.start.elapsed().as_secs(),
            engine: opened.as_ref().map(|target| target.engine.clone()),
            model: opened.as_ref().map(|target| target.model.path.display().to_string()),
            lora: opened.and_then(|target| target.lora).map(|lora| lora.path.display().to_string()),
            memory: statistics::memory(),
            sandbox: self.sandbox,
            requests: self.statistics.requests.get(),
            failed: self.statistics.failed.get(),
            p50_ms: self.statistics.percentile(0.5),
            p95_ms: self.statistics.percentile(0.95),
            // One is always ready for the next client.
            connections: MAX_CLIENTS - self.clients.available_permits() - 1,
        }
    }
}
