//! One request, from words to rated commands: prompt -> generate -> parse -> assess.

mod answer;

use std::ops::ControlFlow;

use self::answer::{Asked, Outcome, Which};
use crate::{
    commands::Names,
    context::Context,
    engine::{Engine, GenerateParams, Interrupt},
    error::{Error, Result},
    examples,
    parse::{self, End},
    prompt, quoted,
    request::{MAX_REQUEST_BYTES, Meaning, Request, Shell, Suggestion, Timing},
    safety,
};

/// Tries for each further alternative before giving up on finding a new one.
const TRIES: usize = 3;

/// How confidence depends on the log-probability of an answer: the logistic function of the first minus the second times
/// ln(1 - it), fitted to which answers were right (docs/measurements.md, suggestion quality).
const CONFIDENCE: (f32, f32) = (4.1, 2.7);

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
    Ok(Request { words: words.to_owned(), current, context, alternatives, second_look: true })
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

/// The suggestions made so far for one request; with more of them wanted, it goes on from there.
#[derive(Default)]
pub struct Candidates {
    /// The best first.
    found: Vec<Suggestion>,
    /// How many answers were asked for.
    asked: usize,
}

/// Adds to `candidates` up to `request.alternatives` different commands, the best first. Where the model is not sure of
/// its answer it gets another look, with the nearest examples before it or, where none is near, with some that no command
/// does, and the better answer counts. Shown to a model that is sure, they mislead as often as they help. `on_text` gets
/// the first answer as far as it is written, whenever there is more of it. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, the work was ended, or the best answer is no command that can be shown.
pub fn suggest(
    engine: &mut dyn Engine,
    request: &Request,
    candidates: &mut Candidates,
    interrupt: &Interrupt,
    on_text: &mut dyn FnMut(&str),
) -> Result<Timing> {
    let mut asked = Asked::new(engine, request, interrupt);
    if candidates.asked == 0 {
        candidates.first(&mut asked, on_text)?;
    }
    while candidates.found.len() < request.alternatives && candidates.asked < 2 + (request.alternatives - 1) * TRIES {
        candidates.next(&mut asked)?;
    }
    Ok(asked.timing)
}

impl Candidates {
    /// The best of them, as many as are wanted: there may be one more, which the next who wants it need not wait for.
    pub fn best(&self, wanted: usize) -> &[Suggestion] {
        &self.found[..wanted.min(self.found.len())]
    }

    /// The model's own answer, and where it is not sure of it the better of two.
    fn first(&mut self, asked: &mut Asked, on_text: &mut dyn FnMut(&str)) -> Result<()> {
        let first = asked.answer(&[], Which::Best, on_text)?;
        self.asked = 1;
        if !(first.is_doubtful() && asked.may_look_again()) {
            self.take(confident(first)?);
            return Ok(());
        }
        let nearest = asked.nearest();
        let is_lost = nearest.is_empty() || first.is_echo();
        let examples = if is_lost { &examples::NO_COMMAND[..] } else { &nearest };
        let second = asked.answer(examples, Which::Best, &mut |_| {})?;
        self.asked = 2;
        let (better, other) = if second.is_better_than(&first) { (second, first) } else { (first, second) };
        // The better answer decides whether there is a command.
        self.take(confident(better)?);
        if let Ok(other) = confident(other) {
            self.take(other);
        }
        Ok(())
    }

    /// One more: with the nearest examples, then by chance. What comes to nothing is only a try less.
    fn next(&mut self, asked: &mut Asked) -> Result<()> {
        self.asked += 1;
        let outcome = match self.asked {
            2 => {
                let nearest = asked.nearest();
                if nearest.is_empty() {
                    return Ok(());
                }
                asked.answer(&nearest, Which::Best, &mut |_| {})?
            }
            asked_for => asked.answer(&[], Which::Draw(asked_for as u64 - 2), &mut |_| {})?,
        };
        if let Ok(suggestion) = confident(outcome) {
            self.take(suggestion);
        }
        Ok(())
    }

    fn take(&mut self, suggestion: Suggestion) {
        if self.found.iter().all(|known| known.command != suggestion.command) {
            self.found.push(suggestion);
        }
    }
}

/// The suggestion in `outcome`, with how far it is to be trusted.
fn confident(outcome: Outcome) -> Result<Suggestion> {
    let odds = |sum: f32| CONFIDENCE.0 - CONFIDENCE.1 * (1.0 - sum).ln();
    let confidence = outcome.likelihood.map(|sum| 1.0 / (1.0 + (-odds(sum)).exp()));
    outcome.suggestion.map(|suggestion| Suggestion { confidence, ..suggestion })
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
        let params = GenerateParams {
            max_tokens: MAX_MEANING_TOKENS,
            temperature: 0.0,
            seed: 0,
            interrupt: interrupt.clone(),
            admits: None,
        };
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
    use std::cell::Cell;

    use super::*;
    use crate::engine::{Piece, Prompt, Usage};

    /// An engine whose answers are a function of what it is asked.
    struct Fake<F>(F);

    impl<F: FnMut(&Prompt, &GenerateParams) -> (&'static str, Usage)> Engine for Fake<F> {
        fn generate(
            &mut self,
            prompt: &Prompt,
            params: &GenerateParams,
            on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
        ) -> Result<Usage> {
            let (text, usage) = (self.0)(prompt, params);
            let _ = text.split_inclusive(' ').try_for_each(on_text);
            Ok(usage)
        }
    }

    /// One that always answers the same.
    fn says(text: &'static str) -> impl Engine {
        Fake(move |_: &Prompt, _: &GenerateParams| (text, Usage::default()))
    }

    /// One that answers one thing by itself and another after examples, each with the log-probability it is given.
    fn doubts(alone: (&'static str, f32), shown: (&'static str, f32), asked: &mut Vec<&'static str>) -> impl Engine {
        Fake(move |prompt: &Prompt, _: &GenerateParams| {
            let has_examples = matches!(&prompt.tail[0], Piece::Text(text) if text.contains('#'));
            let (text, sum) = if has_examples { shown } else { alone };
            asked.push(text);
            (text, Usage { likelihood: Some(sum), ..Usage::default() })
        })
    }

    /// One that would rather write the first of two texts, and heeds what is admitted.
    fn prefers(texts: [&'static str; 2]) -> impl Engine {
        Fake(move |prompt: &Prompt, params: &GenerateParams| {
            let Some(Piece::Text(before)) = prompt.tail.last() else { unreachable!() };
            let admitted = |text: &&str| params.admits.as_ref().is_none_or(|admits| admits(text));
            let mut left = texts.into_iter().map(|text| text.strip_prefix(before.as_str()).unwrap_or(text));
            let found = left.find(admitted);
            let usage = Usage { stuck: found.is_none(), likelihood: Some(0.0), ..Usage::default() };
            (found.unwrap_or_default(), usage)
        })
    }

    fn answer(text: &'static str) -> Result<String> {
        let context = Context::of(Shell::Bash);
        let (request, mut candidates) = (request("x", context, 1).unwrap(), Candidates::default());
        suggest(&mut says(text), &request, &mut candidates, &Interrupt::default(), &mut |_| {})
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
                let shown = safety::hidden_name(c).is_none() && safety::parses(&command, Shell::Zsh);
                assert_eq!(admit(command, None, Shell::Zsh).is_ok(), shown, "U+{:04X}", u32::from(c));
            }
        }
    }

    #[test]
    fn further_candidates_go_on_from_those_that_are_there_and_end() {
        const TEXTS: [&str; 5] = ["ls", "ls", "ls -a", "I cannot", "ls -l"];
        let asked = Cell::new(0);
        let mut engine = Fake(|_: &Prompt, params: &GenerateParams| {
            asked.set(asked.get() + 1);
            (TEXTS[params.seed as usize % TEXTS.len()], Usage::default())
        });
        let mut candidates = Candidates::default();
        let mut made = |alternatives| {
            let request = request("frobnicate", Context::of(Shell::Bash), alternatives).unwrap();
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            (candidates.found.iter().map(|found| found.command.clone()).collect::<Vec<_>>().join(" | "), asked.get())
        };
        assert_eq!(made(1), ("ls".into(), 1));
        assert_eq!(made(2), ("ls | ls -a".into(), 3));
        assert_eq!(made(3), ("ls | ls -a | ls -l".into(), 5));
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10), "nothing new in all its tries");
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10));
    }

    #[test]
    fn program_that_is_not_here_gives_way_to_one_that_is() {
        let context = Context { path: "/usr/bin:/bin".into(), ..Context::of(Shell::Bash) };
        let request = request("x", context, 1).unwrap();
        let answer = |texts| {
            let (mut candidates, mut shown) = (Candidates::default(), String::new());
            let mut on_text = |text: &str| shown += text;
            suggest(&mut prefers(texts), &request, &mut candidates, &Interrupt::default(), &mut on_text)
                .map(|_| (candidates.found[0].command.clone(), shown))
        };
        let (command, shown) = answer(["echo a | no-such-mail -s b", "echo a | cat -n"]).unwrap();
        assert_eq!(command, "echo a | cat -n");
        assert!(!shown.contains("no-such"), "{shown}");
        let error = answer(["no-such-top", "no-such-htop -d"]).unwrap_err().to_string();
        assert!(error.starts_with("no command could be made: no-such-top is not installed here"), "{error}");
        let unsteered = &mut says("no-such-top");
        let error = suggest(unsteered, &request, &mut Candidates::default(), &Interrupt::default(), &mut |_| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no-such-top is not installed here"), "{error}");
    }

    #[test]
    fn model_that_is_not_sure_looks_at_examples_and_the_likelier_answer_counts() {
        let request = |alternatives| {
            request("count the lines of access.log, number only", Context::of(Shell::Bash), alternatives).unwrap()
        };
        let made = |alone, shown, alternatives| {
            let (mut asked, mut candidates) = (Vec::new(), Candidates::default());
            let (request, interrupt) = (request(alternatives), Interrupt::default());
            let outcome =
                suggest(&mut doubts(alone, shown, &mut asked), &request, &mut candidates, &interrupt, &mut |_| {});
            outcome.map(|_| (candidates.found.iter().map(|found| found.command.clone()).collect(), asked))
        };
        let both = |commands: [&str; 2]| commands.map(str::to_owned).to_vec();
        assert_eq!(made(("a", -0.1), ("b", 0.0), 1).unwrap(), (vec!["a".to_owned()], vec!["a"]), "sure");
        assert_eq!(made(("a", -3.0), ("b", -2.0), 1).unwrap(), (both(["b", "a"]), vec!["a", "b"]));
        assert_eq!(made(("a", -3.0), ("b", -4.0), 2).unwrap(), (both(["a", "b"]), vec!["a", "b"]));
        assert_eq!(made(("a", -0.1), ("b", -4.0), 2).unwrap(), (both(["a", "b"]), vec!["a", "b"]), "another one");
        let refusal = "# no command";
        let error = made(("a", -3.0), (refusal, -0.5), 1).unwrap_err().to_string();
        assert_eq!(error, "no command could be made: that is no task for a command, or it says too little");
        assert_eq!(made(("a", -3.0), (refusal, -3.5), 1).unwrap().0, ["a"]);
    }

    #[test]
    fn of_two_answers_as_likely_the_one_that_deletes_is_not_taken() {
        let made = |alone, shown| {
            let mut asked = Vec::new();
            let mut engine = doubts(alone, shown, &mut asked);
            let context = Context::of(Shell::Bash);
            let (request, mut candidates) =
                (request("gzip a.csv but keep it", context, 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].command.clone()
        };
        assert_eq!(made(("rm -r src", -2.0), ("ls src", -2.5)), "ls src");
        assert_eq!(made(("ls src", -2.5), ("rm -r src", -2.0)), "ls src");
        assert_eq!(made(("ls src", -3.0), ("rm -r src", -2.0)), "rm -r src");
        assert_eq!(made(("cp -a a b", -2.0), ("ls", -2.5)), "cp -a a b", "it deletes nothing");
    }

    #[test]
    fn answer_that_leaves_out_a_path_is_doubted() {
        let made = |alone, shown, words: &str| {
            let mut asked = Vec::new();
            let mut engine = doubts((alone, -0.2), (shown, -0.9), &mut asked);
            let (request, mut candidates) =
                (request(words, Context::of(Shell::Bash), 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].command.clone()
        };
        let words = "gzip logs/app.log but keep the original";
        assert_eq!(made("gzip app.log", "gzip -k logs/app.log", words), "gzip -k logs/app.log");
        assert_eq!(made("gzip -k 'logs/app.log'", "gzip -k logs/app.log", words), "gzip -k 'logs/app.log'");
        assert_eq!(made("ls src", "ls -R src", "list the files in src/"), "ls src");
    }

    #[test]
    fn likelier_answer_is_trusted_more() {
        let confidence = |sum| {
            let mut asked = Vec::new();
            let mut engine = doubts(("ls", sum), ("ls", sum), &mut asked);
            let (request, mut candidates) = (request("x", Context::of(Shell::Bash), 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].confidence.unwrap()
        };
        assert!(confidence(0.0) > 0.9 && confidence(-1.0) > confidence(-3.0) && confidence(-30.0) < 0.1);
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
