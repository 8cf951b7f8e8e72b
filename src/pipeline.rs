//! One request, from words to rated commands: prompt -> generate -> parse -> assess.

use std::{ops::ControlFlow, time::Instant};

use crate::{
    context::Context,
    engine::{Engine, GenerateParams, Interrupt, Prompt},
    error::{Error, Result},
    parse::{self, End},
    prompt,
    quoted::{self, Quoted},
    request::{MAX_REQUEST_BYTES, Meaning, Request, Shell, Suggestion, Timing},
    safety,
};

/// Most tokens of an answer; the longest command of the evaluation set has 94.
const MAX_TOKENS: usize = 160;

/// Tries for each further alternative before giving up on finding a new one.
const TRIES: usize = 3;

/// Spread of the draws for further alternatives: enough to differ, low enough to stay a command.
const TEMPERATURE: f32 = 0.8;

/// Most tokens of what is said of one part of a command.
const MAX_MEANING_TOKENS: usize = 40;

/// Takes what a person wrote for a request: words, or a command with `# what to change` behind it.
///
/// # Errors
/// Empty, longer than [`MAX_REQUEST_BYTES`], or holding control characters.
pub fn request(text: &str, context: Context, alternatives: usize) -> Result<Request> {
    let text = checked(text)?;
    // Words that only look like a command with a comment begin with no program's name.
    let change = safety::commented(text, context.shell).filter(|(command, _)| names_a_program(command));
    let (words, current) = match change {
        Some((command, change)) => (change, Some(command.to_owned())),
        None => (text, None),
    };
    Ok(Request { words: words.to_owned(), current, context, alternatives })
}

/// What a person wrote, without the space around it.
///
/// # Errors
/// As of [`request`].
pub fn checked(text: &str) -> Result<&str> {
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
        None => Ok(words),
    }
}

/// What a shell runs by itself and no PATH has.
const BUILTINS: [&str; 14] = [
    "alias", "builtin", "cd", "command", "exec", "export", "for", "function", "history", "if", "set", "source",
    "until", "while",
];

fn names_a_program(command: &str) -> bool {
    let first = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
    BUILTINS.contains(&first) || which::which(first).is_ok()
}

/// The suggestions made so far for one request; with more of them wanted, it goes on from there.
#[derive(Default)]
pub struct Candidates {
    pub found: Vec<Suggestion>,
    next_seed: u64,
}

/// Adds to `candidates` up to `request.alternatives` different commands, the likeliest first. `on_text` gets that one as
/// far as it is written, whenever there is more of it. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, the work was ended, or the likeliest answer is no command that can be shown.
pub fn suggest(
    engine: &mut dyn Engine,
    request: &Request,
    candidates: &mut Candidates,
    interrupt: &Interrupt,
    on_text: &mut dyn FnMut(&str),
) -> Result<Timing> {
    let (prompt, quoted) = prompt_for(request);
    let mut timing = Timing::default();
    let Candidates { found, next_seed } = candidates;
    while found.len() < request.alternatives && *next_seed < (1 + (request.alternatives - 1) * TRIES) as u64 {
        let seed = *next_seed;
        let temperature = if seed == 0 { 0.0 } else { TEMPERATURE };
        let params = GenerateParams { max_tokens: MAX_TOKENS, temperature, seed, interrupt: interrupt.clone() };
        let mut on_text = |text: &str| {
            if seed == 0 {
                on_text(text)
            }
        };
        match one(engine, (&prompt, &quoted), &params, request, &mut timing, &mut on_text) {
            Ok(suggestion) if found.iter().all(|known| known.command != suggestion.command) => found.push(suggestion),
            // The likeliest answer decides whether there is one; a failed draw is only a draw less.
            Err(error) if seed == 0 => return Err(error),
            Ok(_) | Err(Error::NoCommand(_) | Error::Unprintable(_)) => {}
            Err(error) => return Err(error),
        }
        *next_seed += 1;
    }
    Ok(timing)
}

/// The prompt, and what a person quoted and the model does not read.
fn prompt_for(request: &Request) -> (Prompt, Quoted) {
    let (words, quoted) = quoted::lift(&request.words, request.context.shell);
    (prompt::suggest(&Request { words, ..request.clone() }), quoted)
}

fn one(
    engine: &mut dyn Engine,
    (prompt, quoted): (&Prompt, &Quoted),
    params: &GenerateParams,
    request: &Request,
    timing: &mut Timing,
    on_text: &mut dyn FnMut(&str),
) -> Result<Suggestion> {
    let mut text = String::new();
    let mut shown = 0;
    let usage = engine.generate(prompt, params, &mut |piece| {
        text.push_str(piece);
        let command = quoted.put_back(parse::so_far(quoted.settled(&text)));
        let command = safety::printable_part(&command);
        if command.len() > std::mem::replace(&mut shown, command.len()) {
            on_text(command);
        }
        if parse::is_complete(&text, |command| end(command, request.context.shell)) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    timing.prefill_ms += usage.prefill_ms;
    timing.decode_ms += usage.decode_ms;
    timing.decoded_tokens += usage.decoded_tokens;
    timing.prompt_tokens = usage.prompt_tokens;
    if params.seed == 0 {
        timing.cached_tokens = usage.cached_tokens;
    }
    let start = Instant::now();
    let suggestion = suggestion(&quoted.put_back(&text), usage.cut, request);
    timing.parse_ms += start.elapsed().as_secs_f64() * 1e3;
    suggestion
}

/// The command in an answer, rated.
fn suggestion(text: &str, cut: bool, request: &Request) -> Result<Suggestion> {
    let shell = request.context.shell;
    let (command, slot) = parse::command(text, !cut, |command| end(command, shell))?;
    admit(command, slot, shell)
}

/// The only way to a suggestion, and the last before the edit buffer: text that is shown as it is, rated here whoever made
/// it.
///
/// # Errors
/// [`Error::Unprintable`] with the first character that hides or reorders text; [`Error::NoCommand`] where it is longer
/// than anybody reads.
pub fn admit(command: String, slot: Option<usize>, shell: Shell) -> Result<Suggestion> {
    if command.len() > MAX_REQUEST_BYTES {
        return Err(Error::NoCommand(format!("the answer is too long: {} bytes", command.len())));
    }
    safety::printable(&command).map_err(Error::Unprintable)?;
    let assessment = safety::assess(&command, shell);
    let slot = slot.filter(|at| *at < command.chars().count());
    Ok(Suggestion { command, slot, assessment })
}

/// As much of the beginning of an answer as is shown as it is.
pub fn shown(text: &str) -> &str {
    safety::printable_part(text)
}

/// Has `engine` compute the prompt for `words` that are still being typed. Asked for as they are, only the answer is left
/// to write; with more words behind them, the beginning is there. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, or the work was ended.
pub fn prepare(engine: &mut dyn Engine, words: &str, context: Context, interrupt: &Interrupt) -> Result<()> {
    engine.prepare(&prompt_for(&request(words, context, 1)?).0, interrupt)
}

/// Says what each part of `command`, a [`checked`] one, does. `on_text` gets the line that is being written, whenever
/// there is more of it. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, or the work was ended.
pub fn explain(
    engine: &mut dyn Engine,
    command: &str,
    context: &Context,
    interrupt: &Interrupt,
    on_text: &mut dyn FnMut(&str),
) -> Result<Vec<Meaning>> {
    let one_line = command.replace('\n', " ");
    let mut said: Vec<Meaning> = Vec::new();
    for part in safety::parts(&one_line, context.shell) {
        let prompt = prompt::explain(&one_line, &said, part, context);
        let params =
            GenerateParams { max_tokens: MAX_MEANING_TOKENS, temperature: 0.0, seed: 0, interrupt: interrupt.clone() };
        let mut text = String::new();
        engine.generate(&prompt, &params, &mut |piece| {
            text.push_str(piece);
            on_text(&format!("{part}: {}", meaning(&text)));
            if text.contains('\n') { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        said.push(Meaning { part: part.to_owned(), meaning: meaning(&text).to_owned() });
    }
    Ok(said)
}

/// The line in `text`, as far as it can be shown.
fn meaning(text: &str) -> &str {
    safety::printable_part(text.split('\n').next().unwrap_or_default()).trim()
}

/// How `command`, the first line of an answer or some of them joined, ends: `case "$1" in` is no command of its own.
fn end(command: &str, shell: Shell) -> End {
    let is_open = || parse::goes_on(command) || !safety::parses(command, shell);
    let here_document = command.contains("<<") && !command.contains("<<<") && !command.contains("((");
    if here_document || quoted::is_open(command, shell) {
        End::Text
    } else if is_open() {
        End::Open
    } else {
        End::Whole
    }
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
        let (request, mut candidates) = (request("x", context, 1).unwrap(), Candidates::default());
        suggest(&mut Says(text), &request, &mut candidates, &Interrupt::default(), &mut |_| {})
            .map(|_| candidates.found[0].command.clone())
    }

    #[test]
    fn first_line_of_a_longer_command_is_not_taken_for_the_command() {
        for (text, line) in [
            ("case \"$1\" in\n  start) echo 1 ;;\nesac", "case \"$1\" in start) echo 1 ;; esac"),
            ("for f in *; do\n  wc -l \"$f\"\ndone\nmore", "for f in *; do wc -l \"$f\"; done"),
            ("```bash\nif true; then\n  ls\nfi\n```", "if true; then ls; fi"),
            ("mkcd() {\n  mkdir \"$1\"\n}", "mkcd() { mkdir \"$1\"; }"),
            ("find . \\\n  -name x", "find . -name x"),
            ("\\\n  ls -l", "ls -l"),
            ("ls |\n  wc -l", "ls | wc -l"),
        ] {
            assert_eq!(answer(text).unwrap(), line);
        }
        for text in ["echo 'one\ntwo'", "cat <<E\nx\nE", "if true; then\n# list", "while true; do\n\nls"] {
            let error = answer(text).expect_err(text);
            assert_eq!(error.to_string(), "no command could be made: the answer goes over several lines", "{text:?}");
        }
        for text in [
            "echo $((1<<3))\nIt is 8.",
            "ls\nThis lists.",
            "for f in *; do wc -l \"$f\"; done\n",
            "```bash\nls | wc -l\n```",
            "ls",
        ] {
            assert!(answer(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn nothing_becomes_a_suggestion_that_is_not_shown_as_it_is() {
        for c in '\0'..=char::MAX {
            for command in [format!("{c}ls -l"), format!("ls {c} -l"), format!("ls -l{c}")] {
                let shown = safety::hidden_name(c).is_none();
                assert_eq!(admit(command, None, Shell::Zsh).is_ok(), shown, "U+{:04X}", u32::from(c));
            }
        }
    }

    /// An engine whose answer is the seed's, and that counts how often it is asked.
    struct Draws(Vec<&'static str>, usize);

    impl Engine for Draws {
        fn generate(
            &mut self,
            _prompt: &crate::engine::Prompt,
            params: &GenerateParams,
            on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
        ) -> Result<Usage> {
            self.1 += 1;
            let _ = on_text(self.0[params.seed as usize % self.0.len()]);
            Ok(Usage::default())
        }
    }

    #[test]
    fn further_candidates_go_on_from_those_that_are_there_and_end() {
        let mut engine = Draws(vec!["ls", "ls", "ls -a", "I cannot", "ls -l"], 0);
        let mut candidates = Candidates::default();
        let mut made = |alternatives| {
            let request = request("list", Context::capture(Shell::Bash), alternatives).unwrap();
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            (candidates.found.iter().map(|found| found.command.clone()).collect::<Vec<_>>().join(" | "), engine.1)
        };
        assert_eq!(made(1), ("ls".into(), 1));
        assert_eq!(made(2), ("ls | ls -a".into(), 3));
        assert_eq!(made(3), ("ls | ls -a | ls -l".into(), 5));
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10), "nothing new in all its tries");
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10));
    }

    #[test]
    fn words_behind_a_command_change_it_and_words_alone_are_words() {
        let made = |text| {
            let Request { words, current, .. } = request(text, Context::capture(Shell::Zsh), 1).unwrap();
            (words, current)
        };
        assert_eq!(made(" ls -l # by size"), ("by size".into(), Some("ls -l".into())));
        assert_eq!(made("cd src # the one above").1.as_deref(), Some("cd src"));
        assert_eq!(made("A=1 ls # by size").1.as_deref(), Some("A=1 ls"));
        for words in ["count # signs", "what does # do in c", "ls", "show lines with '# x'"] {
            assert_eq!(made(words), (words.into(), None));
        }
    }

    #[test]
    fn explanation_is_a_line_for_each_part() {
        let mut engine = Says(" lists \u{1b}[2J\nmore");
        let mut shown = Vec::new();
        let context = Context::capture(Shell::Bash);
        let outcome =
            explain(&mut engine, "ls -l", &context, &Interrupt::default(), &mut |text| shown.push(text.to_owned()));
        let said = |part: &str| Meaning { part: part.into(), meaning: "lists".into() };
        assert_eq!(outcome.unwrap(), [said("ls"), said("-l")]);
        assert_eq!(shown.last().unwrap(), "-l: lists");
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
            let error = checked(words).expect_err(words);
            assert!(error.to_string().contains(reason), "{error}");
            assert_eq!(error.exit_code(), 2);
        }
        assert_eq!(checked("  列出 é\tfiles\nthen sort ").unwrap(), "列出 é\tfiles\nthen sort");
    }
}
