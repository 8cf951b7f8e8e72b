//! The thread that computes: it opens the model, answers one request after the other, and, when none waits, prepares
//! what a person is typing.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{JoinHandle, spawn},
    time::{Duration, Instant},
};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::protocol::{Job, Reply, Target, Task};
use crate::{
    context::Context,
    engine::{Engine, Interrupt},
    error::{Error, Result},
    pipeline::{self, Candidates},
    request::{Request, Shell, Suggestion, Timing},
};

/// Without work for this long, the engine settles: a person reads an answer, and rarely asks again within it.
const QUIET: Duration = Duration::from_secs(2);

/// What a person has typed so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Draft {
    pub(super) words: String,
    pub(super) shell: Shell,
}

/// Finds what to open before anybody asks, if there is something.
pub(super) type Find = Box<dyn FnOnce() -> Option<Target> + Send>;

enum Work {
    Open(Find),
    Do { job: Box<Job>, interrupt: Interrupt, replies: UnboundedSender<Reply>, queued: Instant },
    Prepare { draft: Draft, interrupt: Interrupt },
}

/// The main thread's end of it.
pub(super) struct Worker {
    queue: Option<Sender<Work>>,
    thread: Option<JoinHandle<()>>,
    /// Work that is waiting or being done.
    pending: Arc<AtomicUsize>,
    opened: Arc<Mutex<Option<Target>>>,
    /// The latest draft, and what ends its computation.
    draft: RefCell<Option<(Draft, Interrupt)>>,
}

impl Worker {
    /// Starts the thread, which opens `target` at once.
    pub(super) fn start(cache: Option<PathBuf>, target: Find) -> Self {
        let (queue, work) = channel();
        let (pending, opened) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (shown, done) = (Arc::clone(&opened), Arc::clone(&pending));
        let thread = spawn(move || Desk::new(cache, shown).run(&work, &done));
        let worker = Self { queue: Some(queue), thread: Some(thread), pending, opened, draft: RefCell::default() };
        worker.put(Work::Open(target));
        worker
    }

    /// Has `job` done. `interrupt` ends it.
    pub(super) fn put_job(&self, job: Box<Job>, interrupt: Interrupt) -> UnboundedReceiver<Reply> {
        self.drop_draft(match &job.task {
            Task::Suggest(Request { words, context, .. }) => Some((words, context.shell)),
            Task::Explain { .. } => None,
        });
        let (replies, receiver) = unbounded_channel();
        self.put(Work::Do { job, interrupt, replies, queued: Instant::now() });
        receiver
    }

    /// Has `draft` computed, in place of the one before it.
    pub(super) fn prepare(&self, draft: Draft) {
        if self.draft.borrow().as_ref().is_some_and(|(before, _)| *before == draft) {
            return;
        }
        self.drop_draft(Some((&draft.words, draft.shell)));
        let interrupt = Interrupt::default();
        *self.draft.borrow_mut() = Some((draft.clone(), interrupt.clone()));
        self.put(Work::Prepare { draft, interrupt });
    }

    /// Ends the computation of the last draft, unless the words `next` go on from it.
    fn drop_draft(&self, next: Option<(&String, Shell)>) {
        if let Some((draft, interrupt)) = self.draft.take()
            && !next.is_some_and(|(words, shell)| draft.shell == shell && words.starts_with(&draft.words))
        {
            interrupt.set();
        }
    }

    /// Whether anything is waiting or being done.
    pub(super) fn is_busy(&self) -> bool {
        self.pending.load(Ordering::Relaxed) > 0
    }

    /// What is open now.
    pub(super) fn opened(&self) -> Option<Target> {
        lock(&self.opened).clone()
    }

    fn put(&self, work: Work) {
        self.pending.fetch_add(1, Ordering::Relaxed);
        if let Some(queue) = &self.queue {
            // Without its thread the work is dropped, and who waits for a reply sees the channel close.
            let _ = queue.send(work);
        }
    }
}

/// The model is closed before the process ends: its threads must not run while C++ cleans up.
impl Drop for Worker {
    fn drop(&mut self) {
        if let Some((_, interrupt)) = self.draft.take() {
            interrupt.set();
        }
        self.queue = None;
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// The thread's own.
struct Desk {
    engine: Option<(Target, Box<dyn Engine>)>,
    /// Whether the engine is as quick as it gets.
    settled: bool,
    cache: Option<PathBuf>,
    opened: Arc<Mutex<Option<Target>>>,
    /// The last request, for one suggestion, and what it came to: a person who wants another one asks it again.
    asked: Option<(Request, Target, Candidates)>,
}

impl Desk {
    fn new(cache: Option<PathBuf>, opened: Arc<Mutex<Option<Target>>>) -> Self {
        Self { engine: None, settled: false, cache, opened, asked: None }
    }

    fn run(mut self, queue: &Receiver<Work>, pending: &AtomicUsize) {
        while let Some(work) = self.next(queue, pending) {
            // A panic ends one request, not the server; what it left of the engine is not trusted.
            if catch_unwind(AssertUnwindSafe(|| self.work(work))).is_err() {
                self.close();
            }
            pending.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The next work; none once the server leaves. Meanwhile, if there is none for a while, the engine settles.
    fn next(&mut self, queue: &Receiver<Work>, pending: &AtomicUsize) -> Option<Work> {
        while self.engine.is_some() && !self.settled {
            match queue.recv_timeout(QUIET) {
                Err(RecvTimeoutError::Timeout) => self.settle(&|| pending.load(Ordering::Relaxed) > 0),
                outcome => return outcome.ok(),
            }
        }
        queue.recv().ok()
    }

    fn settle(&mut self, stop: &dyn Fn() -> bool) {
        let Some((_, engine)) = &mut self.engine else { return };
        let outcome = catch_unwind(AssertUnwindSafe(|| engine.settle(stop)));
        self.settled = !matches!(outcome, Ok(Err(Error::Cancelled)));
        match outcome {
            Ok(Ok(())) => tracing::debug!("the engine has settled"),
            Ok(Err(error)) => tracing::debug!(%error, "the engine has not settled"),
            Err(_) => self.close(),
        }
    }

    fn work(&mut self, work: Work) {
        match work {
            Work::Open(target) => {
                if let Some(Err(error)) = target().map(|target| self.open(&target)) {
                    tracing::warn!(%error, "the model was not opened");
                }
            }
            Work::Do { interrupt, replies, .. } if interrupt.is_set() => {
                let _ = replies.send(Reply::Failed(Error::Cancelled));
            }
            Work::Do { job, interrupt, replies, queued } => {
                let reply = self.answer(*job, &interrupt, &replies, queued).unwrap_or_else(Reply::Failed);
                let _ = replies.send(reply);
            }
            Work::Prepare { interrupt, .. } if interrupt.is_set() => {}
            Work::Prepare { draft, interrupt } => self.prepare(draft, &interrupt),
        }
    }

    fn answer(
        &mut self,
        job: Job,
        interrupt: &Interrupt,
        replies: &UnboundedSender<Reply>,
        queued: Instant,
    ) -> Result<Reply> {
        let queue_ms = queued.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        self.open(&job.target)?;
        let load_ms = start.elapsed().as_secs_f64() * 1e3;
        let mut on_text = |text: &str| drop(replies.send(Reply::Text(text.to_owned())));
        let outcome = match job.task {
            Task::Suggest(request) => {
                self.suggest(request, job.target, interrupt, &mut on_text).map(|(suggestions, timing)| Reply::Done {
                    suggestions,
                    timing: Timing { queue_ms, load_ms, ..timing },
                })
            }
            Task::Explain { command, context } => {
                pipeline::explain(self.engine()?, &command, &context, interrupt, &mut on_text).map(Reply::Explained)
            }
        };
        if let Err(Error::Other { .. }) = outcome {
            // The runtime failed. The next request finds a new one.
            self.close();
        }
        outcome
    }

    /// Suggests by the engine that is open, which is `target`'s.
    fn suggest(
        &mut self,
        request: Request,
        target: Target,
        interrupt: &Interrupt,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<(Vec<Suggestion>, Timing)> {
        let first = Request { alternatives: 1, ..request.clone() };
        let goes_on =
            |asked: &(Request, Target, Candidates)| request.alternatives > 1 && asked.0 == first && asked.1 == target;
        let mut candidates = self.asked.take().filter(goes_on).map_or_else(Candidates::default, |asked| asked.2);
        let timing = pipeline::suggest(self.engine()?, &request, &mut candidates, interrupt, on_text)?;
        let suggestions = candidates.best(request.alternatives).to_vec();
        self.asked = Some((first, target, candidates));
        Ok((suggestions, timing))
    }

    /// Computes `draft` on what is open; where nothing is, there is nothing to prepare.
    fn prepare(&mut self, draft: Draft, interrupt: &Interrupt) {
        let Some((_, engine)) = &mut self.engine else { return };
        let context = Context::of(draft.shell);
        if let Err(error) = pipeline::prepare(engine.as_mut(), &draft.words, context, interrupt) {
            tracing::debug!(%error, "nothing was prepared");
        }
    }

    /// Opens the engine for `target`, in the place of another.
    fn open(&mut self, target: &Target) -> Result<()> {
        if self.engine.as_ref().is_none_or(|(open, _)| open != target) {
            self.close();
            let engine = target.open(self.cache.clone())?;
            *lock(&self.opened) = Some(target.clone());
            (self.engine, self.settled) = (Some((target.clone(), engine)), false);
        }
        Ok(())
    }

    fn engine(&mut self) -> Result<&mut dyn Engine> {
        match &mut self.engine {
            Some((_, engine)) => Ok(engine.as_mut()),
            None => Err(Error::new("no engine is open")),
        }
    }

    fn close(&mut self) {
        *lock(&self.opened) = None;
        self.engine = None;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
