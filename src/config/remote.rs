//! The settings of the engine `remote`: `[remote]` of `config.toml` below the environment. The key has no flag: what is on
//! a command line is in the shell's history and in every list of processes.

use std::{fs::File, io::Read, os::unix::fs::MetadataExt, path::Path};

use serde::Deserialize;

use super::{Config, Setting, checked, variable};
use crate::{
    engine::remote::{Key, Server, Settings},
    error::{Context, Error, Result},
};

const KEY: &str = "CMDAI_REMOTE_KEY";

/// Most bytes read of a file with a key; more than a key may have.
const MAX_KEY_FILE: u64 = 16 << 10;

/// The table as written.
#[derive(Debug, Default, Deserialize)]
#[serde(default, expecting = "a table")]
pub(super) struct Table {
    #[serde(deserialize_with = "checked::remote_url")]
    url: Option<String>,
    model: Option<String>,
    #[serde(deserialize_with = "checked::key_file")]
    key_file: Option<String>,
}

pub(super) const KNOWN_KEYS: [&str; 3] = ["url", "model", "key_file"];

impl Config {
    /// The server that the engine `remote` asks, the model there and the key.
    ///
    /// # Errors
    /// None is set, or one that may not be asked; the key cannot be read.
    pub fn remote(&self) -> Result<Settings> {
        let Some(url) = self.resolve(None, "CMDAI_REMOTE_URL", self.file.remote.url.clone()) else {
            let file = self.path.as_ref().map_or("config.toml".into(), |path| path.display().to_string());
            return Err(Error::usage("the engine remote has no server to ask")
                .hint(format!("set url under [remote] in {file}, or CMDAI_REMOTE_URL: http://127.0.0.1:8080/v1")));
        };
        let model = self.resolve(self.flags.model.clone(), "CMDAI_REMOTE_MODEL", self.file.remote.model.clone());
        Ok(Settings {
            server: Server::parse(&url.value)?,
            model: model.map(|model| model.value),
            key: self.remote_key()?.map(|key| key.value),
        })
    }

    /// The key for that server, if one is set.
    ///
    /// # Errors
    /// It is no key, or its file cannot be read, or others can read it.
    pub fn remote_key(&self) -> Result<Option<Setting<Key>>> {
        if let Some(text) = variable(KEY) {
            return Ok(Some(Setting { value: Key::parse(&text)?, origin: format!("environment {KEY}") }));
        }
        let Some(file) = &self.file.remote.key_file else { return Ok(None) };
        Ok(Some(Setting { value: read_key(Path::new(file))?, origin: file.clone() }))
    }
}

fn read_key(path: &Path) -> Result<Key> {
    let what = || format!("could not read the key of the remote server: {}", path.display());
    let refused = |why: &str| Error::new(format!("{}: {why}", what()));
    let metadata = std::fs::metadata(path).context(what)?;
    if !metadata.is_file() {
        return Err(refused("it is not a regular file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(refused("others may read it").hint(format!("run chmod 600 {}", path.display())));
    }
    let mut text = String::new();
    File::open(path).and_then(|file| file.take(MAX_KEY_FILE).read_to_string(&mut text)).context(what)?;
    Key::parse(&text)
}
