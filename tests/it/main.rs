//! The integration tests: one binary, so that the crate is linked once.

mod pty;
mod pty_all;
mod support;
