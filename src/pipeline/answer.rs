//! From a prompt to one rated command: have the engine write, look at what it writes, stop it where it goes wrong.

use std::{
    borrow::Cow,
    cmp::Ordering,
    ops::{ControlFlow, Range},
    rc::Rc,
    time::Instant,
};

use super::{admit, end, repair::repaired};
use crate::{
    commands::Names,
    context::{Context, Os},
    engine::{Admits, Engine, Fork, GenerateParams, Interrupt, Piece, Prompt, Usage},
    error::{Error, Result},
    examples::{self, Example},
    parse, prompt,
    quoted::{self, Quoted},
    request::{Request, Suggestion, Timing, names},
    safety::{self, Action, Risk, Touch},
};

/// Most tokens of an answer; the longest command of the evaluation set has 94.
const MAX_TOKENS: usize = 160;

/// The log-probability of an answer above which the model is sure of it (docs/measurements.md, suggestion quality).
const SURE: f32 = -2.0;

/// Two answers are about as likely within this: the one is twice as likely as the other.
const ABOUT: f32 = 0.7;

/// What an answer loses that leaves out a path: however likely, it is doubtful.
const LEFT_OUT: f32 = -2.0;

/// The log-probability of what is no answer.
const NEVER: Option<f32> = Some(f32::NEG_INFINITY);

/// Which of the answers to one prompt.
#[derive(Clone, Copy)]
pub(super) enum Which<'a> {
    /// The likeliest.
    Best,
    /// The likeliest of those that begin as a fork of it.
    Behind(&'a Fork),
    /// One by chance, of this seed.
    Draw(u64),
}

/// A request that is being answered.
pub(super) struct Asked<'a> {
    engine: &'a mut dyn Engine,
    /// As the model reads it.
    request: Request,
    quoted: Quoted,
    names: Rc<Names>,
    interrupt: &'a Interrupt,
    pub(super) timing: Timing,
}

/// What an engine came to.
pub(super) struct Outcome {
    /// A command, or why there is none.
    pub(super) suggestion: Result<Suggestion>,
    /// The log-probability of the whole answer; none where the engine does not tell.
    pub(super) likelihood: Option<f32>,
    /// Where it was about to be another.
    pub(super) forks: Vec<Fork>,
}

/// What an engine wrote.
struct Written {
    text: String,
    /// It ends at the limit.
    cut: bool,
    /// It ends where nothing likely was admitted.
    stuck: bool,
    likelihood: Option<f32>,
    forks: Vec<Fork>,
    /// The program in it that is not here.
    missing: Option<Range<usize>>,
}

/// `request` as the model reads it, and what of its words the model does not read.
pub(super) fn as_read(request: &Request) -> (Request, Quoted) {
    let (words, quoted) = quoted::lift(&request.words, request.context.shell);
    (Request { words, ..request.clone() }, quoted)
}

impl<'a> Asked<'a> {
    pub(super) fn new(engine: &'a mut dyn Engine, request: &Request, interrupt: &'a Interrupt) -> Self {
        let names = Rc::new(Names::new(&request.context, &request.words));
        let (request, quoted) = as_read(request);
        Self { engine, request, quoted, names, interrupt, timing: Timing::default() }
    }

    /// The examples nearest to the request that would run here: its shell reads them, and their programs and options are
    /// here. A command that is to be changed is example enough.
    pub(super) fn nearest(&self) -> Vec<Example> {
        let Context { shell, os, .. } = self.request.context;
        let runs = |command: &str| {
            self.names.missing(command).is_none()
                && safety::parses(command, shell)
                && (os == Os::Linux || !examples::needs_gnu(command))
        };
        if self.request.current.is_none() { examples::like(&self.request.words, runs) } else { Vec::new() }
    }

    /// Whether examples may help: the words are all there is to go by, and the person can wait for it.
    pub(super) fn may_look_again(&self) -> bool {
        self.request.second_look && self.request.current.is_none()
    }

    /// An answer, with `nearest` shown before the words. Where it names a program that is not here, it is written again
    /// from there on with what is.
    ///
    /// # Errors
    /// The engine failed, or the work was ended.
    pub(super) fn answer(
        &mut self,
        nearest: &[Example],
        which: Which<'_>,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Outcome> {
        let (begun, before, draw) = match which {
            Which::Best => ("", 0.0, None),
            Which::Behind(fork) => (fork.text.as_str(), fork.likelihood, None),
            Which::Draw(seed) => ("", 0.0, Some(seed)),
        };
        let interrupt = self.interrupt.clone();
        let params = GenerateParams { max_tokens: MAX_TOKENS, draw, interrupt, admits: None };
        let prompt = prompt::suggest(&self.request, nearest);
        let mut first = self.write(&prompt, begun, &params, on_text)?;
        first.likelihood = first.likelihood.map(|after| before + after);
        let Some(missing) = first.missing.clone() else { return Ok(self.outcome(first)) };
        let absent = self.names.absent(&first.text[missing.clone()]);
        let likelihood = first.likelihood.and(NEVER);
        let absent = Outcome { suggestion: Err(Error::NoCommand(absent)), likelihood, forks: Vec::new() };
        let Some(before) = first.likelihood else { return Ok(absent) };
        let second = self.write_again(&prompt, first.text[..missing.start].trim_end(), params, on_text)?;
        if second.stuck || second.missing.is_some() {
            return Ok(absent);
        }
        // What is likely only because the likelier is not here is as doubtful as that.
        let likelihood = second.likelihood.map(|after| before + after);
        Ok(self.outcome(Written { likelihood, ..second }))
    }

    /// Has the engine write on behind `kept`, with no program that is not here.
    fn write_again(
        &mut self,
        prompt: &Prompt,
        kept: &str,
        params: GenerateParams,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Written> {
        let (names, before) = (Rc::clone(&self.names), kept.to_owned());
        let admits: Admits = Rc::new(move |text| names.admit(&format!("{before}{text}")));
        self.write(prompt, kept, &GenerateParams { admits: Some(admits), ..params }, on_text)
    }

    /// Has the engine write on behind `begun`.
    fn write(
        &mut self,
        prompt: &Prompt,
        begun: &str,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str),
    ) -> Result<Written> {
        let Self { engine, request, quoted, names, timing, .. } = self;
        let shell = request.context.shell;
        let (mut text, mut shown, mut missing) = (begun.to_owned(), 0, None);
        let mut prompt = Cow::Borrowed(prompt);
        if !begun.is_empty() {
            prompt.to_mut().tail.push(Piece::Text(begun.to_owned()));
        }
        let is_complete = |text: &str| parse::is_complete(text, |command| end(command, shell));
        let mut go_on = |piece: &str| {
            text.push_str(piece);
            let settled = match names.settled(&text) {
                Ok(settled) => settled,
                // Of several lines all is known only once they are joined.
                Err(_) if text.contains('\n') => &text,
                Err(word) => {
                    missing = Some(word);
                    return ControlFlow::Break(());
                }
            };
            let command = quoted.put_back(parse::so_far(quoted.settled(settled)));
            let command = safety::printable_part(&command);
            if command.len() > std::mem::replace(&mut shown, command.len()) {
                on_text(command);
            }
            if is_complete(&text) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let usage = if is_complete(begun) {
            Usage { likelihood: Some(0.0), ..Usage::default() }
        } else {
            engine.generate(&prompt, params, &mut go_on)?
        };
        if timing.prompt_tokens == 0 {
            (timing.prompt_tokens, timing.cached_tokens) = (usage.prompt_tokens, usage.cached_tokens);
        }
        timing.prefill_ms += usage.prefill_ms;
        timing.decode_ms += usage.decode_ms;
        timing.decoded_tokens += usage.decoded_tokens;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let missing = missing.or_else(|| names.missing(line).filter(|_| !line.contains('\n')));
        let Usage { cut, stuck, likelihood, forks, .. } = usage;
        Ok(Written { text, cut, stuck, likelihood, forks, missing })
    }

    /// The command in what was written, rated.
    fn outcome(&mut self, written: Written) -> Outcome {
        let start = Instant::now();
        let text = self.quoted.put_back(&written.text);
        let is_refusal = text.trim_start().starts_with(examples::REFUSAL);
        let mut is_doubtful = false;
        let suggestion = if is_refusal {
            Err(Error::NoCommand("that is no task for a command, or it says too little".into()))
        } else {
            let shell = self.request.context.shell;
            parse::command(&text, !written.cut, |command| end(command, shell)).and_then(|(command, slot)| {
                // It comes back, but who forgot it may have forgotten more.
                is_doubtful = self.leaves_out_a_path(&command);
                match self.names.missing(&command) {
                    // A slot is counted from the beginning of what was written.
                    None if slot.is_none() && !self.request.streamed => {
                        admit(repaired(&command, &self.request), None, shell)
                    }
                    None => admit(command, slot, shell),
                    Some(word) => Err(Error::NoCommand(self.names.absent(&command[word]))),
                }
            })
        };
        self.timing.parse_ms += start.elapsed().as_secs_f64() * 1e3;
        // That no command does it is an answer like another; what is none is the last resort.
        let likelihood = match &suggestion {
            Ok(_) if is_doubtful => written.likelihood.map(|sum| sum + LEFT_OUT),
            Err(_) if !is_refusal => written.likelihood.and(NEVER),
            _ => written.likelihood,
        };
        Outcome { suggestion, likelihood, forks: written.forks }
    }

    /// Whether the person named a file with its folder, and `command` does not: `gzip app.log` for `logs/app.log`.
    fn leaves_out_a_path(&self, command: &str) -> bool {
        paths(&self.request.words).any(|path| !command.contains(path))
    }

    /// Whether the person named a file, or what looks like one: `/etc`, `notes.txt`.
    pub(super) fn names_a_file(&self) -> bool {
        let words = &self.request.words;
        let mut extensions = words.match_indices('.').filter(|(at, _)| {
            words[at + 1..].starts_with(|c: char| c.is_ascii_alphabetic())
                && words[..*at].ends_with(|c: char| c.is_alphanumeric())
        });
        words.contains('/') || extensions.next().is_some()
    }
}

/// The files and folders in `words` that are named with the folder they lie in.
pub(super) fn paths(words: &str) -> impl Iterator<Item = &str> {
    names(words).filter(|word| word.trim_start_matches('/').contains('/') && !word.contains("://"))
}

impl Outcome {
    /// Whether it deserves another look: the model is not sure of it, or only says what it was told.
    pub(super) fn is_doubtful(&self) -> bool {
        self.likelihood.is_some_and(|likelihood| likelihood < SURE || self.is_echo())
    }

    /// Whether it is the likelier one; of two that are about as likely, the harmless one is better.
    pub(super) fn is_better_than(&self, other: &Self) -> bool {
        let [ours, theirs] = [self, other].map(|outcome| outcome.likelihood.unwrap_or(f32::NEG_INFINITY));
        match self.destroys().cmp(&other.destroys()) {
            Ordering::Less => ours > theirs - ABOUT,
            Ordering::Equal => ours > theirs,
            Ordering::Greater => ours > theirs + ABOUT,
        }
    }

    /// Whether its command deletes something, or worse.
    fn destroys(&self) -> bool {
        let Ok(Suggestion { assessment, .. }) = &self.suggestion else { return false };
        let deletes =
            |touch: &Touch| matches!(touch, Touch::Remove { .. } | Touch::Find { action: Action::Delete, .. });
        assessment.risk == Risk::Dangerous || assessment.touches.iter().any(deletes)
    }

    /// Whether the command only prints a text that stands in it.
    pub(super) fn is_echo(&self) -> bool {
        let text = self.suggestion.as_ref().ok().and_then(|suggestion| suggestion.command.strip_prefix("echo "));
        text.is_some_and(|text| !text.contains(['$', '`', '|', '>', ';', '&']))
    }
}
