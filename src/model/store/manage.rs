//! What a person does with the store: take a file in, look at it, check it, let it go.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    ADAPTER, Candidate, Place, Record, Store,
    disk::{self, remove_if_there},
    key, partial,
};
use crate::{
    error::{Context, Error, Result},
    model::{CATALOGUE, ModelSpec, Origin, entry, spec::is_name},
};

/// What [`Store::remove`] did.
#[derive(Debug, PartialEq, Eq)]
pub enum Removed {
    /// The store's own file is gone.
    Deleted(PathBuf),
    /// The file is not the store's: it stays, and is forgotten.
    Forgotten(PathBuf),
}

/// A line of [`Store::list`].
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// Of the file, or of the one that would be fetched.
    pub size: Option<u64>,
    /// Where the file is, if it is anywhere.
    pub file: Option<(Place, PathBuf)>,
    /// Whether it was hashed and has not changed since.
    pub verified: bool,
    pub note: &'static str,
}

impl Store {
    /// Takes a file of the user's into the list, where it lies, under `name` or its own.
    ///
    /// # Errors
    /// It is not a GGUF file, the name is taken or none, or the store cannot be written.
    pub fn add(&self, file: &Path, name: Option<&str>) -> Result<Record> {
        let path = fs::canonicalize(file).context(|| format!("could not open model: {}", file.display()))?;
        let own = path.file_stem().and_then(|stem| stem.to_str()).map(str::to_owned);
        let name = name.map(str::to_owned).or(own).unwrap_or_default();
        let spec = self.free_name(name, &path)?;
        let record = self.check(&spec, &Candidate { path, place: Place::Yours, sha256: None })?;
        self.remember(&key(&spec)?, &record)?;
        Ok(record)
    }

    fn free_name(&self, name: String, path: &Path) -> Result<ModelSpec> {
        if !is_name(&name) {
            let shown: String = name.escape_debug().take(80).collect();
            return Err(Error::usage(format!("could not use \"{shown}\" as a model's name"))
                .hint("give --name with letters, digits and . _ -"));
        }
        if entry(&name).is_some() {
            return Err(Error::usage(format!("the name {name} is taken by the catalogue")).hint("give another --name"));
        }
        match Record::read(&self.records(), &name) {
            Some(other) if other.path != path => {
                Err(Error::usage(format!("the name {name} is taken by {}", other.path.display()))
                    .hint(format!("give another --name, or run cmdai model remove {name}")))
            }
            _ => Ok(ModelSpec { name, origin: Origin::Added }),
        }
    }

    /// Reads a model's file again, whatever the record says, and compares its digest.
    ///
    /// # Errors
    /// It is not here, or not what it was.
    pub fn verify(&self, spec: &ModelSpec) -> Result<Record> {
        match self.recorded(spec, &key(spec)?) {
            Some(record) if record.path.exists() => {
                let Record { path, place, sha256, .. } = record;
                self.check(spec, &Candidate { path, place, sha256: Some(sha256) })
            }
            _ => self.first_good(spec)?.ok_or_else(|| Self::absent(spec)),
        }
    }

    /// Deletes the store's file of a model with what is left of its downloads, or forgets a file that is not the store's.
    ///
    /// # Errors
    /// There is nothing to remove, or it cannot be.
    pub fn remove(&self, spec: &ModelSpec) -> Result<Removed> {
        let key = key(spec)?;
        let record = self.record(spec)?;
        let deleted = self.delete_own(spec)?;
        Record::forget(&self.records(), &key)?;
        match (deleted, record) {
            (Some(path), _) => Ok(Removed::Deleted(path)),
            (None, Some(record)) => Ok(Removed::Forgotten(record.path)),
            (None, None) => Err(self.nothing_to_remove(spec)?),
        }
    }

    /// What is remembered of a model; its file is not looked at.
    ///
    /// # Errors
    /// A path cannot be made absolute.
    pub fn record(&self, spec: &ModelSpec) -> Result<Option<Record>> {
        Ok(Record::read(&self.records(), &key(spec)?))
    }

    /// Deletes the store's own file under the lock of its pull. The lock's file stays: one who waits has it open.
    fn delete_own(&self, spec: &ModelSpec) -> Result<Option<PathBuf>> {
        let Some(name) = spec.store_file().filter(|_| self.settings.dir.is_dir()) else { return Ok(None) };
        let lock = self.settings.dir.join(format!("{name}.lock"));
        let _held = disk::lock(&lock, || ())?;
        partial::clear(&self.partials(), &name);
        let path = self.settings.dir.join(name);
        let there = remove_if_there(&path)?;
        Ok(there.then_some(path))
    }

    fn nothing_to_remove(&self, spec: &ModelSpec) -> Result<Error> {
        Ok(match self.candidates(spec)?.first() {
            Some(elsewhere) => Error::new(format!("{} is not cmdai's to delete", elsewhere.path.display()))
                .hint("other programs may use it; delete it yourself"),
            None => Error::new(format!("model {spec} is not on this machine")),
        })
    }

    /// The catalogue, then what else the store knows. Reads no file to its end.
    ///
    /// # Errors
    /// A path cannot be made absolute.
    pub fn list(&self) -> Result<Vec<Listed>> {
        let mut lines = Vec::new();
        for entry in CATALOGUE {
            let (file, verified) = self.glance(&entry.into())?;
            let size = file.as_ref().and_then(|(_, path)| fs::metadata(path).ok()).map(|found| found.len());
            let size = size.or(entry.pin.map(|pin| pin.size));
            lines.push(Listed { name: entry.name.into(), size, file, verified, note: entry.note });
        }
        let is_other = |key: &str| entry(key).is_none() && !key.starts_with(ADAPTER);
        let others = Record::all(&self.records()).into_iter().filter(|(key, _)| is_other(key));
        lines.extend(others.map(|(_, record)| line(record)));
        Ok(lines)
    }

    /// Where the file is, and whether a record vouches for it.
    fn glance(&self, spec: &ModelSpec) -> Result<(Option<(Place, PathBuf)>, bool)> {
        if let Some(record) = self.recorded(spec, &key(spec)?)
            && let Ok(holds) = record.holds()
        {
            return Ok((Some((record.place, record.path)), holds));
        }
        let first = self.candidates(spec)?.into_iter().next();
        Ok((first.map(|found| (found.place, found.path)), false))
    }
}

fn line(record: Record) -> Listed {
    let holds = record.holds();
    Listed {
        name: record.name,
        size: Some(record.stamp.size),
        file: holds.is_ok().then_some((record.place, record.path)),
        verified: holds.is_ok_and(|holds| holds),
        note: "",
    }
}
