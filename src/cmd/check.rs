//! `cmdai check`: rates commands without running them, one for a person or many as JSON lines.

use std::ffi::OsStr;
use std::io::{BufRead, Read, Write};
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::cli::CheckArgs;
use crate::config;
use crate::error::{Context, Error, Result};
use crate::request::Shell;
use crate::safety::{Assessment, Finding, Risk, assess};

/// Most bytes read for one command: what is longer than the rater reads is rated caution anyway.
const MAX_INPUT: u64 = 1024 * 1024;

/// One row asked.
#[derive(Deserialize)]
struct Row {
    id: serde_json::Value,
    command: String,
    shell: Option<Shell>,
}

/// One row answered.
#[derive(Serialize)]
struct Answer {
    id: serde_json::Value,
    risk: Risk,
    findings: Vec<Finding>,
}

/// Rates the command in `args` or on standard input.
pub fn run(args: &CheckArgs) -> Result<ExitCode> {
    let shell = args.shell.unwrap_or_else(login_shell);
    if args.jsonl {
        let worst = rows(shell, &mut std::io::stdin().lock(), &mut std::io::stdout().lock())?;
        return Ok(exit_code(args, worst));
    }
    let command = command(args.command.as_deref())?;
    let assessment = assess(&command, shell);
    super::print(&report(&assessment))?;
    Ok(exit_code(args, assessment.risk))
}

/// The shell that is rated for when none is named.
fn login_shell() -> Shell {
    config::login_shell().unwrap_or(Shell::Bash)
}

fn exit_code(args: &CheckArgs, risk: Risk) -> ExitCode {
    match (args.exit_code, risk) {
        (false, _) | (true, Risk::Safe) => ExitCode::SUCCESS,
        (true, Risk::Caution) => ExitCode::from(10),
        (true, Risk::Dangerous) => ExitCode::from(20),
    }
}

/// The command from the arguments, or else from standard input.
fn command(word: Option<&OsStr>) -> Result<String> {
    let bytes = match word {
        Some(word) => word.as_encoded_bytes().to_vec(),
        None => {
            let mut bytes = Vec::new();
            let input = std::io::stdin().lock();
            input.take(MAX_INPUT).read_to_end(&mut bytes).context(|| "could not read the command from stdin")?;
            bytes
        }
    };
    let text = String::from_utf8(bytes).map_err(|_| Error::usage("the command is not UTF-8 text"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(
            Error::usage("no command to rate").hint("give it as one word or on stdin: cmdai check 'rm -rf build'")
        );
    }
    Ok(text.to_owned())
}

fn report(assessment: &Assessment) -> String {
    let mut text = format!("{}\n", assessment.risk.word());
    for Finding { rule, risk, reason, .. } in &assessment.findings {
        text.push_str(&format!("{}: {reason} [{rule}]\n", risk.word()));
    }
    text
}

/// Answers every row; returns the worst level.
fn rows(default: Shell, input: &mut impl BufRead, out: &mut impl Write) -> Result<Risk> {
    let mut worst = Risk::Safe;
    super::rows::answer(input, out, |row: Row| {
        let Assessment { risk, findings, .. } = assess(&row.command, row.shell.unwrap_or(default));
        worst = worst.max(risk);
        Answer { id: row.id, risk, findings }
    })?;
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_answered_with_its_id() {
        let asked = "{\"id\":7,\"command\":\"ls\",\"shell\":\"bash\"}\n\n{\"id\":\"b\",\"command\":\"rm -rf ~\"}\n";
        let mut out = Vec::new();
        let worst = rows(Shell::Bash, &mut asked.as_bytes(), &mut out).unwrap();
        let answers: Vec<serde_json::Value> =
            out.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect();
        assert_eq!(worst, Risk::Dangerous);
        assert_eq!((&answers[0]["id"], &answers[0]["risk"]), (&7.into(), &"safe".into()));
        assert_eq!((&answers[1]["id"], &answers[1]["risk"]), (&"b".into(), &"dangerous".into()));
        assert_eq!(answers[1]["findings"][0]["rule"], "delete-home");
    }

    #[test]
    fn the_report_names_level_reason_and_rule() {
        let text = report(&assess("rm -rf ~", Shell::Bash));
        assert_eq!(text, "dangerous\ndangerous: deletes everything under your home directory [delete-home]\n");
    }
}
