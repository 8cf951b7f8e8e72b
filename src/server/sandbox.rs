//! What a process gives up before it computes, so that a fault in what it computes with (a model's file, C++) reaches
//! nobody: new sockets, connections, programs, processes, and files to write outside the cache.
//!
//! On Linux seccomp refuses the calls and Landlock the files. Where the kernel lacks one the server goes on, and says so.
//! What is refused fails with EPERM, which is one request's error. Reading is left free: a request may name any model.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What the kernel keeps from a process; nothing where the system has neither seccomp nor Landlock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Whether new sockets, connections, programs and processes are refused (seccomp).
    pub calls: bool,
    /// How far writing outside the cache is refused (Landlock).
    pub files: Files,
}

/// How far writing is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Files {
    #[default]
    Free,
    /// All but what a kernel before Linux 6.2 cannot refuse: cutting files short.
    Partly,
    Refused,
}

impl std::fmt::Display for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let calls = if self.calls { "no sockets, no programs (seccomp)" } else { "no seccomp here" };
        let files = match self.files {
            Files::Refused => "writes to its cache only (Landlock)",
            Files::Partly => "writes to its cache only, in part (Landlock of an old kernel)",
            Files::Free => "no Landlock here",
        };
        write!(f, "{calls}; {files}")
    }
}

/// Confines this process, which has one thread as yet, for good. It may then write below `kept` and take files out of
/// `place`, where its socket is.
pub fn enter(kept: &[PathBuf], place: &Path) -> Sandbox {
    let said = |what: &str, error: &dyn std::fmt::Display| tracing::warn!(%error, "{what} is not in force");
    let files = system::keep_files(kept, place).inspect_err(|error| said("Landlock", error)).unwrap_or_default();
    let calls = system::refuse(system::Sockets::None, system::Refusal::Error);
    Sandbox { files, calls: calls.inspect_err(|error| said("seccomp", error)).is_ok() }
}

/// From here on this process ends by SIGSYS if it opens a socket other than a local one or starts a program; `message` is
/// on stderr then, unless the C library keeps signals back, as it does while it starts a program. That the kernel
/// refuses both is tried first.
///
/// # Errors
/// This system cannot, or does not, refuse them.
pub fn watch(message: &'static str) -> Result<()> {
    system::watch(message)
}

#[cfg(target_os = "linux")]
mod system {
    use std::{
        collections::BTreeMap,
        path::{Path, PathBuf},
    };

    use landlock::{ABI, AccessFs, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus};
    use rustix::{io::Errno, net::AddressFamily, stdio::stderr};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen::Dword, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
        apply_filter_all_threads,
    };

    use super::Files;
    use crate::error::{Context, Error, Result};

    /// Which new sockets are left.
    pub(super) enum Sockets {
        /// None, and no connection by one that is there.
        None,
        /// Local ones: AF_UNIX.
        Local,
    }

    /// What becomes of a call that is refused.
    pub(super) enum Refusal {
        /// EPERM.
        Error,
        /// SIGSYS.
        Signal,
    }

    /// Calls that are refused whatever their arguments: programs, other processes of the user, and io_uring, by which
    /// sockets are opened past every filter.
    const REFUSED: [i64; 6] = [
        libc::SYS_execve,
        libc::SYS_execveat,
        libc::SYS_ptrace,
        libc::SYS_process_vm_writev,
        libc::SYS_pidfd_getfd,
        libc::SYS_io_uring_setup,
    ];

    /// What only x86-64 has: the old ways to a new process, and the numbers that its x32 calls have for some of the above.
    #[cfg(target_arch = "x86_64")]
    const ALSO_REFUSED: [i64; 6] = [libc::SYS_fork, libc::SYS_vfork, X32 | 520, X32 | 521, X32 | 540, X32 | 545];
    #[cfg(not(target_arch = "x86_64"))]
    const ALSO_REFUSED: [i64; 0] = [];

    /// The bit of a call's number by which x86-64 tells x32's calls apart.
    #[cfg(target_arch = "x86_64")]
    const X32: i64 = 0x4000_0000;

    type Rules = BTreeMap<i64, Vec<SeccompRule>>;

    /// Refuses writing but below `kept`, taking files but out of `place`, and starting programs.
    pub(super) fn keep_files(kept: &[PathBuf], place: &Path) -> Result<Files> {
        let what = || "could not set up Landlock";
        let write = AccessFs::from_write(ABI::V3);
        let ruleset = Ruleset::default().handle_access(write | AccessFs::Execute).context(what)?;
        let mut ruleset = ruleset.create().context(what)?;
        let kept = kept.iter().map(|path| (path.as_path(), write));
        for (path, access) in kept.chain([(place, AccessFs::RemoveFile.into())]) {
            // One that cannot be had is one that cannot be written.
            if let Ok(path) = PathFd::new(path) {
                ruleset = ruleset.add_rule(PathBeneath::new(path, access)).context(what)?;
            }
        }
        Ok(match ruleset.restrict_self().context(what)?.ruleset {
            RulesetStatus::FullyEnforced => Files::Refused,
            RulesetStatus::PartiallyEnforced => Files::Partly,
            RulesetStatus::NotEnforced => Files::Free,
        })
    }

    /// Refuses calls to all threads of this process.
    pub(super) fn refuse(sockets: Sockets, refusal: Refusal) -> Result<()> {
        let what = || "could not set up seccomp";
        let action = match refusal {
            Refusal::Error => SeccompAction::Errno(libc::EPERM as u32),
            Refusal::Signal => SeccompAction::Trap,
        };
        // Its arguments lie where no filter can look: without it the C library takes `clone`.
        let clone3 = Rules::from([(libc::SYS_clone3, Vec::new())]);
        apply(clone3, SeccompAction::Errno(libc::ENOSYS as u32)).context(what)?;
        apply(rules(sockets).context(what)?, action).context(what)
    }

    fn rules(sockets: Sockets) -> seccompiler::Result<Rules> {
        let new_process = when(SeccompCmpOp::MaskedEq(libc::CLONE_THREAD as u64), 0)?;
        let mut rules: Rules = REFUSED.iter().chain(&ALSO_REFUSED).map(|call| (*call, Vec::new())).collect();
        rules.insert(libc::SYS_clone, vec![new_process]);
        match sockets {
            Sockets::None => rules.extend([(libc::SYS_socket, Vec::new()), (libc::SYS_connect, Vec::new())]),
            Sockets::Local => {
                let other = when(SeccompCmpOp::Ne, libc::AF_UNIX as u64)?;
                rules.insert(libc::SYS_socket, vec![other]);
            }
        }
        #[cfg(target_arch = "x86_64")]
        rules.extend(rules.clone().into_iter().map(|(call, rule)| (call | X32, rule)));
        Ok(rules)
    }

    /// Where the first argument is so.
    fn when(is: SeccompCmpOp, value: u64) -> seccompiler::Result<SeccompRule> {
        Ok(SeccompRule::new(vec![SeccompCondition::new(0, Dword, is, value)?])?)
    }

    fn apply(rules: Rules, action: SeccompAction) -> seccompiler::Result<()> {
        let filter = SeccompFilter::new(rules, SeccompAction::Allow, action, std::env::consts::ARCH.try_into()?)?;
        apply_filter_all_threads(&BpfProgram::try_from(filter)?)
    }

    pub(super) fn watch(message: &'static str) -> Result<()> {
        refuse(Sockets::Local, Refusal::Error)?;
        try_both()?;
        let end = move || {
            let _ = rustix::io::write(stderr(), message.as_bytes());
            signal_hook::low_level::exit(1)
        };
        // SAFETY: a handler may write and end the process, and does nothing else.
        unsafe { signal_hook::low_level::register(libc::SIGSYS, end) }.context(|| "could not watch for SIGSYS")?;
        // Of the two filters the stricter one counts.
        refuse(Sockets::Local, Refusal::Signal)
    }

    /// Tries what is refused.
    fn try_both() -> Result<()> {
        let socket = rustix::net::socket(AddressFamily::INET, rustix::net::SocketType::STREAM, None);
        let none = [std::ptr::null()];
        // SAFETY: the path and both lists end as C wants them to. There is no such program to become.
        let program = unsafe {
            libc::execve(c"/proc/no-program".as_ptr(), none.as_ptr(), none.as_ptr());
            Errno::from_io_error(&std::io::Error::last_os_error())
        };
        if socket.err() == Some(Errno::PERM) && program == Some(Errno::PERM) {
            return Ok(());
        }
        Err(Error::new("the kernel has taken the filter and refuses nothing"))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::path::{Path, PathBuf};

    use super::Files;
    use crate::error::{Error, Result};

    pub(super) enum Sockets {
        None,
    }

    pub(super) enum Refusal {
        Error,
    }

    pub(super) fn keep_files(_kept: &[PathBuf], _place: &Path) -> Result<Files> {
        Ok(Files::Free)
    }

    pub(super) fn refuse(_sockets: Sockets, _refusal: Refusal) -> Result<()> {
        Err(Error::new("this system has no seccomp"))
    }

    pub(super) fn watch(_message: &'static str) -> Result<()> {
        Err(Error::new("this system has no way for a process to give up its sockets: it is there on Linux only"))
    }
}
