//! `cmdai init`: prints the shell integration. It runs at every shell start, so it opens nothing: no settings, no
//! model, no network.

use std::path::PathBuf;

use crate::cli::InitArgs;
use crate::error::{Context, Result};
use crate::{config, shell};

/// Writes the script for the shell asked for to stdout.
pub fn run(args: &InitArgs) -> Result<()> {
    super::print(&shell::init_script(args.shell, &program()?, config::server_socket().as_deref())?)
}

/// The path this program was started by, made absolute. Links are kept: a package manager moves the file behind one
/// at every upgrade, and shells started before that go on using the path.
fn program() -> Result<PathBuf> {
    let running = std::env::current_exe().context(|| "could not find the path of this program")?;
    let Some(started_as) = std::env::args_os().next().map(PathBuf::from) else { return Ok(running) };
    let found = if started_as.components().count() > 1 {
        std::path::absolute(&started_as).ok()
    } else {
        which::which(&started_as).ok()
    };
    let same = |path: &PathBuf| path.canonicalize().is_ok_and(|target| Some(target) == running.canonicalize().ok());
    Ok(found.filter(same).unwrap_or(running))
}
