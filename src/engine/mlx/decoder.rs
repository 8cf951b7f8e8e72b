//! The transformer: Qwen2 and Llama on MLX's operations.
//!
//! Pre-norm blocks of grouped-query attention and SwiGLU, as <https://arxiv.org/abs/2407.10671> and
//! <https://arxiv.org/abs/2302.13971> describe them. Everything here only builds a graph; `super::MlxModel` evaluates it.
//! The two architectures differ in the biases of q, k and v, and in how GGUF files lay out a head for RoPE: Qwen2's
//! halves apart, Llama's in neighbouring pairs.

use mlx_rs::{
    Array, Dtype,
    error::Exception,
    fast::{self, ScaledDotProductAttentionMask as Mask},
    ops::{self, indexing::TryIndexOp},
};

use super::{
    kv_cache::{KvCache, Shape},
    repack::{Float, GROUP},
    weights::Arrays,
};
use crate::{error::Error, model::gguf::GgufFile};

type Graph = Result<Array, Exception>;

/// A matrix of weights, `(out, in)`.
enum Matrix {
    Affine { codes: Array, scales: Array, biases: Array, bits: i32 },
    Dense(Array),
}

impl Matrix {
    /// `x`, `(..., in)`, times the matrix: `(..., out)`.
    fn multiply(&self, x: &Array) -> Graph {
        match self {
            Self::Dense(matrix) => x.matmul(matrix.transpose()?),
            Self::Affine { codes, scales, biases, bits } => {
                ops::quantized_matmul(x, codes, scales, biases, true, GROUP as i32, *bits)
            }
        }
    }

    /// The rows of `ids`: `(tokens, in)`.
    fn rows(&self, ids: &Array) -> Graph {
        match self {
            Self::Dense(matrix) => matrix.take_axis(ids, 0),
            Self::Affine { codes, scales, biases, bits } => {
                let [codes, scales, biases] = [codes, scales, biases].map(|array| array.take_axis(ids, 0));
                ops::dequantize(codes?, scales?, &biases?, GROUP as i32, *bits)
            }
        }
    }
}

/// A matrix with the bias that some have.
struct Linear {
    matrix: Matrix,
    bias: Option<Array>,
}

impl Linear {
    fn forward(&self, x: &Array) -> Graph {
        let y = self.matrix.multiply(x)?;
        match &self.bias {
            Some(bias) => y.add(bias),
            None => Ok(y),
        }
    }
}

/// What the metadata says of the shape and the arithmetic.
#[derive(Clone, Copy, Debug)]
pub struct Hyperparameters {
    pub blocks: usize,
    /// Heads of queries, and of keys and values.
    pub heads: i32,
    pub kv_heads: i32,
    /// Elements of a head.
    pub head_length: i32,
    /// Added to the mean square in RMSNorm.
    pub epsilon: f32,
    /// Base of RoPE's wavelengths.
    pub rope_base: f32,
    /// RoPE turns neighbouring pairs, not halves.
    pub interleaved: bool,
}

impl Hyperparameters {
    /// Reads them from a checked file.
    ///
    /// # Errors
    /// A key is missing, or RoPE is stretched, which is not computed here.
    pub fn of(file: &GgufFile) -> crate::error::Result<Self> {
        let architecture = file.architecture();
        let key = |name: &str| format!("{architecture}.{name}");
        let number = |name: &str| {
            let missing = || Error::new(format!("the model has no {}", key(name)));
            file.u32(&key(name))?.ok_or_else(missing)
        };
        if let Some(kind) = file.str(&key("rope.scaling.type"))?.filter(|kind| *kind != "none") {
            return Err(Error::new(format!("the model stretches RoPE ({kind}), which this engine does not")));
        }
        let heads = number("attention.head_count")?;
        let epsilon = key("attention.layer_norm_rms_epsilon");
        Ok(Self {
            blocks: number("block_count")? as usize,
            heads: heads as i32,
            kv_heads: file.u32(&key("attention.head_count_kv"))?.unwrap_or(heads) as i32,
            head_length: (number("embedding_length")? / heads) as i32,
            epsilon: file.f32(&epsilon)?.ok_or_else(|| Error::new(format!("the model has no {epsilon}")))?,
            // Llama's, where the file does not say.
            rope_base: file.f32(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            interleaved: architecture == "llama",
        })
    }

    /// RoPE on `x`, `(1, heads, tokens, length)`, whose first token is at `position`.
    ///
    /// # Errors
    /// MLX refused.
    pub fn rope(&self, x: &Array, position: usize) -> Graph {
        fast::rope(x, self.head_length, self.interleaved, self.rope_base, 1.0, position as i32, None)
    }

    /// RMSNorm of `x`, `(..., width)`, with `weight`, `(width,)`.
    ///
    /// # Errors
    /// MLX refused.
    pub fn norm(&self, x: &Array, weight: &Array) -> Graph {
        fast::rms_norm(x, Some(weight), self.epsilon)
    }
}

/// The tokens that a layer's output is wanted of. All of them go into its keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    All,
    /// Of the last layer nothing else is looked at: a 28th of the work of prefill less, in the default model.
    Last,
}

impl Rows {
    /// These of `x`, `(1, tokens, width)`.
    fn of(self, x: &Array) -> Graph {
        match self {
            Self::All => Ok(x.clone()),
            Self::Last => x.try_index((.., -1.., ..)),
        }
    }
}

/// One layer.
pub struct Block {
    index: usize,
    hyper: Hyperparameters,
    attention_norm: Array,
    mlp_norm: Array,
    q: Linear,
    k: Linear,
    v: Linear,
    output: Linear,
    gate: Linear,
    up: Linear,
    down: Linear,
}

impl Block {
    /// Self-attention of `rows` of normed `x`, `(1, tokens, width)`, over the cache and all of `x`.
    ///
    /// # Errors
    /// MLX refused.
    pub fn attention(&self, x: &Array, rows: Rows, cache: &mut KvCache) -> Graph {
        self.output.forward(&self.heads(x, rows, cache)?)
    }

    /// What the heads give for `rows`, side by side, `(1, rows, heads * length)`: attention without its last matrix.
    ///
    /// # Errors
    /// MLX refused.
    pub fn heads(&self, x: &Array, rows: Rows, cache: &mut KvCache) -> Graph {
        let Hyperparameters { heads, kv_heads, head_length, .. } = self.hyper;
        let position = cache.length();
        // (1, tokens, heads * length) -> (1, heads, tokens, length)
        let split = |y: Array, heads| y.reshape(&[1, -1, heads, head_length])?.transpose_axes(&[0, 2, 1, 3]);
        let asking = rows.of(x)?;
        let before = (x.dim(1) - asking.dim(1)) as usize;
        let q = self.hyper.rope(&split(self.q.forward(&asking)?, heads)?, position + before)?;
        let k = self.hyper.rope(&split(self.k.forward(x)?, kv_heads)?, position)?;
        let v = split(self.v.forward(x)?, kv_heads)?;
        let (k, v) = cache.append(self.index, &k, &v)?;
        let mask = (asking.dim(1) > 1).then_some(Mask::Causal);
        let y = fast::scaled_dot_product_attention(&q, &k, &v, (head_length as f32).sqrt().recip(), mask, None)?;
        y.transpose_axes(&[0, 2, 1, 3])?.reshape(&[1, asking.dim(1), -1])
    }

    /// SwiGLU of normed `x`, `(1, tokens, width)`. Not `nn::silu`, which compiles itself anew at each call.
    ///
    /// # Errors
    /// MLX refused.
    pub fn mlp(&self, x: &Array) -> Graph {
        let gate = self.gate.forward(x)?;
        let gate = gate.multiply(ops::sigmoid(&gate)?)?;
        self.down.forward(&gate.multiply(self.up.forward(x)?)?)
    }

    /// The whole layer: `(1, tokens, width)` in, `(1, rows, width)` out.
    ///
    /// # Errors
    /// MLX refused.
    pub fn forward(&self, x: &Array, rows: Rows, cache: &mut KvCache) -> Graph {
        let normed = self.hyper.norm(x, &self.attention_norm)?;
        let x = rows.of(x)?.add(self.attention(&normed, rows, cache)?)?;
        x.add(self.mlp(&self.hyper.norm(&x, &self.mlp_norm)?)?)
    }
}

/// The model.
pub struct Decoder {
    hyper: Hyperparameters,
    embedding: Matrix,
    blocks: Vec<Block>,
    norm: Array,
    /// The output head; none where the embedding serves as it.
    head: Option<Matrix>,
}

impl Decoder {
    /// Takes its parts out of `arrays`.
    ///
    /// # Errors
    /// Names the part that is missing.
    pub fn new(hyper: Hyperparameters, mut arrays: Arrays) -> Result<Self, String> {
        let mut take = Take(&mut arrays);
        Ok(Self {
            hyper,
            embedding: take.matrix("model.embed_tokens")?,
            blocks: (0..hyper.blocks).map(|index| take.block(index, hyper)).collect::<Result<_, _>>()?,
            norm: take.array("model.norm.weight")?,
            head: if take.0.contains_key("lm_head.weight") { Some(take.matrix("lm_head")?) } else { None },
        })
    }

    /// An empty cache for this model, in `float`.
    pub fn cache(&self, float: Float) -> KvCache {
        let shape = Shape { heads: self.hyper.kv_heads, length: self.hyper.head_length, float };
        KvCache::new(self.blocks.len(), shape)
    }

    /// The layers, in order.
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// Appends `ids`, `(tokens,)`, to the cache; returns what the last block makes of the last one: `(1, 1, width)`.
    ///
    /// # Errors
    /// MLX refused.
    pub fn hidden(&self, ids: &Array, cache: &mut KvCache) -> Graph {
        let mut x = self.embedding.rows(ids)?.expand_dims(0)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let rows = if index + 1 < self.blocks.len() { Rows::All } else { Rows::Last };
            x = block.forward(&x, rows, cache)?;
        }
        cache.advance(ids.dim(0) as usize);
        Ok(x)
    }

    /// The logits, `(vocabulary,)` in 32 bits, of `hidden`, `(1, 1, width)`.
    ///
    /// # Errors
    /// MLX refused.
    pub fn logits(&self, hidden: &Array) -> Graph {
        let normed = self.hyper.norm(hidden, &self.norm)?;
        self.head.as_ref().unwrap_or(&self.embedding).multiply(&normed)?.reshape(&[-1])?.as_dtype(Dtype::Float32)
    }
}

/// Takes arrays out of the map by name.
struct Take<'a>(&'a mut Arrays);

impl Take<'_> {
    fn array(&mut self, name: &str) -> Result<Array, String> {
        self.0.remove(name).ok_or_else(|| format!("{name} is missing"))
    }

    fn matrix(&mut self, stem: &str) -> Result<Matrix, String> {
        let codes = self.array(&format!("{stem}.weight"))?;
        if !self.0.contains_key(&format!("{stem}.scales")) {
            return Ok(Matrix::Dense(codes));
        }
        let [scales, biases] = ["scales", "biases"].map(|part| self.array(&format!("{stem}.{part}")));
        let (scales, biases) = (scales?, biases?);
        let bits = codes.dim(-1) * 32 / (scales.dim(-1) * GROUP as i32);
        Ok(Matrix::Affine { codes, scales, biases, bits })
    }

    fn linear(&mut self, stem: &str) -> Result<Linear, String> {
        Ok(Linear { matrix: self.matrix(stem)?, bias: self.0.remove(&format!("{stem}.bias")) })
    }

    fn block(&mut self, index: usize, hyper: Hyperparameters) -> Result<Block, String> {
        let name = |part: &str| format!("model.layers.{index}.{part}");
        Ok(Block {
            index,
            hyper,
            attention_norm: self.array(&name("input_layernorm.weight"))?,
            mlp_norm: self.array(&name("post_attention_layernorm.weight"))?,
            q: self.linear(&name("self_attn.q_proj"))?,
            k: self.linear(&name("self_attn.k_proj"))?,
            v: self.linear(&name("self_attn.v_proj"))?,
            output: self.linear(&name("self_attn.o_proj"))?,
            gate: self.linear(&name("mlp.gate_proj"))?,
            up: self.linear(&name("mlp.up_proj"))?,
            down: self.linear(&name("mlp.down_proj"))?,
        })
    }
}
