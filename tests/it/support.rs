//! What the tests share: a home of their own for every test, the program run in it, and where the models lie.

use std::{
    env,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// A real model file. A missing one fails the test: skipping would let a broken engine pass.
pub(crate) fn model(file: &str) -> PathBuf {
    let path = models_dir().join(file);
    assert!(path.is_file(), "no model at {}: tests/run fetches it, or set CMDAI_TEST_MODELS", path.display());
    path
}

/// The folder that `tests/run` pulls the models into; it is a cmdai store.
pub(crate) fn models_dir() -> PathBuf {
    env::var_os("CMDAI_TEST_MODELS").map_or_else(default_models, PathBuf::from)
}

fn default_models() -> PathBuf {
    dirs::home_dir().unwrap_or_default().join(".cache/cmdai-dev/models")
}

/// The program under test.
pub(crate) const CMDAI: &str = env!("CARGO_BIN_EXE_cmdai");

/// What a run of the program left behind.
pub(crate) struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code().unwrap_or(-1), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// A scratch home with nothing of the caller's environment but PATH.
pub(crate) struct TestEnv {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

impl TestEnv {
    /// With the real default model in reach.
    pub(crate) fn with_model() -> Self {
        model("qwen2.5-coder-1.5b-instruct-q4_k_m.gguf");
        let mut env = Self::without_model();
        env.set("CMDAI_MODELS_DIR", models_dir().to_str().expect("a UTF-8 path"));
        env
    }

    /// With an empty store, and no network to fill it from.
    pub(crate) fn without_model() -> Self {
        let home = tempfile::tempdir().expect("a scratch directory");
        let variables = [("SHELL", "/bin/bash"), ("LANG", "C.UTF-8"), ("HF_HUB_OFFLINE", "1"), ("CMDAI_SERVER", "0")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        Self { home, variables }
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// `program` in this home.
    pub(crate) fn command(&self, program: &str) -> Command {
        #[expect(clippy::disallowed_methods, reason = "a test runs the program and its shells")]
        let mut command = Command::new(program);
        command.env_clear().env("HOME", self.home()).env("PATH", env::var_os("PATH").unwrap_or_default());
        command.envs(self.variables.iter().map(|(name, value)| (name, value))).current_dir(self.home());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.run_with_stdin(args, b"")
    }

    pub(crate) fn run_with_stdin(&self, args: &[&str], stdin: &[u8]) -> Outcome {
        let mut command = self.command(CMDAI);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("cmdai runs");
        // It may exit without having read all of it.
        let _ = child.stdin.take().expect("piped").write_all(stdin);
        child.wait_with_output().expect("cmdai ends").into()
    }

    /// Runs with stdout going to `stdout`.
    pub(crate) fn run_to(&self, args: &[&str], stdout: Stdio) -> Outcome {
        let child = self.command(CMDAI).args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).spawn();
        child.expect("cmdai runs").wait_with_output().expect("cmdai ends").into()
    }

    /// Runs a checker such as `bash -n` on `file`.
    pub(crate) fn shell(&self, command: &[&str], file: &Path) -> Output {
        self.command(command[0]).args(&command[1..]).arg(file).output().expect("the shell runs")
    }
}

/// A cell of a table: `\n` is a newline, `\\` a backslash.
pub(crate) fn decode(cell: &str) -> String {
    cell.split("\\\\").map(|part| part.replace("\\n", "\n")).collect::<Vec<_>>().join("\\")
}

/// Numbers that are the same on every run (xorshift64, Marsaglia 2003). The seed is not 0.
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }

    pub(crate) fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}
