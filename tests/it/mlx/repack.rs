//! Blocks in MLX's form against what `gguf` makes of them.

use cmdai::{
    engine::mlx::repack::{Float, GROUP, Packed, Packing, repack},
    model::gguf::TensorType,
};

use crate::reference::{QUANTIZED, dequantize, golden, golden_blocks, random_blocks};

fn packed(kind: TensorType, blocks: &[u8], float: Float) -> Result<Packed, String> {
    let mut packed = Packed::default();
    repack(kind, blocks, float, &mut packed).map(|()| packed)
}

fn bits(kind: TensorType) -> usize {
    match Packing::of(kind) {
        Some(Packing::Affine { bits }) => bits,
        _ => panic!("{kind:?} is not packed"),
    }
}

/// One number of a stream of little-endian codes.
fn code(stream: &[u8], bits: usize, index: usize) -> u32 {
    (0..bits)
        .map(|bit| index * bits + bit)
        .enumerate()
        .fold(0, |code, (place, at)| code | u32::from(stream[at / 8] >> (at % 8) & 1) << place)
}

fn floats(bytes: &[u8], float: Float) -> Vec<f32> {
    match float {
        Float::F32 => bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        Float::F16 => dequantize(TensorType::F16, bytes),
    }
}

/// Each weight as MLX would compute it, in 64 bits, with its scale, the size of its terms, and its code.
struct Weight {
    value: f64,
    scale: f64,
    terms: f64,
}

fn unpack(kind: TensorType, packed: &Packed, float: Float) -> Vec<Weight> {
    let (scales, biases) = (floats(&packed.scales, float), floats(&packed.biases, float));
    assert_eq!(packed.weight.len(), scales.len() * GROUP * bits(kind) / 8);
    (0..scales.len() * GROUP)
        .map(|index| {
            let (scale, bias) = (f64::from(scales[index / GROUP]), f64::from(biases[index / GROUP]));
            let product = scale * f64::from(code(&packed.weight, bits(kind), index));
            Weight { value: product + bias, scale: scale.abs(), terms: product.abs() + bias.abs() }
        })
        .collect()
}

/// Holds blocks packed with 32-bit floats to `wanted`: exact but for the rounding of 32-bit products, and Q6_K within
/// half a step of its grid (a whole one where eight bits have no room for 256), and 1/25 for its 16-bit arithmetic.
fn assert_exact(kind: TensorType, blocks: &[u8], wanted: &[f32]) {
    let weights = unpack(kind, &packed(kind, blocks, Float::F32).unwrap(), Float::F32);
    assert_eq!(weights.len(), wanted.len());
    for (index, (weight, &wanted)) in weights.iter().zip(wanted).enumerate() {
        let error = (weight.value - f64::from(wanted)).abs();
        let rounding = weight.terms * 2.0_f64.powi(-22) + 1e-40;
        let full = kind == TensorType::Q6_K && weight.value.abs() / weight.scale > 126.9;
        let grid = if kind == TensorType::Q6_K { weight.scale * if full { 1.04 } else { 0.54 } } else { 0.0 };
        assert!(error <= grid + rounding, "{kind:?} {index}: {} for {wanted}, scale {}", weight.value, weight.scale);
    }
}

#[test]
fn goldens_of_gguf_are_met_by_every_type() {
    for (kind, _) in QUANTIZED {
        assert_exact(kind, golden_blocks(&format!("{kind:?}.blocks")), &golden(&format!("{kind:?}.values")));
    }
}

#[test]
fn random_blocks_are_met_by_every_type() {
    for (kind, _) in QUANTIZED {
        for seed in 0..20 {
            let blocks = random_blocks(kind, seed, 128);
            assert_exact(kind, &blocks, &dequantize(kind, &blocks));
        }
    }
}

#[test]
fn half_of_the_weights_of_q6_k_are_exact_and_the_rest_near() {
    let blocks = golden_blocks("Q6_K.blocks");
    // The last three blocks of the golden have extreme scales.
    let blocks = &blocks[..blocks.len() / 2];
    let wanted = dequantize(TensorType::Q6_K, blocks);
    let weights = unpack(TensorType::Q6_K, &packed(TensorType::Q6_K, blocks, Float::F32).unwrap(), Float::F32);
    let exact = weights.iter().zip(&wanted).filter(|(weight, wanted)| weight.value as f32 == **wanted).count();
    assert!(exact * 2 >= wanted.len(), "{exact} of {}", wanted.len());
}

#[test]
fn sixteen_bit_scales_cost_their_rounding_and_no_more() {
    for (kind, _) in QUANTIZED {
        // Every second block has an ordinary scale; the extreme ones overflow, which the next test wants refused.
        let size = kind.block().1 as usize;
        let blocks: Vec<u8> = random_blocks(kind, 7, 64).chunks_exact(size).step_by(2).flatten().copied().collect();
        let exact = unpack(kind, &packed(kind, &blocks, Float::F32).unwrap(), Float::F32);
        let rounded = unpack(kind, &packed(kind, &blocks, Float::F16).unwrap(), Float::F16);
        for (exact, rounded) in exact.iter().zip(&rounded) {
            let error = (exact.value - rounded.value).abs();
            // Half a unit in the last place of eleven bits; below 2^-14, of the smallest half-float.
            assert!(error <= exact.terms * 2.0_f64.powi(-11) + 256.0 * 2.0_f64.powi(-25), "{kind:?}: {error}");
        }
    }
}

#[test]
fn floats_are_taken_as_they_are() {
    for kind in [TensorType::F32, TensorType::F16, TensorType::BF16] {
        let wanted = golden(&format!("{kind:?}.values"));
        let packed = packed(kind, golden_blocks(&format!("{kind:?}.blocks")), Float::F32).unwrap();
        assert_eq!(floats(&packed.weight, Float::F32), wanted, "{kind:?}");
        assert!(packed.scales.is_empty() && packed.biases.is_empty());
    }
}

#[test]
fn scale_that_is_no_number_or_does_not_fit_is_refused() {
    for (kind, offsets) in QUANTIZED {
        for &at in offsets {
            let mut blocks = random_blocks(kind, 3, 2);
            // Every sub-block's own scale counts, so that none hides the bad one.
            if kind.block().0 == 256 {
                let size = kind.block().1 as usize;
                let scales = if kind == TensorType::Q6_K { 192..208 } else { 4..16 };
                blocks[scales.clone()].fill(0x7f);
                blocks[size + scales.start..size + scales.end].fill(0x7f);
            }
            for bad in [0x7e00_u16, 0x7c00, 0xfc00] {
                blocks[at..at + 2].copy_from_slice(&bad.to_le_bytes());
                let error = packed(kind, &blocks, Float::F32).expect_err("no number");
                assert!(error.contains("no number that F32 can hold"), "{kind:?}: {error}");
            }
        }
    }
    let largest = [0x7bff_u16.to_le_bytes(), [0xff; 2]].concat();
    let q8_0 = [&largest[..2], &[0x80; 32]].concat();
    assert!(packed(TensorType::Q8_0, &q8_0, Float::F32).is_ok());
    assert!(packed(TensorType::Q8_0, &q8_0, Float::F16).expect_err("-128 * 65504").contains("F16"));
}

#[test]
fn type_without_a_packing_is_named() {
    let error = packed(TensorType::IQ4_XS, &[0; 136], Float::F32).expect_err("not read");
    assert!(error.contains("IQ4_XS"), "{error}");
}
