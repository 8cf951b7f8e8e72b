//! Text and a vocabulary made from lines: the tokens are those of the model's regular expression and of a merge loop
//! that is too simple to be wrong, they spell the text, and none of them is a special token.
//!
//! An input is lines up to an empty one, then the text. `ab c` is a merge, `!x` a control token, `=x` a token that users
//! defined, `smollm` chooses that model's expression.

#![no_main]

#[allow(dead_code)]
#[path = "../../tests/it/gguf_builder.rs"]
mod gguf_builder;

use std::{collections::HashMap, sync::LazyLock};

use cmdai::model::{
    gguf::GgufFile,
    tokenizer::{Token, Tokenizer},
};
use fancy_regex::Regex;
use gguf_builder::{ARRAY, Builder, I32, STRING, array, numbers, string, strings};

/// As llama.cpp has them (`llama-vocab.cpp`).
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";

static SPLIT_QWEN2: LazyLock<Regex> = LazyLock::new(|| Regex::new(QWEN2).unwrap());
static SPLIT_GPT2: LazyLock<Regex> = LazyLock::new(|| Regex::new(GPT2).unwrap());
/// Text before and between numbers, and each number.
static SPLIT_NUMBERS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\p{N}|\P{N}+").unwrap());
/// Text on which the oracle's Unicode and ours (15.1) agree.
static SETTLED: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\A[\p{age:15.1}&&\P{Cn}]*\z").unwrap());

/// A vocabulary with a token for every byte and the turn's end; what an input adds comes behind these 257.
static BASE: LazyLock<(Builder, Vec<u8>, HashMap<String, Token>)> = LazyLock::new(|| {
    let tokens: Vec<String> = ALPHABET.iter().map(char::to_string).chain(["<|im_end|>".into()]).collect();
    // Without the type and the count that an array begins with.
    let texts = strings(&tokens).split_off(12);
    (Builder::valid(0), texts, tokens.into_iter().zip(0..).collect())
});

/// What an input describes.
#[derive(Default)]
struct Case {
    smollm: bool,
    /// Those behind the base, and by text.
    tokens: Vec<String>,
    ids: HashMap<String, Token>,
    /// Of all.
    kinds: Vec<u32>,
    /// Rank by pair.
    ranks: HashMap<(String, String), usize>,
    merges: Vec<String>,
}

impl Case {
    fn read(lines: &str) -> Self {
        let mut case = Self { kinds: [vec![1; 256], vec![3]].concat(), ..Self::default() };
        lines.lines().for_each(|line| case.line(line));
        case
    }

    fn line(&mut self, line: &str) {
        let spelled = |text: &str| text.chars().filter(|c| ALPHABET.contains(c)).collect::<String>();
        if line == "smollm" {
            self.smollm = true;
        } else if let Some((left, right)) = line.split_once(' ') {
            self.merge(spelled(left), spelled(right));
        } else if let Some(name) = line.strip_prefix('!').filter(|name| name.len() <= 1024) {
            self.token(name.into(), 3);
        } else if let Some(name) = line.strip_prefix('=').filter(|name| name.len() <= 1024) {
            self.token(name.into(), 4);
        }
    }

    /// Adds both parts and what they make, unless one of them is special.
    fn merge(&mut self, left: String, right: String) {
        let joined = format!("{left}{right}");
        if left.is_empty() || right.is_empty() || joined.len() > 1024 {
            return;
        }
        if [&left, &right, &joined].into_iter().all(|text| self.token(text.clone(), 1)) {
            self.ranks.entry((left.clone(), right.clone())).or_insert(self.merges.len());
            self.merges.push(format!("{left} {right}"));
        }
    }

    /// Whether the token is there afterwards and of that kind.
    fn token(&mut self, text: String, kind: u32) -> bool {
        if let Some(known) = self.id(&text) {
            return self.kinds[known as usize] == kind;
        }
        self.ids.insert(text.clone(), self.kinds.len() as Token);
        self.tokens.push(text);
        self.kinds.push(kind);
        true
    }

    fn id(&self, text: &str) -> Option<Token> {
        BASE.2.get(text).or_else(|| self.ids.get(text)).copied()
    }

    fn tokenizer(&self) -> Option<Tokenizer> {
        let (mut builder, base) = (BASE.0.clone(), &BASE.1);
        let texts = [base, &strings(&self.tokens)[12..]].concat();
        builder.set("tokenizer.ggml.tokens", ARRAY, array(STRING, self.kinds.len() as u64, &texts));
        builder.set("tokenizer.ggml.token_type", ARRAY, numbers(I32, self.kinds.iter().copied()));
        builder.set("tokenizer.ggml.merges", ARRAY, strings(&self.merges));
        builder.set("tokenizer.ggml.pre", STRING, string(if self.smollm { "smollm" } else { "qwen2" }));
        builder.tensor("token_embd.weight").dims[1] = self.kinds.len() as u64;
        let file = GgufFile::from_bytes("x.gguf", builder.bytes()).expect("the file is valid");
        // A special token that text could spell is refused, and rightly.
        Tokenizer::from_gguf(&file).ok()
    }

    /// The tokens of `text` by the book.
    fn encode(&self, text: &str) -> Vec<Token> {
        self.words(text).iter().flat_map(|word| self.encode_word(word)).collect()
    }

    fn words<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let cut = |regex: &Regex, text: &'t str| -> Vec<&'t str> {
            regex.find_iter(text).map(|found| found.expect("no limit is met").as_str()).collect()
        };
        if !self.smollm {
            return cut(&SPLIT_QWEN2, text);
        }
        cut(&SPLIT_NUMBERS, text).into_iter().flat_map(|part| cut(&SPLIT_GPT2, part)).collect()
    }

    fn encode_word(&self, word: &str) -> Vec<Token> {
        let mut parts: Vec<String> = word.bytes().map(|byte| letter(byte).to_string()).collect();
        loop {
            let rank = |pair: &[String]| self.ranks.get(&(pair[0].clone(), pair[1].clone())).copied();
            let pairs = parts.windows(2).enumerate().filter_map(|(at, pair)| Some((rank(pair)?, at)));
            let Some((_, at)) = pairs.min() else { break };
            let right = parts.remove(at + 1);
            parts[at].push_str(&right);
        }
        parts.iter().map(|part| self.id(part).expect("each merge makes a token")).collect()
    }
}

/// GPT-2's character of each byte.
static ALPHABET: LazyLock<Vec<char>> = LazyLock::new(|| {
    let printable = |byte: &u8| matches!(byte, 0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff);
    let mut shifted = ('\u{100}'..).take(68);
    (0..=255).map(|byte| if printable(&byte) { byte.into() } else { shifted.next().expect("68 of them") }).collect()
});

fn letter(byte: u8) -> char {
    ALPHABET[usize::from(byte)]
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let input = String::from_utf8_lossy(data);
    let (lines, text) = input.split_once("\n\n").unwrap_or(("", &input));
    let case = Case::read(lines);
    let Some(tokenizer) = case.tokenizer() else { return };
    let mut tokens = Vec::new();
    tokenizer.encode(text, &mut tokens);
    assert!(tokens.iter().all(|&token| case.kinds[token as usize] == 1), "text became a special token: {tokens:?}");
    let spelled: Vec<u8> = tokens.iter().flat_map(|&token| tokenizer.piece(token).expect("it is there")).collect();
    assert_eq!(spelled, text.as_bytes());
    // The book's loop takes time with the square of a word's length.
    if text.len() <= 512 && SETTLED.is_match(text).expect("no limit is met") {
        assert_eq!(tokens, case.encode(text), "{text:?}");
    }
});
