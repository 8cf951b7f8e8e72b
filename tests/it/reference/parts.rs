//! The parts of a decoder block, on slices.

/// Which numbers of a head are turned together: `i` and `i + length / 2`, or `2i` and `2i + 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Halves,
    Neighbours,
}

/// How many heads attention has, and how long each is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) query: usize,
    pub(crate) key_value: usize,
    pub(crate) length: usize,
}

/// Every row of `x`, as long as `weight`, divided by its root mean square and scaled.
pub(crate) fn rms_norm(x: &[f32], weight: &[f32], epsilon: f32) -> Vec<f32> {
    let mut out = Vec::with_capacity(x.len());
    for row in x.chunks_exact(weight.len()) {
        let squares: f64 = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
        let root = (squares / row.len() as f64 + f64::from(epsilon)).sqrt();
        out.extend(row.iter().zip(weight).map(|(&x, &weight)| (f64::from(x) / root) as f32 * weight));
    }
    out
}

/// Turns the heads of one token, `x` being `(heads, length)`. Angles are 64-bit: near 30,000, a 32-bit
/// float is off by up to 1e-3.
pub(crate) fn rope(x: &mut [f32], length: usize, base: f32, turn: Turn, position: usize) {
    for i in 0..length / 2 {
        let angle = position as f64 * f64::from(base).powf(-2.0 * i as f64 / length as f64);
        let (sin, cos) = (angle.sin() as f32, angle.cos() as f32);
        let (first, second) = match turn {
            Turn::Halves => (i, i + length / 2),
            Turn::Neighbours => (2 * i, 2 * i + 1),
        };
        for x in x.chunks_exact_mut(length) {
            let (a, b) = (x[first], x[second]);
            x[first] = a * cos - b * sin;
            x[second] = a * sin + b * cos;
        }
    }
}

/// Attention of the last positions to all up to their own. `q` is `(token, heads, length)`, `keys` and `values` are
/// `(position, key-value heads, length)`; the result has the shape of `q`.
pub(crate) fn attention(q: &[f32], keys: &[f32], values: &[f32], heads: Heads) -> Vec<f32> {
    let Heads { query, key_value, length } = heads;
    let before = keys.len() / (key_value * length) - q.len() / (query * length);
    let mut out = vec![0.0; q.len()];
    for (index, (q, out)) in q.chunks_exact(length).zip(out.chunks_exact_mut(length)).enumerate() {
        let (token, head) = (index / query, index % query);
        // Neighbouring queries share a head of the keys.
        let shared = head / (query / key_value);
        let rows = |cache| head_rows(cache, shared, heads).take(before + token + 1);
        let scores = rows(keys).map(|key| f64::from(dot(q, key)) / (length as f64).sqrt()).collect();
        for (share, value) in softmax(scores).into_iter().zip(rows(values)) {
            out.iter_mut().zip(value).for_each(|(out, value)| *out += share as f32 * value);
        }
    }
    out
}

/// What head `head` holds at each position.
fn head_rows(cache: &[f32], head: usize, heads: Heads) -> impl Iterator<Item = &[f32]> {
    cache.chunks_exact(heads.length).skip(head).step_by(heads.key_value)
}

fn softmax(scores: Vec<f64>) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::MIN, f64::max);
    let sum: f64 = scores.iter().map(|score| (score - most).exp()).sum();
    scores.into_iter().map(|score| (score - most).exp() / sum).collect()
}

/// `silu(gate) * up`, number by number.
pub(crate) fn swiglu(gate: &[f32], up: &[f32]) -> Vec<f32> {
    gate.iter().zip(up).map(|(&gate, &up)| gate / (1.0 + (-gate).exp()) * up).collect()
}

/// Sums in 32 parts: fast, as the compiler makes vectors of them, and near exact, as each is short.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sums = [0.0; 32];
    for (a, b) in a.iter().zip(b) {
        for i in 0..32 {
            sums[i] += a[i] * b[i];
        }
    }
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| f64::from(a * b));
    (sums.into_iter().map(f64::from).sum::<f64>() + rest.sum::<f64>()) as f32
}
