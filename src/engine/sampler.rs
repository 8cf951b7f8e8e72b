//! Picks the next token from logits: the most likely one, or a seeded draw for further alternatives.

use super::{GenerateParams, Token};

/// Tokens a draw may choose among: the top of the distribution, as is usual for short code answers.
const TOP_K: usize = 40;

/// Chooses tokens by the temperature and seed of [`GenerateParams`].
pub struct Sampler {
    temperature: f32,
    state: u64,
}

impl Sampler {
    pub fn new(params: &GenerateParams) -> Self {
        Self { temperature: params.temperature, state: params.seed }
    }

    /// The next token for `logits`, `(vocabulary,)`, not empty. NaN never wins.
    pub fn pick(&mut self, logits: &[f32]) -> Token {
        if self.temperature <= 0.0 { greedy(logits) } else { self.draw(logits) }
    }

    fn draw(&mut self, logits: &[f32]) -> Token {
        let top = top_k(logits, TOP_K);
        let best = top[0].1;
        let weights: Vec<f32> = top.iter().map(|(_, logit)| ((logit - best) / self.temperature).exp()).collect();
        let mut left = self.uniform() * weights.iter().sum::<f32>();
        for (&(token, _), weight) in top.iter().zip(&weights) {
            left -= weight;
            if left <= 0.0 {
                return token;
            }
        }
        top[0].0
    }

    /// Uniform in [0, 1): splitmix64 (Steele, Lea and Flood, OOPSLA 2014), its top 24 bits.
    fn uniform(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32
    }
}

fn greedy(logits: &[f32]) -> Token {
    let mut best = 0;
    for (token, &logit) in logits.iter().enumerate() {
        if logit > logits[best] || logits[best].is_nan() {
            best = token;
        }
    }
    best as Token
}

/// The `k` highest logits, highest first.
fn top_k(logits: &[f32], k: usize) -> Vec<(Token, f32)> {
    let mut all: Vec<(Token, f32)> = (0..).zip(logits.iter().copied()).filter(|(_, logit)| !logit.is_nan()).collect();
    let k = k.min(all.len());
    if k < all.len() {
        all.select_nth_unstable_by(k, |a, b| b.1.total_cmp(&a.1));
        all.truncate(k);
    }
    all.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
    if all.is_empty() { vec![(0, 0.0)] } else { all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Interrupt;

    fn sampler(temperature: f32, seed: u64) -> Sampler {
        Sampler::new(&GenerateParams { max_tokens: 1, temperature, seed, interrupt: Interrupt::default() })
    }

    #[test]
    fn greedy_takes_the_highest_logit_and_never_nan() {
        assert_eq!(sampler(0.0, 1).pick(&[0.5, f32::NAN, 3.0, 2.9]), 2);
        assert_eq!(sampler(0.0, 1).pick(&[f32::NAN, -1.0, -2.0]), 1);
    }

    #[test]
    fn same_seed_draws_the_same_tokens_and_follows_the_distribution() {
        let logits = [0.0, 2.0, f32::NAN, 1.0];
        let draws = |seed| {
            let mut sampler = sampler(1.0, seed);
            (0..4000).map(|_| sampler.pick(&logits)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        // exp(2) / (exp(0) + exp(2) + exp(1)) = 0.665
        let share = draws(7).iter().filter(|&&token| token == 1).count() as f64 / 4000.0;
        assert!((share - 0.665).abs() < 0.03, "token 1 was drawn {share} of the time");
        assert!(!draws(7).contains(&2));
    }
}
