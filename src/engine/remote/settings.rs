//! Which server is asked, with what key, and how long it is waited for: parsed once into types that cannot be wrong.

use std::{fmt, net::IpAddr, time::Duration};

use reqwest::Url;

use crate::error::{Error, Result};

const MAX_KEY: usize = 8 << 10;

/// Where to ask, for which model, as whom; resolved by [`crate::config`].
#[derive(Clone, Debug)]
pub struct Settings {
    pub server: Server,
    /// Left to the server where none is named.
    pub model: Option<String>,
    pub key: Option<Key>,
}

/// The base URL of a server that may be asked: https, or http that does not leave this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    endpoint: Url,
    here: bool,
}

impl Server {
    /// Reads a base URL such as `http://127.0.0.1:8080/v1`. What is refused is not repeated: it may hold a key.
    ///
    /// # Errors
    /// It is no URL, holds more than a place, or would send words over the network in the clear.
    pub fn parse(text: &str) -> Result<Self> {
        let refused = |why: &str| Error::usage(format!("could not use the URL of the remote server: {why}"));
        let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url =
            url.ok_or_else(|| refused("it is not http or https").hint("write it like http://127.0.0.1:8080/v1"))?;
        let more = !url.username().is_empty() || url.password().is_some();
        if more || url.query().is_some() || url.fragment().is_some() {
            let hint = "leave only the place in it; the key goes into CMDAI_REMOTE_KEY or key_file";
            return Err(refused("it holds a user, a password, a query or a fragment").hint(hint));
        }
        let here = is_here(&url);
        if !here && url.scheme() != "https" {
            let hint = "use https; http is for this machine: 127.0.0.1, [::1] or localhost";
            let host = url.host_str().unwrap_or_default();
            return Err(refused(&format!("http would send your words to {host} in the clear")).hint(hint));
        }
        let endpoint = format!("{}/chat/completions", url.as_str().trim_end_matches('/'));
        Ok(Self { endpoint: Url::parse(&endpoint).map_err(|_| refused("it is not one"))?, here })
    }

    /// Whether it is on this machine, so that words sent to it stay here as far as cmdai can tell.
    pub fn is_here(&self) -> bool {
        self.here
    }

    pub(super) fn is_https(&self) -> bool {
        self.endpoint.scheme() == "https"
    }

    pub(super) fn endpoint(&self) -> Url {
        self.endpoint.clone()
    }

    /// Host and port, for messages.
    pub(super) fn host(&self) -> String {
        let host = self.endpoint.host_str().unwrap_or_default();
        self.endpoint.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// The URL that words are sent to.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.endpoint.as_str())
    }
}

/// By what is written alone: another name may stand for this machine today and for another one tomorrow.
fn is_here(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// What the server knows a person by. It goes into one header, and into no message and no log.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Takes a key without the white space around it.
    ///
    /// # Errors
    /// It is empty, very long, or cannot stand in a header.
    pub fn parse(text: &str) -> Result<Self> {
        let key = text.trim();
        match !key.is_empty() && key.len() <= MAX_KEY && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            true => Ok(Self(key.to_owned())),
            false => Err(Error::usage("the key for the remote server is not one word of plain ASCII")
                .hint("give the key alone, without the name of a header before it")),
        }
    }

    pub(super) fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn is_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }

    /// `text` without the key.
    pub(super) fn blotted(&self, text: &str) -> String {
        text.replace(&self.0, "[key]")
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// How long a server is waited for. All of it ends at a key press, too.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For the next byte. A server that loads its model when it is asked is silent until it has.
    pub silence: Duration,
    /// For the whole of one answer.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        let [connect, silence, whole] = [5, 60, 120].map(Duration::from_secs);
        Self { connect, silence, whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_url_leads_to_the_endpoint_with_or_without_a_slash() {
        for (text, endpoint) in [
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/chat/completions"),
            ("http://localhost:11434/v1/", "http://localhost:11434/v1/chat/completions"),
            ("http://[::1]:8080", "http://[::1]:8080/chat/completions"),
            ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
        ] {
            assert_eq!(Server::parse(text).unwrap().to_string(), endpoint);
        }
    }

    #[test]
    fn http_is_for_this_machine_only() {
        for text in ["http://127.0.0.1", "http://127.1.2.3:80", "http://[::1]/v1", "http://LOCALHOST/", "http://127.1"]
        {
            assert!(Server::parse(text).unwrap().is_here(), "{text}");
        }
        for text in [
            "http://example.com/v1",
            "http://192.168.1.2:8080/v1",
            "http://0.0.0.0:8080",
            "http://[::ffff:127.0.0.1]",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://localhost.",
        ] {
            let error = Server::parse(text).expect_err(text);
            assert!(error.to_string().contains("in the clear"), "{text}: {error}");
            assert!(!Server::parse(&text.replace("http:", "https:")).unwrap().is_here(), "{text}");
        }
    }

    #[test]
    fn url_that_is_none_or_holds_a_secret_is_refused_without_repeating_it() {
        for text in [
            "",
            "sk-hunter2",
            "hunter2:8080/v1",
            "ftp://hunter2/",
            "http://",
            "https://hunter2@example.com/v1",
            "https://user:hunter2@example.com/v1",
            "https://example.com/v1?key=hunter2",
            "https://example.com/v1#hunter2",
            "unix:/hunter2",
        ] {
            let error = Server::parse(text).expect_err(text);
            assert_eq!(error.exit_code(), 2);
            assert!(error.next_step().is_some() && !format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn key_is_one_word_and_is_not_shown() {
        assert_eq!(Key::parse(" sk-hunter2\n").unwrap().expose(), "sk-hunter2");
        for text in ["", " \n", "Bearer hunter2", "hunter2\r\nX-Evil: 1", "hünter2", &"hunter2".repeat(2000)] {
            let error = Key::parse(text).expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
        let settings = Settings {
            server: Server::parse("https://example.com").unwrap(),
            model: None,
            key: Some(Key::parse("hunter2").unwrap()),
        };
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
