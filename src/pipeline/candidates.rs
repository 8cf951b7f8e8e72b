//! The suggestions for one request, the best first: the model's own answer, a second look where it is not sure, and what it
//! was about to write for who wants more.

use std::mem;

use super::answer::{Asked, Outcome, Which};
use crate::{
    engine::{Engine, Fork, Interrupt},
    error::Result,
    examples,
    request::{Request, Suggestion, Timing},
};

/// Forks of an answer that are followed at once for more of them: the likelier of the commands there comes first.
const FORKS: usize = 3;

/// Draws for each further alternative before giving up on finding a new one.
const DRAWS: usize = 3;

/// How confidence depends on the log-probability of an answer: the logistic function of the first minus the second times
/// ln(1 - it), fitted to which answers were right (docs/measurements.md, suggestion quality).
const CONFIDENCE: (f32, f32) = (4.1, 2.7);

/// The suggestions made so far for one request; with more of them wanted, it goes on from there.
#[derive(Default)]
pub struct Candidates {
    /// The best first.
    found: Vec<Suggestion>,
    /// Where the model's own answer was about to be another, the nearest to it last.
    forks: Vec<Fork>,
    /// Answers by chance that were asked for.
    draws: usize,
    /// More than the best was asked for.
    was_followed: bool,
    /// The nearest examples were shown, where there are any.
    was_shown: bool,
}

/// Adds to `candidates` up to `request.alternatives` different commands, the best first. Where the model is not sure of
/// its answer it gets another look, with the nearest examples before it or, where none is near and no file is named, with
/// some that no command does, and the better answer counts. Shown to a model that is sure, they mislead as often as they
/// help. `on_text` gets the first answer as far as it is written, whenever there is more of it. `interrupt` ends the work.
///
/// # Errors
/// The engine failed, the work was ended, or the best answer is no command that can be shown.
pub fn suggest(
    engine: &mut dyn Engine,
    request: &Request,
    candidates: &mut Candidates,
    interrupt: &Interrupt,
    on_text: &mut dyn FnMut(&str),
) -> Result<Timing> {
    let mut asked = Asked::new(engine, request, interrupt);
    if candidates.found.is_empty() {
        candidates.first(&mut asked, on_text)?;
    }
    let wanted = request.alternatives;
    let mut may_be_more = wanted > 1;
    while may_be_more && (candidates.found.len() < wanted || !candidates.was_followed) {
        may_be_more = candidates.more(&mut asked, wanted)?;
    }
    Ok(asked.timing)
}

impl Candidates {
    /// The best of them, as many as are wanted: there may be one more, which the next who wants it need not wait for.
    pub fn best(&self, wanted: usize) -> &[Suggestion] {
        &self.found[..wanted.min(self.found.len())]
    }

    /// The model's own answer, and where it is not sure of it the better of two.
    fn first(&mut self, asked: &mut Asked, on_text: &mut dyn FnMut(&str)) -> Result<()> {
        let mut first = asked.answer(&[], Which::Best, on_text)?;
        self.forks = mem::take(&mut first.forks);
        self.forks.sort_by(|one, other| other.gap.total_cmp(&one.gap));
        let (better, other) = match self.second(asked, &first)? {
            None => (first, None),
            Some(second) if second.is_better_than(&first) => (second, Some(first)),
            Some(second) => (first, Some(second)),
        };
        // The better answer decides whether there is a command.
        self.take(confident(better)?);
        other.into_iter().for_each(|other| self.add(other));
        Ok(())
    }

    /// What the model answers on a second look, if its `first` answer deserves one and there is something to show it.
    fn second(&mut self, asked: &mut Asked, first: &Outcome) -> Result<Option<Outcome>> {
        if !(first.is_doubtful() && asked.may_look_again()) {
            return Ok(None);
        }
        let nearest = asked.nearest();
        // Who names a file wants something done with it.
        let is_lost = (nearest.is_empty() || first.is_echo()) && !asked.names_a_file();
        self.was_shown = !is_lost;
        let examples = if is_lost { &examples::NO_COMMAND[..] } else { &nearest };
        if examples.is_empty() { Ok(None) } else { asked.answer(examples, Which::Best, &mut |_| {}).map(Some) }
    }

    /// Adds some more, the likelier first: what the model was about to write, and what it writes with the nearest examples.
    /// Whose engine does not tell gets one by chance. Returns whether there may be still more. What comes to nothing is
    /// only a try less.
    fn more(&mut self, asked: &mut Asked, wanted: usize) -> Result<bool> {
        // The answer that lost against the best was not shown yet, and takes its place among those that are new.
        let known = if mem::replace(&mut self.was_followed, true) { self.found.len() } else { 1 };
        let may_draw = self.found[0].confidence.is_none() && self.draws < (wanted - 1) * DRAWS;
        let followed = self.forks.split_off(self.forks.len().saturating_sub(FORKS));
        for fork in followed.iter().rev() {
            self.add(asked.answer(&[], Which::Behind(fork), &mut |_| {})?);
        }
        if !mem::replace(&mut self.was_shown, true) {
            let nearest = asked.nearest();
            if !nearest.is_empty() {
                self.add(asked.answer(&nearest, Which::Best, &mut |_| {})?);
            }
        } else if may_draw {
            self.draws += 1;
            self.add(asked.answer(&[], Which::Draw(self.draws as u64), &mut |_| {})?);
        }
        let confidence = |suggestion: &Suggestion| suggestion.confidence.unwrap_or_default();
        self.found[known..].sort_by(|one, other| confidence(other).total_cmp(&confidence(one)));
        Ok(!self.forks.is_empty() || may_draw)
    }

    fn add(&mut self, outcome: Outcome) {
        if let Ok(suggestion) = confident(outcome) {
            self.take(suggestion);
        }
    }

    fn take(&mut self, suggestion: Suggestion) {
        if self.found.iter().all(|known| spelt(&known.command) != spelt(&suggestion.command)) {
            self.found.push(suggestion);
        }
    }
}

/// `command` as all spell it that mean the same by other spaces or quotes: no quotes around a word that needs none, and of
/// two kinds that do the same, one.
fn spelt(command: &str) -> String {
    let one_kind = if command.contains(['$', '`', '\\', '!']) { command.to_owned() } else { command.replace('"', "'") };
    let bare = |word| str::strip_prefix(word, '\'').and_then(|rest| rest.strip_suffix('\''));
    let is_plain = |word: &&str| word.chars().all(|c| c.is_alphanumeric() || "._/-".contains(c));
    one_kind.split_whitespace().map(|word| bare(word).filter(is_plain).unwrap_or(word)).collect::<Vec<_>>().join(" ")
}

/// The suggestion in `outcome`, with how far it is to be trusted.
fn confident(outcome: Outcome) -> Result<Suggestion> {
    let odds = |sum: f32| CONFIDENCE.0 - CONFIDENCE.1 * (1.0 - sum).ln();
    let confidence = outcome.likelihood.map(|sum| 1.0 / (1.0 + (-odds(sum)).exp()));
    outcome.suggestion.map(|suggestion| Suggestion { confidence, ..suggestion })
}

#[cfg(test)]
pub(super) mod tests {
    use std::{cell::Cell, ops::ControlFlow};

    use super::*;
    use crate::{
        context::Context,
        engine::{GenerateParams, Piece, Prompt, Usage},
        pipeline::request,
        request::Shell,
    };

    /// An engine whose answers are a function of what it is asked.
    struct Fake<F>(F);

    impl<F: FnMut(&Prompt, &GenerateParams) -> (&'static str, Usage)> Engine for Fake<F> {
        fn generate(
            &mut self,
            prompt: &Prompt,
            params: &GenerateParams,
            on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
        ) -> Result<Usage> {
            let (text, usage) = (self.0)(prompt, params);
            let _ = text.split_inclusive(' ').try_for_each(on_text);
            Ok(usage)
        }
    }

    /// One that always answers the same.
    pub(in super::super) fn says(text: &'static str) -> impl Engine {
        Fake(move |_: &Prompt, _: &GenerateParams| (text, Usage::default()))
    }

    /// One that answers one thing by itself and another after examples, each with the log-probability it is given.
    fn doubts(alone: (&'static str, f32), shown: (&'static str, f32), asked: &mut Vec<&'static str>) -> impl Engine {
        Fake(move |prompt: &Prompt, _: &GenerateParams| {
            let has_examples = matches!(&prompt.tail[0], Piece::Text(text) if text.contains('#'));
            let (text, sum) = if has_examples { shown } else { alone };
            asked.push(text);
            (text, Usage { likelihood: Some(sum), ..Usage::default() })
        })
    }

    /// One that would rather write the first of two texts, and heeds what is admitted.
    fn prefers(texts: [&'static str; 2]) -> impl Engine {
        Fake(move |prompt: &Prompt, params: &GenerateParams| {
            let Some(Piece::Text(before)) = prompt.tail.last() else { unreachable!() };
            let admitted = |text: &&str| params.admits.as_ref().is_none_or(|admits| admits(text));
            let mut left = texts.into_iter().map(|text| text.strip_prefix(before.as_str()).unwrap_or(text));
            let found = left.find(admitted);
            let usage = Usage { stuck: found.is_none(), likelihood: Some(0.0), ..Usage::default() };
            (found.unwrap_or_default(), usage)
        })
    }

    fn answer(text: &'static str) -> Result<String> {
        let context = Context::of(Shell::Bash);
        let (request, mut candidates) = (request("x", context, 1).unwrap(), Candidates::default());
        suggest(&mut says(text), &request, &mut candidates, &Interrupt::default(), &mut |_| {})
            .map(|_| candidates.found[0].command.clone())
    }

    #[test]
    fn first_line_of_a_longer_command_is_not_taken_for_the_command() {
        for (text, line) in [
            ("case \"$1\" in\n  start) echo 1 ;;\nesac", "case \"$1\" in start) echo 1 ;; esac"),
            ("for f in *; do\n  wc -l \"$f\"\ndone\nmore", "for f in *; do wc -l \"$f\"; done"),
            ("```bash\nif true; then\n  ls\nfi\n```", "if true; then ls; fi"),
            ("mkcd() {\n  mkdir \"$1\"\n}", "mkcd() { mkdir \"$1\"; }"),
            ("find . \\\n  -name x", "find . -name x"),
            ("\\\n  ls -l", "ls -l"),
            ("ls |\n  wc -l", "ls | wc -l"),
        ] {
            assert_eq!(answer(text).unwrap(), line);
        }
        for text in ["echo 'one\ntwo'", "cat <<E\nx\nE", "if true; then\n# list", "while true; do\n\nls"] {
            let error = answer(text).expect_err(text);
            assert_eq!(error.to_string(), "no command could be made: the answer goes over several lines", "{text:?}");
        }
        for text in [
            "echo $((1<<3))\nIt is 8.",
            "ls\nThis lists.",
            "for f in *; do wc -l \"$f\"; done\n",
            "```bash\nls | wc -l\n```",
            "ls",
        ] {
            assert!(answer(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn further_candidates_go_on_from_those_that_are_there_and_end() {
        const TEXTS: [&str; 5] = ["ls", "ls", "ls -a", "I cannot", "ls -l"];
        let asked = Cell::new(0);
        let mut engine = Fake(|_: &Prompt, params: &GenerateParams| {
            asked.set(asked.get() + 1);
            (TEXTS[params.draw.unwrap_or_default() as usize % TEXTS.len()], Usage::default())
        });
        let mut candidates = Candidates::default();
        let mut made = |alternatives| {
            let request = request("frobnicate", Context::of(Shell::Bash), alternatives).unwrap();
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            (candidates.found.iter().map(|found| found.command.clone()).collect::<Vec<_>>().join(" | "), asked.get())
        };
        assert_eq!(made(1), ("ls".into(), 1));
        assert_eq!(made(2), ("ls | ls -a".into(), 3));
        assert_eq!(made(3), ("ls | ls -a | ls -l".into(), 5));
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10), "nothing new in all its tries");
        assert_eq!(made(4), ("ls | ls -a | ls -l".into(), 10));
    }

    #[test]
    fn further_candidates_are_what_was_nearly_written_the_likelier_first() {
        let fork = |text: &str, likelihood, gap| Fork { text: text.into(), likelihood, gap };
        let forks = [fork("du", -2.0, 1.5), fork("ls -a", -2.5, 0.1), fork("ls\n", -1.5, 0.5), fork("far", -9.0, 3.0)];
        let mut begun = Vec::new();
        let mut engine = Fake(|prompt: &Prompt, _: &GenerateParams| {
            let Some(Piece::Text(before)) = prompt.tail.last() else { unreachable!() };
            let (text, likelihood, forks) = match before.as_str() {
                "du" => (" -sh", -0.1, vec![fork("never", -0.1, 0.1)]),
                "ls -a" => ("h", -1.0, Vec::new()),
                "far" => (" away", -0.1, Vec::new()),
                _ => ("ls -l", -1.0, forks.to_vec()),
            };
            begun.push(before.clone());
            (text, Usage { likelihood: Some(likelihood), forks, ..Usage::default() })
        });
        let mut candidates = Candidates::default();
        for alternatives in 1..=9 {
            let request = request("frobnicate", Context::of(Shell::Bash), alternatives).unwrap();
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
        }
        let found: Vec<_> = candidates.found.iter().map(|found| found.command.as_str()).collect();
        assert_eq!(found, ["ls -l", "ls", "du -sh", "ls -ah", "far away"]);
        assert_eq!(begun, [" frobnicate\n", "ls -a", "du", "far"], "the nearest first, and none for what is whole");
        let confidence: Vec<_> = candidates.found[1..4].iter().map(|found| found.confidence.unwrap()).collect();
        assert!(confidence.is_sorted_by(|one, next| one > next), "{confidence:?}");
    }

    #[test]
    fn command_in_other_quotes_or_spaces_is_no_other_command() {
        for (one, other) in [("grep -r \"TODO\" .", "grep  -r TODO ."), ("sed 's/a b/c/' f", "sed \"s/a b/c/\" f")] {
            assert_eq!(spelt(one), spelt(other));
        }
        for (one, other) in [("ls *.py", "ls '*.py'"), ("echo \"$HOME\"", "echo '$HOME'"), ("ls -l", "ls -a")] {
            assert_ne!(spelt(one), spelt(other));
        }
    }

    #[test]
    fn program_that_is_not_here_gives_way_to_one_that_is() {
        let context = Context { path: "/usr/bin:/bin".into(), ..Context::of(Shell::Bash) };
        let request = request("x", context, 1).unwrap();
        let answer = |texts| {
            let (mut candidates, mut shown) = (Candidates::default(), String::new());
            let mut on_text = |text: &str| shown += text;
            suggest(&mut prefers(texts), &request, &mut candidates, &Interrupt::default(), &mut on_text)
                .map(|_| (candidates.found[0].command.clone(), shown))
        };
        let (command, shown) = answer(["echo a | no-such-mail -s b", "echo a | cat -n"]).unwrap();
        assert_eq!(command, "echo a | cat -n");
        assert!(!shown.contains("no-such"), "{shown}");
        let error = answer(["no-such-top", "no-such-htop -d"]).unwrap_err().to_string();
        assert!(error.starts_with("no command could be made: no-such-top is not installed here"), "{error}");
        let unsteered = &mut says("no-such-top");
        let error = suggest(unsteered, &request, &mut Candidates::default(), &Interrupt::default(), &mut |_| {});
        let error = error.unwrap_err().to_string();
        assert!(error.contains("no-such-top is not installed here"), "{error}");
    }

    #[test]
    fn model_that_is_not_sure_looks_at_examples_and_the_likelier_answer_counts() {
        let request = |alternatives| {
            request("count the lines of access.log, number only", Context::of(Shell::Bash), alternatives).unwrap()
        };
        let made = |alone, shown, alternatives| {
            let (mut asked, mut candidates) = (Vec::new(), Candidates::default());
            let (request, interrupt) = (request(alternatives), Interrupt::default());
            let outcome =
                suggest(&mut doubts(alone, shown, &mut asked), &request, &mut candidates, &interrupt, &mut |_| {});
            outcome.map(|_| (candidates.found.iter().map(|found| found.command.clone()).collect(), asked))
        };
        let both = |commands: [&str; 2]| commands.map(str::to_owned).to_vec();
        assert_eq!(made(("a", -0.1), ("b", 0.0), 1).unwrap(), (vec!["a".to_owned()], vec!["a"]), "sure");
        assert_eq!(made(("a", -3.0), ("b", -2.0), 1).unwrap(), (both(["b", "a"]), vec!["a", "b"]));
        assert_eq!(made(("a", -3.0), ("b", -4.0), 2).unwrap(), (both(["a", "b"]), vec!["a", "b"]));
        assert_eq!(made(("a", -0.1), ("b", -4.0), 2).unwrap(), (both(["a", "b"]), vec!["a", "b"]), "another one");
        let refusal = "# no command";
        let error = made(("a", -3.0), (refusal, -0.5), 1).unwrap_err().to_string();
        assert_eq!(error, "no command could be made: that is no task for a command, or it says too little");
        assert_eq!(made(("a", -3.0), (refusal, -3.5), 1).unwrap().0, ["a"]);
    }

    #[test]
    fn who_names_a_file_is_not_told_that_no_command_does_it() {
        let times = |words| {
            let mut asked = Vec::new();
            let request = request(words, Context::of(Shell::Bash), 1).unwrap();
            let (mut candidates, interrupt) = (Candidates::default(), Interrupt::default());
            let mut engine = doubts(("a", -3.0), ("b", -2.0), &mut asked);
            suggest(&mut engine, &request, &mut candidates, &interrupt, &mut |_| {}).unwrap();
            drop(engine);
            asked.len()
        };
        for words in ["frobnicate", "frobnicate 2.5 of it.", "frobnicate ... now"] {
            assert_eq!(times(words), 2, "{words}");
        }
        for words in ["frobnicate notes.txt", "frobnicate /etc", "给notes.txt的每一行编号"] {
            assert_eq!(times(words), 1, "{words}");
        }
    }

    #[test]
    fn of_two_answers_as_likely_the_one_that_deletes_is_not_taken() {
        let made = |alone, shown| {
            let mut asked = Vec::new();
            let mut engine = doubts(alone, shown, &mut asked);
            let context = Context::of(Shell::Bash);
            let (request, mut candidates) =
                (request("gzip a.csv but keep it", context, 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].command.clone()
        };
        assert_eq!(made(("rm -r src", -2.2), ("ls src", -2.7)), "ls src");
        assert_eq!(made(("ls src", -2.7), ("rm -r src", -2.2)), "ls src");
        assert_eq!(made(("ls src", -3.0), ("rm -r src", -2.2)), "rm -r src");
        assert_eq!(made(("cp -a a b", -2.2), ("ls", -2.7)), "cp -a a b", "it deletes nothing");
    }

    #[test]
    fn answer_that_leaves_out_a_path_is_doubted() {
        let made = |alone, shown, words: &str| {
            let mut asked = Vec::new();
            let mut engine = doubts((alone, -0.2), (shown, -0.9), &mut asked);
            let (request, mut candidates) =
                (request(words, Context::of(Shell::Bash), 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].command.clone()
        };
        let words = "gzip logs/app.log but keep the original";
        assert_eq!(made("gzip app.log", "gzip -k logs/app.log", words), "gzip -k logs/app.log");
        assert_eq!(made("gzip -k 'logs/app.log'", "gzip -k logs/app.log", words), "gzip -k 'logs/app.log'");
        assert_eq!(made("ls src", "ls -R src", "list the files in src/"), "ls src");
    }

    #[test]
    fn likelier_answer_is_trusted_more() {
        let confidence = |sum| {
            let mut asked = Vec::new();
            let mut engine = doubts(("ls", sum), ("ls", sum), &mut asked);
            let (request, mut candidates) = (request("x", Context::of(Shell::Bash), 1).unwrap(), Candidates::default());
            suggest(&mut engine, &request, &mut candidates, &Interrupt::default(), &mut |_| {}).unwrap();
            candidates.found[0].confidence.unwrap()
        };
        assert!(confidence(0.0) > 0.9 && confidence(-1.0) > confidence(-3.0) && confidence(-30.0) < 0.1);
    }
}
