//! Aliases that the line sets: judged where they are set, and again with what stands behind them where they are used.

use super::walk::{Command, Walker};
use super::word::{Flow, Span, Word};
use crate::request::Shell;

impl Walker {
    /// An alias is judged as the command it stands for.
    pub(super) fn alias(&mut self, command: &Command) -> Option<Flow> {
        let mut operands = command.operands();
        let first = operands.next()?;
        let code = match first.text.split_once('=') {
            Some((_, code)) if command.name == "alias" => Word { text: code.into(), ..first.clone() },
            _ => {
                let rest: Vec<&str> = operands.map(|word| word.text.as_str()).collect();
                Word { text: rest.join(" "), ..first.clone() }
            }
        };
        if command.has("-e --erase --rename -s --save") {
            return None;
        }
        if command.has("-g") && self.shell == Shell::Zsh {
            let name = first.text.split('=').next().unwrap_or("");
            self.globals.insert(name.to_owned(), code.text);
            return Some(Flow::default());
        }
        if !code.text.is_empty() && !code.unseen() {
            self.run_word(&code);
            let name = first.text.split('=').next().unwrap_or("");
            self.aliases.insert(name.to_owned(), code.text);
        }
        Some(Flow::default())
    }

    /// The command that `words` are with the aliases of this line put in, if there is one in them.
    pub(super) fn aliased(&mut self, words: &[Word], stdin: &Flow, span: Span) -> Option<Flow> {
        if words.iter().any(|word| self.globals.contains_key(&word.text)) {
            let text: Vec<&str> = words
                .iter()
                .map(|word| self.globals.get(&word.text).map_or(word.text.as_str(), String::as_str))
                .collect();
            let text = text.join(" ");
            let globals = std::mem::take(&mut self.globals);
            let flow = self.inner(&text, stdin.clone(), span);
            self.globals = globals;
            return Some(flow);
        }
        let (first, rest) = words.split_first()?;
        let text = self.aliases.remove(&first.text)?;
        let mut all: Vec<Word> = text.split_whitespace().flat_map(|part| self.words(part, first.span)).collect();
        all.extend_from_slice(rest);
        let flow = self.call(all, stdin.clone(), span);
        self.aliases.insert(first.text.clone(), text);
        Some(flow)
    }
}
