//! `cmdai doctor` and `cmdai --version`: what this machine is, what would run and why, and what is wrong.

use std::fmt::Write;

use super::{suggest, visible};
use crate::{
    cli::EngineArgs,
    config::{self, Config, Setting},
    engine::{self, remote},
    error::{Error, Result},
    model::{
        ModelSpec,
        gguf::{Adapter, GgufFile},
        store::Store,
    },
    platform::{self, Platform},
};

/// Prints the report; the lines that need attention begin with `!`.
///
/// # Errors
/// Something stops suggestions from working; the report has said what.
pub fn run(args: &EngineArgs) -> Result<()> {
    let platform = Platform::detect();
    let mut report = Report::default();
    report.line("cmdai", env!("CARGO_PKG_VERSION"));
    report.line("machine", &platform.to_string());
    report.line("build", &built_for());
    report.check("processor", platform::check_simd().map(|()| "has all this build needs".into()));
    report.line(
        "mlx",
        &mlx(cfg!(mlx), platform.apple_silicon, option_env!("CMDAI_MLX_LIB"), option_env!("CMDAI_NO_MLX")),
    );
    report.line("llama.cpp", llama_cpp(platform.apple_silicon));
    report.line(engine::REMOTE, "built in, used only where it is asked for by name");
    match Config::load(args) {
        Ok(config) => configured(&mut report, &config, &platform),
        Err(error) => report.check("config", Err(error)),
    }
    report.line("shells", &shells());
    if let Some(keys) = keys(config::variable("CMDAI_KEYS_TAKEN").as_deref()) {
        report.line("keys", &keys);
    }
    super::print(&report.text)?;
    match report.problems {
        0 => Ok(()),
        1 => Err(Error::new("one thing needs attention: the line marked !")),
        many => Err(Error::new(format!("{many} things need attention: the lines marked !"))),
    }
}

/// One line: version, engines built in, and the machine.
///
/// # Errors
/// Stdout cannot be written.
pub fn version() -> Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    let engines = if engine::BUILT_IN.is_empty() { "no engine".into() } else { engine::BUILT_IN.join(", ") };
    super::print(&format!("cmdai {version} ({engines}; {}; on {})\n", built_for(), Platform::detect()))
}

#[derive(Default)]
struct Report {
    text: String,
    problems: usize,
}

impl Report {
    fn line(&mut self, what: &str, value: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "  {what:<10} {value}");
    }

    fn check(&mut self, what: &str, outcome: Result<String>) {
        match outcome {
            Ok(value) => self.line(what, &value),
            Err(error) => {
                self.problems += 1;
                let hint = error.next_step().map_or(String::new(), |hint| format!(" (hint: {hint})"));
                let _ = writeln!(self.text, "! {what:<10} {error}{hint}");
            }
        }
    }
}

fn configured(report: &mut Report, config: &Config, platform: &Platform) {
    let source = match config.path() {
        Some(path) if path.exists() => path.display().to_string(),
        Some(path) => format!("{} (not there: defaults)", path.display()),
        None => "defaults: there is no home directory to read one from".into(),
    };
    report.line("config", &source);
    for warning in config.warnings() {
        report.check("config", Err(Error::new(warning.clone())));
    }
    let asked = config.engine();
    let choice = config.engine_choice();
    let remote = choice.as_ref().is_ok_and(|choice| choice.name == engine::REMOTE);
    let origin = asked.map_or(String::new(), |setting| format!(" by {}", setting.origin));
    report.check("engine", choice.map(|choice| format!("{}: {}{origin}", choice.name, choice.why)));
    report.check("words", if remote { destination(config) } else { Ok("stay on this machine".into()) });
    if remote {
        return;
    }
    report.check("server", resident(config));
    let threads = config.threads().map(|threads| match threads {
        Some(threads) => format!("{}, set by {}", threads.value, threads.origin),
        None => format!("the idle ones of {} cores, counted at each token", platform.cores),
    });
    report.check("threads", threads);
    let model = config.model();
    report.line("model", &format!("{}, set by {}", model.value, model.origin));
    report.check("file", file(config, &model.value));
    report.check("adapter", adapter(config));
    report.check("store", store(config));
}

/// Whether requests are answered by the resident server, and what it does by itself. It is not started to find out.
fn resident(config: &Config) -> Result<String> {
    let server = config.server()?;
    if !server.value {
        return Ok(format!("not used, by {}: every request opens the model", server.origin));
    }
    let idle = config.server_idle()?.value;
    let leaves = if idle.is_zero() { "stays".to_owned() } else { format!("leaves after {} s unused", idle.as_secs()) };
    let warm_up =
        if config.warm_up()?.value { "computes what is being typed" } else { "does not look at what is typed" };
    let client = super::server::client()?;
    let runs = match client.status()? {
        Some(status) => format!("runs as process {}: {}", status.pid, status.sandbox),
        None => "does not run now, the next request starts it".into(),
    };
    Ok(format!("{runs}; {leaves}; {warm_up}; {}", client.place.socket().display()))
}

/// Where the engine `remote` sends what is typed; nothing is sent to find out.
fn destination(config: &Config) -> Result<String> {
    let remote::Settings { server, model, .. } = config.remote()?;
    let way = if server.is_here() { "go to a server on this machine" } else { "LEAVE this machine" };
    let model = model.map_or_else(|| "the server's own model".into(), |model| format!("model {model}"));
    let key = config.remote_key()?.map_or_else(|| "no key".into(), |key| format!("key from {}", key.origin));
    Ok(format!("{way}: {server}, {model}, {key}"))
}

/// Where the model's file is.
fn file(config: &Config, model: &str) -> Result<String> {
    let store = Store::new(config.store()?);
    let spec = ModelSpec::parse(model)?;
    let path = store.find(&spec)?.ok_or_else(|| Store::absent(&spec))?;
    Ok(format!("{}, verified", path.display()))
}

/// The LoRA adapter, if one is set, and whether the engine and the model take it.
fn adapter(config: &Config) -> Result<String> {
    let Some(Setting { value: record, origin }) = suggest::adapter(config)? else { return Ok("none".into()) };
    engine::check_takes_adapters(config.engine_choice()?.name)?;
    let model = suggest::find(config, &|spec| Err(Store::absent(spec)))?;
    Adapter::open(&record.path)?.check_fits(&GgufFile::open(&model.path)?)?;
    Ok(format!("{}, set by {origin}, fits the model", record.path.display()))
}

/// Where models and their records are kept. Without records a model is read and hashed again for every request.
fn store(config: &Config) -> Result<String> {
    let dir = config.store()?.dir;
    if dir.exists() && rustix::fs::access(&dir, rustix::fs::Access::WRITE_OK).is_err() {
        return Err(Error::new(format!("{} cannot be written: every request reads the whole model", dir.display()))
            .hint("mend its permissions, or set CMDAI_MODELS_DIR"));
    }
    Ok(dir.display().to_string())
}

/// Whether MLX is in this program, or why it is not: the build records both, install.sh's reason as `CMDAI_NO_MLX`.
fn mlx(built_in: bool, apple_silicon: bool, library: Option<&str>, reason: Option<&str>) -> String {
    match (built_in, apple_silicon) {
        (true, false) => "built in for tests, computes on the CPU".into(),
        (true, true) if library.is_some() => "built in with MLX's prebuilt library, computes on the GPU".into(),
        (true, true) => "built in, computes on the GPU".into(),
        (false, false) => "not built in: it is for Apple Silicon".into(),
        (false, true) => {
            format!("not built in: {}; ./install.sh adds it", reason.unwrap_or("left out by --cfg without_mlx"))
        }
    }
}

fn llama_cpp(apple_silicon: bool) -> &'static str {
    match (cfg!(feature = "llama"), apple_silicon) {
        (true, true) => "built in, computes on the GPU",
        (true, false) => "built in, computes on the CPU",
        (false, _) => "not built in: built without the feature llama",
    }
}

fn built_for() -> String {
    let simd: Vec<&str> = platform::compiled_simd().collect();
    let arch = std::env::consts::ARCH;
    if simd.is_empty() { format!("built for {arch}") } else { format!("built for {arch} with {}", simd.join(" ")) }
}

/// The shells that can be integrated and are on PATH.
fn shells() -> String {
    let found: Vec<String> = ["zsh", "bash", "fish"]
        .into_iter()
        .filter_map(|name| Some(format!("{name} ({})", which::which(name).ok()?.display())))
        .collect();
    if found.is_empty() { "none of zsh, bash, fish on PATH".into() } else { found.join(", ") }
}

/// Keys that the shell integration has left to what had them before, as it tells in `CMDAI_KEYS_TAKEN`.
fn keys(taken: Option<&str>) -> Option<String> {
    taken.map(|taken| {
        format!("left as they were bound: {}; to have cmdai there, set CMDAI_KEY or CMDAI_EXPLAIN_KEY", visible(taken))
    })
}

#[cfg(test)]
mod tests {
    use super::{keys, mlx};

    #[test]
    fn keys_that_others_have_are_named() {
        assert_eq!(keys(None), None);
        let said = keys(Some("ctrl-g: fzf-cd-widget\u{1b}")).unwrap();
        assert!(said.starts_with("left as they were bound: ctrl-g: fzf-cd-widget\\u{1b}; "), "{said}");
    }

    #[test]
    fn mlx_is_said_to_be_there_or_why_it_is_not() {
        assert_eq!(mlx(true, true, None, None), "built in, computes on the GPU");
        assert_eq!(mlx(true, true, Some("/lib"), None), "built in with MLX's prebuilt library, computes on the GPU");
        assert_eq!(mlx(true, false, Some("/lib"), None), "built in for tests, computes on the CPU");
        assert_eq!(mlx(false, false, None, None), "not built in: it is for Apple Silicon");
        assert_eq!(mlx(false, true, None, None), "not built in: left out by --cfg without_mlx; ./install.sh adds it");
        let no_compiler = mlx(false, true, None, Some("no Metal compiler"));
        assert_eq!(no_compiler, "not built in: no Metal compiler; ./install.sh adds it");
    }
}
