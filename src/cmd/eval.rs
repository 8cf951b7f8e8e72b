//! `cmdai eval`: many requests through the same pipeline as one, as JSON lines, so that suggestions can be scored.

use std::{
    io::{self, BufRead, Write},
    time::Instant,
};

use serde::{Deserialize, Serialize};

use super::{suggest, visible};
use crate::{
    cli::EvalArgs,
    config::{self, Config},
    engine::{Engine, Interrupt},
    error::{Context, Error, Result},
    model::store::Store,
    pipeline::{self, Candidates},
    request::{Request, Shell, Suggestion, Timing},
    safety::Risk,
};

/// One row asked; further fields are left alone.
#[derive(Deserialize)]
struct Row {
    id: serde_json::Value,
    request: String,
}

/// One row answered.
#[derive(Serialize)]
struct Answer {
    id: serde_json::Value,
    /// The likeliest command; empty where there is none.
    command: String,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    risk: Option<Risk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    /// The other commands, where more than one was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    alternatives: Vec<String>,
    timing: Timing,
    /// Why there is no command.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Answers the rows on standard input, with one engine for all.
///
/// # Errors
/// A row that is none, an engine that cannot be opened. A request that no command could be made for is a row.
pub fn run(args: &EvalArgs) -> Result<()> {
    let shell = args.shell.map_or_else(config::login_shell, Ok)?;
    let config = Config::load(&args.engine)?;
    let second_look = config.second_look()?.value;
    let mut engine = suggest::open(&config, &|spec| Err(Store::absent(spec)))?;
    let mut out = io::stdout().lock();
    for (number, line) in io::stdin().lock().lines().enumerate() {
        let line = line.context(|| "could not read rows from stdin")?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Row = serde_json::from_str(&line).context(|| format!("could not read row {}", number + 1))?;
        let answer = answer(engine.as_mut(), row, shell, args.alternatives.into(), second_look);
        let text = serde_json::to_string(&answer).context(|| "could not write a row")?;
        writeln!(out, "{text}").and_then(|()| out.flush()).context(|| "could not write a row")?;
    }
    Ok(())
}

fn answer(engine: &mut dyn Engine, row: Row, shell: Shell, alternatives: usize, second_look: bool) -> Answer {
    let start = Instant::now();
    let mut candidates = Candidates::default();
    let outcome = pipeline::request(&row.request, config::context(shell), alternatives)
        .map(|request| Request { second_look, ..request })
        .and_then(|request| pipeline::suggest(engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}));
    let seconds = start.elapsed().as_secs_f64();
    let (timing, error) = match outcome {
        Ok(timing) => (timing, None),
        Err(error) => (Timing::default(), Some(reason(&error))),
    };
    let mut found = candidates.found.into_iter().take(alternatives);
    let first = found.next();
    let confidence = first.as_ref().and_then(|suggestion| suggestion.confidence);
    let risk = first.as_ref().map(|suggestion| suggestion.assessment.risk);
    Answer {
        id: row.id,
        command: first.map_or_else(String::new, |suggestion| suggestion.command),
        seconds,
        risk,
        confidence,
        alternatives: found.map(|Suggestion { command, .. }| command).collect(),
        timing,
        error,
    }
}

fn reason(error: &Error) -> String {
    visible(&error.to_string())
}
