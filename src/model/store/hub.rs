//! The Hub over HTTP: what a file should be, then its bytes, resumed wherever a line broke.
//!
//! `hf-hub` serves for names and the cache's layout, but its `Api` does not carry the bytes: `download` neither verifies
//! nor bounds what arrives and puts the server's etag into a path, `metadata` follows a redirect with the token in its
//! default headers (so any host it is sent to would learn it) and panics on a redirect without a `Location`. So
//! redirects are followed here, hop by hop, and the token goes to the Hub's own origin only.

use std::time::Duration;

use hf_hub::{Repo, RepoType};
use reqwest::{
    Client, Method, Response, StatusCode, Url,
    header::{ACCEPT_ENCODING, CONTENT_RANGE, HeaderMap, LOCATION, RANGE, RETRY_AFTER},
    redirect::Policy,
};
use tokio::time::timeout;

use super::{Patience, Settings, fault::Fault, fault::Tries, is_sha256, partial::Partial, progress::Progress};
use crate::{
    error::{Context, Error, Result},
    model::spec::HubFile,
};

/// As browsers and curl have it.
const MAX_REDIRECTS: usize = 10;

/// What the Hub says of a file before a byte of it is fetched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub size: Option<u64>,
    /// `x-linked-etag`: the SHA-256 of an LFS file, here as the server sent it.
    pub etag: Option<String>,
}

impl Labels {
    /// The etag, if it is a SHA-256.
    pub(super) fn sha256(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| is_sha256(etag))
    }

    /// Takes what this hop says and no earlier one did.
    fn read(&mut self, headers: &HeaderMap) {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let etag = text("x-linked-etag").map(|etag| etag.trim_start_matches("W/").replace('"', ""));
        self.etag = self.etag.take().or(etag);
        self.size = self.size.or(text("x-linked-size").and_then(|size| size.parse().ok()));
    }
}

/// A client of one Hub.
pub(super) struct Hub {
    client: Client,
    endpoint: Url,
    token: Option<String>,
    patience: Patience,
}

impl Hub {
    /// # Errors
    /// `HF_ENDPOINT` is no URL, or TLS cannot be set up.
    pub(super) fn new(settings: &Settings, patience: Patience) -> Result<Self> {
        let endpoint = Url::parse(settings.endpoint.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| Error::usage(format!("HF_ENDPOINT is not a URL: {:?}", settings.endpoint)))?;
        let client = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(patience.connect)
            .user_agent(concat!("cmdai/", env!("CARGO_PKG_VERSION")))
            .build()
            .context(|| "could not set up HTTPS")?;
        Ok(Self { client, endpoint, token: settings.token.clone(), patience })
    }

    /// The place of a file. Every part is of safe characters, see [`crate::model::spec`].
    pub(super) fn url(&self, file: &HubFile) -> Result<Url> {
        let repo = Repo::with_revision(file.repo.clone(), RepoType::Model, file.revision.clone());
        let base = self.endpoint.as_str().trim_end_matches('/');
        let text = format!("{base}/{}/resolve/{}/{}", repo.url(), repo.url_revision(), file.file);
        Url::parse(&text).context(|| format!("could not make a URL: {text}"))
    }

    /// Asks what the file is. Fails at once where the Hub cannot be reached, so that the caller can turn elsewhere.
    pub(super) async fn labels(&self, url: &Url, progress: &mut dyn Progress) -> Result<Labels, Fault> {
        let mut tries = Tries::new(self.patience);
        loop {
            match self.ask(url).await {
                Err(Fault::Passing { error, wait }) => {
                    tries.pause(Fault::Passing { error, wait }, progress).await?;
                }
                outcome => return outcome,
            }
        }
    }

    async fn ask(&self, url: &Url) -> Result<Labels, Fault> {
        let mut labels = Labels::default();
        let response = self.send(Method::HEAD, url, 0, &mut labels).await?;
        if labels.size.is_none() && !response.status().is_redirection() {
            let length = response.headers().get("content-length").and_then(|value| value.to_str().ok());
            labels.size = length.and_then(|length| length.parse().ok());
        }
        Ok(labels)
    }

    /// Fetches what `partial` lacks, over as many connections as it takes.
    pub(super) async fn download(
        &self,
        url: &Url,
        partial: &mut Partial,
        progress: &mut dyn Progress,
    ) -> Result<(), Fault> {
        let mut tries = Tries::new(self.patience);
        progress.at(partial.len(), partial.wanted().size);
        while partial.missing() > 0 {
            let before = partial.len();
            if let Err(fault) = self.stream(url, partial, progress).await {
                tries.credit(partial.len().saturating_sub(before));
                tries.pause(fault, progress).await?;
            }
        }
        Ok(())
    }

    /// One connection: asks for the rest and takes what comes.
    async fn stream(&self, url: &Url, partial: &mut Partial, progress: &mut dyn Progress) -> Result<(), Fault> {
        let mut response = self.send(Method::GET, url, partial.len(), &mut Labels::default()).await?;
        accept(&response, partial)?;
        while partial.missing() > 0 || !partial_length_is_told(&response) {
            let chunk = timeout(self.patience.stall, response.chunk())
                .await
                .map_err(|_| Fault::stalled(self.patience.stall))?
                .map_err(|cause| Fault::broken(cause, partial.len()))?;
            let Some(chunk) = chunk else { break };
            partial.push(&chunk).map_err(Fault::Fatal)?;
            progress.at(partial.len(), partial.wanted().size);
        }
        if partial.missing() > 0 { Err(Fault::short(partial.len(), partial.wanted().size)) } else { Ok(()) }
    }

    /// Sends a request and follows its redirects. A HEAD stops where it would leave the Hub: all labels are known then.
    async fn send(&self, method: Method, url: &Url, from: u64, labels: &mut Labels) -> Result<Response, Fault> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let at_hub = url.origin() == self.endpoint.origin();
            let response = self.send_once(method.clone(), &url, from).await?;
            if at_hub {
                labels.read(response.headers());
            }
            if !response.status().is_redirection() {
                return if response.status().is_success() { Ok(response) } else { Err(refusal(&url, &response)) };
            }
            let next = next_hop(&url, &response)?;
            if method == Method::HEAD && next.origin() != self.endpoint.origin() {
                return Ok(response);
            }
            url = next;
        }
        Err(Fault::Fatal(Error::new(format!("could not download from {}: redirects in a circle", host(&url)))))
    }

    async fn send_once(&self, method: Method, url: &Url, from: u64) -> Result<Response, Fault> {
        // Identity: a compressed body would be another file, and unbounded.
        let mut request = self.client.request(method, url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(token) = self.token.as_ref().filter(|_| url.origin() == self.endpoint.origin()) {
            request = request.bearer_auth(token);
        }
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let answer = timeout(self.patience.stall, request.send()).await;
        answer
            .map_err(|_| Fault::mute(self.patience.stall, host(url)))?
            .map_err(|cause| Fault::unsent(cause, host(url)))
    }
}

/// Whether the body cannot run on past the wanted size unseen: its length was announced, and [`accept`] compared it.
fn partial_length_is_told(response: &Response) -> bool {
    response.content_length().is_some()
}

fn host(url: &Url) -> &str {
    url.host_str().unwrap_or("?")
}

fn next_hop(url: &Url, response: &Response) -> Result<Url, Fault> {
    let target = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let next = target.and_then(|target| url.join(target).ok());
    let bad = |why: &str| Fault::Fatal(Error::new(format!("could not download from {}: {why}", host(url))));
    let next = next.ok_or_else(|| bad("it redirects to no address"))?;
    match (url.scheme(), next.scheme()) {
        ("https", "http") => Err(bad("it redirects from https to http")),
        (_, "http" | "https") => Ok(next),
        _ => Err(bad("it redirects to something that is not http")),
    }
}

/// Holds the answer against what was asked: the right piece, and no more than the file may have.
fn accept(response: &Response, partial: &mut Partial) -> Result<(), Fault> {
    let size = partial.wanted().size;
    if partial.len() > 0 && response.status() != StatusCode::PARTIAL_CONTENT {
        partial.restart().map_err(Fault::Fatal)?;
    }
    if response.status() == StatusCode::PARTIAL_CONTENT {
        let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match content_range(range) {
            Some((start, total)) if start == partial.len() && total.is_none_or(|total| total == size) => (),
            _ => {
                let asked = partial.len();
                partial.restart().map_err(Fault::Fatal)?;
                return Err(Fault::passing(format!("asked for bytes from {asked} of {size}, was sent {range:?}")));
            }
        }
    }
    match response.content_length() {
        Some(length) if length != partial.missing() => Err(Fault::Fatal(Error::new(format!(
            "could not download: the server's file has another size (wanted {} bytes more, it offers {length})",
            partial.missing()
        )))),
        _ => Ok(()),
    }
}

/// First byte and total of `bytes 5-9/10`; the total may be `*`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let start = range.split_once('-')?.0.parse().ok()?;
    match total {
        "*" => Some((start, None)),
        total => Some((start, Some(total.parse().ok()?))),
    }
}

/// What a status other than success means, and what to do about it.
fn refusal(url: &Url, response: &Response) -> Fault {
    let status = response.status();
    let what = format!("could not download {}: the server at {} answers {status}", url.path(), host(url));
    match status.as_u16() {
        408 | 429 | 500..=599 => {
            let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            let seconds = wait.and_then(|wait| wait.trim().parse().ok());
            Fault::Passing { error: Error::new(what), wait: seconds.map(Duration::from_secs) }
        }
        401 => Fault::Fatal(
            Error::new(what)
                .hint("check the name; for a private or gated repository set HF_TOKEN to a token that may read it"),
        ),
        403 => Fault::Fatal(
            Error::new(what)
                .hint("accept the repository's terms on its page, and set HF_TOKEN to a token that may read it"),
        ),
        404 => {
            Fault::Fatal(Error::new(what).hint("check owner, repo and file name; cmdai model list shows known models"))
        }
        _ => Fault::Fatal(Error::new(what)),
    }
}
