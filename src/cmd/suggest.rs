//! `cmdai WORDS` and `cmdai suggest`: a request in, a command on stdout, everything else on stderr.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    note,
    risk::{self, risk_line},
    visible,
    widget::Answer,
};
use crate::{
    blast_radius::BlastRadius,
    cli::{EngineArgs, ExplainArgs, SuggestArgs, WidgetArgs},
    config::{self, Config, Dangerous, Setting},
    context::Context,
    engine::{self, Choice, Engine, Interrupt, remote},
    error::{Error, Result},
    model::{
        ModelSpec,
        store::{Record, Source, Store},
    },
    nearby,
    pipeline::{self, Candidates},
    request::{Excerpt, MAX_REQUEST_BYTES, Meaning, Request, Shell, Suggestion, Timing},
    safety::{self, Risk},
    server::{client::Client, client::Fault, protocol::Target},
};
use indicatif::ProgressBar;

/// Answers one request.
///
/// # Errors
/// A bad request, a missing model, a failing engine, no command.
pub fn run(args: &SuggestArgs) -> Result<()> {
    let words = words(&args.words)?;
    let shell = args.shell.map_or_else(config::login_shell, Ok)?;
    let config = Config::load(&args.engine)?;
    for warning in config.warnings() {
        note(&format!("cmdai: {warning}"));
    }
    // What is printed while it is written stays, so the first answer counts.
    let second_look = config.second_look()?.value && !args.stream;
    let request = pipeline::request(&words, config::context(shell), args.alternatives.into())?;
    let request = Request { second_look, streamed: args.stream, ..request };
    let sign = waiting_sign();
    let mut growing = Growing::default();
    let outcome = answer_request(&config, request, &|spec| sign.suspend(|| offer_pull(spec, &config)), &mut |text| {
        if args.stream {
            sign.finish_and_clear();
            growing.show(text);
        }
    });
    sign.finish_and_clear();
    let answered = growing.end(outcome)?;
    let suggestions = &answered.suggestions;
    let radii: Vec<BlastRadius> =
        suggestions.iter().map(|suggestion| risk::measure(&suggestion.assessment, suggestions.len())).collect();
    if args.json {
        return super::print(&risk::to_json(suggestions, &radii, &answered.timing));
    }
    for (suggestion, radius) in suggestions.iter().zip(&radii) {
        note(&risk::beside(suggestion, radius));
        if args.explain {
            risk::explain(suggestion);
        }
    }
    if args.explain || args.timing {
        note(&answered.timing_line());
    }
    let rest = answered.suggestions.iter().map(|suggestion| format!("{}\n", suggestion.command)).collect::<String>();
    super::print(rest.strip_prefix(&growing.shown).unwrap_or(&rest))
}

/// What a key press asks for, `text` being the line: no question is asked, nothing is printed. `preview` gets the answer
/// as far as it is written.
///
/// # Errors
/// As [`run`]; a dangerous suggestion where the person wants none.
pub fn answer(text: &str, args: &WidgetArgs, preview: &mut dyn FnMut(&str)) -> Result<Answer> {
    let config = Config::load(&EngineArgs::default())?;
    let context = config::context(args.shell);
    let missing = |spec: &ModelSpec| Err(Store::absent(spec));
    if args.explain {
        let command = pipeline::checked(text)?;
        let meanings = meanings(&config, command, &context, &missing, preview)?;
        return Ok(Answer::Explanation { note: rated(command, args.shell), lines: lines(&meanings) });
    }
    let text = text.trim().trim_start_matches('#');
    let request = pipeline::request(text, context, args.candidate.into())?;
    let request = Request { second_look: config.second_look()?.value, ..request };
    let mut suggestions = answer_request(&config, request, &missing, preview)?.suggestions;
    if suggestions.len() < args.candidate.into() {
        return Ok(Answer::NoMore);
    }
    match suggestions.pop() {
        Some(suggestion) => to_put(suggestion, config.dangerous()?.value),
        None => Err(Error::NoCommand("the model gave an empty answer".into())),
    }
}

/// `suggestion` as it goes on the line: a dangerous one as the person wants those.
fn to_put(suggestion: Suggestion, dangerous: Dangerous) -> Result<Answer> {
    let note = risk::beside(&suggestion, &risk::measure(&suggestion.assessment, 1));
    let Suggestion { mut command, slot: mut cursor, assessment, .. } = suggestion;
    match dangerous {
        Dangerous::Refuse if assessment.risk == Risk::Dangerous => {
            return Err(Error::usage(format!("the suggestion was refused, {note}"))
                .hint("it was asked for by dangerous = \"refuse\" in config.toml or CMDAI_DANGEROUS"));
        }
        Dangerous::Comment if assessment.risk == Risk::Dangerous => {
            (command, cursor) = (format!("# {}", command.replace('\n', "\n# ")), None);
        }
        _ => {}
    }
    Ok(Answer::Command { command, cursor, note })
}

/// Explains one command on stdout.
///
/// # Errors
/// A bad command, a missing model, a failing engine.
pub fn explain_command(args: &ExplainArgs) -> Result<()> {
    let text = words(&args.command)?;
    let command = pipeline::checked(&text)?;
    let shell = args.shell.map_or_else(config::login_shell, Ok)?;
    let config = Config::load(&args.engine)?;
    let sign = waiting_sign();
    let missing = |spec: &ModelSpec| sign.suspend(|| offer_pull(spec, &config));
    let outcome = meanings(&config, command, &config::context(shell), &missing, &mut |_| {});
    sign.finish_and_clear();
    let text: String = lines(&outcome?).iter().map(|line| format!("{line}\n")).collect();
    note(&rated(command, shell));
    super::print(&text)
}

/// The risk line of a command that is on the line already.
fn rated(command: &str, shell: Shell) -> String {
    let assessment = safety::assess(command, shell);
    risk_line(&assessment, &risk::measure(&assessment, 1))
}

/// What each part of `command` does, by the engine that answers requests too.
fn meanings(
    config: &Config,
    command: &str,
    context: &Context,
    missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>,
    on_text: &mut dyn FnMut(&str),
) -> Result<Vec<Meaning>> {
    let by_server = |client: &Client, target, on_text: &mut dyn FnMut(&str)| {
        client.explain(command.to_owned(), context.clone(), target, on_text)
    };
    let here = |engine: &mut dyn Engine, on_text: &mut dyn FnMut(&str)| {
        pipeline::explain(engine, command, context, &Interrupt::default(), on_text)
    };
    compute(config, missing, on_text, by_server, here).map(|computed| computed.answer)
}

/// A line for each part, the meanings below each other.
fn lines(meanings: &[Meaning]) -> Vec<String> {
    // A part wider than this pushes its own meaning aside, and no other.
    let widths = meanings.iter().map(|meaning| meaning.part.chars().count()).filter(|width| *width <= 24);
    let width = widths.max().unwrap_or(0);
    meanings.iter().map(|Meaning { part, meaning }| visible(&format!("{part:width$}  {meaning}"))).collect()
}

/// What a request came to.
pub struct Answered {
    pub suggestions: Vec<Suggestion>,
    pub timing: Timing,
    /// Where the words went, if they left the machine's own engines.
    pub remote: Option<String>,
}

impl Answered {
    fn timing_line(&self) -> String {
        match &self.remote {
            Some(server) => remote_line(&self.timing, server),
            None => timing_line(&self.timing),
        }
    }
}

/// Has `request` answered by the resident server, by an engine in this process where there is none, or by a remote one
/// where that is asked for. `missing` says what to do where the model's file is not here.
///
/// # Errors
/// As [`run`].
pub fn answer_request(
    config: &Config,
    request: Request,
    missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>,
    on_text: &mut dyn FnMut(&str),
) -> Result<Answered> {
    let start = Instant::now();
    let folder = std::env::current_dir().unwrap_or_default();
    // What files hold leaves the machine even less than what is typed.
    let is_remote = config.engine_choice()?.name == engine::REMOTE;
    let excerpt = if is_remote { None } else { excerpt(&request.words, &folder) };
    let request = Request { excerpt, ..request };
    let by_server =
        |client: &Client, target, on_text: &mut dyn FnMut(&str)| client.suggest(request.clone(), target, on_text);
    let here = |engine: &mut dyn Engine, on_text: &mut dyn FnMut(&str)| {
        let mut candidates = Candidates::default();
        let timing = pipeline::suggest(engine, &request, &mut candidates, &Interrupt::default(), on_text)?;
        Ok((candidates.best(request.alternatives).to_vec(), timing))
    };
    let Computed { answer: (suggestions, mut timing), load_ms, remote } =
        compute(config, missing, on_text, by_server, here)?;
    // The server's own part of it is in there already.
    timing.load_ms += load_ms;
    let suggestions = suggestions.into_iter().map(|suggestion| grounded(suggestion, &request, &folder)).collect();
    timing.total_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Answered { suggestions, timing, remote })
}

/// What the first file that `words` name holds, seen from `folder`.
pub fn excerpt(words: &str, folder: &Path) -> Option<Excerpt> {
    nearby::excerpt(words, folder, config::home().as_deref())
}

/// `suggestion` with the files that it means, as they lie in and below `folder`.
pub fn grounded(suggestion: Suggestion, request: &Request, folder: &Path) -> Suggestion {
    pipeline::grounded(suggestion, request, |name| folder.join(name).exists(), |name| nearby::only(name, folder))
}

/// What an engine made, and what it took to have one.
struct Computed<T> {
    answer: T,
    /// Opening it in this process.
    load_ms: f64,
    /// Where the words went, if they left the machine's own engines.
    remote: Option<String>,
}

/// Has the configured engine work: a remote one where that is asked for, that of the resident server, or one in this
/// process where there is no server. `missing` says what to do where the model's file is not here.
fn compute<T>(
    config: &Config,
    missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>,
    on_text: &mut dyn FnMut(&str),
    by_server: impl FnOnce(&Client, Target, &mut dyn FnMut(&str)) -> std::result::Result<T, Fault>,
    here: impl FnOnce(&mut dyn Engine, &mut dyn FnMut(&str)) -> Result<T>,
) -> Result<Computed<T>> {
    let target = match whose(config, missing)? {
        Whose::Remote(settings) => {
            let remote = Some(settings.server.to_string());
            let mut engine = remote::Remote::open(settings, remote::Patience::default())?;
            return Ok(Computed { answer: here(&mut engine, on_text)?, load_ms: 0.0, remote });
        }
        Whose::Ours(target) => target,
    };
    if config.server()?.value {
        let client = super::server::client().map_err(Fault::Unreachable);
        match client.and_then(|client| by_server(&client, target.clone(), on_text)) {
            Ok(answer) => return Ok(Computed { answer, load_ms: 0.0, remote: None }),
            Err(Fault::Unreachable(why)) => tracing::warn!(%why, "no server can be reached: computing here"),
            Err(fault) => return Err(fault.into()),
        }
    }
    let start = Instant::now();
    let mut engine = target.open(config.cache())?;
    let load_ms = start.elapsed().as_secs_f64() * 1e3;
    Ok(Computed { answer: here(engine.as_mut(), on_text)?, load_ms, remote: None })
}

/// What computes.
enum Whose {
    Remote(remote::Settings),
    Ours(Target),
}

/// The configured engine; `missing` says what to do where the model's file is not here.
fn whose(config: &Config, missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>) -> Result<Whose> {
    // Before anybody is told to fetch a model for an engine that is not there.
    let choice = config.engine_choice()?;
    if choice.name == engine::REMOTE {
        return config.remote().map(Whose::Remote);
    }
    target(config, &choice, find(config, missing)?).map(Whose::Ours)
}

/// The configured engine, in this process.
///
/// # Errors
/// There is none, its model is not here, or it cannot be opened.
pub fn open(config: &Config, missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>) -> Result<Box<dyn Engine>> {
    Ok(match whose(config, missing)? {
        Whose::Remote(settings) => Box::new(remote::Remote::open(settings, remote::Patience::default())?),
        Whose::Ours(target) => target.open(config.cache())?,
    })
}

/// What the server needs to know to open `model` as it is configured here.
///
/// # Errors
/// The number of threads is none, or the adapter does not hold up.
pub fn target(config: &Config, engine: &Choice, model: Record) -> Result<Target> {
    let threads = config.threads()?.map(|threads| threads.value);
    let lora = adapter(config)?.map(|adapter| adapter.value);
    Ok(Target { model, engine: engine.name.to_owned(), threads, lora })
}

/// The configured LoRA adapter, if there is one.
///
/// # Errors
/// It is not there, or is none.
pub fn adapter(config: &Config) -> Result<Option<Setting<Record>>> {
    let Some(Setting { value: path, origin }) = config.lora()? else { return Ok(None) };
    match Store::new(config.store()?).adapter(&path) {
        Ok(value) => Ok(Some(Setting { value, origin })),
        Err(error) => Err(error.hint(format!("it was set by {origin}"))),
    }
}

/// The configured model, verified; `missing` says what to do where its file is not here.
///
/// # Errors
/// It is not here, or does not hold up.
pub fn find(config: &Config, missing: &dyn Fn(&ModelSpec) -> Result<PathBuf>) -> Result<Record> {
    let store = Store::new(config.store()?);
    let spec = ModelSpec::parse(&config.model().value)?;
    if let Some(model) = store.locate(&spec)? {
        return Ok(model);
    }
    missing(&spec)?;
    store.locate(&spec)?.ok_or_else(|| Store::absent(&spec))
}

/// A command that is printed while it is written. What is printed stays printed, so only what surely is a part of it is.
#[derive(Default)]
struct Growing {
    shown: String,
}

impl Growing {
    fn show(&mut self, text: &str) {
        if let Some(more) = text.strip_prefix(self.shown.as_str()).filter(|more| !more.is_empty())
            && super::print(more).is_ok()
        {
            self.shown = text.to_owned();
        }
    }

    /// Ends the line of a command that comes to nothing, or to something else.
    fn end(&mut self, outcome: Result<Answered>) -> Result<Answered> {
        let holds = |answered: &Answered| answered.suggestions[0].command.starts_with(&self.shown);
        if !self.shown.is_empty() && !outcome.as_ref().is_ok_and(holds) {
            super::print("\n")?;
            self.shown.clear();
        }
        outcome
    }
}

/// Something that moves on a terminal's stderr while the model computes; nothing elsewhere.
fn waiting_sign() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
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

fn timing_line(timing: &Timing) -> String {
    let Timing { connect_ms, queue_ms, load_ms, prefill_ms, decode_ms, parse_ms, total_ms, .. } = timing;
    let Timing { prompt_tokens, cached_tokens, decoded_tokens, .. } = timing;
    format!(
        "  connect {connect_ms:.1} ms, queue {queue_ms:.1} ms, load {load_ms:.0} ms, prefill {} tokens {prefill_ms:.0} ms \
         ({cached_tokens} were there), decode {decoded_tokens} tokens {decode_ms:.0} ms, parse {parse_ms:.1} ms, \
         total {total_ms:.0} ms",
        prompt_tokens - cached_tokens
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

    #[test]
    fn dangerous_suggestion_goes_on_the_line_as_the_person_wants() {
        let put = |command: &str, dangerous| {
            let assessment = safety::assess(command, Shell::Bash);
            to_put(Suggestion { command: command.into(), slot: Some(3), confidence: None, assessment }, dangerous)
        };
        let (safe, bad) = ("ls '<file>'", "rm -rf /");
        for dangerous in [Dangerous::Warn, Dangerous::Comment, Dangerous::Refuse] {
            let Answer::Command { command, cursor, note } = put(safe, dangerous).unwrap() else { unreachable!() };
            assert_eq!((command.as_str(), cursor, note.as_str()), (safe, Some(3), "safe"));
        }
        let Answer::Command { command, note, .. } = put(bad, Dangerous::Warn).unwrap() else { unreachable!() };
        assert!(command == bad && note.starts_with("dangerous: "), "{note}");
        let Answer::Command { command, cursor, .. } = put(bad, Dangerous::Comment).unwrap() else { unreachable!() };
        assert_eq!((command.as_str(), cursor), ("# rm -rf /", None));
        assert!(
            put(bad, Dangerous::Refuse).unwrap_err().to_string().starts_with("the suggestion was refused, dangerous: ")
        );
    }

    #[test]
    fn meanings_stand_below_each_other() {
        let meaning = |part: &str, meaning: &str| Meaning { part: part.into(), meaning: meaning.into() };
        let long = "x".repeat(30);
        let all = [meaning("ls", "lists"), meaning("-l é", "in full\u{1b}"), meaning(&long, "much")];
        assert_eq!(lines(&all), ["ls    lists", "-l é  in full\\u{1b}", &format!("{long}  much")]);
    }
}
