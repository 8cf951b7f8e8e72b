//! What a local engine computes and what it does not: cancelled, prepared, failing. On a real, small model.

use std::{fs, ops::ControlFlow, path::Path, thread, time::Instant};

use cmdai::{
    engine::{
        Engine, GenerateParams, Interrupt, Model, Piece, Prompt, Token, Usage, generate::LocalEngine, llama::LlamaModel,
    },
    error::{Error, Result},
};

use crate::engine::{distance, open, prompt, tokens};

const ITALY: &str = "What is the capital of Italy?";

/// A model that tells what it was asked for, and can be made to misbehave.
struct Probe {
    model: LlamaModel,
    /// Tokens computed.
    pub computed: usize,
    /// Does not look at the interrupt.
    deaf: bool,
    /// The call of `forward` that fails after it has computed.
    failing: usize,
    /// Takes no saved state.
    refusing: bool,
}

impl Probe {
    fn new(model: LlamaModel) -> Self {
        Self { model, computed: 0, deaf: false, failing: usize::MAX, refusing: false }
    }
}

impl Model for Probe {
    fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]> {
        self.computed += tokens.len();
        self.failing = self.failing.wrapping_sub(1);
        let logits = self.model.forward(tokens)?;
        if self.failing == 0 { Err(Error::new("it fails")) } else { Ok(logits) }
    }

    fn set_interrupt(&mut self, interrupt: Interrupt) {
        if !self.deaf {
            self.model.set_interrupt(interrupt);
        }
    }

    fn position(&self) -> usize {
        self.model.position()
    }

    fn rewind(&mut self, to: usize) -> Result<()> {
        self.model.rewind(to)
    }

    fn capacity(&self) -> usize {
        self.model.capacity()
    }

    fn runtime(&self) -> String {
        self.model.runtime()
    }

    fn save(&mut self) -> Result<Vec<u8>> {
        self.model.save()
    }

    fn restore(&mut self, state: &[u8]) -> Result<()> {
        if self.refusing { Err(Error::new("it refuses")) } else { self.model.restore(state) }
    }
}

fn engine(change: impl FnOnce(&mut Probe)) -> LocalEngine<Probe> {
    let (model, tokenizer) = open();
    let mut probe = Probe::new(model);
    change(&mut probe);
    LocalEngine::new(probe, tokenizer)
}

/// One that keeps its prefixes in `directory`.
fn engine_on_disk(directory: &Path, change: impl FnOnce(&mut Probe)) -> LocalEngine<Probe> {
    let (model, tokenizer) = open();
    let mut probe = Probe::new(model);
    change(&mut probe);
    LocalEngine::with_prefix_cache(probe, tokenizer, directory.to_owned(), "0123")
}

pub(crate) fn greedy(max_tokens: usize, interrupt: &Interrupt) -> GenerateParams {
    GenerateParams { max_tokens, interrupt: interrupt.clone(), ..GenerateParams::default() }
}

/// The answer in 12 tokens to `prompt`, and what it took.
pub(crate) fn answer(engine: &mut dyn Engine, prompt: &Prompt) -> (String, Usage) {
    let mut text = String::new();
    let usage = engine.generate(prompt, &greedy(12, &Interrupt::default()), &mut |piece| {
        text.push_str(piece);
        ControlFlow::Continue(())
    });
    (text, usage.unwrap())
}

pub(crate) fn fresh_answer(question: &str) -> String {
    answer(&mut engine(|_| {}), &prompt(question)).0
}

/// The prefix of [`prompt`].
pub(crate) fn prefix_tokens() -> Vec<Token> {
    let (_, tokenizer) = open();
    let special = |name| vec![tokenizer.special(name).unwrap()];
    let text = |text| tokens(&tokenizer, text);
    [special("<|im_start|>"), text("system\nYou are helpful."), special("<|im_end|>"), text("\n")].concat()
}

pub(crate) fn prefix_length() -> usize {
    prefix_tokens().len()
}

/// A question that is asked up to here.
fn draft(words: &str) -> Prompt {
    let Prompt { prefix, .. } = prompt("");
    Prompt { prefix, tail: vec![Piece::Special("<|im_start|>"), Piece::Text(format!("user\n{words}"))] }
}

#[test]
fn interrupted_prefill_ends_soon_and_costs_neither_the_prefix_nor_the_answer() {
    let mut engine = engine(|_| {});
    let ignored = &mut |_: &str| ControlFlow::Continue(());
    let start = Instant::now();
    engine.generate(&prompt(&"one ".repeat(1200)), &greedy(1, &Interrupt::default()), ignored).unwrap();
    let whole = start.elapsed();
    let (expected, _) = answer(&mut engine, &prompt(ITALY));

    let interrupt = Interrupt::default();
    let (outcome, late) = thread::scope(|scope| {
        let setter = scope.spawn(|| {
            // Early in the first of three batches.
            thread::sleep(whole / 10);
            interrupt.set();
            Instant::now()
        });
        let outcome = engine.generate(&prompt(&"two ".repeat(1200)), &greedy(1, &interrupt), ignored);
        (outcome, setter.join().unwrap().elapsed())
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert!(late < whole / 8, "{late:?} after the interrupt; uninterrupted it takes {whole:?}");

    let before = engine.model().computed;
    let (text, usage) = answer(&mut engine, &prompt(ITALY));
    assert_eq!(text, expected);
    assert!(usage.cached_tokens >= prefix_length(), "{usage:?}");
    let computed = engine.model().computed - before;
    assert_eq!(computed, usage.prompt_tokens - usage.cached_tokens + usage.decoded_tokens - 1);
}

#[test]
fn model_keeps_the_batches_before_the_interrupt_and_goes_on_from_them() {
    let (mut model, tokenizer) = open();
    let text = tokens(&tokenizer, &"one two three four five six seven ".repeat(160));
    assert!(text.len() > 2 * 512);
    let start = Instant::now();
    let expected = model.forward(&text).unwrap().to_vec();
    let whole = start.elapsed();
    model.rewind(0).unwrap();
    let interrupt = Interrupt::default();
    model.set_interrupt(interrupt.clone());
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(whole / 2);
            interrupt.set();
        });
        assert!(matches!(model.forward(&text), Err(Error::Cancelled)));
    });
    let held = model.position();
    assert!(held % 512 == 0 && held < text.len(), "{held} of {} tokens", text.len());
    assert!(matches!(model.forward(&text[held..]), Err(Error::Cancelled)), "it stays set");
    assert_eq!(model.position(), held);
    model.set_interrupt(Interrupt::default());
    assert_eq!(distance(model.forward(&text[held..]).unwrap(), &expected), 0.0);
}

#[test]
fn generation_stops_within_a_token_where_the_runtime_does_not_look() {
    let mut engine = engine(|probe| probe.deaf = true);
    let interrupt = Interrupt::default();
    let mut pieces = 0;
    let outcome = engine.generate(&prompt("Tell me a long story."), &greedy(50, &interrupt), &mut |_| {
        pieces += 1;
        if pieces == 3 {
            interrupt.set();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(pieces, 3);
    assert_eq!(answer(&mut engine, &prompt(ITALY)).0, fresh_answer(ITALY));
}

#[test]
fn failed_generation_leaves_nothing_to_build_on() {
    // The prefix is the first call, the rest of the prompt the second.
    let mut engine = engine(|probe| probe.failing = 2);
    let ignored = &mut |_: &str| ControlFlow::Continue(());
    let outcome = engine.generate(&prompt("How many days has a week?"), &greedy(3, &Interrupt::default()), ignored);
    assert_eq!(outcome.unwrap_err().to_string(), "it fails");
    let (text, usage) = answer(&mut engine, &prompt(ITALY));
    assert_eq!((text, usage.cached_tokens), (fresh_answer(ITALY), 0));
}

#[test]
fn prepared_draft_is_not_computed_again() {
    let (_, tokenizer) = open();
    let mut engine = engine(|_| {});
    let prepare = |engine: &mut LocalEngine<Probe>, words: &str| {
        engine.prepare(&draft(words), &Interrupt::default()).unwrap();
        engine.model().computed
    };
    let whole = |words: &str| prefix_length() + 1 + tokens(&tokenizer, &format!("user\n{words}")).len();
    let first = prepare(&mut engine, "What is the cap");
    assert_eq!(first, whole("What is the cap"));
    // "It" is none of "Italy", and "cap" none of "capital".
    assert_eq!(prepare(&mut engine, "What is the capital of It"), whole("What is the capital of It") + 1);
    let all = engine.model().computed;
    assert_eq!(prepare(&mut engine, "What is the"), all, "a shorter draft costs nothing");
    assert_eq!(prepare(&mut engine, &"word ".repeat(5000)), all, "nor one that has no room");
    let (text, usage) = answer(&mut engine, &prompt(ITALY));
    assert_eq!(text, fresh_answer(ITALY));
    let sure = whole("What is the capital of It") - 1;
    assert_eq!(usage.cached_tokens, sure, "the shorter draft has cut nothing off");
    assert_eq!(engine.model().computed - all, usage.prompt_tokens - usage.cached_tokens + usage.decoded_tokens - 1);
}

#[test]
fn prompt_that_was_run_before_costs_nothing() {
    let mut engine = engine(|_| {});
    let other = "What is the capital of Spain?";
    engine.prepare(&prompt(ITALY), &Interrupt::default()).unwrap();
    for _ in 0..2 {
        let before = engine.model().computed;
        let (text, usage) = answer(&mut engine, &prompt(ITALY));
        assert_eq!((text, usage.cached_tokens), (fresh_answer(ITALY), usage.prompt_tokens));
        assert_eq!(engine.model().computed - before, usage.decoded_tokens - 1);
    }
    // As long, and none of what was kept is its own.
    let (text, usage) = answer(&mut engine, &prompt(other));
    assert_eq!(text, fresh_answer(other));
    assert!(usage.cached_tokens < usage.prompt_tokens);
    let (text, _) = answer(&mut engine, &prompt(ITALY));
    assert_eq!(text, fresh_answer(ITALY));
}

#[test]
fn interrupted_preparation_is_cancelled_and_the_next_answer_right() {
    let mut engine = engine(|_| {});
    engine.prepare(&draft("What"), &Interrupt::default()).unwrap();
    let interrupt = Interrupt::default();
    interrupt.set();
    let outcome = engine.prepare(&draft("What is the capital of It"), &interrupt);
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    let (text, usage) = answer(&mut engine, &prompt(ITALY));
    assert_eq!(text, fresh_answer(ITALY));
    assert!(usage.cached_tokens >= prefix_length(), "{usage:?}");
}

/// A prefix of another wording before the same question.
fn other_prompt(question: &str) -> Prompt {
    let Prompt { mut prefix, tail } = prompt(question);
    prefix[1] = Piece::Text("system\nYou are terse.".into());
    Prompt { prefix, tail }
}

#[test]
fn prefix_from_disk_is_not_computed_and_the_answer_is_the_same() {
    let home = tempfile::tempdir().unwrap();
    let mut first = engine_on_disk(home.path(), |_| {});
    let (expected, usage) = answer(&mut first, &prompt(ITALY));
    assert_eq!((expected.as_str(), usage.cached_tokens), (fresh_answer(ITALY).as_str(), 0));

    let mut second = engine_on_disk(home.path(), |_| {});
    let (text, usage) = answer(&mut second, &prompt(ITALY));
    assert_eq!((text, usage.cached_tokens), (expected, prefix_length()));
    assert_eq!(second.model().computed, usage.prompt_tokens - prefix_length() + usage.decoded_tokens - 1);
}

#[test]
fn engine_that_goes_between_prefixes_computes_each_once() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine_on_disk(home.path(), |_| {});
    let expected = [answer(&mut engine, &prompt(ITALY)).0, answer(&mut engine, &other_prompt(ITALY)).0];
    for _ in 0..2 {
        for (prompt, expected) in [prompt(ITALY), other_prompt(ITALY)].iter().zip(&expected) {
            let before = engine.model().computed;
            let (text, usage) = answer(&mut engine, prompt);
            assert_eq!(&text, expected);
            let tail = usage.prompt_tokens - usage.cached_tokens;
            assert_eq!(engine.model().computed - before, tail + usage.decoded_tokens - 1);
            assert!(usage.cached_tokens >= 3, "{usage:?}");
        }
    }
}

#[test]
fn prefix_that_cannot_be_restored_is_computed() {
    let home = tempfile::tempdir().unwrap();
    let (expected, _) = answer(&mut engine_on_disk(home.path(), |_| {}), &prompt(ITALY));
    let (text, usage) = answer(&mut engine_on_disk(home.path(), |probe| probe.refusing = true), &prompt(ITALY));
    assert_eq!((text, usage.cached_tokens), (expected.clone(), 0), "refused by the runtime");

    let file = fs::read_dir(home.path()).unwrap().next().unwrap().unwrap().path();
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let (text, usage) = answer(&mut engine_on_disk(home.path(), |_| {}), &prompt(ITALY));
    assert_eq!((text, usage.cached_tokens), (expected.clone(), 0), "changed on disk");
    let (text, usage) = answer(&mut engine_on_disk(home.path(), |_| {}), &prompt(ITALY));
    assert_eq!((text, usage.cached_tokens), (expected, prefix_length()), "written anew");
}

#[test]
fn prepared_prefix_is_kept_on_disk_too() {
    let home = tempfile::tempdir().unwrap();
    engine_on_disk(home.path(), |_| {}).prepare(&draft("What"), &Interrupt::default()).unwrap();
    assert_eq!(answer(&mut engine_on_disk(home.path(), |_| {}), &prompt(ITALY)).1.cached_tokens, prefix_length());
}

#[test]
fn saved_state_gives_the_logits_of_what_was_saved() {
    let (mut model, tokenizer) = open();
    let text = tokens(&tokenizer, "The capital of France is Paris, and the capital of Italy is");
    model.forward(&text).unwrap();
    let state = model.save().unwrap();
    let next = tokens(&tokenizer, " Rome");
    let expected = model.forward(&next).unwrap().to_vec();
    let (mut other, _) = open();
    other.forward(&next).unwrap();
    other.restore(&state).unwrap();
    assert_eq!(other.position(), text.len());
    assert_eq!(distance(other.forward(&next).unwrap(), &expected), 0.0);
}
