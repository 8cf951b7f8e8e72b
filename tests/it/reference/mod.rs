//! A decoder in plain Rust, straight from the GGUF file: what engines are held against.
//!
//! It shares nothing with `src/engine`, nor with a runtime, and is written to be seen right: 32-bit floats, sums in
//! parts so that they lose nothing, every block dequantised as it is used. Its own evidence are goldens made by numpy
//! and `gguf` (`tests/data/make-block-goldens.py`, `tests/data/make-decoder-goldens.py`).

use std::{collections::HashMap, ops::Range, path::Path, thread};

use cmdai::{engine::Token, model::gguf::GgufFile};

mod blocks;
mod compare;
mod dequantize;
mod golden;
mod parts;
mod tests;

pub(crate) use blocks::{QUANTIZED, random_blocks};
pub(crate) use compare::{gap, kl};
pub(crate) use dequantize::dequantize;
pub(crate) use golden::{golden, golden_blocks, golden_tokens};
pub(crate) use parts::{Heads, Turn, attention, rms_norm, rope, swiglu};

use dequantize::dequantize_into;
use parts::dot;

/// The shape of a decoder, and its constants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) blocks: usize,
    pub(crate) width: usize,
    pub(crate) heads: Heads,
    pub(crate) vocabulary: usize,
    pub(crate) epsilon: f32,
    pub(crate) rope_base: f32,
    pub(crate) turn: Turn,
}

/// The turned keys and the values of the positions so far, `(position, key-value heads, head)`.
#[derive(Clone, Default)]
pub(crate) struct Cache {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

/// A pair of a LoRA adapter: `scale` times B (A x) is added to what its matrix makes of x.
pub(crate) struct LowRank {
    /// `(rank, columns)`
    pub(crate) a: Vec<f32>,
    /// `(rows, rank)`
    pub(crate) b: Vec<f32>,
    pub(crate) rank: usize,
    pub(crate) scale: f32,
}

/// A model to compute with. Activations are `(token, width)`, row after row.
pub(crate) struct Reference {
    file: GgufFile,
    shape: Shape,
    adapter: HashMap<String, LowRank>,
}

impl Reference {
    pub(crate) fn open(path: impl AsRef<Path>) -> Self {
        Self::new(GgufFile::open(path).expect("the model opens"))
    }

    pub(crate) fn new(file: GgufFile) -> Self {
        let (turn, name) = match file.architecture() {
            "llama" => (Turn::Neighbours, "llama"),
            "qwen2" => (Turn::Halves, "qwen2"),
            other => panic!("architecture {other}"),
        };
        assert!(file.tensor("rope_freqs.weight").is_none(), "angles of the file's own are not known here");
        let optional = |key: &str| file.u32(&format!("{name}.{key}")).unwrap().map(|number| number as usize);
        let number = |key: &str| optional(key).expect("a number");
        let float = |key: &str| file.f32(&format!("{name}.{key}")).unwrap();
        let (width, heads) = (number("embedding_length"), number("attention.head_count"));
        let shape = Shape {
            blocks: number("block_count"),
            width,
            heads: Heads {
                query: heads,
                key_value: optional("attention.head_count_kv").unwrap_or(heads),
                length: width / heads,
            },
            vocabulary: file.vocabulary(),
            epsilon: float("attention.layer_norm_rms_epsilon").expect("a number"),
            rope_base: float("rope.freq_base").unwrap_or(1e4),
            turn,
        };
        Self { file, shape, adapter: HashMap::new() }
    }

    /// The same model with a LoRA adapter, whose pairs are named like their matrices.
    pub(crate) fn with_adapter(self, adapter: HashMap<String, LowRank>) -> Self {
        Self { adapter, ..self }
    }

    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// Logits of the last of `tokens`, `(vocabulary,)`.
    pub(crate) fn logits(&self, tokens: &[Token]) -> Vec<f32> {
        let x = self.hidden(tokens);
        self.head(&x[x.len() - self.shape.width..])
    }

    /// Logits of each of `tokens`, `(token, vocabulary)`.
    pub(crate) fn all_logits(&self, tokens: &[Token]) -> Vec<f32> {
        self.head(&self.hidden(tokens))
    }

    /// The residual stream after the last block.
    pub(crate) fn hidden(&self, tokens: &[Token]) -> Vec<f32> {
        (0..self.shape.blocks)
            .fold(self.embed(tokens), |x, block| self.block(&format!("blk.{block}"), &x, &mut Cache::default()))
    }

    pub(crate) fn embed(&self, tokens: &[Token]) -> Vec<f32> {
        let width = self.shape.width;
        let mut x = vec![0.0; tokens.len() * width];
        for (row, &token) in x.chunks_exact_mut(width).zip(tokens) {
            self.row("token_embd.weight", token as usize, row);
        }
        x
    }

    /// One block, named as in the file (`blk.0`), over the tokens that follow those in the cache.
    pub(crate) fn block(&self, block: &str, x: &[f32], cache: &mut Cache) -> Vec<f32> {
        let linear = |part: &str, x: &[f32]| self.linear(&format!("{block}.{part}"), x);
        let y = self.norm(&format!("{block}.attn_norm"), x);
        let (mut q, mut k, v) = (linear("attn_q", &y), linear("attn_k", &y), linear("attn_v", &y));
        let tokens = x.len() / self.shape.width;
        let first = cache.keys.len() * tokens / k.len();
        self.rope(&mut q, tokens, first);
        self.rope(&mut k, tokens, first);
        cache.keys.extend(k);
        cache.values.extend(v);
        let y = attention(&q, &cache.keys, &cache.values, self.shape.heads);
        let x = sum(x, &linear("attn_output", &y));
        sum(&x, &self.mlp(block, &self.norm(&format!("{block}.ffn_norm"), &x)))
    }

    /// Turns the rows of `tokens` tokens, the first of which is at position `first`.
    pub(crate) fn rope(&self, x: &mut [f32], tokens: usize, first: usize) {
        let row = x.len() / tokens;
        for (x, position) in x.chunks_exact_mut(row).zip(first..) {
            rope(x, self.shape.heads.length, self.shape.rope_base, self.shape.turn, position);
        }
    }

    /// The feed-forward part of a block, after its norm and before the residual is added.
    pub(crate) fn mlp(&self, block: &str, x: &[f32]) -> Vec<f32> {
        let gate = self.linear(&format!("{block}.ffn_gate"), x);
        let up = self.linear(&format!("{block}.ffn_up"), x);
        self.linear(&format!("{block}.ffn_down"), &swiglu(&gate, &up))
    }

    /// `name` is that of the weight, less `.weight`.
    pub(crate) fn norm(&self, name: &str, x: &[f32]) -> Vec<f32> {
        rms_norm(x, &self.tensor(&format!("{name}.weight")), self.shape.epsilon)
    }

    /// The final norm and the output head; the embeddings serve as the head where the file has none.
    pub(crate) fn head(&self, x: &[f32]) -> Vec<f32> {
        let name = if self.file.tensor("output.weight").is_some() { "output" } else { "token_embd" };
        self.linear(name, &self.norm("output_norm", x))
    }

    /// `x` times the matrix `NAME.weight`, plus `NAME.bias` where there is one.
    pub(crate) fn linear(&self, name: &str, x: &[f32]) -> Vec<f32> {
        let weight = format!("{name}.weight");
        let dims = self.file.tensor(&weight).unwrap_or_else(|| panic!("no tensor {weight}")).dims();
        let (columns, rows) = (dims[0] as usize, dims[1] as usize);
        assert_eq!(x.len() % columns, 0, "{name}");
        let products = in_parallel(rows, |rows| self.products(&weight, rows, x));
        let tokens = x.len() / columns;
        let bias = self.file.tensor(&format!("{name}.bias")).map(|bias| self.tensor(bias.name()));
        let bias = bias.unwrap_or_else(|| vec![0.0; rows]);
        let whole: Vec<f32> = (0..tokens)
            .flat_map(|token| (0..rows).map(move |row| (token, row)))
            .map(|(token, row)| products[row * tokens + token] + bias[row])
            .collect();
        match self.adapter.get(&weight) {
            Some(pair) => sum(&whole, &pair.products(x, columns)),
            None => whole,
        }
    }

    /// `(row, token)`: every row is dequantised once, for all tokens.
    fn products(&self, weight: &str, rows: Range<usize>, x: &[f32]) -> Vec<f32> {
        let columns = self.file.tensor(weight).expect("found before").dims()[0] as usize;
        let mut row = vec![0.0; columns];
        let mut products = Vec::with_capacity(rows.len() * x.len() / columns);
        for index in rows {
            self.row(weight, index, &mut row);
            products.extend(x.chunks_exact(columns).map(|x| dot(&row, x)));
        }
        products
    }

    /// One row of a matrix.
    fn row(&self, name: &str, index: usize, out: &mut [f32]) {
        let tensor = self.file.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
        let (elements, bytes) = tensor.kind().block();
        let length = out.len() / elements as usize * bytes as usize;
        let data = &self.file.tensor_data(tensor)[index * length..][..length];
        dequantize_into(tensor.kind(), data, out);
    }

    /// All numbers of a tensor.
    pub(crate) fn tensor(&self, name: &str) -> Vec<f32> {
        let tensor = self.file.tensor(name).unwrap_or_else(|| panic!("no tensor {name}"));
        dequantize(tensor.kind(), self.file.tensor_data(tensor))
    }
}

impl LowRank {
    /// `(token, rows)`
    fn products(&self, x: &[f32], columns: usize) -> Vec<f32> {
        let narrow = |x: &[f32]| self.a.chunks_exact(columns).map(|row| dot(row, x)).collect::<Vec<f32>>();
        let wide =
            |x: Vec<f32>| self.b.chunks_exact(self.rank).map(|row| self.scale * dot(row, &x)).collect::<Vec<f32>>();
        x.chunks_exact(columns).flat_map(|x| wide(narrow(x))).collect()
    }
}

/// The results of `work` over ranges that make up `0..count`, one for each processor.
fn in_parallel(count: usize, work: impl Fn(Range<usize>) -> Vec<f32> + Sync) -> Vec<f32> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(count);
    let (work, part) = (&work, |thread: usize| count * thread / threads..count * (thread + 1) / threads);
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(part(thread)))).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("it computes")).collect()
    })
}

fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}
