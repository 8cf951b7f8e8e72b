//! The program: parse the arguments, start the log, dispatch, print an error and its hint, exit with its code.

use std::process::ExitCode;

use clap::Parser;
use cmdai::{cli::Cli, cmd};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return cmd::usage::explain(&error),
    };
    cmd::log::start();
    match cmd::run(&cli) {
        Ok(code) => code,
        Err(error) => cmd::report(&error),
    }
}
