//! What the metadata promises against what the tensors are: llama.cpp and MLX take both at their word.

use std::{collections::HashSet, ops::RangeInclusive};

use super::{
    Checked, TensorType,
    metadata::Metadata,
    shown,
    tensor::{TensorInfo, Tensors},
};

const MAX_BLOCKS: u32 = 1024;
const MAX_WIDTH: u32 = 1 << 20;

/// The shape of a decoder, as far as its tensors must agree with it.
pub(super) struct Architecture {
    pub(super) name: &'static str,
    pub(super) context_length: u32,
    blocks: u32,
    embedding: u64,
    feed_forward: u64,
    head: u64,
    query: u64,
    key_value: u64,
}

impl Architecture {
    pub(super) fn check(metadata: Metadata<'_>, tensors: &Tensors) -> Checked<Self> {
        let found = metadata.str("general.architecture")?.ok_or("key \"general.architecture\" is missing")?;
        let name = match found {
            "qwen2" => "qwen2",
            "llama" => "llama",
            other => {
                return Err(format!("architecture {} is not supported (known: qwen2, llama)", shown(other.as_bytes())));
            }
        };
        let architecture = Self::read(name, Keys { metadata, prefix: name })?;
        let vocabulary = metadata.string_array("tokenizer.ggml.tokens")?.map(|tokens| tokens.len() as u64);
        architecture.check_tensors(tensors, vocabulary)?;
        Ok(architecture)
    }

    fn read(name: &'static str, keys: Keys<'_>) -> Checked<Self> {
        let embedding = keys.number("embedding_length", 1..=MAX_WIDTH)?;
        let heads = keys.number("attention.head_count", 1..=embedding)?;
        let key_value_heads = keys.optional("attention.head_count_kv", 1..=heads)?.unwrap_or(heads);
        let head = keys.head_length(embedding, heads)?;
        if !heads.is_multiple_of(key_value_heads) {
            return Err(format!("{heads} attention heads do not share {key_value_heads} key-value heads evenly"));
        }
        keys.optional("expert_count", 0..=0)?;
        Ok(Self {
            name,
            context_length: keys.number("context_length", 1..=u32::MAX)?,
            blocks: keys.number("block_count", 1..=MAX_BLOCKS)?,
            embedding: embedding.into(),
            feed_forward: keys.number("feed_forward_length", 1..=MAX_WIDTH)?.into(),
            head: head.into(),
            query: u64::from(head) * u64::from(heads),
            key_value: u64::from(head) * u64::from(key_value_heads),
        })
    }

    fn check_tensors(&self, tensors: &Tensors, vocabulary: Option<u64>) -> Checked<()> {
        let embedding = tensors.get("token_embd.weight").ok_or("tensor \"token_embd.weight\" is missing")?;
        let rows = embedding.dims().get(1).copied().unwrap_or(0);
        let mut matched = Matched { tensors, names: HashSet::new() };
        matched.required("token_embd.weight", &[self.embedding, vocabulary.unwrap_or(rows)])?;
        matched.required("output_norm.weight", &[self.embedding])?;
        matched.optional("output.weight", &[self.embedding, rows])?;
        if self.name == "llama" {
            matched.optional("rope_freqs.weight", &[self.head / 2])?;
        }
        for block in 0..self.blocks {
            self.check_block(&mut matched, block)?;
        }
        matched.nothing_else(self)
    }

    fn check_block(&self, matched: &mut Matched<'_>, block: u32) -> Checked<()> {
        let weights: [(&str, &[u64]); 9] = [
            ("attn_norm.weight", &[self.embedding]),
            ("attn_q.weight", &[self.embedding, self.query]),
            ("attn_k.weight", &[self.embedding, self.key_value]),
            ("attn_v.weight", &[self.embedding, self.key_value]),
            ("attn_output.weight", &[self.query, self.embedding]),
            ("ffn_norm.weight", &[self.embedding]),
            ("ffn_gate.weight", &[self.embedding, self.feed_forward]),
            ("ffn_up.weight", &[self.embedding, self.feed_forward]),
            ("ffn_down.weight", &[self.feed_forward, self.embedding]),
        ];
        for (name, shape) in weights {
            matched.required(&format!("blk.{block}.{name}"), shape)?;
        }
        let biases = [("attn_q.bias", self.query), ("attn_k.bias", self.key_value), ("attn_v.bias", self.key_value)];
        for (name, length) in biases {
            let name = format!("blk.{block}.{name}");
            match self.name {
                "qwen2" => matched.required(&name, &[length])?,
                _ => matched.optional(&name, &[length])?,
            }
        }
        Ok(())
    }
}

/// The keys of one architecture: `block_count` is `qwen2.block_count` in the file.
#[derive(Clone, Copy)]
struct Keys<'a> {
    metadata: Metadata<'a>,
    prefix: &'a str,
}

impl Keys<'_> {
    fn optional(self, name: &str, allowed: RangeInclusive<u32>) -> Checked<Option<u32>> {
        let key = format!("{}.{name}", self.prefix);
        let value = self.metadata.u32(&key)?;
        if let Some(value) = value.filter(|value| !allowed.contains(value)) {
            return Err(format!("key \"{key}\" is {value} ({} to {} allowed)", allowed.start(), allowed.end()));
        }
        Ok(value)
    }

    fn number(self, name: &str, allowed: RangeInclusive<u32>) -> Checked<u32> {
        let value = self.optional(name, allowed)?;
        value.ok_or_else(|| format!("key \"{}.{name}\" is missing", self.prefix))
    }

    /// Elements of one attention head. Wherever the file says it again, it must say the same: llama.cpp asserts it
    /// after loading, and so would end the process.
    fn head_length(self, embedding: u32, heads: u32) -> Checked<u32> {
        if !embedding.is_multiple_of(heads) {
            return Err(format!("embedding length {embedding} does not divide into {heads} attention heads"));
        }
        let head = embedding / heads;
        if !head.is_multiple_of(2) {
            return Err(format!("attention heads have odd length {head}"));
        }
        for name in ["attention.key_length", "attention.value_length", "rope.dimension_count"] {
            self.optional(name, head..=head)?;
        }
        Ok(head)
    }
}

/// Remembers the tensors that an architecture knows, so that what is left over shows.
struct Matched<'a> {
    tensors: &'a Tensors,
    names: HashSet<&'a str>,
}

impl<'a> Matched<'a> {
    fn required(&mut self, name: &str, shape: &[u64]) -> Checked<()> {
        let tensor = self.tensors.get(name).ok_or_else(|| format!("tensor \"{name}\" is missing"))?;
        self.fits(tensor, shape)
    }

    fn optional(&mut self, name: &str, shape: &[u64]) -> Checked<()> {
        self.tensors.get(name).map_or(Ok(()), |tensor| self.fits(tensor, shape))
    }

    fn fits(&mut self, tensor: &'a TensorInfo, shape: &[u64]) -> Checked<()> {
        let (name, kind) = (tensor.name(), tensor.kind());
        if tensor.dims() != shape {
            return Err(format!("tensor \"{name}\" has shape {:?}, wanted {shape:?}", tensor.dims()));
        }
        // Vectors are added and multiplied in 32-bit floats; llama.cpp asserts the type.
        if shape.len() == 1 && kind != TensorType::F32 || !kind.is_weight() {
            return Err(format!("tensor \"{name}\" has type {kind:?}, which no engine computes with there"));
        }
        self.names.insert(name);
        Ok(())
    }

    fn nothing_else(&self, architecture: &Architecture) -> Checked<()> {
        let extra = self.tensors.all().iter().find(|tensor| !self.names.contains(tensor.name()));
        let Some(tensor) = extra else { return Ok(()) };
        let (name, blocks) = (shown(tensor.name().as_bytes()), architecture.blocks);
        Err(format!("tensor {name} is no part of a {} model of {blocks} blocks", architecture.name))
    }
}
