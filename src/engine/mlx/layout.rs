//! The file of packed weights: which arrays it holds, in what order and where. All of it follows from the GGUF file,
//! so a packed file is read by comparison: it begins with exactly the bytes expected here, or it is not ours.
//!
//! The format is safetensors, with the names of Hugging Face's Qwen2 and Llama, so that MLX's own tools read it too
//! (benches/mlx-lm does). Format: <https://github.com/huggingface/safetensors#format>.

use std::fmt::Write;

use super::repack::{Float, GROUP, Packing};
use crate::model::gguf::{GgufFile, TensorInfo};

/// Raised whenever the same GGUF file would give other bytes.
pub const VERSION: u32 = 1;

/// What an array holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// Packed codes, or checksums.
    U32,
    Float,
}

/// One array of the file.
#[derive(Clone, Debug)]
pub struct Part {
    /// `model.layers.0.mlp.up_proj.scales`.
    pub name: String,
    pub element: Element,
    /// Rows, then columns; one number for a vector.
    pub shape: Vec<i32>,
    /// From the start of the file, in bytes.
    pub offset: u64,
    pub length: usize,
}

/// A tensor of the GGUF file with what it becomes: one array, or codes, scales and biases.
pub struct Item {
    pub tensor: TensorInfo,
    pub parts: Vec<Part>,
}

/// The whole file.
pub struct Layout {
    pub items: Vec<Item>,
    /// The length of the header and the header, as they stand at the start of the file.
    pub header: Vec<u8>,
    /// Where the checksums lie: one CRC-32 for each array, in the file's order.
    pub checksums: Part,
}

impl Layout {
    /// The layout for `file`, whose SHA-256 is `model`.
    ///
    /// # Errors
    /// A tensor of a type, or of a name, that the engine does not compute with.
    pub fn of(file: &GgufFile, model: &str, float: Float) -> Result<Self, String> {
        let mut items = Vec::with_capacity(file.tensors().len());
        for tensor in file.tensors() {
            items.push(Item { tensor: tensor.clone(), parts: parts(tensor, float)? });
        }
        let count = items.iter().map(|item| item.parts.len()).sum::<usize>();
        let checksums = Part::new("cmdai.checksums".into(), Element::U32, vec![count as i32], float);
        let mut layout = Self { items, header: Vec::new(), checksums };
        layout.place();
        layout.write_header(model, float);
        Ok(layout)
    }

    /// Bytes of the whole file.
    pub fn length(&self) -> u64 {
        self.checksums.offset + self.checksums.length as u64
    }

    /// The arrays of the model, in the file's order.
    pub fn parts(&self) -> impl Iterator<Item = &Part> {
        self.items.iter().flat_map(|item| &item.parts)
    }

    fn parts_mut(&mut self) -> impl Iterator<Item = &mut Part> {
        self.items.iter_mut().flat_map(|item| &mut item.parts).chain([&mut self.checksums])
    }

    /// One after the other, counted from the end of the header.
    fn place(&mut self) {
        let mut end = 0;
        for part in self.parts_mut() {
            part.offset = end;
            end += part.length as u64;
        }
    }

    fn write_header(&mut self, model: &str, float: Float) {
        let mut json = format!(r#"{{"__metadata__":{{"format":"mlx","model":"{model}","packing":"{VERSION}"}}"#);
        for part in self.parts_mut() {
            let Part { name, shape, offset, length, .. } = part;
            let kind = match (part.element, float) {
                (Element::U32, _) => "U32",
                (Element::Float, Float::F16) => "F16",
                (Element::Float, Float::F32) => "F32",
            };
            let end = *offset + *length as u64;
            // Names are ours, shapes print as JSON does. Writing to a String cannot fail.
            let _ = write!(json, r#","{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{offset},{end}]}}"#);
        }
        json.push('}');
        json.extend(std::iter::repeat_n(' ', json.len().next_multiple_of(64) - json.len()));
        self.header = (json.len() as u64).to_le_bytes().to_vec();
        self.header.extend_from_slice(json.as_bytes());
        let start = self.header.len() as u64;
        self.parts_mut().for_each(|part| part.offset += start);
    }
}

impl Part {
    fn new(name: String, element: Element, shape: Vec<i32>, float: Float) -> Self {
        let size = if element == Element::U32 { 4 } else { float.size() };
        let length = shape.iter().map(|&n| n as usize).product::<usize>() * size;
        Self { name, element, shape, offset: 0, length }
    }
}

fn parts(tensor: &TensorInfo, float: Float) -> Result<Vec<Part>, String> {
    let name = published_name(tensor.name())
        .ok_or_else(|| format!("tensor {} is none that the MLX engine computes with", tensor.name()))?;
    let packing = Packing::of(tensor.kind()).ok_or_else(|| {
        format!("tensor {} has type {:?}, which the MLX engine does not read", tensor.name(), tensor.kind())
    })?;
    let too_large = |_| format!("tensor {} has more rows than MLX counts", tensor.name());
    let rows = tensor.dims()[1..].iter().rev().map(|&n| i32::try_from(n)).collect::<Result<Vec<_>, _>>();
    let (rows, columns) = (rows.map_err(too_large)?, tensor.dims()[0] as usize);
    // `.weight`, or `.bias` of a vector, which is never packed.
    let (stem, own_suffix) = name.rsplit_once('.').unwrap_or((&name, ""));
    let part = |suffix: &str, element, columns: usize| {
        let shape = rows.iter().copied().chain([columns as i32]).collect();
        Part::new(format!("{stem}.{suffix}"), element, shape, float)
    };
    Ok(match packing {
        Packing::Dense => vec![part(own_suffix, Element::Float, columns)],
        Packing::Affine { bits } => vec![
            part("weight", Element::U32, columns * bits / 32),
            part("scales", Element::Float, columns / GROUP),
            part("biases", Element::Float, columns / GROUP),
        ],
    })
}

/// Hugging Face's name for a tensor of a GGUF file.
fn published_name(name: &str) -> Option<String> {
    let (stem, suffix) = name.rsplit_once('.')?;
    if let Some(rest) = stem.strip_prefix("blk.") {
        let (layer, part) = rest.split_once('.')?;
        let part = match part {
            "attn_norm" => "input_layernorm",
            "attn_q" => "self_attn.q_proj",
            "attn_k" => "self_attn.k_proj",
            "attn_v" => "self_attn.v_proj",
            "attn_output" => "self_attn.o_proj",
            "ffn_norm" => "post_attention_layernorm",
            "ffn_gate" => "mlp.gate_proj",
            "ffn_up" => "mlp.up_proj",
            "ffn_down" => "mlp.down_proj",
            _ => return None,
        };
        return Some(format!("model.layers.{layer}.{part}.{suffix}"));
    }
    let part = match stem {
        "token_embd" => "model.embed_tokens",
        "output_norm" => "model.norm",
        "output" => "lm_head",
        _ => return None,
    };
    Some(format!("{part}.{suffix}"))
}
