//! Settings, and where each came from: a flag beats the environment, which beats `config.toml`, which beats the
//! default. The only reader of the environment and of the home directory; everything else gets values.

mod checked;
mod remote;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;

use crate::{
    cli::EngineArgs,
    context,
    engine::{self, Choice},
    error::{Context, Error, Result},
    model::store,
    request::Shell,
};

/// Model used where nothing else is set; a name of [`crate::model::CATALOGUE`].
pub const DEFAULT_MODEL: &str = "qwen2.5-coder-1.5b";

/// A value and who set it, for `cmdai doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    pub value: T,
    /// `flag`, `environment CMDAI_MODEL`, `/path/config.toml` or `default`.
    pub origin: String,
}

/// What a widget does with a dangerous suggestion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dangerous {
    /// Puts it on the line, and says what it is.
    Warn,
    /// Puts it on the line as a comment.
    Comment,
    /// Leaves the line as it is.
    Refuse,
}

impl Dangerous {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "warn" => Some(Self::Warn),
            "comment" => Some(Self::Comment),
            "refuse" => Some(Self::Refuse),
            _ => None,
        }
    }
}

/// As many threads as may be asked for.
const THREADS: std::ops::RangeInclusive<usize> = 1..=1024;

/// The file as written. Unknown keys are reported by [`Config::warnings`], not refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct File {
    model: Option<String>,
    #[serde(deserialize_with = "checked::lora")]
    lora: Option<String>,
    engine: Option<String>,
    #[serde(deserialize_with = "checked::threads")]
    threads: Option<usize>,
    server: Option<bool>,
    #[serde(deserialize_with = "checked::server_idle")]
    server_idle: Option<String>,
    warm_up: Option<bool>,
    second_look: Option<bool>,
    #[serde(deserialize_with = "checked::dangerous")]
    dangerous: Option<String>,
    remote: remote::Table,
}

const KNOWN_KEYS: [&str; 10] =
    ["model", "lora", "engine", "threads", "server", "server_idle", "warm_up", "second_look", "dangerous", "remote"];

/// Time without a request after which the server leaves.
const SERVER_IDLE: &str = "15m";

/// Everything that can be set, resolved once per process.
#[derive(Debug)]
pub struct Config {
    flags: EngineArgs,
    file: File,
    path: Option<PathBuf>,
    warnings: Vec<String>,
}

impl Config {
    /// Reads `config.toml` (a missing file is an empty one) and keeps `flags` to put above it.
    ///
    /// # Errors
    /// The file cannot be read or is not TOML of the right types; the message names the file and the line.
    pub fn load(flags: &EngineArgs) -> Result<Self> {
        let Some(path) = config_file() else {
            return Ok(Self { flags: flags.clone(), file: File::default(), path: None, warnings: Vec::new() });
        };
        let text = read(&path)?;
        let table: toml::Table = parse(&path, &text)?;
        let mut warnings = unknown_keys(&path, "", &table, &KNOWN_KEYS);
        if let Some(table) = table.get("remote").and_then(toml::Value::as_table) {
            warnings.extend(unknown_keys(&path, "remote.", table, &remote::KNOWN_KEYS));
        }
        Ok(Self { flags: flags.clone(), file: parse(&path, &text)?, path: Some(path), warnings })
    }

    /// Lines about the file that deserve a look but stop nothing.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Path of the configuration file, whether it exists or not; none where no home directory can be told.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Model to load: a catalogue name, `owner/repo:file.gguf`, or a path.
    pub fn model(&self) -> Setting<String> {
        self.resolve(self.flags.model.clone(), "CMDAI_MODEL", self.file.model.clone())
            .unwrap_or_else(|| default(DEFAULT_MODEL.to_owned()))
    }

    /// LoRA adapter to compute with, if there is one: its path, of which only `config.toml`'s is sure to be absolute.
    ///
    /// # Errors
    /// It begins with `~/`, and no home directory is known.
    pub fn lora(&self) -> Result<Option<Setting<PathBuf>>> {
        let found = self.resolve(self.flags.lora.clone(), "CMDAI_LORA", self.file.lora.clone());
        // Only a flag can be empty: the way to do without what is set elsewhere.
        let Some(Setting { value, origin }) = found.filter(|found| !found.value.is_empty()) else { return Ok(None) };
        let value = match value.strip_prefix("~/") {
            Some(rest) => {
                home().ok_or_else(|| Error::new(format!("no home directory is known for {value}")))?.join(rest)
            }
            None => value.into(),
        };
        Ok(Some(Setting { value, origin }))
    }

    /// Writes `name` into the configuration file as the model of all requests to come; returns the file's path.
    ///
    /// # Errors
    /// There is no place for the file, it cannot be written, or its form is one that is not changed here.
    pub fn set_model(&self, name: &str) -> Result<PathBuf> {
        let no_home = || Error::new("no home directory is known").hint("set CMDAI_CONFIG to a file");
        let path = self.path.clone().ok_or_else(no_home)?;
        // A link to a file kept elsewhere stays one.
        let path = path.canonicalize().unwrap_or(path);
        let what = || format!("could not write {}", path.display());
        let text = read(&path)?;
        let text = with_model(&text, name);
        if parse::<File>(&path, &text).ok().and_then(|file| file.model).as_deref() != Some(name) {
            return Err(Error::new(format!("{}: the setting model could not be changed", what()))
                .hint(format!("set it by hand: model = {}", quoted(name))));
        }
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).context(what)?;
        let mode = std::fs::metadata(&path).map(|metadata| metadata.permissions());
        store::write_atomic(&path, &[text.as_bytes()]).context(what)?;
        mode.map_or(Ok(()), |mode| std::fs::set_permissions(&path, mode)).context(what)?;
        Ok(path)
    }

    /// Engine asked for, if one is.
    pub fn engine(&self) -> Option<Setting<String>> {
        self.resolve(self.flags.engine.clone(), "CMDAI_ENGINE", self.file.engine.clone())
    }

    /// The engine that runs: the one asked for, else the best one built in.
    ///
    /// # Errors
    /// As of [`engine::choose`].
    pub fn engine_choice(&self) -> Result<Choice> {
        engine::choose(self.engine().as_ref().map(|engine| engine.value.as_str()))
    }

    /// Threads asked for, if a number is.
    ///
    /// # Errors
    /// `CMDAI_THREADS` is not a positive number.
    pub fn threads(&self) -> Result<Option<Setting<usize>>> {
        let text = |number: Option<usize>| number.map(|n| n.to_string());
        let Some(found) = self.resolve(text(self.flags.threads), "CMDAI_THREADS", text(self.file.threads)) else {
            return Ok(None);
        };
        match found.value.parse() {
            Ok(value) if THREADS.contains(&value) => Ok(Some(Setting { value, origin: found.origin })),
            _ => Err(Error::usage(checked::bad_threads(&found.value)).hint(format!("it was set by {}", found.origin))),
        }
    }

    /// Whether requests are answered by the resident server.
    ///
    /// # Errors
    /// `CMDAI_SERVER` is neither yes nor no.
    pub fn server(&self) -> Result<Setting<bool>> {
        self.switch("server", "CMDAI_SERVER", self.file.server)
    }

    /// Whether the server computes what is still being typed.
    ///
    /// # Errors
    /// `CMDAI_WARM_UP` is neither yes nor no.
    pub fn warm_up(&self) -> Result<Setting<bool>> {
        self.switch("warm_up", "CMDAI_WARM_UP", self.file.warm_up)
    }

    /// Whether a model that is not sure of its answer gives another one, with examples before it.
    ///
    /// # Errors
    /// As of [`Config::server`].
    pub fn second_look(&self) -> Result<Setting<bool>> {
        self.switch("second_look", "CMDAI_SECOND_LOOK", self.file.second_look)
    }

    /// Time without a request after which the server leaves; zero for never.
    ///
    /// # Errors
    /// It is no number with an `s`, `m` or `h` behind it.
    pub fn server_idle(&self) -> Result<Setting<Duration>> {
        let found = self.resolve(None, "CMDAI_SERVER_IDLE", self.file.server_idle.clone());
        let Setting { value, origin } = found.unwrap_or_else(|| default(SERVER_IDLE.to_owned()));
        match duration(&value) {
            Some(value) => Ok(Setting { value, origin }),
            None => Err(Error::usage(checked::bad_idle(&value)).hint(format!("it was set by {origin}"))),
        }
    }

    /// What a widget does with a dangerous suggestion.
    ///
    /// # Errors
    /// It is none of the three words.
    pub fn dangerous(&self) -> Result<Setting<Dangerous>> {
        let found = self.resolve(None, "CMDAI_DANGEROUS", self.file.dangerous.clone());
        let Setting { value, origin } = found.unwrap_or_else(|| default("warn".to_owned()));
        match Dangerous::parse(&value) {
            Some(value) => Ok(Setting { value, origin }),
            None => Err(Error::usage(checked::bad_dangerous(&value)).hint(format!("it was set by {origin}"))),
        }
    }

    fn switch(&self, what: &str, name: &str, file: Option<bool>) -> Result<Setting<bool>> {
        let text = file.map(|on| if on { "1" } else { "0" }.to_owned());
        let Setting { value, origin } = self.resolve(None, name, text).unwrap_or_else(|| default("1".to_owned()));
        match yes_or_no(&value) {
            Some(value) => Ok(Setting { value, origin }),
            None => {
                Err(Error::usage(format!("{what}: wanted 0 or 1, found {value:?}"))
                    .hint(format!("it was set by {origin}")))
            }
        }
    }

    /// Where models are kept and fetched from, without the [token](Self::hub_token): a request has no use for a secret.
    ///
    /// # Errors
    /// No data directory can be told.
    pub fn store(&self) -> Result<store::Settings> {
        let dir = match variable("CMDAI_MODELS_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => dirs::data_dir()
                .ok_or_else(|| Error::new("could not tell where your data directory is").hint("set HOME"))?
                .join("cmdai/models"),
        };
        Ok(store::Settings {
            dir,
            hub_cache: hub_cache(),
            endpoint: variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned()),
            token: None,
            offline: is_on("HF_HUB_OFFLINE"),
            python: variable("CMDAI_PYTHON"),
        })
    }

    /// Where what can be made again is kept: `CMDAI_CACHE_DIR`, else the user's cache directory, if there is one.
    pub fn cache(&self) -> Option<PathBuf> {
        cache()
    }

    /// The Hub's access token: `HF_TOKEN`, else the one that `huggingface-cli login` left.
    pub fn hub_token(&self) -> Option<String> {
        variable("HF_TOKEN")
            .or_else(|| std::fs::read_to_string(hub_home()?.join("token")).ok())
            .map(|token| token.trim().to_owned())
            .filter(|token| !token.is_empty())
    }

    fn resolve(&self, flag: Option<String>, name: &str, file: Option<String>) -> Option<Setting<String>> {
        let set_by = |origin: String| move |value| Setting { value, origin };
        flag.map(set_by("flag".into())).or_else(|| variable(name).map(set_by(format!("environment {name}")))).or_else(
            || file.map(set_by(self.path.as_ref().map_or_else(String::new, |path| path.display().to_string()))),
        )
    }
}

fn cache() -> Option<PathBuf> {
    let in_home = || Some(dirs::cache_dir()?.join("cmdai"));
    variable("CMDAI_CACHE_DIR").map(PathBuf::from).or_else(in_home)
}

/// Where the server is found: in the user's runtime directory, else in the cache; never in a directory of everybody's.
pub fn server_socket() -> Option<PathBuf> {
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let dir = runtime.map(|dir| dir.join("cmdai")).or_else(|| Some(cache()?.join("run")))?;
    Some(dir.join("server.sock"))
}

/// The variables that a server gets of its client's: where things are and cmdai's own, not what else a shell exports.
pub fn server_environment() -> Vec<(String, String)> {
    let kept = ["HOME", "PATH", "TMPDIR", "LANG", "LC_ALL", "USER", "LOGNAME", "RUST_BACKTRACE"];
    let prefixes = ["CMDAI_", "XDG_", "HF_", "MLX_"];
    // Settings of the remote engine may hold a key, and the server never asks a remote engine.
    let wanted = |name: &str| {
        (kept.contains(&name) || prefixes.iter().any(|prefix| name.starts_with(prefix)))
            && !name.starts_with("CMDAI_REMOTE")
            && name != "HF_TOKEN"
    };
    let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
    env::vars_os().filter_map(text).filter(|(name, _)| wanted(name)).collect()
}

/// `90s`, `15m`, `2h`, or `0`.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let (number, unit) = match text.char_indices().next_back()? {
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        _ if text == "0" => (text, 1),
        _ => return None,
    };
    let seconds: u64 = number.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.checked_mul(unit)?)).filter(|time| *time <= Duration::from_secs(365 * 86400))
}

/// The text of a regular file, none where there is no file; a pipe or a device in its place could be waited for without
/// end.
fn read(path: &Path) -> Result<String> {
    let text = std::fs::metadata(path).and_then(|file| match file.is_file() {
        true => std::fs::read_to_string(path),
        false => Err(std::io::Error::other("it is not a regular file")),
    });
    match text {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        outcome => outcome.map_err(|cause| unreadable(path, &cause)),
    }
}

/// `text` as a string of TOML, whose escapes are those of JSON.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `text`, a configuration file, with `model` set to `name` and all else as it is.
fn with_model(text: &str, name: &str) -> String {
    let line = format!("model = {}", quoted(name));
    let mut lines: Vec<&str> = text.lines().collect();
    let top = lines.iter().position(|line| line.trim_start().starts_with('[')).unwrap_or(lines.len());
    let is_model =
        |text: &&str| text.trim_start().strip_prefix("model").is_some_and(|rest| rest.trim_start().starts_with('='));
    match lines[..top].iter().position(is_model) {
        Some(at) => lines[at] = &line,
        None => lines.insert(0, &line),
    }
    lines.join("\n") + "\n"
}

/// A warning for each key of `table` that is none of `known`. Values stay unsaid: one may be a secret gone astray.
fn unknown_keys(path: &Path, inside: &str, table: &toml::Table, known: &[&str]) -> Vec<String> {
    let unknown = table.keys().filter(|key| !known.contains(&key.as_str())).map(|key| format!("{inside}{key}"));
    unknown.map(|key| format!("{}: unknown key {key:?}; known: {}", path.display(), known.join(", "))).collect()
}

fn default<T>(value: T) -> Setting<T> {
    Setting { value, origin: "default".into() }
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|cause: toml::de::Error| {
        let line = cause.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Error::new(format!("could not read {}: line {line}: {}", path.display(), cause.message().replace('\n', " ")))
            .hint("mend that line, or move the file away to use the defaults")
    })
}

fn unreadable(path: &Path, cause: &std::io::Error) -> Error {
    Error::new(format!("could not read {}: {cause}", path.display())).hint("mend its permissions or move it away")
}

/// `$CMDAI_CONFIG`, else `config.toml` in the user's configuration directory.
fn config_file() -> Option<PathBuf> {
    let in_home = || Some(dirs::config_dir()?.join("cmdai/config.toml"));
    variable("CMDAI_CONFIG").map(PathBuf::from).or_else(in_home)
}

/// The Hub's cache as its Python client finds it: `HF_HUB_CACHE`, `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
fn hub_cache() -> Option<PathBuf> {
    if let Some(cache) = variable("HF_HUB_CACHE") {
        return Some(cache.into());
    }
    Some(hub_home()?.join("hub"))
}

/// What `~` stands for in a command.
pub fn home() -> Option<PathBuf> {
    dirs::home_dir()
}

fn hub_home() -> Option<PathBuf> {
    match (variable("HF_HOME"), variable("XDG_CACHE_HOME")) {
        (Some(home), _) => Some(home.into()),
        (None, Some(cache)) => Some(Path::new(&cache).join("huggingface")),
        (None, None) => Some(dirs::home_dir()?.join(".cache/huggingface")),
    }
}

/// Where a command for `shell` runs: on this machine, with the programs of this process's `$PATH`.
pub fn context(shell: Shell) -> context::Context {
    context::Context { path: variable("PATH").unwrap_or_default(), ..context::Context::of(shell) }
}

/// The caller's login shell; bash where none is set, or one whose commands bash reads.
///
/// # Errors
/// `$SHELL` is one that reads other commands.
pub fn login_shell() -> Result<Shell> {
    let path = variable("SHELL").unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    match Shell::from_path(&path) {
        Some(shell) => Ok(shell),
        None if matches!(name, "" | "sh" | "dash" | "ash" | "ksh" | "mksh") => Ok(Shell::Bash),
        None => Err(Error::usage(format!("could not tell your shell: SHELL is {path:?}")).hint("add --shell bash")),
    }
}

/// A variable's value, if it is set, not empty and UTF-8.
pub fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

fn is_on(name: &str) -> bool {
    variable(name).and_then(|value| yes_or_no(&value)).unwrap_or(false)
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}
