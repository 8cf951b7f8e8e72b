//! The program: parse the arguments, start the log, dispatch, print an error and its hint, exit with its code.

use std::{io::Write, process::ExitCode};

use clap::Parser;
use cmdai::{cli::Cli, cmd, error::Error};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cmd::usage::explain(&error),
    };
    cmd::log::start();
    match cmd::run(&cli) {
        Ok(code) => code,
        Err(error) => report(&error),
    }
}

fn report(error: &Error) -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let _ = writeln!(stderr, "cmdai: {error}");
    if let Some(hint) = error.next_step() {
        let _ = writeln!(stderr, "hint: {hint}");
    }
    ExitCode::from(error.exit_code())
}
