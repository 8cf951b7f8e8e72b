//! What to say when the command line cannot be read: clap's own words, and a way on where a request was meant.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Prints help to stdout (exit 0) or the usage error to stderr (exit 2).
pub fn explain(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => return ExitCode::SUCCESS,
        ErrorKind::UnknownArgument if names_a_flag(error) => {
            hint("put -- before words that begin with a dash, or quote the request");
        }
        // clap lists the values that the flag takes.
        ErrorKind::InvalidValue if names_a_flag(error) => {}
        ErrorKind::UnknownArgument | ErrorKind::InvalidValue | ErrorKind::InvalidSubcommand => {
            hint("if this was a request that begins with a command's name: cmdai suggest WORDS");
        }
        _ => {}
    }
    ExitCode::from(2)
}

fn names_a_flag(error: &clap::Error) -> bool {
    matches!(error.get(ContextKind::InvalidArg), Some(ContextValue::String(argument)) if argument.starts_with('-'))
}

fn hint(text: &str) {
    let _ = writeln!(io::stderr(), "hint: {text}");
}
