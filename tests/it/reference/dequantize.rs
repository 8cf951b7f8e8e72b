//! The numbers in the blocks of a GGUF tensor, written from ggml's layouts. Rounds as ggml and `gguf` do: to the bit.

use cmdai::model::gguf::TensorType;

/// The numbers of whole blocks of `kind`.
pub(crate) fn dequantize(kind: TensorType, bytes: &[u8]) -> Vec<f32> {
    let (elements, size) = kind.block();
    let mut out = vec![0.0; bytes.len() / size as usize * elements as usize];
    dequantize_into(kind, bytes, &mut out);
    out
}

/// The same into `out`, which is as long as the numbers are many.
pub(crate) fn dequantize_into(kind: TensorType, bytes: &[u8], out: &mut [f32]) {
    use TensorType::{BF16, F16, F32, Q4_0, Q4_1, Q4_K, Q5_0, Q5_1, Q5_K, Q6_K, Q8_0};
    match kind {
        F32 => each(bytes, out, |block, [x]: &mut [f32; 1]| *x = f32::from_le_bytes(*block)),
        F16 => each(bytes, out, |block, [x]: &mut [f32; 1]| *x = half(*block)),
        BF16 => each(bytes, out, |&[low, high], [x]: &mut [f32; 1]| *x = f32::from_le_bytes([0, 0, low, high])),
        Q4_0 => each(bytes, out, q4_0),
        Q4_1 => each(bytes, out, q4_1),
        Q5_0 => each(bytes, out, q5_0),
        Q5_1 => each(bytes, out, q5_1),
        Q8_0 => each(bytes, out, q8_0),
        Q4_K => each(bytes, out, q4_k),
        Q5_K => each(bytes, out, q5_k),
        Q6_K => each(bytes, out, q6_k),
        other => panic!("{other:?} is not read here"),
    }
}

/// Block after block of `SIZE` bytes that hold `COUNT` numbers.
fn each<const SIZE: usize, const COUNT: usize>(
    bytes: &[u8],
    out: &mut [f32],
    read: impl Fn(&[u8; SIZE], &mut [f32; COUNT]),
) {
    let ((blocks, rest), (numbers, beyond)) = (bytes.as_chunks(), out.as_chunks_mut());
    assert!(rest.is_empty() && beyond.is_empty() && blocks.len() == numbers.len(), "not whole blocks");
    for (block, numbers) in blocks.iter().zip(numbers) {
        read(block, numbers);
    }
}

/// A half-float. Multiplying by a power of two is exact, and gives the subnormal ones too.
fn half(bytes: [u8; 2]) -> f32 {
    const REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, magnitude) = (bits >> 15 << 31, (bits & 0x7fff) << 13);
    match bits & 0x7c00 {
        0x7c00 => f32::from_bits(sign | 0x7f80_0000 | magnitude),
        _ => f32::from_bits(sign | (f32::from_bits(magnitude) * REBIAS).to_bits()),
    }
}

fn half_at(block: &[u8], at: usize) -> f32 {
    half([block[at], block[at + 1]])
}

/// Low halves of the bytes are the first 16 codes, high halves the rest.
fn nibble(packed: &[u8], i: usize) -> u8 {
    if i < 16 { packed[i] & 15 } else { packed[i - 16] >> 4 }
}

fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (i, x) in out.iter_mut().enumerate() {
        *x = (f32::from(nibble(&block[2..], i)) - 8.0) * d;
    }
}

fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (i, x) in out.iter_mut().enumerate() {
        *x = f32::from(nibble(&block[4..], i)) * d + m;
    }
}

/// Bit `i` of four bytes is the fifth bit of code `i`.
fn five_bits(block: &[u8], i: usize) -> f32 {
    let fifth = block[i / 8] >> (i % 8) & 1;
    f32::from(fifth << 4 | nibble(&block[4..], i))
}

fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (i, x) in out.iter_mut().enumerate() {
        *x = (five_bits(&block[2..], i) - 16.0) * d;
    }
}

fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    let (d, m) = (half_at(block, 0), half_at(block, 2));
    for (i, x) in out.iter_mut().enumerate() {
        *x = five_bits(&block[4..], i) * d + m;
    }
}

fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let d = half_at(block, 0);
    for (x, &code) in out.iter_mut().zip(&block[2..]) {
        *x = f32::from(code as i8) * d;
    }
}

/// Scale and minimum of sub-block `j`: six bits each, the first four in the low bits of bytes of their own, the others
/// in the last four bytes and the high bits that are left.
fn scale_and_minimum(block: &[u8], j: usize) -> (f32, f32) {
    let packed = &block[4..16];
    let (scale, minimum) = match j {
        0..4 => (packed[j] & 63, packed[j + 4] & 63),
        _ => (packed[j + 4] & 15 | packed[j - 4] >> 6 << 4, packed[j + 4] >> 4 | packed[j] >> 6 << 4),
    };
    (half_at(block, 0) * f32::from(scale), half_at(block, 2) * f32::from(minimum))
}

/// Code `i` of sub-block `j`: two sub-blocks share 32 bytes, the first has their low halves.
fn nibble_of(packed: &[u8], j: usize, i: usize) -> u8 {
    packed[j / 2 * 32 + i] >> (j % 2 * 4) & 15
}

fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    for (j, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (d, m) = scale_and_minimum(block, j);
        for (i, x) in out.iter_mut().enumerate() {
            *x = d * f32::from(nibble_of(&block[16..], j, i)) - m;
        }
    }
}

fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (fifths, nibbles) = block[16..].split_at(32);
    for (j, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (d, m) = scale_and_minimum(block, j);
        for (i, x) in out.iter_mut().enumerate() {
            let fifth = fifths[i] >> j & 1;
            *x = d * f32::from(fifth << 4 | nibble_of(nibbles, j, i)) - m;
        }
    }
}

/// Two halves of 128 numbers, each in four runs of 32: the runs share bytes, and each 16 numbers have their scale.
fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let d = half_at(block, 208);
    for (run, out) in out.as_chunks_mut::<32>().0.iter_mut().enumerate() {
        let (half, run) = (run / 4, run % 4);
        let low = &block[half * 64 + run % 2 * 32..][..32];
        let high = &block[128 + half * 32..][..32];
        let scales = &block[192 + half * 8 + run * 2..][..2];
        for (i, x) in out.iter_mut().enumerate() {
            let code = low[i] >> (run / 2 * 4) & 15 | (high[i] >> (run * 2) & 3) << 4;
            *x = d * f32::from(scales[i / 16] as i8) * (f32::from(code) - 32.0);
        }
    }
}
