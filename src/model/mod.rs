//! Model files: which ones we know, what a file says of itself, how text becomes tokens, and how a file gets here.
//!
//! Knows no engine. [`store`] is the only place of the crate that downloads.

pub mod gguf;
pub mod store;
pub mod tokenizer;
