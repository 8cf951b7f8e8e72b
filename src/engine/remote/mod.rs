//! The engine that asks a server: the prompt goes out as chat messages, the answer comes back as events.
//!
//! This is the only way in which words leave this machine, and it is taken only for a person who both asked for the
//! engine `remote` and said where it is. Any server with OpenAI's `/chat/completions` serves. It is not trusted: what it
//! sends is bounded in bytes and in time, it is followed nowhere else, and its text goes the way of any model's.

mod answer;
mod body;
mod fault;
mod redact;
mod settings;

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::ControlFlow,
    pin::pin,
    time::{Duration, Instant},
};

use reqwest::{
    Client, Response,
    header::{ACCEPT, CONTENT_TYPE},
    redirect::Policy,
};
use tokio::{runtime, time::timeout};

pub use self::settings::{Key, Patience, Server, Settings};
use self::{answer::Answer, fault::Fault};
use super::{Engine, GenerateParams, Interrupt, Prompt, Usage};
use crate::error::{Context, Error, Result};

/// Most bytes of a refusal that are read for its reason.
const MAX_REFUSAL: usize = 64 << 10;

/// Between two looks at the interrupt; a person takes twice as long to notice.
const GLANCE: Duration = Duration::from_millis(50);

/// A server behind the trait [`Engine`].
pub struct Remote {
    settings: Settings,
    patience: Patience,
    client: Client,
}

impl Remote {
    /// Makes ready to ask; nothing is sent yet.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn open(settings: Settings, patience: Patience) -> Result<Self> {
        tracing::info!(server = %settings.server, "opening");
        let client = client(&settings.server, patience)?;
        Ok(Self { settings, patience, client })
    }

    async fn ask(&self, body: String, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Usage, Fault> {
        let start = Instant::now();
        let mut response = self.send(body).await?;
        let mut answer = Answer::new(&response)?;
        let mut first_text = None;
        while let Some(bytes) = self.patient(response.chunk()).await?.map_err(Fault::broken)? {
            let go_on = answer.take(&bytes, on_text)?;
            if answer.pieces > 0 {
                first_text.get_or_insert_with(Instant::now);
            }
            if go_on.is_break() {
                break;
            }
        }
        answer.end(on_text)?;
        if self.settings.key.as_ref().is_some_and(|key| key.is_in(&answer.text)) {
            return Err(Fault::EchoesKey);
        }
        let first_text = first_text.unwrap_or_else(Instant::now);
        Ok(Usage {
            prompt_tokens: 0,
            cached_tokens: 0,
            decoded_tokens: answer.pieces,
            cut: answer.cut,
            stuck: false,
            likelihood: None,
            forks: Vec::new(),
            prefill_ms: (first_text - start).as_secs_f64() * 1e3,
            decode_ms: first_text.elapsed().as_secs_f64() * 1e3,
        })
    }

    /// The answer's head, once it is one of success.
    async fn send(&self, body: String) -> Result<Response, Fault> {
        let mut request = self.client.post(self.settings.server.endpoint()).body(body);
        request =
            request.header(CONTENT_TYPE, "application/json").header(ACCEPT, "text/event-stream, application/json");
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key.expose());
        }
        let response = self.patient(request.send()).await?.map_err(|cause| Fault::unsent(cause, self.patience))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => Err(Fault::Refused { status, said: self.reason(response).await }),
        }
    }

    /// What a server says with its refusal, as far as it comes.
    async fn reason(&self, mut response: Response) -> Vec<u8> {
        let mut said = Vec::new();
        while let Ok(Ok(Some(bytes))) = self.patient(response.chunk()).await {
            said.extend_from_slice(&bytes);
            if said.len() > MAX_REFUSAL {
                break;
            }
        }
        said
    }

    async fn patient<T>(&self, step: impl Future<Output = T>) -> Result<T, Fault> {
        timeout(self.patience.silence, step).await.map_err(|_| Fault::Mute(self.patience.silence))
    }
}

impl Engine for Remote {
    fn generate(
        &mut self,
        prompt: &Prompt,
        params: &GenerateParams,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Usage> {
        let body = body::of(prompt, params, self.settings.model.as_deref())?;
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().context(|| "could not set up the network")?;
        let whole = self.patience.whole;
        let answer = async { timeout(whole, self.ask(body, on_text)).await.unwrap_or(Err(Fault::Slow(whole))) };
        let outcome = runtime.block_on(unless(&params.interrupt, answer));
        // Not dropped: that would wait for a name look-up that nobody wants any more.
        runtime.shutdown_background();
        outcome?.map_err(|fault| fault.explain(&self.settings))
    }
}

/// `work`, dropped once `interrupt` is set.
async fn unless<T>(interrupt: &Interrupt, work: impl Future<Output = T>) -> Result<T> {
    let mut work = pin!(work);
    loop {
        match timeout(GLANCE, work.as_mut()).await {
            Ok(done) => return Ok(done),
            Err(_) if interrupt.is_set() => return Err(Error::Cancelled),
            Err(_) => {}
        }
    }
}

fn client(server: &Server, patience: Patience) -> Result<Client> {
    let mut builder = Client::builder()
        .redirect(Policy::none())
        .connect_timeout(patience.connect)
        // A connection does not outlive its runtime, which is one for each answer.
        .pool_max_idle_per_host(0)
        // Plain HTTP is spared the reading of the system's certificates.
        .tls_built_in_root_certs(server.is_https())
        .user_agent(concat!("cmdai/", env!("CARGO_PKG_VERSION")));
    if server.is_here() {
        // Neither a proxy nor a resolver is asked the way to this machine: both may be elsewhere.
        let here = [(Ipv4Addr::LOCALHOST, 0).into(), (Ipv6Addr::LOCALHOST, 0).into()];
        builder = builder.no_proxy().resolve_to_addrs("localhost", &here);
    }
    builder.build().context(|| "could not set up HTTPS")
}
