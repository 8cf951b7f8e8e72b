//! Byte-pair merges: the table of ranks, and the loop that applies the lowest rank first.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::Token;
use crate::model::gguf::StringArray;

use super::{
    alphabet::Alphabet,
    vocabulary::{Kind, Vocabulary},
};

const MAX_MERGES: usize = 1 << 19;

/// The ranks of all merges. A merge is known by the token that it makes and where it cuts that token's text, so that
/// one look-up of the joined text answers for the pair.
pub(super) struct Merges {
    /// By token: the first merge that makes it.
    first: Vec<Merge>,
    /// Other merges of tokens that have several, sorted; none in the models in use.
    others: Vec<(Token, Merge)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Merge {
    left: u32,
    rank: u32,
}

/// Marks a token that no merge makes: no left part is empty.
const NONE: Merge = Merge { left: 0, rank: u32::MAX };

impl Merges {
    pub(super) fn new(pairs: StringArray<'_>, vocabulary: &Vocabulary) -> Result<Self, String> {
        if pairs.len() > MAX_MERGES {
            return Err(format!("{} merges (at most {MAX_MERGES})", pairs.len()));
        }
        let mut merges = Self { first: vec![NONE; vocabulary.len()], others: Vec::new() };
        let mut made = None;
        for (rank, pair) in pairs.enumerate() {
            let token = merges.add(rank as u32, pair, vocabulary, made)?;
            made = Some(token);
        }
        merges.others.sort_unstable();
        Ok(merges)
    }

    /// Most vocabularies list the tokens in the order of their merges, so the one after the last is tried first.
    fn add(&mut self, rank: u32, pair: &[u8], vocabulary: &Vocabulary, last: Option<Token>) -> Result<Token, String> {
        let space = pair.iter().skip(1).position(|&byte| byte == b' ').map(|at| at + 1);
        let (left, right) = space.map(|at| (&pair[..at], &pair[at + 1..])).ok_or_else(|| no_pair(rank))?;
        let guess = last
            .map(|last| last + 1)
            .filter(|&next| vocabulary.text(next).is_some_and(|text| joins(text, left, right)));
        let token = guess.or_else(|| vocabulary.find(&[left, right].concat()));
        let token = token.filter(|_| !right.is_empty()).ok_or_else(|| format!("merge {rank} makes no token"))?;
        if vocabulary.kind(token) != Kind::Normal {
            return Err(format!("merge {rank} makes token {token}, which is not plain text"));
        }
        self.insert(token, Merge { left: left.len() as u32, rank });
        Ok(token)
    }

    fn insert(&mut self, token: Token, merge: Merge) {
        match &mut self.first[token as usize] {
            first if *first == NONE => *first = merge,
            _ => self.others.push((token, merge)),
        }
    }

    /// The rank of the merge that makes `token` out of a left part of that many bytes and the rest.
    fn rank(&self, token: Token, left: u32) -> Option<u32> {
        let first = self.first[token as usize];
        if first.left == left {
            return Some(first.rank);
        }
        let other = self.others.partition_point(|other| *other < (token, Merge { left, rank: 0 }));
        self.others.get(other).filter(|other| other.0 == token && other.1.left == left).map(|other| other.1.rank)
    }

    /// A loop over words that shares its buffers between them.
    pub(super) fn merger<'t>(&'t self, vocabulary: &'t Vocabulary) -> Merger<'t> {
        Merger { merges: self, vocabulary, spelled: Vec::new(), symbols: Vec::new(), queue: BinaryHeap::new() }
    }
}

fn no_pair(rank: u32) -> String {
    format!("merge {rank} is not a pair")
}

fn joins(text: &[u8], left: &[u8], right: &[u8]) -> bool {
    text.len() == left.len() + right.len() && text.starts_with(left) && text.ends_with(right)
}

pub(super) struct Merger<'t> {
    merges: &'t Merges,
    vocabulary: &'t Vocabulary,
    spelled: Vec<u8>,
    symbols: Vec<Symbol>,
    queue: BinaryHeap<Reverse<Candidate>>,
}

/// A part of the word, linked to its neighbours; of length 0 once it is merged into the one on its left.
struct Symbol {
    start: usize,
    length: usize,
    previous: Option<usize>,
    next: Option<usize>,
    token: Token,
}

/// Two neighbours that a merge joins. Ordered as llama.cpp does it: lowest rank first, then from the left.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    rank: u32,
    left: usize,
    right: usize,
    length: usize,
    token: Token,
}

impl Merger<'_> {
    /// Appends the tokens of one word. Each merge adds at most two candidates, so n bytes take n log n steps.
    pub(super) fn encode(&mut self, word: &[u8], alphabet: &Alphabet, out: &mut Vec<Token>) {
        self.spell(word, alphabet);
        for left in 0..self.symbols.len().saturating_sub(1) {
            self.consider(left, left + 1);
        }
        while let Some(Reverse(candidate)) = self.queue.pop() {
            self.merge(candidate);
        }
        out.extend(self.symbols.iter().filter(|symbol| symbol.length > 0).map(|symbol| symbol.token));
    }

    fn spell(&mut self, word: &[u8], alphabet: &Alphabet) {
        self.symbols.clear();
        let symbols = &mut self.symbols;
        let mut start = 0;
        alphabet.spell(word, &mut self.spelled, |token, length| {
            let index = symbols.len();
            symbols.push(Symbol { start, length, previous: index.checked_sub(1), next: Some(index + 1), token });
            start += length;
        });
        if let Some(last) = symbols.last_mut() {
            last.next = None;
        }
    }

    fn consider(&mut self, left: usize, right: usize) {
        let (first, second) = (&self.symbols[left], &self.symbols[right]);
        let length = first.length + second.length;
        let Some(token) = self.vocabulary.find(&self.spelled[first.start..first.start + length]) else { return };
        if let Some(rank) = self.merges.rank(token, first.length as u32) {
            self.queue.push(Reverse(Candidate { rank, left, right, length, token }));
        }
    }

    fn merge(&mut self, candidate: Candidate) {
        let Candidate { left, right, length, token, .. } = candidate;
        let (first, second) = (&self.symbols[left], &self.symbols[right]);
        // A part that has changed since has another length, or none.
        if first.length == 0 || second.length == 0 || first.length + second.length != length {
            return;
        }
        let (previous, next) = (first.previous, second.next);
        self.symbols[right].length = 0;
        self.symbols[left] = Symbol { length, next, token, ..self.symbols[left] };
        if let Some(next) = next {
            self.symbols[next].previous = Some(left);
            self.consider(left, next);
        }
        if let Some(previous) = previous {
            self.consider(previous, left);
        }
    }
}
