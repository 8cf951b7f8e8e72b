//! The syntax trees, and how long one may take.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

use tree_sitter::{ParseOptions, Parser, Tree};

use super::{zsh, zsh_forms};
use crate::request::Shell;

/// What the parses of one line may cost, those of the scripts in it included: work is counted, and not time, so that a
/// rating is the same on every machine.
pub(super) struct Effort {
    /// Reports of progress: 8 KiB of text that fits the grammar are 60 to 210, in 1 to 4 ms.
    steps: Cell<usize>,
    /// Bytes read: 512 KiB are about 6 ms. Text that fits the grammar is read twice at most. At an error the grammar of bash
    /// looks for the ends of here-documents and patterns in all that follows, for each word anew: 8 KiB of `)` would be
    /// 32 MiB and 300 ms.
    bytes: Cell<usize>,
}

impl Default for Effort {
    fn default() -> Self {
        Self { steps: Cell::new(220), bytes: Cell::new(512 * 1024) }
    }
}

impl Effort {
    fn is_left(&self) -> bool {
        self.steps.get() > 0 && self.bytes.get() > 0
    }
}

/// Takes `amount` off `left`, as far as there is something.
fn take(left: &Cell<usize>, amount: usize) {
    left.set(left.get().saturating_sub(amount));
}

/// Bytes read at one time: few, so that what is read is near to what was handed out.
const CHUNK: usize = 256;

thread_local! {
    static BASH: RefCell<Option<Parser>> = const { RefCell::new(None) };
    static FISH: RefCell<Option<Parser>> = const { RefCell::new(None) };
}

/// `text` in a form that the grammar for `shell` reads, and whether it is laid out anew, so that its bytes are elsewhere.
pub(super) fn as_read(text: &str, shell: Shell) -> (String, bool) {
    match shell {
        Shell::Zsh => match zsh_forms::expand(text) {
            Some(expanded) => (zsh::as_bash(&expanded), true),
            None => (zsh::as_bash(text), false),
        },
        Shell::Bash => (text.replace("<>", "> "), false),
        Shell::Fish => (format!("{text}\n"), false),
    }
}

/// Parses with this thread's parser; `None` where that takes more than `effort`, or the grammar does not fit the library.
pub(super) fn parse(text: &str, shell: Shell, effort: &Effort) -> Option<Tree> {
    if tangled(text) {
        return None;
    }
    let fish = shell == Shell::Fish;
    let slot = if fish { &FISH } else { &BASH };
    slot.with_borrow_mut(|parser| {
        let parser = parser.get_or_insert_with(Parser::new);
        if parser.language().is_none() {
            let language = if fish { tree_sitter_fish::language() } else { tree_sitter_bash::LANGUAGE.into() };
            parser.set_language(&language).ok()?;
        }
        // The parse of a short script comes to its end before it reports anything.
        take(&effort.steps, 1);
        let mut go_on = |_: &tree_sitter::ParseState| {
            take(&effort.steps, 1);
            if effort.is_left() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let options = ParseOptions::new().progress_callback(&mut go_on);
        let mut chunk = |at: usize, _| {
            let end = (at + CHUNK - at % CHUNK).min(text.len());
            // The lexer takes a character that a chunk cuts for a byte that is none.
            let end = (end..).find(|end| text.is_char_boundary(*end)).unwrap_or(end);
            take(&effort.bytes, end.saturating_sub(at));
            // Without effort left the text ends here, so that what reads on comes to the next report of progress.
            text.as_bytes().get(at..end).filter(|_| effort.is_left()).unwrap_or(&[])
        };
        // A tree of a text that was cut is none.
        let tree = parser.parse_with_options(&mut chunk, None, Some(options)).filter(|_| effort.is_left());
        if tree.is_none() {
            parser.reset();
        }
        tree
    })
}

/// Text on which the grammars need time that grows with the square of its length, with little read: hundreds of pipes
/// (measured: 8 KiB of `a|` 500 ms), or brackets opened and never closed (`'in +(` 40 ms).
fn tangled(text: &str) -> bool {
    let (mut depth, mut deepest, mut pipes) = (0i32, 0, 0);
    for byte in text.bytes() {
        match byte {
            b'(' | b'{' => depth += 1,
            b')' | b'}' => depth = (depth - 1).max(0),
            b'|' => pipes += 1,
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest > 100 || pipes > 200
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(unit: &str) -> String {
        unit.repeat(8 * 1024 / unit.len())
    }

    #[test]
    fn text_that_fits_the_grammar_is_read_twice_at_most_and_whole() {
        let loop_ = "for f in *.txt; do\n  [[ -f \"$f\" ]] && echo \"${f%.txt}\" $(wc -l < \"$f\")\ndone\n";
        let document = format!("cat <<'E'\n{}E\n", fill("print('a', (1, 2))\n"));
        for text in [&fill("a b c "), &fill("ls -l | wc;")[..1000], &fill(loop_), &document] {
            let effort = Effort::default();
            let before = effort.bytes.get();
            assert!(!parse(text, Shell::Bash, &effort).expect(text).root_node().has_error(), "{text:.40}");
            assert!(before - effort.bytes.get() <= 2 * text.len().max(CHUNK), "{text:.40}: {}", effort.bytes.get());
        }
    }

    #[test]
    fn slow_text_is_given_up_for_the_work_it_makes() {
        for unit in [
            ")",
            "(a)",
            "a(b)",
            "*(.)",
            ";*",
            "[[a]]`",
            "$[",
            "((a))",
            "foreach a (b) ",
            "for a (b) ",
            "f() ",
            "case b;",
        ] {
            let effort = Effort::default();
            assert!(parse(&fill(unit), Shell::Bash, &effort).is_none() && !effort.is_left(), "{unit}");
            // What is left is for the whole line: nothing more is parsed.
            assert!(parse(&fill("a b "), Shell::Bash, &effort).is_none(), "{unit}");
        }
    }

    #[test]
    fn wide_letters_are_whole_where_the_text_does_not_fit() {
        for before in 0..4 {
            let text = format!("( {}{}'", "a".repeat(before), "\u{fffd}".repeat(CHUNK));
            let tree = parse(&text, Shell::Bash, &Effort::default()).unwrap();
            let mut left = vec![tree.root_node()];
            while let Some(node) = left.pop() {
                assert!(text.get(node.byte_range()).is_some(), "{before}: {node:?}");
                left.extend((0..node.child_count()).filter_map(|at| node.child(at as u32)));
            }
        }
    }

    #[test]
    fn short_scripts_without_number_are_given_up_too() {
        let effort = Effort::default();
        let parsed = (0..1000).take_while(|_| parse("a `", Shell::Bash, &effort).is_some()).count();
        assert!((100..500).contains(&parsed), "{parsed}");
    }
}
