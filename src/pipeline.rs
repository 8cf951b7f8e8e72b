//! One request, from words to rated commands: prompt -> generate -> parse -> assess.

use std::{ops::ControlFlow, time::Instant};

use crate::{
    context::Context,
    engine::{Engine, GenerateParams, Interrupt},
    error::{Error, Result},
    parse, prompt,
    request::{MAX_REQUEST_BYTES, Request, Suggestion, Timing},
    safety,
};

/// Most tokens of an answer; the longest command of the evaluation set has 94.
const MAX_TOKENS: usize = 160;

/// Tries for each further alternative before giving up on finding a new one.
const TRIES: usize = 3;

/// Spread of the draws for further alternatives: enough to differ, low enough to stay a command.
const TEMPERATURE: f32 = 0.8;

/// Takes the words of a person for a request.
///
/// # Errors
/// Empty, longer than [`MAX_REQUEST_BYTES`], or holding control characters.
pub fn checked_words(text: &str) -> Result<String> {
    let words = text.trim();
    if words.is_empty() {
        return Err(Error::usage("the request is empty").hint("say what the command should do: cmdai list open ports"));
    }
    if words.len() > MAX_REQUEST_BYTES {
        let message = format!("the request is too long: {} bytes, at most {MAX_REQUEST_BYTES}", words.len());
        return Err(Error::usage(message).hint("say it in a sentence or two"));
    }
    match words.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        Some(found) => Err(Error::usage(format!("the request holds the control character U+{:04X}", u32::from(found)))
            .hint("type it as plain text")),
        None => Ok(words.to_owned()),
    }
}

/// Suggests up to `request.alternatives` different commands, the likeliest first. `on_text` gets that one as far as it is
/// written, whenever there is more of it. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, the work was ended, or the likeliest answer is no command that can be shown.
pub fn suggest(
    engine: &mut dyn Engine,
    request: &Request,
    interrupt: &Interrupt,
    on_text: &mut dyn FnMut(&str),
) -> Result<(Vec<Suggestion>, Timing)> {
    let prompt = prompt::build(&request.words, &request.context);
    let mut timing = Timing::default();
    let mut found: Vec<Suggestion> = Vec::new();
    for seed in 0..(1 + (request.alternatives - 1) * TRIES) as u64 {
        let temperature = if seed == 0 { 0.0 } else { TEMPERATURE };
        let params = GenerateParams { max_tokens: MAX_TOKENS, temperature, seed, interrupt: interrupt.clone() };
        let mut on_text = |text: &str| {
            if seed == 0 {
                on_text(text)
            }
        };
        match one(engine, &prompt, &params, request, &mut timing, &mut on_text) {
            Ok(suggestion) if found.iter().all(|known| known.command != suggestion.command) => found.push(suggestion),
            // The likeliest answer decides whether there is one; a failed draw is only a draw less.
            Err(error) if seed == 0 => return Err(error),
            Ok(_) | Err(Error::NoCommand(_) | Error::Unprintable(_)) => {}
            Err(error) => return Err(error),
        }
        if found.len() == request.alternatives {
            break;
        }
    }
    Ok((found, timing))
}

fn one(
    engine: &mut dyn Engine,
    prompt: &crate::engine::Prompt,
    params: &GenerateParams,
    request: &Request,
    timing: &mut Timing,
    on_text: &mut dyn FnMut(&str),
) -> Result<Suggestion> {
    let mut text = String::new();
    let mut shown = 0;
    let usage = engine.generate(prompt, params, &mut |piece| {
        text.push_str(piece);
        let command = safety::printable_part(parse::so_far(&text));
        if command.len() > std::mem::replace(&mut shown, command.len()) {
            on_text(command);
        }
        if parse::is_complete(&text) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    timing.prefill_ms += usage.prefill_ms;
    timing.decode_ms += usage.decode_ms;
    timing.decoded_tokens += usage.decoded_tokens;
    timing.prompt_tokens = usage.prompt_tokens;
    if params.seed == 0 {
        timing.cached_tokens = usage.cached_tokens;
    }
    let start = Instant::now();
    let suggestion = suggestion(&text, usage.cut, request);
    timing.parse_ms += start.elapsed().as_secs_f64() * 1e3;
    suggestion
}

/// The command in an answer, rated.
fn suggestion(text: &str, cut: bool, request: &Request) -> Result<Suggestion> {
    let command = parse::command(text, !cut)?;
    safety::printable(&command).map_err(Error::Unprintable)?;
    let assessment = safety::assess(&command, request.context.shell);
    // The model was about to go on: `case "$1" in` is no command of its own.
    if parse::is_complete(text) && is_a_beginning(&command, &assessment) {
        return Err(Error::NoCommand("the answer goes over several lines".into()));
    }
    Ok(Suggestion { command, assessment })
}

/// Has `engine` compute the prompt for `words` that are still being typed. Asked for as they are, only the answer is left
/// to write; with more words behind them, the beginning is there. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, or the work was ended.
pub fn prepare(engine: &mut dyn Engine, words: &str, context: &Context, interrupt: &Interrupt) -> Result<()> {
    engine.prepare(&prompt::build(&checked_words(words)?, context), interrupt)
}

/// Whether `command` is a first line that the shell would wait after for more.
fn is_a_beginning(command: &str, assessment: &safety::Assessment) -> bool {
    command.ends_with('\\') || assessment.findings.iter().any(|finding| finding.rule == "unparsed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::Usage, request::Shell};

    /// An engine that always answers the same.
    struct Says(&'static str);

    impl Engine for Says {
        fn generate(
            &mut self,
            _prompt: &crate::engine::Prompt,
            _params: &GenerateParams,
            on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
        ) -> Result<Usage> {
            let _ = self.0.split_inclusive(' ').try_for_each(on_text);
            Ok(Usage::default())
        }
    }

    fn answer(text: &'static str) -> Result<String> {
        let context = Context::capture(Shell::Bash);
        let request = Request { words: "x".into(), context, alternatives: 1 };
        suggest(&mut Says(text), &request, &Interrupt::default(), &mut |_| {})
            .map(|(found, _)| found[0].command.clone())
    }

    #[test]
    fn first_line_of_a_longer_command_is_not_taken_for_the_command() {
        for text in [
            "case \"$1\" in\n  start) echo 1 ;;\nesac",
            "for f in *; do\n  wc -l \"$f\"\ndone",
            "```bash\nif true; then\n  ls\nfi\n```",
            "mkcd() {\n  mkdir \"$1\"\n}",
            "find . \\\n  -name x",
            "ls |\n  wc -l",
            "echo 'one\ntwo'",
        ] {
            let error = answer(text).expect_err(text);
            assert_eq!(error.to_string(), "no command could be made: the answer goes over several lines", "{text:?}");
        }
        for text in ["ls\nThis lists.", "for f in *; do wc -l \"$f\"; done\n", "```bash\nls | wc -l\n```", "ls"] {
            assert!(answer(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn bad_requests_are_refused_before_any_model_is_asked() {
        let long = "a".repeat(100_000);
        for (words, reason) in [
            ("", "empty"),
            (" \n\t ", "empty"),
            (&long, "too long: 100000 bytes"),
            ("a\0b", "U+0000"),
            ("x\x1b[31m", "U+001B"),
        ] {
            let error = checked_words(words).expect_err(words);
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert_eq!(checked_words("  列出 é\tfiles\nthen sort ").unwrap(), "列出 é\tfiles\nthen sort");
    }
}
