//! `cmdai widget`: answers one key press of the shell integration.
//!
//! The line comes on stdin. The answer goes to stdout in one write: the status on the first line (0 a command, 1 an error,
//! 2 refused, 3 no model, 4 unprintable, 5 no further candidate, 130 cancelled); for 0 the risk to show on the second,
//! and then the command, or with `--explain` the explanation; otherwise one line that says why. Behind the status 0 may
//! stand the character at which the cursor goes, if that is not the end. The widget assigns the command to the edit
//! buffer; nothing runs it.
//!
//! With `--stream` any number of lines `~TEXT` come before the status, a write each: a preview, all of the answer so
//! far in visible characters, at most 200 of them. A preview is shown and forgotten; it never is the command.

mod wait;

use std::io::{self, Read};

use super::visible;
use crate::cli::WidgetArgs;
use crate::error::{Context, Error, Result};
use crate::request::MAX_REQUEST_BYTES;
use crate::shell;
use wait::Wait;

/// Characters of a preview; the shell cuts it to the terminal's width.
const MAX_PREVIEW: usize = 200;

/// What the pipeline gives back for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To be put on the line as it is, the cursor at a character of it or at its end; the note says the risk.
    Command { command: String, cursor: Option<usize>, note: String },
    /// To be shown, with the risk of what is on the line.
    Explanation { note: String, lines: Vec<String> },
    /// There is no other command for these words.
    NoMore,
}

/// Reads the request, lets `answer` work on it and prints what it says; `answer` may call its second argument with the
/// text so far. SIGINT, SIGTERM, SIGHUP and (where the shell cannot watch for it) Esc end the process at once, whatever
/// `answer` is doing.
///
/// Ends the process itself, at once: what a normal exit would still do is time in which fish takes keys.
pub fn run(args: &WidgetArgs, answer: impl FnOnce(String, &mut dyn FnMut(&str)) -> Result<Answer>) -> ! {
    let wait = Wait::begin(args);
    let mut preview = |text: &str| wait.preview(&preview_line(text));
    let outcome =
        read_request(io::stdin()).and_then(|words| answer(words, &mut preview)).and_then(|answer| match answer {
            Answer::Command { command, cursor, note } => {
                let command = shell::protect_history(&command, args.shell)?;
                Ok(Answer::Command { command, cursor, note })
            }
            answer => Ok(answer),
        });
    let (status, text) = reply(outcome);
    wait.end(&text);
    signal_hook::low_level::exit(status.into())
}

/// The line. What is too long is read to its end all the same, or the shell's writing end would see a broken pipe.
fn read_request(mut input: impl Read) -> Result<String> {
    let mut bytes = Vec::new();
    let limit = MAX_REQUEST_BYTES as u64 + 1;
    input.by_ref().take(limit).read_to_end(&mut bytes).context(|| "could not read the request")?;
    if bytes.len() > MAX_REQUEST_BYTES {
        let _ = io::copy(&mut input, &mut io::sink());
        return Err(Error::usage(format!("the line is longer than {} KiB", MAX_REQUEST_BYTES / 1024))
            .hint("describe the task in a sentence"));
    }
    String::from_utf8(bytes).map_err(|_| Error::usage("the line is not UTF-8"))
}

/// One line that is safe to show, whatever the model has written so far.
fn preview_line(text: &str) -> String {
    let cut = |text: &str| text.chars().take(MAX_PREVIEW).collect::<String>();
    cut(&visible(&cut(text.trim_start())))
}

/// The status and the whole text for stdout.
fn reply(outcome: Result<Answer>) -> (u8, String) {
    match outcome {
        Ok(Answer::Command { command, .. }) if command.trim().is_empty() => {
            reply(Err(Error::NoCommand("the answer was empty".into())))
        }
        Ok(Answer::Command { command, cursor, note }) => {
            let cursor = cursor.map_or_else(String::new, |at| format!(" {at}"));
            (0, format!("0{cursor}\n{}\n{}", visible(&note), command.trim_end_matches('\n')))
        }
        Ok(Answer::Explanation { note, lines }) => (0, format!("0\n{}\n{}", visible(&note), lines.join("\n"))),
        Ok(Answer::NoMore) => (5, "5\nthere is no other suggestion\n".into()),
        Err(error) => {
            let status = status(&error);
            let hint = error.next_step().map(|step| format!("; {step}")).unwrap_or_default();
            (status, format!("{status}\n{}\n", visible(&format!("{error}{hint}"))))
        }
    }
}

fn status(error: &Error) -> u8 {
    match error {
        Error::Usage { .. } | Error::NoCommand(_) => 2,
        Error::NoModel { .. } => 3,
        Error::Unprintable(_) => 4,
        Error::Cancelled => 130,
        Error::Other { .. } => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_that_is_too_long_or_not_text_is_refused() {
        let long = vec![b'x'; MAX_REQUEST_BYTES + 1];
        for bytes in [&b"\xff"[..], &long] {
            assert_eq!(status(&read_request(bytes).unwrap_err()), 2);
        }
        assert!(read_request(&long[1..]).is_ok());
        assert_eq!(read_request(&b" # a\n"[..]).unwrap(), " # a\n");
    }

    #[test]
    fn command_follows_its_note_even_if_it_looks_like_a_status() {
        let answer = |cursor| Answer::Command { command: "0\n1".into(), cursor, note: "safe".into() };
        assert_eq!(reply(Ok(answer(None))), (0, "0\nsafe\n0\n1".into()));
        assert_eq!(reply(Ok(answer(Some(2)))), (0, "0 2\nsafe\n0\n1".into()));
    }

    #[test]
    fn reason_is_one_visible_line_with_its_hint() {
        let error = Error::new("bad\x1b[2J\nname \u{202e}x").hint("run cmdai doctor");
        assert_eq!(reply(Err(error)), (1, "1\nbad\\u{1b}[2J name \\u{202e}x; run cmdai doctor\n".into()));
    }

    #[test]
    fn preview_is_one_short_visible_line() {
        assert_eq!(
            preview_line("\n find .\t-name '\x1b[2J\u{202e}é'\n| wc "),
            r"find . -name '\u{1b}[2J\u{202e}é' | wc"
        );
        assert_eq!(preview_line(&"日\x1b".repeat(MAX_PREVIEW)).chars().count(), MAX_PREVIEW);
    }

    #[test]
    fn every_kind_of_failure_has_its_status() {
        assert_eq!(status(&Error::NoModel { name: "m".into() }), 3);
        assert_eq!(status(&Error::Unprintable("x".into())), 4);
        assert_eq!(status(&Error::NoCommand("x".into())), 2);
        assert_eq!(status(&Error::Cancelled), 130);
    }
}
