//! The llama.cpp engine on a real, small model: what the decode loop relies on.

use std::{ops::ControlFlow, rc::Rc};

use cmdai::{
    engine::{
        Admits, Engine, GenerateParams, Model, Piece, Prompt, Token, Usage, generate::LocalEngine, llama::LlamaModel,
        threads::Threads,
    },
    error::Error,
    model::{gguf::GgufFile, tokenizer::Tokenizer},
};

use crate::support::model;

pub(crate) const SMALL: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";

pub(crate) fn open() -> (LlamaModel, Tokenizer) {
    let path = model(SMALL);
    let file = GgufFile::open(&path).unwrap();
    let tokenizer = Tokenizer::from_gguf(&file).unwrap();
    let model = LlamaModel::open(&path, &file, Threads::fixed(1)).unwrap();
    (model, tokenizer)
}

pub(crate) fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    tokenizer.encode(text, &mut tokens);
    tokens
}

/// Largest difference of two sets of logits.
pub(crate) fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn rewound_sequence_gives_the_logits_of_a_fresh_one() {
    let (mut model, tokenizer) = open();
    let text = tokens(&tokenizer, "The capital of France is Paris, and the capital of Italy is");
    let fresh = model.forward(&text).unwrap().to_vec();
    assert_eq!(fresh.len(), tokenizer.vocabulary_size());
    assert_eq!(model.position(), text.len());
    model.forward(&tokens(&tokenizer, " something else altogether")).unwrap();
    model.rewind(text.len() - 3).unwrap();
    assert_eq!(model.position(), text.len() - 3);
    let again = model.forward(&text[text.len() - 3..]).unwrap().to_vec();
    assert!(distance(&fresh, &again) < 0.5, "{}", distance(&fresh, &again));
    let other = model.forward(&text[..1]).unwrap();
    assert!(distance(&fresh, other) > 1.0, "another position has other logits");
}

#[test]
fn long_prompt_is_computed_in_batches_with_the_same_result() {
    let (mut model, tokenizer) = open();
    let text = tokens(&tokenizer, &"one two three four five six seven eight nine ten ".repeat(60));
    assert!(text.len() > 512, "longer than one batch: {}", text.len());
    let whole = model.forward(&text).unwrap().to_vec();
    model.rewind(0).unwrap();
    model.forward(&text[..100]).unwrap();
    let parts = model.forward(&text[100..]).unwrap();
    assert!(distance(&whole, parts) < 0.5, "{}", distance(&whole, parts));
}

#[test]
fn token_outside_the_vocabulary_and_an_empty_batch_are_errors() {
    let (mut model, tokenizer) = open();
    assert!(model.forward(&[]).is_err());
    assert!(model.forward(&[tokenizer.vocabulary_size() as Token]).is_err());
    assert!(model.forward(&[0]).is_ok(), "the model goes on after an error");
}

pub(crate) fn prompt(question: &str) -> Prompt {
    let special = Piece::Special;
    let text = |text: &str| Piece::Text(text.into());
    Prompt {
        prefix: vec![special("<|im_start|>"), text("system\nYou are helpful."), special("<|im_end|>"), text("\n")],
        tail: vec![
            special("<|im_start|>"),
            text(&format!("user\n{question}")),
            special("<|im_end|>"),
            text("\n"),
            special("<|im_start|>"),
            text("assistant\n"),
        ],
    }
}

fn generate(engine: &mut dyn Engine, question: &str, params: &GenerateParams) -> (String, Usage) {
    let mut text = String::new();
    let usage = engine
        .generate(&prompt(question), params, &mut |piece| {
            text.push_str(piece);
            ControlFlow::Continue(())
        })
        .unwrap();
    (text, usage)
}

#[test]
fn greedy_text_is_the_same_with_a_warm_cache_and_a_cold_one() {
    let greedy = GenerateParams { max_tokens: 12, ..GenerateParams::default() };
    let (model, tokenizer) = open();
    let mut cold = LocalEngine::new(model, tokenizer);
    let (expected, _) = generate(&mut cold, "What is the capital of Italy?", &greedy);
    assert!(expected.split_whitespace().count() > 2, "{expected}");
    let (model, tokenizer) = open();
    let mut warm = LocalEngine::new(model, tokenizer);
    let (other, _) = generate(&mut warm, "How many days has a week?", &greedy);
    assert_ne!(other, expected);
    assert_eq!(generate(&mut warm, "What is the capital of Italy?", &greedy).0, expected);
}

#[test]
fn callback_stops_the_generation_and_the_limit_holds() {
    let (model, tokenizer) = open();
    let mut engine = LocalEngine::new(model, tokenizer);
    let params = GenerateParams { max_tokens: 5, ..GenerateParams::default() };
    assert_eq!(generate(&mut engine, "Tell me a long story.", &params).1.decoded_tokens, 5);
    let mut calls = 0;
    let usage = engine
        .generate(&prompt("Tell me a long story."), &GenerateParams { max_tokens: 50, ..params.clone() }, &mut |_| {
            calls += 1;
            if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!((calls, usage.decoded_tokens), (2, 2));
}

#[test]
fn fork_is_the_answer_up_to_there_and_the_token_that_was_nearly_taken() {
    let (model, tokenizer) = open();
    let mut engine = LocalEngine::new(model, tokenizer);
    let question = "How many days has a week?";
    let params = GenerateParams { max_tokens: 12, ..GenerateParams::default() };
    let (text, usage) = generate(&mut engine, question, &params);
    assert!(usage.forks.len() > 2, "{:?}", usage.forks);
    // Not where it ends: nothing can keep it from that.
    for fork in usage.forks.iter().filter(|fork| !fork.text.starts_with(&text)) {
        assert!((0.0..=4.0).contains(&fork.gap), "{fork:?} of {text}");
        // Admitted alone, it is what is written, as likely as was told.
        let wanted = fork.text.clone();
        let admits: Admits = Rc::new(move |text| wanted.starts_with(text));
        let (text, usage) = generate(&mut engine, question, &GenerateParams { admits: Some(admits), ..params.clone() });
        assert_eq!((text.as_str(), usage.stuck), (fork.text.as_str(), true));
        assert!((usage.likelihood.unwrap() - fork.likelihood).abs() < 0.05, "{fork:?}: {:?}", usage.likelihood);
        assert!(usage.forks.is_empty(), "{:?}", usage.forks);
    }
}

#[test]
fn prompt_that_does_not_fit_is_refused_with_figures() {
    let (model, tokenizer) = open();
    let mut engine = LocalEngine::new(model, tokenizer);
    let params = GenerateParams { max_tokens: 5, ..GenerateParams::default() };
    let error = engine
        .generate(&prompt(&"word ".repeat(5000)), &params, &mut |_| ControlFlow::Continue(()))
        .expect_err("5,000 words do not fit");
    assert!(error.to_string().contains("room for 2043"), "{error}");
}

/// The default model: its weights are of types that llama.cpp lays out anew.
fn open_default() -> (LlamaModel, Vec<Token>, Token) {
    let path = model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
    let file = GgufFile::open(&path).unwrap();
    let tokenizer = Tokenizer::from_gguf(&file).unwrap();
    let text = tokens(&tokenizer, "The capital of France is Paris, and the capital of Italy is");
    let next = tokens(&tokenizer, " Rome")[0];
    (LlamaModel::open(&path, &file, Threads::fixed(2)).unwrap(), text, next)
}

fn best(logits: &[f32]) -> usize {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap()
}

#[cfg(target_os = "linux")]
#[test]
fn settled_model_has_its_weights_in_another_order_and_goes_on_where_it_was() {
    let (mut model, text, next) = open_default();
    model.forward(&text).unwrap();
    let before = model.forward(&[next]).unwrap().to_vec();
    model.rewind(text.len()).unwrap();

    assert!(matches!(model.settle(&|| true), Err(Error::Cancelled)));
    assert_eq!(distance(model.forward(&[next]).unwrap(), &before), 0.0, "stopped, it is as before");
    model.rewind(text.len()).unwrap();

    model.settle(&|| false).unwrap();
    assert_eq!(model.position(), text.len());
    let after = model.forward(&[next]).unwrap().to_vec();
    assert_eq!(best(&after), best(&before));
    let moved = distance(&after, &before);
    assert!(0.0 < moved && moved < 1.0, "{moved}");

    model.rewind(text.len()).unwrap();
    model.settle(&|| panic!("nothing is left to do")).unwrap();
    assert_eq!(distance(model.forward(&[next]).unwrap(), &after), 0.0);
}

#[cfg(target_os = "linux")]
#[test]
fn file_that_was_changed_is_not_opened_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("small.gguf");
    std::fs::copy(model(SMALL), &path).unwrap();
    let file = GgufFile::open(&path).unwrap();
    let mut model = LlamaModel::open(&path, &file, Threads::fixed(1)).unwrap();
    std::fs::File::open(&path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let error = model.settle(&|| false).unwrap_err();
    assert!(error.to_string().starts_with("could not open model again: "), "{error}");
    model.forward(&[1, 2]).unwrap();
}
