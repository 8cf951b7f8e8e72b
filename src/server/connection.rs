//! One client's connection, from its hello to its hang-up. A client that goes away takes its request with it.

use std::{io, rc::Rc, time::Duration, time::Instant};

use rustix::process::geteuid;
use tokio::{
    io::{AsyncWrite, BufReader},
    net::{UnixStream, unix::OwnedReadHalf},
    sync::mpsc::UnboundedReceiver,
    time::{MissedTickBehavior, interval_at, sleep, timeout},
};

use super::{
    Server,
    protocol::{self, Ask, HEARTBEAT, Hello, Job, Reply},
    worker::Draft,
};
use crate::{engine::Interrupt, error::Error};

/// A client says who it is within this: much less than clients wait, so that silent ones cannot keep all places from them.
const HELLO: Duration = Duration::from_secs(2);

/// Words that stay the same for this long are worth computing.
const PAUSE: Duration = Duration::from_millis(100);

/// A client that asks for nothing and types nothing for this long is not kept.
const UNUSED: Duration = Duration::from_secs(30 * 60);

/// A client that does not take its replies for this long is gone.
const TAKE: Duration = Duration::from_secs(10);

type From = BufReader<OwnedReadHalf>;

/// How a conversation ended.
enum End {
    Over,
    /// The client wants the server to leave, and to know when it has.
    Stop,
}

/// Talks to one client to the end.
pub(super) async fn serve(server: &Rc<Server>, stream: UnixStream) {
    if !stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw()) {
        tracing::warn!("a connection of another user was refused");
        return;
    }
    let (from, mut to) = stream.into_split();
    match talk(server, &mut BufReader::new(from), &mut to).await {
        // Closed by the system, at the end of this process.
        Ok(End::Stop) => std::mem::forget(to),
        Ok(End::Over) => {}
        Err(cause) => tracing::debug!(%cause, "a connection ended"),
    }
}

async fn talk(server: &Rc<Server>, from: &mut From, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<End> {
    let Some(hello) = timeout(HELLO, protocol::read::<Hello>(from)).await?? else { return Ok(End::Over) };
    if !server.suits(&hello) {
        let leaving = Hello { cmdai: format!("{}, leaving", env!("CARGO_PKG_VERSION")), protocol: 0 };
        return send(to, &leaving).await.map(|()| End::Over);
    }
    send(to, &Hello::ours()).await?;
    let mut draft = None;
    while let Some(ask) = next(server, from, &mut draft).await? {
        match ask {
            Ask::Do(job) => answer(server, job, from, to).await?,
            Ask::Warm { words, shell } => draft = server.settings.warm_up.then_some(Draft { words, shell }),
            Ask::Status => send(to, &Reply::Status(server.status())).await?,
            // Nothing is being answered.
            Ask::Cancel => {}
            Ask::Stop => {
                server.leave();
                return Ok(End::Stop);
            }
        }
    }
    Ok(End::Over)
}

/// What the client asks next; nothing more once the server leaves. At a pause in its typing, `draft` is computed.
async fn next(server: &Server, from: &mut From, draft: &mut Option<Draft>) -> io::Result<Option<Ask>> {
    let mut leaving = server.leaving.subscribe();
    // One read, however often it is waited for: another could begin in the middle of a frame.
    let mut reading = std::pin::pin!(timeout(UNUSED, protocol::read(from)));
    loop {
        tokio::select! {
            biased;
            ask = reading.as_mut() => {
                let ask = ask?;
                if let (Ok(None), Some(typed)) = (&ask, draft.take()) {
                    // `cmdai server warm` says it and goes.
                    server.worker.prepare(typed);
                }
                return ask;
            }
            _ = leaving.wait_for(|leaving| *leaving) => return Ok(None),
            () = sleep(PAUSE), if draft.is_some() => {
                server.active.set(Instant::now());
                draft.take().into_iter().for_each(|typed| server.worker.prepare(typed));
            }
        }
    }
}

/// Has the worker do `job`, and counts how that ended.
async fn answer(server: &Server, job: Box<Job>, from: &mut From, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let start = Instant::now();
    let interrupt = Interrupt::default();
    let outcome = hand_on(server.worker.put_job(job, interrupt.clone()), &interrupt, from, to).await;
    // However it ended, nobody waits for more.
    interrupt.set();
    server.active.set(Instant::now());
    match &outcome {
        Ok(Some(Reply::Done { .. } | Reply::Explained(_))) => server.statistics.answered(start.elapsed()),
        _ => server.statistics.failed(),
    }
    match outcome? {
        Some(last) => send(to, &last).await,
        None => Ok(()),
    }
}

/// Hands `replies` on up to the last, which it returns; none if the client hung up. Sets `interrupt` at its wish.
async fn hand_on(
    mut replies: UnboundedReceiver<Reply>,
    interrupt: &Interrupt,
    from: &mut From,
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<Option<Reply>> {
    let first = tokio::time::Instant::now() + HEARTBEAT;
    let mut heartbeat = interval_at(first, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut reading = std::pin::pin!(protocol::read::<Ask>(from));
    let mut listening = true;
    loop {
        tokio::select! {
            reply = replies.recv() => match reply {
                Some(reply @ (Reply::Done { .. } | Reply::Explained(_) | Reply::Failed(_))) => return Ok(Some(reply)),
                Some(reply) => send(to, &reply).await?,
                None => return Ok(Some(Reply::Failed(Error::new("the engine's thread ended").hint("try again")))),
            },
            _ = heartbeat.tick() => send(to, &Reply::Waiting).await?,
            ask = reading.as_mut(), if listening => match ask? {
                Some(Ask::Cancel) => {
                    interrupt.set();
                    listening = false;
                }
                Some(_) => return Err(io::Error::other("a client asked before it was answered")),
                None => return Ok(None),
            },
        }
    }
}

async fn send(to: &mut (impl AsyncWrite + Unpin), message: &impl serde::Serialize) -> io::Result<()> {
    timeout(TAKE, protocol::write(to, message)).await?
}
