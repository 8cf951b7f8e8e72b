//! The integration tests: one binary, so that the crate is linked once.

mod allocation;
mod blast_radius;
#[cfg(target_os = "linux")]
mod blast_radius_bash;
mod chat;
mod cli;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod conformance;
#[cfg(feature = "llama")]
mod engine;
#[cfg(feature = "llama")]
mod eval;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod fatal;
mod gguf;
mod gguf_broken;
mod gguf_builder;
mod history;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod hostile_server;
mod hub;
mod init;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod injection;
mod layers;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod line;
#[cfg(feature = "llama")]
mod llama;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod logs;
#[cfg(feature = "llama")]
mod lora;
#[cfg(feature = "llama")]
mod lora_files;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod lora_settings;
#[cfg(mlx)]
mod mlx;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod nearby;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod offline;
mod prefix_cache;
mod pty;
mod pty_all;
mod pty_bash;
#[cfg(target_os = "linux")]
mod pty_bash_plugins;
mod pty_fish;
#[cfg(target_os = "linux")]
mod pty_fish_plugins;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod pty_random;
mod pty_real;
mod pty_stream;
#[cfg(target_os = "linux")]
mod pty_warm;
mod pty_zsh;
mod pty_zsh_offer;
#[cfg(target_os = "linux")]
mod pty_zsh_plugins;
mod pull;
mod pull_process;
mod reference;
mod remote;
#[cfg(all(feature = "llama", target_os = "linux"))]
mod resident;
#[cfg(feature = "llama")]
mod restored;
mod safety;
#[cfg(target_os = "linux")]
mod sandbox;
#[cfg_attr(
    not(all(feature = "llama", target_os = "linux")),
    allow(dead_code, reason = "those who use it run there alone")
)]
mod scripted;
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
mod touches;
mod widget;
