//! A model's answer, from its text to what is put on the line: an error, or one printable line that says what the
//! answer said.
//!
//! The first letter of an input is the shell (`b`, `z`, `f`); a capital one says that the answer was cut at the limit.

#![no_main]

use std::ops::ControlFlow;

use cmdai::{
    context::Context,
    engine::{Engine, Fork, GenerateParams, Interrupt, Prompt, Usage},
    error::Result,
    pipeline::{self, Candidates},
    request::{Request, Shell, Suggestion},
    safety,
};

/// An engine that gives its text in pieces of a few characters.
struct Says<'t> {
    text: &'t str,
    cut: bool,
}

impl Engine for Says<'_> {
    fn generate(
        &mut self,
        _prompt: &Prompt,
        _params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage> {
        let mut rest = self.text;
        while !rest.is_empty() {
            let length = rest.char_indices().nth(3).map_or(rest.len(), |(at, _)| at);
            let (piece, after) = rest.split_at(length);
            if on_text(piece).is_break() {
                break;
            }
            rest = after;
        }
        // All of it, and its first half, could be the beginning of another answer.
        let half = self.text.char_indices().nth(self.text.chars().count() / 2).map_or(0, |(at, _)| at);
        let fork = |text: &str| Fork { text: text.to_owned(), likelihood: -1.0, gap: 1.0 };
        let forks = vec![fork(self.text), fork(&self.text[..half])];
        Ok(Usage { cut: self.cut && rest.is_empty(), likelihood: Some(-1.0), forks, ..Usage::default() })
    }
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Some((&first, text)) = data.split_first() else { return };
    let shell = match first.to_ascii_lowercase() {
        b'z' => Shell::Zsh,
        b'f' => Shell::Fish,
        _ => Shell::Bash,
    };
    let text = String::from_utf8_lossy(text);
    let mut engine = Says { text: &text, cut: first.is_ascii_uppercase() };
    let request = pipeline::request("x", Context::of(shell), 1).expect("a good request");
    let (mut candidates, mut shown) = (Candidates::default(), Vec::new());
    let mut on_text = |text: &str| shown.push(text.to_owned());
    let outcome = pipeline::suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut on_text);
    for text in &shown {
        assert!(safety::printable(text).is_ok() && !text.contains('\n'), "drawn: {text:?}");
    }
    if outcome.is_err() {
        return;
    }
    let more = Request { alternatives: 3, ..request };
    pipeline::suggest(&mut engine, &more, &mut candidates, &Interrupt::default(), &mut |_| {}).expect("one is there");
    for Suggestion { command, .. } in candidates.best(3) {
        assert!(safety::printable(command).is_ok() && !command.contains('\n'), "{command:?}");
        assert!(!command.is_empty() && command.trim() == command && !command.starts_with(['#', '-']), "{command:?}");
    }
    let suggestion = &candidates.best(1)[0];
    let command = suggestion.command.as_str();
    match suggestion.slot {
        Some(at) => assert_eq!(command.chars().nth(at), Some('<'), "{command:?}"),
        None => {
            // Lines are joined by a space or a semicolon, and the backslash that joins them goes.
            let bare = |text: &str| text.replace(|c: char| c.is_whitespace() || matches!(c, ';' | '\\'), "");
            assert!(bare(&text).contains(&bare(command)), "{command:?} is not in the answer {text:?}");
            assert!(shown.iter().all(|seen| command.starts_with(seen.as_str())), "{command:?} after {shown:?}");
        }
    }
});
