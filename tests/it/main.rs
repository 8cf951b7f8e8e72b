//! The integration tests: one binary, so that the crate is linked once.

mod allocation;
mod gguf;
mod gguf_broken;
mod gguf_builder;
mod support;
mod tokenizer;
