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

    /// Writes `values`, little-endian; refuses what is not a number or does not fit.
    fn write(self, values: &[f32], to: &mut Vec<u8>) -> Result<(), String> {
        to.resize(values.len() * self.size(), 0);
        let largest = match self {
            Self::F32 => {
                let (bytes, _) = to.as_chunks_mut();
                bytes.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = value.to_le_bytes());
                f32::MAX
            }
            Self::F16 => {
                let (bytes, _) = to.as_chunks_mut();
                bytes.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = f16::from_f32(*value).to_le_bytes());
                f16::MAX.to_f32()
            }
        };
        match values.iter().find(|value| value.is_nan() || value.abs() > largest) {
            Some(value) => Err(format!("holds {value}, which is no number that {self:?} can hold")),
            None => Ok(()),
        }
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

/// A tensor's bytes in MLX's layout, little-endian. Made to be filled again and again: touching fresh memory would take
/// longer than the packing.
#[derive(Debug, Default, PartialEq)]
pub struct Packed {
    /// Codes of an affine tensor, or the floats of a dense one.
    pub weight: Vec<u8>,
    /// One float for each group; empty where dense.
    pub scales: Vec<u8>,
    /// As `scales`.
    pub biases: Vec<u8>,
    /// Scales and biases, or the floats of a dense tensor, before they are rounded.
    floats: [Vec<f32>; 2],
}

/// Packs whole blocks of type `kind` into `to`, whose former content goes.
///
/// # Errors
/// The type has no packing here, or a scale or weight is not a number, or too large for `float`. The message is the end
/// of a sentence that begins with the tensor's name.
pub fn repack(kind: TensorType, blocks: &[u8], float: Float, to: &mut Packed) -> Result<(), String> {
    [&mut to.weight, &mut to.scales, &mut to.biases].into_iter().for_each(Vec::clear);
    to.floats.iter_mut().for_each(Vec::clear);
    match Packing::of(kind) {
        Some(Packing::Dense) => {
            to.floats[0].extend(dense(kind, blocks));
            float.write(&to.floats[0], &mut to.weight)
        }
        Some(Packing::Affine { .. }) => {
            let block = affine(kind);
            blocks.chunks_exact(kind.block().1 as usize).for_each(|bytes| block(bytes, to));
            float.write(&to.floats[0], &mut to.scales)?;
            float.write(&to.floats[1], &mut to.biases)
        }
        None => Err(format!("has type {kind:?}, which the MLX engine does not read")),
    }
}

fn dense(kind: TensorType, bytes: &[u8]) -> impl Iterator<Item = f32> {
    let (width, value): (usize, fn(&[u8]) -> f32) = match kind {
        TensorType::F32 => (4, |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
        TensorType::F16 => (2, half),
        _ => (2, |b| bf16::from_le_bytes([b[0], b[1]]).to_f32()),
    };
    bytes.chunks_exact(width).map(value)
}

/// What packs one block of a type.
fn affine(kind: TensorType) -> fn(&[u8], &mut Packed) {
    match kind {
        TensorType::Q4_0 => q4_0,
        TensorType::Q4_1 => q4_1,
        TensorType::Q5_0 => q5_0,
        TensorType::Q5_1 => q5_1,
        TensorType::Q8_0 => q8_0,
        TensorType::Q4_K => q4_k,
        TensorType::Q5_K => q5_k,
        _ => q6_k,
    }
}

impl Packed {
    /// Appends a group.
    fn push(&mut self, scale: f32, bias: f32, codes: &[u8]) {
        self.weight.extend_from_slice(codes);
        self.floats[0].push(scale);
        self.floats[1].push(bias);
    }
}

fn half(bytes: &[u8]) -> f32 {
    f16::from_le_bytes([bytes[0], bytes[1]]).to_f32()
}

// Codes are handled eight at a time, a byte each in a word: this is the first start's whole work, and byte by byte it
// took four times as long.

/// A word with `byte` in each of its bytes.
const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Eight bytes of `bytes` from the `index`th eight on.
fn word(bytes: &[u8], index: usize) -> u64 {
    u64::from_le_bytes(bytes.as_chunks().0[index])
}

/// A bit for each byte of a word, from the bits of a byte: the lowest for the first.
const SPREAD: [u64; 256] = {
    let mut table = [0; 256];
    let mut bits = 0;
    while bits < 256 {
        let mut i = 0;
        while i < 8 {
            table[bits] |= (bits as u64 >> i & 1) << (i * 8);
            i += 1;
        }
        bits += 1;
    }
    table
};

/// Four words of codes below 16, as 16 bytes: the first code in the low half.
fn pack4(words: [u64; 4]) -> [u8; GROUP / 2] {
    let mut packed = [0; GROUP / 2];
    for (word, four) in words.into_iter().zip(packed.chunks_exact_mut(4)) {
        let pairs = (word | word >> 4) & 0x00ff_00ff_00ff_00ff;
        let fours = (pairs | pairs >> 8) & 0x0000_ffff_0000_ffff;
        four.copy_from_slice(&((fours | fours >> 16) as u32).to_le_bytes());
    }
    packed
}

/// Four words of codes below 32: each eight codes are five bytes.
fn pack5(words: [u64; 4]) -> [u8; GROUP * 5 / 8] {
    let mut packed = [0; GROUP * 5 / 8];
    for (word, five) in words.into_iter().zip(packed.chunks_exact_mut(5)) {
        let pairs = word & 0x00ff_00ff_00ff_00ff | (word & 0xff00_ff00_ff00_ff00) >> 3;
        let fours = pairs & 0x0000_ffff_0000_ffff | (pairs & 0xffff_0000_ffff_0000) >> 6;
        let eight = fours & 0xffff_ffff | (fours & 0xffff_ffff_0000_0000) >> 12;
        five.copy_from_slice(&eight.to_le_bytes()[..5]);
    }
    packed
}

/// 16 bytes whose low halves are the first 16 codes and whose high halves are the rest.
fn nibbles(bytes: &[u8]) -> [u64; 4] {
    let (first, second) = (word(bytes, 0), word(bytes, 1));
    [first, second, first >> 4, second >> 4].map(|word| word & every(15))
}

/// The same with a fifth bit for each code, from the four bytes `high`.
fn with_fifth_bit(high: &[u8], bytes: &[u8]) -> [u64; 4] {
    let low = nibbles(bytes);
    std::array::from_fn(|i| low[i] | SPREAD[usize::from(high[i])] << 4)
}

fn q4_0(block: &[u8], to: &mut Packed) {
    let scale = half(block);
    to.push(scale, -8.0 * scale, &pack4(nibbles(&block[2..])));
}

fn q4_1(block: &[u8], to: &mut Packed) {
    to.push(half(block), half(&block[2..]), &pack4(nibbles(&block[4..])));
}

fn q5_0(block: &[u8], to: &mut Packed) {
    let scale = half(block);
    to.push(scale, -16.0 * scale, &pack5(with_fifth_bit(&block[2..6], &block[6..])));
}

fn q5_1(block: &[u8], to: &mut Packed) {
    to.push(half(block), half(&block[2..]), &pack5(with_fifth_bit(&block[4..8], &block[8..])));
}

fn q8_0(block: &[u8], to: &mut Packed) {
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
fn q4_k(block: &[u8], to: &mut Packed) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    for j in 0..SUPER / GROUP {
        let (s, m) = six_bits(&block[4..16], j);
        let run = &block[16 + j / 2 * 32..][..32];
        let codes = std::array::from_fn(|i| word(run, i) >> (j % 2 * 4) & every(15));
        to.push(scale * s, -minimum * m, &pack4(codes));
    }
}

/// As Q4_K, with bit `j` of 32 bytes as the fifth bit of sub-block `j`.
fn q5_k(block: &[u8], to: &mut Packed) {
    let (scale, minimum) = (half(block), half(&block[2..]));
    let high = &block[16..48];
    for j in 0..SUPER / GROUP {
        let (s, m) = six_bits(&block[4..16], j);
        let run = &block[48 + j / 2 * 32..][..32];
        let fifth = |i| (word(high, i) >> j & every(1)) << 4;
        let codes = std::array::from_fn(|i| word(run, i) >> (j % 2 * 4) & every(15) | fifth(i));
        to.push(scale * s, -minimum * m, &pack5(codes));
    }
}

/// Six bits a weight and a signed scale for each 16 of them: `d * scale * (code - 32)`. A group of MLX's holds two such
/// runs. The one with the larger scale is the grid, at a quarter of its step, so its weights are exact (its codes times
/// four fill eight bits); the other's are rounded to that grid, by an eighth of the larger step at most. Ranging each
/// group from its least to its greatest weight, as `mx.quantize` does, would round all of them, on a grid as coarse.
fn q6_k(block: &[u8], to: &mut Packed) {
    let d = half(&block[208..]);
    for group in 0..SUPER / GROUP {
        let (upper, quarter) = (group / 4, group % 4);
        let low = &block[upper * 64 + quarter % 2 * 32..][..32];
        let high = &block[128 + upper * 32..][..32];
        let six = |i| word(low, i) >> (quarter / 2 * 4) & every(15) | (word(high, i) >> (quarter * 2) & every(3)) << 4;
        let scales = [block[192 + group * 2] as i8, block[193 + group * 2] as i8].map(f32::from);
        let grid = if scales[0].abs() >= scales[1].abs() { scales[0] } else { scales[1] };
        let steps = scales.map(|scale| if grid == 0.0 { 0.0 } else { 4.0 * scale / grid });
        let codes = [on_grid([six(0), six(1)], steps[0]), on_grid([six(2), six(3)], steps[1])];
        let unit = d * grid / 4.0;
        to.push(unit, -128.0 * unit, codes.as_flattened());
    }
}

/// `steps * (code - 32)`, rounded, with its zero at 128; `steps` is from -4 to 4. In 16-bit integers, which a processor
/// multiplies eight at once: `steps` with 12 bits after the point and the product with 5, so a code is off the nearest
/// one by 1/25 at most. The one value that eight bits cannot hold, 256, becomes 255.
fn on_grid(words: [u64; 2], steps: f32) -> [u8; 16] {
    let steps = (steps * 4096.0) as i16;
    let mut codes = [0; 16];
    for (code, byte) in codes.iter_mut().zip(words.map(u64::to_le_bytes).as_flattened()) {
        let centred = (i16::from(*byte) - 32) << 9;
        let product = ((i32::from(centred) * i32::from(steps)) >> 16) as i16;
        *code = (128 + ((product + 16) >> 5)).clamp(0, 255) as u8;
    }
    codes
}
