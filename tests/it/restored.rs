//! An engine with prefixes on disk: it computes less, and answers alike. On real models.

use std::{ops::ControlFlow, path::Path};

use cmdai::{
    context::Context,
    engine::{
        Engine, Interrupt, Model, generate::LocalEngine, llama::LlamaModel, prefix_cache::PrefixCache, threads::Threads,
    },
    error::Error,
    model::{gguf::GgufFile, tokenizer::Tokenizer},
    pipeline::{self, Candidates},
    request::Shell,
};

use crate::{
    engine::{open, prompt},
    sequence::{answer, fresh_answer, greedy, prefix_length, prefix_tokens},
    support::model,
};

const ITALY: &str = "What is the capital of Italy?";
const SHA256: &str = "0123";

fn engine_on_disk(directory: &Path) -> LocalEngine<LlamaModel> {
    let (model, tokenizer) = open();
    LocalEngine::with_prefix_cache(model, tokenizer, directory.into(), SHA256)
}

#[test]
fn cancelled_answer_leaves_its_prefix_on_disk() {
    let home = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::default();
    let outcome = engine_on_disk(home.path()).generate(&prompt(ITALY), &greedy(9, &interrupt), &mut |_| {
        interrupt.set();
        ControlFlow::Continue(())
    });
    assert!(matches!(outcome, Err(Error::Cancelled)), "{outcome:?}");
    assert_eq!(answer(&mut engine_on_disk(home.path()), &prompt(ITALY)).1.cached_tokens, prefix_length());
}

#[test]
fn state_that_the_runtime_refuses_is_computed_again() {
    let home = tempfile::tempdir().unwrap();
    let (mut model, _) = open();
    let prefix = prefix_tokens();
    model.forward(&prefix[..prefix.len() - 1]).unwrap();
    let shorter = model.save().unwrap();
    let expected = fresh_answer(ITALY);
    let disk = PrefixCache::new(home.path().into(), SHA256, &model.runtime());
    for state in [&b""[..], b"garbage", &shorter[..shorter.len() / 2], &shorter, &state_of_another_model()] {
        disk.write(&prefix, state);
        assert_eq!(disk.read(&prefix).unwrap().state(), state);
        let (text, usage) = answer(&mut engine_on_disk(home.path()), &prompt(ITALY));
        assert_eq!((text.as_str(), usage.cached_tokens), (expected.as_str(), 0), "{} bytes", state.len());
        assert_eq!(answer(&mut engine_on_disk(home.path()), &prompt(ITALY)).1.cached_tokens, prefix_length());
    }
}

fn open_file(file: &str) -> (LlamaModel, Tokenizer) {
    let path = model(file);
    let file = GgufFile::open(&path).unwrap();
    (LlamaModel::open(&path, &file, Threads::fixed(1)).unwrap(), Tokenizer::from_gguf(&file).unwrap())
}

fn state_of_another_model() -> Vec<u8> {
    let (mut model, _) = open_file("qwen2.5-coder-0.5b-instruct-q4_k_m.gguf");
    model.forward(&prefix_tokens()).unwrap();
    model.save().unwrap()
}

#[test]
fn state_cut_off_or_of_another_model_is_refused_and_the_model_goes_on() {
    let (mut model, _) = open();
    let text = prefix_tokens();
    model.forward(&text).unwrap();
    let state = model.save().unwrap();
    let foreign = state_of_another_model();
    let lengths = [0, 1, 4, 8, 12, 20, 40, 100, 1000, state.len() / 2, state.len() - 1];
    for bad in lengths.iter().map(|&length| &state[..length]).chain([&foreign[..]]) {
        assert!(model.restore(bad).is_err(), "{} bytes", bad.len());
        model.rewind(0).unwrap();
        assert!(model.forward(&text).is_ok());
    }
    model.restore(&state).unwrap();
    assert_eq!(model.position(), text.len());
}

/// From the requests that the quality is measured with.
const REQUESTS: [&str; 10] = [
    "list files in the current directory",
    "create a copy of /testbed/hello.php named /testbed/hello-COPY.php",
    "find files larger than 10 MB",
    "show disk usage of each folder here",
    "print lines 10 to 20 of notes.txt",
    "count the words in all markdown files below this folder",
    "which process is listening on port 443",
    "compress the folder logs into a tar.gz archive",
    "show the commits of the last week by author",
    "replace tabs with spaces in main.c",
];

fn command(engine: &mut dyn Engine, words: &str) -> (String, usize) {
    let request = pipeline::request(words, Context::of(Shell::Bash), 1).unwrap();
    let mut made = Candidates::default();
    let timing = pipeline::suggest(engine, &request, &mut made, &Interrupt::default(), &mut |_| {}).unwrap();
    (made.best(1)[0].command.clone(), timing.cached_tokens)
}

#[test]
fn default_model_gives_the_same_commands_with_its_prefix_from_disk() {
    let home = tempfile::tempdir().unwrap();
    let commands = || {
        let (model, tokenizer) = open_file("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
        let mut engine = LocalEngine::with_prefix_cache(model, tokenizer, home.path().into(), SHA256);
        REQUESTS.map(|words| command(&mut engine, words))
    };
    let (computed, restored) = (commands(), commands());
    assert_eq!((computed[0].1, restored[0].1 > 150), (0, true), "{:?}", restored[0]);
    assert_eq!(computed.map(|(command, _)| command), restored.map(|(command, _)| command));
}
