//! `cmdai WORDS` and `cmdai suggest`: a request in, a command on stdout, everything else on stderr.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Read, Write},
    path::PathBuf,
    time::{Duration, Instant},
};

use indicatif::ProgressBar;
use serde_json::json;

use super::{note, widget::Answer};
use crate::{
    cli::{EngineArgs, SuggestArgs},
    config::{self, Config},
    context::Context,
    engine::{self, Choice, Engine, remote},
    error::{Error, Result},
    model::{
        ModelSpec,
        store::{Source, Store},
    },
    pipeline,
    platform::Platform,
    request::{MAX_REQUEST_BYTES, Request, Shell, Suggestion, Timing},
    safety::Risk,
};

/// Answers one request.
///
/// # Errors
/// A bad request, a missing model, a failing engine, no command.
pub fn run(args: &SuggestArgs) -> Result<()> {
    let words = pipeline::checked_words(&words(&args.words)?)?;
    let shell = args.shell.map_or_else(config::login_shell, Ok)?;
    let config = Config::load(&args.engine)?;
    for warning in config.warnings() {
        note(&format!("cmdai: {warning}"));
    }
    let request = Request { words, context: Context::capture(shell), alternatives: args.alternatives.into() };
    let mut engine = open(&config, &|spec| offer_pull(spec, &config))?;
    let sign = waiting_sign();
    let outcome = pipeline::suggest(engine.model.as_mut(), &request);
    sign.finish_and_clear();
    let (suggestions, mut timing) = outcome?;
    timing.load_ms = engine.load_ms;
    if args.json {
        return super::print(&to_json(&suggestions, &timing));
    }
    for suggestion in &suggestions {
        note(&risk_line(suggestion));
        if args.explain {
            explain(suggestion);
        }
    }
    if args.explain {
        note(&match engine.server {
            Some(server) => remote_line(&timing, &server),
            None => timing_line(&timing),
        });
    }
    super::print(&suggestions.iter().map(|suggestion| format!("{}\n", suggestion.command)).collect::<String>())
}

/// The command for `words`, checked ones, for a widget: no question is asked, nothing is printed. Its note is the risk,
/// where there is any.
///
/// # Errors
/// As [`run`].
pub fn answer(words: String, shell: Shell, _preview: &mut dyn FnMut(&str)) -> Result<Answer> {
    let config = Config::load(&EngineArgs::default())?;
    let mut engine = open(&config, &|spec| Err(Store::absent(spec)))?;
    let request = Request { words, context: Context::capture(shell), alternatives: 1 };
    let (suggestions, _) = pipeline::suggest(engine.model.as_mut(), &request)?;
    // Now, while the person still waits: what is left for after the answer is time in which a key could run it unseen.
    drop(engine);
    let Some(suggestion) = suggestions.into_iter().next() else {
        return Err(Error::NoCommand("the model gave an empty answer".into()));
    };
    let note = if suggestion.assessment.risk == Risk::Safe { String::new() } else { risk_line(&suggestion) };
    Ok(Answer { command: suggestion.command, note })
}

struct Opened {
    model: Box<dyn Engine>,
    load_ms: f64,
    /// Where the words go, if they leave the process.
    server: Option<String>,
}

/// Opens the configured engine; `missing` says what to do where it needs a model file that is not here.
fn open(config: &Config, missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>) -> Result<Opened> {
    let platform = Platform::detect();
    // Before anybody is told to fetch a model for an engine that is not there.
    let choice = engine::choose(config.engine().as_ref().map(|engine| engine.value.as_str()), &platform)?;
    match choice.name {
        engine::REMOTE => open_remote(config),
        _ => open_local(config, &choice, &platform, missing),
    }
}

fn open_remote(config: &Config) -> Result<Opened> {
    let start = Instant::now();
    let settings = config.remote()?;
    let server = Some(settings.server.to_string());
    let model = Box::new(remote::Remote::open(settings, remote::Patience::default())?);
    Ok(Opened { model, load_ms: start.elapsed().as_secs_f64() * 1e3, server })
}

fn open_local(
    config: &Config,
    choice: &Choice,
    platform: &Platform,
    missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>,
) -> Result<Opened> {
    let store = Store::new(config.store()?);
    let spec = ModelSpec::parse(&config.model().value)?;
    let model = match store.locate(&spec)? {
        Some(model) => model,
        None => {
            missing(&spec)?;
            store.locate(&spec)?.ok_or_else(|| Store::absent(&spec))?
        }
    };
    let settings = engine::Settings { threads: config.threads()?.map(|threads| threads.value), cache: config.cache() };
    let start = Instant::now();
    let model = engine::open(&model, choice, platform, &settings)?;
    Ok(Opened { model, load_ms: start.elapsed().as_secs_f64() * 1e3, server: None })
}

/// Something that moves on a terminal's stderr while the model computes; nothing elsewhere.
fn waiting_sign() -> ProgressBar {
    let sign = ProgressBar::new_spinner().with_message("thinking");
    sign.enable_steady_tick(Duration::from_millis(150));
    sign
}

/// Asks on a terminal whether to fetch the model now; elsewhere says how.
fn offer_pull(spec: &ModelSpec, config: &Config) -> Result<PathBuf> {
    let missing = || Store::absent(spec);
    if spec.store_file().is_none() || !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(missing());
    }
    let size = spec.pin().map_or(String::new(), |pin| format!(" ({:.1} GB)", pin.size as f64 / 1e9));
    let _ = write!(io::stderr(), "The model {} is not on this machine yet. Fetch it now{size}? [Y/n] ", spec.name);
    let mut reply = String::new();
    let _ = io::stdin().read_line(&mut reply);
    match reply.trim().to_ascii_lowercase().as_str() {
        "" | "y" | "yes" if reply.ends_with('\n') => super::model::pull_with_progress(spec, config, Source::Auto),
        _ => Err(missing()),
    }
}

/// The request: the words of the command line, else stdin.
fn words(args: &[OsString]) -> Result<String> {
    if !args.is_empty() {
        let words: Option<Vec<&str>> = args.iter().map(|word| word.to_str()).collect();
        return words.map(|words| words.join(" ")).ok_or_else(not_utf8);
    }
    if io::stdin().is_terminal() {
        return Err(Error::usage("nothing was asked")
            .hint("say what the command should do: cmdai find files larger than 10 MB (all of it: cmdai --help)"));
    }
    let mut bytes = Vec::new();
    let limit = MAX_REQUEST_BYTES as u64 * 16;
    io::stdin()
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(|cause| Error::new(format!("could not read the request from stdin: {cause}")))?;
    if bytes.len() as u64 == limit {
        // Cut off here, perhaps inside a character.
        let message = format!("the request is too long: {limit} bytes or more, at most {MAX_REQUEST_BYTES}");
        return Err(Error::usage(message).hint("say it in a sentence or two"));
    }
    String::from_utf8(bytes).map_err(|_| not_utf8())
}

fn not_utf8() -> Error {
    Error::usage("the request is not UTF-8").hint("type it in your locale's UTF-8, or plain ASCII")
}

fn to_json(suggestions: &[Suggestion], timing: &Timing) -> String {
    let first = &suggestions[0];
    let object = json!({
        "command": first.command,
        "risk": first.assessment.risk,
        "findings": first.assessment.findings,
        "alternatives": suggestions[1..],
        "timing": timing,
    });
    format!("{object}\n")
}

/// The risk word, with the worst reason where there is one: `caution: deletes files`.
pub fn risk_line(suggestion: &Suggestion) -> String {
    let assessment = &suggestion.assessment;
    let worst = assessment.findings.iter().find(|finding| finding.risk == assessment.risk);
    match worst {
        Some(finding) if assessment.risk > Risk::Safe => format!("{}: {}", assessment.risk.word(), finding.reason),
        _ => assessment.risk.word().to_owned(),
    }
}

fn explain(suggestion: &Suggestion) {
    for finding in &suggestion.assessment.findings {
        let (start, end) = finding.span;
        let part = suggestion.command.get(start..end).unwrap_or_default();
        note(&format!("  {}: {} [{}]: {part}", finding.risk.word(), finding.reason, finding.rule));
    }
}

fn timing_line(timing: &Timing) -> String {
    let Timing { load_ms, prefill_ms, decode_ms, prompt_tokens, decoded_tokens } = timing;
    format!(
        "  load {load_ms:.0} ms, prefill {prompt_tokens} tokens {prefill_ms:.0} ms, decode {decoded_tokens} tokens {decode_ms:.0} ms"
    )
}

/// What is known of a server's time; how it divides it is its own matter.
fn remote_line(timing: &Timing, server: &str) -> String {
    let Timing { prefill_ms, decode_ms, .. } = timing;
    format!("  your words went to {server}: first text after {prefill_ms:.0} ms, the rest in {decode_ms:.0} ms")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety;

    #[test]
    fn an_alternative_in_json_has_the_shape_of_the_first() {
        let suggestion =
            |command: &str| Suggestion { command: command.into(), assessment: safety::assess(command, Shell::Bash) };
        let text = to_json(&[suggestion("ls"), suggestion("rm x")], &Timing::default());
        let object: serde_json::Value = serde_json::from_str(&text).unwrap();
        let other = &object["alternatives"][0];
        assert_eq!((&other["command"], &other["risk"]), (&json!("rm x"), &json!("caution")));
        assert!(other["findings"].is_array() && other["findings"] != object["findings"], "{text}");
    }
}
