//! `cmdai doctor --prove-offline`: makes a real suggestion where the kernel ends the process at the first try to reach
//! the network or to start a program, and says what that shows and what it does not.

use super::{suggest, visible};
use crate::{
    cli::EngineArgs,
    config::{self, Config},
    engine::{self, Interrupt},
    error::{Error, Result},
    model::store::Store,
    pipeline::{self, Candidates},
    request::{Request, Shell, Suggestion},
    server::{client::Client, protocol::Target, sandbox},
};

const WORDS: &str = "find files larger than 10 MB";

/// What a person reads who sees the proof fail.
const TRIED: &str = "cmdai: not offline: this process tried to open a socket to elsewhere or to start a program\n\
                     hint: please report it, with the lines above\n";

/// Prints what is shown, a line for each thing.
///
/// # Errors
/// This system cannot show it, the engine is a remote one, there is no suggestion, or the server is not confined.
pub fn prove(args: &EngineArgs) -> Result<()> {
    let config = Config::load(args)?;
    let choice = config.engine_choice()?;
    if choice.name == engine::REMOTE {
        return Err(Error::new("the engine is remote: words leave this process by your own setting")
            .hint("add --engine llama to look at the engine of this machine"));
    }
    let model = suggest::find(&config, &|spec| Err(Store::absent(spec)))?;
    let target = suggest::target(&config, &choice, model)?;
    let client = if config.server()?.value { Some(super::server::client()?) } else { None };
    // It begins as a process of its own, and so before this one may start none.
    client.as_ref().map(Client::start).transpose()?;
    sandbox::watch(TRIED).map_err(|error| Error::new(format!("could not prove it on this system: {error}")))?;

    line("kernel", "refuses this process an internet socket and a program; from here on it ends at such a try")?;
    line("here", &said(&here(&config, &target, request()?)?))?;
    match client {
        Some(client) => line("server", &by_server(&client, target)?)?,
        None => line("server", "not used, by your settings")?,
    }
    line("not shown", "cmdai model pull and install.sh, which use the network; the engine remote; the shell itself")?;
    super::print("nothing left this machine: 0 sockets but local ones, 0 programs started\n")
}

fn request() -> Result<Request> {
    pipeline::request(WORDS, config::context(Shell::Bash), 1)
}

/// A suggestion computed in this process.
fn here(config: &Config, target: &Target, request: Request) -> Result<Vec<Suggestion>> {
    let mut engine = target.open(config.cache())?;
    let mut candidates = Candidates::default();
    pipeline::suggest(engine.as_mut(), &request, &mut candidates, &Interrupt::default(), &mut |_| {})?;
    Ok(candidates.best(request.alternatives).to_vec())
}

/// One by the resident server, and what the kernel keeps from that.
fn by_server(client: &Client, target: Target) -> Result<String> {
    let (suggestions, _) = client.suggest(request()?, target, &mut |_| {})?;
    let status = client.status()?.ok_or_else(|| Error::new("the server has left meanwhile").hint("try again"))?;
    let confined = format!("process {}: {}", status.pid, status.sandbox);
    if status.sandbox.calls {
        return Ok(format!("{}; {confined}", said(&suggestions)));
    }
    Err(Error::new(format!("the server may open sockets, {confined}"))
        .hint("set CMDAI_SERVER=0 to look at this process alone"))
}

fn said(suggestions: &[Suggestion]) -> String {
    let commands: Vec<String> = suggestions.iter().map(|suggestion| visible(&suggestion.command)).collect();
    format!("{WORDS:?} became {}", commands.join(", "))
}

fn line(what: &str, value: &str) -> Result<()> {
    super::print(&format!("  {what:<10} {value}\n"))
}
