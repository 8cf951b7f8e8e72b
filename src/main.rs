//! Stand-in until the real dispatch: `cmdai model` only.

use std::process::ExitCode;

use clap::Parser;
use cmdai::{
    cli::{Cli, Command},
    config::Config,
    error::{Error, Result},
};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cmdai: {error}");
            if let Some(hint) = error.next_step() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run() -> Result<()> {
    let cli = Cli::parse();
    let config = Config::load(&cli.suggest.engine)?;
    match cli.command {
        Some(Command::Model { action }) => cmdai::cmd::model::run(&action, &config),
        _ => Err(Error::usage("only cmdai model is wired here")),
    }
}
