//! How far the answers of two engines lie apart.

/// Kullback-Leibler divergence, in nats, of the distribution of `q` from that of `p`: what it costs to hold `q` for `p`.
pub(crate) fn kl(p_logits: &[f32], q_logits: &[f32]) -> f64 {
    assert_eq!(p_logits.len(), q_logits.len());
    let (p, q) = (log_softmax(p_logits), log_softmax(q_logits));
    p.iter().zip(&q).map(|(p, q)| p.exp() * (p - q)).sum()
}

/// By how much the best logit leads: where this is small, two sound engines may choose differently.
pub(crate) fn gap(logits: &[f32]) -> f32 {
    let (mut best, mut second) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
    for &logit in logits {
        if logit > best {
            (best, second) = (logit, best);
        } else {
            second = second.max(logit);
        }
    }
    best - second
}

fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let sum = log_sum(logits);
    logits.iter().map(|&logit| f64::from(logit) - sum).collect()
}

/// The logarithm of the sum of all exponentials.
pub(super) fn log_sum(logits: &[f32]) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + logits.iter().map(|&logit| (f64::from(logit) - most).exp()).sum::<f64>().ln()
}
