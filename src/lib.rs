//! cmdai: words in, the right shell command on the line.
//!
//! A request's way, and the files in which to follow it:
//! `shell/cmdai.*` (the key press) -> [`cmd`] `widget` or `suggest` -> [`pipeline`] -> [`prompt`] -> [`engine`]
//! (prefill, decode, stop) -> [`parse`] -> [`safety`] -> back to the line. Nothing here ever runs a suggestion.

pub mod blast_radius;
pub mod cli;
pub mod cmd;
pub mod commands;
pub mod config;
pub mod context;
pub mod engine;
pub mod error;
pub mod examples;
pub mod model;
pub mod nearby;
pub mod parse;
pub mod pipeline;
pub mod platform;
pub mod prompt;
pub mod quoted;
pub mod request;
pub mod safety;
pub mod server;
pub mod shell;
