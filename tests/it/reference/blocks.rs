//! Random blocks for tests of properties: scales as models have them beside zeros and the extremes, all finite.

use cmdai::model::gguf::TensorType;

/// The types whose blocks have half-float scales, with the offsets of those.
pub(crate) const QUANTIZED: [(TensorType, &[usize]); 8] = [
    (TensorType::Q4_0, &[0]),
    (TensorType::Q4_1, &[0, 2]),
    (TensorType::Q5_0, &[0]),
    (TensorType::Q5_1, &[0, 2]),
    (TensorType::Q8_0, &[0]),
    (TensorType::Q4_K, &[0, 2]),
    (TensorType::Q5_K, &[0, 2]),
    (TensorType::Q6_K, &[208]),
];

/// 0, -0, the smallest half-float and its negative, the smallest normal one, the largest and its negative, 1.
const EXTREME: [u16; 8] = [0, 0x8000, 1, 0x8001, 0x0400, 0x7bff, 0xfbff, 0x3c00];

/// `count` blocks of `kind`; the same seed gives the same ones. Every second block has ordinary scales (magnitude 2^-13
/// to 2^-7, either sign); 16 blocks go through all the extreme ones, 128 through all pairs of them.
pub(crate) fn random_blocks(kind: TensorType, seed: u64, count: usize) -> Vec<u8> {
    let size = kind.block().1 as usize;
    let mut dice = Dice(seed);
    let mut bytes: Vec<u8> = (0..size * count).map(|_| dice.next() as u8).collect();
    for (index, block) in bytes.chunks_exact_mut(size).enumerate() {
        match kind {
            TensorType::F32 => block.copy_from_slice(&dice.float(index).to_le_bytes()),
            TensorType::BF16 => block.copy_from_slice(&dice.float(index).to_le_bytes()[2..]),
            TensorType::F16 => block.copy_from_slice(&dice.scale(index).to_le_bytes()),
            _ => {
                for (nth, &at) in scales_of(kind).iter().enumerate() {
                    block[at..at + 2].copy_from_slice(&dice.scale(index + 2 * nth * (index / 16)).to_le_bytes());
                }
            }
        }
    }
    bytes
}

fn scales_of(kind: TensorType) -> &'static [usize] {
    QUANTIZED.iter().find(|row| row.0 == kind).unwrap_or_else(|| panic!("no blocks of {kind:?} are made here")).1
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// The bits of a half-float: ordinary at even indices, extreme at odd ones.
    fn scale(&mut self, index: usize) -> u16 {
        if index % 2 == 1 {
            return EXTREME[index / 2 % EXTREME.len()];
        }
        let bits = self.next();
        let (fraction_and_sign, exponent) = (bits as u16 & 0x83ff, 2 + (bits >> 16) as u16 % 6);
        fraction_and_sign | exponent << 10
    }

    /// The same for the wider floats.
    fn float(&mut self, index: usize) -> f32 {
        let magnitude = match index % 16 {
            1 => 0.0,
            5 => f32::MAX,
            9 => f32::MIN_POSITIVE,
            _ => f32::from(self.next() as u16) / 65_536.0,
        };
        if self.next() & 1 == 0 { magnitude } else { -magnitude }
    }
}
