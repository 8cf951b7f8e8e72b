//! `cmdai model`: the store for a person. Paths and tables on stdout, everything said on the way on stderr.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
};

use indicatif::{ProgressBar, ProgressStyle};

use super::{note, print};
use crate::{
    cli::{EngineArgs, ModelAction},
    config::Config,
    engine,
    error::Result,
    model::{
        ModelSpec,
        store::{Listed, Place, Progress, Removed, Settings, Source, Store, megabytes},
    },
};

/// Runs one `cmdai model` action.
///
/// # Errors
/// As of the store's function behind it, or stdout cannot be written.
pub fn run(action: &ModelAction, config: &Config) -> Result<()> {
    let store = Store::new(config.store()?);
    match action {
        ModelAction::Pull { model, source } => {
            let path = pull_with_progress(&named(model.as_deref(), config)?, config, *source)?;
            print(&format!("{}\n", path.display()))
        }
        ModelAction::List => print(&table(&store.list()?, &config.model().value)),
        ModelAction::Path { model } => print(&path(&store, &named(model.as_deref(), config)?)?),
        ModelAction::Add { file, name } => {
            let record = store.add(file, name.as_deref())?;
            print(&format!("{}  {}  {}\n", record.name, record.sha256, record.path.display()))
        }
        ModelAction::Use { model } => {
            let spec = ModelSpec::parse(model)?;
            store.locate(&spec)?.ok_or_else(|| Store::absent(&spec))?;
            let path = config.set_model(model)?;
            let setting = Config::load(&EngineArgs::default())?.model();
            if setting.value != *model {
                note(&format!("cmdai: {} says {}, which counts for more", setting.origin, setting.value));
            }
            print(&format!("{}\n", path.display()))
        }
        ModelAction::Verify { model } => {
            let record = store.verify(&named(model.as_deref(), config)?)?;
            print(&format!("{}  {}  ok\n", record.sha256, record.path.display()))
        }
        ModelAction::Remove { model } => remove(&store, &ModelSpec::parse(model)?, config.cache()),
    }
}

/// Fetches a model and shows on stderr how far it is: a bar on a terminal, a line each tenth elsewhere.
///
/// # Errors
/// As of [`Store::pull`].
pub fn pull_with_progress(spec: &ModelSpec, config: &Config, source: Source) -> Result<PathBuf> {
    let store = Store::new(Settings { token: config.hub_token(), ..config.store()? });
    if io::stderr().is_terminal() {
        store.pull(spec, source, &mut Bar::new(spec))
    } else {
        store.pull(spec, source, &mut Lines { spec, tenths: 0 })
    }
}

/// The model asked for, else the configured one.
fn named(model: Option<&str>, config: &Config) -> Result<ModelSpec> {
    match model {
        Some(text) => ModelSpec::parse(text),
        None => ModelSpec::parse(&config.model().value),
    }
}

fn path(store: &Store, spec: &ModelSpec) -> Result<String> {
    let found = store.find(spec)?.ok_or_else(|| Store::absent(spec))?;
    Ok(format!("{}\n", found.display()))
}

/// Removes a model, and what engines have kept of it.
fn remove(store: &Store, spec: &ModelSpec, cache: Option<PathBuf>) -> Result<()> {
    let record = store.record(spec)?;
    let outcome = store.remove(spec)?;
    if let (Some(record), Some(cache)) = (record, cache) {
        engine::forget(&cache, &record.sha256);
    }
    print(&removed(&outcome))
}

fn removed(outcome: &Removed) -> String {
    match outcome {
        Removed::Deleted(path) => format!("deleted {}\n", path.display()),
        Removed::Forgotten(path) => format!("forgotten; the file is not cmdai's and stays: {}\n", path.display()),
    }
}

/// One line a model; `*` marks the one that is used when none is named.
fn table(lines: &[Listed], default: &str) -> String {
    let name_width = lines.iter().map(|line| line.name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for line in lines {
        let mark = if line.name == default { '*' } else { ' ' };
        let size = line.size.map_or_else(|| "?".to_owned(), megabytes);
        let row = format!("{mark} {:name_width$}  {size:>9}  {:<10}  {}", line.name, place(line), remark(line));
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

fn place(line: &Listed) -> &'static str {
    match line.file {
        Some((Place::Store, _)) => "here",
        Some((Place::Cache, _)) => "in cache",
        Some((Place::Yours, _)) => "your file",
        None => "not here",
    }
}

fn remark(line: &Listed) -> String {
    let unverified = if line.file.is_some() && !line.verified { "not verified yet" } else { "" };
    [unverified, line.note].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A bar for a terminal.
struct Bar(ProgressBar);

impl Bar {
    fn new(spec: &ModelSpec) -> Self {
        let bar = ProgressBar::no_length();
        let template = "{msg} [{bar:24}] {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta} left";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(spec.name.clone());
        Self(bar)
    }
}

impl Progress for Bar {
    fn at(&mut self, done: u64, total: u64) {
        if self.0.length().is_none() {
            self.0.set_length(total);
            // What an earlier pull brought says nothing of this one's speed.
            self.0.set_position(done);
            self.0.reset_eta();
        }
        self.0.set_position(done);
    }

    fn note(&mut self, line: &str) {
        self.0.suspend(|| note(&format!("cmdai: {line}")));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Lines for a log or a pipe.
struct Lines<'a> {
    spec: &'a ModelSpec,
    tenths: u64,
}

impl Progress for Lines<'_> {
    fn at(&mut self, done: u64, total: u64) {
        let tenths = done.saturating_mul(10) / total.max(1);
        if tenths > self.tenths {
            let share = tenths * 10;
            note(&format!("cmdai: {}: {} of {} ({share} %)", self.spec, megabytes(done), megabytes(total)));
        }
        self.tenths = tenths;
    }

    fn note(&mut self, line: &str) {
        note(&format!("cmdai: {line}"));
    }
}
