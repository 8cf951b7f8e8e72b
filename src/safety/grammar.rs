//! The syntax trees, and how long one may take.

use std::cell::RefCell;
use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, Parser, Tree};

use crate::request::Shell;

/// Reports of progress from one parse before it is given up; 300 are about 5 ms.
const MAX_PARSE_STEPS: usize = 300;

thread_local! {
    static BASH: RefCell<Option<Parser>> = const { RefCell::new(None) };
    static FISH: RefCell<Option<Parser>> = const { RefCell::new(None) };
}

/// Parses with this thread's parser; `None` if the grammar does not fit the library.
pub(super) fn parse(text: &str, shell: Shell) -> Option<Tree> {
    let fish = shell == Shell::Fish;
    let slot = if fish { &FISH } else { &BASH };
    slot.with_borrow_mut(|parser| {
        let parser = parser.get_or_insert_with(Parser::new);
        if parser.language().is_none() {
            let language = if fish { tree_sitter_fish::language() } else { tree_sitter_bash::LANGUAGE.into() };
            parser.set_language(&language).ok()?;
        }
        let mut calls = 0;
        let mut in_time = |_: &tree_sitter::ParseState| {
            calls += 1;
            if calls > MAX_PARSE_STEPS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut in_time);
        let bytes = text.as_bytes();
        let tree = parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or(&[]), None, Some(options));
        if tree.is_none() {
            parser.reset();
        }
        tree
    })
}

/// Text on which the grammars need time that grows with the square of its length: hundreds of pipes or here-documents,
/// or brackets opened and never closed (measured: 8 KiB of `a|` 500 ms, of `x=(` 370 ms, of `<<E` 110 ms).
pub(super) fn tangled(text: &str) -> bool {
    let (mut depth, mut deepest, mut pipes, mut documents) = (0i32, 0, 0, 0);
    let mut before = 0;
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth = (depth - 1).max(0),
            b'|' => pipes += 1,
            b'<' if before == b'<' => documents += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
        before = byte;
    }
    deepest > 100 || pipes > 200 || documents > 24
}
