//! Picks the next token from logits: the most likely one, or a seeded draw for further alternatives.

use super::{GenerateParams, Token};

/// Tokens a draw may choose among: the top of the distribution, as is usual for short code answers.
const TOP_K: usize = 40;

/// A token this far below the best, in natural logarithms, is no answer to the same question: 1 in 1,000.
const UNLIKELY: f32 = -6.9;

/// Chooses tokens by the temperature and seed of [`GenerateParams`].
pub struct Sampler {
    temperature: f32,
    state: u64,
}

impl Sampler {
    pub fn new(params: &GenerateParams) -> Self {
        Self { temperature: params.temperature, state: params.seed }
    }

    /// The next token for `logits`, `(vocabulary,)`, not empty, with its log-probability (natural logarithm, before any
    /// temperature); none if nothing that is likely is admitted. NaN never wins.
    pub fn pick(&mut self, logits: &[f32], admits: &mut dyn FnMut(Token) -> bool) -> Option<(Token, f32)> {
        let best = greedy(logits);
        let total = log_sum(logits, logits[best as usize]);
        let picked = if self.temperature <= 0.0 { best } else { self.draw(logits) };
        let floor = logits[best as usize] + UNLIKELY;
        let others =
            || top_k(logits, TOP_K).into_iter().filter(move |(token, logit)| *token != picked && *logit > floor);
        let token =
            if admits(picked) { picked } else { others().map(|(token, _)| token).find(|token| admits(*token))? };
        Some((token, logits[token as usize] - total))
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

/// The logarithm of the sum of the exponentials of `logits`, whose highest is `best`. What lies far below it adds less
/// than a float can hold, and is most of a vocabulary.
fn log_sum(logits: &[f32], best: f32) -> f32 {
    const NOTHING: f32 = -17.0;
    let terms = logits.iter().map(|logit| logit - best).filter(|below| *below > NOTHING);
    best + terms.map(f32::exp).sum::<f32>().ln()
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
        let interrupt = Interrupt::default();
        Sampler::new(&GenerateParams { max_tokens: 1, temperature, seed, interrupt, admits: None })
    }

    fn pick(sampler: &mut Sampler, logits: &[f32]) -> Token {
        sampler.pick(logits, &mut |_| true).unwrap().0
    }

    #[test]
    fn greedy_takes_the_highest_logit_and_never_nan() {
        assert_eq!(pick(&mut sampler(0.0, 1), &[0.5, f32::NAN, 3.0, 2.9]), 2);
        assert_eq!(pick(&mut sampler(0.0, 1), &[f32::NAN, -1.0, -2.0]), 1);
    }

    #[test]
    fn token_that_is_not_admitted_gives_way_to_the_likeliest_that_is() {
        let logits = [1.0, 3.0, 2.0, f32::NAN, -9.0];
        for temperature in [0.0, 0.8] {
            let mut sampler = sampler(temperature, 1);
            assert_eq!(sampler.pick(&logits, &mut |token| token == 0).unwrap().0, 0);
            assert!(sampler.pick(&logits, &mut |token| token == 4).is_none(), "too unlikely");
            assert!(sampler.pick(&logits, &mut |_| false).is_none());
        }
        assert_eq!(sampler(0.0, 1).pick(&logits, &mut |token| token != 1).unwrap().0, 2);
    }

    #[test]
    fn log_probability_is_that_of_the_token_itself() {
        // exp(2) / (exp(0) + exp(2) + exp(1)) = 0.665
        let (_, chance) = sampler(0.0, 1).pick(&[0.0, 2.0, f32::NAN, 1.0], &mut |_| true).unwrap();
        assert!((chance.exp() - 0.665).abs() < 0.001, "{chance}");
        let (_, chance) = sampler(0.0, 1).pick(&[0.0, 2.0, 1.0], &mut |token| token == 0).unwrap();
        assert!((chance.exp() - 0.090).abs() < 0.001, "{chance}");
    }

    #[test]
    fn same_seed_draws_the_same_tokens_and_follows_the_distribution() {
        let logits = [0.0, 2.0, f32::NAN, 1.0];
        let draws = |seed| {
            let mut sampler = sampler(1.0, seed);
            (0..4000).map(|_| pick(&mut sampler, &logits)).collect::<Vec<_>>()
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        // As above.
        let share = draws(7).iter().filter(|&&token| token == 1).count() as f64 / 4000.0;
        assert!((share - 0.665).abs() < 0.03, "token 1 was drawn {share} of the time");
        assert!(!draws(7).contains(&2));
    }
}
