//! What the answer depends on besides the words: the machine and the shell that will run the command.
//!
//! Captured on the client's side and carried in the request. The server's own environment is never asked.

use serde::{Deserialize, Serialize};

use crate::request::Shell;

/// The facts about the caller that reach the prompt. Each word of it costs prefill time and must earn its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    pub shell: Shell,
    pub os: Os,
    /// Where the shell finds programs, as in `$PATH`; empty where that is not known. It is in no prompt.
    pub path: String,
}

impl Context {
    /// As much of the machine and the shell as goes into a prompt.
    pub fn of(shell: Shell) -> Self {
        Self { shell, os: Os::current(), path: String::new() }
    }
}

/// Families that differ in the flags of everyday tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Os {
    Linux,
    Macos,
    Other,
}

impl Os {
    fn current() -> Self {
        match std::env::consts::OS {
            "linux" => Self::Linux,
            "macos" => Self::Macos,
            _ => Self::Other,
        }
    }
}
