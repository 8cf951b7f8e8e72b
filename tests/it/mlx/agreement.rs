//! The engine against the 32-bit reference, and against llama.cpp on real requests.

use cmdai::engine::Model;

use super::{QWEN, QWEN_SMALL, SMOLLM, best, open, tiny, tokens};
use crate::{
    reference::{Reference, kl},
    support::model,
};

/// About 30 tokens with words, code, digits and other letters.
const TEXT: &str = "Find every file under /var/log larger than 10 MB, changed in the last 7 days: find /var/log -type f -size +10M -mtime";

fn divergence(file: &str) -> f64 {
    let (mut mlx, tokenizer) = open(file);
    let text = tokens(&tokenizer, TEXT);
    assert!(text.len() > 30, "{}", text.len());
    let wanted = Reference::open(model(file)).logits(&text);
    let found = mlx.forward(&text).unwrap();
    assert_eq!(best(&wanted), best(found), "{file}");
    kl(&wanted, found)
}

#[test]
fn small_llama_is_the_reference() {
    let divergence = divergence(SMOLLM);
    assert!(divergence <= 1e-4, "{divergence:e}");
}

#[test]
fn small_qwen_is_the_reference() {
    let divergence = divergence(QWEN_SMALL);
    assert!(divergence <= 1e-4, "{divergence:e}");
}

#[test]
fn default_model_is_the_reference() {
    let divergence = divergence(QWEN);
    assert!(divergence <= 1e-3, "{divergence:e}");
}

#[test]
fn tiny_models_in_every_type_are_the_reference() {
    for architecture in ["qwen2", "llama"] {
        let prompt = tiny::prompt(60);
        let wanted = Reference::new(tiny::file(architecture)).logits(&prompt);
        let mut mlx = super::open_file(&tiny::file(architecture), None);
        let divergence = kl(&wanted, mlx.forward(&prompt).unwrap());
        // The scales of Q6_K are all random here, so more of its weights are rounded, and further, than in a real model.
        assert!(divergence <= 1e-3, "{architecture}: {divergence:e}");
    }
}

#[cfg(feature = "llama")]
mod with_llama {
    use cmdai::{
        context::Context,
        engine::{Engine, Interrupt, Token, generate::LocalEngine, llama::LlamaModel, mlx::MlxModel, threads::Threads},
        error::Result,
        model::{gguf::GgufFile, tokenizer::Tokenizer},
        pipeline::{self, Candidates},
        request::{Request, Shell},
    };

    use super::*;
    use crate::reference::gap;

    const REQUESTS: [&str; 20] = [
        "list all files",
        "find files larger than 10 MB",
        "show disk usage of this folder",
        "count the lines of main.rs",
        "show the last 20 lines of app.log",
        "what is using port 8080",
        "kill process 4242",
        "undo the last commit but keep the changes",
        "show the current branch",
        "unpack backup.tar.gz",
        "make a folder named photos",
        "rename a.txt to b.txt",
        "search for TODO in all python files",
        "show my ip address",
        "show free memory",
        "sort names.txt and drop duplicates",
        "make script.sh executable",
        "download https://example.com/data.csv",
        "show the 5 largest files here",
        "print the date in ISO format",
    ];

    /// MLX's answers, each held against llama.cpp's to the same tokens on the way.
    struct Both {
        mlx: MlxModel,
        llama: LlamaModel,
        seen: Seen,
    }

    #[derive(Default)]
    struct Seen {
        /// Divergences at the end of each prompt, and after each token of an answer.
        prompts: Vec<f64>,
        steps: Vec<f64>,
        /// Where the best tokens differ: by how much MLX's leads.
        differences: Vec<f32>,
    }

    impl Model for Both {
        fn forward(&mut self, tokens: &[Token]) -> Result<&[f32]> {
            let llama = self.llama.forward(tokens)?.to_vec();
            let mlx = self.mlx.forward(tokens)?;
            let divergences = if tokens.len() > 1 { &mut self.seen.prompts } else { &mut self.seen.steps };
            divergences.push(kl(mlx, &llama));
            if best(mlx) != best(&llama) {
                self.seen.differences.push(gap(mlx));
            }
            Ok(mlx)
        }

        fn set_interrupt(&mut self, interrupt: Interrupt) {
            self.llama.set_interrupt(interrupt.clone());
            self.mlx.set_interrupt(interrupt);
        }

        fn position(&self) -> usize {
            assert_eq!(self.mlx.position(), self.llama.position());
            self.mlx.position()
        }

        fn rewind(&mut self, to: usize) -> Result<()> {
            self.llama.rewind(to)?;
            self.mlx.rewind(to)
        }

        fn capacity(&self) -> usize {
            self.mlx.capacity()
        }

        fn runtime(&self) -> String {
            self.mlx.runtime()
        }

        fn save(&mut self) -> Result<Vec<u8>> {
            self.mlx.save()
        }

        fn restore(&mut self, state: &[u8]) -> Result<()> {
            self.mlx.restore(state)
        }
    }

    fn llama() -> (LlamaModel, Tokenizer) {
        let path = model(QWEN_SMALL);
        let file = GgufFile::open(&path).unwrap();
        (LlamaModel::open(&path, &file, Threads::fixed(1)).unwrap(), Tokenizer::from_gguf(&file).unwrap())
    }

    fn command(engine: &mut dyn Engine, words: &str) -> String {
        let request = pipeline::request(words, Context::of(Shell::Bash), 1).unwrap();
        // One prompt a request: what is compared is the engines.
        let request = Request { second_look: false, ..request };
        let mut made = Candidates::default();
        let outcome = pipeline::suggest(engine, &request, &mut made, &Interrupt::default(), &mut |_| {});
        outcome.map_or_else(|error| error.to_string(), |_| made.best(1)[0].command.clone())
    }

    /// A step's logits move by up to about one between the engines: llama.cpp rounds activations to eight bits. Where
    /// the best token leads by less than half of that, both choices are sound.
    const NOISE: f32 = 0.5;

    #[test]
    fn requests_get_llama_cpps_commands() {
        let (model, tokenizer) = llama();
        let mut plain = LocalEngine::new(model, tokenizer);
        let wanted = REQUESTS.map(|words| command(&mut plain, words));
        let (mlx, tokenizer) = open(QWEN_SMALL);
        let mut both = LocalEngine::new(Both { mlx, llama: llama().0, seen: Seen::default() }, tokenizer);
        let found = REQUESTS.map(|words| command(&mut both, words));
        let same = found.iter().zip(&wanted).filter(|(found, wanted)| found == wanted).count();
        assert!(same >= 19, "{found:#?} {wanted:#?}");
        let Seen { prompts, steps, differences } = &both.model().seen;
        // The prefix is computed once, by itself; each request then computes its tail.
        assert!(prompts.len() == 1 + REQUESTS.len() && steps.len() > 100, "{} and {}", prompts.len(), steps.len());
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        let worst = prompts.iter().copied().fold(0.0, f64::max);
        eprintln!(
            "divergence: prompts up to {worst:.1e}, {} steps {mean:.1e} on average; {differences:?}",
            steps.len()
        );
        assert!(prompts.iter().all(|divergence| *divergence <= 1e-2), "{prompts:?}");
        assert!(mean <= 1e-2, "{steps:?}");
        assert!(differences.iter().all(|lead| *lead < NOISE), "{differences:?}");
    }
}
