//! Writes small GGUF files, right or wrong in any part.

use std::iter;

pub(crate) const U32: u32 = 4;
pub(crate) const I32: u32 = 5;
pub(crate) const F32: u32 = 6;
pub(crate) const STRING: u32 = 8;
pub(crate) const ARRAY: u32 = 9;

/// A file in parts. `entries` are key, value type, value; counts and offsets follow from the rest unless set.
#[derive(Clone)]
pub(crate) struct Builder {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u32,
    pub(crate) tensor_count: Option<u64>,
    pub(crate) entry_count: Option<u64>,
    pub(crate) entries: Vec<(Vec<u8>, u32, Vec<u8>)>,
    pub(crate) tensors: Vec<Tensor>,
    pub(crate) alignment: usize,
}

#[derive(Clone)]
pub(crate) struct Tensor {
    pub(crate) name: Vec<u8>,
    pub(crate) dims: Vec<u64>,
    pub(crate) dimensions: Option<u32>,
    pub(crate) kind: u32,
    pub(crate) offset: Option<u64>,
    /// The tensor's bytes; where there are none, zeros as for 32-bit floats.
    pub(crate) data: Vec<u8>,
}

/// Where the parts of a file end.
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) edges: Vec<usize>,
}

impl Builder {
    /// A Qwen2 model of one block, 8 wide, with a token for every byte and `pairs` two-letter tokens with merges.
    pub(crate) fn valid(pairs: usize) -> Self {
        let letters = (b'a'..=b'z').flat_map(|a| (b'a'..=b'z').map(move |b| [a, b]));
        let pairs: Vec<String> = letters.take(pairs).map(|pair| pair.map(char::from).iter().collect()).collect();
        let tokens: Vec<String> =
            alphabet().map(String::from).chain(pairs.iter().cloned()).chain(iter::once("<|im_end|>".into())).collect();
        let merges: Vec<String> = pairs.iter().map(|pair| format!("{} {}", &pair[..1], &pair[1..])).collect();
        let kinds = iter::repeat_n(1, tokens.len() - 1).chain(iter::once(3));
        let mut builder = Self::without_entries(tokens.len() as u64);
        builder.set("general.architecture", STRING, string("qwen2"));
        builder.set("tokenizer.ggml.model", STRING, string("gpt2"));
        builder.set("tokenizer.ggml.pre", STRING, string("qwen2"));
        builder.set("tokenizer.ggml.tokens", ARRAY, strings(&tokens));
        builder.set("tokenizer.ggml.token_type", ARRAY, numbers(I32, kinds));
        builder.set("tokenizer.ggml.merges", ARRAY, strings(&merges));
        let sizes = [
            ("block_count", 1),
            ("context_length", 64),
            ("embedding_length", 8),
            ("feed_forward_length", 16),
            ("attention.head_count", 2),
            ("attention.head_count_kv", 1),
        ];
        for (key, number) in sizes {
            builder.set_u32(&format!("qwen2.{key}"), number);
        }
        builder.set("qwen2.rope.freq_base", F32, 1e6_f32.to_le_bytes().into());
        builder
    }

    /// A LoRA adapter for models of that architecture, without a pair as yet.
    pub(crate) fn adapter(architecture: &str, alpha: f32) -> Self {
        let mut builder = Self { tensors: Vec::new(), ..Self::without_entries(0) };
        builder.set("general.type", STRING, string("adapter"));
        builder.set("general.architecture", STRING, string(architecture));
        builder.set("adapter.type", STRING, string("lora"));
        builder.set("adapter.lora.alpha", F32, alpha.to_le_bytes().into());
        builder
    }

    /// Adds A and B for the matrix of that name; their numbers are zeros.
    pub(crate) fn pair(&mut self, name: &str, [columns, rows]: [u64; 2], rank: u64) -> [&mut Tensor; 2] {
        self.tensors.push(Tensor::new(&format!("{name}.lora_a"), &[columns, rank]));
        self.tensors.push(Tensor::new(&format!("{name}.lora_b"), &[rank, rows]));
        let [.., a, b] = self.tensors.as_mut_slice() else { unreachable!("there are two") };
        [a, b]
    }

    fn without_entries(vocabulary: u64) -> Self {
        let shapes: [(&str, &[u64]); 14] = [
            ("token_embd.weight", &[8, vocabulary]),
            ("blk.0.attn_norm.weight", &[8]),
            ("blk.0.attn_q.weight", &[8, 8]),
            ("blk.0.attn_q.bias", &[8]),
            ("blk.0.attn_k.weight", &[8, 4]),
            ("blk.0.attn_k.bias", &[4]),
            ("blk.0.attn_v.weight", &[8, 4]),
            ("blk.0.attn_v.bias", &[4]),
            ("blk.0.attn_output.weight", &[8, 8]),
            ("blk.0.ffn_norm.weight", &[8]),
            ("blk.0.ffn_gate.weight", &[8, 16]),
            ("blk.0.ffn_up.weight", &[8, 16]),
            ("blk.0.ffn_down.weight", &[16, 8]),
            ("output_norm.weight", &[8]),
        ];
        let tensors = shapes.map(|(name, dims)| Tensor::new(name, dims)).into();
        let (magic, alignment) = (*b"GGUF", 32);
        Self { magic, version: 3, tensor_count: None, entry_count: None, entries: Vec::new(), tensors, alignment }
    }

    /// Replaces the key's value, or adds the key.
    pub(crate) fn set(&mut self, key: &str, kind: u32, value: Vec<u8>) {
        self.remove(key);
        self.entries.push((key.into(), kind, value));
    }

    pub(crate) fn set_u32(&mut self, key: &str, number: u32) {
        self.set(key, U32, number.to_le_bytes().into());
    }

    pub(crate) fn remove(&mut self, key: &str) {
        self.entries.retain(|entry| entry.0 != key.as_bytes());
    }

    pub(crate) fn tensor(&mut self, name: &str) -> &mut Tensor {
        self.tensors.iter_mut().find(|tensor| tensor.name == name.as_bytes()).expect("a tensor of the valid file")
    }

    fn has_data(&self) -> bool {
        self.tensors.iter().any(|tensor| !tensor.data.is_empty())
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.write().bytes
    }

    pub(crate) fn write(&self) -> Written {
        let mut out = Written { bytes: Vec::new(), edges: vec![0] };
        out.put(&self.magic);
        out.put(&self.version.to_le_bytes());
        out.put(&self.tensor_count.unwrap_or(self.tensors.len() as u64).to_le_bytes());
        out.put(&self.entry_count.unwrap_or(self.entries.len() as u64).to_le_bytes());
        for (key, kind, value) in &self.entries {
            out.put(&text(key));
            out.put(&kind.to_le_bytes());
            out.put(value);
        }
        let mut offset = 0;
        for tensor in &self.tensors {
            tensor.write(&mut out, offset);
            offset = (offset + tensor.length()).next_multiple_of(self.alignment as u64);
        }
        let start = out.bytes.len().next_multiple_of(self.alignment);
        let end = start + if self.has_data() { offset } else { offset.min(1 << 20) } as usize;
        out.bytes.resize(end, 0);
        let mut at = start;
        for tensor in &self.tensors {
            if !tensor.data.is_empty() {
                out.bytes[at..at + tensor.data.len()].copy_from_slice(&tensor.data);
            }
            at = (at + tensor.length() as usize).next_multiple_of(self.alignment);
        }
        out.edges.extend([start, end]);
        out
    }
}

impl Tensor {
    pub(crate) fn new(name: &str, dims: &[u64]) -> Self {
        Self { name: name.into(), dims: dims.into(), dimensions: None, kind: 0, offset: None, data: Vec::new() }
    }

    /// Where there is no data: as for 32-bit floats, whatever the type says.
    fn length(&self) -> u64 {
        if !self.data.is_empty() {
            return self.data.len() as u64;
        }
        self.dims.iter().fold(4, |length: u64, &dim| length.saturating_mul(dim)).min(1 << 20)
    }

    fn write(&self, out: &mut Written, offset: u64) {
        out.put(&text(&self.name));
        out.put(&self.dimensions.unwrap_or(self.dims.len() as u32).to_le_bytes());
        self.dims.iter().for_each(|dim| out.put(&dim.to_le_bytes()));
        out.put(&self.kind.to_le_bytes());
        out.put(&self.offset.unwrap_or(offset).to_le_bytes());
    }
}

impl Written {
    fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.edges.push(self.bytes.len());
    }
}

/// GPT-2's alphabet in the order of Qwen2's vocabulary: the printable characters, then the shifted ones.
fn alphabet() -> impl Iterator<Item = char> {
    let printable = ('!'..='~').chain('¡'..='¬').chain('®'..='ÿ');
    printable.chain((0..68).map(|shift| char::from_u32(0x100 + shift).expect("far below the surrogates")))
}

fn text(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes(), bytes].concat()
}

/// A string value.
pub(crate) fn string(value: &str) -> Vec<u8> {
    text(value.as_bytes())
}

/// An array value of strings.
pub(crate) fn strings(values: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let items = values.iter().flat_map(|value| text(value.as_ref())).collect::<Vec<u8>>();
    array(STRING, values.len() as u64, &items)
}

/// An array value of 32-bit numbers.
pub(crate) fn numbers(kind: u32, values: impl Iterator<Item = u32>) -> Vec<u8> {
    let items: Vec<u8> = values.flat_map(u32::to_le_bytes).collect();
    array(kind, items.len() as u64 / 4, &items)
}

/// An array value that claims `count` items.
pub(crate) fn array(kind: u32, count: u64, items: &[u8]) -> Vec<u8> {
    [&kind.to_le_bytes(), &count.to_le_bytes()[..], items].concat()
}
