//! The integration tests: one binary, so that the crate is linked once.

mod history;
mod init;
mod pty;
mod pty_all;
mod pty_bash;
mod pty_fish;
mod pty_zsh;
mod support;
mod widget;
