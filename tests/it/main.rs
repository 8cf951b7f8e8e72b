//! The integration tests: one binary, so that the crate is linked once.

mod allocation;
mod chat;
mod cli;
#[cfg(feature = "llama")]
mod engine;
mod gguf;
mod gguf_broken;
mod gguf_builder;
mod history;
mod hub;
mod init;
mod layers;
#[cfg(feature = "llama")]
mod llama;
#[cfg(mlx)]
mod mlx;
mod pty;
mod pty_all;
mod pty_bash;
mod pty_fish;
mod pty_real;
mod pty_stream;
#[cfg(target_os = "linux")]
mod pty_warm;
mod pty_zsh;
mod pull;
mod reference;
mod remote;
mod safety;
mod store;
mod support;
mod tokenizer;
mod widget;
