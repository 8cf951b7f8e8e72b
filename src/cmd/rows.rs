//! Many of one kind, as JSON lines: a row asked on each line that comes in, a row answered on each that goes out.

use std::io::{BufRead, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::error::{Context, Result};

/// Answers every row of `input` with `answer`, in order and at once; empty lines are left out.
///
/// # Errors
/// A line that is no such row, by its number; `input` cannot be read or `out` not written.
pub(super) fn answer<Asked: DeserializeOwned, Answered: Serialize>(
    input: &mut impl BufRead,
    out: &mut impl Write,
    mut answer: impl FnMut(Asked) -> Answered,
) -> Result<()> {
    for (number, line) in input.lines().enumerate() {
        let line = line.context(|| "could not read rows from stdin")?;
        if line.trim().is_empty() {
            continue;
        }
        let row = serde_json::from_str(&line).context(|| format!("could not read row {}", number + 1))?;
        let text = serde_json::to_string(&answer(row)).context(|| "could not write a row")?;
        writeln!(out, "{text}").and_then(|()| out.flush()).context(|| "could not write a row")?;
    }
    Ok(())
}
