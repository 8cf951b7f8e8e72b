//! A small random model in every packed type, written for the test: a token takes a millisecond.

use cmdai::model::gguf::{GgufFile, TensorType};

use crate::{
    gguf_builder::{Builder, F32, STRING, Tensor, string},
    reference::{QUANTIZED, random_blocks},
};

const WIDTH: u64 = 256;
const KEY_VALUE: u64 = 128;
const FEED_FORWARD: u64 = 512;
const BLOCKS: u32 = 2;
/// Tokens of the vocabulary; the last one is the end of a turn.
pub(crate) const VOCABULARY: u64 = 257;

/// The type's number in the file.
fn number(kind: TensorType) -> u32 {
    let numbers = [
        (TensorType::F32, 0),
        (TensorType::F16, 1),
        (TensorType::Q4_0, 2),
        (TensorType::Q4_1, 3),
        (TensorType::Q5_0, 6),
        (TensorType::Q5_1, 7),
        (TensorType::Q8_0, 8),
        (TensorType::Q2_K, 10),
        (TensorType::Q4_K, 12),
        (TensorType::Q5_K, 13),
        (TensorType::Q6_K, 14),
    ];
    numbers.iter().find(|row| row.0 == kind).expect("a type of the tiny model").1
}

/// Blocks with ordinary scales only: every second one of the random ones.
fn blocks(kind: TensorType, seed: u64, elements: u64) -> Vec<u8> {
    let (block, size) = kind.block();
    let count = (elements / block) as usize;
    if kind == TensorType::Q2_K {
        return vec![0; count * size as usize];
    }
    random_blocks(kind, seed, 2 * count).chunks_exact(size as usize).step_by(2).flatten().copied().collect()
}

fn matrix(name: &str, kind: TensorType, columns: u64, rows: u64) -> Tensor {
    let seed = name.bytes().fold(0, |seed: u64, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)));
    let data = blocks(kind, seed, columns * rows);
    Tensor { kind: number(kind), data, ..Tensor::new(name, &[columns, rows]) }
}

/// `length` numbers about `middle`.
fn vector(name: &str, length: u64, middle: f32) -> Tensor {
    let value = |i: u64| middle + ((i * 37 % 101) as f32 - 50.0) / 400.0;
    Tensor { data: (0..length).flat_map(|i| value(i).to_le_bytes()).collect(), ..Tensor::new(name, &[length]) }
}

/// The file, of architecture `qwen2` or `llama`.
pub(crate) fn builder(architecture: &str) -> Builder {
    let mut builder = Builder::valid(0);
    builder.entries.retain(|entry| !entry.0.starts_with(b"qwen2."));
    builder.set("general.architecture", STRING, string(architecture));
    let sizes = [
        ("block_count", BLOCKS),
        ("context_length", 4096),
        ("embedding_length", WIDTH as u32),
        ("feed_forward_length", FEED_FORWARD as u32),
        ("attention.head_count", 4),
        ("attention.head_count_kv", 2),
    ];
    sizes.iter().for_each(|(key, size)| builder.set_u32(&format!("{architecture}.{key}"), *size));
    let floats = [("rope.freq_base", 1e6_f32), ("attention.layer_norm_rms_epsilon", 1e-6)];
    for (key, value) in floats {
        builder.set(&format!("{architecture}.{key}"), F32, value.to_le_bytes().into());
    }
    builder.tensors = tensors(architecture == "qwen2");
    builder
}

fn tensors(qwen: bool) -> Vec<Tensor> {
    let mut tensors = vec![matrix("token_embd.weight", TensorType::Q8_0, WIDTH, VOCABULARY)];
    for block in 0..BLOCKS {
        let name = |part: &str| format!("blk.{block}.{part}");
        tensors.extend([
            vector(&name("attn_norm.weight"), WIDTH, 1.0),
            matrix(&name("attn_q.weight"), TensorType::Q4_K, WIDTH, WIDTH),
            matrix(&name("attn_k.weight"), TensorType::Q5_0, WIDTH, KEY_VALUE),
            matrix(&name("attn_v.weight"), TensorType::Q6_K, WIDTH, KEY_VALUE),
            matrix(&name("attn_output.weight"), TensorType::Q4_1, WIDTH, WIDTH),
            vector(&name("ffn_norm.weight"), WIDTH, 1.0),
            matrix(&name("ffn_gate.weight"), TensorType::Q5_K, WIDTH, FEED_FORWARD),
            matrix(&name("ffn_up.weight"), TensorType::Q4_0, WIDTH, FEED_FORWARD),
            matrix(&name("ffn_down.weight"), TensorType::Q5_1, FEED_FORWARD, WIDTH),
        ]);
        if qwen {
            tensors.extend([
                vector(&name("attn_q.bias"), WIDTH, 0.0),
                vector(&name("attn_k.bias"), KEY_VALUE, 0.0),
                vector(&name("attn_v.bias"), KEY_VALUE, 0.0),
            ]);
        }
    }
    tensors.push(vector("output_norm.weight", WIDTH, 1.0));
    if qwen {
        // An output head of its own, and not packed; the Llama has none.
        tensors.push(matrix("output.weight", TensorType::F16, WIDTH, VOCABULARY));
    }
    tensors
}

/// The file, checked.
pub(crate) fn file(architecture: &str) -> GgufFile {
    changed(architecture, |_| ())
}

/// The file after a change that its checks let through.
pub(crate) fn changed(architecture: &str, change: impl FnOnce(&mut Builder)) -> GgufFile {
    let mut builder = builder(architecture);
    change(&mut builder);
    GgufFile::from_bytes("tiny.gguf", builder.bytes()).unwrap()
}

/// `count` tokens, none of them the end.
pub(crate) fn prompt(count: usize) -> Vec<u32> {
    (0..count as u32).map(|i| i * 97 % (VOCABULARY as u32 - 1)).collect()
}

/// The same model with the tensor `name` of another type.
pub(crate) fn retyped(name: &str, kind: TensorType) -> GgufFile {
    changed("qwen2", |builder| {
        let tensor = builder.tensor(name);
        let elements = tensor.dims.iter().product();
        (tensor.kind, tensor.data) = (number(kind), blocks(kind, 5, elements));
    })
}

/// The offsets of half-float scales in blocks of `kind`.
pub(crate) fn scales_of(kind: TensorType) -> &'static [usize] {
    QUANTIZED.iter().find(|row| row.0 == kind).expect("a packed type").1
}
