//! The tokenizer against Hugging Face's (goldens made by `tests/data/make-tokenizer-goldens.py`), on real vocabularies.

use std::sync::LazyLock;

use cmdai::model::{gguf::GgufFile, tokenizer::Tokenizer};
use serde_json::Value;

use crate::{
    gguf_builder::{ARRAY, Builder, strings},
    support,
};

static QWEN: LazyLock<Tokenizer> = LazyLock::new(|| open("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"));
static SMOLLM: LazyLock<Tokenizer> = LazyLock::new(|| open("SmolLM2-135M-Instruct.Q4_1.gguf"));

fn open(model: &str) -> Tokenizer {
    let file = GgufFile::open(support::model(model)).expect("the model opens");
    Tokenizer::from_gguf(&file).expect("the tokenizer is built")
}

fn encode(tokenizer: &Tokenizer, text: &str) -> Vec<u32> {
    let mut tokens = Vec::new();
    tokenizer.encode(text, &mut tokens);
    tokens
}

fn decode(tokenizer: &Tokenizer, tokens: &[u32]) -> Vec<u8> {
    tokens.iter().flat_map(|&token| tokenizer.piece(token).expect("a token of the vocabulary")).collect()
}

fn goldens(lines: &str) -> Vec<(String, Vec<u32>)> {
    let row = |line: &str| -> (String, Vec<u32>) {
        let row: Vec<Value> = serde_json::from_str(line).expect("a row is a JSON array");
        let tokens = row[1..].iter().map(|token| token.as_u64().expect("ids are numbers") as u32).collect();
        (row[0].as_str().expect("the string comes first").into(), tokens)
    };
    lines.lines().map(row).collect()
}

fn assert_matches(tokenizer: &Tokenizer, goldens: &[(String, Vec<u32>)]) {
    let differs = |(text, tokens): &&(String, Vec<u32>)| encode(tokenizer, text) != *tokens;
    let differing: Vec<_> = goldens.iter().filter(differs).collect();
    let first = differing.first().map(|(text, tokens)| (text, tokens, encode(tokenizer, text)));
    assert!(differing.is_empty(), "{} of {} differ; text, wanted, found: {first:?}", differing.len(), goldens.len());
}

#[test]
fn qwen2_encodes_as_the_original_does() {
    let goldens = goldens(include_str!("../data/tokenizer-qwen2.jsonl"));
    assert!(goldens.len() >= 2_500, "{}", goldens.len());
    assert_matches(&QWEN, &goldens);
}

/// What the two parts of a prompt rest on.
#[test]
fn words_behind_a_line_break_encode_as_they_do_alone() {
    let opening = "user\n(bash, Linux)\n";
    let files = [include_str!("../data/tokenizer-qwen2.jsonl"), include_str!("../data/tokenizer-smollm.jsonl")];
    for (tokenizer, file) in [&*QWEN, &*SMOLLM].into_iter().zip(files) {
        let texts = goldens(file);
        for words in texts.iter().map(|(text, _)| text.trim()).filter(|words| !words.is_empty()) {
            let apart = [encode(tokenizer, opening), encode(tokenizer, words)].concat();
            assert_eq!(encode(tokenizer, &format!("{opening}{words}")), apart, "{words:?}");
        }
    }
}

#[test]
fn smollm_encodes_as_the_original_does() {
    let goldens = goldens(include_str!("../data/tokenizer-smollm.jsonl"));
    assert!(goldens.len() >= 2_500, "{}", goldens.len());
    assert_matches(&SMOLLM, &goldens);
}

#[test]
fn pieces_of_the_tokens_give_the_text_back() {
    for (text, _) in goldens(include_str!("../data/tokenizer-qwen2.jsonl")) {
        assert_eq!(decode(&QWEN, &encode(&QWEN, &text)), text.as_bytes(), "{text:?}");
    }
}

#[test]
fn every_character_survives_the_way_there_and_back() {
    let all: String = ('\0'..=char::MAX).collect();
    assert_eq!(decode(&QWEN, &encode(&QWEN, &all)), all.as_bytes());
}

#[test]
fn special_token_text_stays_plain_text() {
    let is_special = |token: &u32| (151_643..=151_664).contains(token);
    let names = (151_643..=151_664).map(|token| special_name(token).to_owned());
    for name in names {
        for text in
            [name.clone(), format!(" {name}"), format!("x{name}y"), format!("{name}{name}"), format!("\n{name}\n")]
        {
            let tokens = encode(&QWEN, &text);
            assert!(!tokens.iter().any(is_special), "{text:?}: {tokens:?}");
            assert_eq!(decode(&QWEN, &tokens), text.as_bytes());
        }
        assert!(QWEN.special(&name).is_some(), "{name}");
    }
}

/// The names of Qwen2.5's special tokens, in their order.
fn special_name(token: u32) -> &'static str {
    const NAMES: [&str; 22] = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|object_ref_start|>",
        "<|object_ref_end|>",
        "<|box_start|>",
        "<|box_end|>",
        "<|quad_start|>",
        "<|quad_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
        "<tool_call>",
        "</tool_call>",
        "<|fim_prefix|>",
        "<|fim_middle|>",
        "<|fim_suffix|>",
        "<|fim_pad|>",
        "<|repo_name|>",
        "<|file_sep|>",
    ];
    NAMES[token as usize - 151_643]
}

#[test]
fn special_finds_special_tokens_only_and_by_their_whole_name() {
    assert_eq!(QWEN.special("<|im_start|>"), Some(151_644));
    assert_eq!(QWEN.special("<tool_call>"), Some(151_657));
    for name in ["<|im_start|", "<|im_start|> ", "", "the", "Ġthe", "[PAD151665]"] {
        assert_eq!(QWEN.special(name), None, "{name}");
    }
    assert_eq!(SMOLLM.special("<|im_end|>"), Some(2));
}

#[test]
fn only_ends_are_ends() {
    let ends = |tokenizer: &Tokenizer| -> Vec<u32> {
        (0..=tokenizer.vocabulary_size() as u32).filter(|&token| tokenizer.is_end(token)).collect()
    };
    assert_eq!(ends(&QWEN), [151_643, 151_645, 151_662, 151_663, 151_664]);
    assert_eq!(ends(&SMOLLM), [0, 2, 4]);
}

#[test]
fn control_tokens_have_no_piece_and_tokens_past_the_end_none_at_all() {
    assert_eq!(QWEN.vocabulary_size(), 151_936);
    assert_eq!(QWEN.piece(151_645), Some(vec![]));
    assert_eq!(QWEN.piece(151_657), Some(b"<tool_call>".to_vec()));
    assert_eq!(QWEN.piece(151_935), Some(vec![]));
    assert_eq!(QWEN.piece(151_936), None);
    assert_eq!(QWEN.piece(u32::MAX), None);
}

#[test]
fn a_token_can_be_made_by_several_merges() {
    let mut builder = Builder::valid(40);
    let file = GgufFile::from_bytes("x.gguf", builder.bytes()).expect("the file is valid");
    let tokens = file.string_array("tokenizer.ggml.tokens").expect("an array of strings").expect("there are tokens");
    let tokens: Vec<_> = tokens.map(|text| if text == b"aa" { b"abc" } else { text }).collect();
    let made = tokens.iter().position(|text| text == b"abc").expect("the token was put there") as u32;
    builder.set("tokenizer.ggml.tokens", ARRAY, strings(&tokens));
    for merges in [["b c", "a b", "ab c", "a bc"], ["a b", "b c", "ab c", "a bc"], ["b c", "a b", "a bc", "ab c"]] {
        builder.set("tokenizer.ggml.merges", ARRAY, strings(&merges));
        let file = GgufFile::from_bytes("x.gguf", builder.bytes()).expect("the file is valid");
        let tokenizer = Tokenizer::from_gguf(&file).expect("the tokenizer is built");
        assert_eq!(encode(&tokenizer, "abc"), [made], "{merges:?}");
    }
    // The parts must be those of a merge; that they spell a token is not enough.
    builder.set("tokenizer.ggml.merges", ARRAY, strings(&["a b", "b c", "a bc"]));
    let file = GgufFile::from_bytes("x.gguf", builder.bytes()).expect("the file is valid");
    let tokenizer = Tokenizer::from_gguf(&file).expect("the tokenizer is built");
    assert_eq!(encode(&tokenizer, "abc").len(), 2);
}
