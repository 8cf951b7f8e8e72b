//! An OpenAI-compatible server on the loopback: chat completions as events, which keeps what it was sent and misbehaves
//! on demand.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::json;

/// What the server does with one request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes, then nothing until the client leaves.
    Stall(Vec<u8>),
    /// Sends the first, then the second again and again until the client leaves.
    Endless(String, String),
    /// Sends back, under this status, all that it was sent.
    Echo(u16),
}

/// The head of an answer with events.
pub(crate) const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

impl Reply {
    /// A good answer in these pieces.
    pub(crate) fn says(pieces: &[&str]) -> Self {
        Self::events(pieces, &format!("{}data: [DONE]\n\n", end("stop")))
    }

    /// These pieces, then `rest` as it is.
    pub(crate) fn events(pieces: &[&str], rest: &str) -> Self {
        let pieces: String = pieces.iter().map(|text| event(text)).collect();
        Self::Bytes(format!("{EVENTS}{pieces}{rest}").into_bytes())
    }

    pub(crate) fn status(status: u16, headers: &str, body: &str) -> Self {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} No\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n");
        Self::Bytes(format!("{head}{body}").into_bytes())
    }

    /// Success of this kind.
    pub(crate) fn body(kind: &str, body: &str) -> Self {
        Self::status(200, &format!("content-type: {kind}\r\n"), body)
    }
}

/// One event with a piece of text.
pub(crate) fn event(text: &str) -> String {
    let event = json!({"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {event}\n\n")
}

/// The event that says why the text ends.
pub(crate) fn end(reason: &str) -> String {
    format!("data: {}\n\n", json!({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}))
}

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.0 == name).map(|header| header.1.as_str())
    }
}

#[derive(Default)]
struct State {
    replies: VecDeque<Reply>,
    seen: Vec<Seen>,
    sent: usize,
}

pub(crate) struct Chat {
    /// Base URL, with `/v1`.
    pub url: String,
    pub port: u16,
    state: Arc<Mutex<State>>,
}

impl Chat {
    /// A server that gives these replies one after the other, and the last one from then on.
    pub(crate) fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { replies: replies.into_iter().collect(), ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that leaves early is part of the tests.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { url: format!("http://127.0.0.1:{port}/v1"), port, state }
    }

    pub(crate) fn says(pieces: &[&str]) -> Self {
        Self::start([Reply::says(pieces)])
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// Bytes that were sent, or at least handed to the system.
    pub(crate) fn sent(&self) -> usize {
        self.state.lock().unwrap().sent
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let seen = read(&mut BufReader::new(stream.try_clone()?))?;
    let reply = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        let last = state.replies.len() == 1;
        if last { state.replies.front().cloned() } else { state.replies.pop_front() }
    };
    match reply.expect("a reply") {
        Reply::Bytes(bytes) => put(&mut stream, &bytes, state),
        Reply::Stall(bytes) => {
            put(&mut stream, &bytes, state)?;
            // Ends when the client closes: that is what is waited for.
            stream.read(&mut [0]).map(drop)
        }
        Reply::Endless(head, again) => {
            put(&mut stream, head.as_bytes(), state)?;
            loop {
                put(&mut stream, again.as_bytes(), state)?;
            }
        }
        Reply::Echo(status) => {
            let headers: String = seen.headers.iter().map(|(name, value)| format!("{name}: {value} ")).collect();
            let body = json!({"error": {"message": format!("bad request: {headers}{}", seen.body)}}).to_string();
            let Reply::Bytes(bytes) = Reply::status(status, "content-type: application/json\r\n", &body) else {
                return Ok(());
            };
            put(&mut stream, &bytes, state)
        }
    }
}

fn read(stream: &mut impl BufRead) -> std::io::Result<Seen> {
    let mut line = || {
        let mut line = String::new();
        stream.read_line(&mut line).map(|_| line.trim_end().to_owned())
    };
    let first = line()?;
    let mut headers = Vec::new();
    loop {
        match line()? {
            header if header.is_empty() => break,
            header => headers.extend(header.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned()))),
        }
    }
    let mut seen = Seen { line: first, headers, body: String::new() };
    let length = seen.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    seen.body = String::from_utf8(body).expect("a UTF-8 body");
    Ok(seen)
}

fn put(stream: &mut TcpStream, bytes: &[u8], state: &Mutex<State>) -> std::io::Result<()> {
    for block in bytes.chunks(16 << 10) {
        stream.write_all(block)?;
        state.lock().unwrap().sent += block.len();
    }
    stream.flush()
}
