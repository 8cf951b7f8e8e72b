//! Dispatches the shell integration only; the lead's replaces it.

use std::process::ExitCode;

use clap::Parser;

use cmdai::cli::{Cli, Command};
use cmdai::cmd;
use cmdai::error::Error;

fn main() -> ExitCode {
    match Cli::parse().command {
        Some(Command::Init(args)) => match cmd::init::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("cmdai: {error}");
                ExitCode::from(error.exit_code())
            }
        },
        Some(Command::Widget(args)) => cmd::widget::run(&args, |_| Err(Error::new("not built yet"))),
        _ => ExitCode::from(2),
    }
}
