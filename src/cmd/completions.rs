//! `cmdai completions SHELL`: what clap_complete makes of the command line.

use clap::CommandFactory;

use crate::{cli::Cli, error::Result};

/// Prints the completion script for `shell`.
///
/// # Errors
/// Stdout cannot be written.
pub fn run(shell: clap_complete::Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cmdai", &mut script);
    super::print(&String::from_utf8_lossy(&script))
}
