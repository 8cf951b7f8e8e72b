//! One sequence and its key-value cache: in pieces, cut back, saved, restored, computed ahead.

use std::fs;

use cmdai::{
    engine::{Engine, GenerateParams, Interrupt, Model, Piece, Prompt, generate::LocalEngine},
    error::Error,
};

use super::{SMOLLM, best, distance, open, open_file, tiny, tokens};
use crate::support::TestEnv;

/// Sums of floats in another order: what pieces and the whole may differ by, in logits of size about ten.
const ROUNDING: f32 = 1e-3;

#[test]
fn prompt_in_pieces_gives_the_logits_of_the_whole() {
    for architecture in ["qwen2", "llama"] {
        let mut model = open_file(&tiny::file(architecture), None);
        // Longer than a chunk of prefill and than two steps of the cache's growth.
        let prompt = tiny::prompt(1100);
        let whole = model.forward(&prompt).unwrap().to_vec();
        assert_eq!((whole.len(), model.position()), (tiny::VOCABULARY as usize, 1100));
        for piece in [1, 255, 600] {
            model.rewind(0).unwrap();
            let mut logits = Vec::new();
            for tokens in prompt.chunks(piece) {
                logits = model.forward(tokens).unwrap().to_vec();
            }
            let error = distance(&whole, &logits);
            assert!(error < ROUNDING, "{architecture}, pieces of {piece}: {error}");
        }
        let error = distance(&whole, model.forward(&prompt[..1]).unwrap());
        assert!(error > 10.0 * ROUNDING, "another position has other logits: {error}");
    }
}

#[test]
fn sequence_cut_back_and_continued_otherwise_is_a_fresh_one() {
    let mut model = open_file(&tiny::file("qwen2"), None);
    let prompt = tiny::prompt(300);
    model.forward(&prompt).unwrap();
    model.rewind(200).unwrap();
    assert_eq!(model.position(), 200);
    let other: Vec<_> = prompt[..200].iter().copied().chain((0..90).map(|i| i * 7 % 250)).collect();
    let continued = model.forward(&other[200..]).unwrap().to_vec();
    let mut fresh = open_file(&tiny::file("qwen2"), None);
    let error = distance(fresh.forward(&other).unwrap(), &continued);
    assert!(error < ROUNDING, "{error}");
}

#[test]
fn saved_sequence_goes_on_bit_for_bit_in_another_model_object() {
    let (mut model, tokenizer) = open(SMOLLM);
    let text = tokens(&tokenizer, "The capital of France is Paris, and the capital of Italy is");
    let (before, after) = text.split_at(text.len() - 3);
    model.forward(before).unwrap();
    let env = TestEnv::without_model();
    let path = env.home().join("state");
    fs::write(&path, model.save().unwrap()).unwrap();
    let expected = model.forward(after).unwrap().to_vec();
    let (mut other, _) = open(SMOLLM);
    other.forward(&text[3..7]).unwrap();
    other.restore(&fs::read(&path).unwrap()).unwrap();
    assert_eq!(other.position(), before.len());
    assert_eq!(other.forward(after).unwrap(), expected);
    assert_eq!(tokenizer_text(&tokenizer, best(&expected)), " Rome");
}

fn tokenizer_text(tokenizer: &cmdai::model::tokenizer::Tokenizer, token: u32) -> String {
    let mut bytes = Vec::new();
    tokenizer.write_piece(token, &mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn state_of_nothing_and_of_a_full_context_are_restored() {
    let mut model = open_file(&tiny::file("qwen2"), None);
    let nothing = model.save().unwrap();
    let full = tiny::prompt(model.capacity());
    let logits = model.forward(&full).unwrap().to_vec();
    let everything = model.save().unwrap();
    assert!(model.forward(&[0]).expect_err("no room").to_string().contains("full"));
    model.restore(&nothing).unwrap();
    assert_eq!(model.position(), 0);
    model.restore(&everything).unwrap();
    model.rewind(full.len() - 1).unwrap();
    assert_eq!(distance(model.forward(&full[full.len() - 1..]).unwrap(), &logits).max(ROUNDING), ROUNDING);
}

#[test]
fn bytes_that_are_no_state_of_this_model_are_refused() {
    let mut model = open_file(&tiny::file("qwen2"), None);
    let prompt = tiny::prompt(20);
    model.forward(&prompt).unwrap();
    let state = model.save().unwrap();
    let (mut other, tokenizer) = open(SMOLLM);
    other.forward(&tokens(&tokenizer, "hello")).unwrap();
    let foreign = other.save().unwrap();
    let mut longer = state.clone();
    longer[24..28].copy_from_slice(&4000_i32.to_le_bytes());
    let mut negative = state.clone();
    negative[24..28].copy_from_slice(&(-1_i32).to_le_bytes());
    let cut = &state[..state.len() - 1];
    // Whole, and one position longer than the context.
    let positions = model.capacity() + 1;
    let too_long =
        [&state[..24], &(positions as u32).to_le_bytes(), &vec![0; (state.len() - 28) / 20 * positions]].concat();
    for bytes in [&[], &state[..10], &state[..28], cut, &longer, &negative, &foreign, &too_long] {
        assert!(model.restore(bytes).is_err(), "{} bytes", bytes.len());
        model.rewind(0).unwrap();
        assert_eq!(model.forward(&prompt).unwrap().len(), tiny::VOCABULARY as usize);
    }
    model.restore(&state).unwrap();
}

#[test]
fn running_ahead_changes_no_logit() {
    let prompt = tiny::prompt(40);
    let mut plain = open_file(&tiny::file("qwen2"), None);
    let mut ahead = open_file(&tiny::file("qwen2"), None);
    ahead.set_run_ahead(true);
    let mut logits = plain.forward(&prompt).unwrap().to_vec();
    assert_eq!(ahead.forward(&prompt).unwrap(), logits);
    for step in 0..30 {
        // Mostly the guess; every fifth token is another one, and once the sequence is cut back.
        let token = if step % 5 == 4 { 11 } else { best(&logits) };
        if step == 17 {
            plain.rewind(45).unwrap();
            ahead.rewind(45).unwrap();
        }
        logits = plain.forward(&[token]).unwrap().to_vec();
        assert_eq!(ahead.forward(&[token]).unwrap(), logits, "step {step}");
        assert_eq!(ahead.position(), plain.position());
    }
    assert_eq!(ahead.save().unwrap(), plain.save().unwrap());
}

#[test]
fn text_is_the_same_with_a_warm_cache_and_a_cold_one() {
    let special = Piece::Special;
    let prompt = |question: &str| Prompt {
        prefix: vec![special("<|im_start|>")],
        tail: vec![
            Piece::Text(format!("user\n{question}")),
            special("<|im_end|>"),
            Piece::Text("\n".into()),
            special("<|im_start|>"),
            Piece::Text("assistant\n".into()),
        ],
    };
    let ask = |engine: &mut dyn Engine, question: &str| {
        let mut text = String::new();
        let params = GenerateParams { max_tokens: 8, ..GenerateParams::default() };
        let usage = engine.generate(&prompt(question), &params, &mut |piece| {
            text.push_str(piece);
            std::ops::ControlFlow::Continue(())
        });
        assert!(usage.unwrap().decoded_tokens <= 8);
        text
    };
    let (model, tokenizer) = open(SMOLLM);
    let mut engine = LocalEngine::new(model, tokenizer);
    let cold = ask(&mut engine, "What is the capital of Italy?");
    assert!(cold.contains("capital"), "{cold}");
    assert_ne!(ask(&mut engine, "How many days has a week?"), cold);
    assert_eq!(ask(&mut engine, "What is the capital of Italy?"), cold);
}

#[test]
fn interrupted_prefill_keeps_whole_chunks_and_goes_on_from_them() {
    let prompt = tiny::prompt(1100);
    let expected = open_file(&tiny::file("qwen2"), None).forward(&prompt).unwrap().to_vec();
    let mut model = open_file(&tiny::file("qwen2"), None);
    model.forward(&prompt[..50]).unwrap();
    let interrupt = Interrupt::default();
    model.set_interrupt(interrupt.clone());
    interrupt.set();
    assert!(matches!(model.forward(&prompt[50..]), Err(Error::Cancelled)));
    assert_eq!(model.position(), 50, "nothing is begun once it is set");

    let interrupt = Interrupt::default();
    model.set_interrupt(interrupt.clone());
    std::thread::scope(|scope| {
        scope.spawn(|| interrupt.set());
        // Before, between or after the chunks: whichever it is, what is held is good.
        let _ = model.forward(&prompt[50..]);
    });
    let held = model.position();
    assert!((held - 50).is_multiple_of(512) || held == prompt.len(), "{held}");
    model.set_interrupt(Interrupt::default());
    model.rewind(held.min(prompt.len() - 1)).unwrap();
    let held = model.position();
    let error = distance(&expected, model.forward(&prompt[held..]).unwrap());
    assert!(error < ROUNDING, "after {held}: {error}");
}

#[test]
fn prefix_on_disk_spares_another_engine_its_computing() {
    let env = TestEnv::without_model();
    let special = Piece::Special;
    let prompt = Prompt {
        prefix: vec![special("<|im_start|>"), Piece::Text("system\nBe brief.".into()), special("<|im_end|>")],
        tail: vec![special("<|im_start|>"), Piece::Text("user\nWhat is the capital of Italy?".into())],
    };
    let params = GenerateParams { max_tokens: 8, ..GenerateParams::default() };
    let answer = || {
        let (model, tokenizer) = open(SMOLLM);
        let mut engine = LocalEngine::with_prefix_cache(model, tokenizer, env.home().join("prefix"), "0123");
        let mut text = String::new();
        let usage = engine.generate(&prompt, &params, &mut |piece| {
            text.push_str(piece);
            std::ops::ControlFlow::Continue(())
        });
        (text, usage.unwrap().cached_tokens)
    };
    let (first, second) = (answer(), answer());
    assert_eq!((first.1, &first.0), (0, &second.0));
    assert!(second.1 > 5, "{second:?}");
}
