//! Where the server is found, and who may be it: one directory of the user's own with the socket and the log.
//!
//! The log is also the lock. Whoever holds it may remove a socket that nobody serves, bind the next one and serve it;
//! the server holds it for its life, and a line in it says which process that is. A client that starts a server takes the
//! lock, binds the socket and hands both to the new process, so there is no moment in which two could serve and none in
//! which a client would have to poll: a connection waits in the socket until the server takes it.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::{
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rustix::{
    fs::{FlockOperation, OFlags, flock},
    io::{Errno, FdFlags, fcntl_setfd},
    process::Pid,
};

use crate::{
    error::{Context, Error, Result},
    model::store::make_private,
};

/// The argument of `cmdai server run` that says: the socket is stdin, and stderr holds the lock.
pub const STARTED: &str = "--started";

/// What the line of the log begins with that tells the server's process.
const OWNER: &str = "process ";

/// What the log begins with while this process is the server.
pub fn first_line() -> String {
    format!("{OWNER}{}\n", std::process::id())
}

/// The right to serve a place. The lock belongs to the open file, which a server may share with its standard error, so
/// it is given back in so many words.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

/// A socket to serve, with the right to do so.
#[derive(Debug)]
pub struct Held {
    pub listener: UnixListener,
    lock: Lock,
    place: Place,
    /// Device and inode of the socket, if this server removes it; a service manager's stays.
    ours: Option<(u64, u64)>,
}

impl Held {
    /// Where the socket lies.
    pub fn directory(&self) -> &Path {
        self.place.directory()
    }

    /// Whether clients still find this socket at its path.
    pub fn is_found(&self) -> bool {
        self.ours.is_none_or(|ours| self.place.found() == Some(ours))
    }

    /// Lets the next server begin.
    pub fn give_back(self) {
        if self.ours.is_some() && self.is_found() {
            let _ = std::fs::remove_file(&self.place.socket);
        }
        drop(self.lock);
    }
}

/// The socket of one user and the directory it is in.
#[derive(Clone, Debug)]
pub struct Place {
    socket: PathBuf,
}

impl Place {
    /// The place whose socket is `socket`; nothing is made yet.
    pub fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// The socket's path.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    fn directory(&self) -> &Path {
        self.socket.parent().unwrap_or(Path::new("."))
    }

    /// The log of the server that runs, or ran last.
    pub fn log(&self) -> PathBuf {
        self.socket.with_extension("log")
    }

    /// Takes the place with a socket of its own, unless another process has it.
    ///
    /// # Errors
    /// The directory or the socket cannot be made, or are not the user's own.
    pub fn take(&self) -> Result<Option<Held>> {
        let Some(log) = self.emptied_log()? else { return Ok(None) };
        let listener = self.bind()?;
        Ok(Some(self.held(listener, log, self.found())))
    }

    /// Takes the place with the socket that a service manager listens on, unless another process has it.
    ///
    /// # Errors
    /// The directory cannot be made, or is not the user's own.
    pub fn take_lent(&self, listener: UnixListener) -> Result<Option<Held>> {
        Ok(self.emptied_log()?.map(|log| self.held(listener, log, None)))
    }

    /// Takes over what [`Place::start`] handed to this process.
    pub fn take_over(&self, listener: UnixListener, log: OwnedFd) -> Held {
        self.held(listener, log.into(), self.found())
    }

    /// The process that has the place; none if the place is free or not yet signed.
    ///
    /// # Errors
    /// As [`Place::take`].
    pub fn owner(&self) -> Result<Option<Pid>> {
        if self.locked_log()?.is_some() {
            return Ok(None);
        }
        let log =
            std::fs::read_to_string(self.log()).context(|| format!("could not read: {}", self.log().display()))?;
        let number = log.lines().find_map(|line| line.strip_prefix(OWNER)?.parse().ok());
        Ok(number.filter(|number| *number > 1).and_then(Pid::from_raw))
    }

    fn held(&self, listener: UnixListener, mut log: File, ours: Option<(u64, u64)>) -> Held {
        // Where it cannot be written, a server that hangs is not killed by `cmdai server stop`; all else works.
        let _ = log.write_all(first_line().as_bytes());
        Held { listener, lock: Lock(log.into()), place: self.clone(), ours }
    }

    /// Device and inode of what is at the socket's path.
    fn found(&self) -> Option<(u64, u64)> {
        std::fs::symlink_metadata(&self.socket).ok().map(|found| (found.dev(), found.ino()))
    }

    fn locked_log(&self) -> Result<Option<File>> {
        self.refuse_link()?;
        make_private(self.directory())?;
        let path = self.log();
        let what = || format!("could not open: {}", path.display());
        // Who could once write here may have left a link to a file that is not to be emptied.
        let mut options = OpenOptions::new();
        options.create(true).append(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits() as i32);
        let log = options.open(&path).context(what)?;
        match flock(&log, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(log)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(cause) => Err(cause).context(|| format!("could not lock: {}", path.display())),
        }
    }

    /// Who may write beside the directory could have a link there lead anywhere.
    fn refuse_link(&self) -> Result<()> {
        match std::fs::symlink_metadata(self.directory()) {
            Ok(found) if found.is_symlink() => {
                Err(Error::new(format!("could not use directory: {}: it is a link", self.directory().display())))
            }
            _ => Ok(()),
        }
    }

    fn emptied_log(&self) -> Result<Option<File>> {
        let log = self.locked_log()?;
        let emptied = log.as_ref().map_or(Ok(()), |log| log.set_len(0));
        emptied.context(|| format!("could not empty: {}", self.log().display())).map(|()| log)
    }

    /// A new socket in the place of one that nobody serves; only who holds the lock may call it.
    fn bind(&self) -> Result<UnixListener> {
        let what = || format!("could not make socket: {}", self.socket.display());
        match std::fs::symlink_metadata(&self.socket) {
            Ok(found) if found.file_type().is_socket() => std::fs::remove_file(&self.socket).context(what)?,
            Ok(_) => return Err(Error::new(format!("{}: something else is there", what()))),
            Err(cause) if cause.kind() == ErrorKind::NotFound => {}
            Err(cause) => return Err(cause).context(what),
        }
        UnixListener::bind(&self.socket).context(what)
    }

    /// Starts `program` as the server, with the environment `variables`. False if another process has the lock: it
    /// serves, starts one or leaves.
    ///
    /// # Errors
    /// No socket can be made, or the program cannot be started.
    pub fn start(&self, program: &Path, variables: &[(String, String)]) -> Result<bool> {
        let Some(log) = self.emptied_log()? else { return Ok(false) };
        let socket = self.bind()?;
        keep_descriptors_from_children();
        #[expect(clippy::disallowed_methods, reason = "the program itself, as its server")]
        let mut server = Command::new(program);
        server.args(["server", "run", STARTED]).env_clear().envs(variables.iter().cloned()).current_dir("/");
        server.stdin(OwnedFd::from(socket)).stdout(Stdio::null()).stderr(log);
        server.spawn().context(|| format!("could not start: {}", program.display()))?;
        Ok(true)
    }
}

/// A shell may have left descriptors open in this process, its terminal among them: a server would hold them for ever.
fn keep_descriptors_from_children() {
    let names = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten().map(|entry| entry.file_name());
    let open: Vec<i32> = names.filter_map(|name| name.to_str()?.parse().ok()).filter(|fd| *fd > 2).collect();
    for fd in open {
        // SAFETY: setting a flag neither reads nor closes it; of one closed meanwhile the system says so.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let _ = fcntl_setfd(fd.as_fd(), FdFlags::CLOEXEC);
    }
}
