//! The log: off unless `CMDAI_LOG` asks for a level; on stderr; never holds the text of a request or an answer.

use tracing::level_filters::LevelFilter;

use crate::config;

/// Starts the log at the level of `CMDAI_LOG` (`error`, `warn`, `info`, `debug`, `trace`).
pub fn start() {
    let Some(wanted) = config::variable("CMDAI_LOG") else { return };
    let Ok(level) = wanted.parse::<LevelFilter>() else {
        return super::note(&format!(
            "cmdai: CMDAI_LOG: wanted off, error, warn, info, debug or trace, found {wanted:?}"
        ));
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}
