//! Reads an answer as it arrives: events, one a line, or one JSON document from a server that does not stream.
//!
//! Knows no connection. Whatever the server does, no more than [`MAX_BODY`] is taken and no more than about
//! [`MAX_TEXT`] is passed on; its own idea of how many tokens it may send is not relied on.

use std::{mem, ops::ControlFlow};

use reqwest::{Response, header::CONTENT_TYPE};
use serde::Deserialize;

use super::fault::Fault;

/// Most bytes of one answer: 160 tokens, each in an event of a few hundred bytes, are a tenth of it.
const MAX_BODY: usize = 1 << 20;

/// Most text of one answer; the longest command that is shown has 2 KiB.
const MAX_TEXT: usize = 8 << 10;

/// What has come so far.
#[derive(Default)]
pub(super) struct Answer {
    /// All of it is one document.
    whole: bool,
    /// What came since the last line's end.
    line: Vec<u8>,
    taken: usize,
    pub text: String,
    /// Of which the text came; about as many as its tokens.
    pub pieces: usize,
    /// The server ended the text early.
    pub cut: bool,
    /// It is of the right kind: choices have come.
    chat: bool,
    reasoned: bool,
    ended: bool,
}

#[derive(Deserialize)]
struct Event {
    choices: Option<Vec<Choice>>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    /// Of an event.
    delta: Option<Message>,
    /// Of a whole answer.
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Default, Deserialize)]
struct Message {
    content: Option<String>,
    /// The two names in use for what a model says to itself.
    reasoning_content: Option<String>,
    reasoning: Option<String>,
}

type OnText<'a> = &'a mut dyn FnMut(&str) -> ControlFlow<()>;

impl Answer {
    /// # Errors
    /// The head says already that no answer will follow.
    pub(super) fn new(response: &Response) -> Result<Self, Fault> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        match kind.starts_with("text/html") {
            true => Err(Fault::NoChat("it sent a web page")),
            false => Ok(Self { whole: kind.starts_with("application/json"), ..Self::default() }),
        }
    }

    /// Takes what came; breaks where no more is wanted.
    pub(super) fn take(&mut self, bytes: &[u8], on_text: OnText<'_>) -> Result<ControlFlow<()>, Fault> {
        self.taken += bytes.len();
        if self.taken > MAX_BODY {
            return Err(Fault::Long(MAX_BODY));
        }
        for part in bytes.split_inclusive(|&byte| byte == b'\n') {
            self.line.extend_from_slice(part);
            if part.ends_with(b"\n") && !self.whole {
                let line = mem::take(&mut self.line);
                if self.take_line(line.trim_ascii(), on_text)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Judges what came, once no more will.
    pub(super) fn end(&mut self, on_text: OnText<'_>) -> Result<(), Fault> {
        if self.whole {
            let document = mem::take(&mut self.line);
            let _ = self.take_event(&document, on_text)?;
            self.ended = true;
        }
        if !self.chat {
            return Err(Fault::NoChat("no answer is in what it sent"));
        }
        if self.reasoned && self.text.trim().is_empty() {
            return Err(Fault::Reasons);
        }
        if self.ended { Ok(()) } else { Err(Fault::Broken("it ends too early".into())) }
    }

    /// A line with data; what else a stream of events may hold (comments, names) says nothing here.
    fn take_line(&mut self, line: &[u8], on_text: OnText<'_>) -> Result<ControlFlow<()>, Fault> {
        if let Some(error) = line.strip_prefix(b"error:") {
            return Err(Fault::Failed(error.to_vec()));
        }
        match line.strip_prefix(b"data:").map(<[u8]>::trim_ascii) {
            None | Some(b"") => Ok(ControlFlow::Continue(())),
            Some(b"[DONE]") => Ok(self.done()),
            Some(event) => self.take_event(event, on_text),
        }
    }

    fn take_event(&mut self, event: &[u8], on_text: OnText<'_>) -> Result<ControlFlow<()>, Fault> {
        let parsed: Event = serde_json::from_slice(event).map_err(|_| Fault::NoChat("it sent other than JSON"))?;
        if parsed.error.is_some() {
            return Err(Fault::Failed(event.to_vec()));
        }
        self.chat |= parsed.choices.is_some();
        let Some(choice) = parsed.choices.and_then(|choices| choices.into_iter().next()) else {
            return Ok(ControlFlow::Continue(()));
        };
        if self.take_message(choice.delta.or(choice.message).unwrap_or_default(), on_text)?.is_break() {
            return Ok(self.done());
        }
        let Some(reason) = choice.finish_reason else { return Ok(ControlFlow::Continue(())) };
        self.cut = matches!(reason.as_str(), "length" | "content_filter");
        Ok(self.done())
    }

    fn take_message(&mut self, message: Message, on_text: OnText<'_>) -> Result<ControlFlow<()>, Fault> {
        self.reasoned |= [message.reasoning_content, message.reasoning].iter().flatten().any(|text| !text.is_empty());
        let Some(text) = message.content.filter(|text| !text.is_empty()) else {
            return Ok(ControlFlow::Continue(()));
        };
        self.pieces += 1;
        self.text.push_str(&text);
        if self.text.trim_start().starts_with("<think>") {
            return Err(Fault::Reasons);
        }
        let go_on = on_text(&text);
        if go_on.is_continue() && self.text.len() > MAX_TEXT {
            self.cut = true;
            return Ok(ControlFlow::Break(()));
        }
        Ok(go_on)
    }

    fn done(&mut self) -> ControlFlow<()> {
        self.ended = true;
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of an answer that comes in blocks of this size.
    fn text(bytes: &[u8], block: usize) -> String {
        let mut answer = Answer::default();
        let mut text = String::new();
        let mut on_text = |piece: &str| {
            text.push_str(piece);
            ControlFlow::Continue(())
        };
        for block in bytes.chunks(block) {
            if answer.take(block, &mut on_text).unwrap().is_break() {
                break;
            }
        }
        answer.end(&mut on_text).unwrap();
        assert_eq!(answer.text, text);
        text
    }

    #[test]
    fn text_does_not_depend_on_how_the_network_cuts_it() {
        let bytes = "data: {\"choices\":[{\"delta\":{\"content\":\"é \"}}]}\r\n\r\n\
            data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83c\\udf89\"},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        for block in [1, 2, 3, 7, 50, 1000] {
            assert_eq!(text(bytes.as_bytes(), block), "é 🎉");
        }
    }
}
