//! What to say when the command line cannot be read: clap's reason in one line, and a way on.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{cli::Cli, error::Result};

/// Prints help to stdout (exit 0) or one line and a hint to stderr (exit 2).
pub fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim);
    let message = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let values = lines.find_map(|line| line.strip_prefix('[')?.strip_suffix(']'));
    let _ = writeln!(io::stderr(), "cmdai: {}\nhint: {}", super::visible(message), hint(error, values));
    ExitCode::from(2)
}

/// `cmdai help`, which nobody means as a request.
///
/// # Errors
/// Stdout cannot be written.
pub fn help() -> Result<()> {
    super::print(&Cli::command().render_long_help().to_string())
}

/// The next step: the values that a flag takes, or the way to say that a request was meant.
fn hint(error: &clap::Error, values: Option<&str>) -> String {
    match (error.kind(), values) {
        (ErrorKind::InvalidValue, Some(values)) if names_a_flag(error) => values.to_owned(),
        (ErrorKind::UnknownArgument, _) if names_a_flag(error) => {
            "put -- before words that begin with a dash, or quote the request".into()
        }
        (ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand, _) => {
            "quote a command as one word; a request that begins with a command's name is cmdai suggest WORDS".into()
        }
        _ => "cmdai --help shows how it is used".into(),
    }
}

fn names_a_flag(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(argument)) if argument.starts_with('-'))
}
