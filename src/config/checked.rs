//! What a value of `config.toml` must be, told while the file is read: so the message has the line, and a value that is
//! none stops every command and not the one that comes to need it.

use std::path::Path;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{Dangerous, THREADS, duration};
use crate::engine::remote::Server;

pub(super) fn threads<'de, D: Deserializer<'de>>(from: D) -> Result<Option<usize>, D::Error> {
    checked(from, |number| if THREADS.contains(number) { Ok(()) } else { Err(bad_threads(&number.to_string())) })
}

/// A file is read from any directory.
pub(super) fn lora<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    let fixed = |path: &String| path.starts_with('/') || path.starts_with("~/");
    checked(from, |path| if fixed(path) { Ok(()) } else { Err(bad_lora(path)) })
}

pub(super) fn server_idle<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, |text: &String| duration(text).map(drop).ok_or_else(|| bad_idle(text)))
}

pub(super) fn dangerous<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, |text: &String| Dangerous::parse(text).map(drop).ok_or_else(|| bad_dangerous(text)))
}

pub(super) fn remote_url<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, |text: &String| Server::parse(text).map(drop).map_err(|error| error.to_string()))
}

pub(super) fn key_file<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    checked(from, |path: &String| if Path::new(path).is_absolute() { Ok(()) } else { Err(relative_key_file()) })
}

pub(super) fn bad_threads(found: &str) -> String {
    format!("threads: wanted a number from 1 to 1024, found {found:?}")
}

fn bad_lora(found: &str) -> String {
    format!("lora: wanted an absolute path, or one that begins with ~/, found {found:?}")
}

pub(super) fn bad_idle(found: &str) -> String {
    format!("server_idle: wanted a time such as 15m, 90s, 2h or 0, found {found:?}")
}

pub(super) fn bad_dangerous(found: &str) -> String {
    format!("dangerous: wanted warn, comment or refuse, found {found:?}")
}

/// It may be the key itself, and is not repeated.
fn relative_key_file() -> String {
    "key_file: the path is not absolute; write it from the root: /home/me/.config/cmdai/key".to_owned()
}

fn checked<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
    check: impl Fn(&T) -> Result<(), String>,
) -> Result<Option<T>, D::Error> {
    let value = T::deserialize(from)?;
    check(&value).map_err(D::Error::custom)?;
    Ok(Some(value))
}
