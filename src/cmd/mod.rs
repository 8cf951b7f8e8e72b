//! One file a subcommand.

pub mod model;
