//! What can go wrong with a server, each with its one line and its next step. What the server says of it is quoted in
//! part, and never with the key in it.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::Value;

use super::{Patience, Settings};
use crate::error::{Error, innermost};

/// Most characters of a server's own words.
const MAX_QUOTE: usize = 200;

#[derive(Debug)]
pub(super) enum Fault {
    /// There is no connection.
    Unreachable(String),
    /// Nothing came for so long.
    Mute(Duration),
    /// The answer was not complete after so long.
    Slow(Duration),
    /// A status other than success, and the body with it.
    Refused {
        status: StatusCode,
        said: Vec<u8>,
    },
    /// An error in place of an answer, or amid it.
    Failed(Vec<u8>),
    /// Something else than an answer.
    NoChat(&'static str),
    /// Longer than so many bytes.
    Long(usize),
    /// The answer ended in the middle.
    Broken(String),
    /// The model thinks aloud and comes to no answer within its tokens.
    Reasons,
    EchoesKey,
}

impl Fault {
    /// No head of an answer came.
    pub(super) fn unsent(cause: reqwest::Error, patience: Patience) -> Self {
        match (cause.is_timeout(), cause.is_connect()) {
            (true, _) => Self::Unreachable(format!("no connection in {} s", patience.connect.as_secs_f32())),
            (false, true) => Self::Unreachable(innermost(&cause.without_url())),
            (false, false) => Self::broken(cause),
        }
    }

    pub(super) fn broken(cause: reqwest::Error) -> Self {
        Self::Broken(innermost(&cause.without_url()))
    }

    /// The error for the person, in whose words the key does not occur.
    pub(super) fn explain(self, settings: &Settings) -> Error {
        let host = settings.server.host();
        let clean = |text: &str| settings.key.as_ref().map_or_else(|| text.to_owned(), |key| key.blotted(text));
        let quoted = |said: &[u8]| quote(&clean(&reason(said)));
        let (what, hint) = match self {
            Self::Unreachable(why) => (
                format!("could not reach {host}: {}", clean(&why)),
                "start the server, or check its URL and the network",
            ),
            Self::Mute(limit) => (
                format!("nothing came from {host} for {} s", limit.as_secs_f32()),
                "try again once it has loaded its model, or look at its log",
            ),
            Self::Slow(limit) => (
                format!("the answer of {host} took more than {} s", limit.as_secs_f32()),
                "ask a faster server, or a smaller model of it",
            ),
            Self::Refused { status, said } => refusal(&host, status, &quoted(&said), settings.key.is_some()),
            Self::Failed(said) => (format!("the server at {host} failed{}", quoted(&said)), LOOK_AT_THE_LOG),
            Self::NoChat(why) => (
                format!("{host} does not answer like an OpenAI-compatible server: {why}"),
                "check the URL: it usually ends in /v1",
            ),
            Self::Long(most) => (format!("the answer of {host} is longer than {} KiB", most >> 10), LOOK_AT_THE_LOG),
            Self::Broken(why) => (format!("the answer of {host} broke off: {}", clean(&why)), LOOK_AT_THE_LOG),
            Self::Reasons => (
                format!("the model at {host} reasons before it answers, for which there is no room"),
                "choose an instruct model that answers at once",
            ),
            Self::EchoesKey => (format!("the answer of {host} holds your key"), "do not use this server"),
        };
        Error::new(what).hint(hint)
    }
}

const LOOK_AT_THE_LOG: &str = "try again, and look at the server's log";

/// What a status means. A refusal of the key is not quoted: servers repeat the key in it, in part or whole.
fn refusal(host: &str, status: StatusCode, quote: &str, keyed: bool) -> (String, &'static str) {
    let answers = format!("the server at {host} answers {status}");
    match status.as_u16() {
        300..=399 => {
            (format!("{answers}, a redirect, which is not followed"), "set the URL to where the server really is")
        }
        401 | 403 if keyed => (format!("{answers}: it refuses the key"), "check the key, and what it may be used for"),
        401 | 403 => (format!("{answers}: it wants a key"), "set CMDAI_REMOTE_KEY, or key_file under [remote]"),
        404 => (format!("{answers}{quote}"), "check the URL, which usually ends in /v1, and the model's name"),
        429 => (format!("{answers}{quote}"), "wait a little, and look at what your account there allows"),
        400..=499 => {
            (format!("{answers}{quote}"), "check the model's name: CMDAI_REMOTE_MODEL, or model under [remote]")
        }
        _ => (format!("{answers}{quote}"), LOOK_AT_THE_LOG),
    }
}

/// The message of an error's body, in the forms that servers have for it, or plain text as it is.
fn reason(said: &[u8]) -> String {
    if let Ok(body) = serde_json::from_slice::<Value>(said) {
        let places = [&body["error"]["message"], &body["error"], &body["message"], &body["detail"]];
        return places.into_iter().find_map(Value::as_str).unwrap_or_default().to_owned();
    }
    let text = String::from_utf8_lossy(said);
    if text.trim_start().starts_with('<') { String::new() } else { text.into_owned() }
}

/// `: ` and the beginning of what was said; nothing for nothing.
fn quote(said: &str) -> String {
    let said = said.trim();
    let quoted: String = said.chars().take(MAX_QUOTE).collect();
    let more = if quoted.len() < said.len() { "…" } else { "" };
    if said.is_empty() { String::new() } else { format!(": {quoted}{more}") }
}
