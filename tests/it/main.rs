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
mod prefix_cache;
mod pty;
mod pty_all;
mod pty_bash;
mod pty_fish;
mod pty_real;
mod pty_stream;
#[cfg(target_os = "linux")]
mod pty_warm;
mod pty_zsh;
mod pty_zsh_offer;
#[cfg(target_os = "linux")]
mod pty_zsh_plugins;
mod pull;
mod reference;
mod remote;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod resident;
#[cfg(feature = "llama")]
mod restored;
mod safety;
#[cfg(feature = "llama")]
mod sequence;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod server;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod server_faults;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod server_protocol;
mod store;
mod support;
mod tokenizer;
mod widget;
