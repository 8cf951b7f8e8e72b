//! GGUF's blocks in MLX's affine form, in which a weight is `scale * code + bias` and 32 weights of a row share both.
//!
//! Every type but one goes over exactly, up to the rounding of scale and bias to the float in use. Q6_K has a scale for
//! each 16 weights, and MLX no groups of 16: see [`q6_k`]. MLX's own GGUF loader is not used: it reads every second
//! sub-block of Q4_K with its neighbour's scale, and says nothing.
//!
//! Blocks: `ggml-common.h` and `ggml-quants.c` of <https://github.com/ggml-org/ggml>. Codes are one little-endian bit
//! stream, as `mx.quantize` packs them: <https://ml-explore.github.io/mlx/build/html/python/_autosummary/mlx.core.quantize.html>.

use half::{bf16, f16};

use crate::model::gguf::TensorType;

/// Weights that share a scale and a bias: the smallest group that MLX has.
pub const GROUP: usize = 32;

/// Weights in a block of a K-quant.
const SUPER: usize = 256;

/// The float that scales, biases and activations are in: never two kinds in one model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Float {
    F16,
    F32,
}

impl Float {
    /// Bytes of one number.
    pub fn size(self) -> usize {
        match self {
            Self::F16 => 2,
            Self::F32 => 4,
        }
    }

    /// Appends `value`, little-endian; refuses what is not a number or does not fit.
    fn write(self, value: f32, to: &mut Vec<u8>) -> Result<(), String> {
        match self {
            Self::F32 => to.extend_from_slice(&value.to_le_bytes()),
            Self::F16 => to.extend_from_slice(&f16::from_f32(value).to_le_bytes()),
        }
        let fits = match self {
            Self::F32 => value.is_finite(),
            Self::F16 => f16::from_f32(value).is_finite(),
        };
        if fits { Ok(()) } else { Err(format!("holds {value}, which is no number that {self:?} can hold")) }
    }
}

/// What a tensor type becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Plain floats.
    Dense,
    /// Codes of so many bits, with a scale and a bias for each [`GROUP`].
    Affine { bits: usize },
}

impl Packing {
    /// The packing of a type; none where there is no code for it here.
    pub fn of(kind: TensorType) -> Option<Self> {
        use TensorType::{BF16, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
        match kind {
            F32 | F16 | BF16 => Some(Self::Dense),
            Q4_0 | Q4_1 | Q4_K => Some(Self::Affine { bits: 4 }),
            Q5_0 | Q5_1 | Q5_K => Some(Self::Affine { bits: 5 }),
            Q8_0 | Q6_K => Some(Self::Affine { bits: 8 }),
            _ => None,
        }
    }
}

/// A tensor's bytes in MLX's layout, little-endian.
#[derive(Debug, Default, PartialEq)]
pub struct Packed {
    /// Codes of an affine tensor, or the floats of a dense one.
    pub weight: Vec<u8>,
    /// One float for each group; empty where dense.
    pub scales: Vec<u8>,
    /// As `scales`.
    pub biases: Vec<u8>,
}

/// Packs whole blocks of type `kind`.
///
/// # Errors
/// The type has no packing here, or a scale or weight is not a number, or too large for `float`. The message is the end
/// of a sentence that begins with the tensor's name.
pub fn repack(kind: TensorType, blocks: &[u8], float: Float) -> Result<Packed, String> {
    match Packing::of(kind) {
        Some(Packing::Dense) => dense(kind, blocks, float),
        Some(Packing::Affine { bits }) => Groups::of(kind, blocks, bits).packed(float),
        None => Err(format!("has type {kind:?}, which the MLX engine does not read")),
    }
}

fn dense(kind: TensorType, bytes: &[u8], float: Float) -> Result<Packed, String> {
    let (width, value): (usize, fn(&[u8]) -> f32) = match kind {
        TensorType::F32 => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        TensorType::F16 => (2, half),
        _ => (2, |b| bf16::from_le_bytes([b[0], b[1]]).to_f32()),
    };
    let mut weight = Vec::with_capacity(bytes.len() / width * float.size());
    for bytes in bytes.chunks_exact(width) {
        float.write(value(bytes), &mut weight)?;
    }
    Ok(Packed { weight, ..Packed::default() })
}

/// The groups of a tensor as they come.
struct Groups {
    codes: Vec<u8>,
    scales: Vec<f32>,
    biases: Vec<f32>,
}

impl Groups {
    fn of(kind: TensorType, blocks: &[u8], bits: usize) -> Self {
        let (elements, size) = kind.block();
        let weights = blocks.len() / size as usize * elements as usize;
        let mut groups = Self {
            codes: Vec::with_capacity(weights * bits / 8),
            scales: Vec::with_capacity(weights / GROUP),
            biases: Vec::with_capacity(weights / GROUP),
        };
        let block: fn(&[u8], &mut Self) = match kind {
            TensorType::Q4_0 => q4_0,
            TensorType::Q4_1 => q4_1,
            TensorType::Q5_0 => q5_0,
            TensorType::Q5_1 => q5_1,
            TensorType::Q8_0 => q8_0,
            TensorType::Q4_K => q4_k,
            TensorType::Q5_K => q5_k,
            _ => q6_k,
        };
        for bytes in blocks.chunks_exact(size as usize) {
            block(bytes, &mut groups);
        }
        groups
    }

    fn push(&mut self, scale: f32, bias: f32, codes: &[u8]) {
        self.scales.push(scale);
        self.biases.push(bias);
        self.codes.extend_from_slice(codes);
    }

    fn packed(self, float: Float) -> Result<Packed, String> {
        let floats = |values: &[f32]| {
            let mut bytes = Vec::with_capacity(values.len() * float.size());
            values.iter().try_for_each(|&value| float.write(value, &mut bytes))?;
            Ok::<_, String>(bytes)
        };
        Ok(Packed { scales: floats(&self.scales)?, biases: floats(&self.biases)?, weight: self.codes })
    }
}

fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

/// 32 codes below 16, two to a byte, the first in the low half.
fn pack4(codes: &[u8; GROUP]) -> [u8; GROUP / 2] {
    std::array::from_fn(|i| codes[2 * i] | codes[2 * i + 1] << 4)
}

/// 32 codes below 32: each 8 are 5 bytes.
fn pack5(codes: &[u8; GROUP]) -> [u8; GROUP * 5 / 8] {
    let mut packed = [0; GROUP * 5 / 8];
    for (eight, five) in codes.chunks_exact(8).zip(packed.chunks_exact_mut(5)) {
        let bits = eight.iter().rev().fold(0_u64, |bits, &code| bits << 5 | u64::from(code));
        five.copy_from_slice(&bits.to_le_bytes()[..5]);
    }
    packed
}

/// 16 bytes whose low halves are the first 16 codes and whose high halves are the rest.
fn nibbles(bytes: &[u8]) -> [u8; GROUP] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

/// The same with a fifth bit for each code: bit `i` of the four bytes before.
fn with_fifth_bit(high: &[u8], bytes: &[u8]) -> [u8; GROUP] {
    let high = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
    let low = nibbles(bytes);
    std::array::from_fn(|i| low[i] | ((high >> i & 1) as u8) << 4)
}

fn q4_0(block: &[u8], to: &mut Groups) {
    let scale = half(block);
    to.push(scale, -8.0 * scale, &pack4(&nibbles(&block[2..])));
}

fn q4_1(block: &[u8], to: &mut Groups) {
    to.push(half(block), half(&block[2..]), &pack4(&nibbles(&block[4..])));
}

fn q5_0(block: &[u8], to: &mut Groups) {
    let scale = half(block);
    to.push(scale, -16.0 * scale, &pack5(&with_fifth_bit(&block[2..], &block[6..])));
}

fn q5_1(block: &[u8], to: &mut Groups) {
    to.push(half(block), half(&block[2..]), &pack5(&with_fifth_bit(&block[4..], &block[8..])));
}

fn q8_0(block: &[u8], to: &mut Groups) {
    let scale = half(block);
    let codes: [u8; GROUP] = std::array::from_fn(|i| block[2 + i] ^ 0x80);
    to.push(scale, -128.0 * scale, &codes);
}

/// Scale and minimum of sub-block `j` of a Q4_K or Q5_K block: six bits each, in twelve bytes.
fn six_bits(packed: &[u8], j: usize) -> (f32, f32) {
    let (scale, minimum) = if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4)
    };
    (f32::from(scale), f32::from(minimum))
}

/// Eight sub-blocks of 32; two share 32 bytes, the even one in the low halves.
fn q4_k(block: &[u8], to: &mut Groups) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    for j in 0..SUPER / GROUP {
        let (s, m) = six_bits(&block[4..16], j);
        let run = &block[16 + j / 2 * 32..][..32];
        let codes: [u8; GROUP] = std::array::from_fn(|i| run[i] >> (j % 2 * 4) & 15);
        to.push(scale * s, -minimum * m, &pack4(&codes));
    }
}

/// As Q4_K, with bit `j` of 32 bytes as the fifth bit of sub-block `j`.
fn q5_k(block: &[u8], to: &mut Groups) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    let high = &block[16..48];
    for j in 0..SUPER / GROUP {
        let (s, m) = six_bits(&block[4..16], j);
        let run = &block[48 + j / 2 * 32..][..32];
        let codes: [u8; GROUP] = std::array::from_fn(|i| run[i] >> (j % 2 * 4) & 15 | (high[i] >> j & 1) << 4);
        to.push(scale * s, -minimum * m, &pack5(&codes));
    }
}

/// Six bits a weight and a signed scale for each 16 of them: `d * scale * (code - 32)`. A group of MLX's holds two such
/// runs. The one with the larger scale is the grid, at a quarter of its step, so its weights are exact (its codes times
/// four fill eight bits); the other's are rounded to that grid, by an eighth of the larger step at most. Ranging each
/// group from its least to its greatest weight, as `mx.quantize` does, would round all of them, on a grid as coarse.
fn q6_k(block: &[u8], to: &mut Groups) {
    let d = half(&block[208..]);
    for group in 0..SUPER / GROUP {
        let (upper, quarter) = (group / 4, group % 4);
        let low = &block[upper * 64 + quarter % 2 * 32..][..32];
        let high = &block[128 + upper * 32..][..32];
        let (low_shift, high_shift) = (quarter / 2 * 4, quarter * 2);
        let six: [u8; GROUP] = std::array::from_fn(|i| low[i] >> low_shift & 15 | (high[i] >> high_shift & 3) << 4);
        let scales = [block[192 + group * 2] as i8, block[192 + group * 2 + 1] as i8].map(f32::from);
        let grid = if scales[0].abs() >= scales[1].abs() { scales[0] } else { scales[1] };
        let steps = scales.map(|scale| if grid == 0.0 { 0.0 } else { 4.0 * scale / grid });
        let codes: [u8; GROUP] = std::array::from_fn(|i| on_grid(six[i], steps[i / 16]));
        let unit = d * grid / 4.0;
        to.push(unit, -128.0 * unit, &codes);
    }
}

/// `steps * (code - 32)`, rounded, with its zero at 128.
fn on_grid(code: u8, steps: f32) -> u8 {
    // The shift by a half rounds; the cast saturates, which bounds the one value that eight bits cannot hold: 256.
    (steps * (f32::from(code) - 32.0) + 128.5) as u8
}
