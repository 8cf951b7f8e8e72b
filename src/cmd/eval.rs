//! `cmdai eval`: many requests through the same pipeline as one, as JSON lines, so that suggestions can be scored.

use std::{io, path::PathBuf, time::Instant};

use serde::{Deserialize, Serialize};

use super::{rows, suggest, visible};
use crate::{
    cli::EvalArgs,
    config::{self, Config},
    engine::{Engine, Interrupt},
    error::Result,
    model::store::Store,
    pipeline::{self, Candidates},
    request::{Request, Shell, Timing},
    safety::Risk,
};

/// One row asked; further fields are left alone.
#[derive(Deserialize)]
struct Row {
    id: serde_json::Value,
    request: String,
    /// Where the command is to run; files there are looked at as they are for one request.
    cwd: Option<PathBuf>,
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
    let answer = |row| answer(engine.as_mut(), row, shell, args.alternatives.into(), second_look);
    rows::answer(&mut io::stdin().lock(), &mut io::stdout().lock(), answer)
}

fn answer(engine: &mut dyn Engine, row: Row, shell: Shell, alternatives: usize, second_look: bool) -> Answer {
    let start = Instant::now();
    let mut candidates = Candidates::default();
    let folder = row.cwd.filter(|folder| folder.is_dir());
    let request = pipeline::request(&row.request, config::context(shell), alternatives).map(|request| {
        let excerpt = folder.as_deref().and_then(|folder| suggest::excerpt(&request.words, folder));
        Request { second_look, excerpt, ..request }
    });
    let outcome = request.as_ref().map_err(|error| visible(&error.to_string())).and_then(|request| {
        pipeline::suggest(engine, request, &mut candidates, &Interrupt::default(), &mut |_| {})
            .map_err(|error| visible(&error.to_string()))
    });
    let seconds = start.elapsed().as_secs_f64();
    let (timing, error) = match outcome {
        Ok(timing) => (timing, None),
        Err(error) => (Timing::default(), Some(error)),
    };
    let suggestions = candidates.best(alternatives).iter().cloned().map(|suggestion| match (&request, &folder) {
        (Ok(request), Some(folder)) => suggest::grounded(suggestion, request, folder),
        _ => suggestion,
    });
    let suggestions: Vec<_> = suggestions.collect();
    let mut commands = suggestions.iter().map(|suggestion| suggestion.command.clone());
    let first = suggestions.first();
    Answer {
        id: row.id,
        command: commands.next().unwrap_or_default(),
        seconds,
        risk: first.map(|suggestion| suggestion.assessment.risk),
        confidence: first.and_then(|suggestion| suggestion.confidence),
        alternatives: commands.collect(),
        timing,
        error,
    }
}
