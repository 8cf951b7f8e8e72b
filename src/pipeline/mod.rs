//! One request, from words to rated commands: prompt -> generate -> parse -> assess.

mod answer;
mod candidates;
mod columns;
mod repair;

use std::ops::ControlFlow;

pub use self::{
    candidates::{Candidates, suggest},
    repair::grounded,
};
use crate::{
    commands::Names,
    context::Context,
    engine::{Engine, GenerateParams, Interrupt},
    error::{Error, Result},
    parse::{self, End},
    prompt, quoted,
    request::{MAX_REQUEST_BYTES, Meaning, Request, Shell, Suggestion},
    safety,
};

/// Most tokens of what is said of one part of a command.
const MAX_MEANING_TOKENS: usize = 40;

/// Takes what a person wrote for a request: words, or a command with `# what to change` behind it.
///
/// # Errors
/// Empty, longer than [`MAX_REQUEST_BYTES`], or holding control characters.
pub fn request(text: &str, context: Context, alternatives: usize) -> Result<Request> {
    let text = checked(text)?;
    // Words that only look like a command with a comment begin with no program's name.
    let change = safety::commented(text, context.shell).filter(|(command, _)| names_a_program(command, &context));
    let (words, current) = match change {
        Some((command, change)) => (change, Some(command.to_owned())),
        None => (text, None),
    };
    Ok(Request {
        words: words.to_owned(),
        current,
        excerpt: None,
        context,
        alternatives,
        second_look: true,
        streamed: false,
    })
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

fn names_a_program(command: &str, context: &Context) -> bool {
    let first = command.split_whitespace().find(|word| !word.contains('=')).unwrap_or_default();
    Names::new(context, "").has(first)
}

/// The only way to a suggestion, and the last before the edit buffer: text that is shown as it is and that the shell can
/// read, rated here whoever made it.
///
/// # Errors
/// [`Error::Unprintable`] with the first character that hides or reorders text; [`Error::NoCommand`] where it is longer
/// than anybody reads, or does not parse.
pub fn admit(command: String, slot: Option<usize>, shell: Shell) -> Result<Suggestion> {
    if command.len() > MAX_REQUEST_BYTES {
        return Err(Error::NoCommand(format!("the answer is too long: {} bytes", command.len())));
    }
    safety::printable(&command).map_err(Error::Unprintable)?;
    let assessment = safety::assess(&command, shell);
    if assessment.findings.iter().any(|finding| finding.rule == "unparsed") {
        return Err(Error::NoCommand(format!("the answer is no valid {} command", shell.name())));
    }
    let slot = slot.filter(|at| *at < command.chars().count());
    Ok(Suggestion { command, slot, confidence: None, assessment })
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
    let (request, _) = answer::as_read(&request(words, context, 1)?);
    engine.prepare(&prompt::suggest(&request, &[]), interrupt)
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
        let interrupt = interrupt.clone();
        let params = GenerateParams { max_tokens: MAX_MEANING_TOKENS, interrupt, ..GenerateParams::default() };
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
    use super::{candidates::tests::says, *};

    #[test]
    fn nothing_becomes_a_suggestion_that_is_not_shown_as_it_is() {
        for c in '\0'..=char::MAX {
            for command in [format!("{c}ls -l"), format!("ls {c} -l"), format!("ls -l{c}")] {
                let shown = safety::hidden_name(c).is_none() && safety::parses(&command, Shell::Zsh);
                assert_eq!(admit(command, None, Shell::Zsh).is_ok(), shown, "U+{:04X}", u32::from(c));
            }
        }
    }

    #[test]
    fn words_behind_a_command_change_it_and_words_alone_are_words() {
        let made = |text| {
            let context = Context { path: "/usr/bin:/bin".into(), ..Context::of(Shell::Zsh) };
            let Request { words, current, .. } = request(text, context, 1).unwrap();
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
        let mut engine = says(" lists \u{1b}[2J\nmore");
        let mut shown = Vec::new();
        let context = Context::of(Shell::Bash);
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
