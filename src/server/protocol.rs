//! What client and server say to each other over the socket.
//!
//! A frame is the length of a JSON text in bytes, in decimal, a newline, and the JSON: short enough to be written by a
//! shell script, which warms the server up while the person types. The first frame each way is a [`Hello`] and stays as
//! it is for ever: it lets programs of different versions find out that they are. Every other frame may change with
//! [`PROTOCOL_VERSION`].

use std::{io, path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    time::timeout,
};

use super::sandbox::Sandbox;
use crate::{
    context::Context,
    engine::{self, Engine},
    error::Error,
    model::store::Record,
    request::{Meaning, Request, Shell, Suggestion, Timing},
};

/// Number of this protocol: one more whenever a frame other than [`Hello`] changes.
pub const PROTOCOL_VERSION: u32 = 5;

/// Longest frame taken. The longest request, every byte of it escaped as `\u0000`, has 48 KiB.
pub const MAX_FRAME: usize = 256 * 1024;

/// A frame that was begun must end within this.
const FRAME_TIME: Duration = Duration::from_secs(5);

/// The first frame each way: who speaks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Version of the program.
    pub cmdai: String,
    /// Its [`PROTOCOL_VERSION`].
    pub protocol: u32,
}

impl Hello {
    /// This program's own.
    pub fn ours() -> Self {
        Self { cmdai: env!("CARGO_PKG_VERSION").to_owned(), protocol: PROTOCOL_VERSION }
    }
}

/// What a client asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ask {
    /// Do this; the replies are any number of [`Reply::Text`] and [`Reply::Waiting`], then [`Reply::Done`] or
    /// [`Reply::Explained`], or [`Reply::Failed`].
    Do(Box<Job>),
    /// Compute what will be asked for soon: the person is typing these words. There is no reply.
    Warm { words: String, shell: Shell },
    /// End the request of this connection.
    Cancel,
    /// Tell how the server is: [`Reply::Status`].
    Status,
    /// Leave. The connection closes when the server has left.
    Stop,
}

/// A task with all that it depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub task: Task,
    pub target: Target,
}

/// What a person wants of the model.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Task {
    Suggest(Request),
    /// Say what each part of a command does.
    Explain {
        command: String,
        context: Context,
    },
}

/// The model, and how to compute with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// The model's file, verified by the client.
    pub model: Record,
    /// The engine, by a name of [`crate::engine::BUILT_IN`].
    pub engine: String,
    /// Threads asked for, if a number is.
    pub threads: Option<usize>,
    /// The LoRA adapter's file, if one is asked for, hashed by the client.
    pub lora: Option<Record>,
}

impl Target {
    /// Opens it in this process, with `cache` for what is worth keeping.
    ///
    /// # Errors
    /// As of [`engine::open`].
    pub fn open(&self, cache: Option<PathBuf>) -> crate::error::Result<Box<dyn Engine>> {
        engine::open(&self.model, &self.engine, &self.settings(cache))
    }

    /// What [`engine::open`] is told of it beside the model.
    pub fn settings(&self, cache: Option<PathBuf>) -> engine::Settings {
        engine::Settings { threads: self.threads, cache, lora: self.lora.clone() }
    }
}

/// What the server answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reply {
    /// The command, or what is said of a part of one, as far as it is written.
    Text(String),
    /// Still at it; sent every [`HEARTBEAT`].
    Waiting,
    Done {
        suggestions: Vec<Suggestion>,
        timing: Timing,
    },
    Explained(Vec<Meaning>),
    Failed(Error),
    Status(Status),
}

/// How often a client hears that it is not forgotten.
pub const HEARTBEAT: Duration = Duration::from_secs(1);

/// How the server is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    pub uptime_s: u64,
    /// The engine and the model's file, once one is open.
    pub engine: Option<String>,
    pub model: Option<String>,
    /// The LoRA adapter's file, if there is one.
    pub lora: Option<String>,
    /// Resident memory in bytes, the mapped model included; 0 where the system does not tell.
    pub memory: u64,
    /// What the kernel keeps from it.
    pub sandbox: Sandbox,
    /// Requests answered, and those that failed or were cancelled.
    pub requests: u64,
    pub failed: u64,
    /// Time in the server of the latest 1,024 answered requests, in milliseconds.
    pub p50_ms: f64,
    pub p95_ms: f64,
    /// Open connections, this one included.
    pub connections: usize,
}

/// Reads the next frame, for which it waits without end; none at the end of the stream.
///
/// # Errors
/// The stream failed, or what came is no frame of this kind.
pub async fn read<T: DeserializeOwned>(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Option<T>> {
    if stream.fill_buf().await?.is_empty() {
        return Ok(None);
    }
    match timeout(FRAME_TIME, body(stream)).await {
        Ok(body) => Ok(Some(serde_json::from_slice(&body?).map_err(|cause| bad(other(&cause)))?)),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "a frame was begun and not ended")),
    }
}

async fn body(stream: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut length = Vec::new();
    // One digit more than MAX_FRAME has, and the newline.
    (&mut *stream).take(8).read_until(b'\n', &mut length).await?;
    let digits = length.strip_suffix(b"\n").and_then(|digits| std::str::from_utf8(digits).ok());
    let length = digits.and_then(|digits| digits.parse().ok()).filter(|length| *length <= MAX_FRAME);
    let mut body = vec![0; length.ok_or_else(|| bad("no length of a frame"))?];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

/// Writes one frame.
///
/// # Errors
/// The stream failed.
pub async fn write(stream: &mut (impl AsyncWrite + Unpin), message: &impl Serialize) -> io::Result<()> {
    stream.write_all(frame(message).as_bytes()).await
}

/// The frame of `message`.
pub fn frame(message: &impl Serialize) -> String {
    // Every message is a struct or enum of strings, numbers and lists, which cannot fail to become JSON.
    let json = serde_json::to_string(message).unwrap_or_default();
    format!("{}\n{json}", json.len())
}

/// What is wrong with a frame's JSON, without its text: that may hold words of a request.
fn other(cause: &serde_json::Error) -> String {
    let what = if cause.is_data() { "another message" } else { "broken JSON" };
    format!("{what} at byte {}", cause.column())
}

fn bad(cause: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a frame of this protocol: {cause}"))
}
