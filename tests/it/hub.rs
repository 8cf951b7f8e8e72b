//! A Hub on the loopback: HTTP/1.1 with redirects, labels and ranges, which counts what it sends and misbehaves on
//! demand.

use std::{
    collections::VecDeque,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, mpsc::Receiver},
    thread,
    time::Instant,
};

use sha2::{Digest, Sha256};

/// What the server does with one request, instead of answering it well.
pub(crate) enum Trick {
    Status(u16, &'static str),
    /// Announces everything and closes after so many bytes.
    Short(usize),
    /// Breaks the connection (RST) after so many bytes.
    Reset(usize),
    /// Sends so many bytes, then nothing until the client leaves.
    Stall(usize),
    /// Sends so many bytes, then waits for the word to go on.
    Hold(usize, Receiver<()>),
    /// More than it should, with and without saying so.
    Long,
    LongUnannounced,
    IgnoreRange,
    /// Answers a range from the first byte, and says so.
    WrongRange,
    FlipBit,
    /// So many zeros, packed by gzip, with no length said.
    GzipBomb(usize),
    /// No HTTP at all.
    Garbage,
}

/// What was asked of the server.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub method: String,
    pub path: String,
    pub range: Option<String>,
    pub authorization: Option<String>,
    pub at: Instant,
}

#[derive(Default)]
pub(crate) struct State {
    body: Vec<u8>,
    /// Headers of the answers under `/…/resolve/`.
    pub labels: Vec<(&'static str, String)>,
    /// Where `resolve` redirects to.
    pub cdn: String,
    heads: VecDeque<Trick>,
    bodies: VecDeque<Trick>,
    seen: Vec<Seen>,
    pub sent: usize,
}

pub(crate) struct Hub {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Hub {
    /// A Hub with one file, sent from its own `/cdn/` by a redirect.
    pub(crate) fn start(body: &[u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let labels = vec![
            ("x-repo-commit", "0123456789abcdef0123456789abcdef01234567".to_owned()),
            ("x-linked-etag", format!("\"{}\"", sha256(body))),
            ("x-linked-size", body.len().to_string()),
        ];
        let state = State { body: body.to_vec(), labels, cdn: format!("{url}/cdn/blob"), ..State::default() };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = Arc::clone(&shared);
                // A client that leaves early is part of the tests.
                thread::spawn(move || drop(serve(stream, &state)));
            }
        });
        Self { url, state }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(crate) fn on_body(&self, tricks: impl IntoIterator<Item = Trick>) -> &Self {
        self.state().bodies.extend(tricks);
        self
    }

    pub(crate) fn on_head(&self, tricks: impl IntoIterator<Item = Trick>) -> &Self {
        self.state().heads.extend(tricks);
        self
    }

    pub(crate) fn label(&self, name: &'static str, value: &str) {
        self.state().labels.iter_mut().filter(|label| label.0 == name).for_each(|label| label.1 = value.into());
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// The requests for bytes, by the first byte they asked for.
    pub(crate) fn starts(&self) -> Vec<String> {
        let bodies = self.seen().into_iter().filter(|seen| seen.path.starts_with("/cdn") && seen.method == "GET");
        bodies.map(|seen| seen.range.unwrap_or_default()).collect()
    }
}

fn serve(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    // Only looked at, not taken: a socket closed with unread data sends a reset, which one trick needs.
    let mut head = vec![0; 16 << 10];
    let head = loop {
        let n = stream.peek(&mut head)?;
        // A TLS hello: this server speaks none.
        if head[0] == 0x16 {
            return Ok(());
        }
        if n == 0 || head[..n].windows(4).any(|w| w == b"\r\n\r\n") {
            break String::from_utf8_lossy(&head[..n]).into_owned();
        }
    };
    let seen = parse(&head);
    let (trick, labels, cdn, body) = {
        let mut state = state.lock().unwrap();
        state.seen.push(seen.clone());
        let trick = match (seen.path.starts_with("/cdn"), seen.method.as_str()) {
            (true, "GET") => state.bodies.pop_front(),
            (true, _) => None,
            (false, _) => state.heads.pop_front(),
        };
        (trick, state.labels.clone(), state.cdn.clone(), state.body.clone())
    };
    if !matches!(trick, Some(Trick::Reset(_))) {
        stream.read_exact(&mut vec![0; head.len()])?;
    }
    if let Some(Trick::Status(status, extra)) = trick {
        return write!(stream, "HTTP/1.1 {status} No\r\n{extra}content-length: 0\r\nconnection: close\r\n\r\n");
    }
    if let Some(Trick::Garbage) = trick {
        return stream.write_all(&[b'\0', b'\xff', b'\n', b'\x1b'].repeat(1000));
    }
    if let Some(Trick::GzipBomb(size)) = trick {
        write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\n\r\n")?;
        return put(&mut stream, &gzip(size), state);
    }
    if !seen.path.starts_with("/cdn") {
        return match seen.path.contains("/resolve/") {
            true => redirect(&mut stream, &cdn, &labels),
            false => redirect(&mut stream, &seen.path, &labels),
        };
    }
    send(&mut stream, &seen, body, trick, state)
}

fn parse(head: &str) -> Seen {
    let mut words = head.split_whitespace().map(str::to_owned);
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|line| line.0.eq_ignore_ascii_case(name)).map(|line| line.1.to_owned()).next()
    };
    Seen {
        method: words.next().unwrap_or_default(),
        path: words.next().map(|target| without_origin(&target)).unwrap_or_default(),
        range: header("range"),
        authorization: header("authorization"),
        at: Instant::now(),
    }
}

/// The path of a request's target; a client that takes us for a proxy sends the whole URL.
fn without_origin(target: &str) -> String {
    let path = target.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    path.unwrap_or(target).to_owned()
}

fn redirect(stream: &mut TcpStream, target: &str, labels: &[(&str, String)]) -> std::io::Result<()> {
    let labels: String = labels.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "HTTP/1.1 302 Found\r\nlocation: {target}\r\n{labels}content-length: 0\r\nconnection: close\r\n\r\n")
}

fn send(
    stream: &mut TcpStream,
    seen: &Seen,
    mut body: Vec<u8>,
    trick: Option<Trick>,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let total = body.len();
    let asked = seen.range.as_deref().and_then(|range| range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok());
    let mut start = asked.unwrap_or(0_usize);
    let mut status = if asked.is_some() { "206 Partial Content" } else { "200 OK" };
    match &trick {
        Some(Trick::IgnoreRange) => (start, status) = (0, "200 OK"),
        Some(Trick::WrongRange) => start = 0,
        Some(Trick::FlipBit) => body[total / 2] ^= 1,
        Some(Trick::Long | Trick::LongUnannounced) => body.extend([0; 1000]),
        _ => (),
    }
    let piece = &body[start..];
    let end = body.len() - 1;
    write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\n")?;
    if !matches!(trick, Some(Trick::LongUnannounced)) {
        write!(stream, "content-length: {}\r\n", piece.len())?;
    }
    if status.starts_with("206") {
        write!(stream, "content-range: bytes {start}-{end}/{total}\r\n")?;
    }
    write!(stream, "\r\n")?;
    if seen.method == "HEAD" {
        return Ok(());
    }
    let (first, go_on) = match trick {
        Some(Trick::Short(n) | Trick::Reset(n)) => (n, None),
        Some(Trick::Stall(n)) => (n, Some(None)),
        Some(Trick::Hold(n, word)) => (n, Some(Some(word))),
        _ => (piece.len(), None),
    };
    put(stream, &piece[..first], state)?;
    match go_on {
        None => Ok(()),
        // Ends when the client closes: that is what is waited for.
        Some(None) => stream.read(&mut [0]).map(drop),
        Some(Some(word)) => {
            let _ = word.recv();
            put(stream, &piece[first..], state)
        }
    }
}

fn put(stream: &mut TcpStream, bytes: &[u8], state: &Mutex<State>) -> std::io::Result<()> {
    for block in bytes.chunks(16 << 10) {
        stream.write_all(block)?;
        state.lock().unwrap().sent += block.len();
    }
    stream.flush()
}

/// So many zeros, packed.
#[expect(clippy::disallowed_methods, reason = "gzip is on every machine, and no crate of ours packs")]
fn gzip(size: usize) -> Vec<u8> {
    let script = format!("head -c {size} /dev/zero | gzip");
    std::process::Command::new("sh").args(["-c", &script]).output().expect("gzip runs").stdout
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The least GGUF file there is (no tensors, no metadata), and noise behind it.
pub(crate) fn tiny_gguf(size: usize) -> Vec<u8> {
    let mut bytes = crate::gguf_builder::Builder::valid(2).bytes();
    assert!(bytes.len() <= size, "the smallest model has {} bytes", bytes.len());
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
