//! What the tests share: a home of their own for every test, and where the models lie.

use std::{env, path::PathBuf};

/// A real model file. A missing one fails the test: skipping would let a broken engine pass.
pub(crate) fn model(file: &str) -> PathBuf {
    let folder = env::var_os("CMDAI_TEST_MODELS").map_or_else(default_models, PathBuf::from);
    let path = folder.join(file);
    assert!(path.is_file(), "no model at {}: tests/run fetches it, or set CMDAI_TEST_MODELS", path.display());
    path
}

fn default_models() -> PathBuf {
    dirs::home_dir().unwrap_or_default().join(".cache/cmdai-dev/models")
}
