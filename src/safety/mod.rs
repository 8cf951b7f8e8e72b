//! Rates what a command could do, from the command alone: the model's own opinion is never asked.
//!
//! Flow: deceptive text first (`text`), then the syntax tree cut into simple commands (`walk`), then the rules on
//! effect and target (`rules`). The level is that of the worst part. It never fails open: what cannot be parsed is
//! at least [`Risk::Caution`].

mod text;

pub use text::printable;

use serde::{Deserialize, Serialize};

use crate::request::Shell;

/// How much a command can cost. The words are the ones shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Reads, prints, computes or creates.
    Safe,
    /// Changes state in a way that is limited or can be undone.
    Caution,
    /// Irreversible loss beyond the project, or text that deceives.
    Dangerous,
}

impl Risk {
    /// The word shown beside a suggestion.
    pub fn word(self) -> &'static str {
        match self {
            Self::Safe => "safe",
            Self::Caution => "caution",
            Self::Dangerous => "dangerous",
        }
    }
}

/// One reason for a level.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name, stable across versions.
    pub rule: String,
    /// Byte range of the offending text in the command.
    pub span: (usize, usize),
    /// The level this finding alone asks for.
    pub risk: Risk,
    /// One line in plain words.
    pub reason: String,
}

/// The rating of one command: the worst finding's level, and every finding above safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assessment {
    pub risk: Risk,
    pub findings: Vec<Finding>,
}

/// Rates `command` as `shell` would run it.
pub fn assess(command: &str, shell: Shell) -> Assessment {
    let _ = shell;
    let findings: Vec<Finding> = hidden(command).into_iter().collect();
    let risk = findings.iter().map(|f| f.risk).max().unwrap_or(Risk::Caution);
    Assessment { risk, findings }
}

fn hidden(command: &str) -> Option<Finding> {
    let (at, c, name) = text::first_hidden(command)?;
    Some(Finding {
        rule: "hidden-character".into(),
        span: (at, at + c.len_utf8()),
        risk: Risk::Dangerous,
        reason: format!("holds a character that hides or reorders text: U+{:04X} {name}", c as u32),
    })
}
