//! One command of the program each. Settings are read here, once, and passed on as values; stdout belongs here too.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use crate::{
    cli::{Cli, Command, EngineArgs},
    config::Config,
    error::{Error, Result},
    safety::hidden_name,
};

pub mod bench;
pub mod check;
pub mod completions;
pub mod doctor;
pub mod eval;
mod fatal;
pub mod init;
pub mod log;
pub mod model;
pub mod offline;
mod risk;
mod rows;
pub mod server;
pub mod suggest;
pub mod usage;
pub mod widget;

/// Runs the command that `cli` asks for.
///
/// # Errors
/// Whatever that command reports.
pub fn run(cli: &Cli) -> Result<ExitCode> {
    fatal::keep_panics_brief();
    if cli.version {
        return doctor::version().map(|()| ExitCode::SUCCESS);
    }
    if !matches!(cli.command, Some(Command::Widget(_))) {
        fatal::report();
    }
    match &cli.command {
        None if cli.suggest.words == ["help"] => usage::help(),
        None => suggest::run(&cli.suggest),
        Some(Command::Suggest(args)) => suggest::run(args),
        Some(Command::Init(args)) => init::run(args),
        Some(Command::Completions { shell }) => completions::run(*shell),
        Some(Command::Model { action }) => model::run(action, &Config::load(&EngineArgs::default())?),
        Some(Command::Doctor(args)) if args.prove_offline => offline::prove(&args.engine),
        Some(Command::Doctor(args)) => doctor::run(&args.engine),
        Some(Command::Server { action }) => server::run(action),
        Some(Command::Bench(args)) => bench::run(args),
        Some(Command::Check(args)) => return check::run(args),
        Some(Command::Eval(args)) => eval::run(args),
        Some(Command::Widget(args)) => widget::run(args, |text, preview| suggest::answer(&text, args, preview)),
        Some(Command::Explain(args)) => suggest::explain_command(args),
    }
    .map(|()| ExitCode::SUCCESS)
}

/// Writes `text` to stdout. A reader that has gone away (`| head -1`) is not an error.
///
/// # Errors
/// Any other failure to write, such as a full disk.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(cause) if cause.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::new(format!("could not write to stdout: {cause}")))
        }
        _ => Ok(()),
    }
}

/// One line on stderr; one that cannot be written is nobody's problem, where `eprintln!` would panic.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Says on stderr what failed and what to do next, a line each, and gives the exit code.
pub fn report(error: &Error) -> ExitCode {
    let mut stderr = io::stderr().lock();
    let _ = writeln!(stderr, "cmdai: {}", visible(&error.to_string()));
    if let Some(hint) = error.next_step() {
        let _ = writeln!(stderr, "hint: {}", visible(&hint));
    }
    ExitCode::from(error.exit_code())
}

/// `text` on one line, with what a terminal would obey or hide written out: names of files and words of servers are in it.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.trim().chars() {
        match c {
            '\n' | '\t' => shown.push(' '),
            c if hidden_name(c).is_some() => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    shown
}
