//! Rates what a command could do, from the command alone: the model's own opinion is never asked.
//!
//! Flow: deceptive text first ([`text`]), then the syntax tree cut into simple commands ([`walk`]), then the rules on
//! effect and target ([`rules`]). The level is that of the worst part. It never fails open: what cannot be parsed is
//! at least [`Risk::Caution`].

mod aliases;
mod blocks;
mod code;
mod directory;
mod edit;
mod files;
mod find;
mod grammar;
mod lasting;
mod literal;
mod net;
mod options;
mod output;
mod parts;
mod places;
mod reach;
mod redirect;
mod rules;
mod run;
mod scan;
mod search;
mod shells;
mod spread;
mod sql;
mod target;
mod text;
mod tokens;
mod tools;
mod touch;
mod walk;
mod word;
mod wrap;
mod zsh;
mod zsh_forms;

pub use parts::{commands, commented, inputs, parts};
pub use rules::rule_names;
pub use text::{hidden_name, printable, printable_part};
pub use touch::{Action, Existing, How, Search, Test, TestKind, Than, Touch, What};

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
    /// What it deletes, moves or overwrites, to be counted where it would run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub touches: Vec<Touch>,
}

/// Rates `command` as `shell` would run it.
pub fn assess(command: &str, shell: Shell) -> Assessment {
    if let Some(finding) = hidden(command) {
        return Assessment { risk: finding.risk, findings: vec![finding], touches: Vec::new() };
    }
    let walked = std::panic::catch_unwind(|| {
        let mut walker = walk::Walker::new(shell);
        walker.run(command, word::Flow::default());
        let touches = walker.take_touches();
        (walker.findings, touches)
    });
    let (mut findings, touches) = walked.unwrap_or_else(|_| (vec![unread(command)], Vec::new()));
    findings.iter_mut().for_each(|finding| finding.span = inside(command, finding.span));
    let risk = findings.iter().map(|finding| finding.risk).max().unwrap_or(Risk::Safe);
    Assessment { risk, findings, touches }
}

/// Whether `shell` takes `command` for a whole one, as far as its grammar tells: what [`assess`] would not call
/// `unparsed`, at a small part of the cost. Text that is not read at all is called whole: no more lines would mend it.
pub fn parses(command: &str, shell: Shell) -> bool {
    if command.len() > walk::MAX_TEXT || hidden(command).is_some() {
        return true;
    }
    let tree = grammar::parse(&grammar::as_read(command, shell).0, shell, &grammar::Effort::default());
    tree.is_none_or(|tree| !tree.root_node().has_error())
}

/// The part of `span` that is of `command`: fish's grammar gets a line end more, and a cut may go through a character.
fn inside(command: &str, (from, to): word::Span) -> word::Span {
    let boundary = |at: usize| (0..=at.min(command.len())).rev().find(|at| command.is_char_boundary(*at)).unwrap_or(0);
    (boundary(from), boundary(to))
}

/// The words of every command that rating `command` looks at, for fuzz/ to hold against another parser's.
#[cfg(fuzzing)]
pub fn calls(command: &str, shell: Shell) -> Vec<Vec<String>> {
    let mut walker = walk::Walker::new(shell);
    walker.run(command, word::Flow::default());
    walker.calls
}

/// The finding for a character that hides or reorders text.
fn hidden(command: &str) -> Option<Finding> {
    let (at, c, name) = text::first_hidden(command)?;
    Some(Finding {
        rule: "hidden-character".into(),
        span: (at, at + c.len_utf8()),
        risk: Risk::Dangerous,
        reason: format!("holds a character that hides or reorders text: U+{:04X} {name}", c as u32),
    })
}

/// The finding for a command that the rater itself failed on.
fn unread(command: &str) -> Finding {
    let (risk, reason) = rules::effect("unparsed");
    Finding { rule: "rater-failed".into(), span: (0, command.len()), risk, reason: reason.into() }
}
