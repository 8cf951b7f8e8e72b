//! What is said of a suggestion's risk: the rater's word and reason, and what the command would reach now. Counted here,
//! in the person's own working directory, and not by the server.

use serde_json::{Value, json};

use super::note;
use crate::{
    blast_radius::{self, BlastRadius},
    config,
    request::{Suggestion, Timing},
    safety::{Assessment, Risk},
};

/// Counts what `assessment` says that its command touches; `of` counts share the time there is.
pub(super) fn measure(assessment: &Assessment, of: usize) -> BlastRadius {
    if assessment.touches.is_empty() {
        return BlastRadius::default();
    }
    BlastRadius::measure(&assessment.touches, config::home(), blast_radius::LIMIT / of.max(1) as u32)
}

/// The risk word, with the worst reason where there is one and the numbers where something is to be lost:
/// `caution: deletes a directory of the project (1,284 files, 3.1 GB)`.
pub(super) fn risk_line(assessment: &Assessment, radius: &BlastRadius) -> String {
    let worst = assessment.findings.iter().find(|finding| finding.risk == assessment.risk);
    let reason = worst.filter(|_| assessment.risk > Risk::Safe).map(|finding| finding.reason.as_str());
    let word = assessment.risk.word();
    match (reason, radius.behind(reason.unwrap_or_default())) {
        (Some(reason), Some(numbers)) => format!("{word}: {reason} ({numbers})"),
        (Some(reason), None) => format!("{word}: {reason}"),
        (None, Some(numbers)) => format!("{word}: {numbers}"),
        (None, None) => word.to_owned(),
    }
}

/// Below this a suggestion is more likely wrong than right.
const DOUBTFUL: f32 = 0.5;

/// What stands beside a suggestion: its risk, and that the model is not sure of it where it is not.
pub(super) fn beside(suggestion: &Suggestion, radius: &BlastRadius) -> String {
    let line = risk_line(&suggestion.assessment, radius);
    match suggestion.confidence {
        Some(confidence) if confidence < DOUBTFUL => format!("{line}; not sure it is right"),
        _ => line,
    }
}

/// Says on stderr why `suggestion` has its risk, a line for each reason.
pub(super) fn explain(suggestion: &Suggestion) {
    for finding in &suggestion.assessment.findings {
        let (start, end) = finding.span;
        let part = suggestion.command.get(start..end).unwrap_or_default();
        note(&format!("  {}: {} [{}]: {part}", finding.risk.word(), finding.reason, finding.rule));
    }
}

/// All of an answer; `radii` are those of the suggestions.
pub(super) fn to_json(suggestions: &[Suggestion], radii: &[BlastRadius], timing: &Timing) -> String {
    let mut objects = suggestions.iter().zip(radii).map(|(suggestion, radius)| object(suggestion, radius));
    let mut first = objects.next().unwrap_or_default();
    first["alternatives"] = objects.collect();
    first["timing"] = json!(timing);
    format!("{first}\n")
}

fn object(suggestion: &Suggestion, radius: &BlastRadius) -> Value {
    let Suggestion { command, assessment, confidence, .. } = suggestion;
    let mut object = json!({"command": command, "risk": assessment.risk, "findings": assessment.findings});
    if let Some(confidence) = confidence {
        object["confidence"] = json!(confidence);
    }
    if !assessment.touches.is_empty() {
        object["blast_radius"] = json!(radius);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{request::Shell, safety};

    fn suggestion(command: &str) -> Suggestion {
        Suggestion {
            command: command.into(),
            slot: None,
            confidence: None,
            assessment: safety::assess(command, Shell::Bash),
        }
    }

    #[test]
    fn an_alternative_in_json_has_the_shape_of_the_first() {
        let radii = [BlastRadius::default(), BlastRadius::default()];
        let text = to_json(&[suggestion("ls"), suggestion("rm x")], &radii, &Timing::default());
        let object: Value = serde_json::from_str(&text).unwrap();
        let other = &object["alternatives"][0];
        assert_eq!((&other["command"], &other["risk"]), (&json!("rm x"), &json!("caution")));
        assert!(other["findings"].is_array() && other["findings"] != object["findings"], "{text}");
        assert!(other["blast_radius"].is_object() && object["blast_radius"].is_null(), "{text}");
        assert!(!text.contains("touches"), "{text}");
    }

    #[test]
    fn numbers_stand_behind_the_reason_or_alone() {
        let radius = BlastRadius { nothing: true, ..BlastRadius::default() };
        let line = |command: &str, radius: &BlastRadius| risk_line(&suggestion(command).assessment, radius);
        assert_eq!(line("rm -r src", &radius), "caution: deletes a directory of the project (nothing there now)");
        assert_eq!(line("rm -r build", &radius), "safe: nothing there now");
        assert_eq!(line("rm -r build", &BlastRadius::default()), "safe");
        assert_eq!(line("rm -r src", &BlastRadius::default()), "caution: deletes a directory of the project");
    }

    #[test]
    fn doubtful_suggestion_is_said_to_be_one() {
        let none = BlastRadius::default();
        let said = |confidence| beside(&Suggestion { confidence, ..suggestion("ls") }, &none);
        assert_eq!([said(None), said(Some(0.9)), said(Some(0.3))], ["safe", "safe", "safe; not sure it is right"]);
        let object = object(&Suggestion { confidence: Some(0.25), ..suggestion("ls") }, &none);
        assert_eq!(object["confidence"], 0.25);
    }
}
