//! Requests like the one at hand, with the commands that answer them: a small model that is shown one does better.
//!
//! The bank is ours: everyday requests in people's own words. It is searched by the cosine of weighted words (tf-idf as in
//! Salton and Buckley, 1988), so that a request that says more than the one at hand counts for less, too. Names of
//! files, numbers and quoted text say nothing of the task and do not count.

use std::{collections::HashMap, sync::LazyLock};

/// Shown when it is as near as this: 1 is the same words, 0 none in common.
const LIKENESS: f32 = 0.5;

/// A request of one word or two is as near as that by one in common; only this near it need not be two.
const VERY_LIKE: f32 = 0.9;

/// Most that are shown, and so computed before the answer: about 35 tokens each.
const MOST: usize = 2;

/// A request and the command that answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example {
    pub words: &'static str,
    pub command: &'static str,
}

/// How a model that was shown it says that no command does what is asked.
pub const REFUSAL: &str = "# no command";

/// Shown where nothing is near enough: perhaps no command does what is asked. One that a command does is among them.
pub const NO_COMMAND: [Example; 4] = [
    Example { words: "who painted the mona lisa", command: REFUSAL },
    Example { words: "make it better", command: REFUSAL },
    Example { words: "is python3 installed", command: "command -v python3" },
    Example { words: "good evening", command: REFUSAL },
];

/// The examples that cmdai comes with.
static BANK: LazyLock<Bank> = LazyLock::new(|| Bank::new(include_str!("bank.tsv")));

/// The examples nearest to `words`, the nearest last, of those whose command is `usable` here.
pub fn like(words: &str, usable: impl Fn(&str) -> bool) -> Vec<Example> {
    BANK.like(words, usable)
}

/// What only GNU's or Linux's tools take, of what is in the bank.
const OF_GNU: [&str; 14] = [
    " --",
    "-printf",
    "date -d",
    "date -u",
    "sed -i",
    "sed -z",
    "stat -c",
    "grep -P",
    "grep -oP",
    "/proc/",
    "xargs -r",
    "head -n -",
    "ps -e",
    "find -",
];

/// Whether `command`, one of the bank, is likely to fail where the tools are not GNU's.
pub fn needs_gnu(command: &str) -> bool {
    OF_GNU.iter().any(|sign| command.contains(sign))
}

/// Examples with an index of their words.
struct Bank {
    examples: Vec<Example>,
    terms: HashMap<String, Term>,
}

#[derive(Default)]
struct Term {
    /// How much it tells: the logarithm of how seldom it is.
    weight: f32,
    /// The examples that have it, and its share of each.
    places: Vec<(usize, f32)>,
}

impl Bank {
    /// Of lines that hold a request, a tab and a command.
    fn new(lines: &'static str) -> Self {
        let examples: Vec<Example> = lines
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(words, command)| Example { words, command })
            .collect();
        let terms_of: Vec<Vec<String>> = examples.iter().map(|example| terms(example.words)).collect();
        let mut terms: HashMap<String, Term> = HashMap::new();
        for (at, own) in terms_of.iter().enumerate() {
            for term in own {
                terms.entry(term.clone()).or_default().places.push((at, 0.0));
            }
        }
        for (name, term) in &mut terms {
            term.weight = weight(name, term.places.len(), examples.len());
        }
        let lengths: Vec<f32> =
            terms_of.iter().map(|own| own.iter().map(|name| terms[name].weight.powi(2)).sum::<f32>().sqrt()).collect();
        for term in terms.values_mut() {
            for (at, share) in &mut term.places {
                *share = term.weight / lengths[*at];
            }
        }
        Self { examples, terms }
    }

    fn like(&self, words: &str, usable: impl Fn(&str) -> bool) -> Vec<Example> {
        // Of each, how near it is and how many terms it shares.
        let mut scores = vec![(0.0, 0); self.examples.len()];
        let mut length = 0.0;
        for name in terms(words) {
            let term = self.terms.get(&name);
            let weight = term.map_or_else(|| weight(&name, 0, self.examples.len()), |term| term.weight);
            length += weight * weight;
            for (at, share) in term.map_or(&[][..], |term| &term.places) {
                scores[*at].0 += weight * share;
                scores[*at].1 += 1;
            }
        }
        let is_near = |(score, shared): (f32, usize)| {
            let likeness = score / f32::sqrt(length);
            likeness >= VERY_LIKE || (likeness >= LIKENESS && shared > 1)
        };
        let mut found: Vec<(f32, Example)> =
            scores.into_iter().zip(&self.examples).filter(|(s, _)| is_near(*s)).map(|(s, e)| (s.0, *e)).collect();
        found.sort_by(|a, b| b.0.total_cmp(&a.0));
        let shown = found.into_iter().map(|(_, example)| example).filter(|example| usable(example.command)).take(MOST);
        let mut shown: Vec<Example> = shown.collect();
        shown.reverse();
        shown
    }
}

/// How much a term tells that `places` of `all` examples have. What kind of file it is tells half of what a word does.
fn weight(term: &str, places: usize, all: usize) -> f32 {
    let rarity = ((all as f32 + 1.0) / (places as f32 + 0.5)).ln();
    if term.starts_with('.') { rarity / 2.0 } else { rarity }
}

/// Words that every request may have.
const EMPTY: &str = "a an the of in on at to for from with and or but all every each me my i is are be it its this that \
                     these those what which how do does can you please as by into than then not no so if them they \
                     there here";

/// What `words` is about: the stems of its words, each once, and the endings of its files' names.
fn terms(words: &str) -> Vec<String> {
    let mut found = Vec::new();
    for word in unquoted(words).split_whitespace() {
        let word = word.trim_matches(|c: char| ".,;:!?()[]{}\"'`".contains(c)).to_lowercase();
        let word = word.strip_suffix("'s").unwrap_or(&word);
        if word.chars().all(|c| c.is_alphabetic() || c == '-') {
            let parts = word.split('-').filter(|part| !part.is_empty());
            found.extend(parts.filter(|part| EMPTY.split(' ').all(|empty| empty != *part)).map(stem));
        } else if let Some((_, ending)) = word.rsplit_once('.').filter(|(_, ending)| is_ending(ending)) {
            found.push(format!(".{ending}"));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// `words` without what stands in quotes.
fn unquoted(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    let mut rest = words;
    while let Some((at, quote)) = rest.char_indices().find(|(_, c)| matches!(c, '\'' | '"' | '`')) {
        let before = &rest[..at];
        let opens = !before.ends_with(char::is_alphanumeric);
        let inside = &rest[at + 1..];
        text.push_str(before);
        rest = match inside.find(quote).filter(|end| opens && *end > 0) {
            Some(end) => &inside[end + 1..],
            None => {
                text.push(quote);
                inside
            }
        };
    }
    text + rest
}

/// Whether it is how names of one kind of file end.
fn is_ending(text: &str) -> bool {
    (1..=6).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// `word` without what English puts behind it: rough, but the same for both sides.
fn stem(word: &str) -> String {
    let mut stem = match word.len() {
        5.. if word.ends_with("ies") => return format!("{}y", &word[..word.len() - 3]),
        6.. if word.ends_with("ing") => &word[..word.len() - 3],
        5.. if word.ends_with("ed") => &word[..word.len() - 2],
        4.. if word.ends_with('s') && !word.ends_with("ss") => &word[..word.len() - 1],
        _ => word,
    };
    if stem.len() > 3 {
        stem = stem.strip_suffix('e').unwrap_or(stem);
    }
    let mut last = stem.chars().rev();
    match (last.next(), last.next()) {
        (Some(a), Some(b)) if a == b && stem.len() > 4 && !matches!(a, 's' | 'l') => {
            stem[..stem.len() - a.len_utf8()].to_owned()
        }
        _ => stem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands(words: &str) -> Vec<&'static str> {
        like(words, |_| true).into_iter().map(|example| example.command).collect()
    }

    #[test]
    fn nearest_example_stands_last_and_names_do_not_count() {
        let bank = Bank::new(
            "count the lines of a.txt\twc -l < a.txt\ncount the lines of code\tcloc src\nprint a.txt\tcat a.txt\n",
        );
        let found: Vec<&str> =
            bank.like("please count lines of 'b c.log'", |_| true).iter().map(|e| e.command).collect();
        assert_eq!(found, ["cloc src", "wc -l < a.txt"]);
        assert_eq!(bank.like("count lines", |command| command.starts_with("cloc")).len(), 1, "not usable here");
        assert!(bank.like("a.txt", |_| true).is_empty() && bank.like("", |_| true).is_empty());
    }

    #[test]
    fn every_example_is_one_request_and_one_line_and_finds_itself() {
        assert!(BANK.examples.len() > 1500, "{}", BANK.examples.len());
        for Example { words, command } in &BANK.examples {
            assert!(!words.is_empty() && !command.is_empty() && !command.contains(['\t', '\n']), "{words}");
        }
        for words in ["list worktrees", "gzip big.csv but keep the original"] {
            let itself = BANK.examples.iter().find(|example| example.words == words).expect(words);
            assert_eq!(commands(words).last(), Some(&itself.command));
        }
    }

    #[test]
    fn words_of_one_stem_are_one_term() {
        assert_eq!(terms("Listing listed lists: list's"), ["list"]);
        assert_eq!(terms("copies copy stopping stop files file"), ["copy", "fil", "stop"]);
        assert_eq!(terms("'x y' don't /srv/app.conf 12 a.b"), [".b", ".conf"]);
    }
}
