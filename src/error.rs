//! The one error type of the crate: what failed, on what, why, and what to do next.
//!
//! A variant exists where a caller branches on it (an exit code, a widget status, a retry); everything else is
//! [`Error::Other`] with a message in the house shape: lower case, the path or value in it, no full stop.

use std::fmt::Display;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure, with an optional next step for the person who sees it. It travels from the server to its clients as it is.
#[derive(Debug, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Error {
    /// The request cannot be used as it stands (empty, too long, not UTF-8).
    #[error("{message}")]
    Usage { message: String, hint: Option<String> },
    /// The model answered, but with nothing that is one command.
    #[error("no command could be made: {0}")]
    NoCommand(String),
    /// A suggestion was made and withheld: it is not safe to show as text.
    #[error("suggestion refused: {0}")]
    Unprintable(String),
    /// The model file is not on this machine yet.
    #[error("model {name} is not on this machine yet")]
    NoModel { name: String },
    /// The person cancelled (Ctrl-C, Esc, or a hang-up).
    #[error("cancelled")]
    Cancelled,
    /// Anything else.
    #[error("{message}")]
    Other { message: String, hint: Option<String> },
}

impl Error {
    /// A failure without a next step.
    pub fn new(message: impl Into<String>) -> Self {
        Self::Other { message: message.into(), hint: None }
    }

    /// A request that cannot be used, exit code 2.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), hint: None }
    }

    /// Adds the next step, in the imperative: `run cmdai model pull`.
    #[must_use]
    pub fn hint(mut self, next_step: impl Into<String>) -> Self {
        if let Self::Other { hint, .. } | Self::Usage { hint, .. } = &mut self {
            *hint = Some(next_step.into());
        }
        self
    }

    /// The next step to show on the line after the message.
    pub fn next_step(&self) -> Option<String> {
        match self {
            Self::Other { hint, .. } | Self::Usage { hint, .. } => hint.clone(),
            Self::NoModel { name } => Some(format!("run cmdai model pull {name}")),
            Self::NoCommand(_) => Some("say it in other words, or name the tool to use".into()),
            Self::Unprintable(_) | Self::Cancelled => None,
        }
    }

    /// The process exit code: 1 an error, 2 usage, 3 no command could be made, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::NoCommand(_) | Self::Unprintable(_) => 3,
            Self::Cancelled => 130,
            Self::NoModel { .. } | Self::Other { .. } => 1,
        }
    }
}

/// Adds what was being done, and on what, in front of a lower-level cause.
pub trait Context<T> {
    /// `what()` is the house shape up to the cause: `could not open model: /path/x.gguf`.
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Display> Context<T> for Result<T, E> {
    fn context<S: Into<String>>(self, what: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|cause| Error::new(format!("{}: {cause}", what().into())))
    }
}

/// What the innermost of the causes below `error` says: the layers above it repeat or veil it.
pub fn innermost(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}
