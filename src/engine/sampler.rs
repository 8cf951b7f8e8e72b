//! Picks the next token from logits: the likeliest one, or the likeliest of those that are admitted.

use super::Token;

/// Tokens that one which is not admitted may give way to: the top of the distribution, as is usual for short code answers.
const TOP_K: usize = 40;

/// A token this far below the best, in natural logarithms, is no answer to the same question: 1 in 1,000.
const UNLIKELY: f32 = -6.9;

/// A token with its log-probability (natural logarithm).
type Likely = (Token, f32);

/// The likeliest next token for `logits`, `(vocabulary,)`, not empty, and the second likeliest. NaN is neither.
pub(super) fn best(logits: &[f32]) -> (Likely, Option<Likely>) {
    let [best, second] = best_two(logits);
    let total = log_sum(logits, logits[best]);
    let likely = |at: usize| (at as Token, logits[at] - total);
    (likely(best), (second != best).then(|| likely(second)))
}

/// The likeliest next token for `logits`, as [`best`] has them, of those that are admitted; none if no likely one is.
pub(super) fn admitted(logits: &[f32], admits: &mut dyn FnMut(Token) -> bool) -> Option<Likely> {
    let (best, _) = best(logits);
    if admits(best.0) {
        return Some(best);
    }
    let likely = |&(_, logit): &Likely| logit > logits[best.0 as usize] + UNLIKELY;
    let mut others = top_k(logits, TOP_K).into_iter().filter(likely);
    let (token, logit) = others.find(|(token, _)| *token != best.0 && admits(*token))?;
    Some((token, best.1 + logit - logits[best.0 as usize]))
}

fn best_two(logits: &[f32]) -> [usize; 2] {
    let [mut best, mut second] = [0; 2];
    for (token, &logit) in logits.iter().enumerate().skip(1) {
        if logit > logits[best] || logits[best].is_nan() {
            (best, second) = (token, best);
        } else if logit > logits[second] || second == best || logits[second].is_nan() {
            second = token;
        }
    }
    if logits[second].is_nan() { [best, best] } else { [best, second] }
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

    #[test]
    fn best_are_the_two_highest_logits_and_never_nan() {
        let tokens = |logits: &[f32]| {
            let (best, second) = best(logits);
            (best.0, second.map(|second| second.0))
        };
        assert_eq!(tokens(&[0.5, f32::NAN, 3.0, 2.9]), (2, Some(3)));
        assert_eq!(tokens(&[2.9, 3.0, f32::NAN]), (1, Some(0)));
        assert_eq!(tokens(&[3.0, 2.9, 2.95]), (0, Some(2)));
        assert_eq!(tokens(&[f32::NAN, -1.0, -2.0]), (1, Some(2)));
        assert_eq!(tokens(&[f32::NAN, -1.0, f32::NAN]), (1, None));
        assert_eq!(tokens(&[1.0]), (0, None));
    }

    #[test]
    fn token_that_is_not_admitted_gives_way_to_the_likeliest_that_is() {
        let logits = [1.0, 3.0, 2.0, f32::NAN, -9.0];
        assert_eq!(admitted(&logits, &mut |token| token == 0).unwrap().0, 0);
        assert_eq!(admitted(&logits, &mut |token| token != 1).unwrap().0, 2);
        assert!(admitted(&logits, &mut |token| token == 4).is_none(), "too unlikely");
        assert!(admitted(&logits, &mut |_| false).is_none());
    }

    #[test]
    fn log_probability_is_that_of_the_token_itself() {
        // exp(2) / (exp(0) + exp(2) + exp(1)) = 0.665
        let ((_, first), second) = best(&[0.0, 2.0, f32::NAN, 1.0]);
        assert!((first.exp() - 0.665).abs() < 0.001, "{first}");
        assert!((second.unwrap().1.exp() - 0.245).abs() < 0.001, "{second:?}");
        let (_, chance) = admitted(&[0.0, 2.0, 1.0], &mut |token| token == 0).unwrap();
        assert!((chance.exp() - 0.090).abs() < 0.001, "{chance}");
    }
}
