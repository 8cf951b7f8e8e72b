//! The MLX engine, on MLX's CPU backend: what it is proved by. `tests/mlx` builds and runs this lane.

mod agreement;
mod faults;
mod packed;
mod parts;
mod repack;
mod sequence;
mod tiny;

use std::path::Path;

use cmdai::{
    engine::{
        Token,
        mlx::{MlxModel, start, weights},
    },
    model::{gguf::GgufFile, tokenizer::Tokenizer},
};
use mlx_rs::Device;

use crate::support::model;

const SMOLLM: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const QWEN_SMALL: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
const QWEN: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

/// On a Mac too the tests compute in 32 bits, on the CPU; here there is nothing else.
fn on_cpu() {
    Device::set_default(&Device::cpu());
}

/// A real model, packed in memory.
fn open(file: &str) -> (MlxModel, Tokenizer) {
    on_cpu();
    let file = GgufFile::open(model(file)).unwrap();
    let tokenizer = Tokenizer::from_gguf(&file).unwrap();
    (MlxModel::open(&file, "a real one", None).unwrap(), tokenizer)
}

fn open_file(file: &GgufFile, cache: Option<&Path>) -> MlxModel {
    on_cpu();
    MlxModel::open(file, "0123", cache).unwrap()
}

fn arrays(file: &GgufFile) -> weights::Arrays {
    on_cpu();
    weights::load(file, "0123", start().unwrap(), None).unwrap()
}

fn tokens(tokenizer: &Tokenizer, text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    tokenizer.encode(text, &mut tokens);
    tokens
}

fn best(logits: &[f32]) -> Token {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap() as Token
}

/// Largest difference of two sets of logits.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}
