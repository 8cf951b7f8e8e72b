//! What a person may write to name a model, parsed once into a type that cannot be wrong.
//!
//! Every part that later lands in a URL or a file name is held to a strict pattern here, so nothing downstream escapes
//! or unescapes anything. Parsing touches neither disk nor network.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use super::{Entry, Pin, entry};
use crate::error::{Error, Result};

/// Longest owner, repository, revision or model name, as the Hub has it.
const MAX_NAME: usize = 96;
const MAX_FILE: usize = 200;
const MAX_PATH: usize = 4096;

/// A model by name, by place on the Hub, or by path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// As it was written; for messages.
    pub name: String,
    pub origin: Origin,
}

/// Where a named model's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An entry of [`super::CATALOGUE`].
    Known(&'static Entry),
    /// A file of a Hub repository.
    Hub(HubFile),
    /// A name given by `cmdai model add`, known to the store only.
    Added,
    /// A file of the user's.
    Path(PathBuf),
}

/// A file of a repository on the Hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubFile {
    /// `owner/repo`.
    pub repo: String,
    pub revision: String,
    pub file: String,
}

impl HubFile {
    fn main(repo: &str, file: &str) -> Self {
        Self { repo: repo.into(), revision: "main".into(), file: file.into() }
    }
}

impl fmt::Display for ModelSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl From<&'static Entry> for ModelSpec {
    fn from(entry: &'static Entry) -> Self {
        Self { name: entry.name.into(), origin: Origin::Known(entry) }
    }
}

impl ModelSpec {
    /// Reads a catalogue name, `owner/repo[@revision]:file.gguf`, a name given by `model add`, or a path to a `.gguf`.
    /// The Hub's name for a catalogue file is that catalogue entry, with its pinned digest.
    ///
    /// # Errors
    /// The text is none of these; nothing has been touched.
    pub fn parse(text: &str) -> Result<Self> {
        refuse_unprintable(text)?;
        if let Some(entry) = entry(text) {
            return Ok(entry.into());
        }
        let origin = if looks_like_path(text) {
            parse_path(text)?
        } else if let Some((place, file)) = text.split_once(':') {
            parse_hub(text, place, file)?
        } else if is_name(text) {
            Origin::Added
        } else {
            return Err(refused(text, "it is neither a name, nor owner/repo:file.gguf, nor a path to a .gguf file"));
        };
        Ok(Self { name: text.to_owned(), origin })
    }

    /// What the bytes must be, where cmdai itself says so.
    pub fn pin(&self) -> Option<Pin> {
        match self.origin {
            Origin::Known(entry) => entry.pin,
            _ => None,
        }
    }

    /// The file on the Hub, if there is one.
    pub fn hub_file(&self) -> Option<HubFile> {
        match &self.origin {
            Origin::Known(entry) => entry.repo.map(|repo| HubFile::main(repo, entry.file)),
            Origin::Hub(file) => Some(file.clone()),
            Origin::Added | Origin::Path(_) => None,
        }
    }

    /// The name of this model's file in the store: unique, and of safe characters only.
    /// A path and an added file stay where they are and have none.
    pub fn store_file(&self) -> Option<String> {
        match &self.origin {
            Origin::Known(entry) => Some(entry.file.to_owned()),
            Origin::Hub(hub) => Some(hub_store_file(hub)),
            Origin::Added | Origin::Path(_) => None,
        }
    }
}

/// `--` cannot occur in an owner or a repository and `@` in none of the parts, so two files never share a name.
fn hub_store_file(hub: &HubFile) -> String {
    let repo = hub.repo.replace('/', "--");
    match hub.revision.as_str() {
        "main" => format!("{repo}--{}", hub.file),
        revision => format!("{repo}@{revision}@{}", hub.file),
    }
}

/// Whether `text` can be the name of a model: letters, digits, `.`, `_`, `-`, beginning with a letter or digit.
pub fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        && !text.contains("..")
}

/// An owner or repository, by the Hub's rules.
fn is_repo_part(text: &str) -> bool {
    is_name(text) && !text.contains("--") && !text.ends_with(['-', '.'])
}

fn is_file(text: &str) -> bool {
    let stem = text.strip_suffix(".gguf").unwrap_or_default();
    (1..=MAX_FILE).contains(&stem.len())
        && stem.starts_with(|first: char| first.is_ascii_alphanumeric())
        && stem.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '+'))
        && !text.contains("..")
}

fn looks_like_path(text: &str) -> bool {
    ["/", "./", "../", "~"].iter().any(|start| text.starts_with(start)) || (text.contains('/') && !text.contains(':'))
}

fn parse_path(text: &str) -> Result<Origin> {
    if text.starts_with('~') {
        return Err(refused(text, "~ means your home only to a shell").hint("write the whole path"));
    }
    if text.len() > MAX_PATH {
        return Err(refused(text, "the path is too long"));
    }
    // A colon would leave it open whether a repository was meant.
    if text.contains(':') {
        return Err(refused(text, "a path may not hold a colon").hint("give the file a name: cmdai model add FILE"));
    }
    if !text.ends_with(".gguf") || text.ends_with("/.gguf") {
        return Err(refused(text, "a path must end in .gguf").hint("give the file a name: cmdai model add FILE"));
    }
    Ok(Origin::Path(Path::new(text).to_owned()))
}

fn parse_hub(text: &str, place: &str, file: &str) -> Result<Origin> {
    let (repo, revision) = place.split_once('@').unwrap_or((place, "main"));
    let Some((owner, name)) = repo.split_once('/') else {
        return Err(refused(text, "wanted owner/repo before the colon"));
    };
    if !is_repo_part(owner) || !is_repo_part(name) {
        return Err(refused(text, "owner and repo may hold letters, digits and single . _ - inside"));
    }
    if !is_name(revision) {
        return Err(refused(text, "a revision may hold letters, digits and . _ -"));
    }
    if !is_file(file) {
        return Err(refused(text, "the file must be a plain name that ends in .gguf"));
    }
    Ok(known(repo, revision, file)
        .unwrap_or_else(|| Origin::Hub(HubFile { repo: repo.into(), revision: revision.into(), file: file.into() })))
}

/// The pinned entry for this very file, so that spelling it out does not lose the pin.
fn known(repo: &str, revision: &str, file: &str) -> Option<Origin> {
    let same = |entry: &&Entry| revision == "main" && entry.repo == Some(repo) && entry.file == file;
    super::CATALOGUE.iter().find(same).map(Origin::Known)
}

fn refuse_unprintable(text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(refused(text, "it is empty"));
    }
    // Beyond controls: bidirectional and zero-width characters, which make a name look like another.
    let deceives = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    if text.contains(deceives) {
        return Err(refused(text, "it holds control or invisible characters"));
    }
    if text.contains('\\') {
        return Err(refused(text, "it holds a backslash"));
    }
    Ok(())
}

fn refused(text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    Error::usage(format!("could not use model name \"{shown}\": {why}")).hint("see cmdai model list for names")
}
