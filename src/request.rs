//! What travels from the shell to the pipeline and back: plain values, no behaviour that needs a machine.

use serde::{Deserialize, Serialize};

use crate::safety::Assessment;

/// Longest request that is taken, in bytes. A sentence is under 200; a half-written script under 8 KiB.
pub const MAX_REQUEST_BYTES: usize = 8 * 1024;

/// The shell that will run the command; decides the syntax asked for and how it is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Shell {
    Zsh,
    Bash,
    Fish,
}

impl Shell {
    /// The shell's name as people and shebangs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zsh => "zsh",
            Self::Bash => "bash",
            Self::Fish => "fish",
        }
    }

    /// The shell named by a path or login name such as `/bin/zsh` or `-bash`.
    pub fn from_path(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next()?.trim_start_matches('-');
        [Self::Zsh, Self::Bash, Self::Fish].into_iter().find(|shell| shell.name() == name)
    }
}

/// One request, complete: nothing else about the caller is consulted after this point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// What the person wrote, trimmed, at most [`MAX_REQUEST_BYTES`], never empty.
    pub words: String,
    /// The command that the words are to change, where they stand behind one.
    pub current: Option<String>,
    /// What the first file that the words name holds, where it helps to know.
    pub excerpt: Option<Excerpt>,
    /// Where the answer will run.
    pub context: crate::context::Context,
    /// How many different commands are wanted, at least 1.
    pub alternatives: usize,
    /// Whether a model that is not sure of its answer gives another one, with examples before it.
    pub second_look: bool,
    /// What is written is printed at once and stays: nothing is put right afterwards.
    pub streamed: bool,
}

/// The words of `words` as they would name a file: without the quotes and the punctuation around them.
pub fn names(words: &str) -> impl Iterator<Item = &str> {
    let before = |c: char| "\"'`(".contains(c);
    let behind = |c: char| "\"'`,;:!?)./".contains(c);
    words.split_whitespace().map(move |word| word.trim_start_matches(before).trim_end_matches(behind))
}

/// What a file holds, in a few words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Excerpt {
    /// As the words name it.
    pub file: String,
    /// The columns of a table with their numbers, or the keys of JSON as they lie in each other; visible characters.
    pub text: String,
    /// What separates the columns of a table.
    pub separator: Option<char>,
}

/// One part of a command and what it does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meaning {
    /// As it stands in the command.
    pub part: String,
    /// A few words, in visible characters.
    pub meaning: String,
}

/// One suggested command with its rating.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Suggestion {
    /// The command as the model wrote it, but for its slots: those, `<file>`, are in quotes.
    pub command: String,
    /// The character at which its first slot begins, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<usize>,
    /// How likely it is to be right, from 0 to 1, by how sure the model was; none where the engine does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f32>,
    /// What it could do, read from the command itself.
    #[serde(flatten)]
    pub assessment: Assessment,
}

/// Where the time of a request went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Reaching the server, or starting it; 0 without one.
    pub connect_ms: f64,
    /// Waiting in the server for the requests before this one.
    pub queue_ms: f64,
    /// Opening the model: mapping the file, vocabulary, context; 0 where it is open.
    pub load_ms: f64,
    /// Computing what is not cached of the prompt.
    pub prefill_ms: f64,
    /// Writing the answer, all alternatives together.
    pub decode_ms: f64,
    /// Finding the command in the answer and rating it.
    pub parse_ms: f64,
    /// From the request's words to the command, all of the above and what is between.
    pub total_ms: f64,
    /// Tokens in the prompt; 0 where a server does not tell.
    pub prompt_tokens: usize,
    /// Of those, the ones that did not have to be computed for the first answer.
    pub cached_tokens: usize,
    /// Tokens decoded.
    pub decoded_tokens: usize,
}
