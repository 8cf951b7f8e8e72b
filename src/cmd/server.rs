//! `cmdai server`: be the resident server, or speak to it.

use std::{
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsFd, FromRawFd, OwnedFd},
        unix::net::UnixListener,
    },
    path::PathBuf,
};

use rustix::{
    io::Errno,
    net::{SocketType, getpeername, sockopt::socket_type},
    process::setsid,
    stdio::dup2_stdin,
};

use super::{log, note, suggest};
use crate::{
    cli::{EngineArgs, ServerAction},
    config::{self, Config},
    engine,
    error::{Context, Error, Result},
    model::store::Store,
    request::{MAX_REQUEST_BYTES, Shell},
    server::{
        self, Settings,
        client::Client,
        place::{Held, Place},
        protocol::{Status, Target},
    },
};

/// Descriptor of the first socket that a service manager passes by systemd's protocol: sd_listen_fds(3).
const LISTEN_FDS_START: i32 = 3;

/// Runs one of the server's commands.
///
/// # Errors
/// The server cannot be started, reached or ended.
pub fn run(action: &ServerAction) -> Result<()> {
    match action {
        ServerAction::Start => start(),
        ServerAction::Stop => stop(),
        ServerAction::Status { json } => status(*json),
        ServerAction::Run { started } => be_the_server(*started),
        ServerAction::Warm { shell } => warm(*shell),
    }
}

/// What a request needs to reach the server or start it.
///
/// # Errors
/// There is no directory for its socket, or this program's path cannot be told.
pub fn client() -> Result<Client> {
    let program = std::env::current_exe().context(|| "could not find the path of this program")?;
    Ok(Client { place: place()?, program, variables: config::server_environment() })
}

fn place() -> Result<Place> {
    let socket: Option<PathBuf> = config::server_socket();
    let socket = socket.ok_or_else(|| Error::new("could not tell where the server's socket is").hint("set HOME"))?;
    Ok(Place::new(socket))
}

fn start() -> Result<()> {
    let config = Config::load(&EngineArgs::default())?;
    let server = config.server()?;
    if !server.value {
        return Err(Error::usage(format!("the server is switched off by {}", server.origin)).hint("switch it on there"));
    }
    let status = client()?.start()?;
    super::print(&format!("the server runs as process {}\n", status.pid))
}

fn stop() -> Result<()> {
    super::print(if client()?.stop()? { "the server has left\n" } else { "no server runs\n" })
}

fn status(json: bool) -> Result<()> {
    let status = client()?.status()?;
    if json {
        return super::print(&format!("{}\n", serde_json::json!(status)));
    }
    match status {
        Some(status) => super::print(&table(&status)),
        None => super::print("no server runs; the next request starts one\n"),
    }
}

fn table(status: &Status) -> String {
    let Status {
        pid,
        version,
        uptime_s,
        engine,
        model,
        lora,
        memory,
        sandbox,
        requests,
        failed,
        p50_ms,
        p95_ms,
        connections,
    } = status;
    let none = || "none yet".to_owned();
    let times = if *requests > 0 { format!("p50 {p50_ms:.0} ms, p95 {p95_ms:.0} ms") } else { none() };
    let lines = [
        ("pid", pid.to_string()),
        ("version", version.clone()),
        ("uptime", format!("{} min {} s", uptime_s / 60, uptime_s % 60)),
        ("engine", engine.clone().unwrap_or_else(none)),
        ("model", model.clone().unwrap_or_else(none)),
        ("adapter", lora.clone().unwrap_or_else(|| "none".into())),
        ("memory", if *memory > 0 { format!("{} MB", memory / 1_000_000) } else { "not told by this system".into() }),
        ("sandbox", sandbox.to_string()),
        ("requests", format!("{requests} answered, {failed} failed or cancelled")),
        ("times", times),
        ("clients", format!("{connections}, this one included")),
    ];
    lines.iter().map(|(what, value)| format!("{what:<9} {value}\n")).collect()
}

/// Tells the server what is typed. Nobody looks at what this prints, and nothing depends on it.
fn warm(shell: Shell) -> Result<()> {
    let config = Config::load(&EngineArgs::default())?;
    if !(config.server()?.value && config.warm_up()?.value) {
        return Ok(());
    }
    let mut words = String::new();
    let what = || "could not read the words from stdin";
    io::stdin().take(MAX_REQUEST_BYTES as u64).read_to_string(&mut words).context(what)?;
    client()?.warm(words.trim_start_matches('#').trim_start().to_owned(), shell)
}

fn be_the_server(started: bool) -> Result<()> {
    if started {
        // Away from the terminal and its signals. A process that leads a group already is one that nobody started so.
        let _ = setsid();
        log::limit(server::place::first_line());
    }
    let config = Config::load(&EngineArgs::default())?;
    for warning in config.warnings() {
        note(&format!("cmdai: {warning}"));
    }
    let settings =
        Settings { idle: config.server_idle()?.value, warm_up: config.warm_up()?.value, cache: config.cache() };
    server::serve(held(&place()?, started)?, settings, move || target(&config))
}

/// The socket to serve: the one that a client or a service manager passed, else a new one.
fn held(place: &Place, started: bool) -> Result<Held> {
    let stdin = listens(io::stdin());
    if started && !stdin {
        return Err(Error::usage("--started is for cmdai itself").hint("leave it out"));
    }
    let copy = |what: &dyn AsFd| what.as_fd().try_clone_to_owned().context(|| "could not keep the log open");
    let held = if started {
        Some(place.take_over(listening_stdin()?, copy(&io::stderr())?))
    } else if stdin {
        place.take_lent(listening_stdin()?)?
    } else if let Some(listener) = passed() {
        place.take_lent(listener)?
    } else {
        place.take()?
    };
    held.ok_or_else(|| Error::new("another server runs already").hint("end it first: cmdai server stop"))
}

/// The socket that is stdin, moved away: a copy left there would still collect clients when the server has closed its own.
fn listening_stdin() -> Result<UnixListener> {
    let what = || "could not take the socket from stdin";
    let socket = io::stdin().as_fd().try_clone_to_owned().context(what)?;
    dup2_stdin(File::open("/dev/null").context(what)?).context(what)?;
    Ok(UnixListener::from(socket))
}

/// Whether it is a socket that listens: one for connections that has none. macOS does not tell it directly.
fn listens(socket: impl AsFd) -> bool {
    let socket = socket.as_fd();
    socket_type(socket) == Ok(SocketType::STREAM) && matches!(getpeername(socket), Err(Errno::NOTCONN))
}

/// The socket passed by systemd's protocol: the variables name this process, and the descriptor listens.
fn passed() -> Option<UnixListener> {
    let is_ours = config::variable("LISTEN_PID")?.parse() == Ok(std::process::id());
    if !is_ours || config::variable("LISTEN_FDS")? != "1" {
        return None;
    }
    // SAFETY: the protocol gives this descriptor to this process, and nothing here has taken it before.
    let socket = unsafe { OwnedFd::from_raw_fd(LISTEN_FDS_START) };
    listens(&socket).then(|| UnixListener::from(socket))
}

/// What to open before anybody asks: the configured model, if it is here and computed on this machine.
fn target(config: &Config) -> Option<Target> {
    let engine = config.engine_choice().ok().filter(|engine| engine.name != engine::REMOTE)?;
    let model = suggest::find(config, &|spec| Err(Store::absent(spec))).ok()?;
    suggest::target(config, &engine, model).ok()
}
