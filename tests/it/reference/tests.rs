//! The reference held against numpy and `gguf`.

use cmdai::model::gguf::TensorType;

use super::{
    Cache, QUANTIZED, Reference, attention, compare::log_sum, dequantize, gap, golden, golden_blocks, golden_tokens,
    kl, random_blocks,
};
use crate::support::model;

const SMOLLM: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
const QWEN_SMALL: &str = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf";
const QWEN: &str = "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf";

/// The blocks of which every part has a golden.
const BLOCKS: [(&str, &str); 2] = [(SMOLLM, "smollm2-135m.block0"), (QWEN_SMALL, "qwen2.5-coder-0.5b.block0")];

/// All types that are read here.
fn types() -> impl Iterator<Item = TensorType> {
    [TensorType::F32, TensorType::F16, TensorType::BF16].into_iter().chain(QUANTIZED.map(|row| row.0))
}

/// Largest difference, as a part of the largest number wanted.
fn error(found: &[f32], wanted: &[f32]) -> f32 {
    let most = |numbers: &mut dyn Iterator<Item = f32>| numbers.fold(0.0, |most, x| x.abs().max(most));
    assert_eq!(found.len(), wanted.len());
    most(&mut found.iter().zip(wanted).map(|(a, b)| a - b)) / most(&mut wanted.iter().copied())
}

fn assert_golden(name: &str, found: &[f32]) {
    let error = error(found, &golden(name));
    // The goldens are 32-bit too: rounding alone makes up to 5e-6, in the attention of Qwen's long keys.
    assert!(error < 1e-5, "{name}: {error:e}");
}

fn cache(block: &str) -> Cache {
    Cache { keys: golden(&format!("{block}.cache.k")), values: golden(&format!("{block}.cache.v")) }
}

#[test]
fn numbers_of_every_type_are_those_of_gguf_to_the_bit() {
    let bits = |numbers: Vec<f32>| numbers.into_iter().map(f32::to_bits).collect::<Vec<_>>();
    for kind in types() {
        let wanted = bits(golden(&format!("{kind:?}.values")));
        assert!(wanted.len() >= 64, "{kind:?}");
        assert_eq!(bits(dequantize(kind, golden_blocks(&format!("{kind:?}.blocks")))), wanted, "{kind:?}");
    }
}

#[test]
fn half_floats_past_the_largest_are_no_numbers() {
    let [infinite, negative, none] =
        [0x7c00_u16, 0xfc00, 0x7e01].map(|bits| dequantize(TensorType::F16, &bits.to_le_bytes())[0]);
    assert_eq!([infinite, negative], [f32::INFINITY, f32::NEG_INFINITY]);
    assert!(none.is_nan());
}

#[test]
fn random_blocks_have_finite_numbers_of_both_signs_and_zero_scales() {
    for kind in types() {
        let blocks = random_blocks(kind, 7, 64);
        let numbers = dequantize(kind, &blocks);
        assert!(numbers.iter().all(|x| x.is_finite()), "{kind:?}");
        assert!(numbers.iter().any(|&x| x > 0.0) && numbers.iter().any(|&x| x < 0.0), "{kind:?}");
        assert!(numbers.iter().any(|x| x.abs() > 6e4) && numbers.iter().any(|x| (0.0..1e-5).contains(&x.abs())));
        let zero = |block: &[f32]| block.iter().all(|&x| x == 0.0);
        assert!(numbers.chunks_exact(kind.block().0 as usize).any(zero), "{kind:?}");
        assert_eq!(blocks, random_blocks(kind, 7, 64));
        assert_ne!(blocks, random_blocks(kind, 8, 64));
    }
}

#[test]
fn norm_divides_by_the_root_mean_square() {
    for (file, block) in BLOCKS {
        let reference = Reference::open(model(file));
        let found = reference.norm("blk.0.attn_norm", &golden(&format!("{block}.in")));
        assert_golden(&format!("{block}.norm"), &found);
    }
}

#[test]
fn rope_turns_the_pairs_of_the_architecture_by_the_position() {
    for (file, block) in BLOCKS {
        let mut found = golden(&format!("{block}.rope.in"));
        Reference::open(model(file)).rope(&mut found, 2, 5);
        assert_golden(&format!("{block}.rope.out"), &found);
    }
}

#[test]
fn attention_sees_the_cache_and_no_later_position() {
    for (file, block) in BLOCKS {
        let Cache { mut keys, mut values } = cache(block);
        keys.extend(golden(&format!("{block}.rope.out")));
        values.extend(golden(&format!("{block}.attention.v")));
        let heads = Reference::open(model(file)).shape().heads;
        let found = attention(&golden(&format!("{block}.attention.q")), &keys, &values, heads);
        assert_golden(&format!("{block}.attention"), &found);
    }
}

#[test]
fn mlp_is_that_of_numpy() {
    for (file, block) in BLOCKS {
        let found = Reference::open(model(file)).mlp("blk.0", &golden(&format!("{block}.mlp.in")));
        assert_golden(&format!("{block}.mlp"), &found);
    }
}

#[test]
fn block_goes_on_from_a_cache_and_leaves_its_own_keys_and_values_there() {
    let last = (SMOLLM, "smollm2-135m.block29");
    for (file, block) in BLOCKS.into_iter().chain([last]) {
        let (_, number) = block.rsplit_once(".block").expect("a block's name");
        let mut cache = cache(block);
        let before = cache.keys.len();
        let x = golden(&format!("{block}.in"));
        let found = Reference::open(model(file)).block(&format!("blk.{number}"), &x, &mut cache);
        assert_golden(&format!("{block}.out"), &found);
        if number == "0" {
            assert_golden(&format!("{block}.rope.out"), &cache.keys[before..]);
            assert_golden(&format!("{block}.attention.v"), &cache.values[before..]);
        }
    }
}

/// Holds the logits of the last token against the goldens: the best, some of all, and the sum, which takes all in.
fn assert_logits(file: &str, name: &str) {
    let golden = |part: &str| golden(&format!("{name}.{part}"));
    let found = Reference::open(model(file)).logits(&golden_tokens(&format!("{name}.tokens")));
    let at = |tokens: Vec<u32>| tokens.into_iter().map(|token| found[token as usize]).collect::<Vec<_>>();
    let best = error(&at(golden_tokens(&format!("{name}.best"))), &golden("best.logits"));
    let spread = error(&at((0..found.len() as u32).step_by(997).collect()), &golden("spread.logits"));
    let sum = (log_sum(&found) - f64::from(golden("sum")[0])).abs();
    assert!(best < 5e-6 && spread < 5e-6 && sum < 2e-5, "{name}: {best:e} {spread:e} {sum:e}");
}

#[test]
fn logits_of_smollm2_135m_are_those_of_numpy() {
    assert_logits(SMOLLM, "smollm2-135m");
}

#[test]
fn logits_of_qwen_0_5b_are_those_of_numpy() {
    assert_logits(QWEN_SMALL, "qwen2.5-coder-0.5b");
}

#[test]
fn logits_of_qwen_1_5b_are_those_of_numpy() {
    assert_logits(QWEN, "qwen2.5-coder-1.5b");
}

#[test]
fn logits_of_all_positions_are_those_of_each() {
    let (reference, tokens) = (Reference::open(model(SMOLLM)), golden_tokens("smollm2-135m.tokens"));
    let all = reference.all_logits(&tokens);
    let rows: Vec<_> = all.chunks_exact(reference.shape().vocabulary).collect();
    assert_eq!(rows.len(), tokens.len());
    assert_eq!(rows[tokens.len() - 1], reference.logits(&tokens));
    assert!(kl(&reference.logits(&tokens[..4]), rows[3]) < 1e-9);
}

#[test]
fn kl_is_of_distributions_not_of_logits() {
    let ln = f32::ln;
    // Of (1/4, 3/4) against (1/2, 1/2).
    assert!((kl(&[0.0, ln(3.0)], &[0.0, 0.0]) - (0.25 * 0.5_f64.ln() + 0.75 * 1.5_f64.ln())).abs() < 1e-7);
    assert!((kl(&[0.0, 0.0], &[0.0, ln(3.0)]) - 0.5 * (4.0_f64 / 3.0).ln()).abs() < 1e-7);
    assert!(kl(&[1e4, 1e4 + 1.0, -1e4], &[0.0, 1.0, -1e4]).abs() < 1e-7);
}

#[test]
fn gap_is_the_lead_of_the_best_logit() {
    assert_eq!(gap(&[1.0, 4.5, -2.0, 3.0]), 1.5);
    assert_eq!(gap(&[3.0, 3.0]), 0.0);
}
