//! Files that are no LoRA adapter for the model: each is refused before llama.cpp sees it, with what is wrong with it.

use std::{fs, path::Path};

use cmdai::{
    engine::{Settings, open},
    model::{
        gguf::{Adapter, GgufFile},
        store::{Place, Record, Stamp},
    },
};

use crate::{
    gguf_builder::{ARRAY, Builder, F32, STRING, Tensor, U32, numbers, string},
    lora::recorded,
};

/// For [`Builder::valid`]: a pair for a square matrix and for two that are not.
fn small() -> Builder {
    let mut builder = Builder::adapter("qwen2", 4.0);
    for (name, shape) in [("attn_q", [8, 8]), ("attn_k", [8, 4]), ("ffn_down", [16, 8])] {
        builder.pair(&format!("blk.0.{name}.weight"), shape, 2);
    }
    builder
}

fn with(change: impl FnOnce(&mut Builder)) -> Builder {
    let mut builder = small();
    change(&mut builder);
    builder
}

fn entry(key: &str, kind: u32, value: Vec<u8>) -> Builder {
    with(|builder| builder.set(key, kind, value))
}

fn renamed(from: &str, to: &str) -> Builder {
    with(|builder| builder.tensor(from).name = to.into())
}

fn shaped(name: &str, dims: &[u64]) -> Builder {
    with(|builder| builder.tensor(name).dims = dims.into())
}

fn paired(name: &str, shape: [u64; 2]) -> Builder {
    with(|builder| {
        builder.pair(name, shape, 2);
    })
}

const NOT_OPEN: &str = "could not open adapter";
const NOT_USED: &str = "could not use adapter";

#[rustfmt::skip]
fn broken() -> Vec<(Builder, &'static str, &'static str)> {
    let q = "blk.0.attn_q.weight";
    let (q_a, q_b) = ("blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_b");
    let typed = |number| with(|b| (b.tensor(q_a).kind, b.tensor(q_a).data) = (number, vec![0; 16]));
    vec![
        (Builder::valid(4), NOT_OPEN, "it is no LoRA adapter: key \"general.type\" is missing"),
        (entry("general.type", STRING, string("model")), NOT_OPEN, "key \"general.type\" is \"model\", wanted \"adapter\""),
        (entry("general.type", U32, vec![0; 4]), NOT_OPEN, "key \"general.type\" holds u32, wanted string"),
        (with(|b| b.remove("adapter.type")), NOT_OPEN, "it is no LoRA adapter: key \"adapter.type\" is missing"),
        (entry("adapter.type", STRING, string("cvec\u{1b}")), NOT_OPEN, "key \"adapter.type\" is \"cvec\\u{1b}\", wanted \"lora\""),
        (entry("adapter.lora.alpha", U32, vec![0; 4]), NOT_OPEN, "key \"adapter.lora.alpha\" holds u32, wanted f32"),
        (entry("adapter.lora.alpha", F32, f32::NAN.to_le_bytes().into()), NOT_OPEN, "key \"adapter.lora.alpha\" is NaN"),
        (entry("adapter.lora.alpha", F32, f32::INFINITY.to_le_bytes().into()), NOT_OPEN, "key \"adapter.lora.alpha\" is inf"),
        (
            entry("adapter.alora.invocation_tokens", ARRAY, numbers(U32, [1, 2].into_iter())),
            NOT_OPEN, "it is an activated LoRA, in force behind certain words only, which is not supported",
        ),
        (with(|b| b.remove("general.architecture")), NOT_OPEN, "key \"general.architecture\" is missing"),
        (entry("general.architecture", U32, vec![0; 4]), NOT_OPEN, "key \"general.architecture\" holds u32, wanted string"),
        (entry("general.architecture", STRING, string("llama")), NOT_USED, "it is for architecture \"llama\", the model is \"qwen2\""),
        (Builder::adapter("qwen2", 1.0), NOT_OPEN, "it has no tensors"),
        (with(|b| drop(b.tensors.remove(0))), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_a\" is missing"),
        (with(|b| drop(b.tensors.remove(1))), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_b\" is missing"),
        (with(|b| b.tensors.push(Tensor::new("blk.0.attn_norm.weight", &[8, 1]))), NOT_OPEN, "tensor \"blk.0.attn_norm.weight\" is no half of a pair"),
        (renamed(q_a, "blk.0.attn_q.weight.loraA"), NOT_OPEN, "tensor \"blk.0.attn_q.weight.loraA\" is no half of a pair"),
        (shaped(q_a, &[16]), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_a\" has shape [16], wanted two dimensions"),
        (shaped(q_b, &[2, 4, 2]), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_b\" has shape [2, 4, 2], wanted two dimensions"),
        (typed(24), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_a\" has type I8, which no engine computes with there"),
        (typed(8), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_a\" has rows of 8, not whole blocks of 32 (Q8_0)"),
        (typed(99), NOT_OPEN, "tensor \"blk.0.attn_q.weight.lora_a\" has unknown type 99"),
        (shaped(q_a, &[16, 2]), NOT_USED, "tensor \"blk.0.attn_q.weight.lora_a\" has shape [16, 2], wanted [8, 2]"),
        (shaped(q_b, &[2, 16]), NOT_USED, "tensor \"blk.0.attn_q.weight.lora_b\" has shape [2, 16], wanted [2, 8]"),
        (shaped(q_b, &[8, 2]), NOT_USED, "tensor \"blk.0.attn_q.weight.lora_b\" has shape [8, 2], wanted [2, 8]"),
        (shaped(q_b, &[4, 8]), NOT_USED, "tensor \"blk.0.attn_q.weight.lora_b\" has shape [4, 8], wanted [2, 8]"),
        (
            with(|b| (b.tensor(q_a).dims, b.tensor(q_b).dims) = (vec![8, 9], vec![9, 8])),
            NOT_USED, "tensor \"blk.0.attn_q.weight.lora_a\" has shape [8, 9], wanted [8, 8]",
        ),
        (paired("blk.1.attn_q.weight", [8, 8]), NOT_USED, "the model has no tensor \"blk.1.attn_q.weight\""),
        (paired("output.weight", [8, 8]), NOT_USED, "the model has no tensor \"output.weight\""),
        (paired(&format!("{q}.lora_a"), [8, 8]), NOT_USED, "the model has no tensor \"blk.0.attn_q.weight.lora_a\""),
        (paired("blk.0.attn_norm.weight", [8, 1]), NOT_USED, "tensor \"blk.0.attn_norm.weight\" of the model is no matrix"),
        (paired("token_embd.weight", [8, 8]), NOT_USED, "it changes \"token_embd.weight\", the embeddings, which is not supported"),
    ]
}

/// A model of the same shapes as those pairs, which llama.cpp takes.
fn model(folder: &Path) -> Record {
    let mut builder = Builder::valid(4);
    builder.set("qwen2.attention.layer_norm_rms_epsilon", F32, 1e-6_f32.to_le_bytes().into());
    let path = folder.join("model.gguf");
    fs::write(&path, builder.bytes()).unwrap();
    recorded(path)
}

/// What the engine says to the file at `path` in place of an adapter; it opens with a good one.
fn refusal(model: &Record, path: &Path) -> Option<String> {
    let record = Record {
        name: "x".into(),
        path: path.to_owned(),
        place: Place::Yours,
        sha256: String::new(),
        stamp: Stamp::of(path).unwrap_or(model.stamp),
    };
    let settings = Settings { threads: Some(1), lora: Some(record), ..Settings::default() };
    open(model, "llama.cpp", &settings).err().map(|error| error.to_string())
}

#[test]
fn adapter_that_is_none_or_does_not_fit_is_refused_for_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (model, path) = (model(folder.path()), folder.path().join("adapter.gguf"));
    fs::write(&path, small().bytes()).unwrap();
    assert_eq!(refusal(&model, &path), None);
    for (builder, failed, why) in broken() {
        fs::write(&path, builder.bytes()).unwrap();
        assert_eq!(refusal(&model, &path), Some(format!("{failed}: {}: {why}", path.display())));
    }
    fs::remove_file(&path).unwrap();
    let absent = format!("{NOT_OPEN}: {}: No such file or directory (os error 2)", path.display());
    assert_eq!(refusal(&model, &path), Some(absent));
    fs::create_dir(&path).unwrap();
    assert_eq!(refusal(&model, &path), Some(format!("{NOT_OPEN}: {}: not a regular file", path.display())));
}

#[test]
fn adapter_cut_anywhere_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (path, whole) = (folder.path().join("x.gguf"), small().bytes());
    let gguf = GgufFile::open(model(folder.path()).path).unwrap();
    let outcome = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        Adapter::open(&path).and_then(|adapter| adapter.check_fits(&gguf))
    };
    outcome(&whole).unwrap();
    for length in 0..whole.len() {
        let error = outcome(&whole[..length]).expect_err("it is cut").to_string();
        assert!(error.starts_with(NOT_OPEN), "{length}: {error}");
    }
}

#[test]
fn engine_without_adapters_says_which_one_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let model = model(folder.path());
    let settings = Settings { lora: Some(model.clone()), ..Settings::default() };
    let error = open(&model, "mlx", &settings).err().expect("it is refused");
    assert_eq!((error.to_string().as_str(), error.exit_code()), ("the engine mlx takes no LoRA adapter", 2));
    assert!(error.next_step().expect("a hint").contains("--engine llama"));
}
