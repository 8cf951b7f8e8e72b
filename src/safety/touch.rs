//! What a command does to paths, for those who count what is there now: read from the text alone, like the risk.
//!
//! A path is a pattern in the syntax of the crate `glob`: `*`, `?` and `[…]` are active, `[*]` is a star. It is relative
//! to the directory in which the line will run; `~` at its start is the home directory. What a line does to a path that
//! cannot be read from its text is [`Touch::Unseen`].

use serde::{Deserialize, Serialize};

/// One thing that a command does to paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Touch {
    /// Changes into a directory. Where that is not there, nothing behind it can be told.
    Enter(String),
    /// Deletes what these paths name.
    Remove { paths: Vec<String>, what: What },
    /// Does something to what a search finds.
    Find { action: Action, search: Search, what: What },
    /// Moves, copies or links `sources` to the path or into the directory `into`, or to somewhere that cannot be seen.
    Transfer {
        how: How,
        sources: Vec<String>,
        into: Option<String>,
        /// `into` is a path even if a directory is there.
        exactly: bool,
        existing: Existing,
    },
    /// Writes other content into these files.
    Write { paths: Vec<String> },
    /// Does something to paths that cannot be seen.
    Unseen(Action),
}

/// What becomes of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Delete,
    Move,
    Overwrite,
}

/// Which of the things at a path are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Everything but directories: `rm`.
    Files,
    /// Directories with nothing in them: `rmdir`.
    EmptyFolders,
    /// Both: `rm -d`, `find -delete`.
    FilesAndEmptyFolders,
    /// Everything, with all that is below it: `rm -r`.
    Trees,
}

/// How something comes to another place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    Move,
    Copy,
    CopyTree,
    Link,
}

/// What happens to a file that is where another one goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Existing {
    Replaced,
    /// `-n`: it stays, and what would take its place stays where it is.
    Kept,
    /// `-b`: it gets another name.
    Renamed,
}

/// One root of a `find`, and what must hold for what it finds: every test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    pub root: String,
    pub tests: Vec<Test>,
    pub min_depth: usize,
    pub max_depth: usize,
    /// It does not look below what it finds.
    pub prune: bool,
}

/// One test of a `find`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Test {
    pub negated: bool,
    pub kind: TestKind,
}

/// What a test looks at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TestKind {
    /// The last part of the path fits a pattern.
    Name { pattern: String, any_case: bool },
    /// The whole path, as `find` writes it, fits a pattern.
    Path { pattern: String, any_case: bool },
    /// It is of one of these types: letters of `-type`.
    Type(String),
    /// A file without content or a directory with nothing in it.
    Empty,
    /// The size, rounded up to whole units of so many bytes.
    Size { than: Than, count: u64, unit: u64 },
    /// Time since the last change, in whole units of so many seconds.
    Age { than: Than, count: u64, unit: u64 },
}

/// `+n`, `n` or `-n`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Than {
    More,
    Exactly,
    Less,
}
