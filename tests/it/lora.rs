//! LoRA adapters: what they change in a model, and what they must not. All are made here, of random numbers.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use cmdai::{
    engine::{Engine, Model, Settings, Token, llama::LlamaModel, open, threads::Threads},
    model::{
        gguf::{GgufFile, TensorType},
        store::{Place, Record, Stamp},
        tokenizer::Tokenizer,
    },
};

use crate::{
    engine::{SMALL, prompt},
    gguf_builder::{Builder, F32},
    reference::{LowRank, Reference, dequantize, kl},
    sequence::{answer, prefix_length},
    support::{Random, model},
};

const ITALY: &str = "What is the capital of Italy?";
const RANK: usize = 32;
const ALPHA: f32 = 256.0;

/// The kinds of a block's matrices, with the types and numbers (in a GGUF file) of what is made for them.
const MATRICES: [(&str, TensorType, u32); 7] = [
    ("attn_q", TensorType::F32, 0),
    ("attn_k", TensorType::F16, 1),
    ("attn_v", TensorType::Q8_0, 8),
    ("attn_output", TensorType::F32, 0),
    ("ffn_gate", TensorType::F16, 1),
    ("ffn_up", TensorType::Q8_0, 8),
    ("ffn_down", TensorType::F32, 0),
];

/// As `lora_a` and `lora_b` of every matrix of the first and the last block.
pub(crate) struct Made {
    pub(crate) builder: Builder,
    pairs: HashMap<String, LowRank>,
}

/// An adapter that changes what the model says, always the same one.
pub(crate) fn made(file: &str) -> Made {
    let gguf = GgufFile::open(model(file)).unwrap();
    let name = gguf.architecture();
    let blocks = gguf.u32(&format!("{name}.block_count")).unwrap().expect("a number");
    let (mut builder, mut pairs, mut random) = (Builder::adapter(name, ALPHA), HashMap::new(), Random(7));
    for block in [0, blocks - 1] {
        for (matrix, kind, number) in MATRICES {
            let name = format!("blk.{block}.{matrix}.weight");
            let &[columns, rows] = gguf.tensor(&name).expect("a matrix").dims() else { panic!("{name} is none") };
            let halves = [columns, rows].map(|side| numbers(kind, side as usize * RANK, &mut random));
            let [a, b] = halves.each_ref().map(|bytes| dequantize(kind, bytes));
            pairs.insert(name.clone(), LowRank { a, b, rank: RANK, scale: ALPHA / RANK as f32 });
            for (tensor, data) in builder.pair(&name, [columns, rows], RANK as u64).into_iter().zip(halves) {
                (tensor.kind, tensor.data) = (number, data);
            }
        }
    }
    Made { builder, pairs }
}

/// `count` numbers below 1/16, either sign.
fn numbers(kind: TensorType, count: usize, random: &mut Random) -> Vec<u8> {
    let mut byte = || random.below(256) as u8;
    match kind {
        TensorType::F32 => (0..count).flat_map(|_| (f32::from(byte().cast_signed()) / 2048.0).to_le_bytes()).collect(),
        // The exponent is that of 1/32.
        TensorType::F16 => {
            (0..count).flat_map(|_| (u16::from_le_bytes([byte(), byte()]) & 0x83ff | 0x2800).to_le_bytes()).collect()
        }
        // The scale is 1/2048.
        TensorType::Q8_0 => {
            (0..count / 32).flat_map(|_| [vec![0, 0x10], (0..32).map(|_| byte()).collect()].concat()).collect()
        }
        other => panic!("no {other:?} is made here"),
    }
}

/// `adapter` in a file of `folder`, as the store would record it.
pub(crate) fn written(folder: &Path, name: &str, adapter: &Builder) -> Record {
    let path = folder.join(name);
    fs::write(&path, adapter.bytes()).unwrap();
    recorded(path)
}

pub(crate) fn recorded(path: PathBuf) -> Record {
    let stamp = Stamp::of(&path).unwrap();
    let sha256 = crate::hub::sha256(&fs::read(&path).unwrap());
    Record { name: path.display().to_string(), path, place: Place::Yours, sha256, stamp }
}

fn opened(file: &str, adapter: Option<&Record>) -> (LlamaModel, Vec<Token>) {
    let path = model(file);
    let gguf = GgufFile::open(&path).unwrap();
    let mut tokens = Vec::new();
    Tokenizer::from_gguf(&gguf)
        .unwrap()
        .encode("To list the files of a folder in a shell, type the command", &mut tokens);
    (LlamaModel::open_with(&path, &gguf, Threads::fixed(1), adapter).unwrap(), tokens)
}

fn logits(file: &str, adapter: Option<&Record>) -> Vec<f32> {
    let (mut model, tokens) = opened(file, adapter);
    model.forward(&tokens).unwrap().to_vec()
}

#[test]
fn adapter_of_zeros_changes_no_logit() {
    let folder = tempfile::tempdir().unwrap();
    let Made { mut builder, .. } = made(SMALL);
    for tensor in builder.tensors.iter_mut().filter(|tensor| tensor.name.ends_with(b".lora_b")) {
        tensor.data.fill(0);
    }
    let zeros = written(folder.path(), "zeros.gguf", &builder);
    assert!(logits(SMALL, Some(&zeros)) == logits(SMALL, None));
}

#[test]
fn adapter_of_every_matrix_gives_the_logits_of_the_32_bit_reference() {
    let folder = tempfile::tempdir().unwrap();
    let Made { builder, pairs } = made(SMALL);
    let adapter = written(folder.path(), "x.gguf", &builder);
    let (mut ours, tokens) = opened(SMALL, Some(&adapter));
    let ours = ours.forward(&tokens).unwrap();
    let exact = Reference::open(model(SMALL)).with_adapter(pairs).logits(&tokens);
    // As in `llama_cpp_stays_near_the_32_bit_reference`.
    let (divergence, moved) = (kl(&exact, ours), kl(&exact, &logits(SMALL, None)));
    assert!(divergence < 2e-2 && moved > 0.5, "{divergence} {moved}");
}

#[test]
fn half_the_numbers_at_twice_the_alpha_is_the_same_adapter() {
    let folder = tempfile::tempdir().unwrap();
    let Made { mut builder, .. } = made(SMALL);
    let whole = logits(SMALL, Some(&written(folder.path(), "whole.gguf", &builder)));
    for tensor in builder.tensors.iter_mut().filter(|tensor| tensor.name.ends_with(b".lora_b")) {
        match tensor.kind {
            0 => tensor.data.chunks_exact_mut(4).for_each(|number| {
                let half = f32::from_le_bytes(number.try_into().unwrap()) / 2.0;
                number.copy_from_slice(&half.to_le_bytes());
            }),
            // One less in the exponent.
            1 => tensor.data.chunks_exact_mut(2).for_each(|number| number[1] -= 4),
            _ => tensor.data.chunks_exact_mut(34).for_each(|block| block[1] -= 4),
        }
    }
    let halves = logits(SMALL, Some(&written(folder.path(), "halves.gguf", &builder)));
    assert!(kl(&whole, &halves) > 0.1, "{}", kl(&whole, &halves));
    builder.set("adapter.lora.alpha", F32, (2.0 * ALPHA).to_le_bytes().into());
    let doubled = logits(SMALL, Some(&written(folder.path(), "doubled.gguf", &builder)));
    assert!(kl(&whole, &doubled) < 1e-3, "{}", kl(&whole, &doubled));
}

/// The weights of this model are of types that llama.cpp lays out anew, where no adapter can lie beside them.
#[test]
fn settled_model_keeps_its_adapter() {
    let (folder, file) = (tempfile::tempdir().unwrap(), "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
    let adapter = written(folder.path(), "x.gguf", &made(file).builder);
    let (mut model, tokens) = opened(file, Some(&adapter));
    let (last, before) = tokens.split_last().expect("tokens");
    model.forward(before).unwrap();
    let mapped = model.forward(&[*last]).unwrap().to_vec();
    model.rewind(before.len()).unwrap();
    model.settle(&|| false).unwrap();
    let settled = model.forward(&[*last]).unwrap().to_vec();
    assert!(mapped != settled, "it has not settled");
    let (divergence, moved) = (kl(&mapped, &settled), kl(&mapped, &logits(file, None)));
    assert!(divergence < 2e-2 && moved > 0.5, "{divergence} {moved}");
    model.rewind(0).unwrap();
    let divergence = kl(&mapped, model.forward(&tokens).unwrap());
    assert!(divergence < 2e-2, "{divergence}");
}

#[test]
fn adapter_that_was_changed_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let Made { builder, .. } = made(SMALL);
    let adapter = written(folder.path(), "x.gguf", &builder);
    let (mut model, _) = opened(SMALL, Some(&adapter));
    fs::File::open(&adapter.path).unwrap().set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let expected = format!("could not use adapter: {}: it has changed since it was checked", adapter.path.display());
    assert_eq!(model.settle(&|| false).unwrap_err().to_string(), expected);
    model.forward(&[1, 2]).unwrap();
    let small = crate::support::model(SMALL);
    let gguf = GgufFile::open(&small).unwrap();
    let error = LlamaModel::open_with(&small, &gguf, Threads::fixed(1), Some(&adapter)).err().expect("it is refused");
    assert_eq!(error.to_string(), expected);
}

#[test]
fn prefix_computed_with_another_adapter_or_none_is_not_used() {
    let home = tempfile::tempdir().unwrap();
    let Made { mut builder, .. } = made(SMALL);
    let adapter = written(home.path(), "x.gguf", &builder);
    builder.tensors[1].data[0] ^= 1;
    let other = written(home.path(), "y.gguf", &builder);
    let small = recorded(model(SMALL));
    let ask = |lora: Option<&Record>| {
        let settings = Settings { threads: Some(1), cache: Some(home.path().join("cache")), lora: lora.cloned() };
        let mut engine: Box<dyn Engine> = open(&small, "llama.cpp", &settings).unwrap();
        let (text, usage) = answer(engine.as_mut(), &prompt(ITALY));
        (text, usage.cached_tokens)
    };
    let adapters = [None, Some(&adapter), Some(&other)];
    let computed = adapters.map(&ask);
    let restored = adapters.map(&ask);
    assert_ne!(computed[0].0, computed[1].0, "the adapter changes the answer");
    for (computed, restored) in computed.iter().zip(&restored) {
        assert_eq!((computed.1, restored.1, &restored.0), (0, prefix_length(), &computed.0));
    }
}
