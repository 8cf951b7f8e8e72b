//! What a command would delete, move or overwrite now, in numbers: a look at the paths that [`crate::safety`] read out of
//! its text. Nothing is run, no file is opened: directories are listed and entries asked for their size and kind.
//!
//! A link counts as itself. Other file systems below a path are left out, though `rm` would enter them: to look there can
//! mount things, wake disks and wait for networks. What is left out is never guessed; the words say "at least" then.
//!
//! The look has a thread of its own, the only way to a limit in time that holds: a directory on a server that has gone
//! away keeps whoever lists it.

mod count;
mod find;
mod paths;
mod transfer;
mod words;

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::safety::{Action, Touch};

/// Longest time that a look may take.
pub const LIMIT: Duration = Duration::from_millis(100);

/// What is there now of that which a command names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BlastRadius {
    #[serde(skip_serializing_if = "Tally::is_unused")]
    pub deleted: Tally,
    #[serde(skip_serializing_if = "Tally::is_unused")]
    pub moved: Tally,
    #[serde(skip_serializing_if = "Tally::is_unused")]
    pub overwritten: Tally,
    /// All that is to be deleted or moved is known, and none of it is there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub nothing: bool,
}

/// What one action would reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Everything but directories.
    pub files: u64,
    pub folders: u64,
    /// Sizes of the regular files as `ls -l` shows them, a file with several names once.
    pub bytes: u64,
    /// Working directories whose `.git` is among it.
    pub git_repositories: u64,
    /// There is more, or may be.
    pub extent: Extent,
}

/// How much of it was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    #[default]
    All,
    /// Something could not be looked at.
    AtLeast,
    /// The time was over.
    MoreThan,
}

impl Tally {
    fn is_unused(&self) -> bool {
        *self == Self::default()
    }
}

impl BlastRadius {
    /// Counts what `touches` name, for at most `limit`. `home` is what `~` stands for.
    pub fn measure(touches: &[Touch], home: Option<PathBuf>, limit: Duration) -> Self {
        if touches.is_empty() {
            return Self::default();
        }
        let (end, touches) = (Instant::now() + limit, touches.to_vec());
        within(limit, move |progress| count::Counter::new(progress, home, end).count(&touches))
    }

    fn tally(&mut self, action: Action) -> &mut Tally {
        match action {
            Action::Delete => &mut self.deleted,
            Action::Move => &mut self.moved,
            Action::Overwrite => &mut self.overwritten,
        }
    }

    fn at_least(&mut self) {
        for tally in [&mut self.deleted, &mut self.moved, &mut self.overwritten] {
            tally.extent = tally.extent.max(Extent::AtLeast);
        }
    }
}

/// The time was over.
struct Over;

/// The count so far, and what is being counted.
#[derive(Default)]
struct Progress {
    radius: BlastRadius,
    action: Option<Action>,
}

/// Lets `look` work for at most `limit`. What it has counted by then is the answer, whatever it waits for.
fn within(limit: Duration, look: impl FnOnce(&Mutex<Progress>) -> Result<(), Over> + Send + 'static) -> BlastRadius {
    let progress = Arc::<Mutex<Progress>>::default();
    let (done, wait) = mpsc::channel();
    let shared = Arc::clone(&progress);
    let spawned = thread::Builder::new().spawn(move || {
        let _ = done.send(look(&shared).is_ok());
    });
    let finished = spawned.is_ok() && wait.recv_timeout(limit).unwrap_or(false);
    let Progress { mut radius, action } = std::mem::take(&mut *lock(&progress));
    if !finished {
        radius.at_least();
        radius.nothing = false;
        if let Some(action) = action {
            radius.tally(action).extent = Extent::MoreThan;
        }
    }
    radius
}

fn lock(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_that_never_comes_back_is_not_waited_for() {
        let (_held, forever) = mpsc::channel::<()>();
        let radius = within(Duration::from_millis(20), move |progress| {
            lock(progress).radius.deleted.files = 7;
            lock(progress).action = Some(Action::Delete);
            let _ = forever.recv();
            Ok(())
        });
        assert_eq!(radius.behind("").unwrap(), "deletes more than 7 files, 0 bytes");
    }

    #[test]
    fn nothing_to_count_starts_nothing() {
        assert_eq!(BlastRadius::measure(&[], None, Duration::ZERO), BlastRadius::default());
    }
}
